#pragma once

// What the host and the kernels of this example share: plain C++.

/// A step of gradient descent with momentum: of weight, gradient and velocity to weight and velocity.
struct MomentumParams {
  static constexpr int inputs = 3, outputs = 2;
  float rate, momentum, decay;
};
