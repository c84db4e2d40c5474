#pragma once

// Instructions for registers that hold two 16-bit elements, which CuTe and CUTLASS do not wrap: raw CUDA as in arch.cuh, beside it since
// only operators that read rows want it.

#include <cute/config.hpp>
#include <cute/tensor.hpp>
#include <cutlass/numeric_types.h>

#include "device/packed.cuh"
#include "device/tree.cuh"

namespace ckl::device {

/// The larger one of each half of x and y, 16-bit elements of type T; of a NaN and a number, the number (max.f16x2, max.bf16x2).
template <class T> CUTE_DEVICE uint32_t larger_halves(uint32_t x, uint32_t y) {
  uint32_t z;
  if constexpr (cute::is_same_v<T, cutlass::bfloat16_t>)
    asm("max.bf16x2 %0, %1, %2;" : "=r"(z) : "r"(x), "r"(y));
  else
    asm("max.f16x2 %0, %1, %2;" : "=r"(z) : "r"(x), "r"(y));
  return z;
}

/// The largest element of a dense register tensor, as many as a power of two; NaN if all are.
template <class Elements> CUTE_DEVICE float largest(Elements const& elements) {
  using T = typename Elements::value_type;
  constexpr int N = decltype(cute::size(elements))::value;
  if constexpr (sizeof(T) == 2 && N > 1) {
    cute::Tensor words = cute::recast<uint32_t const>(elements);          // (elements / 2)
    cute::Tensor halves = cute::make_tensor<T>(cute::Shape<cute::_2>{});  // (2)
    cute::recast<uint32_t>(halves)(0) =
        reduce_tree_of<N / 2>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return words(i); },
                              [](uint32_t x, uint32_t y) CUTLASS_LAMBDA_FUNC_INLINE { return larger_halves<T>(x, y); });
    return fmaxf(unpacked(halves, 0), unpacked(halves, 1));
  } else {
    return reduce_tree_of<N>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return unpacked(elements, i); },
                             [](float x, float y) CUTLASS_LAMBDA_FUNC_INLINE { return fmaxf(x, y); });
  }
}

}  // namespace ckl::device
