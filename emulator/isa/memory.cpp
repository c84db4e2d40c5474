#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <span>

#include "async/float_formats.hpp"
#include "isa/checks.hpp"
#include "isa/copies.hpp"
#include "isa/dispatch.hpp"
#include "isa/memory.hpp"
#include "machine/state.hpp"

// PTX ISA 9.7.9 and 9.7.13: ld, st, atom, red.
namespace emu::isa {

Window window_of(const Binder& b) {
  if (b.has("global")) return Window::global;
  if (b.has("shared") || b.has("shared::cta")) return Window::shared_cta;
  if (b.has("shared::cluster")) return Window::shared_cluster;
  if (b.has("local")) return Window::local;
  if (b.which({"param", "param::entry", "param::func"}) >= 0) return Window::param;
  if (b.has("const")) return Window::constant;
  return Window::generic;
}

namespace {

using machine::Cta;
using machine::FaultKind;
using ptx::OperandKind;
using ptx::Type;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

/// Whether others may change or watch the memory meanwhile.
enum Access : U32 { weak = 0, strong = 1 };

/// The host's pointers for an access of `bytes` bytes at each lane's address.
class Pointers {
 public:
  Pointers(Context& c, const Decoded& in, U32 bytes) : bytes_(bytes) {
    const std::byte* base = c.source(in.s[0]);
    const auto offset = static_cast<U64>(in.immediate);
    if (in.address_bytes == 8)
      for_lanes(c.mask, [&](int lane) { addresses_[lane] = read<U64>(base, lane) + offset; });
    else
      for_lanes(c.mask, [&](int lane) { addresses_[lane] = static_cast<U32>(read<U32>(base, lane) + offset); });
    if (is_run(c, in.window) || all_in_one(c, in.window)) return;
    for_lanes(c.mask, [&](int lane) {
      const machine::Place place = machine::place_of(c, in.window, lane, addresses_[lane], bytes, bytes);
      pointers_[lane] = place.pointer;
      offsets_[lane] = place.offset;
      ctas_[lane] = place.cta;
      if (place.cta)
        shared_ |= 1u << lane;
      else if (place.is_global)
        global_ |= 1u << lane;
    });
    one_cta_ = false;
  }
  std::byte* operator[](int lane) const {
    return stride_ == no_stride ? pointers_[lane] : first_ + static_cast<std::size_t>(lane) * stride_;
  }
  /// The place that is the same for all lanes, null if there is no such place.
  std::byte* only() const { return stride_ == 0 ? first_ : nullptr; }

  /// The first lane's place, if all lanes follow each other without a gap; else null.
  std::byte* run() const { return stride_ == bytes_ ? first_ : nullptr; }

  /// Tells the checker of reads or writes of these places.
  void check(Context& c, const Decoded& in, bool reads, bool writes, check::Strength strength) const {
    const check::Site site = site_of(c, in);
    if (global_) check_global(c, site, reads, writes);
    if (!shared_) return;
    if (stride_ != no_stride) {
      const check::SharedAddress at{c.cta->rank, static_cast<U32>(addresses_[0])};
      if (reads) c.checker->read(site, at, span(), strength);
      if (writes) c.checker->write(site, at, span(), strength);
      return;
    }
    const auto tell = [&](U32 cta, U32 mask) {
      if (reads) c.checker->read_lanes(site, cta, mask, offsets_, bytes_, strength);
      if (writes) c.checker->write_lanes(site, cta, mask, offsets_, bytes_, strength);
    };
    if (one_cta_) return tell(c.cta->rank, shared_);
    for (U32 rest = shared_; rest; rest &= rest - 1) tell(ctas_[std::countr_zero(rest)]->rank, rest & (0 - rest));
  }

 private:
  static constexpr U32 no_stride = ~0u;

  /// Bytes from the first lane's place to the end of the last one's.
  U32 span() const { return stride_ * (lanes - 1) + bytes_; }

