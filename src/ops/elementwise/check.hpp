#pragma once

// What is asked of elementwise problems and of their pointers.

#include "ckl/elementwise.hpp"

namespace ckl {

// What errors call the operands.
inline constexpr const char* in_names[] = {"in[0]", "in[1]", "in[2]", "in[3]"};
inline constexpr const char* out_names[] = {"out[0]", "out[1]"};

/// describe() of the problem's op, with the operands that it has itself where that is custom.
ElementwiseOpInfo operands_of(const ElementwiseProblem& problem);

/// @throws Error (invalid_argument) for a value outside of the enumeration.
void require_op(ElementwiseOp op);

/// @throws Error (invalid_argument) for an ill-formed problem; (unsupported) for dtypes that are not listed at ElementwiseProblem.
void require_valid(const ElementwiseProblem& problem);

/// Whether there is nothing to compute.
bool is_empty(const ElementwiseProblem& problem);

/// Throws unless the pointers are as `problem` promised, and no output overlaps what it must not.
void require_pointers(const ElementwiseProblem& problem, const void* const* in, void* const* out);

}  // namespace ckl
