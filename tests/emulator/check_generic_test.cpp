// The checker on generic accesses: each hazard on a sequence of events made by hand, and its correct twin.
#include "check_fixture.hpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "check/registers.hpp"

namespace emu::check {
namespace {

class CheckGeneric : public CheckFixture {};

TEST_F(CheckGeneric, WriteThenReadNeedsABarrier) {
  check.write({1, 10}, {0, 256}, 4);
  check.read({2, 11}, {0, 256}, 4);
  expect_one(
      Hazard::race, 11, 10,
      "k.cu:11: kernel: warp 2 of CTA (0,0,0) reads shared memory 0x500, which warp 1 of CTA (0,0,0) wrote at k.cu:10");
}

TEST_F(CheckGeneric, BarriersOrder) {
  check.write({1, 10}, {0, 256}, 4);
  sync();
  check.read({2, 11}, {0, 256}, 4);
  sync();
  check.write({3, 12}, {0, 256}, 4);
  expect_none();
}

TEST_F(CheckGeneric, ReadThenWriteNeedsABarrier) {
  check.write({1, 10}, {0, 256}, 4);
  sync();
  check.read({2, 11}, {0, 256}, 4);
  check.read({4, 11}, {0, 256}, 4);
  check.write({3, 12}, {0, 256}, 4);
  expect_one(Hazard::race, 12, 11, "writes");
}

TEST_F(CheckGeneric, TwoWritesRace) {
  check.write({1, 10}, {0, 256}, 4);
  check.write({2, 11}, {0, 256}, 4);
  expect_one(Hazard::race, 11, 10);
}

TEST_F(CheckGeneric, AHazardIsSeenInAnyOrder) {
  // Warp 2 passes a barrier that warp 1, which writes later in this schedule, does not take part in.
  check.write({0, 9}, {0, 256}, 4);
  sync();
  check.read({2, 11}, {0, 256}, 4);
  check.write({1, 10}, {0, 256}, 4);
  expect_one(Hazard::race, 10, 11);
}

TEST_F(CheckGeneric, NeighbouringBytesAreNoRace) {
  for (std::uint32_t warp = 0; warp < warps; ++warp) {
    check.write({warp, 10}, {0, 256 + 4 * warp}, 4);
    check.write({warp, 11}, {0, 512 + warp}, 1);
  }
  for (std::uint32_t warp = 0; warp < warps; ++warp) check.read({warp, 12}, {0, 256 + 4 * warp}, 4);
  sync();
  check.read({0, 13}, {0, 256}, 32);
  check.read({0, 14}, {0, 512}, 8);
  expect_none();
}

TEST_F(CheckGeneric, PartialSumsWithoutABarrier) {
  // warp_sums[warp] = x; the first warp reads all: found although its own write came last.
  for (std::uint32_t warp = warps; warp-- > 0;) check.write({warp, 10}, {0, 256 + 4 * warp}, 4);
  check.read({0, 13}, {0, 256}, 32);
  expect_one(Hazard::race, 13, 10);
}

TEST_F(CheckGeneric, LanesOfAWarp) {
  std::uint32_t offsets[32];
  for (std::uint32_t i = 0; i < 32; ++i) offsets[i] = 1024 + 132 * i;  // a padded column
  check.write_lanes({0, 10}, 0, ~0u, offsets, 4);
  check.read_lanes({0, 11}, 0, ~0u, offsets, 4);
  expect_none();
  check.read_lanes({1, 12}, 0, 1u << 31, offsets, 4);
  expect_one(Hazard::race, 12, 10);
}

TEST_F(CheckGeneric, OtherNamedBarriersDoNotOrder) {
  check.write({1, 10}, {0, 256}, 4);
  sync(0, 2, 0, 1);  // warps 0 and 1
  sync(2, 2, 0, 2);  // warps 2 and 3
  check.read({0, 11}, {0, 256}, 4);
  expect_none();
  check.read({2, 12}, {0, 256}, 4);
  expect_one(Hazard::race, 12, 10);
}

TEST_F(CheckGeneric, ArriveAndSyncAsProducerAndConsumer) {
  check.write({0, 10}, {0, 256}, 4);
  check.barrier_arrive({0, 11}, 0, 3);
  check.write({0, 12}, {0, 260}, 4);  // after the arrival
  check.barrier_arrive({1, 13}, 0, 3);
  check.barrier_complete(0, 3);
  check.barrier_leave({1, 13}, 0, 3);
  check.read({1, 14}, {0, 256}, 4);
  expect_none();
  check.read({1, 15}, {0, 260}, 4);
  expect_one(Hazard::race, 15, 12);
}

TEST_F(CheckGeneric, UninitializedReads) {
  check.write({0, 10}, {0, 256}, 4);
  check.read({0, 11}, {0, 256}, 8);
  expect_one(Hazard::uninitialized_read, 11, 0, "reads uninitialized shared memory 0x504");
}

TEST_F(CheckGeneric, MemoryOfTheLastClusterIsForgotten) {
  check.write({1, 10}, {0, 256}, 4);
  start();
  check.write({2, 11}, {0, 256}, 4);
  expect_none();
  start();
  check.read({2, 12}, {0, 256}, 4);
  expect_one(Hazard::uninitialized_read, 12, 0);
}

TEST_F(CheckGeneric, ReleaseAndAcquireOrder) {
  check.write({1, 10}, {0, 256}, 4);
  check.strong_write({1, 11}, 64, Order::release);
  check.strong_read({2, 12}, 64, Order::acquire);
  check.read({2, 13}, {0, 256}, 4);
  expect_none();
}

TEST_F(CheckGeneric, RelaxedNeedsFencesOnBothSides) {
  check.write({1, 10}, {0, 256}, 4);
  check.fence({1, 11}, Fence::memory);
  check.strong_write({1, 12}, 64, Order::relaxed);
  check.strong_read({2, 13}, 64, Order::relaxed);
  check.fence({2, 14}, Fence::memory);
  check.read({2, 15}, {0, 256}, 4);
  expect_none();
  check.strong_read({3, 13}, 64, Order::relaxed);
  check.read({3, 16}, {0, 256}, 4);
  expect_one(Hazard::race, 16, 10);
}

TEST_F(CheckGeneric, RelaxedWriteWithoutAFence) {
  check.write({1, 10}, {0, 256}, 4);
  check.strong_write({1, 12}, 64, Order::relaxed);
  check.strong_read({2, 13}, 64, Order::acquire);
  check.read({2, 15}, {0, 256}, 4);
  expect_one(Hazard::race, 15, 10);
}

TEST_F(CheckGeneric, AtomicsDoNotRaceWithEachOther) {
  check.write({0, 9}, {0, 256}, 4);
  sync();
  for (std::uint32_t warp = 0; warp < warps; ++warp) check.write({warp, 10}, {0, 256}, 4, Strength::strong);
  expect_none();
  check.read({3, 11}, {0, 256}, 4);
  expect_one(Hazard::race, 11, 10);
}

TEST_F(CheckGeneric, AtomicsThenABarrier) {
  check.write({0, 9}, {0, 256}, 4);
  sync();
  for (std::uint32_t warp = 0; warp < warps; ++warp) check.write({warp, 10}, {0, 256}, 4, Strength::strong);
  sync();
  check.read({3, 11}, {0, 256}, 4);
  expect_none();
}

TEST_F(CheckGeneric, ClustersShareMemoryAfterAClusterBarrier) {
  start(2);
  cluster_sync();
  check.write({1, 10}, {1, 256}, 4);
  cluster_sync();
  check.read({warps, 11}, {1, 256}, 4);
  cluster_sync();
  check.cta_exit(0, 20);
  check.cta_exit(1, 20);
  expect_none();
}

TEST_F(CheckGeneric, ARelaxedClusterBarrierDoesNotOrder) {
  start(2);
  cluster_sync();
  check.write({1, 10}, {1, 256}, 4);
  cluster_sync(2, true);
  check.read({warps, 11}, {1, 256}, 4);
  expect_one(Hazard::race, 11, 10, "which warp 1 of CTA (0,0,0) wrote at k.cu:10");
}

TEST_F(CheckGeneric, RemoteMemoryBeforeTheClusterHasStarted) {
  start(2);
  check.write({1, 10}, {1, 256}, 4);
  expect_one(Hazard::remote_cta, 10, 0, "which is not known to have started");
}

TEST_F(CheckGeneric, RemoteMemoryOfACtaThatHasExited) {
  start(2);
  cluster_sync();
  check.cta_exit(1, 20);
  check.read({1, 10}, {1, 256}, 4);
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.reports()[0].hazard, Hazard::remote_cta);
}

TEST_F(CheckGeneric, RemoteWriteThatNothingOrdersBeforeTheExit) {
  start(2);
  cluster_sync();
  check.write({1, 10}, {1, 256}, 4);
  check.cta_exit(1, 20);
  expect_one(Hazard::remote_cta, 10, 20, "accesses shared memory 0x500 of CTA (1,0,0), which may have exited");
}

TEST_F(CheckGeneric, ARelaxedClusterBarrierKeepsACtaFromExiting) {
  start(2);
  cluster_sync();
  check.write({1, 10}, {1, 256}, 4);
  cluster_sync(2, true);
  check.cta_exit(1, 20);
  expect_none();
}

TEST_F(CheckGeneric, LongHistoriesAreForgotten) {
  for (std::uint32_t i = 0; i < 100000; ++i) {
    check.write({i % 8, 10 + i % 7}, {0, 256 + i % 32 * 128}, 128);
    check.write({i % 8, 20}, {0, 8192 + i % 8 * 4}, 4);
    sync();
  }
  expect_none();
  check.write({0, 30}, {0, 256}, 128);
  check.read({1, 31}, {0, 260}, 4);
  expect_one(Hazard::race, 31, 30);
}

TEST_F(CheckGeneric, EachPairOfPlacesIsReportedOnce) {
  for (std::uint32_t i = 0; i < 100; ++i) {
    check.write({1, 10}, {0, 256 + 16 * i}, 4);
    check.read({2, 11}, {0, 256 + 16 * i}, 4);
  }
  expect_one(Hazard::race, 11, 10);
}

TEST(CheckRegisters, InFlight) {
  RegistersInFlight registers;
  const SlotSet d = {1, 2, 130}, a = {5}, nothing;
  EXPECT_TRUE(registers.empty());
  registers.issue(0, d, a, 10);
  registers.issue(1, d, nothing, 11);
  EXPECT_TRUE(registers.conflicts_with_read(130));
  EXPECT_TRUE(registers.conflicts_with_read(2));
  EXPECT_TRUE(registers.conflicts_with_write(2));
  EXPECT_FALSE(registers.conflicts_with_read(5));
  EXPECT_TRUE(registers.conflicts_with_write(5));
  EXPECT_FALSE(registers.conflicts_with_write(6));
  registers.retire(1);
  EXPECT_TRUE(registers.conflicts_with_read(2));
  EXPECT_FALSE(registers.conflicts_with_write(5));
  EXPECT_EQ(registers.where(), 11u);
  registers.retire(2);
  EXPECT_TRUE(registers.empty());
  EXPECT_FALSE(registers.conflicts_with_write(2));
}

TEST(CheckRegisters, Unfenced) {
  UnfencedRegisters registers;
  const SlotSet d = {1, 2, 130}, a = {5};
  EXPECT_EQ(registers.find(d, a, 10), 10u);  // there must be one fence before the first wgmma
  registers.write(5, 11);
  registers.fence();
  EXPECT_EQ(registers.find(d, a, 10), std::nullopt);
  registers.write(6, 12);
  EXPECT_EQ(registers.find(d, a, 10), std::nullopt);
  registers.write(130, 13);
  EXPECT_EQ(registers.find(d, a, 10), 13u);
  registers.fence();
  EXPECT_EQ(registers.find(d, a, 10), std::nullopt);
}

/// Not a test: CKL_EMU_BENCH=1 prints what a check costs.
TEST_F(CheckGeneric, Speed) {
  if (!std::getenv("CKL_EMU_BENCH")) GTEST_SKIP() << "CKL_EMU_BENCH is not set";
  const auto measure = [&](const char* name, auto event) {
    const std::clock_t begin = std::clock();
    constexpr int rounds = 50000;
    for (int i = 0; i < rounds; ++i) event(static_cast<std::uint32_t>(i));
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    std::printf("%s: %.1f ns\n", name, 1e9 * seconds / rounds);
  };
  measure("write 128 bytes", [&](std::uint32_t i) { check.write({0, 1}, {0, 1024 + i % 64 * 128}, 128); });
  measure("read 128 bytes", [&](std::uint32_t i) { check.read({0, 1}, {0, 1024 + i % 64 * 128}, 128); });
  std::uint32_t offsets[32];
  for (std::uint32_t i = 0; i < 32; ++i) offsets[i] = 16384 + i * 128;
  measure("write 32 lanes in 32 lines", [&](std::uint32_t) { check.write_lanes({0, 1}, 0, ~0u, offsets, 16); });
  const SharedAddress barrier = make_barrier();
  sync();
  measure("arrive and wait", [&](std::uint32_t) {
    check.mbarrier_arrive({0, 1}, barrier, 1, 1);
    check.mbarrier_complete(barrier);
    check.mbarrier_wait({0, 1}, barrier);
  });
  const async::Footprint box = range(32768, 16384);
  measure("stage of 16 KB: copy, wait, wgmma, wait", [&](std::uint32_t i) {
    sync();  // the last round's reads
    load(0, barrier, 32768, 16384, 10);
    for (std::uint32_t warp = 0; warp < 4; ++warp) check.mbarrier_wait({warp, 11}, barrier);
    wait_wgmma(wgmma(box, 12));
    (void)i;
  });
  expect_none();
}

}  // namespace
}  // namespace emu::check
