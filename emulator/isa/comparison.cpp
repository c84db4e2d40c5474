#include <bit>
#include <cmath>

#include "async/float_formats.hpp"
#include "isa/arithmetic.hpp"
#include "isa/dispatch.hpp"

// PTX ISA 9.7.6 and 9.7.7: setp, set, selp, slct.
namespace emu::isa {

namespace {

using ptx::Type;

enum Comparison { eq, ne, lt, le, gt, ge, equ, neu, ltu, leu, gtu, geu, num, nan };

template <int comparison, class T> bool compare(T x, T y) {
  if constexpr (comparison == eq) return x == y;
  if constexpr (comparison == ne) return std::is_floating_point_v<T> ? x < y || x > y : x != y;
  if constexpr (comparison == lt) return x < y;
  if constexpr (comparison == le) return x <= y;
  if constexpr (comparison == gt) return x > y;
  if constexpr (comparison == ge) return x >= y;
  // The rest is for floats: true if one of them is NaN, and about NaN itself.
  if constexpr (comparison == equ) return !(x < y || x > y);
  if constexpr (comparison == neu) return x != y;
  if constexpr (comparison == ltu) return !(x >= y);
  if constexpr (comparison == leu) return !(x > y);
  if constexpr (comparison == gtu) return !(x <= y);
  if constexpr (comparison == geu) return !(x < y);
  if constexpr (comparison == num) return x == x && y == y;
  if constexpr (comparison == nan) return x != x || y != y;
  return false;
}

/// How the bits of an operand become a value that can be compared.
template <class T> struct Plain {
  using Value = T;
  static T value(const std::byte* at, int lane) { return read<T>(at, lane); }
};
struct Flushed {
  using Value = float;
  static float value(const std::byte* at, int lane) {
    const float x = read<float>(at, lane);
    return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.f, x) : x;
  }
};
/// The half of a register from bit `shift` on.
template <float (*widen)(std::uint16_t), int shift = 0> struct Half {
  using Value = float;
  static float value(const std::byte* at, int lane) {
    return widen(static_cast<std::uint16_t>(read<std::uint32_t>(at, lane) >> shift));
  }
};

enum Combination : std::uint32_t { alone, with_and, with_or, with_xor };

std::uint32_t combined(std::uint32_t how, std::uint32_t result, std::uint32_t other) {
  return how == with_and ? result & other : how == with_or ? result | other : how == with_xor ? result ^ other : result;
}

/// The lanes for which the comparison of s0 and s1 holds.
template <class Read, int comparison> std::uint32_t holds(Context& c, const Decoded& in) {
  const std::byte *a = c.source(in.s[0]), *b = c.source(in.s[1]);
  std::uint32_t result = 0;
  for (int lane = 0; lane < lanes; ++lane)
    result |= static_cast<std::uint32_t>(compare<comparison>(Read::value(a, lane), Read::value(b, lane))) << lane;
  return result;
}

template <class Read, int comparison> Next set_predicate(Context& c, const Decoded& in) {
  const std::uint32_t result = holds<Read, comparison>(c, in);
  c.set_predicate(in.d, result);
  c.set_predicate(in.d2, ~result);
  return Next::next;
}

template <class Read, int comparison> Next set_combined(Context& c, const Decoded& in) {
  const std::uint32_t result = holds<Read, comparison>(c, in), other = c.predicate(in.s[2]);
  c.set_predicate(in.d, combined(in.flags, result, other));
  c.set_predicate(in.d2, combined(in.flags, ~result, other));
  return Next::next;
}

/// d = all ones, or 1.0, where it holds, else 0; `immediate` is what stands for true.
template <class Read, int comparison> Next set_register(Context& c, const Decoded& in) {
  std::uint32_t result = holds<Read, comparison>(c, in);
  if (in.flags != alone) result = combined(in.flags, result, c.predicate(in.s[2]));
  const auto yes = static_cast<std::uint32_t>(in.immediate);
  std::byte* d = c.target(in.d);
  for_lanes(c.mask, [=](int lane) { write<std::uint32_t>(d, lane, result >> lane & 1 ? yes : 0); });
  return Next::next;
}

/// f16x2 and bf16x2: the first predicate is of the lower halves, the second of the upper ones.
template <float (*widen)(std::uint16_t), int comparison> Next set_pair(Context& c, const Decoded& in) {
  c.set_predicate(in.d, holds<Half<widen>, comparison>(c, in));
  c.set_predicate(in.d2, holds<Half<widen, 16>, comparison>(c, in));
  return Next::next;
}

template <float (*widen)(std::uint16_t)> Handler pair_comparison_of(int comparison) {
  constexpr Handler handlers[] = {
      set_pair<widen, eq>,  set_pair<widen, ne>,  set_pair<widen, lt>,  set_pair<widen, le>,  set_pair<widen, gt>,
      set_pair<widen, ge>,  set_pair<widen, equ>, set_pair<widen, neu>, set_pair<widen, ltu>, set_pair<widen, leu>,
      set_pair<widen, gtu>, set_pair<widen, geu>, set_pair<widen, num>, set_pair<widen, nan>};
  return comparison < 0 ? nullptr : handlers[comparison];
}

enum class Form { predicate, predicate_combined, value };

template <class Read, int comparison> Handler of_form(Form form) {
  return form == Form::predicate            ? vectorized<set_predicate<Read, comparison>>()
         : form == Form::predicate_combined ? vectorized<set_combined<Read, comparison>>()
                                            : vectorized<set_register<Read, comparison>>();
}

template <class Read> Handler of_comparison(int comparison, Form form) {
  switch (comparison) {
    case eq: return of_form<Read, eq>(form);
    case ne: return of_form<Read, ne>(form);
    case lt: return of_form<Read, lt>(form);
    case le: return of_form<Read, le>(form);
    case gt: return of_form<Read, gt>(form);
    case ge: return of_form<Read, ge>(form);
    default: break;
  }
  if constexpr (std::is_floating_point_v<typename Read::Value>) switch (comparison) {
      case equ: return of_form<Read, equ>(form);
      case neu: return of_form<Read, neu>(form);
      case ltu: return of_form<Read, ltu>(form);
      case leu: return of_form<Read, leu>(form);
      case gtu: return of_form<Read, gtu>(form);
      case geu: return of_form<Read, geu>(form);
      case num: return of_form<Read, num>(form);
      case nan: return of_form<Read, nan>(form);
      default: break;
    }
  return nullptr;
}

Handler comparison_of(Type type, bool flush, int comparison, Form form) {
  switch (type) {
    case Type::f32:
      return flush ? of_comparison<Flushed>(comparison, form) : of_comparison<Plain<float>>(comparison, form);
    case Type::f64: return of_comparison<Plain<double>>(comparison, form);
    case Type::f16: return of_comparison<Half<async::f16_to_float>>(comparison, form);
    case Type::bf16: return of_comparison<Half<async::bf16_to_float>>(comparison, form);
    default:
      return for_arithmetic(type,
                            [=]<class T>(std::type_identity<T>) { return of_comparison<Plain<T>>(comparison, form); });
  }
}

int comparison_in(const Binder& b) {
  const int other = b.which({"lo", "ls", "hi", "hs"});
  if (other >= 0) {
    constexpr int same[] = {lt, le, gt, ge};
    return same[other];
  }
  return b.which({"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"});
}

bool bind_sources(Binder& b) {
  b.result(0);
  b.source(0, 1, b.type());
  b.source(1, 2, b.type());
  const int how = b.which({"and", "or", "xor"});
  b.out.flags = static_cast<std::uint32_t>(how + 1);
  if ((how >= 0) != (b.operand_count() == 4)) return false;
  if (how >= 0) b.source(2, 3, Type::pred);
  return true;
}

bool bind_setp(Binder& b) {
  if (!bind_sources(b)) return false;
  const bool is_pair = b.type() == Type::f16x2 || b.type() == Type::bf16x2;
  if (is_pair && (b.operand(0).kind != ptx::OperandKind::pair || b.out.flags != alone)) return false;
  if (b.type() == Type::f16x2) return b.handle(pair_comparison_of<async::f16_to_float>(comparison_in(b)));
  if (b.type() == Type::bf16x2) return b.handle(pair_comparison_of<async::bf16_to_float>(comparison_in(b)));
  if (b.type() != Type::f32 && ptx::is_float(b.type()) && b.has("ftz")) b.refuse(".ftz is not modelled for this type");
  return b.handle(comparison_of(b.type(), b.has("ftz"), comparison_in(b),
                                b.out.flags == alone ? Form::predicate : Form::predicate_combined));
}

bool bind_set(Binder& b) {
  if (b.types().size() != 2 || !bind_sources(b)) return false;
  const Type to = b.types()[0];
  if (ptx::bits_of(to) != 32) return false;
  b.out.immediate = to == Type::f32 ? 0x3f800000 : 0xffffffff;
  return b.handle(comparison_of(b.type(), b.has("ftz"), comparison_in(b), Form::value));
}

template <class T> Next select(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte *x = c.source(in.s[0]), *y = c.source(in.s[1]);
  const std::uint32_t which = c.predicate(in.s[2]);
  for_lanes(c.mask, [=](int lane) { write<T>(d, lane, which >> lane & 1 ? read<T>(x, lane) : read<T>(y, lane)); });
  return Next::next;
}

bool bind_selp(Binder& b) {
  b.result(0);
  b.source(0, 1, b.type());
  b.source(1, 2, b.type());
  b.source(2, 3, Type::pred);
  return b.handle(
      for_bits(b.type(), []<class T>(std::type_identity<T>) -> Handler { return vectorized<select<T>>(); }));
}

/// d = c >= 0 ? a : b; with .ftz what is subnormal is 0.
template <class T, bool of_float> Next select_by_sign(Context& c, const Decoded& in) {
  std::byte* d = c.target(in.d);
  const std::byte *x = c.source(in.s[0]), *y = c.source(in.s[1]), *z = c.source(in.s[2]);
  for_lanes(c.mask, [=, &in](int lane) {
    const float limit = in.flags ? -0x1p-126f : 0.f;
    const bool first = !of_float  ? read<std::int32_t>(z, lane) >= 0
                       : in.flags ? read<float>(z, lane) > limit
                                  : read<float>(z, lane) >= limit;
    write<T>(d, lane, first ? read<T>(x, lane) : read<T>(y, lane));
  });
  return Next::next;
}

bool bind_slct(Binder& b) {
  if (b.types().size() != 2) return false;
  b.out.flags = b.has("ftz");
  const Type to = b.types()[0];
  b.result(0);
  b.source(0, 1, to);
  b.source(1, 2, to);
  b.source(2, 3, b.type());
  const bool of_float = b.type() == Type::f32;
  return b.handle(for_bits(to, [=]<class T>(std::type_identity<T>) -> Handler {
    return of_float ? select_by_sign<T, true> : select_by_sign<T, false>;
  }));
}

}  // namespace

void register_comparison(Registry& registry) {
  registry.add("setp", bind_setp);
  registry.add("set", bind_set);
  registry.add("selp", bind_selp);
  registry.add("slct", bind_slct);
}

}  // namespace emu::isa
