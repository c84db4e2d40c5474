#include <algorithm>
#include <bit>

#include "isa/dispatch.hpp"

// PTX ISA 9.7.1 and 9.7.8: logic, shifts, bit fields and permutations.
namespace emu::isa {

namespace {

using ptx::Type;
using U32 = std::uint32_t;

template <class Operation> bool bind_logic(Binder& b, Operation operation) {
  b.result_and_sources(2, b.type());
  if (b.type() == Type::pred)
    return b.handle([](Context& c, const Decoded& in) {
      c.set_predicate(in.d, Operation{}(c.predicate(in.s[0]), c.predicate(in.s[1])));
      return Next::next;
    });
  return b.handle(for_bits(b.type(), [=]<class T>(std::type_identity<T>) { return binary_handler<T, T>(operation); }));
}

bool bind_not(Binder& b) {
  b.result_and_sources(1, b.type());
  if (b.type() == Type::pred)
    return b.handle([](Context& c, const Decoded& in) {
      c.set_predicate(in.d, ~c.predicate(in.s[0]));
      return Next::next;
    });
  return b.handle(for_bits(b.type(), []<class T>(std::type_identity<T>) {
    return unary_handler<T, T>([](T x) { return static_cast<T>(~x); });
  }));
}

bool bind_cnot(Binder& b) {
  b.result_and_sources(1, b.type());
  return b.handle(for_bits(b.type(), []<class T>(std::type_identity<T>) {
    return unary_handler<T, T>([](T x) { return static_cast<T>(x == 0); });
  }));
}

/// Bit i of the result is bit (a b c) of the table.
bool bind_lop3(Binder& b) {
  if (b.type() != Type::b32 || b.operand_count() != 5) return false;
  b.result_and_sources(3, Type::b32);
  b.out.flags = static_cast<U32>(b.immediate_of(4)) & 0xff;
  return b.handle([](Context& c, const Decoded& in) {
    std::byte* d = c.target(in.d);
    const std::byte *a = c.source(in.s[0]), *e = c.source(in.s[1]), *f = c.source(in.s[2]);
    // Table bits as masks.
    U32 t[8];
    for (int i = 0; i < 8; ++i) t[i] = in.flags >> i & 1 ? ~0u : 0;
    for_lanes(c.mask, [=](int lane) {
      const U32 x = read<U32>(a, lane), y = read<U32>(e, lane), z = read<U32>(f, lane);
      const U32 low = (~y & ((~z & t[0]) | (z & t[1]))) | (y & ((~z & t[2]) | (z & t[3])));
      const U32 high = (~y & ((~z & t[4]) | (z & t[5]))) | (y & ((~z & t[6]) | (z & t[7])));
      write<U32>(d, lane, (~x & low) | (x & high));
    });
    return Next::next;
  });
}

// ---- Shifts: the amount has 32 bits, and what is beyond the width counts as the width ----

template <class T, class Operation> Next shift(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]);
  for_lanes(c.mask, [=](int lane) { write<T>(d, lane, Operation{}(read<T>(a, lane), read<U32>(b, lane))); });
  return Next::next;
}
template <class T, class Operation> Handler shift_handler(Operation) { return vectorized<shift<T, Operation>>(); }

bool bind_shift(Binder& b, bool left) {
  b.result(0);
  b.source(0, 1, b.type());
  b.source(1, 2, Type::u32);
  return b.handle(for_arithmetic(b.type(), [=]<class T>(std::type_identity<T>) {
    constexpr U32 bits = 8 * sizeof(T);
    using Unsigned = std::make_unsigned_t<T>;
    if (left)
      return shift_handler<T>([](T x, U32 by) {
        return static_cast<T>(by >= bits ? 0 : static_cast<std::uint64_t>(static_cast<Unsigned>(x)) << by);
      });
    return shift_handler<T>([](T x, U32 by) {
      if constexpr (std::is_signed_v<T>) return static_cast<T>(x >> std::min(by, bits - 1));
      return static_cast<T>(by >= bits ? 0 : x >> by);
    });
  }));
}

/// The pair (b, a), shifted by c: its upper half to the left, its lower half to the right.
template <bool left, bool clamp> Handler funnel() {
  return ternary_handler<U32, U32>([](U32 a, U32 b, U32 by) {
    by = clamp ? std::min(by, 32u) : by & 31;
    const std::uint64_t pair = std::uint64_t{b} << 32 | a;
    return static_cast<U32>(left ? pair << by >> 32 : pair >> by);
  });
}

bool bind_shf(Binder& b) {
  b.result_and_sources(3, Type::b32);
  const bool clamp = b.which({"wrap", "clamp"}) == 1;
  return b.handle(b.which({"r", "l"}) == 1 ? clamp ? funnel<true, true>() : funnel<true, false>()
                  : clamp ? funnel<false, true>()
                                           : funnel<false, false>());
}

// ---- Counting ----

template <class T> Next count_ones(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [=](int lane) { write<U32>(d, lane, static_cast<U32>(std::popcount(read<T>(a, lane)))); });
  return Next::next;
}
template <class T> Next count_leading_zeros(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [=](int lane) { write<U32>(d, lane, static_cast<U32>(std::countl_zero(read<T>(a, lane)))); });
  return Next::next;
}

