#pragma once

#include <cstddef>
#include <vector>

#include "timer/cuda.hpp"

namespace ckl::bench {

/// `bytes`, rounded up so that what follows is aligned as memory from cudaMalloc is.
constexpr std::size_t align(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

/// A copy of device memory.
inline std::vector<char> download(const void* data, std::size_t bytes) {
  std::vector<char> copy(bytes);
  check(cudaMemcpy(copy.data(), data, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
  return copy;
}

}  // namespace ckl::bench
