#pragma once

// What the host hands to the kernel that adds up the partial sums of weight and bias gradients.

#include <cstdint>

#include "ckl/tensor.hpp"

namespace ckl {

/// One vector of sums over partitions.
struct NormSum {
  const float* partials;  ///< (partitions, columns), dense.
  void* y;                ///< (columns), `step` elements apart.
  std::int64_t step;
  DType dtype;  ///< f32, f16 or bf16.
};

constexpr int max_norm_sums = 2;

struct NormSumsParams {
  NormSum sums[max_norm_sums];
  std::int64_t partitions, columns;
  int warps_each;   ///< Warps that share the partitions of a column: a power of two.
  int blocks_each;  ///< Blocks that work on one sum.
};

/// A block's threads: a warp has neighbouring columns, which some warps share. Each of their threads takes some partitions at a time.
constexpr int norm_sums_columns = 32, norm_sums_warps = 16, norm_sums_batch = 8;

}  // namespace ckl
