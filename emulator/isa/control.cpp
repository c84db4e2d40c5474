#include <bit>

#include "isa/checks.hpp"
#include "isa/dispatch.hpp"
#include "isa/synchronize.hpp"

// PTX ISA 9.7.12 and 9.7.13: branches, barriers, fences, and what has no effect on a result.
namespace emu::isa {

namespace {

using machine::FaultKind;
using machine::Group;
using machine::NamedBarrier;
using machine::Wait;
using ptx::Type;

// ---- Branches ----

Next branch(Context& c, const Decoded& in) {
  Group& group = *c.group;
  if (c.mask == group.mask) {
    group.pc = in.target;
    return Next::jump;
  }
  const Group taken{in.target, c.mask};
  group.mask &= ~c.mask;
  ++group.pc;
  group.resumed = Wait::none;
  c.warp->groups.push_back(taken);
  return Next::regroup;
}

bool bind_bra(Binder& b) {
  if (b.operand(0).kind != ptx::OperandKind::label) return false;
  b.out.target = b.target(b.operand(0).index);
  return b.handle(branch);
}

/// Each lane to the target that its index names.
Next indexed_branch(Context& c, const Decoded& in) {
  const machine::FunctionCode& code = c.program->function_at(in.where);
  const auto& targets = code.function->branch_tables[in.target].targets;
  const std::byte* index = c.source(in.s[0]);
  std::uint32_t rest = c.mask;
  std::vector<Group> parts;
  while (rest) {
    const auto first = read<std::uint32_t>(index, std::countr_zero(rest));
    if (first >= targets.size())
      machine::fail(FaultKind::illegal_instruction, "brx.idx has {} targets, but the index is {}", targets.size(),
                    first);
    std::uint32_t same = 0;
    for_lanes(rest,
              [&](int lane) { same |= static_cast<std::uint32_t>(read<std::uint32_t>(index, lane) == first) << lane; });
    same &= rest;
    parts.push_back({code.begin + targets[first], same});
    rest &= ~same;
  }
  return replace_lanes(c, parts);
}

bool bind_brx(Binder& b) {
  if (!b.has("idx") || b.operand_count() != 2 || b.operand(1).kind != ptx::OperandKind::branch_table) return false;
  b.source(0, 0, Type::u32);
  b.out.target = b.operand(1).index;
  return b.handle(indexed_branch);
}

}  // namespace

Next leave(Context& c, const Decoded& in) {
  machine::Warp& warp = *c.warp;
  Group& group = *c.group;
  const std::uint32_t lanes = c.mask;
  group.mask &= ~lanes;
  if (group.mask == 0) {
    warp.groups.erase(warp.groups.begin() + (&group - warp.groups.data()));
  } else {
    ++group.pc;
    group.resumed = Wait::none;
  }
  machine::exit_lanes(warp, lanes, in.where);
  return Next::regroup;
}

namespace {

bool bind_leave(Binder& b) {
  if (b.operand_count() != 0) return false;
  return b.handle(leave);
}

bool bind_trap(Binder& b) {
  return b.handle([](Context&, const Decoded&) -> Next { machine::fail(FaultKind::trap, "the kernel executed trap"); });
}

// ---- Named barriers ----

enum BarrierFlags : std::uint32_t {
  arrives = 1,
  reduces_popc = 2,
  reduces_and = 4,
  reduces_or = 8,
  aligned = 16,
  relaxed = 32
};
constexpr std::uint32_t reduces = reduces_popc | reduces_and | reduces_or;

/// Gives each lane the result of the reduction.
void write_reduction(Context& c, const Decoded& in, const NamedBarrier& barrier) {
  if (in.flags & reduces_popc) {
    std::byte* d = c.target(in.d);
    for_lanes(c.mask, [&](int lane) { write(d, lane, barrier.result_votes); });
  } else if (in.flags & reduces) {
    const bool all = barrier.result_votes == barrier.result_voters;
    const bool holds = in.flags & reduces_and ? all : barrier.result_votes != 0;
    c.set_predicate(in.d, holds ? full_mask : 0);
  }
}

Next barrier(Context& c, const Decoded& in) {
  const auto number = first_value<std::uint32_t>(c, in.s[0]);
  if (number >= c.cta->barriers.size())
    machine::fail(FaultKind::illegal_instruction, "barrier {} does not exist, there are {}", number,
                  c.cta->barriers.size());
  NamedBarrier& state = c.cta->barriers[number];
  const auto pass = [&] {
    if (c.checker) c.checker->barrier_leave(site_of(c, in), c.cta->rank, number);
    write_reduction(c, in, state);
    return Next::next;
  };
  if (c.group->resumed == Wait::barrier) return pass();
  if (in.flags & aligned && !gather_warp(c)) return Next::block;
  const std::uint32_t threads = in.s[1].exists() ? first_value<std::uint32_t>(c, in.s[1]) : 0;
  if (threads % 32)
    machine::fail(FaultKind::illegal_instruction, "a barrier is of a multiple of 32 threads, not of {}", threads);
  if (state.arrived && state.expected != threads)
    machine::fail(FaultKind::hazard, "barrier {} waits for {} threads, but a warp arrives that says {}", number,
                  state.expected, threads);
  state.expected = threads;
  // A warp counts as 32 threads, however many it has; of one that has parted, the last lane counts those that are not there.
  const bool has_last = c.mask >> (31 - std::countl_zero(c.warp->live)) & 1;
  state.arrived +=
      static_cast<std::uint32_t>(std::popcount(c.mask) + (has_last ? 32 - std::popcount(c.warp->live) : 0));
  if (in.flags & reduces) {
    state.votes += static_cast<std::uint32_t>(std::popcount(c.predicate(in.s[2]) & c.mask));
    state.voters += static_cast<std::uint32_t>(std::popcount(c.mask));
  }
  if (threads && state.arrived > threads)
    machine::fail(FaultKind::hazard, "barrier {} is of {} threads, but {} have arrived", number, threads,
                  state.arrived);
  const std::uint64_t completed = state.completed;
  if (c.checker) c.checker->barrier_arrive(site_of(c, in), c.cta->rank, number);
  machine::complete_if_full(*c.cta, state);
  if (in.flags & arrives) return Next::next;
  if (state.completed > completed) return pass();
  return wait_for(c, Wait::barrier, number, completed);
}

/// bar and barrier: .sync, .arrive, .red; .cta is the default.
bool bind_barrier(Binder& b) {
  std::size_t operand = 0;
  if (b.name() == "bar" || b.has("aligned")) b.out.flags |= aligned;
  if (b.has("arrive")) b.out.flags |= arrives;
  const bool is_reduction = b.has("red");
  if (is_reduction) {
    b.result(operand++);
    const int which = b.which({"popc", "and", "or"});
    if (which < 0) return false;
    b.out.flags |= reduces_popc << which;
  }
  b.source(0, operand++, Type::u32);
  const std::size_t left = b.operand_count() - operand;
  if (left == (is_reduction ? 2u : 1u)) b.source(1, operand++, Type::u32);
  if (is_reduction) b.source(2, operand++, Type::pred);
  return operand == b.operand_count() && b.handle(barrier);
}

Next warp_barrier(Context& c, const Decoded& in) {
  return among_members(c, in.s[0], [] {});
}

bool bind_bar(Binder& b) {
  if (!b.has("warp")) return bind_barrier(b);
  b.source(0, 0, Type::u32);
  return b.handle(warp_barrier);
}

// ---- The cluster's barrier ----

Next cluster_arrive(Context& c, const Decoded& in) {
  if (in.flags & aligned && !gather_warp(c)) return Next::block;
  if (c.warp->cluster_arrived & c.mask)
    machine::fail(FaultKind::hazard,
                  "lanes {:#010x} arrive at the cluster's barrier a second time, with no barrier.cluster.wait",
                  c.warp->cluster_arrived & c.mask);
  c.warp->cluster_arrived |= c.mask;
  c.cluster->arrived_threads += static_cast<std::uint32_t>(std::popcount(c.mask));
  c.warp->cluster_phase = c.cluster->barrier_completed;
  if (c.checker) c.checker->cluster_arrive(site_of(c, in), in.flags & relaxed);
  machine::complete_cluster_if_full(*c.cluster);
  return Next::next;
}

Next cluster_wait(Context& c, const Decoded& in) {
  const bool over = c.group->resumed == Wait::cluster;
  if (!over && in.flags & aligned && !gather_warp(c)) return Next::block;
  if (c.mask & ~c.warp->cluster_arrived)
    machine::fail(FaultKind::hazard, "lanes {:#010x} wait at the cluster's barrier, at which they have not arrived",
                  c.mask & ~c.warp->cluster_arrived);
  if (over || c.cluster->barrier_completed > c.warp->cluster_phase) {
    c.warp->cluster_arrived &= ~c.mask;
    if (c.checker) c.checker->cluster_leave(site_of(c, in));
    return Next::next;
  }
  return wait_for(c, Wait::cluster, 0, c.warp->cluster_phase);
}

bool bind_cluster_barrier(Binder& b) {
  b.which({"release", "acquire"});
  if (b.has("aligned")) b.out.flags |= aligned;
  if (b.has("relaxed")) b.out.flags |= relaxed;
  return b.handle(b.has("arrive") ? cluster_arrive : b.has("wait") ? cluster_wait : nullptr);
}

// ---- What has no effect on a result here ----

Next nothing(Context&, const Decoded&) { return Next::next; }

/// griddepcontrol: kernels run one after the other. brkpt: nobody debugs. pmevent: nobody counts.
bool bind_nothing(Binder& b) {
  b.which({"launch_dependents", "wait", "mask"});
  return b.handle(nothing);
}

bool bind_prefetch(Binder& b) {
  b.which({"tensormap", "global", "local", "const", "param"});
  // The registers of the address stay live until here.
  for (const ptx::Operand& operand : b.operands())
    if (operand.has_register_base()) b.address(0, operand);
  return b.handle(nothing);
}

Next fence(Context& c, const Decoded& in) {
  const auto kind = static_cast<check::Fence>(in.flags);
  if (c.checker) c.checker->fence(site_of(c, in), kind);
  if (kind == check::Fence::memory) std::atomic_thread_fence(std::memory_order_seq_cst);
  return Next::next;
}

/// fence.acq_rel, fence.sc and membar; fence.mbarrier_init; fence.proxy. Of proxies only the asynchronous one is modelled.
bool bind_fence(Binder& b) {
  check::Fence kind = check::Fence::memory;
  if (b.has("mbarrier_init")) kind = check::Fence::mbarrier_init;
  // Order and scope: all fences are the strongest.
  b.which({"sc", "acq_rel", "acquire", "release"});
  if (b.has("proxy")) {
    b.which({"alias", "tensormap::generic"});
    const bool is_async = b.has("async");
    // Of global memory the proxies are not modelled: a fence for it alone does nothing for shared memory.
    if (!is_async || b.has("global")) return b.handle(nothing);
    b.which({"shared::cta", "shared::cluster"});
    kind = check::Fence::proxy_async;
  }
  b.out.flags = static_cast<std::uint32_t>(kind);
  return b.handle(fence);
}

bool bind_nanosleep(Binder& b) {
  b.source(0, 0, Type::u32);
  return b.handle([](Context&, const Decoded&) { return Next::yield; });
}

/// A warp gives registers to its CTA's pool, or takes some of it as soon as it has them.
Next set_registers(Context& c, const Decoded& in) {
  if (!gather_warp(c)) return Next::block;
  machine::Warp& warp = *c.warp;
  const auto count = static_cast<std::uint32_t>(in.immediate);
  if (in.flags && count > warp.registers_per_thread) {
    // ptxas had given more than the estimate says: nothing is taken.
  } else if (count > warp.registers_per_thread) {
    const std::uint32_t needed = (count - warp.registers_per_thread) * 32;
    if (needed > c.cta->free_registers) return wait_for(c, Wait::registers, 0, needed);
    c.cta->free_registers -= needed;
  } else {
    c.cta->free_registers += (warp.registers_per_thread - count) * 32;
  }
  warp.registers_per_thread = count;
  return Next::next;
}

bool bind_setmaxnreg(Binder& b) {
  b.out.immediate = b.immediate_of(0);
  const int direction = b.which({"inc", "dec"});
  if (direction < 0) return false;
  b.out.flags = static_cast<std::uint32_t>(direction);
  if (b.out.immediate < 24 || b.out.immediate > 256 || b.out.immediate % 8)
    b.refuse("the number of registers must be a multiple of 8 from 24 to 256");
  return b.handle(set_registers);
}

}  // namespace

void register_control(Registry& registry) {
  registry.add("bra", bind_bra);
  registry.add("brx", bind_brx);
  registry.add("exit", bind_leave);
  registry.add("trap", bind_trap);
  registry.add("bar", bind_bar);
  registry.add("barrier", [](Binder& b) { return b.has("cluster") ? bind_cluster_barrier(b) : bind_barrier(b); });
  registry.add({"fence", "membar"}, bind_fence);
  registry.add({"prefetch", "prefetchu", "applypriority", "discard"}, bind_prefetch);
  registry.add({"griddepcontrol", "pmevent", "brkpt"}, bind_nothing);
  registry.add("nanosleep", bind_nanosleep);
  registry.add("setmaxnreg", bind_setmaxnreg);
}

}  // namespace emu::isa
