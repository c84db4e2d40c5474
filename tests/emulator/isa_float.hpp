#pragma once

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "isa_harness.hpp"

// Floating-point formats and roundings on the host, for the tests of instructions.
namespace isa_test {

enum class Rounding { nearest, zero, down, up };

/// "rn", "rz", "rm", "rp".
inline const char* name_of(Rounding rounding) {
  constexpr const char* names[] = {"rn", "rz", "rm", "rp"};
  return names[static_cast<int>(rounding)];
}

/// The host rounds that way while it lives. The file must be compiled with -frounding-math.
class HostRounding {
 public:
  explicit HostRounding(Rounding rounding) : before_(std::fegetround()) {
    constexpr int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    std::fesetround(modes[static_cast<int>(rounding)]);
  }
  ~HostRounding() { std::fesetround(before_); }
  HostRounding(const HostRounding&) = delete;
  HostRounding& operator=(const HostRounding&) = delete;

 private:
  int before_;
};

inline float f32(std::uint64_t raw) { return std::bit_cast<float>(static_cast<std::uint32_t>(raw)); }
inline double f64(std::uint64_t raw) { return std::bit_cast<double>(raw); }
inline std::uint64_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }
inline std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

/// A binary format with subnormals. Without infinities the all-ones pattern alone is NaN, as in e4m3.
struct Format {
  int exponent_bits, mantissa_bits;
  bool has_infinity = true;

  int width() const { return 1 + exponent_bits + mantissa_bits; }
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  std::uint64_t sign() const { return std::uint64_t{1} << (width() - 1); }
  std::uint64_t infinity() const { return ((std::uint64_t{1} << exponent_bits) - 1) << mantissa_bits; }
  std::uint64_t largest() const { return has_infinity ? infinity() - 1 : sign() - 2; }
  bool is_nan(std::uint64_t raw) const {
    const std::uint64_t magnitude = low(raw, width() - 1);
    return has_infinity ? magnitude > infinity() : magnitude == sign() - 1;
  }

  long double decode(std::uint64_t raw) const {
    const std::uint64_t magnitude = low(raw, width() - 1);
    const long double sign_of = raw & sign() ? -1 : 1;
    if (is_nan(raw)) return std::numeric_limits<long double>::quiet_NaN();
    if (has_infinity && magnitude == infinity()) return sign_of * std::numeric_limits<long double>::infinity();
    const int exponent = static_cast<int>(magnitude >> mantissa_bits);
    const std::uint64_t mantissa = low(magnitude, mantissa_bits);
    if (exponent == 0) return sign_of * std::ldexp(static_cast<long double>(mantissa), 1 - bias() - mantissa_bits);
    return sign_of * std::ldexp(static_cast<long double>(mantissa | std::uint64_t{1} << mantissa_bits),
                                exponent - bias() - mantissa_bits);
  }

  /// `value` rounded. What is too large becomes infinity, or with `finite` the largest number; NaN has all ones, no sign.
  std::uint64_t encode(long double value, Rounding rounding = Rounding::nearest, bool finite = false) const {
    if (std::isnan(value)) return sign() - 1;
    const bool negative = std::signbit(value);
    const std::uint64_t sign_of = negative ? sign() : 0;
    const long double magnitude = std::fabs(value);
    const bool away = rounding == (negative ? Rounding::down : Rounding::up);
    const std::uint64_t overflow =
        !has_infinity || finite || (rounding != Rounding::nearest && !away && !std::isinf(value)) ? largest()
                                                                                                  : infinity();
    if (std::isinf(value)) return sign_of | overflow;
    if (magnitude == 0) return sign_of;
    const int exponent = std::max(std::ilogb(magnitude), 1 - bias());
    const long double scaled = std::ldexp(magnitude, mantissa_bits - exponent);  // exact
    auto whole = static_cast<std::uint64_t>(scaled);
    const long double rest = scaled - static_cast<long double>(whole);
    if (rounding == Rounding::nearest ? rest > 0.5L || (rest == 0.5L && whole % 2 == 1) : away && rest > 0) ++whole;
    // A carry moves into the exponent by itself.
    const std::uint64_t result = (static_cast<std::uint64_t>(exponent + bias() - 1) << mantissa_bits) + whole;
    return sign_of | (result > largest() ? overflow : result);
  }
};

