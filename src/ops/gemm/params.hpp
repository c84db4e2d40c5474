#pragma once

// What the host hands to a GEMM kernel: plain data, laid out alike by both compilers.

#include <cstdint>

#include "ckl/gemm.hpp"
#include "device/tensor_map.hpp"
#include "device/tile_grid.hpp"
#include "device/work_split.hpp"

namespace ckl {

/// A matrix in global memory. `row` and `column` are strides in elements; the batch is outermost.
struct MatrixParams {
  void* data;
  std::int64_t row, column, batch;
};

/// A matrix of the epilogue, of a type that is known at run time; without data there is none.
struct EpilogueMatrix {
  MatrixParams at;
  DType dtype;
  bool by_vectors;  ///< Columns are contiguous, and rows begin at multiples of 16 bytes.
};

/// A vector of the epilogue; without data there is none.
struct EpilogueVector {
  const void* data;
  std::int64_t stride;  ///< Elements.
  DType dtype;
};

/// GemmEpilogue with pointers, its rows and columns being those of the kernel's D.
struct EpilogueParams {
  float alpha, beta;
  bool fused;  ///< Whether there is more than alpha.
  bool gated;
  Activation activation;
  EpilogueVector row_scale, column_scale, d_scale, row_bias, column_bias;
  EpilogueMatrix c, residual, aux, d;
};

/// D = epilogue(A (m, k) * B (k, n)). The kernel's D has contiguous rows wherever `d_by_tma` is set.
struct GemmParams {
  TensorMap a_map, b_map, d_map;  ///< For TMA: A as (m, k, batch), B as (n, k, batch), D as (m, n, batch).
  MatrixParams a, b, d;           ///< For element-wise access; b is the transposed factor, (n, k).
  std::int64_t m, n, k;           ///< Of the product: a gated D has n / 2 columns.
  TileGrid tiles;
  WorkSplit split;
  int* fixup_flags;  ///< Workspace, where tiles are cut: see device/fixup.cuh.
  float* fixup_slots;
  DType d_dtype;
  bool d_by_tma;
  EpilogueParams epilogue;
};

/// The most that a functor from outside of the library may add, in bytes.
constexpr int max_user_params = 256;

/// The parameter of a kernel with a functor from outside of the library.
template <class User> struct GemmParamsWith {
  GemmParams gemm;
  User user;
};

}  // namespace ckl
