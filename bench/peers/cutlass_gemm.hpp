#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "ckl/gemm.hpp"

// A GEMM as a user of CUTLASS would write it: collective builders, one tile and one schedule. Plain C++17, since nvcc compiles the
// kernels in files of their own (cutlass_gemm.cu), and only where CKL_BENCH_CUTLASS is on.
namespace ckl::bench {

/// Device pointers of one set of operands.
struct CutlassOperands {
  const void *a, *b, *c;
  void* d;
};

/// One kernel, ready to compute a problem on any of its sets of operands.
class CutlassGemm {
 public:
  virtual ~CutlassGemm() = default;
  virtual void run(std::size_t set, cudaStream_t stream) = 0;
};

/// One kernel of the list. `make` gives null where the kernel cannot serve the problem.
struct CutlassKernel {
  const char* name;  ///< "bf16_128x256x64_2x1_coop"
  std::unique_ptr<CutlassGemm> (*make)(const GemmProblem&, const std::vector<CutlassOperands>&);
};

/// The list that was compiled; empty without CUTLASS.
std::vector<CutlassKernel> cutlass_kernels();

}  // namespace ckl::bench