bool bind_popc(Binder& b) {
  b.result_and_sources(1, b.type());
  return b.handle(for_bits(b.type(), []<class T>(std::type_identity<T>) -> Handler { return count_ones<T>; }));
}
bool bind_clz(Binder& b) {
  b.result_and_sources(1, b.type());
  return b.handle(for_bits(b.type(), []<class T>(std::type_identity<T>) -> Handler { return count_leading_zeros<T>; }));
}

/// The position of the top bit that differs from the sign, or its distance from the left; all ones if there is none.
template <class T, bool amount> Next find_top(Context& c, const Decoded& in) {
  using Unsigned = std::make_unsigned_t<T>;
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [=](int lane) {
    const T value = read<T>(a, lane);
    const auto bits = static_cast<Unsigned>(value < 0 ? ~value : value);
    const int zeros = std::countl_zero(bits);
    constexpr int width = 8 * sizeof(T);
    write<U32>(d, lane, bits == 0 ? ~0u : static_cast<U32>(amount ? zeros : width - 1 - zeros));
  });
  return Next::next;
}

bool bind_bfind(Binder& b) {
  b.result_and_sources(1, b.type());
  const bool amount = b.has("shiftamt");
  return b.handle(for_arithmetic(b.type(), [=]<class T>(std::type_identity<T>) -> Handler {
    return amount ? find_top<T, true> : find_top<T, false>;
  }));
}

template <class T> constexpr T reversed(T value) {
  T result = 0;
  for (std::size_t i = 0; i < 8 * sizeof(T); ++i) result = static_cast<T>(result << 1 | (value >> i & 1));
  return result;
}

bool bind_brev(Binder& b) {
  b.result_and_sources(1, b.type());
  return b.handle(for_bits(
      b.type(), []<class T>(std::type_identity<T>) { return unary_handler<T, T>([](T x) { return reversed(x); }); }));
}

/// Find the n-th set bit from `base` on, upwards or downwards.
U32 find_nth_set(U32 mask, U32 base, U32 offset_bits) {
  const auto offset = static_cast<std::int32_t>(offset_bits);
  if (base > 31) return ~0u;
  if (offset == 0) return mask >> base & 1 ? base : ~0u;
  std::int64_t left = std::abs(std::int64_t{offset});
  for (int i = static_cast<int>(base); i >= 0 && i<32; i += offset> 0 ? 1 : -1)
    if (mask >> i & 1 && --left == 0) return static_cast<U32>(i);
  return ~0u;
}

bool bind_fns(Binder& b) {
  b.result_and_sources(3, Type::b32);
  return b.handle(
      ternary_handler<U32, U32>([](U32 mask, U32 base, U32 offset) { return find_nth_set(mask, base, offset); }));
}

// ---- Bit fields. Positions and lengths are taken modulo 256, as an H100 does in the 32-bit forms ----

template <class T> T extract(T value, U32 position, U32 length) {
  using Unsigned = std::make_unsigned_t<T>;
  constexpr U32 bits = 8 * sizeof(T);
  position &= 255;
  length &= 255;
  const bool sign = std::is_signed_v<T> && length > 0 &&
                    (static_cast<Unsigned>(value) >> std::min(position + length - 1, bits - 1) & 1);
  const Unsigned fill = sign ? static_cast<Unsigned>(~Unsigned{0}) : 0;
  const Unsigned shifted = position >= bits ? 0 : static_cast<Unsigned>(static_cast<Unsigned>(value) >> position);
  const U32 inside = position >= bits ? 0 : std::min(length, bits - position);
  const Unsigned mask =
      inside >= bits ? static_cast<Unsigned>(~Unsigned{0}) : static_cast<Unsigned>((Unsigned{1} << inside) - 1);
  return static_cast<T>((shifted & mask) | (fill & static_cast<Unsigned>(~mask)));
}

template <class T> T insert(T field, T value, U32 position, U32 length) {
  constexpr U32 bits = 8 * sizeof(T);
  position &= 255;
  length &= 255;
  if (position >= bits || length == 0) return value;
  length = std::min(length, bits - position);
  const T mask = static_cast<T>((length == bits ? ~T{0} : (T{1} << length) - 1) << position);
  return (value & ~mask) | (static_cast<T>(field << position) & mask);
}

bool bind_bfe(Binder& b) {
  b.result(0);
  b.source(0, 1, b.type());
  b.source(1, 2, Type::u32);
  b.source(2, 3, Type::u32);
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) -> Handler {
    return [](Context& c, const Decoded& in) {
      std::byte* d = c.target(in.d);
      const std::byte *a = c.source(in.s[0]), *p = c.source(in.s[1]), *l = c.source(in.s[2]);
      for_lanes(c.mask, [=](int lane) {
        write<T>(d, lane, extract(read<T>(a, lane), read<U32>(p, lane), read<U32>(l, lane)));
      });
      return Next::next;
    };
  }));
}

