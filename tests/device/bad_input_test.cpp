// Bad input on a real device: the error comes before anything is launched, so all memory stays as it was.

#include <gtest/gtest.h>

#include <functional>

#include "cases/bad_add.hpp"
#include "cases/bad_gemm.hpp"
#include "device_test.hpp"
#include "expect_error.hpp"
#include "operand_buffer.hpp"
#include "workspace.hpp"

namespace ckl::test {
namespace {

constexpr ErrorCode invalid = ErrorCode::invalid_argument;

/// Four buffers as good_gemm() and good_add() want them, full of numbers that must still be there at the end.
class BadInput : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    std::uint64_t seed = 0;
    for (auto* buffer : {&a_, &b_, &c_, &d_}) {
      *buffer = std::make_unique<OperandBuffer>(DType::f32, Dimensions{4096}, Dimensions{1});
      (*buffer)->fill(++seed);
    }
  }

  void TearDown() override {
    if (d_) {
      a_->expect_unchanged("A");
      b_->expect_unchanged("B");
      c_->expect_unchanged("C");
      d_->expect_unchanged("D");
    }
    DeviceTest::TearDown();
  }

  void* a() { return a_->device(); }
  void* b() { return b_->device(); }
  void* c() { return c_->device(); }
  void* d() { return d_->device(); }
  GemmArguments gemm_arguments() { return good_gemm(a(), b(), c(), d()); }
  AddArguments add_arguments() { return good_add(a(), b(), d()); }
  ElementwiseProblem addition() {
    const AddArguments x = add_arguments();
    return elementwise_problem({ElementwiseOp::add, {x.a, x.b}, {x.d}, {}});
  }

 private:
  std::unique_ptr<OperandBuffer> a_, b_, c_, d_;
};

class BadGemmCall : public BadInput, public ::testing::WithParamInterface<BadGemm> {};

INSTANTIATE_TEST_SUITE_P(List, BadGemmCall, ::testing::ValuesIn(bad_gemms()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadGemmCall, LeavesAllMemoryUntouched) {
  GemmArguments arguments = gemm_arguments();
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { gemm(arguments); });
}

class BadAddCall : public BadInput, public ::testing::WithParamInterface<BadAdd> {};

