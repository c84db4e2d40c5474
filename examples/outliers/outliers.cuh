#pragma once

#include "ops/reduce/custom.cuh"

#include "outliers.hpp"

/// The mean magnitude of outliers, 0 where there are none: what a quantized layer would lose to clipping.
struct Outliers {
  using Params = OutliersParams;
  struct State {
    double sum;
    int64_t count;
  };
  static constexpr State identity{0, 0};
  static constexpr float neutral = 0;  // no outlier, whatever the threshold

  Params params;

  CUTE_DEVICE explicit Outliers(Params const& p) : params(p) {}

  CUTE_DEVICE State of(float x, int64_t) const {
    float magnitude = fabsf(x);
    bool outlier = magnitude > params.threshold;
    return {outlier ? double(magnitude) : 0.0, outlier};
  }
  CUTE_DEVICE State operator()(State a, State b) const { return {a.sum + b.sum, a.count + b.count}; }
  CUTE_DEVICE double result(State state, int64_t) const { return state.count ? state.sum / double(state.count) : 0; }
};
