#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "timer/cuda.hpp"

namespace ckl::bench {

/// The kernels of one module that is embedded into the command. They are loaded when the first is asked for.
class Module {
 public:
  explicit Module(const unsigned char* image) : image_(image) {}
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  cudaKernel_t kernel(const std::string& entry) const {
    if (!library_)
      check(cudaLibraryLoadData(&library_, image_, nullptr, nullptr, 0, nullptr, nullptr, 0), "cudaLibraryLoadData");
    cudaKernel_t found = nullptr;
    check(cudaLibraryGetKernel(&found, library_, entry.c_str()), "cudaLibraryGetKernel");
    return found;
  }

 private:
  const unsigned char* image_;
  mutable cudaLibrary_t library_ = nullptr;
};

}  // namespace ckl::bench
