// CUB's reductions of one element type. bench/peers/CMakeLists.txt sets
//   CKL_CUB_NAME     f32, f16 or bf16
//   CKL_CUB_ELEMENT  its CUDA type
#include <cub/device/device_reduce.cuh>
#include <cub/device/device_segmented_reduce.cuh>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>

#include <stdexcept>
#include <string>

#include "peers/cub_reduce.hpp"

#define CKL_CUB_JOIN_(a, b) a##b
#define CKL_CUB_JOIN(a, b)  CKL_CUB_JOIN_(a, b)

namespace ckl::bench {
namespace {

using Element = CKL_CUB_ELEMENT;

/// Sums of 16-bit elements in f32: CUB's own would round each partial sum to 16 bits.
using Plus = cuda::std::plus<float>;

/// Where a row begins.
struct Times {
  std::int64_t columns;
  __host__ __device__ std::int64_t operator()(std::int64_t row) const { return row * columns; }
};

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw std::runtime_error(std::string("CUB: ") + what + ": " + cudaGetErrorString(status));
}

/// `Call` is call(scratch, scratch_bytes, x, y, value, stream); `value` has room for one element that nobody looks at.
template <class Call> class Runner final : public CubReduce {
 public:
  Runner(const std::vector<CubOperands>& operands, Call call) : operands_(operands), call_(call) {
    check(cudaMalloc(&value_, sizeof(Element)), "cudaMalloc");
    check(call_(nullptr, scratch_bytes_, nullptr, nullptr, value_, nullptr), "the size of its scratch memory");
    check(cudaMalloc(&scratch_, scratch_bytes_ > 0 ? scratch_bytes_ : 1), "cudaMalloc");
  }
  ~Runner() override {
    cudaFree(value_);
    cudaFree(scratch_);
  }

  void run(std::size_t set, cudaStream_t stream) override {
    const CubOperands& x = operands_[set];
    check(call_(scratch_, scratch_bytes_, static_cast<const Element*>(x.x), x.y, value_, stream), "run");
  }

 private:
  std::vector<CubOperands> operands_;
  Call call_;
  Element* value_ = nullptr;
  void* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
};

template <class Call> std::unique_ptr<CubReduce> runner(const std::vector<CubOperands>& operands, Call call) {
  return std::make_unique<Runner<Call>>(operands, call);
}

}  // namespace

std::unique_ptr<CubReduce> CKL_CUB_JOIN(make_cub_reduce_, CKL_CUB_NAME)(ReduceOp op, std::int64_t rows,
                                                                        std::int64_t columns,
                                                                        const std::vector<CubOperands>& operands);

std::unique_ptr<CubReduce> CKL_CUB_JOIN(make_cub_reduce_, CKL_CUB_NAME)(ReduceOp op, std::int64_t rows,
                                                                        std::int64_t columns,
                                                                        const std::vector<CubOperands>& operands) {
  if (rows == 1) {
    if (op == ReduceOp::sum)
      return runner(operands, [=](void* scratch, std::size_t& bytes, const Element* x, void* y, Element*,
                                  cudaStream_t stream) {
        return cub::DeviceReduce::Reduce(scratch, bytes, x, static_cast<Element*>(y), columns, Plus{}, 0.0f, stream);
      });
    if (op == ReduceOp::max)
      return runner(operands,
                    [=](void* scratch, std::size_t& bytes, const Element* x, void* y, Element*, cudaStream_t stream) {
                      return cub::DeviceReduce::Max(scratch, bytes, x, static_cast<Element*>(y), columns, stream);
                    });
    if (op == ReduceOp::argmax)
      return runner(operands, [=](void* scratch, std::size_t& bytes, const Element* x, void* y, Element* value,
                                  cudaStream_t stream) {
        return cub::DeviceReduce::ArgMax(scratch, bytes, x, value, static_cast<std::int64_t*>(y), columns, stream);
      });
    return nullptr;
  }
  const auto begin = thrust::make_transform_iterator(thrust::counting_iterator<std::int64_t>(0), Times{columns});
  if (op == ReduceOp::sum)
    return runner(operands,
                  [=](void* scratch, std::size_t& bytes, const Element* x, void* y, Element*, cudaStream_t stream) {
                    return cub::DeviceSegmentedReduce::Reduce(scratch, bytes, x, static_cast<Element*>(y), rows, begin,
                                                              begin + 1, Plus{}, 0.0f, stream);
                  });
  if (op == ReduceOp::max)
    return runner(operands,
                  [=](void* scratch, std::size_t& bytes, const Element* x, void* y, Element*, cudaStream_t stream) {
                    return cub::DeviceSegmentedReduce::Max(scratch, bytes, x, static_cast<Element*>(y), rows, begin,
                                                           begin + 1, stream);
                  });
  return nullptr;
}

}  // namespace ckl::bench