  /// The usual case: all lanes reach the same place, or they follow each other, and that range lies in global memory, in the
  /// CTA's own shared memory or in the parameters. Whatever is wrong with it is found lane by lane.
  bool is_run(Context& c, Window window) {
    if (c.mask != full_mask || !find_stride() || addresses_[0] & (bytes_ - 1)) return forget_run();
    const U64 first = addresses_[0];
    switch (window) {
      case Window::global:
      case Window::generic:
      case Window::constant:
        block_ = c.cluster->recent.find(first, span());
        if (!block_) return forget_run();
        first_ = reinterpret_cast<std::byte*>(first);
        global_ = full_mask;
        return true;
      case Window::shared_cta:
      case Window::shared_cluster:
        if (first < machine::shared_base || first + span() > c.cta->shared.size()) return forget_run();
        first_ = c.cta->shared.data() + first;
        shared_ = full_mask;
        return true;
      case Window::param:
        if (stride_ != 0) return forget_run();
        first_ = machine::place_of(c, window, 0, first, bytes_, bytes_).pointer;
        return true;
      default: return forget_run();
    }
  }
  bool find_stride() {
    const U64 first = addresses_[0], stride = addresses_[1] - first;
    if (stride != 0 && stride != bytes_) return false;
    U64 differing = 0;
    for (int lane = 0; lane < lanes; ++lane) differing |= addresses_[lane] ^ (first + static_cast<U64>(lane) * stride);
    stride_ = static_cast<U32>(stride);
    return differing == 0;
  }
  bool forget_run() {
    stride_ = no_stride;
    return false;
  }

  /// The second most usual case: everything lies in one recent block of global memory, or in the CTA's own shared memory.
  bool all_in_one(Context& c, Window window) {
    const bool global = window == Window::global || window == Window::generic || window == Window::constant;
    if (!global && window != Window::shared_cta && window != Window::shared_cluster) return false;
    U64 low = ~U64{0}, high = 0, bits = 0;
    for_lanes(c.mask, [&](int lane) {
      low = std::min(low, addresses_[lane]);
      high = std::max(high, addresses_[lane]);
      bits |= addresses_[lane];
    });
    if (bits & (bytes_ - 1)) return false;
    if (global) {
      block_ = c.cluster->recent.find(low, high - low + bytes_);
      if (!block_) return false;
      for_lanes(c.mask, [&](int lane) { pointers_[lane] = reinterpret_cast<std::byte*>(addresses_[lane]); });
      global_ = c.mask;
      return true;
    }
    const auto shared = c.cta->shared;
    if (low < machine::shared_base || high + bytes_ > shared.size()) return false;
    for_lanes(c.mask, [&](int lane) {
      pointers_[lane] = shared.data() + addresses_[lane];
      offsets_[lane] = static_cast<U32>(addresses_[lane]);
    });
    shared_ = c.mask;
    return true;
  }

  /// Of global memory only what has never been written is looked for. Lanes that follow each other count as one access.
  void check_global(Context& c, check::Site site, bool reads, bool writes) const {
    if (block_ && (!block_->initialized || block_->initialized->is_complete())) return;
    const auto tell = [&](const std::byte* first, U64 length) {
      const auto address = reinterpret_cast<U64>(first);
      if (reads) machine::check_global_read(*c.cluster, site, address, length);
      if (writes) machine::note_global_write(*c.cluster, address, length);
    };
    if (stride_ != no_stride) return tell(first_, span());
    for (U32 rest = global_; rest;) {
      const int first = std::countr_zero(rest);
      U64 length = 0;
      for (int lane = first; rest >> lane & 1 && pointers_[lane] == pointers_[first] + length;) {
        length += bytes_;
        rest &= ~(1u << lane);
        if (++lane == lanes) break;
      }
      tell(pointers_[first], length);
    }
  }

