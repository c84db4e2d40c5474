#pragma once

/// @file
/// Conversion between the library's floating-point formats and double, by the definitions of the formats and
/// independent of the hardware's conversions. Rounding is to nearest, ties to even (it relies on the default
/// rounding mode of the process).

#include <algorithm>
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

  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  constexpr int min_exponent() const { return 1 - bias(); }  ///< Of the smallest normal number, as a power of 2.
  constexpr std::uint32_t exponent_mask() const { return (1u << exponent_bits) - 1; }
  constexpr std::uint32_t fraction_mask() const { return (1u << fraction_bits) - 1; }
  constexpr int sign_position() const { return exponent_bits + fraction_bits; }

  /// The largest finite number.
  double max() const { return std::ldexp(2.0 - std::ldexp(1.0, -fraction_bits), bias()); }
};

inline FloatFormat format_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return {8, 23};
    case DType::f16: return {5, 10};
    case DType::bf16: return {8, 7};
    default: throw std::invalid_argument(std::string("reference: no numeric format for ") + name(dtype));
  }
}

/// The value that the bits stand for, exactly.
inline double decode(FloatFormat format, std::uint32_t bits) {
  const bool negative = (bits >> format.sign_position()) & 1;
  const std::uint32_t exponent = (bits >> format.fraction_bits) & format.exponent_mask();
  const std::uint32_t fraction = bits & format.fraction_mask();
  double magnitude;
  if (exponent == format.exponent_mask()) {
    magnitude = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  } else if (exponent == 0) {  // subnormal: no implicit leading one
    magnitude = std::ldexp(double(fraction), format.min_exponent() - format.fraction_bits);
  } else {
    const double significand = double(fraction + (1u << format.fraction_bits));
    magnitude = std::ldexp(significand, int(exponent) - format.bias() - format.fraction_bits);
  }
  return negative ? -magnitude : magnitude;
}

/// Distance between neighbouring numbers of the format around `x` (finite): the unit in the last place.
inline double ulp(FloatFormat format, double x) {
  int exponent = format.min_exponent();
  if (x != 0) exponent = std::max(exponent, std::ilogb(x));
  return std::ldexp(1.0, exponent - format.fraction_bits);
}

/// The number of the format nearest to `x`; infinity where that would be beyond the largest finite one.
inline double round_to(FloatFormat format, double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  const double unit = ulp(format, x);
  const double rounded = std::nearbyint(x / unit) * unit;  // both exact but for the rounding asked for
  return std::abs(rounded) > format.max() ? std::copysign(std::numeric_limits<double>::infinity(), x) : rounded;
}

/// The bits of the number of the format nearest to `x`; every NaN becomes the quiet NaN without payload.
inline std::uint32_t encode(FloatFormat format, double x) {
  const std::uint32_t sign = std::uint32_t(std::signbit(x)) << format.sign_position();
  const std::uint32_t infinity = format.exponent_mask() << format.fraction_bits;
  if (std::isnan(x)) return sign | infinity | (1u << (format.fraction_bits - 1));
  const double magnitude = std::abs(round_to(format, x));
  if (std::isinf(magnitude)) return sign | infinity;
  // A subnormal counts units above zero; a normal number counts them above its power of two.
  const double units = magnitude / ulp(format, magnitude);
  const std::uint32_t significand = std::uint32_t(units);
  if (significand < (1u << format.fraction_bits)) return sign | significand;
  const std::uint32_t exponent = std::uint32_t(std::ilogb(magnitude) + format.bias());
  return sign | (exponent << format.fraction_bits) | (significand & format.fraction_mask());
}

/// Reads and writes elements of one type in host memory.
class Numeric {
 public:
  explicit Numeric(DType dtype) : format_(format_of(dtype)), bytes_(size_of(dtype)) {
    if (bytes_ == 2) values_ = table(dtype);
  }

  FloatFormat format() const { return format_; }

  /// Element `index` of the array at `base`.
  double read(const void* base, std::int64_t index) const {
    const char* address = static_cast<const char*>(base) + index * std::int64_t(bytes_);
    if (bytes_ == 2) {
      std::uint16_t bits;
      std::memcpy(&bits, address, 2);
      return values_[bits];
    }
    float value;  // the compiler's own type: decode() would only repeat it more slowly
    std::memcpy(&value, address, 4);
    return value;
  }

  /// Rounds `x` into element `index` of the array at `base`.
  void write(void* base, std::int64_t index, double x) const {
    char* address = static_cast<char*>(base) + index * std::int64_t(bytes_);
    if (bytes_ == 4 && !std::isnan(x)) {
      const float value = float(x);  // as above
      std::memcpy(address, &value, 4);
      return;
    }
    const std::uint32_t bits = encode(format_, x);
    std::memcpy(address, &bits, bytes_);  // little-endian, as every host of CUDA is
  }

 private:
  /// The values of all 16-bit patterns: millions of elements are read, and decoding each would be slow.
  static const double* table(DType dtype) {
    static const std::vector<double> f16 = decode_all(format_of(DType::f16));
    static const std::vector<double> bf16 = decode_all(format_of(DType::bf16));
    return dtype == DType::f16 ? f16.data() : bf16.data();
  }

  static std::vector<double> decode_all(FloatFormat format) {
    std::vector<double> values(1 << 16);
    for (std::uint32_t bits = 0; bits < values.size(); ++bits) values[bits] = decode(format, bits);
    return values;
  }

  FloatFormat format_;
  std::size_t bytes_;
  const double* values_ = nullptr;
};

}  // namespace ckl::reference
