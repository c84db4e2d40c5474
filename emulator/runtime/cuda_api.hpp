#pragma once

// The CUDA headers with their functions visible: whatever is defined under these declarations is exported.
#pragma GCC visibility push(default)
#include <cuda_runtime_api.h>
#include <cuda.h>
#pragma GCC visibility pop

static_assert(CUDART_VERSION >= 13000, "the emulator stands in for the runtime of CUDA 13");

/// In front of each function that programs call.
#define CKL_EMU_API extern "C" __attribute__((visibility("default")))
