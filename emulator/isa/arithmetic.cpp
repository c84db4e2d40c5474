#include <algorithm>
#include <limits>

#include "isa/arithmetic.hpp"
#include "isa/dispatch.hpp"
#include "machine/state.hpp"

// PTX ISA 9.7.1 and 9.7.2: integer arithmetic, with and without a carry.
namespace emu::isa {

namespace {

using ptx::Type;

/// Arithmetic wraps: it is done without a sign.
template <class T> constexpr auto wrap(T value) {
  using Unsigned = std::make_unsigned_t<T>;
  if constexpr (sizeof(T) < 4)
    return static_cast<std::uint32_t>(static_cast<Unsigned>(value));
  else
    return static_cast<Unsigned>(value);
}

/// Two halves of a register by themselves.
template <class Half, class Operation> std::uint32_t in_halves(std::uint32_t a, std::uint32_t b, Operation operation) {
  const auto low = static_cast<std::uint16_t>(operation(static_cast<Half>(a), static_cast<Half>(b)));
  const auto high = static_cast<std::uint16_t>(operation(static_cast<Half>(a >> 16), static_cast<Half>(b >> 16)));
  return static_cast<std::uint32_t>(high) << 16 | low;
}

constexpr auto saturated = [](std::int64_t value) {
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, std::numeric_limits<std::int32_t>::min(),
                                                            std::numeric_limits<std::int32_t>::max()));
};

// ---- With a carry: the flag is a mask of lanes in the warp ----

enum CarryFlags : std::uint32_t { takes_carry = 1, sets_carry = 2, subtracts = 4 };

/// d = a + b, or a + (~b) + 1.
template <class T> Next add_with_carry(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]);
  const bool subtract = in.flags & subtracts;
  std::uint32_t carries = 0;
  for_lanes(c.mask, [&](int lane) {
    const T x = read<T>(a, lane), y = subtract ? static_cast<T>(~read<T>(b, lane)) : read<T>(b, lane);
    // The flag is a borrow for subtractions: it is inverted.
    const bool flag = in.flags & takes_carry ? c.warp->carry >> lane & 1 : false;
    const Uint128 sum = Uint128{x} + y + (flag != subtract);
    write<T>(d, lane, static_cast<T>(sum));
    carries |= static_cast<std::uint32_t>((sum >> (8 * sizeof(T)) & 1) != subtract) << lane;
  });
  if (in.flags & sets_carry) c.warp->carry = (c.warp->carry & ~c.mask) | (carries & c.mask);
  return Next::next;
}

template <std::uint32_t flags> bool bind_carry(Binder& b) {
  b.result_and_sources(2, b.type());
  b.out.flags = flags | (b.has("cc") ? sets_carry : 0u);
  return b.handle(for_bits(b.type(), []<class T>(std::type_identity<T>) -> Handler { return add_with_carry<T>; }));
}

enum MadFlags : std::uint32_t { high_half = 8 };

/// d = low or high half of a * b, plus c and the carry.
template <class T> Next multiply_add_with_carry(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]), *e = c.source(in.s[2]);
  using Unsigned = std::make_unsigned_t<T>;
  std::uint32_t carries = 0;
  for_lanes(c.mask, [&](int lane) {
    const twice_t<T> product = static_cast<twice_t<T>>(read<T>(a, lane)) * read<T>(b, lane);
    const auto part = static_cast<Unsigned>(in.flags & high_half ? product >> (8 * sizeof(T)) : product);
    const bool flag = in.flags & takes_carry && (c.warp->carry >> lane & 1);
    const Uint128 sum = Uint128{part} + read<Unsigned>(e, lane) + flag;
    write<Unsigned>(d, lane, static_cast<Unsigned>(sum));
    carries |= static_cast<std::uint32_t>(sum >> (8 * sizeof(T)) & 1) << lane;
  });
  if (in.flags & sets_carry) c.warp->carry = (c.warp->carry & ~c.mask) | (carries & c.mask);
  return Next::next;
}

bool bind_multiply_add_with_carry(Binder& b, std::uint32_t flags) {
  b.result_and_sources(3, b.type());
  b.out.flags = flags | (b.has("cc") ? sets_carry : 0u) | (b.has("hi") ? high_half : 0u);
  if (ptx::bits_of(b.type()) < 32) return false;
  return b.handle(
      for_arithmetic(b.type(), []<class T>(std::type_identity<T>) -> Handler { return multiply_add_with_carry<T>; }));
}

