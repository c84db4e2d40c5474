#pragma once

#include "ops/elementwise/custom.cuh"

#include "momentum.hpp"

/// velocity' = momentum velocity + gradient + decay weight, weight' = weight - rate velocity'.
struct Momentum {
  using Params = MomentumParams;
  Params params;

  CUTE_DEVICE explicit Momentum(Params const& p) : params(p) {}

  CUTE_DEVICE void operator()(float const (&x)[3], float (&y)[2]) const {
    float weight = x[0], gradient = x[1], velocity = x[2];
    velocity = params.momentum * velocity + gradient + params.decay * weight;
    y[0] = weight - params.rate * velocity;
    y[1] = velocity;
  }
};
