#pragma once

#include <cute/config.hpp>

#include "ops/gemm/params.hpp"

namespace ckl::device {

/// The epilogue functor of D = alpha * acc + beta * C, in f32. With beta 0 it never reads C.
struct LinearCombination {
  float alpha, beta;

  CUTE_DEVICE explicit LinearCombination(LinearCombinationParams const& p) : alpha(p.alpha), beta(p.beta) {}
  CUTE_DEVICE bool reads_c() const { return beta != 0.0f; }
  /// One element, where C is not read.
  CUTE_DEVICE float operator()(float acc) const { return alpha * acc; }
  /// One element, with that of C.
  CUTE_DEVICE float operator()(float acc, float c) const { return alpha * acc + beta * c; }
};

}  // namespace ckl::device
