#pragma once

// The sum of exponentials of numbers that come piece by piece, relative to the largest (Milakov and Gimelshein, 2018).

#include <cute/config.hpp>

#include "device/arch.cuh"
#include "device/row_reduction.cuh"
#include "device/tree.cuh"

namespace ckl::device {

/// What is known of some numbers: the largest of them, and the sum of exp(number - largest).
struct OnlineSoftmax {
  float max = -INFINITY, sum = 0;  // `sum` as Reference says, until over() has been called

  /// Adds value(0) to value(N - 1), N a power of two. -infinity changes nothing.
  template <int N, class Values> CUTE_DEVICE void absorb(Values const& value) {
    absorb<N, N>(value, reduce_tree_of<N>(value, Max()), [](int) {});
  }
  /// The same, where the largest of them is known, AT_ONCE of them at a time: behind each time, after(first of them) is called.
  template <int N, int AT_ONCE, class Values, class After>
  CUTE_DEVICE void absorb(Values const& value, float largest, After const& after) {
    float larger = fmaxf(max, largest);
    Reference reference(larger);
    sum *= reference.of_before(max);
    CUTLASS_PRAGMA_UNROLL
    for (int first = 0; first < N; first += AT_ONCE) {
      sum += reduce_tree_of<AT_ONCE>(
          [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return reference.weight(value(first + i)); }, Sum());
      after(first);
    }
    max = larger;
  }

  /// The same of the numbers of all threads that share a reduction.
  template <class Reduction> CUTE_DEVICE OnlineSoftmax over(Reduction& reduction) const {
    OnlineSoftmax all;
    all.max = float(reduction(max, Max()));
    Reference reference(all.max);
    all.sum = reference.relative_to_largest(float(reduction(sum * reference.of_before(max), Sum())));
    return all;
  }

  /// The logarithm of the sum; with `max` added, that of the sum of exp(number).
  CUTE_DEVICE float log_sum() const { return log2f(sum) * 0.6931471805599453f; }

 private:
  /// What exponentials are relative to while they are summed up: 2^exponent, with exponent = largest * log2(e), rounded. So each takes one
  /// multiply-add and one power of two. Of numbers from 2^30 on, those next to the largest are nothing beside it in any case: with 1 for
  /// log2(e), they stay so, and the exponent is exact where its rounding errors would be too large for a float's range.
  struct Reference {
    float largest, log2_e, exponent;

    CUTE_DEVICE explicit Reference(float number)
        : largest(number),
          log2_e(fabsf(number) < 1073741824.0f ? 1.4426950408889634f : 1.0f),
          exponent(number * log2_e) {}

    /// 2^(x log2_e - exponent); 0 below 2^-126. Where everything is -infinity, it is 0 rather than NaN.
    CUTE_DEVICE float weight(float x) const { return exp2_approx(fmaf(x, log2_e, -finite())); }
    /// What a sum is multiplied with that was relative to another number, which is not larger.
    CUTE_DEVICE float of_before(float other) const {
      Reference before(other);
      return before.log2_e == log2_e ? exp2_approx(before.exponent - finite()) : 0.0f;
    }
    /// A sum relative to the largest number, rather than to its rounded exponent: where nothing else counts, it is exactly 1.
    CUTE_DEVICE float relative_to_largest(float sum) const { return log2_e == 1.0f ? sum : sum / weight(largest); }

   private:
    CUTE_DEVICE float finite() const { return exponent == -INFINITY ? 0.0f : exponent; }
  };
};

}  // namespace ckl::device
