#pragma once

/// @file
/// Conversion between the library's floating-point formats and double, by the definitions of the formats and
/// independent of the hardware's conversions. Rounding is to nearest, ties to even (it relies on the default
/// rounding mode of the process).

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "ckl/tensor.hpp"

namespace ckl::reference {

/// A binary floating-point format of IEEE 754's structure: sign, exponent, fraction.
struct FloatFormat {
  int exponent_bits;
  int fraction_bits;
  bool infinities = true;  ///< False: the largest exponent is one of numbers, but for the fraction of all ones, NaN.
  bool saturates = false;  ///< What is beyond the largest number, infinity included, is rounded to it.

  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  constexpr int min_exponent() const { return 1 - bias(); }  ///< Of the smallest normal number, as a power of 2.
  constexpr std::uint32_t exponent_mask() const { return (1u << exponent_bits) - 1; }
  constexpr std::uint32_t fraction_mask() const { return (1u << fraction_bits) - 1; }
  constexpr int sign_position() const { return exponent_bits + fraction_bits; }

  /// The largest finite number.
  double max() const {
    return infinities ? std::ldexp(2.0 - std::ldexp(1.0, -fraction_bits), bias())
                      : std::ldexp(2.0 - std::ldexp(2.0, -fraction_bits), bias() + 1);
  }
};

inline FloatFormat format_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return {8, 23};
    case DType::f16: return {5, 10};
    case DType::bf16: return {8, 7};
    case DType::e4m3: return {4, 3, false, true};
    case DType::e5m2: return {5, 2, true, true};
    default: throw std::invalid_argument(std::string("reference: no numeric format for ") + name(dtype));
  }
}

/// The value that the bits stand for, exactly.
inline double decode(FloatFormat format, std::uint32_t bits) {
  const bool negative = (bits >> format.sign_position()) & 1;
  const std::uint32_t exponent = (bits >> format.fraction_bits) & format.exponent_mask();
  const std::uint32_t fraction = bits & format.fraction_mask();
  double magnitude;
  if (!format.infinities && exponent == format.exponent_mask() && fraction == format.fraction_mask()) {
    magnitude = std::numeric_limits<double>::quiet_NaN();
  } else if (format.infinities && exponent == format.exponent_mask()) {
    magnitude = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  } else if (exponent == 0) {  // subnormal: no implicit leading one
    magnitude = std::ldexp(double(fraction), format.min_exponent() - format.fraction_bits);
  } else {
    const double significand = double(fraction + (1u << format.fraction_bits));
    magnitude = std::ldexp(significand, int(exponent) - format.bias() - format.fraction_bits);
  }
  return negative ? -magnitude : magnitude;
}

/// Distance between neighbouring numbers of the format around `x` (finite): the unit in the last place. By the bits of the double,
/// since comparisons ask for it several times an element: std::ilogb and std::ldexp would be most of what they do.
inline double ulp(FloatFormat format, double x) {
  constexpr int bias = 1023, fraction_bits = 52;
  const int exponent = int(std::bit_cast<std::uint64_t>(x) >> fraction_bits & 0x7ff) - bias;  // of 0: below all formats
  const int unit = std::max(exponent, format.min_exponent()) - format.fraction_bits;
  return std::bit_cast<double>(std::uint64_t(unit + bias) << fraction_bits);
}

/// The number of the format nearest to `x`; infinity where that would be beyond the largest finite one, or that one if it saturates.
inline double round_to(FloatFormat format, double x) {
  const double beyond = format.saturates ? format.max() : std::numeric_limits<double>::infinity();
  if (std::isinf(x)) return std::copysign(beyond, x);
  if (x == 0 || std::isnan(x)) return x;
  const double unit = ulp(format, x);
  const double rounded = std::nearbyint(x / unit) * unit;  // both exact but for the rounding asked for
  return std::abs(rounded) > format.max() ? std::copysign(beyond, x) : rounded;
}

/// The bits of the number of the format nearest to `x`; every NaN becomes the quiet NaN without payload.
inline std::uint32_t encode(FloatFormat format, double x) {
  const std::uint32_t sign = std::uint32_t(std::signbit(x)) << format.sign_position();
  const std::uint32_t infinity = format.exponent_mask() << format.fraction_bits;
  if (std::isnan(x))
    return sign | infinity | (format.infinities ? 1u << (format.fraction_bits - 1) : format.fraction_mask());
  const double magnitude = std::abs(round_to(format, x));
  if (std::isinf(magnitude)) return sign | infinity;
  // A subnormal counts units above zero; a normal number counts them above its power of two.
  const double units = magnitude / ulp(format, magnitude);
  const std::uint32_t significand = std::uint32_t(units);
  if (significand < (1u << format.fraction_bits)) return sign | significand;
  const std::uint32_t exponent = std::uint32_t(std::ilogb(magnitude) + format.bias());
  return sign | (exponent << format.fraction_bits) | (significand & format.fraction_mask());
}

