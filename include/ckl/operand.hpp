#pragma once

#include <array>
#include <cstdint>

#include "ckl/tensor.hpp"

namespace ckl {

/// One operand of a problem over a common shape: how it lies in memory, not where.
struct TensorOperand {
  DType dtype = DType::f32;                      ///< Element type.
  std::array<std::int64_t, max_rank> strides{};  ///< Elements from one index of a dimension to the next; 0 broadcasts.
  int alignment = 16;  ///< Bytes, a power of two from 1 to 16, that the pointer is a multiple of.

  /// Whether all members are equal.
  friend bool operator==(const TensorOperand& x, const TensorOperand& y) noexcept {
    return x.dtype == y.dtype && x.strides == y.strides && x.alignment == y.alignment;
  }
};

}  // namespace ckl
