#pragma once

// The sum of exponentials of numbers that come piece by piece, relative to the largest (Milakov and Gimelshein, 2018).

#include <cute/config.hpp>

#include "device/arch.cuh"
#include "device/row_reduction.cuh"
#include "device/tree.cuh"

namespace ckl::device {

/// What is known of some numbers: the largest of them, and the sum of exp(number - largest).
struct OnlineSoftmax {
  float max = -INFINITY, sum = 0;

  /// Adds value(0) to value(N - 1), N a power of two. -infinity changes nothing.
  template <int N, class Values> CUTE_DEVICE void absorb(Values const& value) {
    float larger = fmaxf(max, reduce_tree_of<N>(value, Max()));
    auto term = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return weight(value(i), larger); };
    sum = sum * weight(max, larger) + reduce_tree_of<N>(term, Sum());
    max = larger;
  }

  /// The same of the numbers of all threads that share a reduction.
  template <class Reduction> CUTE_DEVICE OnlineSoftmax over(Reduction& reduction) const {
    OnlineSoftmax all;
    all.max = float(reduction(max, Max()));
    all.sum = float(reduction(sum * weight(max, all.max), Sum()));
    return all;
  }

  /// The logarithm of the sum; with `max` added, that of the sum of exp(number).
  CUTE_DEVICE float log_sum() const { return log2f(sum) * 0.6931471805599453f; }

 private:
  /// exp(x - largest); 0 below 2^-126, which is nothing beside a sum of 1 or more. Where everything is -infinity, it is 0 rather than
  /// NaN.
  CUTE_DEVICE static float weight(float x, float largest) {
    return exp2_approx((x - (largest == -INFINITY ? 0.0f : largest)) * 1.4426950408889634f);
  }
};

}  // namespace ckl::device