// ---- Addition ----

bool bind_add(Binder& b) {
  if (ptx::is_float(b.type())) return bind_float_arithmetic(b, FloatOperation::add);
  if (b.has("cc")) return bind_carry<0>(b);
  b.result_and_sources(2, b.type());
  if (b.type() == Type::u16x2 || b.type() == Type::s16x2)
    return b.handle(binary_handler<std::uint32_t, std::uint32_t>([](std::uint32_t x, std::uint32_t y) {
      return in_halves<std::uint16_t>(x, y, [](std::uint16_t p, std::uint16_t q) { return p + q; });
    }));
  if (b.type() == Type::s32 && b.has("sat"))
    return b.handle(binary_handler<std::int32_t, std::int32_t>(
        [](std::int32_t x, std::int32_t y) { return saturated(std::int64_t{x} + y); }));
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return binary_handler<T, T>([](T x, T y) { return static_cast<T>(wrap(x) + wrap(y)); });
  }));
}

bool bind_sub(Binder& b) {
  if (ptx::is_float(b.type())) return bind_float_arithmetic(b, FloatOperation::subtract);
  if (b.has("cc")) return bind_carry<subtracts>(b);
  b.result_and_sources(2, b.type());
  if (b.type() == Type::s32 && b.has("sat"))
    return b.handle(binary_handler<std::int32_t, std::int32_t>(
        [](std::int32_t x, std::int32_t y) { return saturated(std::int64_t{x} - y); }));
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return binary_handler<T, T>([](T x, T y) { return static_cast<T>(wrap(x) - wrap(y)); });
  }));
}

// ---- Multiplication ----

bool bind_mul(Binder& b) {
  if (ptx::is_float(b.type())) return bind_float_arithmetic(b, FloatOperation::multiply);
  b.result_and_sources(2, b.type());
  if (b.has("wide")) {
    if (ptx::bits_of(b.type()) > 32) return false;
    return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) -> Handler {
      if constexpr (sizeof(T) <= 4)
        return binary_handler<twice_t<T>, T>(
            [](T x, T y) { return static_cast<twice_t<T>>(static_cast<twice_t<T>>(x) * y); });
      else
        return nullptr;
    }));
  }
  if (b.has("hi"))
    return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
      return binary_handler<T, T>(
          [](T x, T y) { return static_cast<T>(static_cast<twice_t<T>>(x) * y >> (8 * sizeof(T))); });
    }));
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return binary_handler<T, T>([](T x, T y) { return static_cast<T>(wrap(x) * wrap(y)); });
  }));
}

bool bind_mad(Binder& b) {
  if (ptx::is_float(b.type())) return bind_float_arithmetic(b, FloatOperation::fma);
  if (b.has("cc")) return bind_multiply_add_with_carry(b, 0);
  if (b.has("wide")) {
    if (ptx::bits_of(b.type()) > 32) return false;
    b.result(0);
    b.source(0, 1, b.type());
    b.source(1, 2, b.type());
    b.source(2, 3, ptx::bits_of(b.type()) == 16 ? Type::u32 : Type::u64);
    return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) -> Handler {
      if constexpr (sizeof(T) <= 4)
        return [](Context& c, const Decoded& in) {
          std::byte* d = c.target(in.d);
          const std::byte *x = c.source(in.s[0]), *y = c.source(in.s[1]), *z = c.source(in.s[2]);
          using Wide = std::make_unsigned_t<twice_t<T>>;
          for_lanes(c.mask, [=](int lane) {
            const twice_t<T> product = static_cast<twice_t<T>>(read<T>(x, lane)) * read<T>(y, lane);
            write<Wide>(d, lane, static_cast<Wide>(product) + read<Wide>(z, lane));
          });
          return Next::next;
        };
      else
        return nullptr;
    }));
  }
  b.result_and_sources(3, b.type());
  if (b.type() == Type::s32 && b.has("hi") && b.has("sat"))
    return b.handle(ternary_handler<std::int32_t, std::int32_t>(
        [](std::int32_t x, std::int32_t y, std::int32_t z) { return saturated((std::int64_t{x} * y >> 32) + z); }));
  if (b.has("hi"))
    return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
      return ternary_handler<T, T>([](T x, T y, T z) {
        return static_cast<T>(wrap(static_cast<T>(static_cast<twice_t<T>>(x) * y >> (8 * sizeof(T)))) + wrap(z));
      });
    }));
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return ternary_handler<T, T>([](T x, T y, T z) { return static_cast<T>(wrap(x) * wrap(y) + wrap(z)); });
  }));
}

