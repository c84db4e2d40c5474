#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "machine/mbarrier.hpp"
#include "machine/state.hpp"

// One cluster on one host thread: its warps take turns, and in a warp the groups of lanes that have diverged.
namespace emu::machine {

using isa::Context;
using isa::Decoded;
using isa::Next;

namespace {

/// Instructions that a warp executes before the next one has its turn, and a group before the warp's next group has.
constexpr int warp_quantum = 4096, group_quantum = 512;
/// Turns of all warps before another cluster has its turn.
constexpr int rounds = 64;

template <class T, class D> void reserve(std::unique_ptr<T[], D>& memory, std::size_t bytes) {
  memory.reset(static_cast<T*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)));
  if (!memory) throw std::bad_alloc();
}

std::uint32_t special_value(const Warp& warp, ptx::SpecialRegister special, std::uint32_t lane) {
  using S = ptx::SpecialRegister;
  const Cta& cta = *warp.cta;
  const Grid& grid = *cta.cluster->grid;
  const std::uint32_t thread = warp.number * 32 + lane;
  const Dim3 &block = grid.block, &cluster = grid.cluster;
  switch (special) {
    case S::tid_x: return thread % block.x;
    case S::tid_y: return thread / block.x % block.y;
    case S::tid_z: return thread / (block.x * block.y);
    case S::ntid_x: return block.x;
    case S::ntid_y: return block.y;
    case S::ntid_z: return block.z;
    case S::ctaid_x: return cta.index[0];
    case S::ctaid_y: return cta.index[1];
    case S::ctaid_z: return cta.index[2];
    case S::nctaid_x: return grid.grid.x;
    case S::nctaid_y: return grid.grid.y;
    case S::nctaid_z: return grid.grid.z;
    case S::clusterid_x: return cta.index[0] / cluster.x;
    case S::clusterid_y: return cta.index[1] / cluster.y;
    case S::clusterid_z: return cta.index[2] / cluster.z;
    case S::nclusterid_x: return grid.grid.x / cluster.x;
    case S::nclusterid_y: return grid.grid.y / cluster.y;
    case S::nclusterid_z: return grid.grid.z / cluster.z;
    case S::cluster_ctaid_x: return cta.index_in_cluster[0];
    case S::cluster_ctaid_y: return cta.index_in_cluster[1];
    case S::cluster_ctaid_z: return cta.index_in_cluster[2];
    case S::cluster_nctaid_x: return cluster.x;
    case S::cluster_nctaid_y: return cluster.y;
    case S::cluster_nctaid_z: return cluster.z;
    case S::cluster_ctarank: return cta.rank;
    case S::cluster_nctarank: return static_cast<std::uint32_t>(cluster.volume());
    case S::is_explicit_cluster: return cluster.volume() > 1;
    case S::laneid: return lane;
    case S::warpid: return warp.number;
    case S::nwarpid: return grid.warps_per_cta();
    case S::smid:
      return static_cast<std::uint32_t>((cta.cluster->number * cluster.volume() + cta.rank) %
                                        static_cast<std::uint64_t>(grid.options.sm_count));
    case S::nsmid: return static_cast<std::uint32_t>(grid.options.sm_count);
    case S::gridid: return static_cast<std::uint32_t>(grid.id);
    case S::lanemask_eq: return 1u << lane;
    case S::lanemask_le: return (2u << lane) - 1;
    case S::lanemask_lt: return (1u << lane) - 1;
    case S::lanemask_ge: return ~((1u << lane) - 1);
    case S::lanemask_gt: return ~((2u << lane) - 1);
    case S::total_smem_size: return grid.shared_bytes() - shared_base;
    case S::aggr_smem_size: return grid.shared_bytes();
    case S::dynamic_smem_size: return grid.dynamic_shared;
    case S::reserved_smem_offset_end:
    case S::reserved_smem_offset_cap: return shared_base;
    case S::warp_size: return 32;
    default: return 0;
  }
}

