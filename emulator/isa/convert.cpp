#include <algorithm>
#include <limits>

#include "async/float_formats.hpp"
#include "isa/dispatch.hpp"
#include "isa/numeric.hpp"

// PTX ISA 9.7.9: cvt. What kernels convert most has a path of its own; everything else goes through Number.
namespace emu::isa {

namespace {

using ptx::Type;

// ---- Integers to integers ----

template <class To, class From> To clamped(From value) {
  using Limits = std::numeric_limits<To>;
  if (std::cmp_less(value, Limits::min())) return Limits::min();
  if (std::cmp_greater(value, Limits::max())) return Limits::max();
  return static_cast<To>(value);
}

/// A result of 8 bits is extended to the 16 of its register, or to 32 or 64, as its type says.
template <class To> struct Extended { using type = To; };
template <> struct Extended<std::int8_t> { using type = std::int16_t; };

/// `Source` is what the source's register holds: it may be wider than the type that is converted from.
template <class Source, class From, class To, class Register, bool saturate>
Next convert_integer(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [=](int lane) {
    const From value = static_cast<From>(read<Source>(a, lane));
    write<Register>(d, lane, static_cast<Register>(saturate ? clamped<To>(value) : static_cast<To>(value)));
  });
  return Next::next;
}
template <class From, class To, class Register> Handler integer_handler(bool wide_source, bool saturate) {
  if (wide_source && sizeof(From) < sizeof(std::uint64_t))
    return saturate ? convert_integer<std::uint64_t, From, To, Register, true>
                    : vectorized<convert_integer<std::uint64_t, From, To, Register, false>>();
  return saturate ? convert_integer<From, From, To, Register, true>
                  : vectorized<convert_integer<From, From, To, Register, false>>();
}

Handler integer_to_integer(Type from, Type to, bool wide_source, int register_bits, bool saturate) {
  return for_integer(from, [=]<class From>(std::type_identity<From>) {
    return for_integer(to, [=]<class To>(std::type_identity<To>) -> Handler {
      if (register_bits == 64) return integer_handler<From, To, std::uint64_t>(wide_source, saturate);
      if (register_bits == 32) return integer_handler<From, To, std::uint32_t>(wide_source, saturate);
      return integer_handler<From, To, std::uint16_t>(wide_source, saturate);
    });
  });
}

// ---- Everything else ----

enum class Kind : std::uint8_t { integer, f16, bf16, f32, f64, e4m3, e5m2, tf32 };

FloatFormat format_of(Kind kind) {
  switch (kind) {
    case Kind::f16: return format_f16;
    case Kind::bf16: return format_bf16;
    case Kind::f64: return format_f64;
    case Kind::e4m3: return format_e4m3;
    case Kind::e5m2: return format_e5m2;
    default: return format_f32;
  }
}

/// How cvt rounds and what it does besides, in Decoded::flags.
struct Flags {
  Rounding rounding = Rounding::nearest;
  bool to_whole = false;  // .rni and its like
  bool flush = false, saturate = false, finite = false, relu = false;

  std::uint32_t pack() const {
    return static_cast<std::uint32_t>(rounding) | to_whole << 3 | flush << 4 | saturate << 5 | finite << 6 | relu << 7;
  }
  static Flags unpack(std::uint32_t bits) {
    return {static_cast<Rounding>(bits & 7),
            (bits & 8) != 0,
            (bits & 16) != 0,
            (bits & 32) != 0,
            (bits & 64) != 0,
            (bits & 128) != 0};
  }
};

/// One value of one type as one of another.
struct Conversion {
  Kind from = Kind::integer, to = Kind::integer;
  std::uint8_t from_bits = 32, to_bits = 32;
  bool from_signed = false, to_signed = false;

  std::uint64_t operator()(std::uint64_t raw, Flags flags) const {
    if (from_bits < 64) raw &= (std::uint64_t{1} << from_bits) - 1;
    Number number;
    if (from == Kind::integer) {
      const int rest = 64 - from_bits;
      number = from_signed ? Number::of(static_cast<std::int64_t>(raw << rest) >> rest) : Number::of(raw, false);
    } else {
      number = decode(raw, format_of(from));
      // .ftz concerns f32 alone.
      if (flags.flush && from == Kind::f32 && number.kind == Number::Kind::finite && number.exponent + 63 < -126)
        number = Number::of(std::uint64_t{0}, number.negative);
    }
    if (to == Kind::integer) {
      // What an H100 gives.
      if (number.kind == Number::Kind::nan) {
        if (to_bits == 64) return std::uint64_t{1} << 63;
        return from == Kind::f64 ? std::uint64_t{1} << (to_bits - 1) : 0;
      }
      return to_integer(number, flags.rounding, to_bits, to_signed);
    }
    if (flags.to_whole) number = to_whole_of(number, flags.rounding);
    if (flags.relu && number.kind != Number::Kind::nan && number.negative) number = Number::of(std::uint64_t{0}, false);
    if (flags.saturate) {
      const bool negative = number.negative || number.kind == Number::Kind::nan;
      if (negative) return 0;
      if (number.kind == Number::Kind::infinite || (number.mantissa && number.exponent + 63 >= 0))
        number = Number::of(std::int64_t{1});
    }
    if (to == Kind::tf32) {
      // 10 bits of mantissa in the place of an f32.
      constexpr FloatFormat tf32{8, 10};
      return encode(number, tf32, flags.rounding, flags.finite) << 13;
    }
    return encode(number, format_of(to), flags.rounding, flags.finite, flags.flush && to == Kind::f32);
  }