/// mul24 and mad24: bits 0 to 31, or 16 to 47, of the product of the low 24 bits.
template <class T, bool high> constexpr T product_of_24_bits(T x, T y) {
  constexpr int rest = 8;
  using Unsigned = std::make_unsigned_t<T>;
  const auto cut = [](T value) { return static_cast<T>(static_cast<T>(static_cast<Unsigned>(value) << rest) >> rest); };
  return static_cast<T>(static_cast<twice_t<T>>(cut(x)) * cut(y) >> (high ? 16 : 0));
}

template <class T> Handler mul24_handler(Binder& b) {
  return b.has("hi") ? binary_handler<T, T>([](T x, T y) { return product_of_24_bits<T, true>(x, y); })
                     : binary_handler<T, T>([](T x, T y) { return product_of_24_bits<T, false>(x, y); });
}
template <class T> Handler mad24_handler(Binder& b) {
  return b.has("hi") ? ternary_handler<T, T>([](T x, T y, T z) {
    return static_cast<T>(wrap(product_of_24_bits<T, true>(x, y)) + wrap(z));
  })
                     : ternary_handler<T, T>([](T x, T y, T z) {
                         return static_cast<T>(wrap(product_of_24_bits<T, false>(x, y)) + wrap(z));
                       });
}

bool bind_mul24(Binder& b) {
  b.result_and_sources(2, b.type());
  return b.handle(b.type() == Type::s32 ? mul24_handler<std::int32_t>(b) : mul24_handler<std::uint32_t>(b));
}

bool bind_mad24(Binder& b) {
  if (b.has("sat")) return false;
  b.result_and_sources(3, b.type());
  return b.handle(b.type() == Type::s32 ? mad24_handler<std::int32_t>(b) : mad24_handler<std::uint32_t>(b));
}

// ---- Division: by zero gives what an H100 gives, all ones, and the dividend as the remainder ----

template <class T> constexpr bool overflows(T x, T y) {
  return std::is_signed_v<T> && x == std::numeric_limits<T>::min() && y == static_cast<T>(-1);
}

bool bind_div(Binder& b) {
  if (ptx::is_float(b.type())) return bind_float_arithmetic(b, FloatOperation::divide);
  b.result_and_sources(2, b.type());
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return binary_handler<T, T>([](T x, T y) {
      return y == 0 ? static_cast<T>(-1) : overflows(x, y) ? x : static_cast<T>(x / y);
    });
  }));
}

bool bind_rem(Binder& b) {
  b.result_and_sources(2, b.type());
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return binary_handler<T, T>([](T x, T y) { return y == 0 ? x : overflows(x, y) ? T{0} : static_cast<T>(x % y); });
  }));
}

// ---- Signs and extremes ----

bool bind_abs(Binder& b) {
  if (ptx::is_float(b.type())) return bind_float_arithmetic(b, FloatOperation::absolute);
  b.result_and_sources(1, b.type());
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return unary_handler<T, T>([](T x) { return static_cast<T>(x < 0 ? 0 - wrap(x) : wrap(x)); });
  }));
}

bool bind_neg(Binder& b) {
  if (ptx::is_float(b.type())) return bind_float_arithmetic(b, FloatOperation::negate);
  b.result_and_sources(1, b.type());
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return unary_handler<T, T>([](T x) { return static_cast<T>(0 - wrap(x)); });
  }));
}

template <bool is_min> struct Extreme {
  template <class T> T operator()(T x, T y) const { return is_min ? std::min(x, y) : std::max(x, y); }
};

