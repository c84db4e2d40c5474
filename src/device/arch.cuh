#pragma once

// The few things of the machine that CuTe and CUTLASS do not wrap. Raw CUDA lives here and nowhere else.

#include <cute/config.hpp>

namespace ckl::device {

/// Waits until all threads of the block have arrived (bar.sync 0).
CUTE_DEVICE void block_sync() { __syncthreads(); }

}  // namespace ckl::device
