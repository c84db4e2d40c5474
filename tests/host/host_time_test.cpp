// What a launch costs the host beyond the launch: the calls of the CUDA runtime, and the library's own time. With a runtime that does
// nothing, so that no GPU is needed and nothing else is measured.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>

#include "cases/gemm_cases.hpp"
#include "ckl/ckl.hpp"
#include "fake_runtime.hpp"

namespace ckl::test {
namespace {

using Calls = std::map<std::string, int>;

/// Addresses that nobody touches.
void* address(std::uint64_t gigabytes) { return reinterpret_cast<void*>(gigabytes << 30); }

/// A product whose operands lie at addresses of their own.
struct Product {
  GemmArguments arguments;
  GemmPlan plan;

  explicit Product(std::int64_t k, std::int64_t m = 1024)
      : arguments{Tensor::row_major(address(1), DType::bf16, m, k),
                  Tensor::column_major(address(2), DType::bf16, k, 4096),
                  Tensor::row_major(address(3), DType::bf16, m, 4096)},
        plan(gemm_problem(arguments)) {}

  void run() const { plan.run(address(1), address(2), nullptr, address(3), address(4)); }
};

template <class Work> Calls calls_of(const Work& work) {
  fake_calls().clear();
  counting_fake_calls = true;
  work();
  counting_fake_calls = false;
  return fake_calls();
}

/// Nanoseconds of one call: the least of many series, since whoever else uses the machine can only make one longer.
template <class Work> double nanoseconds(const Work& work) {
  constexpr int calls = 200;
  double least = 1e9;
  for (int series = 0; series < 200; ++series) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) work();
    least = std::min(least, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
  }
  return least / calls;
}

TEST(HostTime, APlanOnlyLaunches) {
  const Product aligned(4096);
  ASSERT_EQ(aligned.plan.workspace_bytes(), 0u) << aligned.plan.config();
  EXPECT_EQ(calls_of([&] { aligned.run(); }), (Calls{{"cuTensorMapReplaceAddress", 3}, {"cudaLaunchKernelExC", 1}}));
  const Product odd(4097);
  EXPECT_NE(odd.plan.config().find("_padab"), std::string::npos);
  EXPECT_EQ(calls_of([&] { odd.run(); }), (Calls{{"cuTensorMapReplaceAddress", 3}, {"cudaLaunchKernelExC", 2}}));
}

TEST(HostTime, TheOneLineCallOnlyLaunchesToo) {
  const Product aligned(4096);
  gemm(aligned.arguments);  // plans
  EXPECT_EQ(calls_of([&] { gemm(aligned.arguments); }),
            (Calls{{"cuTensorMapReplaceAddress", 3}, {"cudaLaunchKernelExC", 1}}));
  // A small workspace is kept by the stream; zeros are written once.
  const Calls asking{{"cudaStreamGetCaptureInfo", 1}, {"cudaStreamGetId", 1}};
  const auto with_asking = [&](Calls calls) { return calls.insert(asking.begin(), asking.end()), calls; };
  const Tensor x = Tensor::contiguous(address(1), DType::f32, {1 << 20}),
               y = Tensor::contiguous(address(3), DType::f32, {1});
  const ReduceArguments sum{ReduceOp::sum, x, y};
  reduce(sum);
  EXPECT_EQ(calls_of([&] { reduce(sum); }), with_asking({{"cudaLaunchKernelExC", 1}}));
  // A large one comes from the stream's pool.
  const Product odd(4097);
  ASSERT_EQ(odd.plan.config().find("_sk"), std::string::npos);
  gemm(odd.arguments);
  EXPECT_EQ(
      calls_of([&] { gemm(odd.arguments); }),
      (Calls{
          {"cuTensorMapReplaceAddress", 3}, {"cudaLaunchKernelExC", 2}, {"cudaMallocAsync", 1}, {"cudaFreeAsync", 1}}));
}

// The bounds are the documented ones, 1 and 2 microseconds beyond a bare launch, which costs nothing here; what the driver takes
// for three descriptors is not in them, so that half is left to it.
TEST(HostTime, TheLibrarysOwnPartIsShort) {
  const Product aligned(4096), odd(4097);
  gemm(aligned.arguments);
  for (std::int64_t m = 1; m <= 60; ++m) gemm(Product(4096, m).arguments);  // the cache holds others as well
  const double run = nanoseconds([&] { aligned.run(); }), padded = nanoseconds([&] { odd.run(); });
  const double one_line = nanoseconds([&] { gemm(aligned.arguments); });
  RecordProperty("run_ns", std::to_string(run));
  RecordProperty("one_line_ns", std::to_string(one_line));
  std::printf("run %.0f ns, with padded copies %.0f ns, one-line call %.0f ns\n", run, padded, one_line);
  EXPECT_LT(run, 500);
  EXPECT_LT(padded, 750);
  EXPECT_LT(one_line, 1000);
}

}  // namespace
}  // namespace ckl::test
