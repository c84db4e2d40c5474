// The part of the checker that knows mbarriers and asynchronous operations.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "check/checker.hpp"
#include "check/checker_state.hpp"

namespace emu::check {

// ---- mbarriers ----

MbarrierState* CheckerState::use(Site site, SharedAddress at) {
  check_remote(site, at.cta);
  const auto it = ctas[at.cta].mbarriers.find(at.offset);
  if (it == ctas[at.cta].mbarriers.end() || !mbarriers[it->second].live) {
    report(Hazard::mbarrier_invalid, site, 0,
           [&] { return "uses " + memory_name(cta_of(site.warp), at) + " as an mbarrier, which is not initialized"; });
    return nullptr;
  }
  MbarrierState& barrier = mbarriers[it->second];
  VectorClock& ordered = warps[site.warp].known.ordered;
  if (const Epoch init{barrier.component, barrier.init_time}; !ordered.covers(init)) {
    ordered.raise(init);
    report(Hazard::mbarrier_not_visible, site, barrier.init_where, [&] {
      return "uses the mbarrier at " + memory_name(cta_of(site.warp), at) + ", which " + warp_name(barrier.init_warp) +
             " initialized at " + place(barrier.init_where) + ", and no barrier makes that visible";
    });
  }
  return &barrier;
}

void CheckerState::arrive(Site site, MbarrierState& barrier, const Knowledge& knowledge) {
  barrier.arriving.join(knowledge);
  if (cta_of(site.warp) != barrier.at.cta) {
    const Epoch epoch = epoch_of(site.warp);
    const auto it = std::find_if(barrier.remote_arrivals.begin(), barrier.remote_arrivals.end(),
                                 [&](const auto& arrival) { return arrival.epoch.component == epoch.component; });
    if (it == barrier.remote_arrivals.end()) {
      barrier.remote_arrivals.push_back({epoch, site.where});
    } else {
      *it = {epoch, site.where};
    }
  }
  tick(site.warp);
}

void Checker::mbarrier_init(Site site, SharedAddress at) {
  CheckerState& s = *state_;
  CtaState& cta = s.ctas[at.cta];
  auto [it, is_new] = cta.mbarriers.try_emplace(at.offset, static_cast<std::uint32_t>(s.mbarriers.size()));
  if (is_new) {
    s.mbarriers.emplace_back();
    s.mbarriers.back().at = at;
    s.mbarriers.back().component = s.new_component();
  }
  MbarrierState& barrier = s.mbarriers[it->second];
  if (barrier.live) {
    s.report(Hazard::mbarrier_invalid, site, barrier.init_where, [&] {
      return "initializes the mbarrier at " + s.memory_name(s.cta_of(site.warp), at) + " again, initialized at " +
             s.place(barrier.init_where) + " and not invalidated";
    });
  }
  barrier.live = false;  // its own initialization is no overwriting
  write(site, at, 8, Strength::strong);
  barrier.live = true;
  barrier.init_where = site.where;
  barrier.init_warp = site.warp;
  barrier.init_time = ++barrier.time;
  barrier.arriving.clear();
  barrier.completed.clear();
  cta.shadow.set_mbarrier(at.offset / 128);
  WarpState& w = s.warps[site.warp];
  const Epoch init{barrier.component, barrier.init_time};
  w.known.ordered.raise(init);
  w.new_inits.push_back(init);
}

void Checker::mbarrier_invalidate(Site site, SharedAddress at) {
  if (MbarrierState* barrier = state_->use(site, at)) {
    barrier->live = false;
    write(site, at, 8, Strength::strong);
  }
}

void Checker::mbarrier_use(Site site, SharedAddress at) { state_->use(site, at); }

void Checker::mbarrier_arrive(Site site, SharedAddress at, std::uint32_t count, std::uint32_t pending, bool relaxed) {
  MbarrierState* barrier = state_->use(site, at);
  if (!barrier) return;
  if (count > pending) {
    state_->report(Hazard::mbarrier_arrivals, site, barrier->init_where, [&] {
      return fmt::format(
          "arrives {} times at the mbarrier at {}, whose phase expects {} more; it was initialized at {}", count,
          state_->memory_name(state_->cta_of(site.warp), at), pending, state_->place(barrier->init_where));
    });
  }
  const WarpState& w = state_->warps[site.warp];
  state_->arrive(site, *barrier, relaxed ? w.released : w.known);
}

void Checker::mbarrier_complete(SharedAddress at) {
  const auto it = state_->ctas[at.cta].mbarriers.find(at.offset);
  if (it == state_->ctas[at.cta].mbarriers.end()) return;
  MbarrierState& barrier = state_->mbarriers[it->second];
  barrier.arriving.ordered.raise({barrier.component, ++barrier.time});
  barrier.completed.join(barrier.arriving);
  barrier.arriving.clear();
}

void Checker::mbarrier_wait(Site site, SharedAddress at, bool relaxed) {
  MbarrierState* barrier = state_->use(site, at);
  if (!barrier) return;
  WarpState& w = state_->warps[site.warp];
  (relaxed ? w.observed : w.known).join(barrier->completed);
}

// ---- Copies ----

Time Checker::copy_to_shared(Site site, std::uint32_t cta, const async::Footprint& target, SharedAddress at) {
  CheckerState& s = *state_;
  s.check_remote(site, cta);
  MbarrierState* barrier = s.use(site, at);
  if (!barrier) return 0;
  WarpState& w = s.warps[site.warp];
  if (const Epoch init{barrier->component, barrier->init_time}; !w.known.fenced.covers(init)) {
    w.known.fenced.raise(init);
    s.report(Hazard::mbarrier_not_visible, site, barrier->init_where, [&] {
      return "issues a copy that completes on the mbarrier at " + s.memory_name(s.cta_of(site.warp), at) +
             ", initialized at " + s.place(barrier->init_where) +
             " with neither fence.mbarrier_init nor fence.proxy.async between";
    });
  }
  Operation access;
  access.epoch = {barrier->component, barrier->time + 1};
  access.flags = Operation::write | Operation::async;
  access.actor = Actor::copy;
  access.where = site.where;
  access.warp = site.warp;
  s.touch_footprint(site, cta, target, access, w.known);
  barrier->arriving.join(w.known);
  barrier->last_copy = {access.epoch.time, site.where, site.warp};
  s.tick(site.warp);
  return access.epoch.time;
}

void Checker::copy_from_shared(Site site, std::uint32_t cta, const async::Footprint& source, SharedAddress at) {
  CheckerState& s = *state_;
  s.check_remote(site, cta);
  MbarrierState* barrier = s.use(site, at);
  if (!barrier) return;
  Operation access;
  access.epoch = {barrier->component, barrier->time + 1};
  access.flags = Operation::async;
  access.actor = Actor::copy_source;
  access.where = site.where;
  access.warp = site.warp;
  s.touch_footprint(site, cta, source, access, s.warps[site.warp].known);
}

void Checker::copy_landed(Site site, SharedAddress at, Time phase, std::uint32_t bytes) {
  const auto it = state_->ctas[at.cta].mbarriers.find(at.offset);
  if (phase == 0 || it == state_->ctas[at.cta].mbarriers.end()) return;
  const MbarrierState& barrier = state_->mbarriers[it->second];
  if (!barrier.live || phase > barrier.time) return;
  state_->report(Hazard::transaction_bytes, site, barrier.init_where, [&] {
    return fmt::format(
        "issued a copy of {} bytes that lands after its phase of the mbarrier at {} has completed: the phase "
        "expected too few bytes",
        bytes, state_->memory_name(state_->cta_of(site.warp), at));
  });
}

Epoch Checker::bulk_store(Site site, std::uint32_t lane, std::uint32_t cta, const async::Footprint& source) {
  CheckerState& s = *state_;
  Issuer& issuer = s.issuer(s.bulk_issuers, site.warp * 32 + lane);
  issuer.where = site.where;
  Operation access;
  access.epoch = {issuer.component, ++issuer.time};
  access.flags = Operation::async;
  access.actor = Actor::bulk_store;
  access.where = site.where;
  access.warp = site.warp;
  s.touch_footprint(site, cta, source, access, s.warps[site.warp].known);
  return access.epoch;
}

Epoch Checker::cp_async(Site site, std::uint32_t cta, std::uint32_t lanes, const std::uint32_t* offsets,
                        std::uint32_t bytes) {
  CheckerState& s = *state_;
  WarpState& w = s.warps[site.warp];
  if (w.cp_async == 0) w.cp_async = s.new_component();
  Operation access;
  access.epoch = {w.cp_async, ++w.cp_async_time};
  access.flags = Operation::write;  // through the generic proxy
  access.actor = Actor::cp_async;
  access.where = site.where;
  access.warp = site.warp;
  s.ctas[cta].must_scan = true;
  s.touch_lanes(site, cta, lanes, offsets, bytes, access);
  return access.epoch;
}

Time Checker::store_async(Site site, SharedAddress target, std::uint32_t bytes, SharedAddress at, bool reduces) {
  CheckerState& s = *state_;
  s.check_remote(site, target.cta);
  MbarrierState* barrier = s.use(site, at);
  if (!barrier) return 0;
  Operation access;
  access.epoch = {barrier->component, barrier->time + 1};
  access.flags = static_cast<std::uint8_t>(Operation::write | (reduces ? Operation::strong : 0));
  access.actor = Actor::copy;
  access.where = site.where;
  access.warp = site.warp;
  s.ctas[target.cta].must_scan = true;
  s.touch_range(site, target, bytes, access);
  WarpState& w = s.warps[site.warp];
  barrier->arriving.join(w.known);
  barrier->last_copy = {access.epoch.time, site.where, site.warp};
  s.tick(site.warp);
  return access.epoch.time;
}

void Checker::cp_async_arrive(Site site, SharedAddress at, std::uint32_t pending) {
  MbarrierState* barrier = state_->use(site, at);
  if (!barrier) return;
  if (pending == 0)
    state_->report(Hazard::mbarrier_arrivals, site, barrier->init_where, [&] {
      return fmt::format("arrives at the mbarrier at {}, whose phase expects no more; it was initialized at {}",
                         state_->memory_name(state_->cta_of(site.warp), at), state_->place(barrier->init_where));
    });
  const WarpState& w = state_->warps[site.warp];
  if (w.cp_async != 0) barrier->arriving.ordered.raise({w.cp_async, w.cp_async_time});
  state_->arrive(site, *barrier, w.known);
}

// ---- wgmma ----

void Checker::wgmma_issue(Site site, Knowledge& issue) {
  issue.join(state_->warps[site.warp].known);
  state_->tick(site.warp);
}

Epoch Checker::wgmma(Site site, std::uint32_t cta, std::uint32_t warpgroup, const Knowledge& issue,
                     const async::Footprint& source) {
  CheckerState& s = *state_;
  Issuer& issuer = s.issuer(s.wgmma_issuers, cta * 32 + warpgroup);
  issuer.where = site.where;
  Operation access;
  access.epoch = {issuer.component, ++issuer.time};
  access.flags = Operation::async;
  access.actor = Actor::wgmma;
  access.where = site.where;
  access.warp = site.warp;
  s.touch_footprint(site, cta, source, access, issue);
  return access.epoch;
}

void Checker::completed(Site site, Epoch epoch) { state_->warps[site.warp].known.ordered.raise(epoch); }

// ---- Exit ----

void Checker::thread_exit(Site site, std::uint32_t lanes) {
  CheckerState& s = *state_;
  const VectorClock& known = s.warps[site.warp].known.ordered;
  const auto check = [&](const Issuer& issuer, const char* text) {
    if (known.covers({issuer.component, issuer.time})) return;
    s.report(Hazard::unfinished_at_exit, site, issuer.where, [&] { return text + s.place(issuer.where); });
  };
  if (!s.bulk_issuers.empty()) {
    for (; lanes; lanes &= lanes - 1) {
      const auto it = s.bulk_issuers.find(site.warp * 32 + static_cast<std::uint32_t>(__builtin_ctz(lanes)));
      if (it == s.bulk_issuers.end()) continue;
      check(it->second, "exits with no cp.async.bulk.wait_group[.read] for the bulk store issued at ");
    }
  }
  const std::uint32_t cta = s.cta_of(site.warp);
  const auto it = s.wgmma_issuers.find(cta * 32 + (site.warp - cta * s.shape.warps_per_cta) / 4);
  if (it != s.wgmma_issuers.end()) check(it->second, "exits with no wgmma.wait_group for the wgmma issued at ");
}

void Checker::mbarrier_at_exit(SharedAddress at, std::int64_t bytes, std::uint32_t where) {
  const auto it = state_->ctas[at.cta].mbarriers.find(at.offset);
  if (bytes == 0 || it == state_->ctas[at.cta].mbarriers.end()) return;
  const MbarrierState& barrier = state_->mbarriers[it->second];
  if (!barrier.live) return;
  const bool has_copy = barrier.last_copy.time != 0;
  const Site site =
      has_copy ? Site{barrier.last_copy.warp, barrier.last_copy.where} : Site{barrier.init_warp, barrier.init_where};
  state_->report(Hazard::transaction_bytes, site, where, [&] {
    return fmt::format("{} the mbarrier at {}, on which {} when the CTA exits",
                       has_copy ? "issued the last copy to" : "initialized", state_->memory_name(at.cta, at),
                       bytes > 0 ? fmt::format("{} expected bytes have not arrived", bytes)
                                 : fmt::format("{} more bytes have arrived than were expected", -bytes));
  });
}

void Checker::cta_exit(std::uint32_t index, std::uint32_t where) {
  CheckerState& s = *state_;
  CtaState& cta = s.ctas[index];
  cta.exited = true;
  VectorClock known;
  for (std::uint32_t i = 0; i < s.shape.warps_per_cta; ++i) {
    const WarpState& w = s.warps[index * s.shape.warps_per_cta + i];
    known.join(w.known.ordered);
    known.join(w.execution);
  }

  for (const auto& [offset, id] : cta.mbarriers) {
    const MbarrierState& barrier = s.mbarriers[id];
    const SharedAddress at{index, offset};
    if (const auto& copy = barrier.last_copy; !known.covers({barrier.component, copy.time})) {
      s.report(Hazard::unfinished_at_exit, {copy.warp, copy.where}, where, [&] {
        return "issued a copy for which no thread of CTA " + s.memory_name(~0u, {index, 0}) +
               " has waited on the mbarrier at " + s.memory_name(index, at) + " when it exits";
      });
    }
    for (const auto& arrival : barrier.remote_arrivals) {
      if (known.covers(arrival.epoch)) continue;
      s.report(Hazard::remote_cta, {arrival.epoch.component, arrival.where}, where, [&] {
        return "arrives at the mbarrier at " + s.memory_name(~1u, at) +
               ", which may have exited: nothing orders the arrival before its exit";
      });
    }
  }
  if (!cta.must_scan) return;
  OperationId last = ~OperationId{0};  // neighbouring lines mostly have the same operations
  cta.shadow.for_each([&](std::uint32_t line, OperationId id, ByteMask bytes) {
    if (std::exchange(last, id) == id) return;
    const Operation& access = s.operations[id];
    // What its own threads have not waited for was reported by thread_exit, or above.
    const bool is_remote = s.cta_of(access.warp) != index;
    if (known.covers(access.epoch) || access.actor == Actor::copy) return;
    if (!is_remote && access.actor != Actor::copy_source) return;
    const SharedAddress at{index, line * 128 + bytes.first()};
    const Hazard hazard = is_remote ? Hazard::remote_cta : Hazard::unfinished_at_exit;
    s.report(hazard, {access.warp, access.where}, where, [&] {
      return std::string(is_remote ? "accesses " : "issued a copy from ") + s.memory_name(is_remote ? ~1u : index, at) +
             ", which may have exited: nothing orders the access before its exit";
    });
  });
}

}  // namespace emu::check
