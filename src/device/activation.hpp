#pragma once

// The activations of the fused epilogues, in f32. Host and kernel share them, so that tests hold them against double precision.
//
// GELU and SiLU are x times a number between 0 and 1, here called the share of x; it keeps its relative accuracy where it is
// small. So a negative argument far out gives a tiny result with all its digits, not the rest of a subtraction.

#include <cstdint>

#include "ckl/gemm.hpp"
#include "device/host_device.hpp"

#if !defined(__CUDA_ARCH__)
#include <cmath>
#endif

namespace ckl {

#if defined(__CUDA_ARCH__)
namespace device {  // in activation.cuh
CKL_HOST_DEVICE float reciprocal_approx(float x);
CKL_HOST_DEVICE float exp2_approx(float x);  // in arch.cuh
}  // namespace device
#endif

namespace detail {

#if defined(__CUDA_ARCH__)
CKL_HOST_DEVICE inline float reciprocal_approx(float x) { return device::reciprocal_approx(x); }
CKL_HOST_DEVICE inline float exp2_approx(float x) { return device::exp2_approx(x); }
#else
inline float reciprocal_approx(float x) { return 1.0f / x; }
inline float exp2_approx(float x) { return exp2f(x); }
#endif

/// exp(-x^2 / 2) S(t) t with t = 1 / (3.80625 + |x|): the normal distribution's share below -|x|. S is the polynomial of degree 6 whose relative
/// error, that of the constant log2(e) in f32 included, is the least (by linear programming): 2^-21 on |x| <= 4, 2^-20.5 on |x| <= 13.5.
CKL_HOST_DEVICE inline float normal_tail(float x) {
  constexpr float log2_e = 1.44269504f;
  float t = reciprocal_approx(fabsf(x) + 3.80625f);
  float s = -817.7743f;
  s = fmaf(s, t, 644.99274f);
  s = fmaf(s, t, -69.185074f);
  s = fmaf(s, t, 32.51001f);
  s = fmaf(s, t, 4.2976723f);
  s = fmaf(s, t, 1.5599427f);
  s = fmaf(s, t, 0.39828718f);
  return s * t * exp2_approx(-0.5f * log2_e * x * x);
}

}  // namespace detail

/// 1 / (1 + exp(-x)); relative error at most 2^-17 for x >= -80, 2^-20 for x >= -8, exp2 and the reciprocal of the GPU included. Below -80 it may be 0.
CKL_HOST_DEVICE inline float sigmoid(float x) {
  constexpr float log2_e = 1.44269504f;
  return detail::reciprocal_approx(1.0f + detail::exp2_approx(-log2_e * x));
}

/// max(x, 0); NaN stays NaN.
CKL_HOST_DEVICE inline float relu(float x) { return x < 0.0f ? 0.0f : x; }

/// x sigmoid(x); relative error as sigmoid's.
CKL_HOST_DEVICE inline float silu(float x) { return x * sigmoid(x); }

/// x Phi(x), Phi the normal distribution: x (1 + erf(x / sqrt 2)) / 2. Relative error at most 2^-17 for x >= -12, and at most
/// 2^-19 for x >= -4: far less than half a unit in the last place of f16 and bf16.
CKL_HOST_DEVICE inline float gelu(float x) {
  float tail = detail::normal_tail(x);
  return x * (x < 0.0f ? tail : 1.0f - tail);
}

/// The approximation x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, by (1 + tanh(y)) / 2 = 1 / (1 + exp(-2 y)). Nearly all of its
/// error is that of y in f32, three roundings, which the exponential multiplies by |2 y|: relative, at most 2^-19 for x >= -4, and
/// 2^-16 for x >= -10, where the result is 1e-37. exp2 and the reciprocal add less than 2^-21.
CKL_HOST_DEVICE inline float gelu_tanh(float x) {
  constexpr float linear = -2.302208198f, cubic = -0.1029432396f;  // -2 sqrt(2 / pi) log2(e), and 0.044715 times that
  return x * detail::reciprocal_approx(1.0f + detail::exp2_approx(x * fmaf(cubic, x * x, linear)));
}

/// Calls f(function) with the function that `activation` names.
template <class F> CKL_HOST_DEVICE inline void with_activation(Activation activation, F&& f) {
  switch (activation) {
    case Activation::none: f([](float x) { return x; }); break;
    case Activation::relu: f([](float x) { return relu(x); }); break;
    case Activation::gelu: f([](float x) { return gelu(x); }); break;
    case Activation::gelu_tanh: f([](float x) { return gelu_tanh(x); }); break;
    case Activation::silu: f([](float x) { return silu(x); }); break;
    case Activation::sigmoid: f([](float x) { return sigmoid(x); }); break;
  }
}

}  // namespace ckl