/// Whether the lanes of a warp see different values.
bool differs_by_lane(ptx::SpecialRegister special) {
  using S = ptx::SpecialRegister;
  switch (special) {
    case S::tid_x:
    case S::tid_y:
    case S::tid_z:
    case S::laneid:
    case S::lanemask_eq:
    case S::lanemask_le:
    case S::lanemask_lt:
    case S::lanemask_ge:
    case S::lanemask_gt: return true;
    default: return false;
  }
}

/// Whether another cluster sees another value in the same warp of the same CTA.
bool differs_by_cluster(ptx::SpecialRegister special) {
  using S = ptx::SpecialRegister;
  switch (special) {
    case S::ctaid_x:
    case S::ctaid_y:
    case S::ctaid_z:
    case S::clusterid_x:
    case S::clusterid_y:
    case S::clusterid_z:
    case S::smid: return true;
    default: return false;
  }
}

/// Spells the special registers out; if the warp is not `fresh` only those that its last cluster left different.
void write_specials(Warp& warp, bool fresh) {
  const Program& program = *warp.cta->cluster->grid->program;
  for (std::size_t i = 0; i < program.specials.size(); ++i) {
    std::byte* at = warp.registers + program.register_bytes + i * Program::special_bytes;
    const ptx::SpecialRegister special = program.specials[i];
    if (!fresh && !differs_by_cluster(special)) continue;
    const ptx::Type type = ptx::type_of(special);
    std::uint32_t values[32];
    values[0] = special_value(warp, special, 0);
    for (std::uint32_t lane = 1; lane < 32; ++lane)
      values[lane] = differs_by_lane(special) ? special_value(warp, special, lane) : values[0];
    if (type == ptx::Type::pred) {
      std::uint32_t mask = 0;
      for (std::uint32_t lane = 0; lane < 32; ++lane) mask |= (values[lane] ? 1u : 0u) << lane;
      std::memcpy(at, &mask, sizeof(mask));
    } else if (type == ptx::Type::u64) {
      std::copy(values, values + 32, reinterpret_cast<std::uint64_t*>(at));
    } else {
      std::memcpy(at, values, sizeof(values));
    }
  }
}

bool is_over(const Warp& warp, const Group& group) {
  const Cta& cta = *warp.cta;
  switch (group.wait) {
    case Wait::none: return true;
    case Wait::lanes: return (group.lanes & warp.live & ~group.mask) == 0;
    case Wait::mbarrier:
      return Mbarrier::load(cta.cluster->ctas[group.cta].shared.data() + group.address).phase != group.value;
    case Wait::barrier: return cta.barriers[group.address].completed > group.value;
    case Wait::cluster: return cta.cluster->barrier_completed > group.value;
    case Wait::wgmma: return cta.warpgroups[warp.number / 4].completed >= group.value;
    case Wait::registers: return cta.free_registers >= group.value;
  }
  return true;
}

/// Groups at the same instruction become one, unless one of them has passed a wait there.
void merge(Warp& warp) {
  auto& groups = warp.groups;
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (std::size_t j = i + 1; j < groups.size();) {
      const bool alike = groups[i].pc == groups[j].pc && groups[i].wait == groups[j].wait &&
                         groups[i].resumed == groups[j].resumed && groups[i].value == groups[j].value &&
                         groups[i].address == groups[j].address;
      const bool gather = groups[i].pc == groups[j].pc &&
                          (groups[i].wait == Wait::lanes || groups[j].wait == Wait::lanes) &&
                          (groups[i].wait == Wait::none || groups[j].wait == Wait::none) &&
                          groups[i].resumed == Wait::none && groups[j].resumed == Wait::none;
      if (alike || gather) {
        groups[i].mask |= groups[j].mask;
        groups[i].lanes |= groups[j].lanes;
        if (gather) groups[i].wait = Wait::lanes;
        groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(j));
      } else {
        ++j;
      }
    }
}

