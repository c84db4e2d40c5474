#include <chrono>
#include <cstring>

#include "isa/dispatch.hpp"
#include "machine/state.hpp"

// PTX ISA 9.7.9: mov, and conversions of addresses.
namespace emu::isa {

namespace {

using machine::shared_offset_bits;
using machine::shared_offset_mask;
using ptx::OperandKind;
using ptx::Type;

template <class T> Next move(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [=](int lane) { write<T>(d, lane, read<T>(a, lane)); });
  return Next::next;
}

/// d = {a, b, ...}, the first one lowest; `flags` is the width of an element.
template <class T> Next pack(Context& c, const Decoded& in) {
  const std::uint64_t mask = (std::uint64_t{1} << in.flags) - 1;
  T values[lanes] = {};  // the result may take the place of an element
  for (std::uint32_t i = 0; i < in.list_size; ++i) {
    const std::byte* a = c.source(c.program->lists[in.list_first + i]);
    const std::uint32_t shift = i * in.flags;
    for_lanes(c.mask, [&values, a, mask, shift](int lane) {
      values[lane] = static_cast<T>(values[lane] | static_cast<T>((read<std::uint32_t>(a, lane) & mask) << shift));
    });
  }
  std::byte* d = c.target(in.d);
  for_lanes(c.mask, [&values, d](int lane) { write<T>(d, lane, values[lane]); });
  return Next::next;
}

/// {a, b, ...} = s0.
template <class T> Next unpack(Context& c, const Decoded& in) {
  const std::uint64_t mask = (std::uint64_t{1} << in.flags) - 1;
  const std::byte* a = c.source(in.s[0]);
  T values[lanes];  // an element may take the place of the source
  for_lanes(c.mask, [&values, a](int lane) { values[lane] = read<T>(a, lane); });
  for (std::uint32_t i = 0; i < in.list_size; ++i) {
    const Source& to = c.program->lists[in.list_first + i];
    if (!to.exists()) continue;
    std::byte* d = c.target(to.offset);
    const std::uint32_t shift = i * in.flags;
    for_lanes(c.mask, [&values, d, mask, shift](int lane) {
      write<std::uint32_t>(d, lane, static_cast<std::uint32_t>(values[lane] >> shift & mask));
    });
  }
  return Next::next;
}

/// Clocks run with the host's, a billion steps a second.
template <class T> Next read_clock(Context& c, const Decoded& in) {
  const auto now = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  std::byte* d = c.target(in.d);
  for_lanes(c.mask, [=](int lane) { write<T>(d, lane, static_cast<T>(in.flags ? now >> 32 : now)); });
  return Next::yield;  // a kernel that polls a clock waits for others
}

bool bind_clock(Binder& b, ptx::SpecialRegister special) {
  using S = ptx::SpecialRegister;
  b.result(0);
  b.out.flags = special == S::clock_hi || special == S::globaltimer_hi;
  return b.handle(ptx::bits_of(b.type()) == 64 ? read_clock<std::uint64_t> : read_clock<std::uint32_t>);
}

bool bind_mov(Binder& b) {
  using S = ptx::SpecialRegister;
  const int bits = ptx::bits_of(b.type());
  const ptx::Operand &to = b.operand(0), &from = b.operand(1);
  if (from.kind == OperandKind::special) switch (from.special) {
      case S::clock:
      case S::clock_hi:
      case S::clock64:
      case S::globaltimer:
      case S::globaltimer_lo:
      case S::globaltimer_hi: return bind_clock(b, from.special);
      default: break;
    }
  if (from.kind == OperandKind::vector) {
    b.result(0);
    b.begin_list();
    const auto width = static_cast<std::uint32_t>(bits) / from.count;
    b.out.flags = width;
    b.list_sources(from, width == 32 ? Type::b32 : width == 16 ? Type::b16 : Type::b8);
    if (bits == 64) return b.handle(vectorized<pack<std::uint64_t>>());
    return b.handle(bits == 32   ? vectorized<pack<std::uint32_t>>()
                    : bits == 16 ? vectorized<pack<std::uint16_t>>()
                                 : nullptr);
  }
  if (to.kind == OperandKind::vector) {
    b.begin_list();
    b.list_results(to);
    b.source(0, 1, b.type());
    b.out.flags = static_cast<std::uint32_t>(bits) / to.count;
    if (bits == 64) return b.handle(vectorized<unpack<std::uint64_t>>());
    return b.handle(bits == 32   ? vectorized<unpack<std::uint32_t>>()
                    : bits == 16 ? vectorized<unpack<std::uint16_t>>()
                                 : nullptr);
  }
  b.result(0);
  if (from.kind == OperandKind::symbol)
    if (const auto offset = b.offset_in_frame(0, from)) {
      if (bits != 64) return false;
      b.constant(1, *offset, 8);
      return b.handle(
          binary_handler<std::uint64_t, std::uint64_t>([](std::uint64_t x, std::uint64_t y) { return x + y; }));
    }
  b.source(0, 1, b.type());
  if (b.type() == Type::pred)
    return b.handle([](Context& c, const Decoded& in) {
      c.set_predicate(in.d, c.predicate(in.s[0]));
      return Next::next;
    });
  // A special register of 32 bits may be moved to a wider one, and the other way round.
  if (from.kind == OperandKind::special && ptx::type_of(from.special) != Type::pred) {
    const bool wide = ptx::type_of(from.special) == Type::u64;
    if (wide && bits == 32)
      return b.handle([](Context& c, const Decoded& in) {
        std::byte* d = c.target(in.d);
        const std::byte* a = c.source(in.s[0]);
        for_lanes(c.mask, [=](int lane) { write(d, lane, static_cast<std::uint32_t>(read<std::uint64_t>(a, lane))); });
        return Next::next;
      });
    if (!wide && bits == 64)
      return b.handle([](Context& c, const Decoded& in) {
        std::byte* d = c.target(in.d);
        const std::byte* a = c.source(in.s[0]);
        for_lanes(c.mask, [=](int lane) { write(d, lane, std::uint64_t{read<std::uint32_t>(a, lane)}); });
        return Next::next;
      });
  }
  return b.handle(for_bits(b.type(), []<class T>(std::type_identity<T>) -> Handler { return vectorized<move<T>>(); }));
}

// ---- Addresses ----

std::uint64_t tag_of(const Binder& b) {
  if (b.which({"shared", "shared::cta", "shared::cluster"}) >= 0) return machine::shared_tag;
  if (b.has("local")) return machine::local_tag;
  if (b.which({"param", "param::entry"}) >= 0) return machine::param_tag;
  if (b.which({"global", "const"}) < 0) b.refuse("the space is not known");
  return 0;  // global and constant memory have the host's addresses
}

/// cvta sets the window's tag, cvta.to takes it away.
bool bind_cvta(Binder& b) {
  if (ptx::bits_of(b.type()) != 64) return false;
  b.result_and_sources(1, b.type());
  const std::uint64_t tag = tag_of(b);
  const bool to_space = b.has("to");
  if (tag == 0) return b.handle(vectorized<move<std::uint64_t>>());
  if (to_space)
    return b.handle(
        unary_handler<std::uint64_t, std::uint64_t>([](std::uint64_t x) { return x & ~machine::tag_mask; }));
  b.constant(1, tag, 8);
  return b.handle(binary_handler<std::uint64_t, std::uint64_t>([](std::uint64_t x, std::uint64_t y) { return x | y; }));
}

bool bind_isspacep(Binder& b) {
  if (b.has("const")) return false;  // it cannot be told from global memory
  b.result_and_sources(1, Type::u64);
  b.out.immediate = static_cast<std::int64_t>(tag_of(b));
  b.out.flags = b.which({"shared", "shared::cta"}) >= 0;
  return b.handle([](Context& c, const Decoded& in) {
    const std::byte* a = c.source(in.s[0]);
    std::uint32_t result = 0;
    for_lanes(c.mask, [&](int lane) {
      const auto address = read<std::uint64_t>(a, lane);
      bool is = (address & machine::tag_mask) == static_cast<std::uint64_t>(in.immediate);
      const auto rank = static_cast<std::uint32_t>(address & 0xffffffff) >> shared_offset_bits;
      if (in.flags) is = is && (rank == 0 || rank == c.cta->rank + 1);
      result |= static_cast<std::uint32_t>(is) << lane;
    });
    c.set_predicate(in.d, result);
    return Next::next;
  });
}

/// The same offset in the memory of another CTA of the cluster.
template <class T> Next map_address(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte *a = c.source(in.s[0]), *rank = c.source(in.s[1]);
  for_lanes(c.mask, [&](int lane) {
    const T address = read<T>(a, lane);
    const auto to = read<std::uint32_t>(rank, lane);
    if (to >= c.cluster->ctas.size()) [[unlikely]]
      machine::fail(machine::FaultKind::illegal_address, "mapa asks for CTA {} of a cluster of {}", to,
                    c.cluster->ctas.size());
    const T ranks = static_cast<T>(T{0xff} << shared_offset_bits);
    write<T>(d, lane,
             static_cast<T>((address & static_cast<T>(~ranks)) | static_cast<T>(to + 1) << shared_offset_bits));
  });
  return Next::next;
}

bool bind_mapa(Binder& b) {
  b.has("shared::cluster");
  b.result(0);
  b.source(0, 1, b.type());
  b.source(1, 2, Type::u32);
  return b.handle(ptx::bits_of(b.type()) == 64 ? map_address<std::uint64_t> : map_address<std::uint32_t>);
}

template <class T> Next rank_of_address(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [&](int lane) {
    const auto rank = static_cast<std::uint32_t>(read<T>(a, lane) >> shared_offset_bits & 0xff);
    write<std::uint32_t>(d, lane, rank ? rank - 1 : c.cta->rank);
  });
  return Next::next;
}

bool bind_getctarank(Binder& b) {
  b.has("shared::cluster");
  b.result_and_sources(1, b.type());
  return b.handle(ptx::bits_of(b.type()) == 64 ? rank_of_address<std::uint64_t> : rank_of_address<std::uint32_t>);
}

/// A cache policy: a number that nothing looks at.
bool bind_createpolicy(Binder& b) {
  if (b.which({"fractional", "range", "cvt"}) < 0) return false;
  b.has("global");
  b.result(0);
  return b.handle([](Context& c, const Decoded& in) {
    std::byte* d = c.target(in.d);
    for_lanes(c.mask, [=](int lane) { write(d, lane, std::uint64_t{1}); });
    return Next::next;
  });
}

}  // namespace

void register_moves(Registry& registry) {
  registry.add("mov", bind_mov);
  registry.add("cvta", bind_cvta);
  registry.add("isspacep", bind_isspacep);
  registry.add("mapa", bind_mapa);
  registry.add("getctarank", bind_getctarank);
  registry.add("createpolicy", bind_createpolicy);
}

}  // namespace emu::isa
