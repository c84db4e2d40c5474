#pragma once

// Elements of 16 bits that share a register.

#include <cute/tensor.hpp>
#include <cutlass/numeric_types.h>
#include <cutlass/platform/platform.h>

namespace ckl::device {

/// Element `i` of a dense register tensor as a float: one instruction for bf16, whose halves the compiler would first take apart.
template <class Packed> CUTE_DEVICE float unpacked(Packed const& elements, int i) {
  if constexpr (cute::is_same_v<typename Packed::value_type, cutlass::bfloat16_t>) {
    cute::Tensor pairs = cute::recast<uint32_t const>(elements);  // (elements / 2)
    uint32_t bits = i % 2 ? pairs(i / 2) & 0xffff0000u : pairs(i / 2) << 16;
    return cutlass::platform::bit_cast<float>(bits);
  } else {
    return float(elements(i));
  }
}

}  // namespace ckl::device
