// The bench's bare launch must be the very launch that it is compared with.

#include <gtest/gtest.h>

#include "bench/timer/bare_launch.hpp"
#include "device_test.hpp"
#include "gemm_data.hpp"

namespace ckl::test {
namespace {

class BareLaunch : public DeviceTest {};

TEST_F(BareLaunch, GivesTheSameResult) {
  for (const GemmCase& gemm : {dense_gemm("aligned", "", 200, 264, 136), dense_gemm("padded", "", 131, 67, 75)}) {
    SCOPED_TRACE(gemm.name);
    GemmData data(gemm);
    const GemmPlan plan(data.problem());
    Workspace workspace(plan.workspace_bytes());
    const bench::Launch launch = [&](std::size_t, cudaStream_t stream) {
      plan.run(data.a().device(), data.b().device(), nullptr, data.d().device(), workspace.device(), stream);
    };
    const bench::Launch bare = bench::bare_launch_of(launch);
    ASSERT_TRUE(bare);
    data.expect();
    const ScopedStream stream;
    bare(0, stream);
    stream.synchronize();
    data.check();
  }
}

// What is not kernels alone has no bare launch, and what launches nothing neither.
TEST_F(BareLaunch, IsOfKernelsAlone) {
  OperandBuffer buffer(DType::f32, {4}, {1});
  EXPECT_FALSE(bench::bare_launch_of(
      [&](std::size_t, cudaStream_t stream) { CKL_CHECK_CUDA(cudaMemsetAsync(buffer.device(), 0, 16, stream)); }));
  EXPECT_FALSE(bench::bare_launch_of([](std::size_t, cudaStream_t) {}));
}

}  // namespace
}  // namespace ckl::test
