#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "async/footprint.hpp"
#include "check/clock.hpp"
#include "check/report.hpp"

// The happens-before checker of one cluster. The machine tells it what warps do, in any order that can occur; it reports what
// nothing orders, whichever order did occur. It belongs to the thread that runs the cluster.
namespace emu::check {

/// Who does something: a warp, counted over the cluster (rank of the CTA * warps of a CTA + warp), and the instruction.
struct Site {
  std::uint32_t warp = 0;
  std::uint32_t where = 0;
};

/// A location in the shared memory of a CTA of the cluster: its rank, and the offset from the window's start.
struct SharedAddress {
  std::uint32_t cta = 0;
  std::uint32_t offset = 0;

  bool operator==(const SharedAddress&) const = default;
};

enum class Strength : std::uint8_t { weak, strong };  // strong: atomics, .relaxed, .acquire, .release, .volatile
enum class Order : std::uint8_t { relaxed, acquire, release, acq_rel };
enum class Fence : std::uint8_t { memory, proxy_async, mbarrier_init };  // memory: fence.acq_rel, fence.sc, membar

/// What a cluster looks like.
struct ClusterShape {
  std::uint32_t ctas = 1, warps_per_cta = 1;
  std::uint32_t shared_bytes = 0;  // of the window of each CTA; offsets are below it
};

/// Names for reports.
struct Names {
  std::string kernel;
  std::function<std::string(std::uint32_t where)> place;  // "gemm.cu:120"
  std::uint32_t shared_base = 0;                          // added to offsets, to give the addresses that programs see
};

class Checker {
 public:
  Checker(Reports& reports, Names names);
  ~Checker();

  /// A new cluster; forgets the last one, keeps its memory. `ctas` has the block indices.
  void start_cluster(const ClusterShape& shape, std::span<const std::array<std::uint32_t, 3>> ctas);

  // ---- Generic accesses to shared memory ----

  void read(Site site, SharedAddress at, std::uint32_t bytes, Strength strength = Strength::weak);
  void write(Site site, SharedAddress at, std::uint32_t bytes, Strength strength = Strength::weak);
  /// `bytes` bytes of each lane of `lanes`, at 32 offsets in the shared memory of one CTA.
  void read_lanes(Site site, std::uint32_t cta, std::uint32_t lanes, const std::uint32_t* offsets, std::uint32_t bytes,
                  Strength strength = Strength::weak);
  void write_lanes(Site site, std::uint32_t cta, std::uint32_t lanes, const std::uint32_t* offsets, std::uint32_t bytes,
                   Strength strength = Strength::weak);

  // ---- Synchronization ----

  void fence(Site site, Fence fence);
  /// A strong access to a synchronization variable, shared or global, named by `key`, its address in one numbering: before a
  /// write or an atomic, and after a read or an atomic that took a value.
  void strong_write(Site site, std::uint64_t key, Order order);
  void strong_read(Site site, std::uint64_t key, Order order);

  /// bar/barrier: each warp that arrives; when the last one has, once; each warp that leaves a sync.
  void barrier_arrive(Site site, std::uint32_t cta, std::uint32_t barrier);
  void barrier_complete(std::uint32_t cta, std::uint32_t barrier);
  void barrier_leave(Site site, std::uint32_t cta, std::uint32_t barrier);
  /// barrier.cluster; arrive.relaxed orders no more than the fences before it.
  void cluster_arrive(Site site, bool relaxed);
  void cluster_complete();
  void cluster_leave(Site site);

  // ---- mbarriers: the machine keeps their counts ----

  void mbarrier_init(Site site, SharedAddress barrier);
  void mbarrier_invalidate(Site site, SharedAddress barrier);
  /// Any use: expect_tx, pending_count, ...; the functions below include it.
  void mbarrier_use(Site site, SharedAddress barrier);
  /// An arrival of `count`, of which the phase still expects `pending`. Call before the phase completes through it.
  void mbarrier_arrive(Site site, SharedAddress barrier, std::uint32_t count, std::uint32_t pending,
                       bool relaxed = false);
  /// The current phase has completed.
  void mbarrier_complete(SharedAddress barrier);
  /// test_wait or try_wait has succeeded.
  void mbarrier_wait(Site site, SharedAddress barrier, bool relaxed = false);

  // ---- Asynchronous operations: checked when they are issued, whenever they take effect ----

  /// A copy into shared memory of `cta` that completes on `barrier`: once for each CTA of a multicast. Gives the phase of the
  /// barrier that has to wait for it; 0 if there is none.
  Time copy_to_shared(Site site, std::uint32_t cta, const async::Footprint& target, SharedAddress barrier);
  /// The source of a copy from shared memory that completes on `barrier` (shared::cta to shared::cluster).
  void copy_from_shared(Site site, std::uint32_t cta, const async::Footprint& source, SharedAddress barrier);
  /// complete_tx of `bytes` by a copy that was given `phase`.
  void copy_landed(Site site, SharedAddress barrier, Time phase, std::uint32_t bytes);
  /// A bulk store or reduction from shared memory by `lane`. When wait_group[.read] retires it: completed(site, epoch).
  Epoch bulk_store(Site site, std::uint32_t lane, std::uint32_t cta, const async::Footprint& source);
  /// cp.async (non-bulk) into shared memory. When wait_group or wait_all retires it: completed(site, epoch).
  Epoch cp_async(Site site, std::uint32_t cta, std::uint32_t lanes, const std::uint32_t* offsets, std::uint32_t bytes);
  /// cp.async.mbarrier.arrive: all earlier cp.asyncs of the warp complete with the phase, which still expects `pending` arrivals.
  void cp_async_arrive(Site site, SharedAddress barrier, std::uint32_t pending);
  /// st.async or, with `reduces`, red.async that completes on `barrier`; gives its phase, as copy_to_shared() does.
  Time store_async(Site site, SharedAddress target, std::uint32_t bytes, SharedAddress barrier, bool reduces);

  /// When a warp issues its part of a wgmma: `issue` gathers what the four warps know.
  void wgmma_issue(Site site, Knowledge& issue);
  /// When the wgmmas of `issue` start (all warps have issued them), or when their group is committed: one call for all steps that
  /// read `source`. When wait_group retires them in a warp: completed(site, epoch).
  Epoch wgmma(Site site, std::uint32_t cta, std::uint32_t warpgroup, const Knowledge& issue,
              const async::Footprint& source);
  void completed(Site site, Epoch epoch);

  // ---- The end ----

  /// Lanes of a warp exit.
  void thread_exit(Site site, std::uint32_t lanes);
  /// An mbarrier that a CTA leaves behind, before cta_exit: the bytes that its phase still expects, negative if more came.
  void mbarrier_at_exit(SharedAddress barrier, std::int64_t transaction_bytes, std::uint32_t where);
  /// All threads of a CTA have exited; `where` is the exit of the last of them.
  void cta_exit(std::uint32_t cta, std::uint32_t where);

  /// For hazards that others find: adds "kernel: place: CTA ..., warp ...: text" once for each pair of places.
  void report(Hazard hazard, Site site, std::uint32_t other_where, const std::function<std::string()>& text);

 private:
  std::unique_ptr<struct CheckerState> state_;
};

}  // namespace emu::check
