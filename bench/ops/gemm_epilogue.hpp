#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ckl/gemm.hpp"

namespace ckl::bench {

/// What --epilogue takes, for the help and for errors.
inline constexpr const char* epilogue_words =
    "bias, row_bias, a_scale, b_scale, d_scale, relu, gelu, gelu_tanh, silu, sigmoid, gated, residual, joined by +";

/// The epilogue that `text` names, e.g. "bias+gelu_tanh", for a product of m x n: biases and residual are of type `out`, scales f32.
/// Throws UsageError for a word that is not of epilogue_words.
GemmEpilogue parse_epilogue(const std::string& text, DType out, std::int64_t m, std::int64_t n);

/// Calls f(pointer, dtype, count) for each input that the epilogue has beside C: the member of GemmPointers, and how many elements of
/// which type it has, dense.
template <class F> void for_each_epilogue_input(const GemmProblem& p, F&& f) {
  const GemmEpilogue& e = p.epilogue;
  const auto vector = [&](const GemmVector& x, const void* GemmPointers::*pointer, std::int64_t count) {
    if (x.used) f(pointer, x.dtype, x.stride == 0 ? 1 : count);
  };
  vector(e.a_scale, &GemmPointers::a_scale, p.m);
  vector(e.b_scale, &GemmPointers::b_scale, p.n);
  vector(e.d_scale, &GemmPointers::d_scale, 1);
  vector(e.row_bias, &GemmPointers::row_bias, p.m);
  vector(e.column_bias, &GemmPointers::column_bias, p.n);
  if (e.has_residual) f(&GemmPointers::residual, e.residual.dtype, p.m * p.d_columns());
}

}  // namespace ckl::bench