INSTANTIATE_TEST_SUITE_P(List, BadAddCall, ::testing::ValuesIn(bad_adds()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(BadAddCall, LeavesAllMemoryUntouched) {
  AddArguments arguments = add_arguments();
  GetParam().spoil(arguments);
  expect_error(GetParam().code, GetParam().words, [&] { add(arguments.a, arguments.b, arguments.d); });
}

TEST_F(BadInput, ConfigsThatCannotServe) {
  const GemmProblem problem = gemm_problem(gemm_arguments());
  const std::string good = gemm_candidates(problem, device_info(0)).front();
  for (const std::string& config : {std::string("fast"), good + " ", "f16" + good.substr(4)})
    expect_error(invalid, {"config", good, "\"" + config + "\""}, [&] { GemmPlan plan(problem, 0, config); });

  GemmProblem empty = problem;
  empty.k = 0;
  expect_error(invalid, {"config", "empty", good}, [&] { GemmPlan plan(empty, 0, good); });

  expect_error(invalid, {"config", "n2_f32_v4_rows", "\"fast\""}, [&] { ElementwisePlan plan(addition(), 0, "fast"); });
  expect_error(invalid, {"config", "\"n2_f32_v8_rows\""},
               [&] { ElementwisePlan plan(addition(), 0, "n2_f32_v8_rows"); });
  expect_error(invalid, {"config", "\"n2_f32_v4_flat\""},
               [&] { ElementwisePlan plan(addition(), 0, "n2_f32_v4_flat"); });
}

TEST_F(BadInput, DevicesThatAreNotThere) {
  const GemmProblem problem = gemm_problem(gemm_arguments());
  expect_error(invalid, {"device", "-1", "-2"}, [&] { GemmPlan plan(problem, -2); });
  expect_error(invalid, {"device", "1000"}, [&] { GemmPlan plan(problem, 1000); });
  expect_error(invalid, {"device", "-1", "-2"}, [&] { ElementwisePlan plan(addition(), -2); });
  expect_error(invalid, {"device", "1000"}, [&] { ElementwisePlan plan(addition(), 1000); });
}

// What run() is given is checked against what the plan was promised.
TEST_F(BadInput, PointersOfAGemmRun) {
  const GemmPlan plan(gemm_problem(gemm_arguments()));
  Workspace workspace(plan.workspace_bytes());
  const auto run = [&](const void* a, const void* b, const void* c, void* d) {
    plan.run(a, b, c, d, workspace.device());
  };
  expect_error(invalid, {"a ", "null"}, [&] { run(nullptr, b(), c(), d()); });
  expect_error(invalid, {"b ", "null"}, [&] { run(a(), nullptr, c(), d()); });
  expect_error(invalid, {"c ", "null"}, [&] { run(a(), b(), nullptr, d()); });
  expect_error(invalid, {"d ", "null"}, [&] { run(a(), b(), c(), nullptr); });
  expect_error(invalid, {"a ", "multiple of 16"}, [&] { run(moved(a(), 8), b(), c(), d()); });
  expect_error(invalid, {"b ", "multiple of 16"}, [&] { run(a(), moved(b(), 2), c(), d()); });
  expect_error(invalid, {"c ", "multiple of 16"}, [&] { run(a(), b(), moved(c(), 4), d()); });
  expect_error(invalid, {"d ", "multiple of 16"}, [&] { run(a(), b(), c(), moved(d(), 1)); });
  expect_error(invalid, {"d ", "a"}, [&] { run(d(), b(), c(), d()); });
  expect_error(invalid, {"d ", "b"}, [&] { run(a(), d(), c(), d()); });
  expect_error(invalid, {"d ", "overlap c"}, [&] { run(a(), b(), moved(d(), 16), d()); });
  expect_error(invalid, {"d ", "overlap a"}, [&] { run(moved(d(), 64), b(), c(), d()); });
  if (plan.workspace_bytes() > 0) {
    expect_error(invalid, {"workspace", "null"}, [&] { plan.run(a(), b(), c(), d(), nullptr); });
    expect_error(invalid, {"workspace", "256"}, [&] { plan.run(a(), b(), c(), d(), workspace.device() + 16); });
  }
}

TEST_F(BadInput, PointersOfAnAddRun) {
  const ElementwisePlan plan(addition());
  const auto run = [&](const void* a, const void* b, void* d) {
    const void* in[] = {a, b};
    plan.run(in, &d);
  };
  expect_error(invalid, {"in[0] ", "null"}, [&] { run(nullptr, b(), d()); });
  expect_error(invalid, {"in[1] ", "null"}, [&] { run(a(), nullptr, d()); });
  expect_error(invalid, {"out[0] ", "null"}, [&] { run(a(), b(), nullptr); });
  expect_error(invalid, {"in[0] ", "multiple", "16"}, [&] { run(moved(a(), 4), b(), d()); });
  expect_error(invalid, {"in[1] ", "multiple", "16"}, [&] { run(a(), moved(b(), 8), d()); });
  expect_error(invalid, {"out[0] ", "multiple", "16"}, [&] { run(a(), b(), moved(d(), 4)); });
  expect_error(invalid, {"out[0] ", "overlap in[0]"}, [&] { run(moved(d(), 16), b(), d()); });
  expect_error(invalid, {"out[0] ", "overlap in[1]"}, [&] { run(a(), d(), d()); });
  expect_error(invalid, {"in ", "null"}, [&] { plan.run(nullptr, nullptr); });
}

// A stream of another device would run the kernel there. The message names both devices.
TEST_F(BadInput, StreamsOfAnotherDevice) {
  int count = 0;
  CKL_CHECK_CUDA(cudaGetDeviceCount(&count));
  if (count < 2) GTEST_SKIP() << "needs two GPUs, there is " << count;
  const GemmPlan gemm_plan(gemm_problem(gemm_arguments()), 0);
  const ElementwisePlan add_plan(addition(), 0);
  CKL_CHECK_CUDA(cudaSetDevice(1));
  {
    const ScopedStream elsewhere;
    CKL_CHECK_CUDA(cudaSetDevice(0));
    expect_error(invalid, {"stream", "device, 0", "device 1"},
                 [&] { gemm_plan.run(a(), b(), c(), d(), nullptr, elsewhere); });
    expect_error(invalid, {"stream", "device, 0", "device 1"}, [&] {
      const void* in[] = {a(), b()};
      void* out = d();
      add_plan.run(in, &out, elsewhere);
    });
    expect_error(invalid, {"stream", "device, 0", "device 1"}, [&] { gemm(gemm_arguments(), elsewhere); });
    // The default stream is that of the current device.
    CKL_CHECK_CUDA(cudaSetDevice(1));
    expect_error(invalid, {"stream", "device, 0", "device 1"}, [&] { gemm_plan.run(a(), b(), c(), d()); });
    CKL_CHECK_CUDA(cudaSetDevice(0));
  }
}

// A plan for another device than the current one runs there, and leaves the current one as it was.
TEST_F(BadInput, PlansRunOnTheirDevice) {
  int count = 0;
  CKL_CHECK_CUDA(cudaGetDeviceCount(&count));
  if (count < 2 || !supported(1)) GTEST_SKIP() << "needs two Hopper GPUs";
  const ElementwisePlan plan(addition(), 1);
  const Tensor d_of_plan = add_arguments().d;
  const std::int64_t elements = d_of_plan.sizes[0] * d_of_plan.sizes[1];
  EXPECT_EQ(plan.device(), 1);
  CKL_CHECK_CUDA(cudaSetDevice(1));
  {
    const ScopedStream stream;
    OperandBuffer x(DType::f32, {elements}, {1}), y(DType::f32, {elements}, {1}), sum(DType::f32, {elements}, {1});
    x.fill_with(1), y.fill_with(2);
    CKL_CHECK_CUDA(cudaSetDevice(0));
    const void* in[] = {x.device(), y.device()};
    void* out = sum.device();
    plan.run(in, &out, stream);
    int current = -1;
    CKL_CHECK_CUDA(cudaGetDevice(&current));
    EXPECT_EQ(current, 0);
    stream.synchronize();
    CKL_CHECK_CUDA(cudaSetDevice(1));
    sum.receive("the sum");
    for (std::int64_t i = 0; i < elements; ++i) ASSERT_EQ(reference::Numeric(DType::f32).read(sum.host(), i), 3) << i;
  }
  CKL_CHECK_CUDA(cudaSetDevice(0));
}

}  // namespace
}  // namespace ckl::test
