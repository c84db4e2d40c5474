#pragma once

#include <cmath>

#include "ops/gemm/fused/kernel.cuh"

#include "softcap.hpp"

/// D(i, j) = cap * tanh(x / cap) with x = alpha * (A B)(i, j) + beta * C(i, j), or minus infinity where row i may not see column j.
struct Softcap {
  using Params = SoftcapParams;
  Params params;

  CUTE_DEVICE explicit Softcap(Params const& p) : params(p) {}

  template <int V>
  CUTE_DEVICE void operator()(ckl::device::RowVector<V>& x, ckl::device::GemmCoordinates const& at) const {
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) {
      float y = 2.0f * x[v] / params.cap;
      float capped = params.cap * (2.0f * ckl::sigmoid(y) - 1.0f);  // tanh(y / 2) = 2 sigmoid(y) - 1
      x[v] = at.column + v < at.row + params.visible ? capped : -INFINITY;
    }
  }
};
