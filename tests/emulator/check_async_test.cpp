// The checker on mbarriers and asynchronous operations: each hazard by hand, and its correct twin.
#include "check_fixture.hpp"

namespace emu::check {
namespace {

class CheckAsync : public CheckFixture {};

TEST_F(CheckAsync, APipelineOfCopiesAndWgmmas) {
  const SharedAddress full = make_barrier(0), empty = make_barrier(8);
  sync();
  const async::Footprint stage = range(1024, 8192);
  for (int i = 0; i < 5; ++i) {
    if (i > 0) check.mbarrier_wait({4, 20}, empty);
    load(4, full, 1024, 8192, 21);
    for (std::uint32_t warp = 0; warp < 4; ++warp) check.mbarrier_wait({warp, 22}, full);
    wait_wgmma(wgmma(stage, 23));
    check.mbarrier_arrive({0, 24}, empty, 1, 1);
    check.mbarrier_complete(empty);
  }
  for (std::uint32_t warp = 0; warp < warps; ++warp) check.thread_exit({warp, 30}, ~0u);
  check.cta_exit(0, 30);
  expect_none();
}

TEST_F(CheckAsync, StageReleasedBeforeTheWgmmaHasRetired) {
  const SharedAddress full = make_barrier(0), empty = make_barrier(8);
  sync();
  load(4, full, 1024, 8192, 21);
  for (std::uint32_t warp = 0; warp < 4; ++warp) check.mbarrier_wait({warp, 22}, full);
  const Epoch epoch = wgmma(range(1024, 8192), 23);
  check.mbarrier_arrive({0, 24}, empty, 1, 1);  // before the wait
  check.mbarrier_complete(empty);
  wait_wgmma(epoch);
  check.mbarrier_wait({4, 20}, empty);
  load(4, full, 1024, 8192, 25);
  expect_one(Hazard::stage_overwritten, 25, 23,
             "issues a copy into shared memory 0x800, from which the wgmma that warp 0 of CTA (0,0,0) issued at "
             "k.cu:23 may still "
             "read: no wgmma.wait_group comes before");
}

TEST_F(CheckAsync, NoWaitOnTheFullBarrier) {
  const SharedAddress full = make_barrier();
  sync();
  load(4, full, 1024, 8192, 21);
  wgmma(range(1024, 8192), 23);
  expect_one(Hazard::copy_not_awaited, 23, 21,
             "issues a wgmma that reads shared memory 0x800, into which the copy that warp 4");
}

TEST_F(CheckAsync, OneWarpOfTheWarpgroupWaits) {
  const SharedAddress full = make_barrier();
  sync();
  load(4, full, 1024, 8192, 21);
  check.mbarrier_wait({2, 22}, full);
  wgmma(range(1024, 8192), 23);
  expect_none();
}

TEST_F(CheckAsync, WaitForTheWrongPhase) {
  // The parity of the phase before: the wait succeeds at once, before the copy's phase completes.
  const SharedAddress full = make_barrier();
  sync();
  check.mbarrier_wait({0, 22}, full);
  const Time phase = check.copy_to_shared({4, 21}, 0, range(1024, 256), full);
  check.copy_landed({4, 21}, full, phase, 256);
  check.read({0, 23}, {0, 1024}, 16);
  expect_one(Hazard::copy_not_awaited, 23, 21);
}

TEST_F(CheckAsync, GenericReadsOfCopiedData) {
  const SharedAddress full = make_barrier();
  sync();
  load(4, full, 1024, 8192, 21);
  check.mbarrier_wait({0, 22}, full);
  check.read({0, 23}, {0, 1024}, 128);
  expect_none();
  check.read({1, 24}, {0, 2048}, 128);
  expect_one(Hazard::copy_not_awaited, 24, 21);
}

TEST_F(CheckAsync, AStageThatIsStillReadIsRefilled) {
  const SharedAddress full = make_barrier();
  sync();
  load(4, full, 1024, 8192, 21);
  check.mbarrier_wait({0, 22}, full);
  check.mbarrier_wait({4, 22}, full);
  check.read({0, 23}, {0, 1024}, 128);
  load(4, full, 1024, 8192, 25);
  expect_one(Hazard::stage_overwritten, 25, 23);
}

TEST_F(CheckAsync, AStageIsRefilledWithoutAProxyFence) {
  const SharedAddress full = make_barrier();
  sync();
  load(4, full, 1024, 8192, 21);
  check.mbarrier_wait({0, 22}, full);
  check.read({0, 23}, {0, 1024}, 128);
  sync();
  load(4, full, 1024, 8192, 25);
  expect_one(Hazard::missing_proxy_fence, 25, 23,
             "issues a copy into shared memory 0x800, which warp 0 of CTA (0,0,0) read at k.cu:23 through the generic "
             "proxy, with no fence.proxy.async between");
}

TEST_F(CheckAsync, TheReadersFenceBeforeARefill) {
  const SharedAddress full = make_barrier();
  sync();
  for (int turn = 0; turn < 3; ++turn) {
    load(4, full, 1024, 8192, 21);
    for (std::uint32_t warp = 0; warp < 4; ++warp) {
      check.mbarrier_wait({warp, 22}, full);
      check.read({warp, 23}, {0, 1024 + 2048 * warp}, 128);
      check.fence({warp, 24}, Fence::proxy_async);
    }
    sync();
  }
  expect_none();
}

TEST_F(CheckAsync, ABulkStoreThatIsOverHidesNoRead) {
  const SharedAddress full = make_barrier();
  sync();
  load(4, full, 1024, 128, 21);
  check.mbarrier_wait({0, 22}, full);
  check.read({0, 23}, {0, 1024}, 128);
  check.completed({0, 25}, check.bulk_store({0, 24}, 0, 0, range(1024, 128)));
  sync();
  load(4, full, 1024, 128, 26);
  expect_one(Hazard::missing_proxy_fence, 26, 23);
}

TEST_F(CheckAsync, TransactionBytesTooFew) {
  const SharedAddress full = make_barrier();
  sync();
  check.mbarrier_arrive({4, 20}, full, 1, 1);
  const Time first = check.copy_to_shared({4, 21}, 0, range(1024, 256), full);
  const Time second = check.copy_to_shared({4, 22}, 0, range(2048, 256), full);
  check.copy_landed({4, 21}, full, first, 256);
  check.mbarrier_complete(full);  // the phase expected 256 bytes
  check.copy_landed({4, 22}, full, second, 256);
  expect_one(Hazard::transaction_bytes, 22, 3, "the phase expected too few bytes");
}

TEST_F(CheckAsync, TransactionBytesTooFewWithCopiesThatLandAtOnce) {
  const SharedAddress full = make_barrier();
  sync();
  check.mbarrier_arrive({4, 20}, full, 1, 1);
  const Time first = check.copy_to_shared({4, 21}, 0, range(1024, 256), full);
  check.copy_landed({4, 21}, full, first, 256);
  check.mbarrier_complete(full);
  const Time second = check.copy_to_shared({4, 22}, 0, range(2048, 256), full);
  check.copy_landed({4, 22}, full, second, 256);
  check.mbarrier_wait({0, 23}, full);
  check.read({0, 24}, {0, 1024}, 16);
  expect_none();
  check.read({0, 25}, {0, 2048}, 16);
  expect_one(Hazard::copy_not_awaited, 25, 22);
}

TEST_F(CheckAsync, BytesLeftAtExit) {
  const SharedAddress full = make_barrier();
  sync();
  load(4, full, 1024, 256, 21);
  check.mbarrier_wait({4, 22}, full);
  check.mbarrier_at_exit(full, -256, 30);
  expect_one(Hazard::transaction_bytes, 21, 30, "256 more bytes have arrived than were expected when the CTA exits");
}

TEST_F(CheckAsync, ACopyThatNobodyWaitsForAtExit) {
  const SharedAddress full = make_barrier();
  sync();
  load(4, full, 1024, 256, 21);
  check.cta_exit(0, 30);
  expect_one(Hazard::unfinished_at_exit, 21, 30, "issued a copy for which no thread of CTA (0,0,0) has waited");
}

TEST_F(CheckAsync, TooManyArrivals) {
  const SharedAddress full = make_barrier();
  sync();
  check.mbarrier_arrive({4, 20}, full, 2, 1);
  expect_one(Hazard::mbarrier_arrivals, 20, 3,
             "arrives 2 times at the mbarrier at shared memory 0x400, whose phase expects 1 more");
}

TEST_F(CheckAsync, AnMbarrierIsUsedBeforeItsInitializationIsVisible) {
  check.mbarrier_init({0, 3}, {0, 0});
  check.mbarrier_arrive({1, 10}, {0, 0}, 1, 1);
  expect_one(Hazard::mbarrier_not_visible, 10, 3, "and no barrier makes that visible");
}

TEST_F(CheckAsync, ACopyUsesAnMbarrierWithNoFenceAfterItsInitialization) {
  check.mbarrier_init({0, 3}, {0, 0});
  sync();
  check.copy_to_shared({4, 21}, 0, range(1024, 256), {0, 0});
  expect_one(Hazard::mbarrier_not_visible, 21, 3, "neither fence.mbarrier_init nor fence.proxy.async");
}

TEST_F(CheckAsync, AProxyFenceMakesAnMbarrierVisibleToo) {
  check.mbarrier_init({0, 3}, {0, 0});
  check.fence({0, 4}, Fence::proxy_async);
  sync();
  load(4, {0, 0}, 1024, 256, 21);
  check.mbarrier_wait({4, 22}, {0, 0});
  check.cta_exit(0, 30);
  expect_none();
}

TEST_F(CheckAsync, ARelaxedClusterBarrierAfterTheMbarrierFence) {
  start(2);
  const SharedAddress barrier = make_barrier(0, 1);
  cluster_sync(2, true);
  check.mbarrier_arrive({1, 10}, barrier, 1, 1);
  check.mbarrier_complete(barrier);
  check.mbarrier_wait({warps, 11}, barrier);
  check.cta_exit(1, 30);
  expect_none();
}

TEST_F(CheckAsync, ARelaxedClusterBarrierWithoutTheMbarrierFence) {
  start(2);
  check.mbarrier_init({warps, 3}, {1, 0});
  cluster_sync(2, true);
  check.mbarrier_arrive({1, 10}, {1, 0}, 1, 1);
  expect_one(Hazard::mbarrier_not_visible, 10, 3);
}

TEST_F(CheckAsync, ARemoteArrivalThatMayComeAfterTheExit) {
  start(2);
  const SharedAddress barrier = make_barrier(0, 1);
  cluster_sync(2);
  check.mbarrier_arrive({1, 10}, barrier, 1, 1);
  check.mbarrier_complete(barrier);
  check.cta_exit(1, 30);
  expect_one(Hazard::remote_cta, 10, 30, "which may have exited");
}

TEST_F(CheckAsync, NoMbarrierThere) {
  check.mbarrier_wait({0, 10}, {0, 64});
  expect_one(Hazard::mbarrier_invalid, 10, 0, "which is not initialized");
}

TEST_F(CheckAsync, AnMbarrierIsOverwritten) {
  make_barrier(64);
  check.write({0, 10}, {0, 68}, 4);
  expect_one(Hazard::mbarrier_invalid, 10, 3, "overwrites the mbarrier");
}

TEST_F(CheckAsync, AnMbarrierIsInitializedTwice) {
  make_barrier(64);
  check.mbarrier_init({0, 10}, {0, 64});
  expect_one(Hazard::mbarrier_invalid, 10, 3);
}

TEST_F(CheckAsync, InvalidatedMemoryIsOrdinaryAgain) {
  const SharedAddress barrier = make_barrier(64);
  sync();
  check.mbarrier_invalidate({0, 9}, barrier);
  check.write({0, 10}, {0, 64}, 8);
  sync();
  check.mbarrier_init({1, 11}, barrier);
  expect_none();
}

TEST_F(CheckAsync, GenericWriteThenBulkStoreWithoutAProxyFence) {
  check.write({1, 10}, {0, 1024}, 128);
  sync();
  check.bulk_store({0, 12}, 0, 0, range(1024, 128));
  expect_one(Hazard::missing_proxy_fence, 12, 10,
             "issues a bulk store from shared memory 0x800, which warp 1 of CTA (0,0,0) wrote at k.cu:10 through the "
             "generic proxy, "
             "with no fence.proxy.async between");
}

TEST_F(CheckAsync, TheWriterFences) {
  check.write({1, 10}, {0, 1024}, 128);
  check.fence({1, 11}, Fence::proxy_async);
  sync();
  check.completed({0, 13}, check.bulk_store({0, 12}, 0, 0, range(1024, 128)));
  check.thread_exit({0, 14}, ~0u);
  expect_none();
}

TEST_F(CheckAsync, TheIssuerFences) {
  check.write({1, 10}, {0, 1024}, 128);
  sync();
  check.fence({0, 11}, Fence::proxy_async);
  check.bulk_store({0, 12}, 0, 0, range(1024, 128));
  expect_none();
}

TEST_F(CheckAsync, AFenceBeforeTheWriteDoesNotCount) {
  check.fence({1, 9}, Fence::proxy_async);
  check.write({1, 10}, {0, 1024}, 128);
  sync();
  check.bulk_store({0, 12}, 0, 0, range(1024, 128));
  expect_one(Hazard::missing_proxy_fence, 12, 10);
}

TEST_F(CheckAsync, WgmmaReadsGenericWrites) {
  check.write({1, 10}, {0, 1024}, 128);
  sync();
  wgmma(range(1024, 128), 12);
  expect_one(Hazard::missing_proxy_fence, 12, 10);
}

TEST_F(CheckAsync, ABulkStoreAndNoFence) {
  check.write({1, 10}, {0, 1024}, 128);
  check.fence({1, 11}, Fence::proxy_async);
  check.bulk_store({0, 12}, 0, 0, range(1024, 128));
  expect_one(Hazard::race, 12, 10);
}

TEST_F(CheckAsync, SharedMemoryIsOverwrittenWhileABulkStoreReads) {
  check.write({0, 10}, {0, 1024}, 128);
  check.fence({0, 11}, Fence::proxy_async);
  const Epoch first = check.bulk_store({0, 12}, 0, 0, range(1024, 128));
  check.write({0, 13}, {0, 1024}, 16);  // by the issuer itself
  expect_one(Hazard::stage_overwritten, 13, 12, "no cp.async.bulk.wait_group comes before");
  check.completed({0, 14}, first);
}

TEST_F(CheckAsync, OnlyTheIssuersWaitFreesTheSource) {
  check.write({0, 10}, {0, 1024}, 128);
  check.fence({0, 11}, Fence::proxy_async);
  check.completed({0, 13}, check.bulk_store({0, 12}, 0, 0, range(1024, 128)));
  sync();
  check.write({1, 14}, {0, 1024}, 16);
  expect_none();
}

TEST_F(CheckAsync, ExitWithABulkStoreUnread) {
  check.write({0, 10}, {0, 1024}, 128);
  check.fence({0, 11}, Fence::proxy_async);
  check.bulk_store({0, 12}, 5, 0, range(1024, 128));
  check.thread_exit({0, 14}, 0xf);
  expect_none();
  check.thread_exit({0, 15}, 0xf0);
  expect_one(Hazard::unfinished_at_exit, 15, 12,
             "exits with no cp.async.bulk.wait_group[.read] for the bulk store issued at k.cu:12");
}

TEST_F(CheckAsync, ExitWithAWgmmaInFlight) {
  check.write({0, 10}, {0, 1024}, 128);
  check.fence({0, 11}, Fence::proxy_async);
  wgmma(range(1024, 128), 12);
  check.thread_exit({0, 15}, ~0u);
  expect_one(Hazard::unfinished_at_exit, 15, 12);
}

TEST_F(CheckAsync, CpAsync) {
  std::uint32_t offsets[32];
  for (std::uint32_t i = 0; i < 32; ++i) offsets[i] = 1024 + 16 * i;
  const Epoch epoch = check.cp_async({0, 10}, 0, ~0u, offsets, 16);
  check.completed({0, 11}, epoch);
  sync();
  check.read({1, 12}, {0, 1024}, 128);
  expect_none();
  check.cp_async({0, 13}, 0, 1, offsets + 8, 16);
  check.read({0, 14}, {0, 1152}, 16);
  expect_one(Hazard::copy_not_awaited, 14, 13, "no cp.async.wait_group");
}

TEST_F(CheckAsync, CpAsyncOnAnMbarrier) {
  const SharedAddress full = make_barrier();
  sync();
  const std::uint32_t offset = 1024;
  check.cp_async({0, 10}, 0, 1, &offset, 16);
  check.cp_async_arrive({0, 11}, full, 1);
  check.mbarrier_complete(full);
  check.mbarrier_wait({1, 12}, full);
  check.read({1, 13}, {0, 1024}, 16);
  expect_none();
}

TEST_F(CheckAsync, CopiesWithinTheCluster) {
  start(2);
  const SharedAddress full = make_barrier(0, 1);
  cluster_sync();
  check.write({0, 10}, {0, 1024}, 256);
  check.fence({0, 11}, Fence::proxy_async);
  check.copy_from_shared({0, 12}, 0, range(1024, 256), full);
  const Time phase = check.copy_to_shared({0, 12}, 1, range(2048, 256), full);
  check.copy_landed({0, 12}, full, phase, 256);
  check.mbarrier_complete(full);
  check.mbarrier_wait({warps, 13}, full);
  check.read({warps, 14}, {1, 2048}, 256);
  expect_none();
  check.write({0, 15}, {0, 1024}, 16);  // the source: CTA 0 has not waited
  expect_one(Hazard::stage_overwritten, 15, 12);
}

TEST_F(CheckAsync, TheSourceOfACopyExits) {
  start(2);
  const SharedAddress full = make_barrier(0, 1);
  cluster_sync();
  check.write({0, 10}, {0, 1024}, 256);
  check.fence({0, 11}, Fence::proxy_async);
  check.copy_from_shared({0, 12}, 0, range(1024, 256), full);
  check.copy_to_shared({0, 12}, 1, range(2048, 256), full);
  check.cta_exit(0, 30);
  expect_one(Hazard::unfinished_at_exit, 12, 30);
}

TEST_F(CheckAsync, TwoCopiesIntoTheSameStage) {
  const SharedAddress full = make_barrier();
  sync();
  check.copy_to_shared({4, 20}, 0, range(1024, 256), full);
  check.copy_to_shared({4, 21}, 0, range(1152, 256), full);
  expect_one(Hazard::stage_overwritten, 21, 20, "into which the copy");
}

TEST_F(CheckAsync, WgmmaOfUninitializedMemory) {
  wgmma(range(1024, 128), 12);
  expect_one(Hazard::uninitialized_read, 12, 0, "issues a wgmma that reads uninitialized");
}

}  // namespace
}  // namespace emu::check
