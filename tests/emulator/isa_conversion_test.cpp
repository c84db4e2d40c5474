// PTX ISA 9.7.4 and 9.7.9: conversions between floating-point formats and integers, and arithmetic in f16 and bf16.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "isa_float.hpp"

namespace isa_test {
namespace {

using S = std::int64_t;

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

// An integer may lie in a wider register, of which the upper bits do not count: also where that register takes the result.
TEST(IsaConversion, IntegersInWiderRegisters) {
  const auto low = [](U x) { return std::int32_t(x); };
  const std::vector<Case> cases = {
      {"cvt.s64.s32 {r64}, {a64};", [=](const Inputs& in) { return U(std::int64_t{low(in.a)}); }},
      {"cvt.u64.u16 {r64}, {a64};", [](const Inputs& in) { return in.a & 0xffff; }},
      {"cvt.s64.s8 {r64}, {a64};", [](const Inputs& in) { return U(std::int64_t{std::int8_t(in.a)}); }},
      {"mov.b64 {r64}, {a64}; cvt.s64.s32 {r64}, {r64};", [=](const Inputs& in) { return U(std::int64_t{low(in.a)}); }},
      {"cvt.rn.f64.s32 {r64}, {a64};", [=](const Inputs& in) { return std::bit_cast<U>(double(low(in.a))); }},
      {"cvt.sat.u16.s32 {r16}, {a64};", [=](const Inputs& in) { return U(std::clamp(low(in.a), 0, 0xffff)); }},
  };
  run(cases);
}

TEST(IsaConversion, FlushedAndFromBfloat) {
  std::vector<Case> cases;
  for (const Rounding rounding : all_roundings)
    for (const int bits : {16, 32, 64})
      for (const bool is_signed : {false, true}) {
        const std::string to = (is_signed ? ".s" : ".u") + std::to_string(bits);
        const auto integer = [=](long double value) {
          const HostRounding host(rounding);
          volatile long double x = value;
          const long double whole = std::nearbyint(static_cast<long double>(x));
          const long double top = std::ldexp(1.0L, is_signed ? bits - 1 : bits), bottom = is_signed ? -top : 0.0L;
          if (whole >= top) return low(is_signed ? (U{1} << (bits - 1)) - 1 : ~U{0}, bits);
          if (whole <= bottom) return is_signed ? U{1} << (bits - 1) : U{0};
          return low(whole < 0 ? U(S(whole)) : U(whole), bits);
        };
        cases.push_back({std::string("cvt.") + name_of(rounding) + "i.ftz" + to + ".f32 " + reg('r', bits) + ", {a32};",
                         [=](const Inputs& in) {
                           const float value = f32(in.a);
                           return integer(std::fpclassify(value) == FP_SUBNORMAL ? 0.0L
                                                                                 : static_cast<long double>(value));
                         },
                         [](const Inputs& in) { return !single.is_nan(low(in.a, 32)); }});
        cases.push_back({std::string("cvt.") + name_of(rounding) + 'i' + to + ".bf16 " + reg('r', bits) + ", {a16};",
                         [=](const Inputs& in) { return integer(bfloat.decode(low(in.a, 16))); },
                         [](const Inputs& in) { return !bfloat.is_nan(low(in.a, 16)); }});
      }
  run(cases, float_inputs(single));
}

TEST(IsaConversion, PackedIntegers) {
  std::vector<Case> cases;
  for (const int bits : {8, 16})
    for (const bool is_signed : {false, true}) {
      const S lowest = is_signed ? -(S{1} << (bits - 1)) : 0, highest = lowest + (S{1} << bits) - 1;
      const auto cut = [=](U raw) { return low(U(std::clamp(as_signed(raw, 32), lowest, highest)), bits); };
      cases.push_back(
          {std::string("cvt.pack.sat.") + (is_signed ? "s" : "u") + std::to_string(bits) +
               (bits == 8 ? ".s32.b32 {r32}, {a32}, {b32}, {c32};" : ".s32 {r32}, {a32}, {b32};"),
           [=](const Inputs& in) { return low((bits == 8 ? in.c << 16 : 0) | cut(in.a) << bits | cut(in.b), 32); }});
    }
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
    for (const std::string relu : {"", ".relu"}) {
      const auto positive = [=](long double value) { return !relu.empty() && value <= 0 ? 0.0L : value; };
      from_halves.push_back({"cvt.rn.satfinite" + relu + '.' + name + ".f16x2 {r16}, {a32};", [=](const Inputs& in) {
                               const auto one = [&](U raw) {
                                 const U part = low(raw, 16);
                                 if (half.is_nan(part)) return U{0x7f};
                                 return narrow.encode(positive(half.decode(part)), Rounding::nearest, true);
                               };
                               return one(in.a >> 16) << 8 | one(in.a);
                             }});
      from_halves.push_back({"cvt.rn" + relu + ".f16x2." + name + " {r32}, {a16};",
                             [=](const Inputs& in) {
                               const auto one = [&](U raw) {
                                 return half.encode(positive(narrow.decode(low(raw, 8))));
                               };
                               return one(in.a >> 8) << 16 | one(in.a);
                             },
                             always, nan_in_halves(half, 2)});
    }
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
    cases.push_back({std::string("cvt.") + name_of(rounding) + "i.f16.f16 {r16}, {a16};",
                     [=](const Inputs& in) {
                       return half.encode(whole(static_cast<double>(half.decode(low(in.a, 16)))), rounding);
                     },
                     always, same_nan(half)});
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
    // .xorsign.abs: the magnitudes are compared, the sign is that of the product.
    for (const bool is_min : {true, false})
      for (const bool nan : {false, true})
        add(is_min ? "min" : "max", nan ? ".NaN.xorsign.abs" : ".xorsign.abs", 2, [=](U a, U b, U) {
          const U x = low(a, 15), y = low(b, 15), sign = (a ^ b) & 0x8000;
          if (format.is_nan(x) || format.is_nan(y)) {
            if (nan || (format.is_nan(x) && format.is_nan(y))) return U{0x7fff};
            return sign | (format.is_nan(x) ? y : x);
          }
          return sign | (is_min ? std::min(x, y) : std::max(x, y));
        });
    const bool is_f16 = type.format.exponent_bits == 5;
    const auto saturated = [=](long double x) {
      return format.encode(std::isnan(x) || x <= 0 ? 0.0L : std::min(x, 1.0L));
    };
    // What is subnormal counts as 0 of its sign, before and after.
    const auto flushed = [=](U raw) { return (raw & 0x7c00) == 0 ? raw & 0x8000 : low(raw, 16); };
    const auto flushed_result = [=](long double x) {
      return std::fabs(x) < 0x1p-14L ? format.encode(std::copysign(0.0L, x)) : format.encode(x);
    };
    if (is_f16) {
      for (const std::string rn : {"", ".rn"}) {
        const auto forms = [&](const std::string& op, int operands, auto exact) {
          add(op, rn, operands, [=](U a, U b, U c) { return format.encode(exact(value(a), value(b), value(c))); });
          add(op, rn + ".sat", operands, [=](U a, U b, U c) { return saturated(exact(value(a), value(b), value(c))); });
          add(op, rn + ".ftz", operands, [=](U a, U b, U c) {
            return flushed_result(exact(value(flushed(a)), value(flushed(b)), value(flushed(c))));
          });
          add(op, rn + ".ftz.sat", operands, [=](U a, U b, U c) {
            const long double x = exact(value(flushed(a)), value(flushed(b)), value(flushed(c)));
            return std::fabs(x) < 0x1p-14L ? U{0} : saturated(x);
          });
        };
        forms("add", 2, [](long double a, long double b, long double) { return odd_fma(a, 1, b); });
        forms("sub", 2, [](long double a, long double b, long double) { return odd_fma(a, 1, -b); });
        forms("mul", 2, [](long double a, long double b, long double) { return a * b; });
        if (rn.empty()) continue;
        forms("fma", 3, [](long double a, long double b, long double c) { return odd_fma(a, b, c); });
        add("fma", ".rn.ftz.relu", 3, [=](U a, U b, U c) {
          const long double x = odd_fma(value(flushed(a)), value(flushed(b)), value(flushed(c)));
          return x <= 0 ? U{0} : flushed_result(x);
        });
      }
      add("neg", ".ftz", 1, [=](U a, U, U) { return flushed(a) ^ 0x8000; });
      add("abs", ".ftz", 1, [=](U a, U, U) { return flushed(a) & 0x7fff; });
      for (const bool is_min : {true, false})
        for (const bool nan : {false, true})
          for (const bool xorsign : {false, true})
            add(is_min ? "min" : "max", std::string(".ftz") + (nan ? ".NaN" : "") + (xorsign ? ".xorsign.abs" : ""), 2,
                [=](U a, U b, U) {
                  U x = flushed(a), y = flushed(b);
                  const U sign = xorsign ? (a ^ b) & 0x8000 : 0;
                  if (xorsign) x &= 0x7fff, y &= 0x7fff;
                  if (format.is_nan(x) || format.is_nan(y)) {
                    if (nan || (format.is_nan(x) && format.is_nan(y))) return U{0x7fff};
                    return sign | (format.is_nan(x) ? y : x);
                  }
                  const long double p = value(x), q = value(y);
                  if (p == q) return sign | ((x >> 15 == 1) == is_min ? x : y);
                  return sign | ((p < q) == is_min ? x : y);
                });
    }
    // Approximate: within 2 units in the last place of the half.
    const auto approximate = [&](const std::string& text, auto exact, bool flushes) {
      const auto close = [=](U found, U expected) {
        if (format.is_nan(found) || format.is_nan(expected)) return format.is_nan(found) && format.is_nan(expected);
        return std::abs(as_signed(found, 16) - as_signed(expected, 16)) <= 2 ||
               (flushes && std::fabs(value(found)) <= 0x1p-14L && std::fabs(value(expected)) <= 0x1p-14L);
      };
      cases.push_back({text + '.' + type.name + " {r16}, {a16};",
                       [=](const Inputs& in) { return format.encode(exact(value(in.a))); }, always, close});
      cases.push_back({text + '.' + type.name + "x2 {r32}, {a32};",
                       [=](const Inputs& in) {
                         return format.encode(exact(value(in.a))) | format.encode(exact(value(in.a >> 16))) << 16;
                       },
                       always,
                       [=](U found, U expected) {
                         return close(low(found, 16), low(expected, 16)) && close(found >> 16, expected >> 16);
                       }});
    };
    const auto power = [](long double x) { return std::exp2(x); };
    approximate(is_f16 ? "ex2.approx" : "ex2.approx.ftz", power, !is_f16);
    approximate(
        "tanh.approx", [](long double x) { return std::tanh(x); }, false);
    for (const std::string op :
         {"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"}) {
      const auto holds = [=](U x, U y) {
        const long double a = value(x), b = value(y);
        const bool unordered = std::isnan(a) || std::isnan(b);
        if (op == "num" || op == "nan") return unordered == (op == "nan");
        if (unordered) return op.size() == 3;
        const std::string plain = op.substr(0, 2);
        return plain == "eq"   ? a == b
               : plain == "ne" ? a != b
               : plain == "lt" ? a < b
               : plain == "le" ? a <= b
               : plain == "gt" ? a > b
                               : a >= b;
      };
      cases.push_back({"setp." + op + '.' + type.name + " {rp}, {a16}, {b16};",
                       [=](const Inputs& in) { return U(holds(in.a, in.b)); }});
      cases.push_back(
          {"setp." + op + '.' + type.name +
               "x2 {tp}|{up}, {a32}, {b32}; selp.u32 {t32}, 1, 0, {tp}; selp.u32 {u32}, 2, 0, {up}; or.b32 {r32}, "
               "{t32}, {u32};",
           [=](const Inputs& in) { return U(holds(in.a, in.b)) | U(holds(in.a >> 16, in.b >> 16)) << 1; }});
    }
    run(cases, float_inputs(format));
  }
}

}  // namespace
}  // namespace isa_test
