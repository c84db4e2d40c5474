// The oracle's number formats, against arithmetic that shares nothing with them: the values of a format are
// counted up one unit at a time, and for f32 the compiler's own type is asked.

#include "reference/numeric.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace {

using ckl::DType;
using ckl::reference::decode;
using ckl::reference::encode;
using ckl::reference::FloatFormat;
using ckl::reference::format_of;
using ckl::reference::Numeric;
using ckl::reference::round_to;
using ckl::reference::ulp;

constexpr double infinity = std::numeric_limits<double>::infinity();

struct SixteenBits {
  DType dtype;
  double smallest;         ///< The smallest subnormal number.
  int units_in_an_octave;  ///< Numbers from one power of two to the next.
  int finite;              ///< Finite numbers that are zero or positive.
  double largest;
};

void PrintTo(const SixteenBits& format, std::ostream* out) { *out << name(format.dtype); }

class SixteenBitFormat : public testing::TestWithParam<SixteenBits> {
 protected:
  /// The non-negative finite values in the order of their bits: each a unit above the last, a unit that doubles with
  /// every octave but for the first two (subnormal numbers and the smallest normal ones share it).
  std::vector<double> counted() const {
    std::vector<double> values;
    double value = 0, unit = GetParam().smallest;
    for (int bits = 0; bits < GetParam().finite; ++bits) {
      values.push_back(value);
      if (bits >= 2 * GetParam().units_in_an_octave - 1 && (bits + 1) % GetParam().units_in_an_octave == 0) {
        value += unit;
        unit *= 2;
      } else {
        value += unit;
      }
    }
    return values;
  }
  FloatFormat format() const { return format_of(GetParam().dtype); }
};

INSTANTIATE_TEST_SUITE_P(Formats, SixteenBitFormat,
                         testing::Values(SixteenBits{DType::f16, 0x1p-24, 1024, 0x7c00, 65504},
                                         SixteenBits{DType::bf16, 0x1p-133, 128, 0x7f80, 0x1.fep127}),
                         [](const auto& parameter) { return std::string(name(parameter.param.dtype)); });

TEST_P(SixteenBitFormat, DecodesEveryPattern) {
  const std::vector<double> expected = counted();
  ASSERT_EQ(expected.back(), GetParam().largest);
  EXPECT_EQ(format().max(), GetParam().largest);
  for (std::uint32_t bits = 0; bits < 0x8000; ++bits) {
    const double positive = decode(format(), bits), negative = decode(format(), bits | 0x8000);
    ASSERT_TRUE(std::signbit(negative)) << bits;
    if (bits < expected.size()) {
      ASSERT_EQ(positive, expected[bits]) << bits;
      ASSERT_EQ(negative, -expected[bits]) << bits;
    } else if (bits == expected.size()) {
      ASSERT_EQ(positive, infinity);
      ASSERT_EQ(negative, -infinity);
    } else {
      ASSERT_TRUE(std::isnan(positive) && std::isnan(negative)) << bits;
    }
  }
}

TEST_P(SixteenBitFormat, EncodesEveryNumberAndRoundsEveryGapToNearestEven) {
  std::vector<double> values = counted();
  // The gap above the largest number ends where the next number would be; from its middle on it is infinity.
  const std::uint32_t last = std::uint32_t(values.size()) - 1;
  values.push_back(values[last] + (values[last] - values[last - 1]));
  for (std::uint32_t bits = 0; bits <= last; ++bits) {
    const double low = values[bits], middle = low + (values[bits + 1] - low) / 2;
    const std::uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(encode(format(), low), bits) << low;
    ASSERT_EQ(encode(format(), std::nextafter(low, infinity)), bits) << low;
    ASSERT_EQ(encode(format(), std::nextafter(middle, 0.0)), bits) << middle;
    ASSERT_EQ(encode(format(), middle), even) << middle;
    ASSERT_EQ(encode(format(), std::nextafter(middle, infinity)), bits + 1) << middle;
    ASSERT_EQ(encode(format(), -middle), even | 0x8000) << -middle;
    ASSERT_EQ(round_to(format(), middle), even > last ? infinity : values[even]) << middle;
  }
}

