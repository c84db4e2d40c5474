#pragma once

#include "timer/protocol.hpp"

namespace ckl::bench {

/// What `launch` launches on buffers 0, launched by cudaLaunchKernelExC alone, with the same kernels, params and attributes: the
/// host time that no library could go below. Empty where that is not made of kernels alone, or CUDA does not tell it.
Launch bare_launch_of(const Launch& launch);

}  // namespace ckl::bench
