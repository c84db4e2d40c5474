#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "ckl/reduce.hpp"

// Reductions by CUB, as it comes with the CUDA toolkit. Plain C++17, since nvcc compiles them in files of their own (cub_reduce.cu).
namespace ckl::bench {

/// Device pointers of one set of operands.
struct CubOperands {
  const void* x;
  void* y;
};

/// A reduction, ready to run on any of its sets of operands.
class CubReduce {
 public:
  virtual ~CubReduce() = default;
  virtual void run(std::size_t set, cudaStream_t stream) = 0;
};

/// CUB's DeviceReduce for one dense row, its DeviceSegmentedReduce for more; null for what is not in the list of instances: sums and
/// maxima of f32, f16 and bf16, and argmax of one row.
std::unique_ptr<CubReduce> make_cub_reduce(DType dtype, ReduceOp op, std::int64_t rows, std::int64_t columns,
                                           const std::vector<CubOperands>& operands);

}  // namespace ckl::bench
