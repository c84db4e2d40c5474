#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <vector>

#include "isa/copies.hpp"
#include "isa/dispatch.hpp"
#include "machine/mbarrier.hpp"

// PTX ISA 9.7.9.25.3: cp.async, 4, 8 or 16 bytes for each thread. Early, it takes effect when it is issued; late, when its thread
// waits for it.
namespace emu::isa {

namespace {

using machine::Mbarrier;
using machine::SharedLocation;
using machine::Warp;
using ptx::Type;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

enum Flags : U32 { has_size = 1, ignores_source = 2, wide_target = 4 };

/// What one instruction copies.
struct Copy {
  std::byte* target;
  const std::byte* source;  // null: zeros only
  U32 source_bytes, bytes;
};

/// Copies that have not taken effect; several parties may ask for it.
class Pending {
 public:
  explicit Pending(std::vector<Copy> copies) : copies_(std::move(copies)) {}
  void finish() {
    for (const Copy& copy : copies_) {
      std::memset(copy.target, 0, copy.bytes);
      if (copy.source_bytes) std::memcpy(copy.target, copy.source, copy.source_bytes);
    }
    copies_.clear();
  }

 private:
  std::vector<Copy> copies_;
};

Next copy(Context& c, const Decoded& in) {
  const auto bytes = static_cast<U32>(in.immediate);
  const std::byte *targets = c.source(in.s[0]), *sources = c.source(in.s[1]);
  U32 offsets[lanes];
  std::vector<Copy> copies;
  for (U32 rest = c.mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const U64 address = in.flags & wide_target ? read<U64>(targets, lane) : read<U32>(targets, lane);
    const SharedLocation to = machine::locate_shared(*c.cta, shared_address(address), bytes, bytes);
    offsets[lane] = to.offset;
    U32 source_bytes = bytes;
    if (in.flags & has_size) source_bytes = std::min(bytes, read<U32>(c.source(in.s[2]), lane));
    if (in.flags & ignores_source && c.predicate(in.s[2]) >> lane & 1) source_bytes = 0;
    const std::byte* from = nullptr;
    if (source_bytes) {
      const U64 source = read<U64>(sources, lane);
      from = machine::place_of(c, Window::global, lane, source, source_bytes, bytes).pointer;
      if (c.checker) machine::check_global_read(*c.cluster, site_of(c, in), source, source_bytes);
    }
    copies.push_back({to.cta->shared.data() + to.offset, from, source_bytes, bytes});
  }
  Warp::SmallCopy pending{c.warp->small_copy_groups, {}, nullptr};
  if (c.checker) pending.epoch = c.checker->cp_async(site_of(c, in), c.cta->rank, c.mask, offsets, bytes);
  auto work = std::make_shared<Pending>(std::move(copies));
  if (c.grid->options.late_loads)
    pending.finish = [work] { work->finish(); };
  else
    work->finish();
  if (c.checker || pending.finish) c.warp->small_copies.push_back(std::move(pending));
  return Next::next;
}

void complete(Context& c, const Decoded& in, const Warp::SmallCopy& copy) {
  if (copy.finish) copy.finish();
  if (c.checker) c.checker->completed(site_of(c, in), copy.epoch);
}

/// Waits until at most `immediate` groups are pending.
Next wait_group(Context& c, const Decoded& in) {
  Warp& warp = *c.warp;
  const U32 left = std::min(static_cast<U32>(in.immediate), warp.small_copy_groups);
  for (auto& copies = warp.small_copies; !copies.empty() && copies.front().group < warp.small_copy_groups - left;
       copies.pop_front())
    complete(c, in, copies.front());
  return Next::next;
}

Next wait_all(Context& c, const Decoded& in) {
  for (const Warp::SmallCopy& copy : c.warp->small_copies) complete(c, in, copy);
  c.warp->small_copies.clear();
  return Next::next;
}

/// One arrival, when all copies that the thread has issued are complete. `flags`: it counts among those that the barrier expects;
/// else it is one more.
Next arrive(Context& c, const Decoded& in) {
  const std::byte* base = c.source(in.s[0]);
  for (U32 rest = c.mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const U64 address =
        (in.address_bytes == 8 ? read<U64>(base, lane) : read<U32>(base, lane)) + static_cast<U64>(in.immediate);
    const SharedLocation at = machine::locate_shared(*c.cta, machine::shared_address(in.window, address), 8, 8);
    std::byte* barrier = at.cta->shared.data() + at.offset;
    Mbarrier state = Mbarrier::load(barrier);
    if (!in.flags) {
      ++state.pending;
      state.store(barrier);
    }
    if (c.checker) c.checker->cp_async_arrive(site_of(c, in), machine::shared_address_of(at), state.pending);
    std::vector<std::function<void()>> before;
    for (const Warp::SmallCopy& copy : c.warp->small_copies)
      if (copy.finish) before.push_back(copy.finish);
    auto signal = [at, barrier, before = std::move(before)] {
      for (const auto& finish : before) finish();
      Mbarrier now = Mbarrier::load(barrier);
      if (now.pending == 0) machine::fail(machine::FaultKind::hazard, "an arrival at an mbarrier that waits for none");
      --now.pending;
      const bool completes = now.complete();
      now.store(barrier);
      check::Checker* checker = at.cta->cluster->checker.get();
      if (completes && checker) checker->mbarrier_complete(machine::shared_address_of(at));
    };
    if (c.grid->options.late_loads)
      c.cluster->late.emplace_back(std::move(signal));
    else
      signal();
  }
  return Next::next;
}

/// An address in brackets that is a register without an offset.
bool bind_address(Binder& b, int s, std::size_t operand, int& bytes) {
  const ptx::Operand& address = b.operand(operand);
  bytes = address.has_register_base() && ptx::bits_of(b.function.registers[address.index].type) == 64 ? 8 : 4;
  b.plain_address(s, address, bytes);
  return true;
}

}  // namespace

bool bind_small_copy(Binder& b) {
  if (b.has("commit_group"))
    return b.handle([](Context& c, const Decoded&) {
      ++c.warp->small_copy_groups;
      return Next::next;
    });
  if (b.has("wait_all")) return b.handle(wait_all);
  if (b.has("wait_group")) {
    b.out.immediate = b.immediate_of(0);
    return b.handle(wait_group);
  }
  if (b.has("mbarrier")) {
    if (!b.has("arrive")) return false;
    b.out.window = b.which({"shared", "shared::cta"}) >= 0 ? Window::shared_cta : Window::generic;
    b.address(0, 0);
    b.out.flags = b.has("noinc");
    return b.handle(arrive);
  }
  if (b.which({"shared", "shared::cta"}) < 0 || !b.has("global")) return false;
  int target_bytes = 0, source_bytes = 0;
  bind_address(b, 0, 0, target_bytes);
  bind_address(b, 1, 1, source_bytes);
  if (source_bytes != 8) b.refuse("a global address has 64 bits");
  b.out.flags = target_bytes == 8 ? wide_target : 0u;
  b.out.immediate = b.immediate_of(2);
  if (b.out.immediate != 4 && b.out.immediate != 8 && b.out.immediate != 16) return false;
  // Then the bytes of the source, or whether to ignore it; then a cache policy.
  if (b.operand_count() > 3 + std::size_t{b.has("L2::cache_hint")}) {
    const bool is_predicate = b.register_type(b.operand(3)) == Type::pred;
    b.source(2, 3, is_predicate ? Type::pred : Type::u32);
    b.out.flags |= is_predicate ? ignores_source : has_size;
  }
  return b.handle(copy);
}

}  // namespace emu::isa
