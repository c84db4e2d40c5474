#pragma once

// The activations in kernels.

#include <cutlass/functional.h>

#include "device/activation.hpp"
#include "device/arch.cuh"

namespace ckl::device {

/// 1 / x to within 1 unit in the last place; results below 2^-126 become 0.
CUTE_HOST_DEVICE float reciprocal_approx(float x) { return cutlass::reciprocal_approximate_ftz<float>{}(x); }

}  // namespace ckl::device
