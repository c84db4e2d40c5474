// What GEMM promises beyond the numbers: what it does not read, determinism, threads, NaN and infinity.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "cases/gemm_cases.hpp"
#include "device_test.hpp"
#include "expect_error.hpp"
#include "gemm_data.hpp"

namespace ckl::test {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

class GemmBehaviour : public DeviceTest {};

/// A problem whose operands TMA loads as they lie, one whose operands get a padded copy, one that is gathered, and one whose K clusters
/// share.
std::vector<GemmCase> all_paths() {
  return {dense_gemm("aligned", "", 200, 264, 136), dense_gemm("padded", "", 131, 67, 75),
          dense_gemm("gathered", "", 20, 12, 9), dense_gemm("summed", "", 136, 200, 264)};
}

/// A plan of one of them. What is to be gathered has to be forced: the library pads whatever it can. So has what has not been measured.
GemmPlan plan_of(const GemmCase& gemm, const GemmProblem& problem) {
  std::string config;
  for (const std::string& candidate : gemm_candidates(problem, device_info(0)))
    if ((gemm.name == "gathered" && candidate.ends_with("_gather")) ||
        (gemm.name == "summed" && candidate.find("_1x1x8_") != std::string::npos))
      config = candidate;
  return GemmPlan(problem, 0, config);
}

TEST_F(GemmBehaviour, TakesAllPaths) {
  const auto config = [](const GemmCase& gemm) { return plan_of(gemm, problem_of(gemm)).config(); };
  const std::vector<GemmCase> paths = all_paths();
  EXPECT_EQ(config(paths[0]).find("_pad"), std::string::npos) << config(paths[0]);
  EXPECT_NE(config(paths[1]).find("_padab"), std::string::npos) << config(paths[1]);
  EXPECT_NE(config(paths[2]).find("_gather"), std::string::npos) << config(paths[2]);
  EXPECT_NE(config(paths[3]).find("_1x1x8_"), std::string::npos) << config(paths[3]);
}

// GemmData leaves A and B NaN when alpha is 0, and C null when beta is 0, so the case list covers that. Here the
// pointers of A and B are null too, and C is given but full of NaN.
TEST_F(GemmBehaviour, AlphaZeroNeverReadsAAndB) {
  for (GemmCase gemm : all_paths()) {
    SCOPED_TRACE(gemm.name);
    gemm.alpha = 0, gemm.beta = 2;
    GemmData data(gemm);
    data.expect();
    data.run(plan_of(gemm, data.problem()));
    data.check();
  }
}

TEST_F(GemmBehaviour, BetaZeroNeverReadsC) {
  for (GemmCase gemm : all_paths()) {
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
    const GemmPlan plan = plan_of(gemm, data.problem());
    Workspace workspace(plan.workspace_bytes());
    plan.run(data.a().device(), data.b().device(), data.d().device(), data.d().device(), workspace.device());
    data.check();
  }
}

TEST_F(GemmBehaviour, NaNAndInfinityPropagateAsIEEESays) {
  for (GemmCase gemm : all_paths()) {
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
      run_and_check(data, plan_of(gemm, data.problem()));
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
  for (GemmCase gemm : all_paths()) {
    SCOPED_TRACE(gemm.name);
    if (!short_list()) gemm = dense_gemm(gemm.name, "", 1000 + gemm.m, 1000 + gemm.n, 2000 + gemm.k);
    gemm.out = DType::f32, gemm.beta = 1;
    GemmData data(gemm);
    const GemmPlan plan = plan_of(gemm, data.problem());
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

// Plans may share a workspace: a padded copy must not lie where another plan's flags are.
TEST_F(GemmBehaviour, PlansOfDifferentKindsShareAWorkspace) {
  GemmData aligned(dense_gemm("aligned", "", 200, 264, 1000)), odd(dense_gemm("odd", "", 131, 67, 75));
  const std::vector<std::string> configs = gemm_candidates(aligned.problem(), device_info(0));
  const auto cut = std::find_if(configs.begin(), configs.end(), [](const std::string& config) {
    return config.ends_with("_sk") || config.ends_with("_splitk");
  });
  ASSERT_NE(cut, configs.end());
  const GemmPlan cuts(aligned.problem(), -1, *cut), pads(odd.problem());
  ASSERT_GT(pads.workspace_bytes(), 0u) << pads.config();
  Workspace workspace(std::max(cuts.workspace_bytes(), pads.workspace_bytes()));
  aligned.expect();
  odd.expect();
  for (int round = 0; round < 2; ++round) {
    odd.reset();
    aligned.reset();
    pads.run(odd.a().device(), odd.b().device(), nullptr, odd.d().device(), workspace.device());
    cuts.run(aligned.a().device(), aligned.b().device(), nullptr, aligned.d().device(), workspace.device());
    odd.check();
    aligned.check();
  }
}

/// The bytes of the rows that a plan for `m` rows leaves in D, from row `first` of `data` on.
std::vector<std::byte> rows_of_d(GemmData& data, std::int64_t first, std::int64_t m, std::string_view config = {}) {
  GemmProblem problem = data.problem();
  const std::int64_t row_bytes = problem.n * std::int64_t(size_of(problem.d.dtype));
  problem.m = m;
  problem.batch_invariant = config.empty();
  problem.a.alignment = 2;  // of any row
  while (problem.a.alignment < 16 && first * problem.k * 2 % (2 * problem.a.alignment) == 0) problem.a.alignment *= 2;
  problem.d.alignment = 4;
  const GemmPlan plan(problem, -1, config);
  Workspace workspace(plan.workspace_bytes());
  data.reset();
  const std::byte* a = data.a().device() + first * problem.k * 2;
  std::byte* d = data.d().device() + first * row_bytes;
  plan.run(a, data.b().device(), nullptr, d, workspace.device());
  const std::vector<std::byte> all = data.d().download();
  return {all.begin() + first * row_bytes, all.begin() + (first + m) * row_bytes};
}

// A row of D is the same bits in a batch of any size and at any place in it. Odd sizes too: the rows then pass through a copy.
TEST_F(GemmBehaviour, BatchInvariantRowsAreTheSameForEveryM) {
  constexpr std::int64_t most = 1024;
  std::vector<std::int64_t> sizes = {1, 2, 8, 17, 64, 65, 129, 300};
  if (!short_list()) {
    sizes.resize(most);
    std::iota(sizes.begin(), sizes.end(), 1);
  }
  for (const std::int64_t k : {520, 521}) {
    GemmCase gemm = dense_gemm("", "", short_list() ? 300 : most, 24, k);
    gemm.out = DType::f32;
    GemmData data(gemm);
    const std::vector<std::byte> all = rows_of_d(data, 0, gemm.m);
    const std::int64_t row_bytes = gemm.n * 4;
    for (const std::int64_t m : sizes)
      for (const std::int64_t first : {std::int64_t(0), gemm.m - m}) {
        const std::vector<std::byte> expected(all.begin() + first * row_bytes, all.begin() + (first + m) * row_bytes);
        EXPECT_TRUE(rows_of_d(data, first, m) == expected) << "k " << k << ", m " << m << " from row " << first;
      }
  }
}

// Neither do they depend on the config: whatever may be chosen gives the same bits. What cuts K gives others, so that a choice
// of those would be noticed.
TEST_F(GemmBehaviour, BatchInvariantConfigsGiveTheSameBits) {
  GemmCase gemm = dense_gemm("", "", 72, 136, 1032);
  gemm.out = DType::f32;
  GemmData data(gemm);
  GemmProblem problem = data.problem();
  const std::vector<std::byte> expected = rows_of_d(data, 0, gemm.m);
  int different = 0;
  for (const std::string& config : gemm_candidates(problem, device_info(0)))
    if (config.ends_with("_splitk")) {
      different += rows_of_d(data, 0, gemm.m, config) != expected;
      if (short_list()) break;
    }
  EXPECT_GT(different, 0);
  problem.batch_invariant = true;
  expect_error(ErrorCode::invalid_argument, {"config", "_1x1x8_"},
               [&] { GemmPlan(problem, -1, "bf16_tn_64x64x64_1x1x8_s12_coopn"); });
  for (const std::string& config : gemm_candidates(problem, device_info(0)))
    EXPECT_TRUE(rows_of_d(data, 0, gemm.m, config) == expected) << config;
}

TEST_F(GemmBehaviour, OnePlanServesManyThreadsAtOnce) {
  for (GemmCase gemm : all_paths()) {
    SCOPED_TRACE(gemm.name);
    gemm.beta = 1;
    constexpr int thread_count = 4;
    std::vector<std::unique_ptr<GemmData>> data;  // the same inputs in different memory
    for (int i = 0; i < thread_count; ++i) data.push_back(std::make_unique<GemmData>(gemm));
    const GemmPlan plan = plan_of(gemm, data[0]->problem());
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
  for (const GemmCase& gemm : all_paths()) {
    SCOPED_TRACE(gemm.name);
    GemmData first(gemm), second(gemm);
    second.a().fill(17);
    second.b().fill(18);
    const GemmPlan plan = plan_of(gemm, first.problem());
    run_and_check(first, plan);
    run_and_check(second, plan);
    const GemmPlan copy = plan;
    first.reset();
    run_and_check(first, copy);
  }
}

}  // namespace
}  // namespace ckl::test