constexpr bool is_integer(DType dtype) { return dtype == DType::i64 || dtype == DType::i32 || dtype == DType::b8; }

/// `x` truncated to an integer; the nearest one of the type where it is beyond them, 0 for NaN.
template <class Integer> Integer to_integer(double x) {
  constexpr double limit = double(std::uint64_t(1) << (8 * sizeof(Integer) - 1));
  if (std::isnan(x)) return 0;
  if (x >= limit) return std::numeric_limits<Integer>::max();
  return x < -limit ? std::numeric_limits<Integer>::min() : Integer(x);
}

/// Element `index` of the array at `base`, of one of the types of is_integer().
inline std::int64_t read_integer(DType dtype, const void* base, std::int64_t index) {
  const char* address = static_cast<const char*>(base) + index * std::int64_t(size_of(dtype));
  if (dtype == DType::b8) return *address != 0;
  std::int64_t wide;
  std::int32_t narrow;
  if (dtype == DType::i64) return std::memcpy(&wide, address, sizeof(wide)), wide;
  return std::memcpy(&narrow, address, sizeof(narrow)), narrow;
}

/// `x` in an element of an integer type: its low bits, or whether it is not 0.
constexpr std::int64_t convert_integer(DType dtype, std::int64_t x) {
  return dtype == DType::b8 ? x != 0 : dtype == DType::i32 ? std::int32_t(x) : x;
}

/// Reads and writes elements of one type in host memory, as double: an i64 beyond 2^53 is rounded, read_integer() gives it exactly.
class Numeric {
 public:
  explicit Numeric(DType dtype) : dtype_(dtype), bytes_(size_of(dtype)) {
    if (is_float()) format_ = format_of(dtype);
    if (is_float() && bytes_ <= 2 && dtype != DType::bf16) values_ = table(dtype);
  }

  FloatFormat format() const { return format_; }
  bool is_float() const { return !is_integer(dtype_); }
  bool is_boolean() const { return dtype_ == DType::b8; }

  /// The value of the type that `x` converts to.
  double round(double x) const {
    if (is_float()) return round_to(format_, x);
    if (dtype_ == DType::b8) return x != 0;
    return dtype_ == DType::i32 ? double(to_integer<std::int32_t>(x)) : double(to_integer<std::int64_t>(x));
  }

  /// Element `index` of the array at `base`.
  double read(const void* base, std::int64_t index) const {
    const char* address = static_cast<const char*>(base) + index * std::int64_t(bytes_);
    if (values_) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, address, bytes_);
      return values_[bits];
    }
    if (!is_float()) return double(read_integer(dtype_, base, index));
    std::uint32_t bits = 0;  // of f32, the compiler's own type: decode() would only repeat it more slowly
    if (dtype_ == DType::bf16)
      std::memcpy(reinterpret_cast<char*>(&bits) + 2, address, 2);  // its upper half, little-endian
    else
      std::memcpy(&bits, address, 4);
    return std::bit_cast<float>(bits);
  }

  /// Converts `x` into element `index` of the array at `base`.
  void write(void* base, std::int64_t index, double x) const {
    char* address = static_cast<char*>(base) + index * std::int64_t(bytes_);
    std::uint64_t bits = 0;  // little-endian, as every host of CUDA is
    if (!is_float()) {
      bits = dtype_ == DType::b8 ? x != 0 : std::uint64_t(to_integer<std::int64_t>(round(x)));
    } else if (bytes_ == 4 && !std::isnan(x)) {
      const float value = float(x);  // as above
      std::memcpy(&bits, &value, 4);
    } else {
      bits = encode(format_, x);
    }
    std::memcpy(address, &bits, bytes_);
  }

 private:
  /// The values of all patterns of 8 or 16 bits: millions of elements are read, and decoding each would be slow.
  static const double* table(DType dtype) {
    static const std::vector<double> f16 = decode_all(DType::f16), e4m3 = decode_all(DType::e4m3),
                                     e5m2 = decode_all(DType::e5m2);
    return (dtype == DType::f16 ? f16 : dtype == DType::e4m3 ? e4m3 : e5m2).data();
  }

  static std::vector<double> decode_all(DType dtype) {
    std::vector<double> values(std::size_t(1) << 8 * size_of(dtype));
    for (std::uint32_t bits = 0; bits < values.size(); ++bits) values[bits] = decode(format_of(dtype), bits);
    return values;
  }

  DType dtype_;
  std::size_t bytes_;
  FloatFormat format_{};
  const double* values_ = nullptr;
};

}  // namespace ckl::reference