  const U32 bytes_;
  U64 addresses_[lanes];
  // A run: the lanes' places are `stride_` bytes apart, from the first lane's on. Else each lane's pointer.
  U32 stride_ = no_stride;
  std::byte* first_ = nullptr;
  std::byte* pointers_[lanes];
  U32 offsets_[lanes];  // in shared memory, of the CTA's own or of ctas_
  Cta* ctas_[lanes];
  U32 shared_ = 0, global_ = 0;                 // lanes
  bool one_cta_ = true;                         // those of `shared_` are in the memory of the CTA itself
  const GlobalMemory::Block* block_ = nullptr;  // that all of `global_` lie in, if that is known
};

/// How a strong access orders others, in Decoded::flags beside Access.
constexpr U32 order_shift = 4;
check::Order order_of(const Decoded& in) { return static_cast<check::Order>(in.flags >> order_shift); }

/// Synchronization through a variable, named by its place in the host's memory.
void tell_strong(Context& c, const Decoded& in, const Pointers& at, bool reads) {
  for (U32 rest = c.mask; rest; rest &= rest - 1) {
    const auto key = reinterpret_cast<U64>(at[std::countr_zero(rest)]);
    if (reads)
      c.checker->strong_read(site_of(c, in), key, order_of(in));
    else
      c.checker->strong_write(site_of(c, in), key, order_of(in));
  }
}

template <class T> T load_strong(const std::byte* at) {
  return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_SEQ_CST);
}
template <class T> void store_strong(std::byte* at, T value) {
  __atomic_store_n(reinterpret_cast<T*>(at), value, __ATOMIC_SEQ_CST);
}

// ---- Lanes that follow each other: loops that the compiler turns into loads, permutations and stores of whole vectors ----

constexpr int max_vector = 8;

/// Element `e` of each lane's `count` elements goes to the register at to[e], or comes from the one at from[e].
template <int count, class T, class R> void load_run(const std::byte* place, std::byte* const* to) {
  std::byte* d[count];
  std::copy(to, to + count, d);
#pragma GCC ivdep
  for (int lane = 0; lane < lanes; ++lane) {
    T values[count];
    for (int e = 0; e < count; ++e) std::memcpy(&values[e], place + sizeof(T) * (count * lane + e), sizeof(T));
    for (int e = 0; e < count; ++e) write<R>(d[e], lane, static_cast<R>(values[e]));
  }
}
template <int count, class T> void store_run(std::byte* place, const std::byte* const* from) {
  const std::byte* a[count];
  std::copy(from, from + count, a);
#pragma GCC ivdep
  for (int lane = 0; lane < lanes; ++lane) {
    T values[count];
    for (int e = 0; e < count; ++e) values[e] = read<T>(a[e], lane);
    for (int e = 0; e < count; ++e) std::memcpy(place + sizeof(T) * (count * lane + e), &values[e], sizeof(T));
  }
}

/// run(std::integral_constant<int, count>) for the elements of a vector instruction.
template <class Run> void for_count(int count, Run&& run) {
  switch (count) {
    case 1: return run(std::integral_constant<int, 1>());
    case 2: return run(std::integral_constant<int, 2>());
    case 4: return run(std::integral_constant<int, 4>());
    default: return run(std::integral_constant<int, max_vector>());
  }
}

// ---- ld ----

/// A T in memory becomes an R in the register: extended as T's sign says.
template <class T, class R> Next load(Context& c, const Decoded& in) {
  const int count = in.vector;
  const Pointers at(c, in, static_cast<U32>(sizeof(T)) * in.vector);
  const bool is_strong = in.flags & strong;
  if (c.checker) at.check(c, in, true, false, is_strong ? check::Strength::strong : check::Strength::weak);
  alignas(64) std::byte nowhere[lanes * sizeof(U64)];
  std::byte* to[max_vector] = {in.d == no_register ? nowhere : c.target(in.d)};
  for (int e = 0; count > 1 && e < count; ++e) {
    const Source& element = c.program->lists[in.list_first + static_cast<U32>(e)];
    to[e] = element.exists() ? c.target(element.offset) : nowhere;
  }
  const auto value_at = [](const std::byte* place, int e) {
    T value;
    std::memcpy(&value, place + sizeof(T) * static_cast<std::size_t>(e), sizeof(T));
    return static_cast<R>(value);
  };
  if (is_strong) {
    for (int e = 0; e < count; ++e)
      for_lanes(c.mask, [&](int lane) {
        write<R>(to[e], lane, static_cast<R>(load_strong<T>(at[lane] + sizeof(T) * static_cast<std::size_t>(e))));
      });
    if (c.checker) tell_strong(c, in, at, true);
    return Next::yield;  // whoever polls memory lets others change it
  }
  if (const std::byte* run = at.run()) {
    for_count(count, [&](auto constant) { load_run<decltype(constant)::value, T, R>(run, to); });
  } else if (const std::byte* only = at.only()) {
    for (int e = 0; e < count; ++e) {
      std::byte* d = to[e];
      const R value = value_at(only, e);
      for_lanes(full_mask, [=](int lane) { write<R>(d, lane, value); });
    }
  } else {
    for (int e = 0; e < count; ++e) for_lanes(c.mask, [&](int lane) { write<R>(to[e], lane, value_at(at[lane], e)); });
  }
  return Next::next;
}

template <class T> Handler load_into(int register_bits) {
  // The sign reaches as far as the register does.
  if (register_bits == 64) return vectorized<load<T, std::conditional_t<std::is_signed_v<T>, std::int64_t, U64>>>();
  if (register_bits == 32) return vectorized<load<T, std::conditional_t<std::is_signed_v<T>, std::int32_t, U32>>>();
  if (register_bits == 16)
    return vectorized<load<T, std::conditional_t<std::is_signed_v<T>, std::int16_t, std::uint16_t>>>();
  return nullptr;
}

/// The type in memory as an integer: floats are bits.
Handler for_memory(Type type, auto make) {
  if (ptx::is_signed(type) && type != Type::s16x2) return for_integer(type, make);
  switch (ptx::bits_of(type)) {
    case 8: return make(std::type_identity<std::uint8_t>());
    case 16: return make(std::type_identity<std::uint16_t>());
    case 32: return make(std::type_identity<U32>());
    case 64: return make(std::type_identity<U64>());
    default: return nullptr;
  }
}

/// What the opcode says of ordering; atomics are strong whatever it says.
U32 access_of(const Binder& b, bool is_atomic = false) {
  const bool says_so = b.which({"volatile", "relaxed", "acquire", "release", "acq_rel"}) >= 0;
  const bool is_strong = is_atomic || says_so || b.has("mmio");
  b.has("mmio");
  const check::Order order = b.has("acq_rel")   ? check::Order::acq_rel
                             : b.has("acquire") ? check::Order::acquire
                             : b.has("release") ? check::Order::release
                                                : check::Order::relaxed;
  return (is_strong ? strong : weak) | static_cast<U32>(order) << order_shift;
}

/// The elements of a vector operand must be as many as .v2 or .v4 says.
bool has_shape(const Binder& b, const ptx::Operand& operand) {
  const std::size_t count = b.has("v2") ? 2 : b.has("v4") ? 4 : b.has("v8") ? 8 : 1;
  return count == 1 ? operand.kind != OperandKind::vector
                    : operand.kind == OperandKind::vector && b.elements(operand).size() == count;
}

bool bind_ld(Binder& b) {
  b.out.window = window_of(b);
  const ptx::Operand& to = b.operand(0);
  if (!has_shape(b, to)) return false;
  int register_bits = ptx::bits_of(b.type());
  if (to.kind == OperandKind::vector) {
    b.begin_list();
    b.list_results(to);
    b.out.vector = static_cast<std::uint8_t>(to.count);
    for (const ptx::Operand& element : b.elements(to))
      if (element.is_register()) register_bits = ptx::bits_of(b.register_type(element));
  } else {
    b.result(0);
    if (to.is_register()) register_bits = ptx::bits_of(b.register_type(to));
  }
  b.address(0, 1);
  b.out.flags = b.out.window == Window::param ? weak : access_of(b);
  return b.handle(for_memory(b.type(), [=]<class T>(std::type_identity<T>) { return load_into<T>(register_bits); }));
}

// ---- st ----

template <class T> Next store(Context& c, const Decoded& in) {
  const int count = in.vector;
  const Pointers at(c, in, static_cast<U32>(sizeof(T)) * in.vector);
  const bool is_strong = in.flags & strong;
  if (c.checker) {
    at.check(c, in, false, true, is_strong ? check::Strength::strong : check::Strength::weak);
    if (is_strong) tell_strong(c, in, at, false);
  }
  const std::byte* from[max_vector] = {};
  for (int e = 0; e < count; ++e)
    from[e] = c.source(count == 1 ? in.s[1] : c.program->lists[in.list_first + static_cast<U32>(e)]);
  const bool narrows = in.register_bytes == 8 && sizeof(T) < 8;  // a narrow type may come from a register of 64 bits
  if (std::byte* run = at.run(); run && !is_strong && !narrows) {
    for_count(count, [&](auto constant) { store_run<decltype(constant)::value, T>(run, from); });
    return Next::next;
  }
  for (int e = 0; e < count; ++e)
    for (U32 rest = c.mask; rest; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      const T value = narrows ? static_cast<T>(read<U64>(from[e], lane)) : read<T>(from[e], lane);
      std::byte* place = at[lane] + sizeof(T) * static_cast<std::size_t>(e);
      if (is_strong)
        store_strong<T>(place, value);
      else
        std::memcpy(place, &value, sizeof(T));
    }
  return Next::next;
}

bool bind_st(Binder& b) {
  b.out.window = window_of(b);
  const ptx::Operand& from = b.operand(1);
  if (!has_shape(b, from)) return false;
  b.address(0, 0);
  b.out.register_bytes = ptx::bits_of(b.type()) == 64 ? 8 : 4;
  const auto note_width = [&](const ptx::Operand& operand) {
    if (operand.is_register()) b.out.register_bytes = static_cast<std::uint8_t>(b.register_bytes(operand));
  };
  if (from.kind == OperandKind::vector) {
    b.begin_list();
    b.list_sources(from, b.type());
    b.out.vector = static_cast<std::uint8_t>(from.count);
    for (const ptx::Operand& element : b.elements(from)) note_width(element);
  } else {
    b.source(1, 1, b.type());
    note_width(from);
  }
  b.out.flags = access_of(b);
  switch (ptx::bits_of(b.type())) {
    case 8: return b.handle(vectorized<store<std::uint8_t>>());
    case 16: return b.handle(vectorized<store<std::uint16_t>>());
    case 32: return b.handle(vectorized<store<U32>>());
    case 64: return b.handle(b.out.register_bytes == 8 ? vectorized<store<U64>>() : nullptr);
    default: return false;
  }
}

// ---- atom and red ----

/// memory = operation(memory, b) by one atomic operation of the host; the old value.
template <class T, class Operation> T update(std::byte* at, Operation&& operation) {
  auto* memory = reinterpret_cast<T*>(at);
  T old = __atomic_load_n(memory, __ATOMIC_RELAXED);
  while (true) {
    T value = operation(old);
    if (__atomic_compare_exchange_n(memory, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) return old;
  }
}

template <class T, class Operation> Next atomic(Context& c, const Decoded& in) {
  const Pointers at(c, in, sizeof(T));
  if (c.checker) {
    at.check(c, in, true, true, check::Strength::strong);
    tell_strong(c, in, at, false);
  }
  const std::byte *b = c.source(in.s[1]), *e = c.source(in.s[in.s[2].exists() ? 2 : 1]);
  // One lane after the other: they may go to one place.
  for (U32 rest = c.mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const T x = read<T>(b, lane), y = read<T>(e, lane);
    const T old = update<T>(at[lane], [=](T memory) { return Operation{}(memory, x, y); });
    if (in.d != no_register) write<T>(c.target(in.d), lane, old);
  }
  if (c.checker) tell_strong(c, in, at, true);
  return Next::yield;
}

template <class T, class Operation> Handler atomic_handler(Operation) { return atomic<T, Operation>; }

/// Addition in a floating-point format, of one element or of both halves.
template <class T> T added(T memory, T x) {
  if constexpr (sizeof(T) == 8)
    return std::bit_cast<T>(std::bit_cast<double>(memory) + std::bit_cast<double>(x));
  else
    return std::bit_cast<T>(std::bit_cast<float>(memory) + std::bit_cast<float>(x));
}
template <bool is_bf16> std::uint16_t half_sum(std::uint16_t a, std::uint16_t b) {
  if constexpr (is_bf16) return async::float_to_bf16(async::bf16_to_float(a) + async::bf16_to_float(b));
  return async::float_to_f16(async::f16_to_float(a) + async::f16_to_float(b));
}
template <bool is_bf16> U32 pair_sum(U32 a, U32 b) {
  const auto low = half_sum<is_bf16>(static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b));
  const auto high = half_sum<is_bf16>(static_cast<std::uint16_t>(a >> 16), static_cast<std::uint16_t>(b >> 16));
  return U32{high} << 16 | low;
}

/// .v2, .v4 and .v8: each element by itself.
template <class T, class Operation> Next vector_atomic(Context& c, const Decoded& in) {
  const U32 bytes = static_cast<U32>(sizeof(T)) * in.vector;
  const Pointers at(c, in, bytes);
  if (c.checker) {
    at.check(c, in, true, true, check::Strength::strong);
    tell_strong(c, in, at, false);
  }
  const std::span<const Source> list{c.program->lists.data() + in.list_first, in.list_size};
  const std::span<const Source> values = list.last(in.vector);
  for (U32 rest = c.mask; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    for (std::size_t i = 0; i < in.vector; ++i) {
      const T x = read<T>(c.source(values[i]), lane);
      const T old = update<T>(at[lane] + i * sizeof(T), [=](T memory) { return Operation{}(memory, x, x); });
      if (list.size() > in.vector && list[i].exists()) write<T>(c.target(list[i].offset), lane, old);
    }
  }
  if (c.checker) tell_strong(c, in, at, true);
  return Next::yield;
}

template <class T, class Operation> Handler atomic_handler(Operation, bool is_vector) {
  return is_vector ? vector_atomic<T, Operation> : atomic<T, Operation>;
}

Handler float_addition(Type type, bool is_vector = false) {
  switch (type) {
    case Type::f32: return atomic_handler<U32>([](U32 m, U32 x, U32) { return added(m, x); }, is_vector);
    case Type::f64: return atomic_handler<U64>([](U64 m, U64 x, U64) { return added(m, x); }, is_vector);
    case Type::f16:
      return atomic_handler<std::uint16_t>(
          [](std::uint16_t m, std::uint16_t x, std::uint16_t) { return half_sum<false>(m, x); }, is_vector);
    case Type::bf16:
      return atomic_handler<std::uint16_t>(
          [](std::uint16_t m, std::uint16_t x, std::uint16_t) { return half_sum<true>(m, x); }, is_vector);
    case Type::f16x2: return atomic_handler<U32>([](U32 m, U32 x, U32) { return pair_sum<false>(m, x); }, is_vector);
    case Type::bf16x2: return atomic_handler<U32>([](U32 m, U32 x, U32) { return pair_sum<true>(m, x); }, is_vector);
    default: return nullptr;
  }
}

/// The smaller or larger of two halves; a NaN gives way to a number.
template <bool is_bf16, bool is_min> std::uint16_t half_extreme(std::uint16_t a, std::uint16_t b) {
  const auto value = [](std::uint16_t half) {
    return is_bf16 ? async::bf16_to_float(half) : async::f16_to_float(half);
  };
  const float x = value(a), y = value(b);
  if (x != x) return y != y ? std::uint16_t{0x7fff} : b;
  if (y != y) return a;
  if (x == y) return (a >> 15 != 0) == is_min ? a : b;  // -0 is below 0
  return (x < y) == is_min ? a : b;
}
template <bool is_bf16, bool is_min> U32 pair_extreme(U32 a, U32 b) {
  const auto low = half_extreme<is_bf16, is_min>(static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b));
  const auto high =
      half_extreme<is_bf16, is_min>(static_cast<std::uint16_t>(a >> 16), static_cast<std::uint16_t>(b >> 16));
  return U32{high} << 16 | low;
}
template <bool is_min> Handler vector_extreme(Type type) {
  using Half = std::uint16_t;
  switch (type) {
    case Type::f16:
      return vector_atomic<Half, decltype([](Half m, Half x, Half) { return half_extreme<false, is_min>(m, x); })>;
    case Type::bf16:
      return vector_atomic<Half, decltype([](Half m, Half x, Half) { return half_extreme<true, is_min>(m, x); })>;
    case Type::f16x2:
      return vector_atomic<U32, decltype([](U32 m, U32 x, U32) { return pair_extreme<false, is_min>(m, x); })>;
    case Type::bf16x2:
      return vector_atomic<U32, decltype([](U32 m, U32 x, U32) { return pair_extreme<true, is_min>(m, x); })>;
    default: return nullptr;
  }
}

