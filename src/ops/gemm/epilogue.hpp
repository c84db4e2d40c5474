#pragma once

// The operands of a fused epilogue on the host: listed once for all who check them.

#include <cstdint>

#include "ckl/gemm.hpp"

namespace ckl {

/// Calls f(vector, argument, length, tensor, pointer) for each vector of the epilogue, used or not: a member of GemmEpilogue, the name
/// that errors give it, how many elements it has unless it is a scalar (1: it must be one), and the members of
/// GemmEpilogueTensors and GemmPointers that belong to it.
template <class Problem, class F> void for_each_vector(Problem& p, F&& f) {
  auto& e = p.epilogue;
  using T = GemmEpilogueTensors;
  using P = GemmPointers;
  f(e.a_scale, "epilogue.a_scale", p.m, &T::a_scale, &P::a_scale);
  f(e.b_scale, "epilogue.b_scale", p.n, &T::b_scale, &P::b_scale);
  f(e.d_scale, "epilogue.d_scale", std::int64_t(1), &T::d_scale, &P::d_scale);
  f(e.row_bias, "epilogue.row_bias", p.m, &T::row_bias, &P::row_bias);
  f(e.column_bias, "epilogue.column_bias", p.n, &T::column_bias, &P::column_bias);
}

/// The epilogue that `in` poses for a product of m x n, with the pointers' alignment.
/// @throws Error (invalid_argument) for a rank or sizes that do not fit.
GemmEpilogue epilogue_of(const GemmEpilogueTensors& in, std::int64_t m, std::int64_t n);

/// Throws where the problem's epilogue cannot be computed, whatever the pointers.
void require_valid_epilogue(const GemmProblem& problem);

/// Checks the epilogue's pointers for one run; D is at `pointers.d`.
void require_epilogue_pointers(const GemmProblem& problem, const GemmPointers& pointers);

// ---- What all operands of a GEMM share -----------------------------------------------------------------------------------

/// A matrix of a problem as a tensor at `data`.
Tensor as_tensor(const GemmOperand& x, std::int64_t rows, std::int64_t columns, const void* data);

/// How the matrix `t` lies in memory.
GemmOperand operand_of(const Tensor& t);

/// Throws unless strides and alignment are well formed.
void require_operand(const GemmOperand& x, std::int64_t rows, std::int64_t columns, const char* argument);

/// Throws unless `data` is there and aligned as promised.
void require_pointer(const void* data, const GemmOperand& x, const char* argument);

}  // namespace ckl
