#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "async/copy.hpp"
#include "async/wgmma.hpp"
#include "check/checker.hpp"
#include "check/registers.hpp"
#include "isa/handler.hpp"
#include "machine/fault.hpp"
#include "machine/memory.hpp"
#include "machine/program.hpp"
#include "machine/windows.hpp"
#include "tensor_map/tensor_map.hpp"

// What a running grid consists of. A cluster belongs to the host thread that runs it; a Grid is shared by all.
namespace emu::machine {

struct Dim3 {
  std::uint32_t x = 1, y = 1, z = 1;
  std::uint64_t volume() const { return std::uint64_t{x} * y * z; }
};

/// How the machine behaves where PTX leaves it open.
struct Options {
  int threads = 1;  // of the host
  int sm_count = 132;
  bool checks = true;
  bool late_loads = false, late_mma = false, late_stores = false;
  bool random_priorities = false;
  std::uint64_t seed = 0;
};

/// Why a group of lanes does not run.
enum class Wait : std::uint8_t {
  none,
  lanes,      // until all lanes of `lanes` that live have come to the same instruction
  mbarrier,   // until the phase of the mbarrier at `address` (of CTA `cta`) is not `value`
  barrier,    // until barrier `address` of the CTA has completed more than `value` times
  cluster,    // until the cluster's barrier has completed more than `value` times
  wgmma,      // until `value` wgmma groups of the warpgroup are complete
  registers,  // until the CTA's pool has `value` registers
};

/// Lanes of a warp that are at the same instruction.
struct Group {
  std::uint32_t pc = 0;
  std::uint32_t mask = 0;
  Wait wait = Wait::none;
  Wait resumed = Wait::none;  // this wait has ended: the instruction is executed again and goes on
  std::uint32_t lanes = 0;
  std::uint32_t cta = 0;
  std::uint64_t address = 0, value = 0;
};

/// A bulk store that its thread has not waited for.
struct BulkStore {
  std::uint32_t lane = 0;             // its thread
  std::uint32_t group = 0;            // the number of the thread's bulk group that it belongs to
  std::function<void()> read, write;  // shared memory to a buffer, the buffer to global memory; null when that is done
  check::Epoch epoch;

  void finish_reading() {
    if (read) std::exchange(read, nullptr)();
  }
  void finish() {
    finish_reading();
    if (write) std::exchange(write, nullptr)();
  }
};

/// Wgmmas that have been issued, in their order.
struct PendingWgmmas {
  std::vector<const WgmmaSite*> sites;
  std::vector<async::WgmmaStep> steps;

  void clear() {
    sites.clear();
    steps.clear();
  }
};

struct Warp {
  Cta* cta = nullptr;
  std::uint32_t number = 0;
  std::uint32_t live = 0;  // lanes that have not exited
  std::vector<Group> groups;
  std::size_t next_group = 0;
  std::byte* registers = nullptr;
  std::uint32_t registers_per_thread = 0;  // setmaxnreg
  std::uint32_t carry = 0;                 // CC.CF, by lane
  std::uint64_t cluster_phase = 0;         // of the cluster's barrier, when the warp arrived
  std::uint32_t cluster_arrived = 0;       // lanes that have arrived there and not waited

  PendingWgmmas uncommitted;
  std::uint64_t wgmma_groups = 0;  // committed

  std::array<std::uint32_t, 32> bulk_groups{};  // committed by each thread
  std::vector<BulkStore> bulk_stores;           // of all threads, in the order in which they were issued
  struct SmallCopy {
    std::uint32_t group;
    check::Epoch epoch;
    std::function<void()> finish;  // null: it has taken effect
  };
  std::uint32_t small_copy_groups = 0;  // cp.async: committed by the warp
  std::deque<SmallCopy> small_copies;   // that it has not waited for

  // What the checks know of the registers of wgmma.
  check::RegistersInFlight in_flight;
  check::UnfencedRegisters unfenced;

  std::byte* local = nullptr;  // of lane 0; lanes lie Program::local_bytes apart

  /// A call that a lane has not returned from. `saved`: the callee's registers before it, if it may have been running.
  struct Frame {
    std::uint32_t call = 0;    // of Program::calls
    std::uint32_t back = 0;    // the instruction after it
    std::uint32_t callee = 0;  // of Program::functions
    std::shared_ptr<const std::vector<std::byte>> saved;
  };
  std::array<std::vector<Frame>, 32> frames;
};

/// The wgmma groups of four warps.
struct Warpgroup {
  struct Group {
    PendingWgmmas wgmmas;
    std::uint32_t warps = 0;  // that have committed it
    check::Knowledge issue;   // of all warps when they issued it

