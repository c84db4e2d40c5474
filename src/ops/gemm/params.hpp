#pragma once

// What the host hands to a GEMM kernel: plain data, laid out alike by both compilers.

#include <cstdint>

#include "ckl/tensor.hpp"
#include "device/tensor_map.hpp"
#include "device/tile_grid.hpp"
#include "device/work_split.hpp"

namespace ckl {

/// A matrix in global memory. `row` and `column` are strides in elements; the batch is outermost.
struct MatrixParams {
  void* data;
  std::int64_t row, column, batch;
};

/// alpha * acc + beta * C, of D's type. With beta 0, C is not looked at.
struct LinearCombinationParams {
  MatrixParams c;
  float alpha, beta;
};

/// D (m, n) = epilogue(A (m, k) * B (k, n)). The kernel's D has contiguous rows wherever `d_by_tma` is set. Kernels of ops/gemm/fused
/// have parameters of their own behind these.
struct GemmParams {
  OperandMaps a_maps, b_maps;  ///< For TMA: A as (m, k, batch), B as (n, k, batch),
  TensorMap d_map;             ///< D as (m, n, batch).
  MatrixParams a, b, d;        ///< For element-wise access; b is the transposed factor, (n, k).
  std::int64_t m, n, k;        ///< Of the product: a gated D has n / 2 columns.
  TileGrid tiles;
  WorkSplit split;
  int* fixup_flags;  ///< Workspace, where tiles are cut: see device/fixup.cuh.
  float* fixup_slots;
  DType d_dtype;
  bool d_by_tma;
  bool c_by_vectors, d_by_vectors;  ///< Columns are contiguous, and rows begin at multiples of 16 bytes.
  LinearCombinationParams epilogue;
};

}  // namespace ckl
