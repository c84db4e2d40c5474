// PTX ISA 9.7.6, 9.7.7 and 9.7.9: comparisons, selections, moves and conversions of integers.
#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "isa_integer.hpp"

namespace isa_test {
namespace {

bool compare(const std::string& op, Wide a, Wide b) {
  if (op == "eq") return a == b;
  if (op == "ne") return a != b;
  if (op == "lt" || op == "lo") return a < b;
  if (op == "le" || op == "ls") return a <= b;
  if (op == "gt" || op == "hi") return a > b;
  return a >= b;  // ge, hs
}

TEST(IsaComparison, Comparisons) {
  std::vector<Case> cases;
  for (const IntegerType& type : all_types)
    for (const std::string op : {"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"}) {
      const bool of_unsigned = op == "lo" || op == "ls" || op == "hi" || op == "hs";
      if (of_unsigned && type.is_signed) continue;
      const std::string operands = reg('a', type.bits) + ", " + reg('b', type.bits);
      const auto holds = [=](const Inputs& in) { return compare(op, value_of(in.a, type), value_of(in.b, type)); };
      cases.push_back({"setp." + op + '.' + type.name + " {rp}, " + operands + ';',
                       [=](const Inputs& in) { return U(holds(in)); }});
      cases.push_back({"set." + op + ".u32." + type.name + " {r32}, " + operands + ';',
                       [=](const Inputs& in) { return U(holds(in) ? 0xffffffff : 0); }});
    }
  for (const int n : {16, 32, 64}) {
    const std::string operands = reg('a', n) + ", " + reg('b', n);
    for (const bool equal : {true, false})
      cases.push_back({std::string(equal ? "setp.eq.b" : "setp.ne.b") + std::to_string(n) + " {rp}, " + operands + ';',
                       [=](const Inputs& in) { return U((low(in.a, n) == low(in.b, n)) == equal); }});
  }
  for (const std::string with : {"and", "or", "xor"})
    for (const bool negated : {false, true}) {
      const auto combined = [=](const Inputs& in, bool result) {
        const bool c = (in.c & 1) != negated;
        return with == "and" ? result && c : with == "or" ? result || c : result != c;
      };
      cases.push_back({"setp.lt." + with + ".s32 {tp}|{up}, {a32}, {b32}, " + (negated ? "!" : "") +
                           "{cp}; selp.u64 {t64}, 1, 0, {tp}; selp.u64 {r64}, 2, 0, {up}; or.b64 {r64}, {r64}, {t64};",
                       [=](const Inputs& in) {
                         const bool result = as_signed(in.a, 32) < as_signed(in.b, 32);
                         return U(combined(in, result)) | U(combined(in, !result)) << 1;
                       }});
    }
  for (const std::string with : {"and", "or", "xor"})
    cases.push_back(
        {"set.lt." + with + ".u32.s32 {r32}, {a32}, {b32}, {cp};", [=](const Inputs& in) {
           const bool result = as_signed(in.a, 32) < as_signed(in.b, 32), c = in.c & 1;
           return U((with == "and" ? result && c : with == "or" ? result || c : result != c) ? 0xffffffff : 0);
         }});
  run(cases);
}

/// set gives all ones, or 1.0; its operands may be floats.
TEST(IsaComparison, ResultsOfSet) {
  std::vector<Case> cases;
  for (const std::string to : {"u32", "s32", "f32"})
    for (const std::string from : {"s32", "u32", "f32"})
      for (const std::string op : {"eq", "ne", "lt", "le", "gt", "ge"})
        cases.push_back({"set." + op + '.' + to + '.' + from + " {r32}, {a32}, {b32};", [=](const Inputs& in) {
                           bool holds = false;
                           if (from == "f32") {
                             const auto a = std::bit_cast<float>(static_cast<std::uint32_t>(in.a)),
                                        b = std::bit_cast<float>(static_cast<std::uint32_t>(in.b));
                             const bool numbers = a == a && b == b;
                             holds = numbers && (op == "eq"   ? a == b
                                                 : op == "ne" ? a != b
                                                 : op == "lt" ? a < b
                                                 : op == "le" ? a <= b
                                                 : op == "gt" ? a > b
                                                              : a >= b);
                           } else {
                             const IntegerType type{"", 32, from == "s32"};
                             holds = compare(op, value_of(in.a, type), value_of(in.b, type));
                           }
                           return U(!holds ? 0 : to == "f32" ? 0x3f800000 : 0xffffffff);
                         }});
  run(cases);
}

TEST(IsaComparison, Selections) {
  std::vector<Case> cases;
  for (const std::string type : {"b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"}) {
    const int n = std::stoi(type.substr(1));
    const std::string operands = ' ' + reg('r', n) + ", " + reg('a', n) + ", " + reg('b', n) + ", ";
    cases.push_back(
        {"selp." + type + operands + "{cp};", [=](const Inputs& in) { return low(in.c & 1 ? in.a : in.b, n); }});
    cases.push_back({"slct." + type + ".s32" + operands + "{c32};",
                     [=](const Inputs& in) { return low(as_signed(in.c, 32) >= 0 ? in.a : in.b, n); }});
    if (n == 16) continue;
    for (const bool flushes : {false, true})
      cases.push_back(
          {std::string("slct.") + (flushes ? "ftz." : "") + type + ".f32" + operands + "{c32};",
           [=](const Inputs& in) {
             float c = std::bit_cast<float>(static_cast<std::uint32_t>(in.c));
             if (flushes && std::fpclassify(c) == FP_SUBNORMAL) c = std::copysign(0.f, c);
             return low(c >= 0 ? in.a : in.b, n);
           },
           [](const Inputs& in) { return !std::isnan(std::bit_cast<float>(static_cast<std::uint32_t>(in.c))); }});
  }
  cases.push_back(
      {"mov.u64 {r64}, {a64}; @{cp} mov.u64 {r64}, {b64};", [](const Inputs& in) { return in.c & 1 ? in.b : in.a; }});
  cases.push_back(
      {"mov.u64 {r64}, {a64}; @!{cp} mov.u64 {r64}, {b64};", [](const Inputs& in) { return in.c & 1 ? in.a : in.b; }});
  run(cases);
}

TEST(IsaComparison, Moves) {
  std::vector<Case> cases;
  for (const std::string type : {"b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"}) {
    const int n = std::stoi(type.substr(1));
    cases.push_back(
        {"mov." + type + ' ' + reg('r', n) + ", " + reg('a', n) + ';', [=](const Inputs& in) { return low(in.a, n); }});
  }
  cases.push_back({"mov.pred {rp}, {ap};", [](const Inputs& in) { return in.a & 1; }});
  cases.push_back({"mov.u16 {r16}, {a16};", [](const Inputs& in) { return low(in.a, 16); }});
  cases.push_back({"mov.b64 {r64}, {{{a32}, {b32}}};", [](const Inputs& in) { return low(in.a, 32) | in.b << 32; }});
  cases.push_back(
      {"mov.b32 {r32}, {{{a16}, {b16}}};", [](const Inputs& in) { return low(in.a, 16) | low(in.b, 16) << 16; }});
  cases.push_back({"mov.b64 {r64}, {{{a16}, {b16}, {c16}, {d16}}};", [](const Inputs& in) {
                     return low(in.a, 16) | low(in.b, 16) << 16 | low(in.c, 16) << 32 | in.d << 48;
                   }});
  cases.push_back({"mov.b64 {{{t32}, {u32}}}, {a64}; sub.u32 {r32}, {t32}, {u32};",
                   [](const Inputs& in) { return low(in.a - (in.a >> 32), 32); }});
  cases.push_back({"mov.b32 {{{t16}, {u16}}}, {a32}; sub.u16 {r16}, {u16}, {t16};",
                   [](const Inputs& in) { return low((in.a >> 16) - in.a, 16); }});
  cases.push_back({"mov.b64 {{_, {r32}}}, {a64};", [](const Inputs& in) { return in.a >> 32; }});
  cases.push_back({"mov.u32 {r32}, 0xdeadbeef;", [](const Inputs&) { return U{0xdeadbeef}; }});
  cases.push_back({"mov.s64 {r64}, -2;", [](const Inputs&) { return ~U{1}; }});
  run(cases);
}

TEST(IsaComparison, Conversions) {
  std::vector<Case> cases;
  const IntegerType types[] = {{"u8", 8, false},   {"s8", 8, true},   {"u16", 16, false}, {"s16", 16, true},
                               {"u32", 32, false}, {"s32", 32, true}, {"u64", 64, false}, {"s64", 64, true}};
  const auto in_register = [](int bits) { return std::max(bits, 16); };
  for (const IntegerType& to : types)
    for (const IntegerType& from : types)
      for (const bool saturate : {false, true}) {
        // .sat is legal only where something can be cut.
        const bool fits = from.bits - from.is_signed <= to.bits - to.is_signed && (to.is_signed || !from.is_signed);
        if (saturate && fits) continue;
        Case test;
        test.ptx = std::string("cvt") + (saturate ? ".sat." : ".") + to.name + '.' + from.name + ' ' +
                   reg('r', in_register(to.bits)) + ", " + reg('a', in_register(from.bits)) + ';';
        test.expected = [=](const Inputs& in) {
          Wide value = value_of(in.a, from);
          if (saturate) {
            const Wide largest = (Wide{1} << (to.bits - to.is_signed)) - 1;
            value = std::clamp<Wide>(value, to.is_signed ? -largest - 1 : 0, largest);
          } else {
            value = value_of(static_cast<U>(value), to);
          }
          // A result of 8 bits is extended to the register as its type says.
          return bits_of(value, in_register(to.bits));
        };
        cases.push_back(test);
      }
  run(cases);
}

}  // namespace
}  // namespace isa_test
