#include "machine/mbarrier.hpp"

#include <algorithm>
#include <bit>

#include "isa/checks.hpp"
#include "isa/dispatch.hpp"
#include "isa/memory.hpp"
#include "isa/synchronize.hpp"

// PTX ISA 9.7.13.15: mbarrier.
namespace emu::isa {

namespace {

using machine::FaultKind;
using machine::Mbarrier;
using machine::SharedLocation;
using machine::Wait;
using ptx::Type;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

enum Flags : U32 { expects = 1, drops = 2, by_parity = 4, waits = 8, relaxed = 16, must_not_complete = 32 };

SharedLocation locate(Context& c, const Decoded& in, int lane) {
  const std::byte* base = c.source(in.s[0]);
  const auto offset = static_cast<U64>(in.immediate);
  const U64 address =
      in.address_bytes == 8 ? read<U64>(base, lane) + offset : static_cast<U32>(read<U32>(base, lane) + offset);
  return machine::locate_shared(*c.cta, machine::shared_address(in.window, address), 8, 8);
}

Mbarrier load_at(const SharedLocation& at) { return Mbarrier::load(at.cta->shared.data() + at.offset); }
void store_at(const SharedLocation& at, const Mbarrier& state) { state.store(at.cta->shared.data() + at.offset); }

/// Calls body(lane, location) for each lane, one after the other.
template <class Body> void for_barriers(Context& c, const Decoded& in, Body&& body) {
  for (U32 rest = c.mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    body(lane, locate(c, in, lane));
  }
}

Next init(Context& c, const Decoded& in) {
  const std::byte* counts = c.source(in.s[1]);
  for_barriers(c, in, [&](int lane, const SharedLocation& at) {
    const auto count = read<U32>(counts, lane);
    if (count == 0 || count > Mbarrier::max_count)
      machine::fail(FaultKind::illegal_instruction, "an mbarrier counts 1 to {} arrivals, not {}", Mbarrier::max_count,
                    count);
    store_at(at, {0, count, count, 0});
    if (c.checker) {
      c.checker->mbarrier_init(site_of(c, in), machine::shared_address_of(at));
      auto& known = at.cta->mbarriers;
      if (std::find(known.begin(), known.end(), at.offset) == known.end()) known.push_back(at.offset);
    }
  });
  return Next::next;
}

Next invalidate(Context& c, const Decoded& in) {
  for_barriers(c, in, [&](int, const SharedLocation& at) {
    if (c.checker) c.checker->mbarrier_invalidate(site_of(c, in), machine::shared_address_of(at));
    std::memset(at.cta->shared.data() + at.offset, 0xff, 8);
    std::erase(at.cta->mbarriers, at.offset);
  });
  return Next::next;
}

/// Arrivals, and transactions that are expected with them. The result is the state before: it names the phase.
Next arrive(Context& c, const Decoded& in) {
  const std::byte* counts = c.source(in.s[1]);
  for_barriers(c, in, [&](int lane, const SharedLocation& at) {
    Mbarrier state = load_at(at);
    U64 before;
    std::memcpy(&before, at.cta->shared.data() + at.offset, 8);
    U32 count = read<U32>(counts, lane);
    if (in.flags & expects) {
      state.transactions += static_cast<std::int32_t>(count);
      count = 1;
    }
    if (c.checker) {
      c.checker->mbarrier_arrive(site_of(c, in), machine::shared_address_of(at), count, state.pending,
                                 in.flags & relaxed);
      count = std::min(count, state.pending);  // what is too much has been reported
    }
    if (count > state.pending)
      machine::fail(FaultKind::hazard,
                    "{} arrivals at the mbarrier at {:#x} of CTA {}, which waits for {} more in this phase", count,
                    at.offset, at.cta->rank, state.pending);
    state.pending -= count;
    if (in.flags & drops) state.expected -= count;
    const bool completes = state.complete();
    if (completes && in.flags & must_not_complete)
      machine::fail(FaultKind::hazard,
                    "the arrival at the mbarrier at {:#x} completes its phase in spite of .noComplete", at.offset);
    store_at(at, state);
    if (completes && c.checker) c.checker->mbarrier_complete(machine::shared_address_of(at));
    if (in.d != no_register) write<U64>(c.target(in.d), lane, before);
  });
  return Next::next;
}

/// expect_tx and complete_tx without an arrival: `flags` says which.
Next transact(Context& c, const Decoded& in) {
  const std::byte* counts = c.source(in.s[1]);
  for_barriers(c, in, [&](int lane, const SharedLocation& at) {
    const auto bytes = read<U32>(counts, lane);
    if (c.checker) c.checker->mbarrier_use(site_of(c, in), machine::shared_address_of(at));
    if (in.flags & expects) {
      Mbarrier state = load_at(at);
      state.transactions += static_cast<std::int32_t>(bytes);
      store_at(at, state);
    } else {
      machine::complete_transactions(at, bytes);
    }
  });
  return Next::next;
}

/// Whether the phase that is asked for is over. try_wait waits for it, if all lanes ask for the same one.
Next wait(Context& c, const Decoded& in) {
  const std::byte* asked = c.source(in.s[1]);
  const bool over = c.group->resumed == Wait::mbarrier;
  const auto phase_of = [&](int lane) {
    return in.flags & by_parity ? read<U32>(asked, lane) & 1 : static_cast<U32>(read<U64>(asked, lane) & 1);
  };
  const auto is_over = [&](int lane, const SharedLocation& at) {
    if (!over && load_at(at).phase == phase_of(lane)) return false;
    if (c.checker) c.checker->mbarrier_wait(site_of(c, in), machine::shared_address_of(at), in.flags & relaxed);
    return true;
  };
  U32 done = 0;
  const bool alike = (in.address_bytes == 8 ? is_uniform<U64>(c, in.s[0]) : is_uniform<U32>(c, in.s[0])) &&
                     (in.flags & by_parity ? is_uniform<U32>(c, in.s[1]) : is_uniform<U64>(c, in.s[1]));
  if (alike) {
    const int lane = std::countr_zero(c.mask);
    const SharedLocation at = locate(c, in, lane);
    if (is_over(lane, at))
      done = c.mask;
    else if (in.flags & waits)
      return wait_for(c, Wait::mbarrier, at.offset, phase_of(lane), at.cta->rank);
  } else {
    for_barriers(c, in, [&](int lane, const SharedLocation& at) { done |= (is_over(lane, at) ? 1u : 0u) << lane; });
  }
  c.set_predicate(in.d, done);
  return done == c.mask ? Next::next : Next::yield;
}

bool bind_mbarrier(Binder& b) {
  b.out.window = window_of(b);
  std::size_t operand = 0;
  if (b.has("pending_count")) {
    b.result(0);
    b.source(0, 1, Type::b64);
    return b.handle([](Context& c, const Decoded& in) {
      std::byte* d = c.target(in.d);
      const std::byte* a = c.source(in.s[0]);
      for_lanes(c.mask, [=](int lane) {
        const U64 bits = read<U64>(a, lane);
        write<U32>(d, lane, Mbarrier::load(reinterpret_cast<const std::byte*>(&bits)).pending);
      });
      return Next::next;
    });
  }
  const bool is_wait = b.has("test_wait") || b.has("try_wait");
  const bool arrives = b.has("arrive") || b.has("arrive_drop");
  // What arrives releases, what waits acquires, unless it is relaxed.
  b.which({arrives ? "release" : "acquire", "relaxed"});
  if (is_wait || arrives) b.result(operand++);
  b.address(0, operand++);
  if (b.has("inval")) return b.handle(invalidate);
  if (is_wait) {
    b.out.flags =
        (b.has("parity") ? by_parity : 0u) | (b.has("try_wait") ? waits : 0u) | (b.has("relaxed") ? relaxed : 0u);
    b.source(1, operand++, b.has("parity") ? Type::b32 : Type::b64);
    return b.handle(wait);  // a hint of how long to wait may follow
  }
  if (operand < b.operand_count())
    b.source(1, operand++, Type::u32);
  else
    b.constant(1, 1, 4);
  if (b.has("init")) return b.handle(init);
  if (arrives) {
    b.out.flags = (b.has("expect_tx") ? expects : 0u) | (b.has("noComplete") ? must_not_complete : 0u) |
                  (b.has("arrive_drop") ? drops : 0u) | (b.has("relaxed") ? relaxed : 0u);
    return b.handle(arrive);
  }
  if (b.has("expect_tx") || b.has("complete_tx")) {
    b.out.flags = b.has("expect_tx") ? expects : 0u;
    return b.handle(transact);
  }
  return false;
}

}  // namespace

void register_mbarrier(Registry& registry) { registry.add("mbarrier", bind_mbarrier); }

}  // namespace emu::isa
