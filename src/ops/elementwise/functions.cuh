#pragma once

// What the library's elementwise operations compute, on f32 and, where that has a meaning, on 64-bit integers.

#include <cute/tensor.hpp>
#include <cutlass/functional.h>

#include "ckl/elementwise.hpp"
#include "device/elementwise_config.hpp"

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

CUTE_DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

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
    if constexpr (Op == clamp) y[0] = x[0] < s[0] ? s[0] : x[0] > s[1] ? s[1] : x[0];
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
    if constexpr (Op == tanh) y[0] = tanhf(x[0]);
    if constexpr (Op == sigmoid) y[0] = device::sigmoid(x[0]);
    if constexpr (Op == gelu) y[0] = 0.5f * x[0] * erfcf(-0.70710678f * x[0]);
    if constexpr (Op == gelu_tanh)  // (1 + tanh u) / 2 is the sigmoid of 2 u
      y[0] = x[0] * device::sigmoid(1.5957691f * (x[0] + 0.044715f * x[0] * x[0] * x[0]));
    if constexpr (Op == silu) y[0] = x[0] * device::sigmoid(x[0]);
    if constexpr (Op == div) y[0] = x[0] / x[1];
    if constexpr (Op == swiglu) y[0] = x[0] * device::sigmoid(x[0]) * x[1];
    if constexpr (Op == swiglu_backward) {
      C gate = device::sigmoid(x[1]);
      y[0] = x[0] * x[2] * gate * (1.0f + x[1] * (1.0f - gate));
      y[1] = x[0] * x[1] * gate;
    }
    if constexpr (Op == rotate) {
      y[0] = x[0] * x[2] - x[1] * x[3];
      y[1] = x[0] * x[3] + x[1] * x[2];
    }
  }
};

/// The engine's table of the library's operations.
struct ElementwiseFunctions {
  /// Whether the kernels of `config` compute `op`: each op belongs to those with the fewest inputs that suffice.
  static constexpr bool serves(ElementwiseConfig config, ElementwiseOp op) {
    ElementwiseOpInfo info = describe(op);
    return config.inputs == elementwise_group(info.inputs) && (config.compute == Compute::f32 || info.integers);
  }

  template <ElementwiseConfig Config, int Number = 0, class Body>
  CUTE_DEVICE static void with_function(int function, Body&& body) {
    if constexpr (Number < elementwise_op_count) {
      constexpr auto op = ElementwiseOp(Number);
      if constexpr (serves(Config, op))
        if (function == Number) return body(ElementwiseFunction<op>{});
      with_function<Config, Number + 1>(function, body);
    }
  }
};

}  // namespace ckl::device
