#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ckl/tensor.hpp"
#include "kernels/module.hpp"
#include "kernels/params.hpp"
#include "timer/cuda.hpp"

namespace ckl::bench {

/// `count` standard normal numbers in host memory, the same for the same seed.
std::vector<char> host_normal(DType dtype, std::int64_t count, std::uint64_t seed);

/// The bench's own kernels on one GPU. They are loaded when the first is launched.
class Kernels {
 public:
  explicit Kernels(const Gpu& gpu);
  Kernels(const Kernels&) = delete;
  Kernels& operator=(const Kernels&) = delete;

  /// Fills `count` elements with standard normal numbers, the same for the same seed.
  void fill_normal(void* out, DType dtype, std::int64_t count, std::uint64_t seed) const;

  /// Reads `bytes` at `data`, all but a rest below 16, and writes nothing.
  void read(const void* data, std::size_t bytes, cudaStream_t stream) const;

  /// Keeps the GPU busy for about `us` microseconds with one thread.
  void spin(double us, cudaStream_t stream) const;

  /// alpha A B + beta C in double precision.
  void oracle(DType in, DType out, const OracleParams& params) const;

  /// Applies an epilogue to its results.
  void oracle_epilogue(DType out, const OracleEpilogueParams& params) const;

  /// Compares D with the oracle's result. Waits for the GPU.
  Findings compare(DType dtype, CompareParams params) const;

 private:
  template <class Params> void launch(const std::string& entry, const Params& params, std::int64_t blocks, int threads,
                                      cudaStream_t stream) const;
  template <class Params> Findings find(const std::string& entry, Params& params) const;

  const Gpu gpu_;
  const Module module_;
  Buffer findings_;
};

/// The error that findings hold.
double max_error(const Findings& findings);

}  // namespace ckl::bench