    void clear() {
      wgmmas.clear();
      warps = 0;
      issue.clear();
    }
  };
  std::deque<Group> groups;  // from number `completed` on; what is behind the last one in use is kept for its memory
  std::uint64_t completed = 0;
  std::array<check::Epoch, 64> epochs{};  // of the last groups, by their number modulo 64

  /// The group with that number, which is not complete.
  Group& group(std::uint64_t number) {
    while (groups.size() <= number - completed) groups.emplace_back();
    return groups[number - completed];
  }
  /// The first group is complete.
  void complete_first() {
    groups.front().clear();
    groups.push_back(std::move(groups.front()));
    groups.pop_front();
    ++completed;
  }
  void clear() {
    for (Group& group : groups) group.clear();
    completed = 0;
    epochs = {};
  }
};

/// A CTA's named barrier (PTX ISA: bar, barrier).
struct NamedBarrier {
  std::uint32_t arrived = 0, expected = 0;  // threads; expected 0: all that live
  std::uint64_t completed = 0;
  // bar.red: threads that have said yes, and all; and of the last phase.
  std::uint32_t votes = 0, voters = 0, result_votes = 0, result_voters = 0;
};

struct Cta {
  Cluster* cluster = nullptr;
  std::uint32_t rank = 0;  // in the cluster
  std::array<std::uint32_t, 3> index{}, index_in_cluster{};
  std::span<std::byte> shared;  // from window offset 0 on
  std::vector<Warp> warps;
  std::vector<Warpgroup> warpgroups;
  std::array<NamedBarrier, 16> barriers{};
  std::uint32_t live_warps = 0;
  std::uint32_t free_registers = 0;      // of the pool that setmaxnreg fills and takes from
  std::vector<std::uint32_t> mbarriers;  // offsets of those that were initialized, for the checks

  // The memory behind the spans; kept from one cluster to the next.
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte[], Free> shared_memory, register_memory, local_memory;
};

/// The blocks of global memory that were reached last. A kernel works on few.
class RecentBlocks {
 public:
  /// The block that holds all of the bytes; null if none of the recent ones does.
  const GlobalMemory::Block* find(std::uint64_t address, std::uint64_t bytes) const {
    for (const GlobalMemory::Block& block : blocks_)
      if (block.contains(address, bytes)) return &block;
    return nullptr;
  }
  const GlobalMemory::Block& keep(const GlobalMemory::Block& block) {
    return blocks_[next_++ % blocks_.size()] = block;
  }

 private:
  std::array<GlobalMemory::Block, 4> blocks_;
  std::size_t next_ = 0;
};

/// Tensor maps that have been decoded, by their place and content.
class TensorMapCache {
 public:
  const TensorMap* find(const std::byte* blob) const;
  const TensorMap& keep(const std::byte* blob, const TensorMap& map);

 private:
  struct Entry {
    const std::byte* at = nullptr;
    std::array<std::byte, tensor_map_bytes> blob;
    TensorMap map;
  };
  std::array<Entry, 8> entries_;
  std::size_t next_ = 0;
};

struct Cluster {
  Grid* grid = nullptr;
  std::uint64_t number = 0;
  std::vector<Cta> ctas;
  std::uint32_t arrived_threads = 0, live_threads = 0;  // of barrier.cluster
  std::uint64_t barrier_completed = 0;
  std::deque<std::function<void()>> late;  // copies into shared memory that have not landed yet
  RecentBlocks recent;
  TensorMapCache tensor_maps;
  std::unique_ptr<check::Checker> checker;  // null: no checks
  std::uint64_t random = 0;                 // state of what is drawn
};

struct Grid {
  const Program* program = nullptr;
  const GlobalMemory* memory = nullptr;
  Dim3 grid, block, cluster;
  std::vector<std::byte> params;
  std::uint32_t dynamic_shared = 0;
  std::uint32_t registers_per_thread = 0;  // at the start
  Options options;
  std::uint64_t id = 0;

  std::uint32_t warps_per_cta() const { return static_cast<std::uint32_t>((block.volume() + 31) / 32); }
  std::uint32_t shared_bytes() const {
    return shared_base + static_cast<std::uint32_t>(program->shared.dynamic_offset) + dynamic_shared;
  }
  std::uint64_t clusters() const { return grid.volume() / cluster.volume(); }