Handler atomic_of(const Binder& b) {
  if (b.out.vector > 1) {
    if (b.out.window != Window::global || !ptx::is_float(b.type()) || b.type() == Type::f64) return nullptr;
    switch (b.which({"add", "min", "max"})) {
      case 0: return float_addition(b.type(), true);
      case 1: return vector_extreme<true>(b.type());
      case 2: return vector_extreme<false>(b.type());
      default: return nullptr;
    }
  }
  const Type type = b.type();
  const bool narrow = ptx::bits_of(type) < 32;
  if (b.has("add") && ptx::is_float(type)) return float_addition(type);
  if (b.has("cas"))
    return for_bits(type, []<class T>(std::type_identity<T>) {
      return atomic_handler<T>([](T m, T x, T y) { return m == x ? y : m; });
    });
  if (narrow || ptx::is_float(type)) return nullptr;
  const int operation = b.which({"add", "min", "max", "and", "or", "xor", "inc", "dec", "exch"});
  return for_arithmetic(type, [=]<class T>(std::type_identity<T>) -> Handler {
    using Unsigned = std::make_unsigned_t<T>;
    switch (operation) {
      case 0:
        return atomic_handler<T>(
            [](T m, T x, T) { return static_cast<T>(static_cast<Unsigned>(m) + static_cast<Unsigned>(x)); });
      case 1: return atomic_handler<T>([](T m, T x, T) { return std::min(m, x); });
      case 2: return atomic_handler<T>([](T m, T x, T) { return std::max(m, x); });
      case 3: return atomic_handler<T>([](T m, T x, T) { return static_cast<T>(m & x); });
      case 4: return atomic_handler<T>([](T m, T x, T) { return static_cast<T>(m | x); });
      case 5: return atomic_handler<T>([](T m, T x, T) { return static_cast<T>(m ^ x); });
      case 6: return atomic_handler<T>([](T m, T x, T) { return static_cast<T>(m >= x ? 0 : m + 1); });
      case 7: return atomic_handler<T>([](T m, T x, T) { return static_cast<T>(m == 0 || m > x ? x : m - 1); });
      case 8: return atomic_handler<T>([](T, T x, T) { return x; });
      default: return nullptr;
    }
  });
}

