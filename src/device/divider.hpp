#pragma once

// Division by a number that the host knows and the kernel does not.

#include <bit>
#include <cstdint>

#include "device/host_device.hpp"

namespace ckl {

/// Divides by `divisor` >= 1. For 32-bit dividends one multiplication and one shift do: with p = 31 + ceil(log2 d), the
/// quotient of 0 <= n < 2^31 is (n * ceil(2^p / d)) >> p (Granlund and Montgomery, 1994).
struct Divider {
  std::int64_t divisor;
  std::uint32_t multiplier, shift;

  /// On the host.
  static constexpr Divider of(std::int64_t divisor) {
    if (divisor <= 1 || divisor >= (std::int64_t(1) << 31)) return {divisor, 0, 0};
    unsigned log = std::bit_width(std::uint64_t(divisor - 1));
    std::uint64_t power = std::uint64_t(1) << (31 + log);
    return {divisor, std::uint32_t((power + divisor - 1) / divisor), 31 + log};
  }

  /// n / divisor for 0 <= n < 2^31; the divisor is below 2^31 too, or larger than n.
  CKL_HOST_DEVICE constexpr std::int32_t quotient(std::int32_t n) const {
    if (divisor <= 1) return n;
    return multiplier == 0 ? 0 : std::int32_t(multiplied(std::uint32_t(n)));
  }
  /// The same of a divisor from 2 on and below 2^31, without asking for it.
  CKL_HOST_DEVICE constexpr std::uint32_t multiplied(std::uint32_t n) const {
    return std::uint32_t(std::uint64_t(n) * multiplier >> shift);
  }
  /// n / divisor for n >= 0.
  CKL_HOST_DEVICE constexpr std::int64_t quotient(std::int64_t n) const { return n / divisor; }
};

}  // namespace ckl
