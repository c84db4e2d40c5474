#pragma once

// The problem as the kernel sees it.

#include "ckl/gemm.hpp"
#include "ops/gemm/config.hpp"

namespace ckl {

/// `problem` with a D whose columns step less than its rows, and with the strides of dimensions of extent 1, which mean
/// nothing, set to what serves best. Where D is column-major this is the transposed problem, D' = B' A', and
/// `transposed` says so.
struct CanonicalGemm {
  GemmProblem problem;
  bool transposed;
};
CanonicalGemm canonical(const GemmProblem& problem);

/// What of a canonical problem decides which kernels can serve it.
struct GemmTraits {
  Major a_major, b_major;
  bool loads_by_tma;   ///< TMA can move both A and B.
  bool stores_by_tma;  ///< TMA can move D.
};
GemmTraits traits_of(const GemmProblem& canonical);

}  // namespace ckl
