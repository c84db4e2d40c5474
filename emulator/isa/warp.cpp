#include <algorithm>
#include <bit>

#include "isa/dispatch.hpp"
#include "isa/synchronize.hpp"

// PTX ISA 9.7.9 and 9.7.13: what the lanes of a warp do together.
namespace emu::isa {

namespace {

using ptx::Type;
using U32 = std::uint32_t;

/// `body` for the lanes that source `members` of the instruction names.
template <void (*body)(Context&, const Decoded&), int members> Next together(Context& c, const Decoded& in) {
  return among_members(c, in.s[members], [&] { body(c, in); });
}

// ---- shfl ----

enum Mode { up, down, butterfly, index };

template <int mode> void shuffle(Context& c, const Decoded& in) {
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]), *limits = c.source(in.s[2]);
  U32 values[lanes], results[lanes];
  for (int lane = 0; lane < lanes; ++lane) values[lane] = read<U32>(a, lane);
  U32 inside = 0;
  for_lanes(c.mask, [&](int lane) {
    const auto limit = read<U32>(limits, lane);
    const int by = static_cast<int>(read<U32>(b, lane) & 31), segment = static_cast<int>(limit >> 8 & 31);
    const int first = lane & segment, last = first | (static_cast<int>(limit & 31) & ~segment);
    const int from = mode == up          ? lane - by
                     : mode == down      ? lane + by
                     : mode == butterfly ? lane ^ by
                                         : first | (by & ~segment);
    const bool is_inside = mode == up ? from >= last : from <= last;
    results[lane] = values[is_inside ? from & 31 : lane];
    inside |= static_cast<U32>(is_inside) << lane;
  });
  if (in.d != no_register) {
    std::byte* d = c.target(in.d);
    for_lanes(c.mask, [&](int lane) { write(d, lane, results[lane]); });
  }
  c.set_predicate(in.d2, inside);
}

bool bind_shfl(Binder& b) {
  if (!b.has("sync")) return false;
  b.result_and_sources(4, Type::b32);
  switch (b.which({"up", "down", "bfly", "idx"})) {
    case up: return b.handle(vectorized<together<shuffle<up>, 3>>());
    case down: return b.handle(vectorized<together<shuffle<down>, 3>>());
    case butterfly: return b.handle(vectorized<together<shuffle<butterfly>, 3>>());
    case index: return b.handle(vectorized<together<shuffle<index>, 3>>());
    default: return false;
  }
}

// ---- vote, match, redux ----

enum Vote : U32 { all, any, uniform, ballot };

void vote(Context& c, const Decoded& in) {
  const U32 said = c.predicate(in.s[0]) & c.mask, asked = c.mask;
  if (in.flags == ballot) {
    std::byte* d = c.target(in.d);
    for_lanes(c.mask, [=](int lane) { write(d, lane, said); });
    return;
  }
  const bool holds = in.flags == all ? said == asked : in.flags == any ? said != 0 : said == 0 || said == asked;
  c.set_predicate(in.d, holds ? full_mask : 0);
}

bool bind_vote(Binder& b) {
  if (!b.has("sync")) return false;
  const int mode = b.which({"all", "any", "uni", "ballot"});
  if (mode < 0) return false;
  b.out.flags = static_cast<U32>(mode);
  b.result(0);
  b.source(0, 1, Type::pred);
  b.source(1, 2, Type::u32);
  return b.handle(together<vote, 1>);
}

template <class T, bool all_alike> void match(Context& c, const Decoded& in) {
  const std::byte* a = c.source(in.s[0]);
  T values[lanes];
  for (int lane = 0; lane < lanes; ++lane) values[lane] = read<T>(a, lane);
  const auto alike = [&](int lane) {
    U32 same = 0;
    for_lanes(c.mask, [&](int other) { same |= static_cast<U32>(values[other] == values[lane]) << other; });
    return same & c.mask;
  };
  const bool holds = alike(std::countr_zero(c.mask)) == c.mask;
  U32 results[lanes];
  for_lanes(c.mask, [&](int lane) { results[lane] = all_alike ? (holds ? c.mask : 0) : alike(lane); });
  if (in.d != no_register) {
    std::byte* d = c.target(in.d);
    for_lanes(c.mask, [&](int lane) { write(d, lane, results[lane]); });
  }
  c.set_predicate(in.d2, holds ? full_mask : 0);
}