  static Number to_whole_of(const Number& number, Rounding rounding) { return to_whole(number, rounding); }

  std::uint64_t pack() const {
    return static_cast<std::uint64_t>(from) | static_cast<std::uint64_t>(to) << 8 | std::uint64_t{from_bits} << 16 |
           std::uint64_t{to_bits} << 24 | std::uint64_t{from_signed} << 32 | std::uint64_t{to_signed} << 33;
  }
  static Conversion unpack(std::int64_t bits) {
    return {static_cast<Kind>(bits & 255),
            static_cast<Kind>(bits >> 8 & 255),
            static_cast<std::uint8_t>(bits >> 16),
            static_cast<std::uint8_t>(bits >> 24),
            (bits >> 32 & 1) != 0,
            (bits >> 33 & 1) != 0};
  }
};

/// Elements of the type: one, or two of a pair.
struct Shape {
  Kind kind = Kind::integer;
  std::uint8_t bits = 32;
  bool is_signed = false, pair = false, known = true;
};

Shape shape_of(Type type) {
  switch (type) {
    case Type::f16: return {Kind::f16, 16};
    case Type::f16x2: return {Kind::f16, 16, false, true};
    case Type::bf16: return {Kind::bf16, 16};
    case Type::bf16x2: return {Kind::bf16, 16, false, true};
    case Type::f32: return {Kind::f32, 32};
    case Type::f64: return {Kind::f64, 64};
    case Type::tf32: return {Kind::tf32, 32};
    case Type::e4m3x2: return {Kind::e4m3, 8, false, true};
    case Type::e5m2x2: return {Kind::e5m2, 8, false, true};
    default: break;
  }
  if (ptx::is_signed(type) || ptx::is_unsigned(type) || type == Type::b16 || type == Type::b32 || type == Type::b64)
    return {Kind::integer, static_cast<std::uint8_t>(ptx::bits_of(type)), ptx::is_signed(type)};
  Shape unknown;
  unknown.known = false;
  return unknown;
}

template <class To, class From> Next convert(Context& c, const Decoded& in) {
  const Conversion conversion = Conversion::unpack(in.immediate);
  const Flags flags = Flags::unpack(in.flags);
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [&](int lane) { write<To>(d, lane, static_cast<To>(conversion(read<From>(a, lane), flags))); });
  return Next::next;
}

/// d = {s0, s1}, the first one in the upper half: both are f32.
Next convert_to_pair(Context& c, const Decoded& in) {
  const Conversion conversion = Conversion::unpack(in.immediate);
  const Flags flags = Flags::unpack(in.flags);
  std::byte* d = c.target(in.d);
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]);
  for_lanes(c.mask, [&](int lane) {
    const std::uint64_t high = conversion(read<std::uint32_t>(a, lane), flags),
                        low = conversion(read<std::uint32_t>(b, lane), flags);
    write<std::uint32_t>(d, lane, static_cast<std::uint32_t>(high << conversion.to_bits | low));
  });
  return Next::next;
}

/// Both elements of a pair to a pair.
Next convert_pair(Context& c, const Decoded& in) {
  const Conversion conversion = Conversion::unpack(in.immediate);
  const Flags flags = Flags::unpack(in.flags);
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [&](int lane) {
    const auto raw = read<std::uint32_t>(a, lane);
    const std::uint64_t high = conversion(raw >> conversion.from_bits, flags), low = conversion(raw, flags);
    write<std::uint32_t>(d, lane, static_cast<std::uint32_t>(high << conversion.to_bits | low));
  });
  return Next::next;
}

// ---- The plain roundings of the epilogues ----

template <std::uint16_t (*round)(float)> Next pack_halves(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]);
  for_lanes(c.mask, [=](int lane) {
    write<std::uint32_t>(d, lane,
                         static_cast<std::uint32_t>(round(read<float>(a, lane))) << 16 | round(read<float>(b, lane)));
  });
  return Next::next;
}
template <std::uint16_t (*round)(float)> Next to_half(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [=](int lane) { write<std::uint16_t>(d, lane, round(read<float>(a, lane))); });
  return Next::next;
}
template <float (*widen)(std::uint16_t)> Next from_half(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte* a = c.source(in.s[0]);
  for_lanes(c.mask, [=](int lane) { write<float>(d, lane, widen(read<std::uint16_t>(a, lane))); });
  return Next::next;
}

Handler fast_handler(Type to, Type from, Flags flags) {
  if (flags.pack() != Flags{}.pack()) return nullptr;
  if (from == Type::f32 && to == Type::bf16x2) return vectorized<pack_halves<async::float_to_bf16>>();
  if (from == Type::f32 && to == Type::f16x2) return vectorized<pack_halves<async::float_to_f16>>();
  if (from == Type::f32 && to == Type::bf16) return vectorized<to_half<async::float_to_bf16>>();
  if (from == Type::f32 && to == Type::f16) return vectorized<to_half<async::float_to_f16>>();
  return nullptr;
}

