#pragma once

// The problem as the kernel sees it.

#include "ckl/gemm.hpp"
#include "ops/gemm/config.hpp"

namespace ckl {

/// The transposed problem, D' = B' A', in the same memory; its epilogue's rows and columns are exchanged, too.
GemmProblem mirror_image(const GemmProblem& problem);

/// `problem` with a D whose columns step less than its rows, and with the strides of dimensions of extent 1, which mean
/// nothing, set to what serves best. Where D is column-major this is the mirror image, and `transposed` says so. A gated epilogue, or one
/// that may not be transposed, keeps D as it is.
struct CanonicalGemm {
  GemmProblem problem;
  bool transposed;
};
CanonicalGemm canonical(const GemmProblem& problem, bool may_transpose = true);

/// A canonical problem as a kernel with this config sees it, or back again: swapped ones see the mirror image.
inline GemmProblem kernel_view(const GemmProblem& problem, const GemmConfig& config) {
  return config.swapped ? mirror_image(problem) : problem;
}

/// What of a problem, as a kernel sees it, decides whether that can serve it.
struct GemmTraits {
  Major a_major, b_major;
  bool a_by_tma, b_by_tma;  ///< TMA can load A, B.
  bool loads_by_tma;        ///< Both.
  bool stores_by_tma;       ///< TMA can store D, by rows.
};
GemmTraits traits_of(const GemmProblem& problem);

/// Whether the epilogue can move rows of `x` in vectors of up to 16 bytes.
bool moves_by_vectors(const GemmOperand& x);

/// Whether the epilogue is more than alpha and beta, which kernels of their own compute.
inline bool fuses(const GemmProblem& p) { return !p.epilogue.empty(); }

/// The shipped kernels that serve a problem, as an operator of the instance lists.
inline const char* kernels_of(const GemmProblem& p) { return fuses(p) ? "gemm_fused" : "gemm"; }

/// Which operands are copied into padded rows before the product, because TMA cannot load them as they lie.
struct Padding {
  bool a = false, b = false;

  constexpr bool any() const { return a || b; }
  friend constexpr bool operator==(const Padding&, const Padding&) = default;
};

/// `problem` as it is after the operands that `padding` names have been copied: those are dense and aligned, with the same mode
/// contiguous as before.
GemmProblem padded(const GemmProblem& problem, Padding padding);

}  // namespace ckl
