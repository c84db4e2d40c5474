#pragma once

// The host's side of the ladder: plain C++, which loads a kernel's module and launches it.

#include <cuda_runtime_api.h>

#include "ladder.hpp"

namespace ladder {

/// Throws std::runtime_error with a sentence if a CUDA call has failed.
void check(cudaError_t status, const char* what);

/// A rung, ready to multiply matrices of one size on the current device.
class Product {
 public:
  /// Throws std::invalid_argument unless the sizes are positive multiples of the rung's tiles.
  Product(const Rung& rung, int m, int n, int k);

  /// D = A * B: device memory, 16-byte aligned; A (M, K) row-major, B (K, N) column-major, D (M, N) row-major.
  void run(const void* a, const void* b, void* d, cudaStream_t stream) const;

 private:
  const Rung rung_;
  const int m_, n_, k_;
  cudaKernel_t kernel_ = nullptr;
  unsigned resident_ = 0;  // clusters that the GPU holds at a time
};

}  // namespace ladder
