#pragma once

// What a GEMM requires of its problem and of its pointers.

#include "ckl/gemm.hpp"
#include "host/overlap.hpp"

namespace ckl {

inline bool multiplies(const GemmProblem& p) { return p.m > 0 && p.n > 0 && p.k > 0 && p.alpha != 0.0f; }
inline bool is_empty(const GemmProblem& p) { return p.m == 0 || p.n == 0; }
/// Whether the GEMM kernel is launched: for a product, or for an epilogue without one.
inline bool needs_kernel(const GemmProblem& p) { return multiplies(p) || (!is_empty(p) && !p.epilogue.empty()); }
inline bool reads_c(const GemmProblem& p) { return p.beta != 0.0f; }

/// Throws for an ill-formed problem.
void require_valid(const GemmProblem& problem);

/// The bytes that each operand covers, from its pointer on: so a run finds in no time that operands lie apart.
struct Spans {
  host::Span a, b, c, d;
};

Spans spans_of(const GemmProblem& problem);

/// Checks the pointers of one run.
void require_pointers(const GemmProblem& problem, const Spans& spans, const GemmPointers& pointers);

}  // namespace ckl