bool bind_match(Binder& b) {
  b.result(0);
  b.source(0, 1, b.type());
  b.source(1, 2, Type::u32);
  const bool wide = ptx::bits_of(b.type()) == 64;
  const int mode = b.which({"all", "any"});
  if (mode < 0) return false;
  if (mode == 0) return b.handle(wide ? together<match<std::uint64_t, true>, 1> : together<match<U32, true>, 1>);
  return b.handle(wide ? together<match<std::uint64_t, false>, 1> : together<match<U32, false>, 1>);
}

template <class T, class Operation> void reduce(Context& c, const Decoded& in) {
  const std::byte* a = c.source(in.s[0]);
  auto result = read<T>(a, std::countr_zero(c.mask));
  for (U32 rest = c.mask & (c.mask - 1); rest; rest &= rest - 1)
    result = static_cast<T>(Operation{}(result, read<T>(a, std::countr_zero(rest))));
  std::byte* d = c.target(in.d);
  for_lanes(c.mask, [=](int lane) { write(d, lane, static_cast<U32>(result)); });
}
template <class T, class Operation> Handler reduction(Operation) { return together<reduce<T, Operation>, 1>; }

bool bind_redux(Binder& b) {
  b.result(0);
  b.source(0, 1, b.type());
  b.source(1, 2, Type::u32);
  const bool is_signed = b.type() == Type::s32;
  switch (b.which({"add", "min", "max", "and", "or", "xor"})) {
    case 0: return b.handle(reduction<U32>([](U32 x, U32 y) { return x + y; }));
    case 1:
      return b.handle(is_signed ? reduction<std::int32_t>([](std::int32_t x, std::int32_t y) { return std::min(x, y); })
                                : reduction<U32>([](U32 x, U32 y) { return std::min(x, y); }));
    case 2:
      return b.handle(is_signed ? reduction<std::int32_t>([](std::int32_t x, std::int32_t y) { return std::max(x, y); })
                                : reduction<U32>([](U32 x, U32 y) { return std::max(x, y); }));
    case 3: return b.handle(reduction<U32>([](U32 x, U32 y) { return x & y; }));
    case 4: return b.handle(reduction<U32>([](U32 x, U32 y) { return x | y; }));
    case 5: return b.handle(reduction<U32>([](U32 x, U32 y) { return x ^ y; }));
    default: return false;
  }
}

// ---- elect, activemask ----

void elect(Context& c, const Decoded& in) {
  const auto leader = static_cast<U32>(std::countr_zero(c.mask));
  if (in.d != no_register) {
    std::byte* d = c.target(in.d);
    for_lanes(c.mask, [=](int lane) { write(d, lane, leader); });
  }
  c.set_predicate(in.d2, 1u << leader);
}

bool bind_elect(Binder& b) {
  b.result(0);
  b.source(0, 1, Type::u32);
  return b.handle(together<elect, 0>);
}

bool bind_activemask(Binder& b) {
  b.result(0);
  return b.handle([](Context& c, const Decoded& in) {
    std::byte* d = c.target(in.d);
    for_lanes(c.mask, [&](int lane) { write(d, lane, c.mask); });
    return Next::next;
  });
}

}  // namespace

void register_warp(Registry& registry) {
  registry.add("shfl", bind_shfl);
  registry.add("vote", bind_vote);
  registry.add("match", bind_match);
  registry.add("redux", bind_redux);
  registry.add("elect", bind_elect);
  registry.add("activemask", bind_activemask);
}

}  // namespace emu::isa
