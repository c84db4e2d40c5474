#include "report/profile.hpp"

#include <gtest/gtest.h>

namespace ckl::bench {
namespace {

constexpr const char* ncu_output = R"(==PROF== Connected to process 1
"ID","Kernel Name","gpu__time_duration.sum","sm__pipe_tensor_op_hmma_cycles_active.avg.pct_of_peak_sustained_active","gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed","lts__t_sector_hit_rate.pct","smsp__average_warps_issue_stalled_wait_per_issue_active.ratio","smsp__average_warps_issue_stalled_gmma_per_issue_active.ratio"
"","","ns","%","%","%","inst","inst"
"0","ckl_gemm_x","1,462,000","91.5","20.25","71","0.5","3.25"
)";

TEST(Profile, ReadsWhatNcuPrints) {
  const std::vector<Counters> kernels = parse_ncu_csv(ncu_output);
  ASSERT_EQ(kernels.size(), 1u);
  const Profile profile = profile_of(kernels[0]);
  EXPECT_EQ(profile.kernel, "ckl_gemm_x");
  EXPECT_DOUBLE_EQ(profile.microseconds, 1462);
  EXPECT_DOUBLE_EQ(profile.tensor_pct, 91.5);
  EXPECT_DOUBLE_EQ(profile.dram_pct, 20.25);
  EXPECT_DOUBLE_EQ(profile.l2_hit_pct, 71);
  EXPECT_DOUBLE_EQ(profile.l2_pct, -1) << "not among the counters";
  ASSERT_EQ(profile.stalls.size(), 2u);
  EXPECT_EQ(profile.stalls[0].first, "gmma");
}

TEST(Profile, FindsNothingInOtherText) { EXPECT_TRUE(parse_ncu_csv("==ERROR== no kernels\n").empty()); }

TEST(Bottleneck, NamesTheBusyUnit) {
  EXPECT_NE(bottleneck(profile_of(parse_ncu_csv(ncu_output)[0])).find("bound by arithmetic"), std::string::npos);
  Profile memory;
  memory.dram_pct = 90;
  EXPECT_NE(bottleneck(memory).find("bound by memory"), std::string::npos);
  Profile waiting;
  waiting.stalls = {{"barrier", 4}};
  EXPECT_NE(bottleneck(waiting).find("most of all by `barrier`"), std::string::npos);
}

}  // namespace
}  // namespace ckl::bench
