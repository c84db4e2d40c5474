// Streams of another device than the plan's, with a runtime that pretends to have two; bad_input_test does the same on two GPUs.

#include <gtest/gtest.h>

#include <cstdint>

#include "cases/bad_gemm.hpp"
#include "ckl/ckl.hpp"
#include "expect_error.hpp"
#include "fake_runtime.hpp"

namespace ckl::test {
namespace {

void* address(int number) { return reinterpret_cast<void*>(std::uintptr_t(0x7000'0000'0000) + number * (1ull << 40)); }

TEST(Streams, OfAnotherDeviceAreRefused) {
  fake_devices = 2;                                             // before anything asks
  const auto elsewhere = reinterpret_cast<Stream>(address(9));  // the runtime says that it is of device 0
  const GemmPlan product(gemm_problem(good_gemm(address(1), address(2), address(3), address(4))), 1);
  const Tensor x = Tensor::contiguous(address(5), DType::f32, {64}),
               y = Tensor::contiguous(address(6), DType::f32, {64});
  const ElementwisePlan sum(elementwise_problem({ElementwiseOp::add, {x, x}, {y}, {}}), 1);
  const void* in[] = {address(5), address(5)};
  void* out[] = {address(6)};

  fake_calls().clear();
  counting_fake_calls = true;
  for (Stream stream : {elsewhere, Stream()}) {
    expect_error(ErrorCode::invalid_argument, {"stream", "device, 1", "device 0"},
                 [&] { product.run(address(1), address(2), address(3), address(4), nullptr, stream); });
    expect_error(ErrorCode::invalid_argument, {"stream", "device, 1", "device 0"}, [&] { sum.run(in, out, stream); });
  }
  counting_fake_calls = false;
  EXPECT_EQ(fake_calls().count("cudaLaunchKernelExC"), 0u);
}

}  // namespace
}  // namespace ckl::test