/// The group that runs next: the one furthest behind, so that the others wait for it where the paths meet; after its quantum
/// the next one, so that lanes that spin cannot starve those they wait for.
Group* pick(Warp& warp, bool rotate) {
  if (warp.groups.size() > 1) merge(warp);
  Group* best = nullptr;
  for (Group& group : warp.groups) {
    if (group.wait != Wait::none) {
      if (!is_over(warp, group)) continue;
      group.resumed = group.wait;
      group.wait = Wait::none;
    }
    if (!best || group.pc < best->pc) best = &group;
  }
  if (rotate && best && warp.groups.size() > 1) {
    for (std::size_t i = 0; i < warp.groups.size(); ++i) {
      Group& group = warp.groups[warp.next_group++ % warp.groups.size()];
      if (group.wait == Wait::none) return &group;
    }
  }
  return best;
}

class Runner {
 public:
  explicit Runner(Cluster& cluster) : cluster_(cluster) {
    context_.cluster = &cluster;
    context_.grid = cluster.grid;
    context_.program = cluster.grid->program;
    context_.checker = cluster.checker.get();
    context_.bases[1] = const_cast<std::byte*>(context_.program->constants.data());
    code_ = context_.program->code.data();
  }

  /// Whether the warp did anything. At most `left` instructions.
  bool run(Warp& warp, int left) {
    context_.warp = &warp;
    context_.cta = warp.cta;
    context_.bases[0] = warp.registers;
    bool did = false, rotate = false;
    while (left > 0 && warp.live) {
      Group* group = pick(warp, rotate);
      if (!group) break;
      did = true;
      const int before = left;
      const Next next = run(warp, *group, left);
      rotate = next == Next::next && before - left >= group_quantum;
      if (next == Next::yield) break;
    }
    return did;
  }

  std::uint32_t pc() const { return pc_; }

 private:
  /// Runs a group until something other than the next instruction comes, or it meets another group.
  Next run(Warp& warp, Group& group, int& left) {
    context_.group = &group;
    // Others further on are waited for; with one group there is nobody to meet.
    std::uint32_t meet = ~0u;
    for (const Group& other : warp.groups)
      if (&other != &group && other.pc > group.pc) meet = std::min(meet, other.pc);
    int quantum = std::min(left, warp.groups.size() > 1 ? group_quantum : warp_quantum);
    left -= quantum;
    for (; quantum > 0; --quantum) {
      const Decoded& in = code_[group.pc];
      pc_ = group.pc;
      context_.mask = group.mask;
      if (in.guard != isa::no_register) {
        std::uint32_t value;
        std::memcpy(&value, context_.bases[0] + in.guard, sizeof(value));
        context_.mask &= in.guard_negated ? ~value : value;
        if (context_.mask == 0) {
          group.resumed = Wait::none;
          if (++group.pc == meet) return left += quantum - 1, Next::regroup;
          continue;
        }
      }
      switch (in.handler(context_, in)) {
        case Next::next:
          group.resumed = Wait::none;
          if (++group.pc == meet) return left += quantum - 1, Next::regroup;
          break;
        case Next::jump:
          group.resumed = Wait::none;
          if (warp.groups.size() > 1) return left += quantum - 1, Next::regroup;
          break;
        case Next::regroup: return left += quantum - 1, Next::regroup;
        case Next::block: return left += quantum - 1, Next::block;
        case Next::yield:
          group.resumed = Wait::none;
          ++group.pc;
          return left += quantum - 1, Next::yield;
      }
    }
    return Next::next;
  }

  Cluster& cluster_;
  Context context_;
  const Decoded* code_;
  std::uint32_t pc_ = 0;
};

/// A pseudo-random number: xorshift, multiplied.
std::uint64_t draw(Cluster& cluster) {
  std::uint64_t& x = cluster.random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  return (x * 0x2545f4914f6cdd1d) >> 32;
}

/// The oldest of the operations that were held back.
void complete_oldest(Cluster& cluster) {
  cluster.late.front()();
  cluster.late.pop_front();
}

std::string where(const Grid& grid, const Cta& cta, const Warp& warp, std::uint32_t pc) {
  return fmt::format("{}, CTA ({}, {}, {}), warp {}: {}", grid.program->name(), cta.index[0], cta.index[1],
                     cta.index[2], warp.number, grid.program->describe(pc));
}

}  // namespace