template <bool is_min> bool bind_extreme(Binder& b) {
  if (ptx::is_float(b.type()))
    return bind_float_arithmetic(b, is_min ? FloatOperation::minimum : FloatOperation::maximum);
  b.result_and_sources(2, b.type());
  if (b.type() == Type::s16x2 && b.has("relu"))
    return b.handle(binary_handler<std::uint32_t, std::uint32_t>([](std::uint32_t x, std::uint32_t y) {
      return in_halves<std::int16_t>(
          x, y, [](std::int16_t p, std::int16_t q) { return std::max(std::int16_t{0}, Extreme<is_min>()(p, q)); });
    }));
  if (b.type() == Type::s16x2)
    return b.handle(binary_handler<std::uint32_t, std::uint32_t>([](std::uint32_t x, std::uint32_t y) {
      return in_halves<std::int16_t>(x, y, [](std::int16_t p, std::int16_t q) { return Extreme<is_min>()(p, q); });
    }));
  if (b.type() == Type::u16x2)
    return b.handle(binary_handler<std::uint32_t, std::uint32_t>([](std::uint32_t x, std::uint32_t y) {
      return in_halves<std::uint16_t>(x, y, [](std::uint16_t p, std::uint16_t q) { return Extreme<is_min>()(p, q); });
    }));
  if (b.type() == Type::s32 && b.has("relu"))
    return b.handle(binary_handler<std::int32_t, std::int32_t>(
        [](std::int32_t x, std::int32_t y) { return std::max(0, Extreme<is_min>()(x, y)); }));
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return binary_handler<T, T>([](T x, T y) { return Extreme<is_min>()(x, y); });
  }));
}

bool bind_sad(Binder& b) {
  b.result_and_sources(3, b.type());
  return b.handle(for_arithmetic(b.type(), []<class T>(std::type_identity<T>) {
    return ternary_handler<T, T>(
        [](T x, T y, T z) { return static_cast<T>((x < y ? wrap(y) - wrap(x) : wrap(x) - wrap(y)) + wrap(z)); });
  }));
}

// ---- Dot products of bytes ----

/// The `bits` bits of `value` from bit `at` on.
template <bool is_signed> constexpr std::int64_t part(std::uint32_t value, int at, int bits) {
  const std::uint32_t top = value << (32 - bits - at);
  return is_signed ? static_cast<std::int32_t>(top) >> (32 - bits) : static_cast<std::int64_t>(top >> (32 - bits));
}

template <bool a_signed, bool b_signed> Handler dot4() {
  return ternary_handler<std::uint32_t, std::uint32_t>([](std::uint32_t x, std::uint32_t y, std::uint32_t sum) {
    for (int i = 0; i < 32; i += 8)
      sum += static_cast<std::uint32_t>(part<a_signed>(x, i, 8) * part<b_signed>(y, i, 8));
    return sum;
  });
}
template <bool a_signed, bool b_signed, int first> Handler dot2() {
  return ternary_handler<std::uint32_t, std::uint32_t>([](std::uint32_t x, std::uint32_t y, std::uint32_t sum) {
    for (int i = 0; i < 2; ++i)
      sum += static_cast<std::uint32_t>(part<a_signed>(x, 16 * i, 16) * part<b_signed>(y, 8 * i + first, 8));
    return sum;
  });
}

bool bind_dot(Binder& b) {
  if (b.types().size() != 2) return false;
  const bool s = b.types()[0] == Type::s32, t = b.types()[1] == Type::s32;
  b.result_and_sources(3, Type::u32);
  if (b.name() == "dp4a")
    return b.handle(s ? t ? dot4<true, true>() : dot4<true, false>() : t ? dot4<false, true>() : dot4<false, false>());
  if (b.has("hi"))
    return b.handle(s   ? t ? dot2<true, true, 16>() : dot2<true, false, 16>()
                      : t ? dot2<false, true, 16>()
                        : dot2<false, false, 16>());
  return b.handle(s   ? t ? dot2<true, true, 0>() : dot2<true, false, 0>()
                    : t ? dot2<false, true, 0>()
                      : dot2<false, false, 0>());
}

}  // namespace

void register_arithmetic(Registry& registry) {
  registry.add("add", bind_add);
  registry.add("addc", bind_carry<takes_carry>);
  registry.add("sub", bind_sub);
  registry.add("subc", bind_carry<takes_carry | subtracts>);
  registry.add("mul", bind_mul);
  registry.add("mad", bind_mad);
  registry.add("madc", [](Binder& b) { return bind_multiply_add_with_carry(b, takes_carry); });
  registry.add("mul24", bind_mul24);
  registry.add("mad24", bind_mad24);
  registry.add("div", bind_div);
  registry.add("rem", bind_rem);
  registry.add("abs", bind_abs);
  registry.add("neg", bind_neg);
  registry.add("min", bind_extreme<true>);
  registry.add("max", bind_extreme<false>);
  registry.add("sad", bind_sad);
  registry.add({"dp4a", "dp2a"}, bind_dot);
  register_float_arithmetic(registry);
  register_comparison(registry);
}

}  // namespace emu::isa
