#pragma once

// Instructions for functions that CuTe and CUTLASS do not wrap: raw CUDA, as in arch.cuh, for the few kernels that want them.

#include <cute/config.hpp>

namespace ckl::device {

/// 2^x to within 2 units in the last place; results below 2^-126 become 0 (ex2.approx.ftz).
CUTE_HOST_DEVICE float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Four of the eight bytes of x and y, those that the digits of `selector` name from the lowest on: 0 to 3 of x, 4 to 7 of y.
CUTE_DEVICE uint32_t permute_bytes(uint32_t x, uint32_t y, uint32_t selector) { return __byte_perm(x, y, selector); }

}  // namespace ckl::device
