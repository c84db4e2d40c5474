// The sentences of the checker.
#include <fmt/format.h>

#include "check/checker_state.hpp"

namespace emu::check {

const char* doing(const Operation& access) {
  switch (access.actor) {
    case Actor::copy: return "issues a copy into";
    case Actor::copy_source: return "issues a copy from";
    case Actor::bulk_store: return "issues a bulk store from";
    case Actor::cp_async: return "issues a cp.async into";
    case Actor::wgmma: return "issues a wgmma that reads";
    case Actor::thread: break;
  }
  return access.is(Operation::write) ? "writes" : "reads";
}

namespace {

/// What the other party did, and what is missing; {} is who and where.
const char* relation(const Operation& access, const Operation& other) {
  switch (other.actor) {
    case Actor::copy:
      return access.is(Operation::write)
                 ? "into which the copy that {} may still write: no wait for its mbarrier comes before"
                 : "into which the copy that {} writes: no wait for its mbarrier comes before";
    case Actor::copy_source: return "from which the copy that {} may still read: no wait for its mbarrier comes before";
    case Actor::bulk_store:
      return "from which the bulk store that {} may still read: no cp.async.bulk.wait_group comes before";
    case Actor::cp_async:
      return "into which the cp.async that {} writes: no cp.async.wait_group and barrier come before";
    case Actor::wgmma: return "from which the wgmma that {} may still read: no wgmma.wait_group comes before";
    case Actor::thread: break;
  }
  return "which {}, and nothing orders the two";
}

Hazard hazard_of(const Operation& access, const Operation& other, Conflict::Kind kind) {
  if (kind == Conflict::Kind::unfenced) return Hazard::missing_proxy_fence;
  const bool other_asynchronous = other.actor != Actor::thread;
  if (!access.is(Operation::write)) return other_asynchronous ? Hazard::copy_not_awaited : Hazard::race;
  return other_asynchronous || access.is(Operation::async) ? Hazard::stage_overwritten : Hazard::race;
}

}  // namespace

std::string CheckerState::warp_name(std::uint32_t warp) const {
  const auto& cta = ctas[cta_of(warp)].index;
  return fmt::format("warp {} of CTA ({},{},{})", warp % shape.warps_per_cta, cta[0], cta[1], cta[2]);
}

std::string CheckerState::memory_name(std::uint32_t from_cta, SharedAddress at) const {
  const auto& cta = ctas[at.cta].index;
  const std::string index = fmt::format("({},{},{})", cta[0], cta[1], cta[2]);
  if (from_cta == ~0u) return index;
  const std::string address = fmt::format("shared memory {:#x}", at.offset + names.shared_base);
  return from_cta == at.cta ? address : address + " of CTA " + index;
}

void CheckerState::report(Hazard hazard, Site site, std::uint32_t other_where,
                          const std::function<std::string()>& text) {
  // An unrolled loop has many instructions in one place of the source, which make one report.
  const auto key = [&](std::uint32_t where) {
    auto [at, is_new] = place_keys.try_emplace(where);
    if (is_new) at->second = static_cast<std::uint32_t>(std::hash<std::string>()(place(where)));
    return at->second;
  };
  if (!reports.is_new(hazard, key(site.where), key(other_where))) return;
  reports.add({hazard, site.where, other_where,
               fmt::format("{}: {}: {} {} [{}]", place(site.where), names.kernel, warp_name(site.warp), text(),
                           name_of(hazard))});
}

void CheckerState::report_conflict(Site site, std::uint32_t cta, std::uint32_t line, const Operation& operation,
                                   const Conflict& conflict) {
  const Operation& other = operations[conflict.other];
  report(hazard_of(operation, other, conflict.kind), site, other.where, [&] {
    const std::string memory = memory_name(cta_of(site.warp), {cta, line * 128 + conflict.bytes.first()});
    const std::string who = warp_name(other.warp), where = place(other.where);
    std::string told;
    if (conflict.kind == Conflict::Kind::unfenced) {
      told = fmt::format("which {} {} at {} through the generic proxy, with no fence.proxy.async between", who,
                         other.is(Operation::write) ? "wrote" : "read", where);
    } else {
      const char* verb = other.actor != Actor::thread ? "issued" : other.is(Operation::write) ? "wrote" : "read";
      told = fmt::format(fmt::runtime(relation(operation, other)), fmt::format("{} {} at {}", who, verb, where));
    }
    return fmt::format("{} {}, {}", doing(operation), memory, told);
  });
}

}  // namespace emu::check
