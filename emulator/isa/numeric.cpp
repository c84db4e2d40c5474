#include "isa/numeric.hpp"

#include <algorithm>

namespace emu::isa {

Number Number::of(std::uint64_t magnitude, bool negative) {
  Number number;
  number.negative = negative;
  if (magnitude == 0) return number;
  const int shift = std::countl_zero(magnitude);
  number.mantissa = magnitude << shift;
  number.exponent = -shift;
  return number;
}

Number decode(std::uint64_t raw, FloatFormat format) {
  const bool negative = raw & format.sign();
  const std::uint64_t magnitude = raw & (format.sign() - 1);
  Number number;
  number.negative = negative;
  if (format.has_infinity ? magnitude > format.infinity() : magnitude == format.nan()) {
    number.kind = Number::Kind::nan;
    return number;
  }
  if (format.has_infinity && magnitude == format.infinity()) {
    number.kind = Number::Kind::infinite;
    return number;
  }
  const auto exponent = static_cast<int>(magnitude >> format.mantissa_bits);
  std::uint64_t mantissa = magnitude & ((std::uint64_t{1} << format.mantissa_bits) - 1);
  if (exponent) mantissa |= std::uint64_t{1} << format.mantissa_bits;
  number = Number::of(mantissa, negative);
  if (number.mantissa) number.exponent += std::max(exponent, 1) - format.bias() - format.mantissa_bits;
  return number;
}

namespace {

/// The top 64 - `cut` bits of the mantissa, rounded; `cut` from 0 to 65 and more.
std::uint64_t rounded(const Number& number, int cut, Rounding rounding) {
  std::uint64_t kept = cut >= 64 ? 0 : number.mantissa >> cut;
  // What is cut off, in halves of the last bit kept: 0, less than 1, 1, more.
  const std::uint64_t half = cut == 0 || cut > 64 ? 0 : std::uint64_t{1} << (cut - 1);
  const std::uint64_t rest = cut == 0 ? 0 : cut >= 64 ? number.mantissa : number.mantissa & (half * 2 - 1);
  const bool any = rest != 0 || number.inexact;
  bool up = false;
  switch (rounding) {
    case Rounding::nearest: up = half && (rest > half || (rest == half && (number.inexact || (kept & 1)))); break;
    case Rounding::nearest_away: up = half && rest >= half; break;
    case Rounding::zero: break;
    case Rounding::down: up = any && number.negative; break;
    case Rounding::up: up = any && !number.negative; break;
  }
  return kept + up;
}

}  // namespace

std::uint64_t encode(const Number& number, FloatFormat format, Rounding rounding, bool finite, bool flush) {
  if (number.kind == Number::Kind::nan) return format.nan();
  const std::uint64_t sign = number.negative ? format.sign() : 0;
  const bool to_largest = rounding == Rounding::zero || rounding == (number.negative ? Rounding::up : Rounding::down);
  const std::uint64_t overflow = !format.has_infinity || finite                         ? format.largest()
                                 : number.kind == Number::Kind::infinite || !to_largest ? format.infinity()
                                                                                        : format.largest();
  if (number.kind == Number::Kind::infinite) return sign | overflow;
  if (number.mantissa == 0) return sign;
  const int power = number.exponent + 63;  // of the top bit
  if (flush && power < 1 - format.bias()) return sign;
  const int exponent = std::max(power, 1 - format.bias());
  const int cut = 63 - format.mantissa_bits + (exponent - power);
  // The top bit counts as one step of the exponent, and a carry moves into it by itself.
  const std::uint64_t result = (static_cast<std::uint64_t>(exponent + format.bias() - 1) << format.mantissa_bits) +
                               rounded(number, cut, rounding);
  return sign | (result > format.largest() ? overflow : result);
}

std::uint64_t to_integer(const Number& number, Rounding rounding, int bits, bool is_signed) {
  const std::uint64_t mask = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  const std::uint64_t largest = is_signed ? mask >> 1 : mask, smallest = is_signed ? largest + 1 : 0;
  const std::uint64_t limit = number.negative ? smallest : largest;
  std::uint64_t magnitude = 0;
  if (number.kind == Number::Kind::infinite || number.exponent > 0) {
    magnitude = number.mantissa || number.kind == Number::Kind::infinite ? ~std::uint64_t{0} : 0;
    if (magnitude) return number.negative ? (0 - limit) & mask : limit;
  } else if (number.mantissa) {
    magnitude = rounded(number, -number.exponent, rounding);
  }
  magnitude = std::min(magnitude, limit);
  return (number.negative ? 0 - magnitude : magnitude) & mask;
}

Number to_whole(const Number& number, Rounding rounding) {
  if (number.kind != Number::Kind::finite || number.mantissa == 0 || number.exponent >= 0) return number;
  Number whole = Number::of(rounded(number, -number.exponent, rounding), number.negative);
  return whole;
}

double odd_sum(double a, double b) {
  const double sum = a + b, b_part = sum - a;
  return to_odd(sum, (a - (sum - b_part)) + (b - b_part));
}

double odd_fma(double a, double b, double c) { return odd_sum(a * b, c); }

double odd_quotient(double a, double b) {
  const double quotient = a / b;
  const double rest = std::fma(-quotient, b, a);
  return to_odd(quotient, std::signbit(b) ? -rest : rest);
}

double odd_root(double a) {
  const double root = std::sqrt(a);
  return to_odd(root, std::fma(-root, root, a));
}

}  // namespace emu::isa
