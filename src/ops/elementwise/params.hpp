#pragma once

// What the host hands to an elementwise kernel: plain data, laid out alike by both compilers.

#include <array>
#include <cstdint>

#include "ckl/tensor.hpp"
#include "device/divider.hpp"

namespace ckl {

constexpr int max_elementwise_inputs = 2;

/// The operands in a common shape, outermost dimension first; dimension max_rank - 1 is the innermost one, and unused outer
/// dimensions have size 1. Strides in elements.
struct ElementwiseParams {
  const void* in[max_elementwise_inputs];
  void* out;
  std::int64_t in_strides[max_elementwise_inputs][max_rank];
  std::int64_t out_strides[max_rank];
  std::int64_t row;      ///< Elements of the innermost dimension.
  std::int64_t vectors;  ///< Vectors in all: those of a row, ceil(row / vector), times the rows.
  Divider row_vectors;   ///< Vectors of a row.
  Divider sizes[max_rank - 1];
  float scalar;
};

}  // namespace ckl
