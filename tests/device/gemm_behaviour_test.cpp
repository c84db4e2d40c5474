// What GEMM promises beyond the numbers: what it does not read, determinism, threads, NaN and infinity.

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "cases/gemm_cases.hpp"
#include "device_test.hpp"
#include "gemm_data.hpp"

namespace ckl::test {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

class GemmBehaviour : public DeviceTest {};

/// A problem for the kernels with TMA, and one for that without.
std::vector<GemmCase> both_paths() {
  GemmCase aligned = dense_gemm("aligned", "", 200, 264, 136), odd = dense_gemm("odd", "", 131, 67, 35);
  return {aligned, odd};
}

// GemmData leaves A and B NaN when alpha is 0, and C null when beta is 0, so the case list covers that. Here the
// pointers of A and B are null too, and C is given but full of NaN.
TEST_F(GemmBehaviour, AlphaZeroNeverReadsAAndB) {
  for (GemmCase gemm : both_paths()) {
    SCOPED_TRACE(gemm.name);
    gemm.alpha = 0, gemm.beta = 2;
    GemmData data(gemm);
    data.expect();
    data.run(GemmPlan(data.problem()));
    data.check();
  }
}

TEST_F(GemmBehaviour, BetaZeroNeverReadsC) {
  for (GemmCase gemm : both_paths()) {
    SCOPED_TRACE(gemm.name);
    GemmData data(gemm);
    OperandBuffer c(gemm.out, {gemm.m, gemm.n}, {gemm.c.row_stride, gemm.c.column_stride});  // all NaN
    GemmArguments arguments = data.arguments();
    arguments.c = c.tensor();
    data.expect();
    ckl::gemm(arguments);
    data.check();
    c.expect_unchanged("C");

    // D itself may be handed over as C, poisoned as it is.
    data.reset();
    const GemmPlan plan(data.problem());
    Workspace workspace(plan.workspace_bytes());
    plan.run(data.a().device(), data.b().device(), data.d().device(), data.d().device(), workspace.device());
    data.check();
  }
}

TEST_F(GemmBehaviour, NaNAndInfinityPropagateAsIEEESays) {
  for (GemmCase gemm : both_paths()) {
    for (const DType out : {DType::bf16, DType::f32}) {
      SCOPED_TRACE(gemm.name + " " + name(out));
      gemm.out = out, gemm.beta = 0.5f;
      GemmData data(gemm);
      data.a().set({3, 0}, nan);
      data.a().set({5, gemm.k - 1}, infinity);  // row 5 becomes infinite, signs as in B's last row
      data.b().set({gemm.k - 1, 2}, 0);         // but 0 * infinity is NaN
      data.b().set({1, 7}, -infinity);
      data.a().set({gemm.m - 1, 1}, 0);
      data.c().set({0, 0}, nan);
      data.c().set({gemm.m - 1, gemm.n - 1}, infinity);
      data.c().set({5, 3}, infinity);  // meets row 5's infinity: the same or NaN
      run_and_check(data, GemmPlan(data.problem()));
    }
  }
}

// NaN times a zero scale is not NaN: a zero switches the term off.
TEST_F(GemmBehaviour, ZeroScalarsSilenceNaN) {
  GemmCase gemm = dense_gemm("", "", 64, 64, 64);
  gemm.alpha = 0, gemm.beta = 1;
  GemmData data(gemm);
  data.expect();
  data.run(GemmPlan(data.problem()));
  const std::vector<std::byte> copied = data.d().download();
  EXPECT_EQ(copied, data.c().download()) << "D = 1 * C is a copy";
  data.check();
}

// A race between a load and a store of the pipeline, or an order of summation that depends on timing, shows as a
// difference sooner or later.
TEST_F(GemmBehaviour, RunsAreBitIdentical) {
  const int runs = short_list() ? 5 : 100;
  for (GemmCase gemm : both_paths()) {
    SCOPED_TRACE(gemm.name);
    if (!short_list()) gemm = dense_gemm(gemm.name, "", 1000 + gemm.m, 1000 + gemm.n, 2000 + gemm.k);
    gemm.out = DType::f32, gemm.beta = 1;
    GemmData data(gemm);
    const GemmPlan plan(data.problem());
    data.run(plan);
    const std::vector<std::byte> first = data.d().download();
    for (int run = 1; run < runs; ++run) {
      data.reset();
      data.run(plan);
      ASSERT_EQ(data.d().download(), first) << "run " << run;
    }
  }
}

// Cut tiles pass through the workspace: each run leaves it ready for the next, and sums in the same order.
TEST_F(GemmBehaviour, CutTilesLeaveTheWorkspaceReady) {
  const GemmCase gemm =
      dense_gemm("cut", "a few tiles and a long K, so that several clusters share a tile", 200, 264, 1000);
  GemmData data(gemm);
  data.expect();
  int cut = 0;
  for (const std::string& config : gemm_candidates(data.problem(), device_info(0))) {
    const GemmPlan plan(data.problem(), -1, config);
    if (plan.workspace_bytes() == 0) continue;
    SCOPED_TRACE(config);
    ++cut;
    Workspace workspace(plan.workspace_bytes());
    std::vector<std::byte> first;
    for (int run = 0; run < (short_list() ? 3 : 100); ++run) {
      data.reset();
      plan.run(data.a().device(), data.b().device(), nullptr, data.d().device(), workspace.device());
      if (run == 0) first = data.d().download();
      ASSERT_EQ(data.d().download(), first) << "run " << run;
    }
    data.check();
  }
  EXPECT_GT(cut, 0);
}

TEST_F(GemmBehaviour, OnePlanServesManyThreadsAtOnce) {
  for (GemmCase gemm : both_paths()) {
    SCOPED_TRACE(gemm.name);
    gemm.beta = 1;
    constexpr int thread_count = 4;
    std::vector<std::unique_ptr<GemmData>> data;  // the same inputs in different memory
    for (int i = 0; i < thread_count; ++i) data.push_back(std::make_unique<GemmData>(gemm));
    const GemmPlan plan(data[0]->problem());
    data[0]->run(plan);
    const std::vector<std::byte> expected = data[0]->d().download();
    data[0]->reset();

    std::vector<std::vector<std::byte>> results(thread_count);
    on_threads(thread_count, [&](int i) {
      const ScopedStream stream;
      Workspace workspace(plan.workspace_bytes());
      for (int run = 0; run < (short_list() ? 3 : 50); ++run)
        plan.run(data[i]->a().device(), data[i]->b().device(), data[i]->c_device(), data[i]->d().device(),
                 workspace.device(), stream);
      stream.synchronize();
      results[i] = data[i]->d().download();
    });
    for (int i = 0; i < thread_count; ++i) EXPECT_TRUE(results[i] == expected) << "thread " << i;
  }
}

// The cache of the one-line call's plans is filled, read and overwritten by several threads.
TEST_F(GemmBehaviour, OneLineCallsWorkFromManyThreads) {
  constexpr int thread_count = 4;
  std::vector<std::unique_ptr<GemmData>> data;
  for (int i = 0; i < thread_count; ++i) {
    data.push_back(std::make_unique<GemmData>(dense_gemm("", "", 64, 72, 8 * (i + 1))));
    data.back()->expect();
  }
  on_threads(thread_count, [&](int i) {
    const ScopedStream stream;
    for (int run = 0; run < 10; ++run) ckl::gemm(data[i]->arguments(), stream);
    stream.synchronize();
  });
  for (const auto& each : data) each->check();
}

// More different problems than the cache of the one-line calls can hold: what it dropped is made again.
TEST_F(GemmBehaviour, OneLineCallsOutliveTheirCache) {
  for (int round = 0; round < 2; ++round)
    for (std::int64_t n = 1; n <= 80; ++n) {
      GemmData data(dense_gemm("", "", 3, n, 5));
      data.expect();
      ckl::gemm(data.arguments());
      data.check();
      ASSERT_FALSE(HasFailure()) << "n = " << n;
    }
}

// The plan holds no pointers: with other operands it computes another product.
TEST_F(GemmBehaviour, APlanServesOtherPointers) {
  for (const GemmCase& gemm : both_paths()) {
    SCOPED_TRACE(gemm.name);
    GemmData first(gemm), second(gemm);
    second.a().fill(17);
    second.b().fill(18);
    const GemmPlan plan(first.problem());
    run_and_check(first, plan);
    run_and_check(second, plan);
    const GemmPlan copy = plan;
    first.reset();
    run_and_check(first, copy);
  }
}

}  // namespace
}  // namespace ckl::test