void Cta::Free::operator()(std::byte* memory) const { std::free(memory); }

void start(Cluster& cluster, Grid& grid, std::uint64_t number) {
  const Program& program = *grid.program;
  const auto size = static_cast<std::uint32_t>(grid.cluster.volume());
  const std::uint32_t warps = grid.warps_per_cta();
  const std::size_t shared_bytes = grid.shared_bytes();
  const std::size_t local_bytes = program.local_bytes * 32;
  const bool fresh = cluster.grid != &grid;
  cluster.grid = &grid;
  cluster.number = number;
  cluster.random = (grid.options.seed + 1) * 0x9e3779b97f4a7c15 ^ (number + 1) * 0xbf58476d1ce4e5b9;
  cluster.ctas.resize(size);
  cluster.arrived_threads = 0;
  cluster.live_threads = size * static_cast<std::uint32_t>(grid.block.volume());
  cluster.barrier_completed = 0;
  const std::uint32_t across = grid.grid.x / grid.cluster.x, down = grid.grid.y / grid.cluster.y;
  const std::array<std::uint32_t, 3> corner = {static_cast<std::uint32_t>(number % across) * grid.cluster.x,
                                               static_cast<std::uint32_t>(number / across % down) * grid.cluster.y,
                                               static_cast<std::uint32_t>(number / across / down) * grid.cluster.z};
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    Cta& cta = cluster.ctas[rank];
    cta.cluster = &cluster;
    cta.rank = rank;
    cta.index_in_cluster = {rank % grid.cluster.x, rank / grid.cluster.x % grid.cluster.y,
                            rank / (grid.cluster.x * grid.cluster.y)};
    for (int i = 0; i < 3; ++i) cta.index[i] = corner[i] + cta.index_in_cluster[i];
    if (fresh) {
      reserve(cta.shared_memory, shared_bytes);
      reserve(cta.register_memory, std::size_t{warps} * program.warp_bytes());
      if (local_bytes) reserve(cta.local_memory, warps * local_bytes);
    }
    cta.shared = {cta.shared_memory.get(), shared_bytes};
    std::memset(cta.shared.data(), 0xff, cta.shared.size());
    if (local_bytes) std::memset(cta.local_memory.get(), 0xff, warps * local_bytes);
    cta.barriers = {};
    cta.live_warps = warps;
    cta.free_registers = 0;
    cta.mbarriers.clear();
    cta.warpgroups.resize((warps + 3) / 4);
    for (Warpgroup& warpgroup : cta.warpgroups) warpgroup.clear();
    cta.warps.resize(warps);
    for (std::uint32_t w = 0; w < warps; ++w) {
      Warp& warp = cta.warps[w];
      const std::uint64_t threads = std::min<std::uint64_t>(32, grid.block.volume() - std::uint64_t{w} * 32);
      warp.cta = &cta;
      warp.number = w;
      warp.live = threads == 32 ? ~0u : (1u << threads) - 1;
      warp.groups.assign(1, Group{program.entry, warp.live});
      for (auto& frames : warp.frames) frames.clear();
      warp.next_group = 0;
      warp.registers = cta.register_memory.get() + std::size_t{w} * program.warp_bytes();
      std::memset(warp.registers, 0xff, program.register_bytes);
      warp.local = cta.local_memory.get() + w * local_bytes;
      warp.uncommitted.clear();
      warp.wgmma_groups = 0;
      warp.bulk_groups = {};
      warp.bulk_stores.clear();
      warp.cluster_arrived = 0;
      warp.small_copy_groups = 0;
      warp.small_copies.clear();
      warp.in_flight.clear();
      warp.unfenced.clear();
      warp.registers_per_thread = grid.registers_per_thread;
      write_specials(warp, fresh);
      if (program.has_calls()) std::memset(warp.registers + Program::frame_bases, 0, Program::frame_bases_bytes);
    }
  }
  if (!grid.options.checks) return;
  if (!cluster.checker)
    cluster.checker = std::make_unique<check::Checker>(
        grid.reports, check::Names{program.name(), [&program](std::uint32_t pc) { return program.place(pc); }, 0});
  std::vector<std::array<std::uint32_t, 3>> indices;
  for (const Cta& cta : cluster.ctas) indices.push_back(cta.index);
  cluster.checker->start_cluster({size, warps, grid.shared_bytes()}, indices);
}

