#pragma once

// What a reduction's plans ask of a problem and of pointers, whoever's monoid it is.

#include "ckl/reduce.hpp"

namespace ckl {

/// Whether there is no output.
bool is_empty(const ReduceProblem& problem);

void require_valid(const ReduceProblem& problem);
void require_pointers(const ReduceProblem& problem, const void* x, const void* y);

}  // namespace ckl
