#include <bit>
#include <utility>
#include <vector>

#include "machine/mbarrier.hpp"
#include "machine/state.hpp"

// What lets waiting groups go on.
namespace emu::machine {

void complete_transactions(const SharedLocation& barrier, std::uint32_t bytes) {
  std::byte* at = barrier.cta->shared.data() + barrier.offset;
  Mbarrier state = Mbarrier::load(at);
  state.transactions -= static_cast<std::int32_t>(bytes);
  const bool completes = state.complete();
  state.store(at);
  check::Checker* checker = barrier.cta->cluster->checker.get();
  if (completes && checker) checker->mbarrier_complete(shared_address_of(barrier));
}

void complete_if_full(Cta& cta, NamedBarrier& barrier) {
  const std::uint32_t expected = barrier.expected ? barrier.expected : cta.live_warps * 32;
  if (barrier.arrived == 0 || barrier.arrived < expected) return;
  barrier.arrived = barrier.expected = 0;
  barrier.result_votes = std::exchange(barrier.votes, 0);
  barrier.result_voters = std::exchange(barrier.voters, 0);
  ++barrier.completed;
  if (cta.cluster->checker)
    cta.cluster->checker->barrier_complete(cta.rank, static_cast<std::uint32_t>(&barrier - cta.barriers.data()));
}

void complete_cluster_if_full(Cluster& cluster) {
  if (cluster.arrived_threads == 0 || cluster.arrived_threads < cluster.live_threads) return;
  cluster.arrived_threads = 0;
  ++cluster.barrier_completed;
  if (cluster.checker) cluster.checker->cluster_complete();
}

void exit_lanes(Warp& warp, std::uint32_t lanes, std::uint32_t where) {
  Cta& cta = *warp.cta;
  Cluster& cluster = *cta.cluster;
  check::Checker* checker = cluster.checker.get();
  if (checker) checker->thread_exit(site_of(warp, where), lanes);
  warp.live &= ~lanes;
  cluster.live_threads -= static_cast<std::uint32_t>(std::popcount(lanes));
  const auto exits = [lanes](const BulkStore& store) { return (lanes >> store.lane & 1) != 0; };
  for (BulkStore& store : warp.bulk_stores)
    if (exits(store)) store.finish();
  std::erase_if(warp.bulk_stores, exits);
  if (warp.live == 0) {
    --cta.live_warps;
    cta.free_registers += warp.registers_per_thread * 32;
    for (NamedBarrier& barrier : cta.barriers) complete_if_full(cta, barrier);
    if (cta.live_warps == 0 && checker) {
      for (const std::uint32_t offset : cta.mbarriers)
        checker->mbarrier_at_exit({cta.rank, offset}, Mbarrier::load(cta.shared.data() + offset).transactions, where);
      checker->cta_exit(cta.rank, where);
    }
  }
  complete_cluster_if_full(cluster);
}

void run_wgmmas(Cta& cta, Warpgroup& warpgroup, std::uint64_t upto) {
  while (warpgroup.completed < upto && !warpgroup.groups.empty() && warpgroup.groups.front().warps == 4) {
    const auto warp = static_cast<std::size_t>(&warpgroup - cta.warpgroups.data()) * 4;
    async::WgmmaRegisters registers;
    for (std::size_t w = 0; w < 4; ++w) registers.files[w] = cta.warps[warp + w].registers;
    for_runs(warpgroup.groups.front().wgmmas, [&](const WgmmaSite& site, std::span<const async::WgmmaStep> steps) {
      registers.accumulators = site.accumulators;
      async::execute(site.kind, steps, registers, cta.shared);
    });
    warpgroup.complete_first();
  }
}

}  // namespace emu::machine
