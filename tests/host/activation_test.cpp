// The activations of the fused epilogues against double precision, over all of f32 that matters: the same source that the
// kernels compile, but for the two approximations that are instructions there.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "device/activation.hpp"
#include "reference/numeric.hpp"
#include "reference/reference.hpp"

namespace ckl::test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

float activation(Activation which, float x) {
  float y = 0;
  with_activation(which, [&](auto f) { y = f(x); });
  return y;
}

/// Calls visit(x) for f32 numbers of both signs from 2^-40 to 2^7: every exponent, 4096 fractions each.
template <class Visit> void for_each_float(float low, const Visit& visit) {
  for (int exponent = -40; exponent < 7; ++exponent)
    for (int step = 0; step < 4096; ++step)
      for (const float sign : {1.0f, -1.0f}) {
        const float x = sign * std::ldexp(1.0f + float(step) / 4096, exponent);
        if (x >= low) visit(x);
      }
}

/// The largest relative error for arguments from `low` on.
double relative_error(Activation which, float low) {
  double worst = 0;
  for_each_float(low, [&](float x) {
    const double want = reference::activate(which, x);
    worst = std::max(worst, std::abs(activation(which, x) - want) / std::abs(want));
  });
  return worst;
}

// On the host, exp2 and 1 / x are right to half a unit; ex2.approx and rcp.approx are off by up to 2 and 1 units in the last place.
TEST(Activations, KeepTheErrorsTheyState) {
  constexpr double instructions = 0x1p-22 + 0x1p-23;
  EXPECT_LE(relative_error(Activation::sigmoid, -80) + instructions, 0x1p-17);
  EXPECT_LE(relative_error(Activation::silu, -80) + instructions, 0x1p-17);
  EXPECT_LE(relative_error(Activation::gelu_tanh, -10) + instructions, 0x1p-16);
  EXPECT_LE(relative_error(Activation::gelu, -12) + instructions, 0x1p-17);
  EXPECT_LE(relative_error(Activation::sigmoid, -8) + instructions, 0x1p-20);
  EXPECT_LE(relative_error(Activation::silu, -8) + instructions, 0x1p-20);
  EXPECT_LE(relative_error(Activation::gelu, -4) + instructions, 0x1p-19);
  EXPECT_LE(relative_error(Activation::gelu_tanh, -4) + instructions, 0x1p-19);
}

/// Half a unit in the last place of a 16-bit type, and what f32 loses before rounding: no result is further off than that.
TEST(Activations, RoundTo16BitsAsTheExactValueDoes) {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const auto format = reference::format_of(dtype);
    for (const Activation which : {Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu})
      for_each_float(-10, [&](float x) {
        const double want = reference::activate(which, x), got = reference::round_to(format, activation(which, x));
        ASSERT_LE(std::abs(got - want), 0.51 * reference::ulp(format, want)) << name(which) << "(" << x << ")";
      });
  }
}

TEST(Activations, TreatSpecialValuesAsTheirFormulasDo) {
  for (const Activation which : {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh,
                                 Activation::silu, Activation::sigmoid}) {
    SCOPED_TRACE(name(which));
    EXPECT_TRUE(std::isnan(activation(which, std::nanf(""))));
    for (const float x : {infinity, -infinity, 0.0f}) {
      const double want = reference::activate(which, x);
      const float got = activation(which, x);
      EXPECT_TRUE(std::isnan(want) ? std::isnan(got) : got == want) << x << ": " << got << ", not " << want;
    }
  }
}

}  // namespace
}  // namespace ckl::test
