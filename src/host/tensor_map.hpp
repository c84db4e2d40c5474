#pragma once

// The one place that encodes TMA descriptors.

#include <cstdint>

#include "ckl/tensor.hpp"
#include "device/tensor_map.hpp"

namespace ckl::host {

/// A batch of matrices for TMA: `contiguous` has stride 1. Extents in elements, boxes in elements.
struct TensorMapShape {
  DType dtype;
  std::int64_t contiguous, other, batch;    ///< Extents.
  std::int64_t other_stride, batch_stride;  ///< Elements; multiples of 16 bytes.
  int box_contiguous, box_other;            ///< What one instruction moves.
  int swizzle_bytes;  ///< 32, 64 or 128: the pitch of a box's rows in shared memory, of which box_contiguous may fill a part.
};

/// Whether TMA can load from a matrix with these strides and this pointer alignment (bytes).
bool tma_can_load(DType dtype, std::int64_t contiguous, std::int64_t other, std::int64_t other_stride, int alignment);

/// Whether TMA can store to it without writing past its rows.
bool tma_can_store(DType dtype, std::int64_t contiguous, std::int64_t other, std::int64_t other_stride, int alignment);

/// Encodes a descriptor for `shape` at address `data`, 16-byte aligned.
TensorMap encode(const TensorMapShape& shape, const void* data);

/// Points `map` to another tensor of the same shape; cheap, for every launch.
void replace_address(TensorMap& map, const void* data);

}  // namespace ckl::host