TEST_P(SixteenBitFormat, EncodesWhatIsNotFinite) {
  EXPECT_EQ(encode(format(), infinity), std::uint32_t(GetParam().finite));
  EXPECT_EQ(encode(format(), -infinity), std::uint32_t(GetParam().finite) | 0x8000);
  EXPECT_EQ(encode(format(), 1e300), std::uint32_t(GetParam().finite));
  EXPECT_TRUE(std::isnan(decode(format(), encode(format(), std::nan("")))));
  EXPECT_EQ(encode(format(), -0.0), 0x8000u);
  EXPECT_EQ(encode(format(), 1e-300), 0u);
}

TEST_P(SixteenBitFormat, UlpIsTheDistanceToTheNextNumber) {
  const std::vector<double> values = counted();
  for (std::size_t bits = 0; bits + 1 < values.size(); ++bits)
    ASSERT_EQ(ulp(format(), values[bits]), values[bits + 1] - values[bits]) << values[bits];
}

std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

TEST(Binary32, AgreesWithTheCompilersFloat) {
  const FloatFormat f32 = format_of(DType::f32);
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000000; ++i) {
    // Bits of float, then of a double of about float's range: its exponent is drawn from just beyond both ends.
    const std::uint32_t bits = std::uint32_t(random());
    float value;
    std::memcpy(&value, &bits, 4);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(decode(f32, bits)));
    } else {
      ASSERT_EQ(decode(f32, bits), double(value)) << bits;
      ASSERT_EQ(encode(f32, double(value)), bits);
    }
    const double wide = std::ldexp(1.0 + std::ldexp(double(random() >> 12), -52), int(random() % 284) - 154);
    ASSERT_EQ(encode(f32, wide), bits_of(float(wide))) << wide;
    const double halfway = double(std::abs(value)) + double(std::nextafter(std::abs(value), HUGE_VALF));
    if (std::isfinite(halfway)) {
      ASSERT_EQ(encode(f32, halfway / 2), bits_of(float(halfway / 2))) << halfway / 2;
    }
  }
}

TEST(Binary32, RoundsTheEndsOfItsRange) {
  const FloatFormat f32 = format_of(DType::f32);
  for (const double x : {0x1.fffffefp127, 0x1.ffffffp127, 0x1.fffffep127, 0x1p128, 0x1p-149, 0x1p-150, 0x1.8p-149,
                         0x1.000001p-150, 0x1.fffffep-127, 0x1.ffffffp-127, 0.0, -0.0, infinity, -infinity})
    EXPECT_EQ(encode(f32, x), bits_of(float(x))) << x;
}

TEST_P(SixteenBitFormat, ReadsEveryPattern) {
  const Numeric numeric(GetParam().dtype);
  std::vector<std::uint16_t> patterns(0x10000);
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    patterns[bits] = std::uint16_t(bits);
    const double value = numeric.read(patterns.data(), bits), expected = decode(format(), bits);
    ASSERT_EQ(std::isnan(value), std::isnan(expected)) << bits;
    if (std::isnan(expected)) continue;
    ASSERT_EQ(value, expected) << bits;
    ASSERT_EQ(std::signbit(value), std::signbit(expected)) << bits;
  }
}

TEST(Numeric, ReadsAndWritesTheElementAskedFor) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    SCOPED_TRACE(name(dtype));
    const Numeric numeric(dtype);
    std::vector<unsigned char> memory(8 * size_of(dtype), 0xee);
    numeric.write(memory.data(), 3, -1.5);
    EXPECT_EQ(numeric.read(memory.data(), 3), -1.5);
    for (std::size_t byte = 0; byte < memory.size(); ++byte)
      if (byte / size_of(dtype) != 3) {
        EXPECT_EQ(memory[byte], 0xee) << byte;
      }
    // Negative indices are as good: a view may run backwards.
    EXPECT_EQ(numeric.read(memory.data() + 7 * size_of(dtype), -4), -1.5);
  }
}

TEST(Numeric, RefusesTypesWithoutAFormat) {
  EXPECT_THROW(Numeric(DType::i8), std::invalid_argument);
  EXPECT_THROW(Numeric(DType::f64), std::invalid_argument);
}

}  // namespace
