// PTX ISA 9.7.4 and 9.7.9: conversions between floating-point formats and integers, and arithmetic in f16 and bf16.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "isa_float.hpp"

namespace isa_test {
namespace {

using U = std::uint64_t;

constexpr Rounding all_roundings[] = {Rounding::nearest, Rounding::zero, Rounding::down, Rounding::up};

const auto always = [](const Inputs&) { return true; };

struct FloatType {
  const char* name;
  Format format;
};
const FloatType f16{"f16", half}, bf16{"bf16", bfloat}, f32_type{"f32", single}, f64_type{"f64", double_format};

std::string reg(char letter, int bits) { return '{' + std::string(1, letter) + std::to_string(bits) + '}'; }

/// What a float becomes as an integer of 128 bits at most, in that rounding.
__int128 to_integer(long double value, Rounding rounding, int bits, bool is_signed) {
  const __int128 largest = (__int128{1} << (bits - is_signed)) - 1, smallest = is_signed ? -largest - 1 : 0;
  long double whole = std::trunc(value);
  const long double rest = value - whole;
  const bool odd = std::fmod(std::fabs(whole), 2.0L) == 1;
  if (rounding == Rounding::nearest && (std::fabs(rest) > 0.5L || (std::fabs(rest) == 0.5L && odd)))
    whole += std::copysign(1.0L, value);
  if (rounding == Rounding::down && rest < 0) whole -= 1;
  if (rounding == Rounding::up && rest > 0) whole += 1;
  if (whole >= static_cast<long double>(largest)) return largest;
  if (whole <= static_cast<long double>(smallest)) return smallest;
  return static_cast<__int128>(whole);
}

TEST(IsaConversion, FloatsToIntegers) {
  for (const FloatType& from : {f16, f32_type, f64_type}) {
    std::vector<Case> cases;
    for (const int bits : {16, 32, 64})
      for (const bool is_signed : {false, true})
        for (const Rounding rounding : all_roundings)
          cases.push_back({std::string("cvt.") + name_of(rounding) + "i." + (is_signed ? "s" : "u") +
                               std::to_string(bits) + '.' + from.name + ' ' + reg('r', bits) + ", " +
                               reg('a', from.format.width()) + ';',
                           [=](const Inputs& in) {
                             return low(static_cast<U>(to_integer(from.format.decode(low(in.a, from.format.width())),
                                                                  rounding, bits, is_signed)),
                                        bits);
                           },
                           [=](const Inputs& in) { return !from.format.is_nan(low(in.a, from.format.width())); }});
    run(cases, float_inputs(from.format));
  }
}

TEST(IsaConversion, NaNsToIntegers) {
  const std::vector<Case> cases = {
      {"cvt.rzi.s32.f32 {r32}, 0f7FFFFFFF;", [](const Inputs&) { return U{0}; }},
      {"cvt.rzi.u32.f32 {r32}, 0fFFC00000;", [](const Inputs&) { return U{0}; }},
      {"cvt.rzi.s64.f32 {r64}, 0f7FFFFFFF;", [](const Inputs&) { return U{1} << 63; }},
      {"cvt.rzi.u64.f32 {r64}, 0f7FFFFFFF;", [](const Inputs&) { return U{1} << 63; }},
      {"cvt.rzi.s16.f32 {r16}, 0f7FFFFFFF;", [](const Inputs&) { return U{0}; }},
      {"cvt.rzi.s32.f64 {r32}, 0d7FF8000000000000;", [](const Inputs&) { return U{1} << 31; }},
      {"cvt.rzi.u32.f64 {r32}, 0d7FF8000000000000;", [](const Inputs&) { return U{1} << 31; }},
      {"cvt.rzi.s64.f64 {r64}, 0d7FF8000000000000;", [](const Inputs&) { return U{1} << 63; }},
      {"cvt.rzi.u64.f64 {r64}, 0d7FF8000000000000;", [](const Inputs&) { return U{1} << 63; }},
      {"mov.b16 {t16}, 0x7e00; cvt.rzi.s32.f16 {r32}, {t16};", [](const Inputs&) { return U{0}; }},
      {"mov.b16 {t16}, 0x7e00; cvt.rzi.s64.f16 {r64}, {t16};", [](const Inputs&) { return U{1} << 63; }},
      {"mov.b16 {t16}, 0x7e00; cvt.rzi.u16.f16 {r16}, {t16};", [](const Inputs&) { return U{0}; }},
  };
  run(cases);
}

TEST(IsaConversion, IntegersToFloats) {
  std::vector<Case> cases;
  for (const FloatType& to : {f16, bf16, f32_type, f64_type})
    for (const int bits : {16, 32, 64})
      for (const bool is_signed : {false, true})
        for (const Rounding rounding : all_roundings)
          cases.push_back({std::string("cvt.") + name_of(rounding) + '.' + to.name + (is_signed ? ".s" : ".u") +
                               std::to_string(bits) + ' ' + reg('r', to.format.width()) + ", " + reg('a', bits) + ';',
                           [=](const Inputs& in) {
                             const long double value = is_signed ? static_cast<long double>(as_signed(in.a, bits))
                                                                 : static_cast<long double>(low(in.a, bits));
                             return to.format.encode(value, rounding);
                           }});
  run(cases);
}

TEST(IsaConversion, BetweenFloats) {
  for (const FloatType& from : {f16, bf16, f32_type, f64_type}) {
    std::vector<Case> cases;
    for (const FloatType& to : {f16, bf16, f32_type, f64_type}) {
      const bool narrows = to.format.width() < from.format.width();
      const bool through_f32 = std::string(from.name) == "bf16" || std::string(to.name) == "bf16";
      if (to.format.width() == from.format.width() ||
          (through_f32 && (from.format.width() == 64 || to.format.width() == 64)))
        continue;
      for (const Rounding rounding : all_roundings) {
        const bool halves = to.format.width() == 16;
        if (narrows ? halves && rounding != Rounding::nearest && rounding != Rounding::zero
                    : rounding != Rounding::nearest)
          continue;
        if (halves && from.format.width() == 64 && rounding != Rounding::nearest) continue;
        cases.push_back({std::string("cvt.") + (narrows ? std::string(name_of(rounding)) + '.' : "") + to.name + '.' +
                             from.name + ' ' + reg('r', to.format.width()) + ", " + reg('a', from.format.width()) + ';',
                         [=](const Inputs& in) {
                           return to.format.encode(from.format.decode(low(in.a, from.format.width())), rounding);
                         },
                         always, same_nan(to.format)});
      }
    }
    run(cases, float_inputs(from.format));
  }
}

TEST(IsaConversion, Pairs) {
  std::vector<Case> cases;
  const auto nan_in_halves = [](Format format, int count) {
    return [=](U found, U expected) {
      for (int i = 0; i < count; ++i) {
        const U x = low(found >> i * format.width(), format.width()),
                y = low(expected >> i * format.width(), format.width());
        if (x != y && !(format.is_nan(x) && format.is_nan(y))) return false;
      }
      return found >> count * format.width() == 0;
    };
  };
  for (const FloatType& to : {f16, bf16})
    for (const Rounding rounding : {Rounding::nearest, Rounding::zero})
      for (const bool relu : {false, true})
        cases.push_back({std::string("cvt.") + name_of(rounding) + (relu ? ".relu." : ".") + to.name +
                             "x2.f32 {r32}, {a32}, {b32};",
                         [=](const Inputs& in) {
                           const auto one = [&](U raw) {
                             const float value = f32(raw);
                             return to.format.encode(relu && !(value > 0) && !std::isnan(value) ? 0.0f : value,
                                                     rounding);
                           };
                           return one(in.a) << 16 | one(in.b);  // the first source is the upper half
                         },
                         always, nan_in_halves(to.format, 2)});
  for (const Format to : {e4m3, e5m2}) {
    const std::string name = to.has_infinity ? "e5m2x2" : "e4m3x2";
    for (const bool relu : {false, true})
      cases.push_back({"cvt.rn.satfinite" + std::string(relu ? ".relu." : ".") + name + ".f32 {r16}, {a32}, {b32};",
                       [=](const Inputs& in) {
                         const auto one = [&](U raw) {
                           const float value = f32(raw);
                           if (std::isnan(value)) return U{0x7f};
                           return to.encode(relu && !(value > 0) ? 0.0f : value, Rounding::nearest, true);
                         };
                         return one(in.a) << 8 | one(in.b);
                       }});
  }
  run(cases, float_inputs(single));

  std::vector<Case> from_halves;
  for (const Format narrow : {e4m3, e5m2}) {
    const std::string name = narrow.has_infinity ? "e5m2x2" : "e4m3x2";
    from_halves.push_back({"cvt.rn.satfinite." + name + ".f16x2 {r16}, {a32};", [=](const Inputs& in) {
                             const auto one = [&](U raw) {
                               const U part = low(raw, 16);
                               return half.is_nan(part) ? U{0x7f}
                                                        : narrow.encode(half.decode(part), Rounding::nearest, true);
                             };
                             return one(in.a >> 16) << 8 | one(in.a);
                           }});
    from_halves.push_back({"cvt.rn.f16x2." + name + " {r32}, {a16};",
                           [=](const Inputs& in) {
                             const auto one = [&](U raw) { return half.encode(narrow.decode(low(raw, 8))); };
                             return one(in.a >> 8) << 16 | one(in.a);
                           },
                           always, nan_in_halves(half, 2)});
  }
  run(from_halves, float_inputs(half));
}

TEST(IsaConversion, WithinAFormat) {
  std::vector<Case> cases;
  for (const Rounding rounding : all_roundings) {
    const auto whole = [=](auto value) {
      const HostRounding host(rounding);
      volatile auto x = value;
      return std::nearbyint(static_cast<decltype(value)>(x));
    };
    cases.push_back({std::string("cvt.") + name_of(rounding) + "i.f32.f32 {r32}, {a32};",
                     [=](const Inputs& in) { return bits(whole(f32(in.a))); }, always, same_nan(single)});
    cases.push_back({std::string("cvt.") + name_of(rounding) + "i.f64.f64 {r64}, {a64};",
                     [=](const Inputs& in) { return bits(whole(f64(in.a))); }, always, same_nan(double_format)});
  }
  cases.push_back({"cvt.sat.f32.f32 {r32}, {a32};", [](const Inputs& in) {
                     const float value = f32(in.a);
                     return bits(std::isnan(value) || value <= 0 ? 0.f : std::min(value, 1.f));
                   }});
  cases.push_back({"cvt.rna.tf32.f32 {r32}, {a32};",
                   [](const Inputs& in) { return low(in.a + 0x1000, 32) & ~U{0x1fff}; },
                   [](const Inputs& in) { return std::isfinite(f32(in.a)); }});
  run(cases, float_inputs(single));
  run(cases, float_inputs(double_format));
}

TEST(IsaHalf, Arithmetic) {
  for (const FloatType& type : {f16, bf16}) {
    const Format format = type.format;
    const auto value = [=](U raw) { return format.decode(low(raw, 16)); };
    std::vector<Case> cases;
    // In one half, and in both.
    const auto add = [&](const std::string& op, const std::string& flags, int operands, auto compute) {
      std::string list = ", {a16}", pair_list = ", {a32}";
      if (operands > 1) list += ", {b16}", pair_list += ", {b32}";
      if (operands > 2) list += ", {c16}", pair_list += ", {c32}";
      cases.push_back({op + flags + '.' + type.name + " {r16}" + list + ';',
                       [=](const Inputs& in) { return compute(in.a, in.b, in.c); }, always, same_nan(format)});
      cases.push_back({op + flags + '.' + type.name + "x2 {r32}" + pair_list + ';',
                       [=](const Inputs& in) {
                         return compute(in.a, in.b, in.c) | compute(in.a >> 16, in.b >> 16, in.c >> 16) << 16;
                       },
                       always,
                       [=](U found, U expected) {
                         const auto same = [&](U x, U y) { return x == y || (format.is_nan(x) && format.is_nan(y)); };
                         return found >> 32 == 0 && same(low(found, 16), low(expected, 16)) &&
                                same(found >> 16, expected >> 16);
                       }});
    };
    add("add", ".rn", 2, [=](U a, U b, U) { return format.encode(odd_fma(value(a), 1, value(b))); });
    add("sub", ".rn", 2, [=](U a, U b, U) { return format.encode(odd_fma(value(a), 1, -value(b))); });
    add("mul", ".rn", 2, [=](U a, U b, U) { return format.encode(value(a) * value(b)); });
    add("fma", ".rn", 3, [=](U a, U b, U c) { return format.encode(odd_fma(value(a), value(b), value(c))); });
    add("fma", ".rn.relu", 3, [=](U a, U b, U c) {
      const long double result = odd_fma(value(a), value(b), value(c));
      return format.encode(result <= 0 ? 0.0L : result);
    });
    add("neg", "", 1, [=](U a, U, U) { return low(a, 16) ^ 0x8000; });
    add("abs", "", 1, [=](U a, U, U) { return low(a, 15); });
    for (const bool is_min : {true, false})
      for (const bool nan : {false, true})
        add(is_min ? "min" : "max", nan ? ".NaN" : "", 2, [=](U a, U b, U) {
          const U x = low(a, 16), y = low(b, 16);
          if (format.is_nan(x) || format.is_nan(y))
            return nan || (format.is_nan(x) && format.is_nan(y)) ? U{0x7fff} : format.is_nan(x) ? y : x;
          const long double p = value(x), q = value(y);
          if (p == q) return (x >> 15 == 1) == is_min ? x : y;
          return (p < q) == is_min ? x : y;
        });
    for (const std::string op : {"eq", "ne", "lt", "le", "gt", "ge"})
      cases.push_back({"setp." + op + '.' + type.name + " {rp}, {a16}, {b16};", [=](const Inputs& in) {
                         const long double a = value(in.a), b = value(in.b);
                         if (std::isnan(a) || std::isnan(b)) return U{0};
                         return U(op == "eq"   ? a == b
                                  : op == "ne" ? a != b
                                  : op == "lt" ? a < b
                                  : op == "le" ? a <= b
                                  : op == "gt" ? a > b
                                               : a >= b);
                       }});
    run(cases, float_inputs(format));
  }
}

}  // namespace
}  // namespace isa_test
