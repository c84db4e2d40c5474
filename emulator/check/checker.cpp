#include "check/checker.hpp"

#include <algorithm>
#include <utility>

#include "check/checker_state.hpp"

namespace emu::check {

// ---- State ----

void CheckerState::collect() {
  std::vector<std::uint32_t> marks(operations.size());
  for (const CtaState& cta : ctas) cta.shadow.mark(marks);
  operations.compact(marks);
  for (CtaState& cta : ctas) cta.shadow.renumber(marks);
}

void CheckerState::meet(Site site, std::uint32_t cta, std::uint32_t line, ByteMask bytes, const Judge& judge,
                        const LineResult& result) {
  if (result.overlaps_mbarriers) {
    for (const auto& [offset, index] : ctas[cta].mbarriers) {
      const MbarrierState& barrier = mbarriers[index];
      if (offset / 128 != line || !barrier.live) continue;
      if ((bytes & ByteMask::of_range(offset % 128, 8)).empty()) continue;
      report(Hazard::mbarrier_invalid, site, barrier.init_where, [&] {
        return "overwrites the mbarrier at " + memory_name(cta_of(site.warp), barrier.at) + ", initialized at " +
               place(barrier.init_where) + " and not invalidated";
      });
    }
  }
  if (!result.uninitialized.empty()) {
    report(Hazard::uninitialized_read, site, 0, [&] {
      return std::string(doing(judge.self())) + " uninitialized " +
             memory_name(cta_of(site.warp), {cta, line * 128 + result.uninitialized.first()});
    });
  }
  if (result.conflict.kind != Conflict::Kind::none) report_conflict(site, cta, line, judge.self(), result.conflict);
}

void CheckerState::touch_range(Site site, SharedAddress at, std::uint32_t bytes, const Operation& operation) {
  Judge judge(operations, add(operation), warps[site.warp].known);
  Shadow& shadow = ctas[at.cta].shadow;
  Shadow::Memo memo;
  for (std::uint32_t end = at.offset + bytes; at.offset < end;) {
    const std::uint32_t first = at.offset % 128, count = std::min(128 - first, end - at.offset);
    const ByteMask mask = count == 128 ? ByteMask::all() : ByteMask::of_range(first, count);
    const LineResult result = shadow.access(at.offset / 128, mask, judge, memo);
    if (!result.is_clean()) meet(site, at.cta, at.offset / 128, mask, judge, result);
    at.offset += count;
  }
}

void CheckerState::touch_lanes(Site site, std::uint32_t cta, std::uint32_t lanes, const std::uint32_t* offsets,
                               std::uint32_t bytes, const Operation& operation) {
  Judge judge(operations, add(operation), warps[site.warp].known);
  Shadow& shadow = ctas[cta].shadow;
  Shadow::Memo memo;
  // Neighbouring lanes mostly share a line: `part_of` is what a lane touches of it, `access` tells the shadow of them all.
  const auto for_lines = [&](auto none, auto part_of, auto access) {
    std::uint32_t line = offsets[__builtin_ctz(lanes)] / 128;
    auto part = none;
    for (std::uint32_t rest = lanes; rest; rest &= rest - 1) {
      const std::uint32_t offset = offsets[__builtin_ctz(rest)];
      if (offset / 128 != line) {
        access(line, part);
        line = offset / 128;
        part = none;
      }
      part = part | part_of(offset % 128);
    }
    access(line, part);
  };
  if (bytes % 16 == 0) {
    const std::uint32_t units = (1u << bytes / 16) - 1;
    for_lines(
        std::uint32_t{0}, [=](std::uint32_t first) { return units << first / 16; },
        [&](std::uint32_t line, std::uint32_t part) {
          const LineResult result = shadow.access_units(line, part, judge, memo);
          if (!result.is_clean()) meet(site, cta, line, ByteMask::of_units(part), judge, result);
        });
  } else {
    for_lines(
        ByteMask{}, [=](std::uint32_t first) { return ByteMask::of_access(first, bytes); },
        [&](std::uint32_t line, ByteMask part) {
          const LineResult result = shadow.access(line, part, judge, memo);
          if (!result.is_clean()) meet(site, cta, line, part, judge, result);
        });
  }
}

void CheckerState::touch_footprint(Site site, std::uint32_t cta, const async::Footprint& footprint,
                                   const Operation& operation, const Knowledge& knowledge) {
  Judge judge(operations, add(operation), knowledge);
  ctas[cta].must_scan = true;
  ctas[cta].shadow.access(footprint, judge, [&](std::uint32_t line, ByteMask bytes, const LineResult& result) {
    meet(site, cta, line, bytes, judge, result);
  });
}

void CheckerState::check_remote(Site site, std::uint32_t cta) {
  if (cta == cta_of(site.warp)) return;
  ctas[cta].must_scan = true;
  if (ctas[cta].exited) {
    report(Hazard::remote_cta, site, 0, [&] {
      return "uses shared memory of CTA " + memory_name(~0u, {cta, 0}) + ", all threads of which have exited";
    });
    return;
  }
  const VectorClock& ordered = warps[site.warp].known.ordered;
  for (std::uint32_t warp = cta * shape.warps_per_cta; warp < (cta + 1) * shape.warps_per_cta; ++warp) {
    if (ordered[static_cast<Component>(warp)] != 0) return;
  }
  report(Hazard::remote_cta, site, 0, [&] {
    return "uses shared memory of CTA " + memory_name(~0u, {cta, 0}) +
           ", which is not known to have started: no cluster barrier comes before";
  });
}

Issuer& CheckerState::issuer(std::unordered_map<std::uint32_t, Issuer>& issuers, std::uint32_t key) {
  auto [it, is_new] = issuers.try_emplace(key);
  if (is_new) it->second.component = new_component();
  return it->second;
}

// ---- Setup ----

Checker::Checker(Reports& reports, Names names) : state_(std::make_unique<CheckerState>(reports, std::move(names))) {}
Checker::~Checker() = default;

void Checker::start_cluster(const ClusterShape& shape, std::span<const std::array<std::uint32_t, 3>> ctas) {
  CheckerState& s = *state_;
  s.shape = shape;
  s.operations.clear();
  s.warps.resize(shape.ctas * shape.warps_per_cta);
  s.next_component = static_cast<Component>(s.warps.size());
  for (std::uint32_t warp = 0; warp < s.warps.size(); ++warp) {
    WarpState& w = s.warps[warp];
    w.known.clear();
    w.released.clear();
    w.observed.clear();
    w.has_released = false;
    w.execution.clear();
    w.new_inits.clear();
    w.cp_async = 0;
    w.cp_async_time = 0;
    w.known.ordered.raise({static_cast<Component>(warp), start_time});
    w.released.ordered.raise({static_cast<Component>(warp), start_time - 1});
  }
  s.ctas.resize(shape.ctas);
  const std::size_t lines = (shape.shared_bytes + 127) / 128;
  for (std::uint32_t i = 0; i < shape.ctas; ++i) {
    CtaState& cta = s.ctas[i];
    cta.index = ctas[i];
    cta.shadow.reset(lines);
    for (BarrierClock& barrier : cta.barriers) {
      barrier.arriving.clear();
      barrier.completed.clear();
    }
    cta.mbarriers.clear();
    cta.must_scan = cta.exited = false;
  }
  s.mbarriers.clear();
  s.cluster_barrier.arriving.clear();
  s.cluster_barrier.completed.clear();
  s.cluster_arriving.clear();
  s.cluster_executed.clear();
  s.variables.clear();
  s.bulk_issuers.clear();
  s.wgmma_issuers.clear();
}

// ---- Generic accesses ----

namespace {

Operation thread_access(const CheckerState& s, Site site, bool writes, Strength strength) {
  Operation access;
  access.epoch = s.epoch_of(site.warp);
  access.flags = static_cast<std::uint8_t>((writes ? Operation::write : 0) |
                                           (strength == Strength::strong ? Operation::strong : 0));
  access.where = site.where;
  access.warp = site.warp;
  return access;
}

}  // namespace

void Checker::read(Site site, SharedAddress at, std::uint32_t bytes, Strength strength) {
  state_->check_remote(site, at.cta);
  state_->touch_range(site, at, bytes, thread_access(*state_, site, false, strength));
}

void Checker::write(Site site, SharedAddress at, std::uint32_t bytes, Strength strength) {
  state_->check_remote(site, at.cta);
  state_->touch_range(site, at, bytes, thread_access(*state_, site, true, strength));
}

void Checker::read_lanes(Site site, std::uint32_t cta, std::uint32_t lanes, const std::uint32_t* offsets,
                         std::uint32_t bytes, Strength strength) {
  state_->check_remote(site, cta);
  state_->touch_lanes(site, cta, lanes, offsets, bytes, thread_access(*state_, site, false, strength));
}

void Checker::write_lanes(Site site, std::uint32_t cta, std::uint32_t lanes, const std::uint32_t* offsets,
                          std::uint32_t bytes, Strength strength) {
  state_->check_remote(site, cta);
  state_->touch_lanes(site, cta, lanes, offsets, bytes, thread_access(*state_, site, true, strength));
}

// ---- Synchronization ----

void Checker::fence(Site site, Fence fence) {
  WarpState& w = state_->warps[site.warp];
  switch (fence) {
    case Fence::memory:
      w.known.join(w.observed);
      w.observed.clear();
      w.released = w.known;
      w.has_released = true;
      w.new_inits.clear();
      break;
    case Fence::proxy_async: w.known.fenced.join(w.known.ordered); break;
    case Fence::mbarrier_init:
      for (Epoch init : w.new_inits) {
        w.known.fenced.raise(init);
        w.released.ordered.raise(init);
        w.released.fenced.raise(init);
      }
      w.new_inits.clear();
      w.has_released = true;
      break;
  }
  state_->tick(site.warp);
}

void Checker::strong_write(Site site, std::uint64_t key, Order order) {
  WarpState& w = state_->warps[site.warp];
  const bool releases = order == Order::release || order == Order::acq_rel;
  if (!releases && !w.has_released) return;
  state_->variables[key].join(releases ? w.known : w.released);
  if (releases) state_->tick(site.warp);
}

void Checker::strong_read(Site site, std::uint64_t key, Order order) {
  const auto it = state_->variables.find(key);
  if (it == state_->variables.end()) return;
  WarpState& w = state_->warps[site.warp];
  (order == Order::acquire || order == Order::acq_rel ? w.known : w.observed).join(it->second);
}

void Checker::barrier_arrive(Site site, std::uint32_t cta, std::uint32_t barrier) {
  state_->ctas[cta].barriers[barrier].arriving.join(state_->warps[site.warp].known);
  state_->tick(site.warp);
}

void Checker::barrier_complete(std::uint32_t cta, std::uint32_t barrier) {
  state_->ctas[cta].barriers[barrier].complete();
}

void Checker::barrier_leave(Site site, std::uint32_t cta, std::uint32_t barrier) {
  state_->warps[site.warp].known.join(state_->ctas[cta].barriers[barrier].completed);
}

void Checker::cluster_arrive(Site site, bool relaxed) {
  const WarpState& w = state_->warps[site.warp];
  state_->cluster_barrier.arriving.join(relaxed ? w.released : w.known);
  state_->cluster_arriving.join(w.known.ordered);
  state_->tick(site.warp);
}

void Checker::cluster_complete() {
  state_->cluster_barrier.complete();
  std::swap(state_->cluster_arriving, state_->cluster_executed);
  state_->cluster_arriving.clear();
}

void Checker::cluster_leave(Site site) {
  WarpState& w = state_->warps[site.warp];
  w.known.join(state_->cluster_barrier.completed);
  w.execution.join(state_->cluster_executed);
}

void Checker::report(Hazard hazard, Site site, std::uint32_t other_where, const std::function<std::string()>& text) {
  state_->report(hazard, site, other_where, text);
}

}  // namespace emu::check