bool bind_atomic(Binder& b, bool has_result) {
  b.out.window = window_of(b);
  std::size_t operand = 0;
  const bool is_vector = b.operand(has_result ? 2 : 1).kind == OperandKind::vector;
  if (is_vector) {
    b.begin_list();
    if (has_result) b.list_results(b.operand(operand++));
    b.address(0, operand++);
    if (!has_shape(b, b.operand(operand)) || (has_result && !has_shape(b, b.operand(0)))) return false;
    b.out.vector = static_cast<std::uint8_t>(b.operand(operand).count);
    b.list_sources(b.operand(operand++), b.type());
    b.out.flags = access_of(b, true);
    return b.handle(atomic_of(b));
  }
  if (has_result) b.result(operand++);
  b.address(0, operand++);
  b.source(1, operand++, b.type());
  if (b.has("cas")) b.source(2, operand++, b.type());
  b.out.flags = access_of(b, true);
  // What follows is a cache policy.
  return b.handle(atomic_of(b));
}

}  // namespace

void register_memory(Registry& registry) {
  registry.add({"ld", "ldu"}, bind_ld);
  registry.add("st", [](Binder& b) { return b.has("async") ? bind_st_async(b) : bind_st(b); });
  registry.add("atom", [](Binder& b) { return bind_atomic(b, true); });
  registry.add("red", [](Binder& b) { return b.has("async") ? bind_red_async(b) : bind_atomic(b, false); });
}

}  // namespace emu::isa