Progress run(Cluster& cluster) {
  Runner runner(cluster);
  Grid& grid = *cluster.grid;
  const bool random = grid.options.random_priorities;
  const auto ctas = cluster.ctas.size();
  bool every_warp = !random;  // this round skips none
  for (int round = 0; round < rounds; ++round) {
    bool did = false, live = false, skipped = false;
    // Random priorities: from another warp on each round, short turns, and now and then none.
    const std::size_t first_cta = random ? draw(cluster) % ctas : 0;
    for (std::size_t i = 0; i < ctas; ++i) {
      Cta& cta = cluster.ctas[(first_cta + i) % ctas];
      if (cta.live_warps == 0) continue;
      const std::size_t warps = cta.warps.size(), first_warp = random ? draw(cluster) % warps : 0;
      for (std::size_t w = 0; w < warps; ++w) {
        Warp& warp = cta.warps[(first_warp + w) % warps];
        if (warp.live == 0) continue;
        if (!every_warp && draw(cluster) % 4 == 0) {
          skipped = true;
          continue;
        }
        try {
          did |= runner.run(warp, random ? 1 + static_cast<int>(draw(cluster) % 64) : warp_quantum);
        } catch (const Fault& fault) {
          throw Fault(fault.kind, fmt::format("{}\n  {}", where(grid, cta, warp, runner.pc()), fault.what()));
        }
      }
      live |= cta.live_warps != 0;
    }
    if (!live) {
      while (!cluster.late.empty()) complete_oldest(cluster);
      return Progress::finished;
    }
    every_warp = !random || (!did && skipped);  // nobody can go on only if all have been asked
    if (!did && !skipped) {
      if (cluster.late.empty()) return Progress::stuck;
      complete_oldest(cluster);
    }
    if (grid.stopped.load(std::memory_order_relaxed)) return Progress::finished;
  }
  // A warp that spins on memory may wait for one that waits for what is late: late is not never.
  if (!cluster.late.empty()) complete_oldest(cluster);
  return Progress::ran_out_of_time;
}

std::string describe_waits(const Cluster& cluster) {
  std::string text;
  for (const Cta& cta : cluster.ctas)
    for (const Warp& warp : cta.warps)
      for (const Group& group : warp.groups) {
        if (warp.live == 0) continue;
        std::string what;
        switch (group.wait) {
          case Wait::lanes:
            what = fmt::format("the lanes {:#010x} of its warp", group.lanes & warp.live & ~group.mask);
            break;
          case Wait::mbarrier: {
            const Mbarrier m = Mbarrier::load(cluster.ctas[group.cta].shared.data() + group.address);
            what = fmt::format(
                "phase {} of the mbarrier at {:#x} of CTA rank {}: {} of {} arrivals and {} bytes are missing",
                group.value, group.address, group.cta, m.pending, m.expected, m.transactions);
            break;
          }
          case Wait::barrier:
            what =
                fmt::format("barrier {}: {} threads have arrived", group.address, cta.barriers[group.address].arrived);
            break;
          case Wait::cluster:
            what = fmt::format("the cluster's barrier: {} of {} threads have arrived", cluster.arrived_threads,
                               cluster.live_threads);
            break;
          case Wait::wgmma: what = "a wgmma group that the other warps of its warpgroup have not committed"; break;
          case Wait::registers:
            what = fmt::format("{} registers, setmaxnreg's pool has {}", group.value, cta.free_registers);
            break;
          case Wait::none: what = "nothing"; break;
        }
        text +=
            fmt::format("  CTA ({}, {}, {}), warp {}, lanes {:#010x} at {} wait for {}\n", cta.index[0], cta.index[1],
                        cta.index[2], warp.number, group.mask, cluster.grid->program->describe(group.pc), what);
      }
  return text;
}

}  // namespace emu::machine
