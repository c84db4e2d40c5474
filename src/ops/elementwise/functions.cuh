#pragma once

// What the library's elementwise operations compute, on f32 and, where that has a meaning, on 64-bit integers.

#include <cute/tensor.hpp>
#include <cutlass/functional.h>

#include "ckl/elementwise.hpp"
#include "device/activation.cuh"
#include "device/arch.cuh"
#include "device/elementwise_config.hpp"
#include "device/elementwise_params.hpp"
#include "device/numeric.cuh"

namespace ckl::device {

CUTE_DEVICE float sum(float x, float y) { return x + y; }
CUTE_DEVICE float difference(float x, float y) { return x - y; }
CUTE_DEVICE float product(float x, float y) { return x * y; }
CUTE_DEVICE float multiply_add(float x, float y, float z) { return fmaf(x, y, z); }

// Integers wrap, which only unsigned ones may in C++.
CUTE_DEVICE int64_t sum(int64_t x, int64_t y) { return int64_t(uint64_t(x) + uint64_t(y)); }
CUTE_DEVICE int64_t difference(int64_t x, int64_t y) { return int64_t(uint64_t(x) - uint64_t(y)); }
CUTE_DEVICE int64_t product(int64_t x, int64_t y) { return int64_t(uint64_t(x) * uint64_t(y)); }
CUTE_DEVICE int64_t multiply_add(int64_t x, int64_t y, int64_t z) { return sum(product(x, y), z); }

CUTE_DEVICE float negative(float x) { return -x; }
CUTE_DEVICE int64_t negative(int64_t x) { return difference(0, x); }
CUTE_DEVICE float magnitude(float x) { return fabsf(x); }
CUTE_DEVICE int64_t magnitude(int64_t x) { return x < 0 ? negative(x) : x; }

/// 1 / (1 + exp(-x)), given e = exp(-|x|), which does not overflow: so the smallest results are not lost.
CUTE_DEVICE float sigmoid_from(float e, float x) {
  float share = reciprocal_approx(1.0f + e);
  return x < 0.0f ? e * share : share;
}
/// The logistic function, to within 4 units in the last place.
CUTE_DEVICE float logistic(float x) { return sigmoid_from(expf(-fabsf(x)), x); }
/// The logistic function, to within 2^-21: what gates another number.
CUTE_DEVICE float gate(float x) { return sigmoid_from(exponential(-fabsf(x)), x); }

/// tanh(x), to within 4 units in the last place (3.4, of every f32 on an H200), without a branch. Near 0 by the odd polynomial whose relative
/// error there, 2^-23, is the least.
CUTE_DEVICE float hyperbolic_tangent(float x) {
  constexpr float two_log2_e = 2.88539008f;
  float far = fmaf(-2.0f, reciprocal_approx(1.0f + exp2_approx(two_log2_e * fabsf(x))), 1.0f);
  float square = x * x;
  float p = -0.04779422101f;
  p = fmaf(p, square, 0.1327762904f);
  p = fmaf(p, square, -0.3333188226f);
  float near = fmaf(x * square, p, x);
  return fabsf(x) < 0.4f ? near : copysignf(far, x);
}

/// x Phi(x), Phi the normal distribution, to within 2^-22 |x| (every f32 was tried on an H200), as x/2 + |x| (1/2 - Phi(-|x|)), where
/// Phi(-t) = 2^P(t), P the polynomial with the least error of Phi up to 5.5, 2^-23.1. It goes on to fall until 8, where Phi is 2^-51.
/// ElementwiseProblem promises 2^-21 |x|; ckl::gelu of the fused epilogues keeps relative accuracy far out as well, for more instructions.
CUTE_DEVICE float gaussian_error_linear_unit(float x) {
  float t = fminf(fabsf(x), 8.0f);
  float p = 1.917659683e-05f;
  p = fmaf(p, t, -0.0006586173549f);
  p = fmaf(p, t, 0.007754439954f);
  p = fmaf(p, t, -0.05296542693f);
  p = fmaf(p, t, -0.4590602363f);
  p = fmaf(p, t, -1.151122056f);
  p = fmaf(p, t, -0.9999996934f);
  return fmaf(0.5f, x, fabsf(x) * (0.5f - exp2_approx(p)));
}

/// The functor of operation Op.
template <ElementwiseOp Op> struct ElementwiseFunction {
  template <class C, int Inputs, int Scalars, int Outputs>
  CUTE_DEVICE void operator()(C const (&x)[Inputs], C const (&s)[Scalars], C (&y)[Outputs]) const {
    using enum ElementwiseOp;
    // On any type.
    if constexpr (Op == cast) y[0] = x[0];
    if constexpr (Op == fill) y[0] = s[0];
    if constexpr (Op == neg) y[0] = negative(x[0]);
    if constexpr (Op == abs) y[0] = magnitude(x[0]);
    if constexpr (Op == relu) y[0] = x[0] < C(0) ? C(0) : x[0];
    if constexpr (Op == clamp) {
      C bounded = x[0] > s[1] ? s[1] : x[0];
      y[0] = x[0] < s[0] ? s[0] : bounded;
    }
    if constexpr (Op == add) y[0] = sum(x[0], x[1]);
    if constexpr (Op == sub) y[0] = difference(x[0], x[1]);
    if constexpr (Op == mul) y[0] = product(x[0], x[1]);
    if constexpr (Op == min) y[0] = x[0] < x[1] || x[0] != x[0] ? x[0] : x[1];
    if constexpr (Op == max) y[0] = x[0] > x[1] || x[0] != x[0] ? x[0] : x[1];
    if constexpr (Op == fma) y[0] = multiply_add(x[0], x[1], x[2]);
    if constexpr (Op == where) y[0] = x[0] != C(0) ? x[1] : x[2];
    // On f32.
    if constexpr (Op == scale) y[0] = s[0] * x[0];
    if constexpr (Op == exp) y[0] = expf(x[0]);
    if constexpr (Op == log) y[0] = logf(x[0]);
    if constexpr (Op == sqrt) y[0] = sqrtf(x[0]);
    if constexpr (Op == rsqrt) y[0] = rsqrtf(x[0]);
    if constexpr (Op == tanh) y[0] = hyperbolic_tangent(x[0]);
    if constexpr (Op == sigmoid) y[0] = logistic(x[0]);
    if constexpr (Op == gelu) y[0] = gaussian_error_linear_unit(x[0]);
    if constexpr (Op == gelu_tanh) y[0] = ckl::gelu_tanh(x[0]);
    if constexpr (Op == silu) y[0] = ckl::silu(x[0]);
    if constexpr (Op == div) y[0] = x[0] / x[1];
    if constexpr (Op == swiglu) y[0] = x[0] * gate(x[0]) * x[1];
    if constexpr (Op == swiglu_backward) {
      C g = gate(x[1]);
      y[0] = x[0] * x[2] * g * (1.0f + x[1] * (1.0f - g));
      y[1] = x[0] * x[1] * g;
    }
    if constexpr (Op == rotate) {
      y[0] = x[0] * x[2] - x[1] * x[3];
      y[1] = x[0] * x[3] + x[1] * x[2];
    }
  }
};

/// The operations that the kernels of a config compute.
struct ElementwiseOps {
  int count;
  ElementwiseOp ops[elementwise_op_count];
};

/// Each op belongs to the kernels with the fewest inputs that suffice.
constexpr ElementwiseOps served_ops(ElementwiseConfig config) {
  ElementwiseOps served{};
  for (int i = 0; i < elementwise_op_count; ++i) {
    ElementwiseOpInfo info = describe(ElementwiseOp(i));
    if (config.inputs == elementwise_group(info.inputs, info.outputs) &&
        (config.compute == Compute::f32 || info.integers))
      served.ops[served.count++] = ElementwiseOp(i);
  }
  return served;
}

/// The engine's table of the library's operations.
struct ElementwiseFunctions {
  /// Finds the function by halving the list of those that it may be.
  template <ElementwiseConfig Config, int Begin = 0, int End = served_ops(Config).count, class Body>
  CUTE_DEVICE static void with_function(ElementwiseParams const& p, Body&& body) {
    if constexpr (End - Begin == 1) {
      body(ElementwiseFunction<served_ops(Config).ops[Begin]>{});
    } else {
      constexpr int middle = (Begin + End) / 2;
      if (p.function < int(served_ops(Config).ops[middle]))
        with_function<Config, Begin, middle>(p, body);
      else
        with_function<Config, middle, End>(p, body);
    }
  }
};

}  // namespace ckl::device
