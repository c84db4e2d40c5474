#pragma once

#include <cutlass/numeric_types.h>

#include "ckl/tensor.hpp"

namespace ckl::device {

/// The CUTLASS type of a DType.
template <DType D> struct ElementOf;
template <> struct ElementOf<DType::f32> { using type = float; };
template <> struct ElementOf<DType::f16> { using type = cutlass::half_t; };
template <> struct ElementOf<DType::bf16> { using type = cutlass::bfloat16_t; };
template <> struct ElementOf<DType::f64> { using type = double; };
template <> struct ElementOf<DType::i32> { using type = int32_t; };
template <> struct ElementOf<DType::i64> { using type = int64_t; };
template <DType D> using Element = typename ElementOf<D>::type;

/// e^x
CUTE_DEVICE float exponential(float x) { return exp2f(x * 1.4426950408889634f); }
CUTE_DEVICE double exponential(double x) { return exp(x); }

/// Calls f(Element{}) for the floating-point type that `dtype` names at run time: f32, f16 or bf16.
template <class F> CUTE_DEVICE void with_element(DType dtype, F&& f) {
  if (dtype == DType::bf16)
    f(cutlass::bfloat16_t{});
  else if (dtype == DType::f16)
    f(cutlass::half_t{});
  else
    f(float{});
}

}  // namespace ckl::device
