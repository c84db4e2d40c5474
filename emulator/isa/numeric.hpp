#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// Numbers of any format, taken apart: conversions between all of them with one rounding. Integers only, so that the host's
// rounding mode does not matter.
namespace emu::isa {

enum class Rounding : std::uint8_t { nearest, zero, down, up, nearest_away };

/// A binary floating-point format with subnormals. Without infinities, as in e4m3, only the pattern of all ones is NaN.
struct FloatFormat {
  int exponent_bits, mantissa_bits;
  bool has_infinity = true;

  constexpr int width() const { return 1 + exponent_bits + mantissa_bits; }
  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  constexpr std::uint64_t sign() const { return std::uint64_t{1} << (width() - 1); }
  constexpr std::uint64_t infinity() const { return ((std::uint64_t{1} << exponent_bits) - 1) << mantissa_bits; }
  constexpr std::uint64_t largest() const { return has_infinity ? infinity() - 1 : sign() - 2; }
  /// What NVIDIA's hardware gives for every NaN.
  constexpr std::uint64_t nan() const { return sign() - 1; }
};

inline constexpr FloatFormat format_f16{5, 10}, format_bf16{8, 7}, format_f32{8, 23}, format_f64{11, 52},
    format_e4m3{4, 3, false}, format_e5m2{5, 2};

/// mantissa * 2^exponent, with the mantissa's top bit set unless the number is 0; a little more if `inexact`.
struct Number {
  enum class Kind : std::uint8_t { finite, infinite, nan };
  Kind kind = Kind::finite;
  bool negative = false;
  bool inexact = false;
  int exponent = 0;
  std::uint64_t mantissa = 0;

  static Number of(std::uint64_t magnitude, bool negative);
  static Number of(std::int64_t value) {
    return of(value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value), value < 0);
  }
};

/// What the bits of `raw` say in the format.
Number decode(std::uint64_t raw, FloatFormat format);
/// The bits of `number`, rounded once. What is too large becomes infinity, or with `finite` the largest number. With `flush`
/// what is subnormal before it is rounded becomes 0.
std::uint64_t encode(const Number& number, FloatFormat format, Rounding rounding = Rounding::nearest,
                     bool finite = false, bool flush = false);
/// The integer of `bits` bits, cut to its range. NaN has no say: the caller decides.
std::uint64_t to_integer(const Number& number, Rounding rounding, int bits, bool is_signed);
/// A whole number in the same format.
Number to_whole(const Number& number, Rounding rounding);

// ---- Arithmetic whose result is to be rounded once to a narrower format ----

/// `value` if it is exact, else the neighbor of it that is odd, on the side of the exact result: `error` has the sign of exact - value.
inline double to_odd(double value, double error) {
  if (!(error < 0 || error > 0) || !std::isfinite(value) || (std::bit_cast<std::uint64_t>(value) & 1)) return value;
  return std::nextafter(value, error > 0 ? HUGE_VAL : -HUGE_VAL);
}
/// a + b, and a * b + c for factors of up to 26 bits each; a / b and the root for factors of f32 and less.
double odd_sum(double a, double b);
double odd_fma(double a, double b, double c);
double odd_quotient(double a, double b);
double odd_root(double a);

}  // namespace emu::isa