bool bind_bfi(Binder& b) {
  b.result(0);
  b.source(0, 1, b.type());
  b.source(1, 2, b.type());
  b.source(2, 3, Type::u32);
  b.source(3, 4, Type::u32);
  if (ptx::bits_of(b.type()) < 32) return false;
  return b.handle(for_bits(b.type(), []<class T>(std::type_identity<T>) -> Handler {
    return [](Context& c, const Decoded& in) {
      std::byte* d = c.target(in.d);
      const std::byte *a = c.source(in.s[0]), *e = c.source(in.s[1]), *p = c.source(in.s[2]), *l = c.source(in.s[3]);
      for_lanes(c.mask, [=](int lane) {
        write<T>(d, lane, insert(read<T>(a, lane), read<T>(e, lane), read<U32>(p, lane), read<U32>(l, lane)));
      });
      return Next::next;
    };
  }));
}

U32 ones(U32 count) { return count >= 32 ? ~0u : (1u << count) - 1; }

bool bind_bmsk(Binder& b) {
  b.result_and_sources(2, Type::b32);
  if (b.which({"wrap", "clamp"}) == 1)
    return b.handle(binary_handler<U32, U32>([](U32 from, U32 count) { return from >= 32 ? 0 : ones(count) << from; }));
  return b.handle(binary_handler<U32, U32>([](U32 from, U32 count) { return ones(count & 31) << (from & 31); }));
}

template <bool is_signed, bool clamp> Handler extend() {
  return binary_handler<U32, U32>([](U32 value, U32 bits) {
    if (clamp && bits >= 32) return value;
    bits &= 31;
    if (bits == 0) return 0u;
    const U32 top = value << (32 - bits);
    return is_signed ? static_cast<U32>(static_cast<std::int32_t>(top) >> (32 - bits)) : top >> (32 - bits);
  });
}

bool bind_szext(Binder& b) {
  b.result_and_sources(2, Type::b32);
  const bool is_signed = b.type() == Type::s32;
  return b.handle(b.which({"wrap", "clamp"}) == 1 ? is_signed ? extend<true, true>() : extend<false, true>()
                  : is_signed ? extend<true, false>()
                                                  : extend<false, false>());
}

// ---- Permutation of bytes ----

U32 permute(U32 a, U32 b, U32 selector) {
  const std::uint64_t bytes = std::uint64_t{b} << 32 | a;
  U32 result = 0;
  for (int i = 0; i < 4; ++i) {
    const U32 which = selector >> (4 * i) & 15;
    const auto value = static_cast<U32>(bytes >> (8 * (which & 7)) & 0xff);
    result |= (which & 8 ? (value & 0x80 ? 0xff : 0) : value) << (8 * i);
  }
  return result;
}

/// The selectors that the modes of prmt stand for, by the low two bits of c.
template <U32 zero, U32 one, U32 two, U32 three> Handler permutation() {
  return ternary_handler<U32, U32>([](U32 a, U32 b, U32 which) {
    constexpr U32 selectors[] = {zero, one, two, three};
    return permute(a, b, selectors[which & 3]);
  });
}

bool bind_prmt(Binder& b) {
  b.result_and_sources(3, Type::b32);
  switch (b.which({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"})) {
    case 0: return b.handle(permutation<0x3210, 0x4321, 0x5432, 0x6543>());
    case 1: return b.handle(permutation<0x5670, 0x6701, 0x7012, 0x0123>());
    case 2: return b.handle(permutation<0x0000, 0x1111, 0x2222, 0x3333>());
    case 3: return b.handle(permutation<0x3210, 0x3211, 0x3222, 0x3333>());
    case 4: return b.handle(permutation<0x0000, 0x1110, 0x2210, 0x3210>());
    case 5: return b.handle(permutation<0x1010, 0x3232, 0x1010, 0x3232>());
    default: return b.handle(ternary_handler<U32, U32>([](U32 x, U32 y, U32 z) { return permute(x, y, z); }));
  }
}

}  // namespace

void register_bits(Registry& registry) {
  registry.add("and",
               [](Binder& b) { return bind_logic(b, [](auto x, auto y) { return static_cast<decltype(x)>(x & y); }); });
  registry.add("or",
               [](Binder& b) { return bind_logic(b, [](auto x, auto y) { return static_cast<decltype(x)>(x | y); }); });
  registry.add("xor",
               [](Binder& b) { return bind_logic(b, [](auto x, auto y) { return static_cast<decltype(x)>(x ^ y); }); });
  registry.add("not", bind_not);
  registry.add("cnot", bind_cnot);
  registry.add("lop3", bind_lop3);
  registry.add("shl", [](Binder& b) { return bind_shift(b, true); });
  registry.add("shr", [](Binder& b) { return bind_shift(b, false); });
  registry.add("shf", bind_shf);
  registry.add("popc", bind_popc);
  registry.add("clz", bind_clz);
  registry.add("bfind", bind_bfind);
  registry.add("brev", bind_brev);
  registry.add("fns", bind_fns);
  registry.add("bfe", bind_bfe);
  registry.add("bfi", bind_bfi);
  registry.add("bmsk", bind_bmsk);
  registry.add("szext", bind_szext);
  registry.add("prmt", bind_prmt);
}

}  // namespace emu::isa
