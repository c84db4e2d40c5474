// A machine without a usable GPU: every call that needs one says so in one clear sentence, and nothing exits or
// crashes.

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <string>

#include "cases/bad_add.hpp"
#include "ckl/ckl.hpp"
#include "expect_error.hpp"

namespace ckl::test {
namespace {

class WithoutGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    if (cudaGetDeviceCount(&count) == cudaSuccess && count > 0)
      GTEST_SKIP() << "this machine has " << count << " CUDA devices";
  }
  static constexpr const char* sentence = "no CUDA device can be used";
  alignas(256) char a[8192], b[8192], c[8192], d[8192];
};

TEST_F(WithoutGpu, DeviceFactsAreRefused) {
  expect_error(ErrorCode::cuda, {sentence}, [] { device_info(0); });
  expect_error(ErrorCode::invalid_argument, {"device", "0 or more", "-1"}, [] { device_info(-1); });
}

TEST_F(WithoutGpu, NothingIsSupported) {
  for (const int device : {-1, 0, 1, 1000}) EXPECT_FALSE(supported(device)) << device;
}

TEST_F(WithoutGpu, GemmIsRefused) {
  const GemmArguments arguments = good_gemm(a, b, c, d);
  expect_error(ErrorCode::cuda, {sentence}, [&] { GemmPlan plan(gemm_problem(arguments)); });
  expect_error(ErrorCode::cuda, {sentence}, [&] { GemmPlan plan(gemm_problem(arguments), 0); });
  expect_error(ErrorCode::cuda, {sentence}, [&] { gemm(arguments); });
}

TEST_F(WithoutGpu, AddIsRefused) {
  const Tensor x = Tensor::contiguous(a, DType::f32, {16}), y = Tensor::contiguous(b, DType::f32, {16});
  const Tensor sum = Tensor::contiguous(d, DType::f32, {16});
  const ElementwiseProblem problem = elementwise_problem({ElementwiseOp::add, {x, y}, {sum}, {}});
  expect_error(ErrorCode::cuda, {sentence}, [&] { ElementwisePlan plan(problem); });
  expect_error(ErrorCode::cuda, {sentence}, [&] { ElementwisePlan plan(problem, 0); });
  expect_error(ErrorCode::cuda, {sentence}, [&] { add(x, y, sum); });
}

}  // namespace
}  // namespace ckl::test