/// cvt.pack: two s32, saturated to `to_bits` bits each; in front of what `c` has below, if that is there.
template <int to_bits, bool to_signed> Next pack_saturated(Context& c, const Decoded& in) {
  static constexpr std::int32_t lowest = to_signed ? -(1 << (to_bits - 1)) : 0;
  static constexpr std::int32_t highest = (1 << (to_signed ? to_bits - 1 : to_bits)) - 1;
  std::byte* d = c.target(in.d);
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]), *e = c.source(in.s[in.s[2].exists() ? 2 : 0]);
  const bool has_rest = in.s[2].exists();
  for_lanes(c.mask, [=](int lane) {
    const auto cut = [](std::int32_t value) {
      return static_cast<std::uint32_t>(std::clamp(value, lowest, highest)) & ((1u << to_bits) - 1);
    };
    const std::uint32_t pair = cut(read<std::int32_t>(a, lane)) << to_bits | cut(read<std::int32_t>(b, lane));
    write<std::uint32_t>(
        d, lane, has_rest ? std::uint32_t(std::uint64_t(read<std::uint32_t>(e, lane)) << 2 * to_bits) | pair : pair);
  });
  return Next::next;
}

bool bind_cvt_pack(Binder& b) {
  if (!b.has("sat") || b.types().size() < 2 || b.types()[1] != Type::s32) return false;
  const bool narrow = ptx::bits_of(b.types()[0]) < 16;
  if (narrow != (b.types().size() == 3) || b.operand_count() != (narrow ? 4u : 3u)) return false;
  b.result_and_sources(2, Type::s32);
  if (narrow) b.source(2, 3, Type::b32);
  switch (b.types()[0]) {
    case Type::s16: return b.handle(pack_saturated<16, true>);
    case Type::u16: return b.handle(pack_saturated<16, false>);
    case Type::s8: return b.handle(pack_saturated<8, true>);
    case Type::u8: return b.handle(pack_saturated<8, false>);
    default: return false;
  }
}

bool bind_cvt(Binder& b) {
  if (b.has("pack")) return bind_cvt_pack(b);
  if (b.types().size() != 2) return false;
  const Type to_type = b.types()[0], from_type = b.types()[1];
  const Shape to = shape_of(to_type), from = shape_of(from_type);
  if (!to.known || !from.known) return false;
  Flags flags;
  const int whole = b.which({"rni", "rzi", "rmi", "rpi"}), rounding = b.which({"rn", "rz", "rm", "rp", "rna"});
  if (whole >= 0) flags.rounding = static_cast<Rounding>(whole);
  if (rounding >= 0) flags.rounding = static_cast<Rounding>(rounding);
  flags.to_whole = whole >= 0 && to.kind != Kind::integer;
  flags.flush = b.has("ftz");
  flags.saturate = b.has("sat");
  flags.finite = b.has("satfinite");
  flags.relu = b.has("relu");
  b.out.flags = flags.pack();
  Conversion conversion{from.kind, to.kind, from.bits, to.bits, from.is_signed, to.is_signed};
  b.out.immediate = static_cast<std::int64_t>(conversion.pack());

  b.result(0);
  b.source(0, 1, from_type);
  if (to.pair && from_type == Type::f32) {
    b.source(1, 2, from_type);
    const Handler fast = fast_handler(to_type, from_type, flags);
    return b.handle(fast ? fast : convert_to_pair);
  }
  if (b.operand_count() != 2 || to.pair != from.pair) return false;
  if (to.pair) return b.handle(convert_pair);
  const int register_bits = b.operand(0).is_register() ? ptx::bits_of(b.register_type(b.operand(0))) : to.bits;
  // PTX ISA 9.4.1: an integer to convert may lie in a wider register, of which the upper bits do not count.
  const bool wide_source =
      from.bits == 64 || (b.operand(1).is_register() && ptx::bits_of(b.register_type(b.operand(1))) == 64);
  if (to.kind == Kind::integer && from.kind == Kind::integer)
    return b.handle(integer_to_integer(from_type, to_type, wide_source, register_bits, flags.saturate));
  if (const Handler fast = fast_handler(to_type, from_type, flags)) return b.handle(fast);
  if (to_type == Type::f32 && b.out.flags == 0) {
    if (from.kind == Kind::f16) return b.handle(vectorized<from_half<async::f16_to_float>>());
    if (from.kind == Kind::bf16) return b.handle(vectorized<from_half<async::bf16_to_float>>());
  }
  if (register_bits == 64)
    return b.handle(wide_source ? convert<std::uint64_t, std::uint64_t> : convert<std::uint64_t, std::uint32_t>);
  return b.handle(wide_source ? convert<std::uint32_t, std::uint64_t> : convert<std::uint32_t, std::uint32_t>);
}

}  // namespace

void register_conversion(Registry& registry) { registry.add("cvt", bind_cvt); }

}  // namespace emu::isa
