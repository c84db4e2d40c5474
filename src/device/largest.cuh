#pragma once

// The largest element that a thread holds.

#include <cute/config.hpp>
#include <cute/tensor.hpp>
#include <cutlass/numeric_types.h>

#include "device/arch.cuh"
#include "device/packed.cuh"
#include "device/tree.cuh"

namespace ckl::device {

/// The largest element of a dense register tensor, as many as a power of two; NaN if all are.
template <class Elements> CUTE_DEVICE float largest(Elements const& elements) {
  using T = typename Elements::value_type;
  constexpr int N = decltype(cute::size(elements))::value;
  if constexpr (sizeof(T) == 2 && N > 1) {
    cute::Tensor words = cute::recast<uint32_t const>(elements);          // (elements / 2)
    cute::Tensor halves = cute::make_tensor<T>(cute::Shape<cute::_2>{});  // (2)
    cute::recast<uint32_t>(halves)(0) = reduce_tree_of<N / 2>(
        [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return words(i); },
        [](uint32_t x, uint32_t y) CUTLASS_LAMBDA_FUNC_INLINE {
          return cute::is_same_v<T, cutlass::bfloat16_t> ? larger_bf16x2(x, y) : larger_f16x2(x, y);
        });
    return fmaxf(unpacked(halves, 0), unpacked(halves, 1));
  } else {
    return reduce_tree_of<N>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return unpacked(elements, i); },
                             [](float x, float y) CUTLASS_LAMBDA_FUNC_INLINE { return fmaxf(x, y); });
  }
}

}  // namespace ckl::device
