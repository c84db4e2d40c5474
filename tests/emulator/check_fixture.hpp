#pragma once

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "check/checker.hpp"

namespace emu::check {

/// A cluster whose events a test writes by hand. Places are numbers: 120 is "k.cu:120".
class CheckFixture : public ::testing::Test {
 protected:
  static constexpr std::uint32_t warps = 8, shared_bytes = 64 * 1024;

  void start(std::uint32_t ctas = 1) {
    std::vector<std::array<std::uint32_t, 3>> indices;
    for (std::uint32_t i = 0; i < ctas; ++i) indices.push_back({i, 0, 0});
    check.start_cluster({.ctas = ctas, .warps_per_cta = warps, .shared_bytes = shared_bytes}, indices);
  }
  void SetUp() override { start(); }

  static async::Footprint range(std::uint32_t offset, std::uint32_t bytes) {
    async::Footprint footprint;
    async::append_range(footprint, offset, bytes);
    return footprint;
  }
  /// __syncthreads() of warps [first, first + count) of a CTA.
  void sync(std::uint32_t first = 0, std::uint32_t count = warps, std::uint32_t cta = 0, std::uint32_t barrier = 0) {
    for (std::uint32_t i = 0; i < count; ++i) check.barrier_arrive({cta * warps + first + i, 1}, cta, barrier);
    check.barrier_complete(cta, barrier);
    for (std::uint32_t i = 0; i < count; ++i) check.barrier_leave({cta * warps + first + i, 1}, cta, barrier);
  }
  void cluster_sync(std::uint32_t ctas = 2, bool relaxed = false) {
    for (std::uint32_t i = 0; i < ctas * warps; ++i) check.cluster_arrive({i, 2}, relaxed);
    check.cluster_complete();
    for (std::uint32_t i = 0; i < ctas * warps; ++i) check.cluster_leave({i, 2});
  }
  /// An initialized mbarrier that everybody of CTA 0 may use.
  SharedAddress make_barrier(std::uint32_t offset = 0, std::uint32_t cta = 0) {
    check.mbarrier_init({cta * warps, 3}, {cta, offset});
    check.fence({cta * warps, 4}, Fence::mbarrier_init);
    return {cta, offset};
  }
  /// A bulk load by `warp`, and its phase's end.
  void load(std::uint32_t warp, SharedAddress barrier, std::uint32_t offset, std::uint32_t bytes, std::uint32_t where) {
    check.mbarrier_arrive({warp, where}, barrier, 1, 1);
    const Time phase = check.copy_to_shared({warp, where}, barrier.cta, range(offset, bytes), barrier);
    check.copy_landed({warp, where}, barrier, phase, bytes);
    check.mbarrier_complete(barrier);
  }
  /// A wgmma of the warpgroup of warps 0 to 3.
  Epoch wgmma(const async::Footprint& source, std::uint32_t where) {
    Knowledge issue;
    for (std::uint32_t warp = 0; warp < 4; ++warp) check.wgmma_issue({warp, where}, issue);
    return check.wgmma({0, where}, 0, 0, issue, source);
  }
  void wait_wgmma(Epoch epoch) {
    for (std::uint32_t warp = 0; warp < 4; ++warp) check.completed({warp, 9}, epoch);
  }

  std::string all() const {
    std::string text;
    for (const Report& report : reports.reports()) text += report.text + "\n";
    return text;
  }
  void expect_none() { EXPECT_TRUE(reports.empty()) << all(); }
  /// Exactly one report, of `hazard`, at `where` against `other`, whose text contains `part`.
  void expect_one(Hazard hazard, std::uint32_t where, std::uint32_t other, const std::string& part = "") {
    ASSERT_EQ(reports.reports().size(), 1u) << all();
    const Report report = reports.reports()[0];
    EXPECT_EQ(name_of(report.hazard), std::string(name_of(hazard))) << all();
    EXPECT_EQ(report.where, where) << all();
    EXPECT_EQ(report.other_where, other) << all();
    EXPECT_NE(report.text.find(part), std::string::npos) << all();
  }

  Reports reports{1000};
  Checker check{reports, {"kernel", [](std::uint32_t where) { return "k.cu:" + std::to_string(where); }, 1024}};
};

}  // namespace emu::check
