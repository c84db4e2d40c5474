#pragma once

/// Marks what both the host compiler and nvcc compile.
#if defined(__CUDACC__)
#define CKL_HOST_DEVICE __host__ __device__
#else
#define CKL_HOST_DEVICE
#endif
