#pragma once

// f32 as f64 by integer operations: an SM begins 64 of them a clock, but 16 conversions.

#include <cute/config.hpp>
#include <cute/container/array.hpp>
#include <cutlass/platform/platform.h>

namespace ckl::device {

/// What widened(x) is to be multiplied by to be x.
inline constexpr double widened_unit = 0x1p896;

/// x / widened_unit, exactly, of a finite x: its exponent and its digits move to where f64 has them. Denormal numbers stay so. Infinities and NaNs
/// become finite.
CUTE_DEVICE double widened(float x) {
  int32_t bits = cutlass::platform::bit_cast<int32_t>(x);
  cute::array<uint32_t, 2> words{{uint32_t(bits) << 29, uint32_t(bits >> 3) & 0x8fffffff}};  // the lower one first
  return cutlass::platform::bit_cast<double>(words);
}

}  // namespace ckl::device
