#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace emu::check {

enum class Hazard : std::uint8_t {
  race,                  // two accesses to shared memory, at least one a write, that nothing orders
  uninitialized_read,    // of shared memory
  missing_proxy_fence,   // a generic write, then the async proxy, with no fence.proxy.async between
  copy_not_awaited,      // data of an asynchronous copy is used before the wait for it
  stage_overwritten,     // shared memory is written while a copy or a wgmma may still read it
  registers_in_flight,   // accumulators or A registers are touched before wgmma.wait_group
  missing_wgmma_fence,   // registers of a wgmma were written with no wgmma.fence before it
  mbarrier_not_visible,  // an mbarrier is used before its initialization is visible to the user
  mbarrier_invalid,      // no mbarrier there, or its bytes are accessed by other instructions
  mbarrier_arrivals,     // more arrivals than a phase expects
  transaction_bytes,     // bytes of copies and expected bytes do not match
  unfinished_at_exit,    // asynchronous work of a thread or CTA that exits
  remote_cta,            // shared memory of a CTA that may not have started, or may have exited
  wgmma_mismatch,        // the warps of a warpgroup execute different wgmmas
};
const char* name_of(Hazard hazard);

/// Where a hazard was found. `place` and `other_place` are what the machine calls `where`.
struct Report {
  Hazard hazard;
  std::uint32_t where = 0, other_where = 0;
  std::string text;
};

/// The reports of a launch: one for each hazard and pair of places. Threads share it.
class Reports {
 public:
  explicit Reports(std::size_t limit = 20) : limit_(limit) {}
  /// Whether a report of this hazard at these places is new and wanted; only then its text is made.
  bool is_new(Hazard hazard, std::uint32_t where, std::uint32_t other_where);
  void add(Report report);
  /// All of them, and how many were left out beyond the limit.
  std::vector<Report> reports() const;
  std::size_t left_out() const;
  bool empty() const;
  void clear();

 private:
  mutable std::mutex mutex_;
  std::size_t limit_, left_out_ = 0;
  std::set<std::tuple<Hazard, std::uint32_t, std::uint32_t>> seen_;
  std::vector<Report> reports_;
};

}  // namespace emu::check