  // Shared by the threads.
  std::atomic<std::uint64_t> next_cluster{0};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  FaultKind fault = FaultKind::trap;
  std::string report;      // empty: no fault
  check::Reports reports;  // of the checks
};

// ---- Memory, as handlers see it ----

/// The block of global memory that holds the bytes; a fault if no block holds all of them.
const GlobalMemory::Block& global_block(Cluster& cluster, std::uint64_t address, std::uint64_t bytes);
/// The host's pointer to `bytes` bytes of global memory; a fault if they are not all in one allocation, or misaligned.
std::byte* global_pointer(Cluster& cluster, std::uint64_t address, std::uint64_t bytes, std::uint32_t alignment);
/// The CTA, and the offset in its window, of a 32-bit shared address that a thread of `cta` uses.
struct SharedLocation {
  Cta* cta;
  std::uint32_t offset;
};
SharedLocation locate_shared(Cta& cta, std::uint32_t address, std::uint32_t bytes, std::uint32_t alignment);
/// The address in the shared window that `address` is; a fault if it is a generic one of another window.
std::uint32_t shared_address(isa::Window window, std::uint64_t address);
/// What `lane` of the warp reaches at `address` of the window: in shared memory, of which CTA and where.
struct Place {
  std::byte* pointer;
  Cta* cta = nullptr;
  std::uint32_t offset = 0;
  bool is_global = false;
};
Place place_of(isa::Context& c, isa::Window window, int lane, std::uint64_t address, std::uint32_t bytes,
               std::uint32_t alignment);

/// Notes that bytes of global memory are written, or reports that bytes are read that never were. For the checks.
void note_global_write(Cluster& cluster, std::uint64_t address, std::uint64_t bytes);
void check_global_read(Cluster& cluster, check::Site site, std::uint64_t address, std::uint64_t bytes);

/// Global memory for an asynchronous operation of a cluster, issued at `site`.
class AsyncGlobal final : public async::GlobalAccess {
 public:
  AsyncGlobal(Cluster& cluster, check::Site site) : cluster_(cluster), site_(site) {}
  const std::byte* read(const async::GlobalRows& rows) override { return access(rows, true, false); }
  std::byte* write(const async::GlobalRows& rows) override { return access(rows, false, true); }
  std::byte* update(const async::GlobalRows& rows) override { return access(rows, true, true); }

 private:
  std::byte* access(const async::GlobalRows& rows, bool reads, bool writes);
  Cluster& cluster_;
  check::Site site_;
};

// ---- Synchronization ----

/// Signals `bytes` bytes at the mbarrier, which may complete its phase.
void complete_transactions(const SharedLocation& barrier, std::uint32_t bytes);
/// Ends the phase of a barrier if all have arrived.
void complete_if_full(Cta& cta, NamedBarrier& barrier);
void complete_cluster_if_full(Cluster& cluster);
/// Lanes exit at instruction `where`: what that means for barriers, and for what they have not waited for.
void exit_lanes(Warp& warp, std::uint32_t lanes, std::uint32_t where);
/// Calls each(site, steps) for the runs of steps of one kind on the same accumulators; `site` is the first one's.
template <class Each> void for_runs(const PendingWgmmas& wgmmas, Each&& each) {
  const auto& [sites, steps] = wgmmas;
  for (std::size_t first = 0, i = 0; i < sites.size(); ++i) {
    const bool goes_on = i + 1 < sites.size() && sites[i + 1]->kind == sites[i]->kind &&
                         sites[i + 1]->accumulators == sites[i]->accumulators;
    if (goes_on) continue;
    each(*sites[first], std::span(steps).subspan(first, i + 1 - first));
    first = i + 1;
  }
}
/// Executes the wgmma groups of the warpgroup that all four warps have committed, up to number `upto` (exclusive).
void run_wgmmas(Cta& cta, Warpgroup& warpgroup, std::uint64_t upto);

// ---- Checks ----

inline check::SharedAddress shared_address_of(const SharedLocation& at) { return {at.cta->rank, at.offset}; }
inline check::Site site_of(const Warp& warp, std::uint32_t where) {
  return {warp.cta->rank * static_cast<std::uint32_t>(warp.cta->warps.size()) + warp.number, where};
}

// ---- Execution ----

/// Prepares `cluster` as cluster `number` of the grid.
void start(Cluster& cluster, Grid& grid, std::uint64_t number);
enum class Progress { finished, ran_out_of_time, stuck };
/// Runs the cluster's warps for a while.
Progress run(Cluster& cluster);
/// Who waits for what, a line for each group of lanes.
std::string describe_waits(const Cluster& cluster);
/// Runs all clusters. A fault ends it; the grid then has a report.
void run(Grid& grid);

}  // namespace emu::machine
