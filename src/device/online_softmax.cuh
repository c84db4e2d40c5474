#pragma once

// The sum of exponentials of numbers that come piece by piece, relative to the largest (Milakov and Gimelshein, 2018).

#include <cute/config.hpp>
#include <cutlass/platform/platform.h>

#include "device/arch.cuh"
#include "device/row_reduction.cuh"
#include "device/tree.cuh"

namespace ckl::device {

/// What is known of some numbers: the largest of them, and the sum of 2^(rate * (number - largest)), with a positive rate.
struct OnlineSoftmax {
  static constexpr float log2_e = 1.4426950408889634f;
  float rate = log2_e;             // e^x
  float max = -INFINITY, sum = 0;  // `sum` as Reference says, until over() has been called

  /// Adds value(0) to value(N - 1), N a power of two. -infinity changes nothing.
  template <int N, class Values> CUTE_DEVICE void absorb(Values const& value) {
    absorb<N, N>(
        value, reduce_tree_of<N>(value, Max()), [](int) { return true; }, [](int) {});
  }
  /// The same, where the largest of them is known, AT_ONCE of them at a time, as long as there_are(first of them): behind each time,
  /// after(first of them) is called.
  template <int N, int AT_ONCE, class Values, class ThereAre, class After>
  CUTE_DEVICE void absorb(Values const& value, float largest, ThereAre const& there_are, After const& after) {
    float larger = fmaxf(max, largest);
    Reference reference(larger, rate);
    sum *= reference.of_before(max);
    CUTLASS_PRAGMA_UNROLL
    for (int first = 0; first < N; first += AT_ONCE) {
      if (!there_are(first)) break;
      sum += reduce_tree_of<AT_ONCE>(
          [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return reference.weight(value(first + i)); }, Sum());
      after(first);
    }
    max = larger;
  }

  /// The same of the numbers of all threads that share a reduction. `others` become their sums over these threads, on the way.
  template <class Reduction, class... Real>
  CUTE_DEVICE OnlineSoftmax over(Reduction& reduction, Real&... others) const {
    OnlineSoftmax all{rate};
    all.max = float(reduction(max, Max()));
    Reference reference(all.max, rate);
    using Sums = typename Reduction::template Values<1 + sizeof...(Real)>;
    Sums sums = reduction(Sums{{sum * reference.of_before(max), others...}}, Sum());
    all.sum = reference.relative_to_largest(float(sums[0]));
    size_t next = 1;
    ((others = sums[next++]), ...);
    return all;
  }

  /// The logarithm of the sum; with `max` added, that of the sum of exp(number).
  CUTE_DEVICE float log_sum() const { return log2f(sum) * 0.6931471805599453f; }

 private:
  /// What powers are relative to while they are summed up: 2^exponent, with exponent = largest * rate, rounded. So each takes one multiply-add
  /// and one power of two. Where the exponent is about 2^30 or more, those next to the largest are nothing beside it in any case: with a power of two
  /// for the rate, they stay so, and the exponent is exact where its rounding errors would be too large for a float's range.
  struct Reference {
    float largest, wanted, rate, exponent;

    CUTE_DEVICE Reference(float number, float wanted)
        : largest(number),
          wanted(wanted),
          rate(fabsf(number) * wanted < 0x1p30f * log2_e ? wanted : power_of_two_below(wanted)),
          exponent(number * rate) {}

    /// 2^(x * rate - exponent); 0 below 2^-126. Where everything is -infinity, it is 0 rather than NaN.
    CUTE_DEVICE float weight(float x) const { return exp2_approx(fmaf(x, rate, -finite())); }
    /// What a sum is multiplied with that was relative to another number, which is not larger.
    CUTE_DEVICE float of_before(float other) const {
      Reference before(other, wanted);
      return before.rate == rate ? exp2_approx(before.exponent - finite()) : 0.0f;
    }
    /// A sum relative to the largest number, rather than to its rounded exponent: where nothing else counts, it is exactly 1.
    CUTE_DEVICE float relative_to_largest(float sum) const { return rate == wanted ? sum / weight(largest) : sum; }

   private:
    CUTE_DEVICE static float power_of_two_below(float x) {
      return cutlass::platform::bit_cast<float>(cutlass::platform::bit_cast<uint32_t>(x) & 0xff800000u);
    }
    CUTE_DEVICE float finite() const { return exponent == -INFINITY ? 0.0f : exponent; }
  };
};

}  // namespace ckl::device
