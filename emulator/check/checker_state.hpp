#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "check/checker.hpp"
#include "check/shadow.hpp"

namespace emu::check {

inline constexpr Time start_time = 2;  // of a warp; time 1 says that it has started

/// A barrier that warps arrive at, phase after phase.
struct BarrierClock {
  Knowledge arriving, completed;

  void complete() {
    std::swap(arriving, completed);
    arriving.clear();
  }
};

struct WarpState {
  Knowledge known;
  Knowledge released;            // what was known at the last fence: all that relaxed operations release
  Knowledge observed;            // by relaxed operations: the next fence acquires it
  bool has_released = false;     // there was such a fence
  VectorClock execution;         // what has been executed, by cluster barriers that need not make it visible
  std::vector<Epoch> new_inits;  // mbarriers that it has initialized since the last fence
  Component cp_async = 0;        // its component, 0: none yet
  Time cp_async_time = 0;
};

struct MbarrierState {
  SharedAddress at;
  Component component = 0;
  bool live = false;
  Time init_time = 0;  // of the component
  Time time = 0;       // phases that have completed, and initializations
  std::uint32_t init_where = 0, init_warp = 0;
  Knowledge arriving, completed;
  struct Copy {
    Time time = 0;
    std::uint32_t where = 0, warp = 0;
  } last_copy;
  struct Arrival {
    Epoch epoch;
    std::uint32_t where;
  };
  std::vector<Arrival> remote_arrivals;  // the last of each warp of another CTA
};

struct CtaState {
  std::array<std::uint32_t, 3> index{};
  Shadow shadow;
  std::array<BarrierClock, 16> barriers;
  std::unordered_map<std::uint32_t, std::uint32_t> mbarriers;  // offset to index in CheckerState::mbarriers
  bool must_scan = false;                                      // at exit: asynchronous or remote accesses were made
  bool exited = false;
};

/// The asynchronous operations of one kind that complete in order: those of a thread, or of a warpgroup.
struct Issuer {
  Component component = 0;
  Time time = 0;
  std::uint32_t where = 0;  // of the last one
};

/// "writes", "issues a wgmma that reads", ...: what an operation does to memory.
const char* doing(const Operation& operation);

struct CheckerState {
  CheckerState(Reports& the_reports, Names the_names) : reports(the_reports), names(std::move(the_names)) {}

  Reports& reports;
  Names names;
  ClusterShape shape;
  std::vector<WarpState> warps;
  std::vector<CtaState> ctas;
  std::vector<MbarrierState> mbarriers;
  BarrierClock cluster_barrier;
  VectorClock cluster_arriving, cluster_executed;           // of the cluster barrier, relaxed arrivals too
  std::unordered_map<std::uint64_t, Knowledge> variables;   // synchronization variables, by key
  std::unordered_map<std::uint32_t, Issuer> bulk_issuers;   // by warp * 32 + lane
  std::unordered_map<std::uint32_t, Issuer> wgmma_issuers;  // by cta * 32 + warpgroup
  Component next_component = 0;
  Operations operations;

  std::uint32_t cta_of(std::uint32_t warp) const { return warp / shape.warps_per_cta; }
  Time now(std::uint32_t warp) const { return warps[warp].known.ordered[static_cast<Component>(warp)]; }
  Epoch epoch_of(std::uint32_t warp) const { return {static_cast<Component>(warp), now(warp)}; }
  /// What the warp does from here on is not covered by what it has released.
  void tick(std::uint32_t warp) { warps[warp].known.ordered.raise({static_cast<Component>(warp), now(warp) + 1}); }
  Component new_component() { return next_component++; }

  /// A new operation; may renumber the ones before.
  OperationId add(const Operation& operation) {
    if (operations.is_full()) collect();
    return operations.add(operation);
  }
  void collect();

  /// Records what an operation accesses, and reports what it meets.
  void touch_range(Site site, SharedAddress at, std::uint32_t bytes, const Operation& operation);
  void touch_lanes(Site site, std::uint32_t cta, std::uint32_t lanes, const std::uint32_t* offsets, std::uint32_t bytes,
                   const Operation& operation);
  void touch_footprint(Site site, std::uint32_t cta, const async::Footprint& footprint, const Operation& operation,
                       const Knowledge& knowledge);
  void meet(Site site, std::uint32_t cta, std::uint32_t line, ByteMask bytes, const Judge& judge,
            const LineResult& result);
  /// Reports a use of another CTA's shared memory that may not be there.
  void check_remote(Site site, std::uint32_t cta);
  /// The live mbarrier at `at`, its initialization visible to the warp, or null; reports.
  MbarrierState* use(Site site, SharedAddress at);
  void arrive(Site site, MbarrierState& barrier, const Knowledge& knowledge);
  Issuer& issuer(std::unordered_map<std::uint32_t, Issuer>& issuers, std::uint32_t key);

  // ---- Text ----

  std::unordered_map<std::uint32_t, std::uint32_t> place_keys;  // by instruction: equal where the place is
  void report(Hazard hazard, Site site, std::uint32_t other_where, const std::function<std::string()>& text);
  void report_conflict(Site site, std::uint32_t cta, std::uint32_t line, const Operation& operation,
                       const Conflict& conflict);
  std::string place(std::uint32_t where) const { return names.place ? names.place(where) : std::to_string(where); }
  std::string warp_name(std::uint32_t warp) const;  // "warp 3 of CTA (1,0,0)"
  std::string memory_name(std::uint32_t from_cta, SharedAddress at) const;
};

}  // namespace emu::check