inline constexpr Format half{5, 10}, bfloat{8, 7}, e4m3{4, 3, false}, e5m2{5, 2}, single{8, 23}, double_format{11, 52};

/// a * b + c as if exact, to be rounded once to at most 62 bits: the last bit of the result is 1 if it is not exact.
inline long double odd_fma(long double a, long double b, long double c) {
  const HostRounding toward_zero(Rounding::zero);
  volatile long double product = a * b;  // exact for factors of up to 32 bits
  std::feclearexcept(FE_INEXACT);
  volatile long double sum = product + c;
  if (!std::fetestexcept(FE_INEXACT) || !std::isfinite(sum)) return sum;
  int exponent = 0;
  const auto mantissa = static_cast<std::uint64_t>(std::ldexp(std::frexp(std::fabs(sum), &exponent), 64)) | 1;
  return std::copysign(std::ldexp(static_cast<long double>(mantissa), exponent - 64), sum);
}

/// All NaNs are one.
inline auto same_nan(Format format) {
  return [=](std::uint64_t found, std::uint64_t expected) {
    return format.is_nan(found) && format.is_nan(expected) && low(found, format.width()) == found;
  };
}

/// Within `ulps` units in the last place, or within `absolute`.
inline auto close_f32(double ulps, double absolute = 0) {
  return [=](std::uint64_t found, std::uint64_t expected) {
    const float x = f32(found), y = f32(expected);
    if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
    if (std::isinf(x) || std::isinf(y)) return x == y;
    const double unit = std::max(std::ldexp(1.0, std::ilogb(y == 0 ? 0x1p-126f : y) - 23), 0x1p-149);
    return std::fabs(double{x} - double{y}) <= std::max(ulps * unit, absolute);
  };
}

/// Numbers at the edges of `format`, placed in all parts of a register; and random ones, half of them near 1.
inline std::vector<Inputs> float_inputs(Format format) {
  std::vector<std::uint64_t> edges;
  const int n = format.width();
  const auto one = format.encode(1);
  for (const std::uint64_t magnitude : {std::uint64_t{0},
                                        std::uint64_t{1},
                                        (std::uint64_t{1} << format.mantissa_bits) - 1,
                                        std::uint64_t{1} << format.mantissa_bits,
                                        format.encode(0.5),
                                        one - 1,
                                        one,
                                        one + 1,
                                        format.encode(1.5),
                                        format.encode(2),
                                        format.encode(2.5),
                                        format.encode(3),
                                        format.encode(127.5),
                                        format.encode(255.5),
                                        format.encode(32768.5L),
                                        format.encode(2147483648.L),
                                        format.encode(9223372036854775808.L),
                                        format.largest(),
                                        format.infinity(),
                                        format.sign() - 1})
    for (const bool negative : {false, true}) edges.push_back(magnitude | (negative ? format.sign() : 0));
  const auto repeated = [n](std::uint64_t value) {
    for (int at = n; at < 64; at *= 2) value |= value << at;
    return value;
  };
  for (std::uint64_t& edge : edges) edge = repeated(edge);
  return make_inputs(edges, [=](std::mt19937_64& random) {
    std::uint64_t value = 0;
    for (int at = 0; at < 64; at += n) {
      std::uint64_t part = low(random(), n);
      if (random() % 2) {  // within 2^-8 to 2^8, or a narrow format's range
        const auto spread = static_cast<std::uint64_t>(std::min(17, format.bias()));
        const std::uint64_t exponent = static_cast<std::uint64_t>(format.bias()) - spread / 2 + random() % spread;
        part = (part & (format.sign() | ((std::uint64_t{1} << format.mantissa_bits) - 1))) |
               exponent << format.mantissa_bits;
      }
      value |= part << at;
    }
    return value;
  });
}

}  // namespace isa_test
