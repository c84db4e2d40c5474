// PTX ISA 9.7.3 and 9.7.6: floating-point arithmetic and comparisons in f32 and f64.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "isa_float.hpp"

namespace isa_test {
namespace {

using U = std::uint64_t;

constexpr Rounding all_roundings[] = {Rounding::nearest, Rounding::zero, Rounding::down, Rounding::up};

float flushed(float value) { return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.f, value) : value; }
float saturated(float value) { return std::isnan(value) || value <= 0 ? 0.f : value >= 1 ? 1.f : value; }

/// A case of f32 in all variants of rounding, .ftz and .sat. The function computes in the host's rounding.
/// What the hardware gives for every NaN of f32, or the number.
U one_nan(U raw) { return single.is_nan(raw) ? 0x7fffffff : raw; }

template <class Compute> void add_f32(std::vector<Case>& cases, const std::string& op, const std::string& operands,
                                      bool has_sat, Compute compute) {
  for (const Rounding rounding : all_roundings)
    for (const bool ftz : {false, true})
      for (const bool sat : {false, true}) {
        if (sat && !has_sat) continue;
        cases.push_back(
            {op + '.' + name_of(rounding) + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") + ".f32 {r32}, " + operands + ';',
             [=](const Inputs& in) {
               const auto input = [&](U raw) { return ftz ? flushed(f32(raw)) : f32(raw); };
               const HostRounding host(rounding);
               volatile float result = compute(input(in.a), input(in.b), input(in.c));
               if (ftz) {
                 // An H100 flushes what is subnormal before it is rounded.
                 const HostRounding toward_zero(Rounding::zero);
                 volatile float cut = compute(input(in.a), input(in.b), input(in.c));
                 if (std::fpclassify(cut) == FP_SUBNORMAL) result = flushed(cut);
                 result = flushed(result);
               }
               return one_nan(bits(sat ? saturated(result) : result));
             }});
      }
}

template <class Compute>
void add_f64(std::vector<Case>& cases, const std::string& op, const std::string& operands, Compute compute) {
  for (const Rounding rounding : all_roundings)
    cases.push_back({op + '.' + name_of(rounding) + ".f64 {r64}, " + operands + ';',
                     [=](const Inputs& in) {
                       const HostRounding host(rounding);
                       volatile double result = compute(f64(in.a), f64(in.b), f64(in.c));
                       return bits(static_cast<double>(result));
                     },
                     [](const Inputs&) { return true; }, same_nan(double_format)});
}

// volatile: the compiler must not move these out of the rounding mode.
constexpr auto add = [](auto a, auto b, auto) {
  volatile auto x = a;
  return x + b;
};
constexpr auto subtract = [](auto a, auto b, auto) {
  volatile auto x = a;
  return x - b;
};
constexpr auto multiply = [](auto a, auto b, auto) {
  volatile auto x = a;
  return x * b;
};
constexpr auto divide = [](auto a, auto b, auto) {
  volatile auto x = a;
  return x / b;
};
constexpr auto fused = [](auto a, auto b, auto c) {
  volatile auto x = a;
  return std::fma(static_cast<decltype(a)>(x), b, c);
};
constexpr auto root = [](auto a, auto, auto) {
  volatile auto x = a;
  return std::sqrt(static_cast<decltype(a)>(x));
};
constexpr auto reciprocal = [](auto a, auto, auto) {
  volatile auto x = a;
  return 1 / x;
};

TEST(IsaFloat, ArithmeticOfF32) {
  std::vector<Case> cases;
  add_f32(cases, "add", "{a32}, {b32}", true, add);
  add_f32(cases, "sub", "{a32}, {b32}", true, subtract);
  add_f32(cases, "mul", "{a32}, {b32}", true, multiply);
  add_f32(cases, "fma", "{a32}, {b32}, {c32}", true, fused);
  add_f32(cases, "mad", "{a32}, {b32}, {c32}", true, fused);
  add_f32(cases, "div", "{a32}, {b32}", false, divide);
  add_f32(cases, "rcp", "{a32}", false, reciprocal);
  add_f32(cases, "sqrt", "{a32}", false, root);
  cases.push_back(
      {"add.f32 {r32}, {a32}, 0fC0200000;", [](const Inputs& in) { return one_nan(bits(f32(in.a) - 2.5f)); }});
  run(cases, float_inputs(single));
}

TEST(IsaFloat, ArithmeticOfF64) {
  std::vector<Case> cases;
  add_f64(cases, "add", "{a64}, {b64}", add);
  add_f64(cases, "sub", "{a64}, {b64}", subtract);
  add_f64(cases, "mul", "{a64}, {b64}", multiply);
  add_f64(cases, "fma", "{a64}, {b64}, {c64}", fused);
  add_f64(cases, "div", "{a64}, {b64}", divide);
  add_f64(cases, "rcp", "{a64}", reciprocal);
  add_f64(cases, "sqrt", "{a64}", root);
  run(cases, float_inputs(double_format));
}

/// minNum and maxNum of IEEE 754-2008, with -0 below +0; with `nan` a NaN wins.
template <class T> T pick(bool is_min, bool nan, T a, T b) {
  if (std::isnan(a) || std::isnan(b))
    return nan || (std::isnan(a) && std::isnan(b)) ? std::nan("") : std::isnan(a) ? b : a;
  if (a == b) return (std::signbit(a) == is_min) ? a : b;
  return (a < b) == is_min ? a : b;
}

TEST(IsaFloat, MinimumAndMaximum) {
  std::vector<Case> cases;
  const auto always = [](const Inputs&) { return true; };
  for (const bool is_min : {true, false}) {
    const std::string op = is_min ? "min" : "max";
    for (const bool ftz : {false, true})
      for (const bool nan : {false, true}) {
        const auto input = [=](U raw) { return ftz ? flushed(f32(raw)) : f32(raw); };
        const std::string flags = std::string(ftz ? ".ftz" : "") + (nan ? ".NaN" : "");
        cases.push_back({op + flags + ".f32 {r32}, {a32}, {b32};",
                         [=](const Inputs& in) { return bits(pick(is_min, nan, input(in.a), input(in.b))); }, always,
                         same_nan(single)});
        cases.push_back({op + flags + ".xorsign.abs.f32 {r32}, {a32}, {b32};",
                         [=](const Inputs& in) {
                           const float value = pick(is_min, nan, std::fabs(input(in.a)), std::fabs(input(in.b)));
                           return bits(value) | ((in.a ^ in.b) & 0x80000000);
                         },
                         [](const Inputs& in) { return !std::isnan(f32(in.a)) && !std::isnan(f32(in.b)); },
                         same_nan(single)});
      }
    cases.push_back({op + ".f64 {r64}, {a64}, {b64};",
                     [=](const Inputs& in) { return bits(pick(is_min, false, f64(in.a), f64(in.b))); }, always,
                     same_nan(double_format)});
  }
  run(cases, float_inputs(single));
  run(cases, float_inputs(double_format));
}

TEST(IsaFloat, Signs) {
  std::vector<Case> cases;
  const auto always = [](const Inputs&) { return true; };
  for (const bool ftz : {false, true}) {
    const std::string type = ftz ? ".ftz.f32 {r32}, {a32};" : ".f32 {r32}, {a32};";
    const auto input = [=](U raw) { return ftz ? flushed(f32(raw)) : f32(raw); };
    cases.push_back(
        {"abs" + type, [=](const Inputs& in) { return bits(std::fabs(input(in.a))); }, always, same_nan(single)});
    cases.push_back({"neg" + type, [=](const Inputs& in) { return bits(-input(in.a)); }, always, same_nan(single)});
  }
  cases.push_back(
      {"abs.f64 {r64}, {a64};", [](const Inputs& in) { return low(in.a, 63); }, always, same_nan(double_format)});
  cases.push_back(
      {"neg.f64 {r64}, {a64};", [](const Inputs& in) { return in.a ^ 1ull << 63; }, always, same_nan(double_format)});
  cases.push_back({"copysign.f32 {r32}, {a32}, {b32};",
                   [](const Inputs& in) { return low(in.b, 31) | (in.a & 1u << 31); }, always, same_nan(single)});
  cases.push_back({"copysign.f64 {r64}, {a64}, {b64};",
                   [](const Inputs& in) { return low(in.b, 63) | (in.a & 1ull << 63); }, always,
                   same_nan(double_format)});
  struct Test {
    const char* name;
    bool (*holds)(double value, int kind);
  };
  const Test tests[] = {{"finite", [](double value, int) { return bool(std::isfinite(value)); }},
                        {"infinite", [](double value, int) { return bool(std::isinf(value)); }},
                        {"number", [](double value, int) { return !std::isnan(value); }},
                        {"notanumber", [](double value, int) { return bool(std::isnan(value)); }},
                        {"normal", [](double, int kind) { return kind == FP_NORMAL; }},
                        {"subnormal", [](double, int kind) { return kind == FP_SUBNORMAL; }}};
  for (const Test& test : tests) {
    const auto holds = test.holds;
    // A zero counts as subnormal or as normal: that is not specified.
    cases.push_back({std::string("testp.") + test.name + ".f32 {rp}, {a32};",
                     [=](const Inputs& in) { return U(holds(f32(in.a), std::fpclassify(f32(in.a)))); },
                     [](const Inputs& in) { return f32(in.a) != 0; }});
    cases.push_back({std::string("testp.") + test.name + ".f64 {rp}, {a64};",
                     [=](const Inputs& in) { return U(holds(f64(in.a), std::fpclassify(f64(in.a)))); },
                     [](const Inputs& in) { return f64(in.a) != 0; }});
  }
  run(cases, float_inputs(single));
  run(cases, float_inputs(double_format));
}

bool compare(const std::string& op, double a, double b) {
  const bool unordered = std::isnan(a) || std::isnan(b);
  if (op == "num") return !unordered;
  if (op == "nan") return unordered;
  const std::string ordered = op.substr(0, 2);
  if (unordered) return op.size() == 3;  // equ, neu, ltu...
  if (ordered == "eq") return a == b;
  if (ordered == "ne") return a != b;
  if (ordered == "lt") return a < b;
  if (ordered == "le") return a <= b;
  if (ordered == "gt") return a > b;
  return a >= b;
}

TEST(IsaFloat, Comparisons) {
  std::vector<Case> cases;
  for (const std::string op :
       {"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"}) {
    for (const bool ftz : {false, true}) {
      const auto holds = [=](const Inputs& in) {
        const auto input = [=](U raw) { return ftz ? flushed(f32(raw)) : f32(raw); };
        return compare(op, input(in.a), input(in.b));
      };
      const std::string type = ftz ? ".ftz.f32 " : ".f32 ";
      cases.push_back({"setp." + op + type + "{rp}, {a32}, {b32};", [=](const Inputs& in) { return U(holds(in)); }});
    }
    cases.push_back({"setp." + op + ".f64 {rp}, {a64}, {b64};",
                     [=](const Inputs& in) { return U(compare(op, f64(in.a), f64(in.b))); }});
    cases.push_back({"set." + op + ".f32.f32 {r32}, {a32}, {b32};",
                     [=](const Inputs& in) { return compare(op, f32(in.a), f32(in.b)) ? bits(1.f) : 0; }});
  }
  cases.push_back(
      {"selp.f32 {r32}, {a32}, {b32}, {cp};", [](const Inputs& in) { return low(in.c & 1 ? in.a : in.b, 32); }});
  cases.push_back({"slct.f32.f32 {r32}, {a32}, {b32}, {c32};",
                   [](const Inputs& in) { return low(f32(in.c) >= 0 ? in.a : in.b, 32); }});
  run(cases, float_inputs(single));
  run(cases, float_inputs(double_format));
}

/// Approximate functions, within the errors that the PTX ISA states and a little more where it states them as absolute.
TEST(IsaFloat, Approximations) {
  std::vector<Case> cases;
  struct Function {
    const char* name;
    double (*exact)(double a, double b);
    double ulps, absolute;
    double smallest, largest;  // of |a|
  };
  const Function functions[] = {
      {"rcp.approx.ftz.f32 {r32}, {a32};", [](double a, double) { return 1 / a; }, 1, 0, 0x1p-126, 0x1p125},
      {"sqrt.approx.ftz.f32 {r32}, {a32};", [](double a, double) { return std::sqrt(a); }, 3, 0, 0x1p-126, 0x1p127},
      {"rsqrt.approx.ftz.f32 {r32}, {a32};", [](double a, double) { return 1 / std::sqrt(a); }, 3, 0, 0x1p-126,
       0x1p127},
      {"ex2.approx.ftz.f32 {r32}, {a32};", [](double a, double) { return std::exp2(a); }, 3, 0, 0, 120},
      {"lg2.approx.ftz.f32 {r32}, {a32};", [](double a, double) { return std::log2(a); }, 3, 0x1p-21, 0x1p-126,
       0x1p127},
      {"sin.approx.ftz.f32 {r32}, {a32};", [](double a, double) { return std::sin(a); }, 0, 0x1p-20, 0, 3.1415},
      {"cos.approx.ftz.f32 {r32}, {a32};", [](double a, double) { return std::cos(a); }, 0, 0x1p-20, 0, 3.1415},
      {"tanh.approx.f32 {r32}, {a32};", [](double a, double) { return std::tanh(a); }, 0x1p13, 0x1p-30, 0x1p-100, 100},
      {"div.approx.ftz.f32 {r32}, {a32}, {b32};", [](double a, double b) { return a / b; }, 2, 0, 0x1p-60, 0x1p60},
      {"div.full.ftz.f32 {r32}, {a32}, {b32};", [](double a, double b) { return a / b; }, 2, 0, 0x1p-60, 0x1p60},
  };
  for (Function each : functions)
    for (const bool flushes : {true, false}) {
      std::string text = each.name;
      if (const std::size_t at = text.find(".ftz"); !flushes && at != std::string::npos) text.erase(at, 4);
      if (!flushes && text == each.name) continue;
      const auto exact = each.exact;
      const double smallest = each.smallest, largest = each.largest;
      cases.push_back({text, [=](const Inputs& in) { return bits(static_cast<float>(exact(f32(in.a), f32(in.b)))); },
                       [=](const Inputs& in) {
                         const double a = std::fabs(f32(in.a)), b = std::fabs(f32(in.b));
                         const bool b_counts = text.find("{b32}") != std::string::npos;
                         return a >= smallest && a <= largest && (!b_counts || (b >= smallest && b <= largest));
                       },
                       close_f32(each.ulps, each.absolute)});
    }
  run(cases, float_inputs(single));
}

/// The forms in f64 look at and give the upper half alone.
TEST(IsaFloat, ApproximationsOfF64) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& text, double (*exact)(double)) {
    cases.push_back({text + " {r64}, {a64};", [=](const Inputs& in) { return bits(exact(f64(in.a))); },
                     [](const Inputs& in) {
                       const double a = std::fabs(f64(in.a));
                       return a >= 0x1p-1000 && a <= 0x1p1000;
                     },
                     [](U found, U expected) {
                       const double x = f64(found), y = f64(expected);
                       if (std::isnan(y)) return std::isnan(x);
                       return low(found, 32) == 0 && std::fabs(x - y) <= 0x1p-18 * std::fabs(y);
                     }});
  };
  add("rcp.approx.ftz.f64", [](double a) { return 1 / a; });
  add("rsqrt.approx.f64", [](double a) { return 1 / std::sqrt(a); });
  add("rsqrt.approx.ftz.f64", [](double a) { return 1 / std::sqrt(a); });
  run(cases, float_inputs(double_format));
}

}  // namespace
}  // namespace isa_test
