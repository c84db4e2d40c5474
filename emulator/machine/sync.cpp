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
  state.complete();
  state.store(at);
}

void complete_if_full(Cta& cta, NamedBarrier& barrier) {
  const std::uint32_t expected = barrier.expected ? barrier.expected : cta.live_warps * 32;
  if (barrier.arrived == 0 || barrier.arrived < expected) return;
  barrier.arrived = barrier.expected = 0;
  barrier.result_votes = std::exchange(barrier.votes, 0);
  barrier.result_voters = std::exchange(barrier.voters, 0);
  ++barrier.completed;
}

void complete_cluster_if_full(Cluster& cluster) {
  if (cluster.arrived_threads == 0 || cluster.arrived_threads < cluster.live_threads) return;
  cluster.arrived_threads = 0;
  ++cluster.barrier_completed;
}

void exit_lanes(Warp& warp, std::uint32_t lanes) {
  Cta& cta = *warp.cta;
  warp.live &= ~lanes;
  cta.cluster->live_threads -= static_cast<std::uint32_t>(std::popcount(lanes));
  for (std::uint32_t rest = lanes; rest; rest &= rest - 1)
    for (BulkStore& store : warp.bulk_stores[std::countr_zero(rest)]) {
      if (!store.has_read) store.read();
      store.write();
    }
  for (std::uint32_t rest = lanes; rest; rest &= rest - 1) warp.bulk_stores[std::countr_zero(rest)].clear();
  if (warp.live == 0) {
    --cta.live_warps;
    for (NamedBarrier& barrier : cta.barriers) complete_if_full(cta, barrier);
  }
  complete_cluster_if_full(*cta.cluster);
}

void run_wgmmas(Cta& cta, Warpgroup& warpgroup, std::uint64_t upto) {
  while (warpgroup.completed < upto && !warpgroup.groups.empty() && warpgroup.groups.front().warps == 4) {
    const std::vector<PendingWgmma>& steps = warpgroup.groups.front().steps;
    const auto first = static_cast<std::size_t>(&warpgroup - cta.warpgroups.data()) * 4;
    async::WgmmaRegisters registers;
    for (std::size_t w = 0; w < 4; ++w) registers.files[w] = cta.warps[first + w].registers;
    std::vector<async::WgmmaStep> run;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      run.push_back(steps[i].step);
      // Steps of one kind on the same accumulators are executed in one call.
      const bool goes_on = i + 1 < steps.size() && steps[i + 1].site->kind == steps[i].site->kind &&
                           steps[i + 1].site->accumulators == steps[i].site->accumulators;
      if (goes_on) continue;
      registers.accumulators = steps[i].site->accumulators;
      async::execute(steps[i].site->kind, run, registers, cta.shared);
      run.clear();
    }
    warpgroup.groups.pop_front();
    ++warpgroup.completed;
  }
}

}  // namespace emu::machine
