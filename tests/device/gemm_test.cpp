// GEMM against the oracle: every problem of the shared case list, and every shipped config.

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cases/gemm_cases.hpp"
#include "device_test.hpp"
#include "gemm_data.hpp"

namespace ckl::test {
namespace {

class GemmCases : public DeviceTest, public ::testing::WithParamInterface<GemmCase> {};

INSTANTIATE_TEST_SUITE_P(List, GemmCases, ::testing::ValuesIn(gemm_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(GemmCases, MatchesTheReference) {
  GemmData data(GetParam());
  run_and_check(data, GemmPlan(data.problem()));
}

class GemmOneLine : public GemmCases {};

INSTANTIATE_TEST_SUITE_P(List, GemmOneLine, ::testing::ValuesIn(gemm_cases(short_list())),
                         [](const auto& parameter) { return parameter.param.name; });

// The one-line call finds the plan and the workspace itself; the result is the plan's, bit by bit.
TEST_P(GemmOneLine, GivesThePlansBits) {
  const GemmCase& gemm = GetParam();
  if (gemm.m * gemm.n * gemm.k > std::int64_t(1) << 28) GTEST_SKIP() << "too large to be worth a second run";
  GemmData data(gemm);
  data.run(GemmPlan(data.problem()));
  const std::vector<std::byte> by_plan = data.d().download();
  data.reset();
  ckl::gemm(data.arguments());
  EXPECT_EQ(data.d().download(), by_plan);
}

/// What the configs of one type and layout are named after.
struct ConfigFamily {
  DType in;
  bool a_by_rows, b_by_rows;

  std::string name() const { return std::string(ckl::name(in)) + (a_by_rows ? "_t" : "_n") + (b_by_rows ? "t" : "n"); }
};

std::vector<ConfigFamily> config_families() {
  std::vector<ConfigFamily> families;
  for (const DType in : {DType::bf16, DType::f16})
    for (const bool a_by_rows : {true, false})
      for (const bool b_by_rows : {true, false}) families.push_back({in, a_by_rows, b_by_rows});
  return families;
}

/// Problems that between them can be served by every config of a family.
std::vector<GemmCase> config_problems(const ConfigFamily& family) {
  std::vector<GemmCase> cases;
  for (const DType out : {DType::bf16, DType::f16, DType::f32})
    for (const char* d : {"d_row", "d_column", "d_odd"}) {
      // No multiple of a tile in any direction, more than one tile of most in each; strides that TMA takes.
      GemmCase gemm = dense_gemm("", "a config by name", 328, 456, 200);
      gemm.in = family.in, gemm.out = out;
      gemm.a = family.a_by_rows ? row_major(gemm.k) : column_major(gemm.m);
      gemm.b = family.b_by_rows ? row_major(gemm.n) : column_major(gemm.k);
      gemm.d = d == std::string("d_row")      ? row_major(gemm.n)
               : d == std::string("d_column") ? column_major(gemm.m)
                                              : row_major(gemm.n, 1);
      gemm.c = gemm.d;
      gemm.name = family.name() + "_" + name(out) + "_" + d;
      cases.push_back(gemm);
    }
  return cases;
}

/// The sizes at which each config runs: what a kernel's loops could trip over. The strides stay those of the largest.
struct Sizes3 {
  std::int64_t m, n, k;
  float betas[2];  // the first one is the short list's
};
constexpr Sizes3 config_sizes[] = {
    {328, 456, 200, {1, 0}},  // no multiple of a tile, more than one of most tiles
    {321, 449, 193, {1, 0}},  // odd: partial vectors at every edge
    {328, 456, 64, {0, 1}},   // a single k-tile: the loop's prologue and epilogue meet
    {8, 8, 8, {1, 0}},        // one tile, nearly all of it outside
    {72, 136, 1032, {1, 0}},  // few tiles and a deep K: split-K has something to split
};

// The chooser takes few of the configs for such shapes; here each is made to run, on every problem that it serves.
// (In the short list: on the first that it serves, at each size; and once where nothing is loaded into what a D that TMA cannot
// store is staged in, so that a stray read of it shows.)
class GemmConfigs : public DeviceTest, public ::testing::WithParamInterface<ConfigFamily> {};

INSTANTIATE_TEST_SUITE_P(Families, GemmConfigs, ::testing::ValuesIn(config_families()),
                         [](const auto& parameter) { return parameter.param.name(); });

TEST_P(GemmConfigs, EveryConfigMatchesTheReference) {
  static std::set<std::pair<std::string, std::int64_t>> seen;  // a column-major D is of another family
  for (GemmCase gemm : config_problems(GetParam()))
    for (const Sizes3& sizes : config_sizes)
      for (const float beta : sizes.betas) {
        gemm.m = sizes.m, gemm.n = sizes.n, gemm.k = sizes.k, gemm.beta = beta;
        std::vector<std::string> configs = gemm_candidates(problem_of(gemm), device_info(0));
        ASSERT_FALSE(configs.empty()) << gemm.name;
        const bool all = !short_list();
        const bool by_elements = gemm.name.ends_with("d_odd") && beta == 0 && &sizes == config_sizes;
        const std::int64_t kind = by_elements ? 0 : gemm.k;
        std::erase_if(configs, [&](const std::string& config) { return !seen.emplace(config, kind).second && !all; });
        if (configs.empty()) continue;

        GemmData data(gemm);
        data.expect();
        for (const std::string& config : configs) {
          SCOPED_TRACE(config + " on " + data.problem().to_string());
          const GemmPlan plan(data.problem(), 0, config);
          EXPECT_EQ(plan.config(), config);
          data.reset();
          data.run(plan);
          data.check();
        }
      }
  EXPECT_GT(seen.size(), 1u);
}

// What swapped kernels do otherwise than the others: they store tiles transposed, every type of D, by TMA and by elements, with C and
// without it. Odd sizes, so that tiles and boxes end within the matrix.
TEST_F(DeviceTest, SwappedConfigsStoreEveryKindOfD) {
  int runs = 0;
  for (const ConfigFamily& family : config_families())
    for (GemmCase gemm : config_problems(family)) {
      if (short_list() && gemm.in != DType::bf16) continue;
      for (const float beta : {0.0f, -0.5f}) {
        gemm.m = 152, gemm.n = 200, gemm.k = 72, gemm.beta = beta;
        std::vector<std::string> configs = gemm_candidates(problem_of(gemm), device_info(0));
        std::erase_if(configs, [](const std::string& config) { return !config.ends_with("_swap"); });
        if (configs.empty()) continue;
        GemmData data(gemm);
        data.expect();
        for (const std::string& config : configs) {
          SCOPED_TRACE(config + " on " + data.problem().to_string());
          ++runs;
          data.reset();
          data.run(GemmPlan(data.problem(), 0, config));
          data.check();
        }
      }
    }
  EXPECT_GT(runs, 0);
}

/// Products whose tiles each of their configs cuts along K among the CTAs of a cluster, and then among clusters; D and C of every kind.
std::vector<GemmCase> cluster_sum_problems() {
  std::vector<GemmCase> cases;
  const auto add = [&](const char* name, std::int64_t m, std::int64_t n, std::int64_t k, auto change) {
    cases.push_back(dense_gemm(name, "a cluster that shares K", m, n, k));
    change(cases.back());
  };
  add("k_of_one_tile", 72, 136, 64, [](GemmCase& g) { g.out = DType::f32; });  // most CTAs multiply zeros
  add("k_tail", 72, 136, 200, [](GemmCase& g) { g.in = g.out = DType::f16, g.beta = 0.5f, g.alpha = -2; });
  add("many_tiles", 456, 776, 136, [](GemmCase&) {});                              // several a cluster, in turn
  add("deep", 40, 72, 4168, [](GemmCase& g) { g.out = DType::f32, g.beta = 1; });  // splits for every cluster size
  add("deep_d_odd", 65, 71, 4168, [](GemmCase& g) { g.d = g.c = row_major(g.n, 1, 3), g.beta = 1, g.in_place = true; });
  add("d_column_major", 72, 136, 1032, [](GemmCase& g) { g.d = g.c = column_major(g.m), g.beta = 1; });
  add("padded_operands", 65, 71, 1031, [](GemmCase& g) { g.in = DType::f16, g.out = DType::f32; });
  return cases;
}

TEST_F(DeviceTest, SumsOfAClusterMatchTheReference) {
  int whole = 0, split = 0;
  for (const GemmCase& gemm : cluster_sum_problems()) {
    GemmData data(gemm);
    data.expect();
    for (const std::string& config : gemm_candidates(data.problem(), device_info(0))) {
      if (config.find("_1x1x") == std::string::npos) continue;
      SCOPED_TRACE(gemm.name + " by " + config);
      ++(config.find("_splitk") == std::string::npos ? whole : split);
      data.reset();
      data.run(GemmPlan(data.problem(), 0, config));
      data.check();
    }
  }
  EXPECT_GT(whole, 0);
  EXPECT_GT(split, 0);
}

// An operand that TMA cannot load is copied or gathered; the chooser takes one of the two, here each does its part, with every way
// to divide the work.
TEST_F(DeviceTest, UnalignedOperandsArePaddedOrGathered) {
  int padded = 0, gathered = 0;
  for (const GemmCase& gemm : gemm_extremes()) {
    if (!gemm.quick() || gemm.m * gemm.n * gemm.k == 0 || gemm.alpha == 0) continue;
    std::set<std::string> kinds;
    for (const std::string& name : gemm_candidates(problem_of(gemm), device_info(0))) {
      const std::size_t at = name.find("_pad");
      const bool gathers = name.find("_gather") != std::string::npos;
      if (at == std::string::npos && !gathers) break;  // TMA loads both
      const bool stream_k = name.find("_sk") != std::string::npos, split_k = name.find("_splitk") != std::string::npos;
      const std::string kind = (gathers ? "gather" : name.substr(at)) + (stream_k ? "_sk" : split_k ? "_splitk" : "");
      if (!kinds.insert(kind).second) continue;
      SCOPED_TRACE(gemm.name + " by " + name);
      ++(gathers ? gathered : padded);
      GemmData data(gemm);
      run_and_check(data, GemmPlan(data.problem(), 0, name));
    }
  }
  EXPECT_GE(padded, 20);
  EXPECT_GE(gathered, 20);
}

}  // namespace
}  // namespace ckl::test
