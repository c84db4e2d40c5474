// PTX ISA 9.7.1, 9.7.2 and 9.7.8: integer arithmetic, extended precision, bits, logic and shifts.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "isa_integer.hpp"

namespace isa_test {
namespace {

/// "op r, a, b", for each of `types`.
template <class Compute> void add_binary(std::vector<Case>& cases, const std::string& op,
                                         std::initializer_list<const char*> types, Compute compute,
                                         bool by_zero_is_defined = true) {
  for (const IntegerType& type : all_types) {
    if (std::find_if(types.begin(), types.end(), [&](const char* name) { return std::string(name) == type.name; }) ==
        types.end())
      continue;
    const int n = type.bits;
    Case test;
    test.ptx = op + '.' + type.name + ' ' + reg('r', n) + ", " + reg('a', n) + ", " + reg('b', n) + ';';
    test.expected = [=](const Inputs& in) {
      return bits_of(compute(value_of(in.a, type), value_of(in.b, type), n), n);
    };
    if (!by_zero_is_defined)
      test.is_defined = [=](const Inputs& in) {
        const Wide smallest = -(Wide{1} << (n - 1));
        const bool overflows = type.is_signed && value_of(in.b, type) == -1 && value_of(in.a, type) == smallest;
        return value_of(in.b, type) != 0 && !overflows;
      };
    cases.push_back(test);
  }
}

template <class Compute> void add_unary(std::vector<Case>& cases, const std::string& op,
                                        std::initializer_list<const char*> types, Compute compute) {
  for (const IntegerType& type : all_types) {
    if (std::find_if(types.begin(), types.end(), [&](const char* name) { return std::string(name) == type.name; }) ==
        types.end())
      continue;
    const int n = type.bits;
    cases.push_back({op + '.' + type.name + ' ' + reg('r', n) + ", " + reg('a', n) + ';',
                     [=](const Inputs& in) { return bits_of(compute(value_of(in.a, type)), n); }});
  }
}

TEST(IsaInteger, AddAndSubtract) {
  std::vector<Case> cases;
  const auto every = {"u16", "s16", "u32", "s32", "u64", "s64"};
  add_binary(cases, "add", every, [](Wide a, Wide b, int) { return a + b; });
  add_binary(cases, "sub", every, [](Wide a, Wide b, int) { return a - b; });
  const auto saturated = [](Wide value) { return std::clamp<Wide>(value, -(Wide{1} << 31), (Wide{1} << 31) - 1); };
  add_binary(cases, "add.sat", {"s32"}, [=](Wide a, Wide b, int) { return saturated(a + b); });
  add_binary(cases, "sub.sat", {"s32"}, [=](Wide a, Wide b, int) { return saturated(a - b); });
  cases.push_back({"add.s32 {r32}, {a32}, -7;", [](const Inputs& in) { return low(in.a - 7, 32); }});
  cases.push_back({"add.s64 {r64}, {a64}, -4096;", [](const Inputs& in) { return in.a - 4096; }});
  cases.push_back({"add.u16x2 {r32}, {a32}, {b32};",
                   [](const Inputs& in) { return low(in.a + in.b, 16) | low((in.a >> 16) + (in.b >> 16), 16) << 16; }});
  run(cases);
}

TEST(IsaInteger, MultiplyAndDivide) {
  std::vector<Case> cases;
  const auto every = {"u16", "s16", "u32", "s32", "u64", "s64"};
  using UWide = unsigned __int128;
  const auto multiply = [](Wide a, Wide b, int) {
    return static_cast<Wide>(static_cast<UWide>(a) * static_cast<UWide>(b));
  };
  add_binary(cases, "mul.lo", every, multiply);
  // 64 by 64 bits fit in 128, as signed or as unsigned numbers; the shift takes bits, so its kind does not matter.
  add_binary(cases, "mul.hi", every, [=](Wide a, Wide b, int n) { return multiply(a, b, n) >> n; });
  add_binary(
      cases, "div", every, [](Wide a, Wide b, int) { return b ? a / b : 0; }, false);
  add_binary(
      cases, "rem", every, [](Wide a, Wide b, int) { return b ? a % b : 0; }, false);
  for (const IntegerType& type : all_types) {
    const int n = type.bits;
    const std::string name = type.name, a = reg('a', n), b = reg('b', n);
    if (n < 64) {
      cases.push_back({"mul.wide." + name + ' ' + reg('r', 2 * n) + ", " + a + ", " + b + ';',
                       [=](const Inputs& in) { return bits_of(value_of(in.a, type) * value_of(in.b, type), 2 * n); }});
      cases.push_back(
          {"mad.wide." + name + ' ' + reg('r', 2 * n) + ", " + a + ", " + b + ", " + reg('c', 2 * n) + ';',
           [=](const Inputs& in) { return bits_of(value_of(in.a, type) * value_of(in.b, type) + in.c, 2 * n); }});
    }
    cases.push_back({"mad.lo." + name + ' ' + reg('r', n) + ", " + a + ", " + b + ", " + reg('c', n) + ';',
                     [=](const Inputs& in) { return low(in.a * in.b + in.c, n); }});
    cases.push_back(
        {"mad.hi." + name + ' ' + reg('r', n) + ", " + a + ", " + b + ", " + reg('c', n) + ';', [=](const Inputs& in) {
           return bits_of((multiply(value_of(in.a, type), value_of(in.b, type), n) >> n) + in.c, n);
         }});
  }
  cases.push_back(
      {"mul24.lo.u32 {r32}, {a32}, {b32};", [](const Inputs& in) { return low(low(in.a, 24) * low(in.b, 24), 32); }});
  cases.push_back({"mul24.lo.s32 {r32}, {a32}, {b32};", [](const Inputs& in) {
                     return low(static_cast<U>(as_signed(in.a, 24) * as_signed(in.b, 24)), 32);
                   }});
  cases.push_back({"mul24.hi.u32 {r32}, {a32}, {b32};",
                   [](const Inputs& in) { return low(low(in.a, 24) * low(in.b, 24) >> 16, 32); }});
  cases.push_back({"mad24.lo.u32 {r32}, {a32}, {b32}, {c32};",
                   [](const Inputs& in) { return low(low(in.a, 24) * low(in.b, 24) + in.c, 32); }});
  run(cases);
}

TEST(IsaInteger, CarryChains) {
  std::vector<Case> cases;
  const auto wide = [](U low_half, U high_half) { return low(low_half, 32) | low(high_half, 32) << 32; };
  cases.push_back({"add.cc.u32 {t32}, {a32}, {b32}; addc.u32 {u32}, {c32}, {d32}; mov.b64 {r64}, {{{t32}, {u32}}};",
                   [=](const Inputs& in) { return wide(in.a, in.c) + wide(in.b, in.d); }});
  cases.push_back({"sub.cc.u32 {t32}, {a32}, {b32}; subc.u32 {u32}, {c32}, {d32}; mov.b64 {r64}, {{{t32}, {u32}}};",
                   [=](const Inputs& in) { return wide(in.a, in.c) - wide(in.b, in.d); }});
  cases.push_back(
      {"add.cc.u64 {t64}, {a64}, {b64}; addc.cc.u64 {u64}, {c64}, {d64}; addc.u64 {r64}, 5, 0;", [](const Inputs& in) {
         const bool carry = in.a + in.b < in.a;
         const auto sum = static_cast<unsigned __int128>(in.c) + in.d + carry;
         return 5 + static_cast<U>(sum >> 64);
       }});
  cases.push_back(
      {"mad.lo.cc.u32 {t32}, {a32}, {b32}, {c32}; madc.hi.u32 {u32}, {a32}, {b32}, {d32};"
       " mov.b64 {r64}, {{{t32}, {u32}}};",
       [=](const Inputs& in) { return low(in.a, 32) * low(in.b, 32) + wide(in.c, in.d); }});
  run(cases);
}

/// Each form alone, after an add.cc that sets the carry as inputs a and b say; the carry that it leaves is bit 32 or, of 64 bits, in
/// a second case, the result.
TEST(IsaInteger, CarryForms) {
  std::vector<Case> cases;
  struct Form {
    const char* name;
    bool takes, subtracts, multiplies, high;
  };
  const Form forms[] = {{"add", false, false, false, false},   {"addc", true, false, false, false},
                        {"sub", false, true, false, false},    {"subc", true, true, false, false},
                        {"mad.lo", false, false, true, false}, {"mad.hi", false, false, true, true},
                        {"madc.lo", true, false, true, false}, {"madc.hi", true, false, true, true}};
  for (const Form& form : forms)
    for (const IntegerType& type : all_types)
      for (const bool sets : {false, true}) {
        if (type.bits == 16 || (!sets && !form.takes)) continue;
        const std::string n = std::to_string(type.bits);
        const std::string operands =
            form.multiplies ? ", " + reg('c', type.bits) + ", " + reg('d', type.bits) + ", " + reg('a', type.bits)
                            : ", " + reg('c', type.bits) + ", " + reg('d', type.bits);
        // A borrow for a subtraction, a carry for others.
        const std::string flag = std::string(form.subtracts ? "sub" : "add") + ".cc.u" + n + " {t" + n + "}, " +
                                 reg('a', type.bits) + ", " + reg('b', type.bits) + "; ";
        const std::string text =
            flag + form.name + (sets ? ".cc." : ".") + type.name + " {u" + n + "}" + operands + "; ";
        const auto exact = [=](const Inputs& in) {  // the result, and the flag above it
          using Unsigned = unsigned __int128;
          const Unsigned a = low(in.a, type.bits), b = low(in.b, type.bits), c = low(in.c, type.bits),
                         d = low(in.d, type.bits);
          const bool before = form.takes && (form.subtracts ? a < b : (a + b) >> type.bits & 1);
          if (form.subtracts) return c - d - before;
          if (!form.multiplies) return c + d + before;
          const Wide product = value_of(in.c, type) * value_of(in.d, type);
          const auto part = low(static_cast<U>(form.high ? product >> type.bits : product), type.bits);
          return Unsigned{part} + a + before;
        };
        cases.push_back({text + "mov.b" + n + " {r" + n + "}, {u" + n + "};",
                         [=](const Inputs& in) { return low(static_cast<U>(exact(in)), type.bits); }});
        if (!sets) continue;
        const std::string reads = form.subtracts ? "subc.u32 {r32}, 5, 0;" : "addc.u32 {r32}, 5, 0;";
        cases.push_back({text + reads, [=](const Inputs& in) {
                           const bool is_set = static_cast<U>(exact(in) >> type.bits) & 1;
                           return U(form.subtracts ? 5 - is_set : 5 + is_set);
                         }});
      }
  run(cases);
}

TEST(IsaInteger, OfHalvesAndOf24Bits) {
  std::vector<Case> cases;
  for (const int n : {16, 32, 64})
    cases.push_back({"shr.b" + std::to_string(n) + ' ' + reg('r', n) + ", " + reg('a', n) + ", {b32};",
                     [=](const Inputs& in) { return low(in.b, 32) >= U(n) ? 0 : low(in.a, n) >> low(in.b, 32); }});
  const auto halves = [](const Inputs& in, auto compute) {
    const auto one = [&](int at) { return low(U(compute(as_signed(in.a >> at, 16), as_signed(in.b >> at, 16))), 16); };
    return one(0) | one(16) << 16;
  };
  cases.push_back(
      {"add.s16x2 {r32}, {a32}, {b32};", [=](const Inputs& in) { return halves(in, [](S a, S b) { return a + b; }); }});
  cases.push_back({"min.relu.s16x2 {r32}, {a32}, {b32};", [=](const Inputs& in) {
                     return halves(in, [](S a, S b) { return std::max(S{0}, std::min(a, b)); });
                   }});
  cases.push_back({"max.relu.s16x2 {r32}, {a32}, {b32};", [=](const Inputs& in) {
                     return halves(in, [](S a, S b) { return std::max({S{0}, a, b}); });
                   }});
  cases.push_back({"mad.hi.sat.s32 {r32}, {a32}, {b32}, {c32};", [](const Inputs& in) {
                     const S sum = (as_signed(in.a, 32) * as_signed(in.b, 32) >> 32) + as_signed(in.c, 32);
                     return low(U(std::clamp(sum, S{INT32_MIN}, S{INT32_MAX})), 32);
                   }});
  for (const bool is_signed : {false, true})
    for (const bool high : {false, true}) {
      const auto product = [=](const Inputs& in) {
        const S a = is_signed ? as_signed(in.a, 24) : S(low(in.a, 24)),
                b = is_signed ? as_signed(in.b, 24) : S(low(in.b, 24));
        return low(U(a * b >> (high ? 16 : 0)), 32);
      };
      const std::string form = std::string(high ? ".hi." : ".lo.") + (is_signed ? "s32" : "u32");
      cases.push_back({"mul24" + form + " {r32}, {a32}, {b32};", product});
      cases.push_back({"mad24" + form + " {r32}, {a32}, {b32}, {c32};",
                       [=](const Inputs& in) { return low(product(in) + in.c, 32); }});
    }
  run(cases);
}

TEST(IsaInteger, OneOperand) {
  std::vector<Case> cases;
  add_unary(cases, "abs", {"s16", "s32", "s64"}, [](Wide a) { return a < 0 ? -a : a; });
  add_unary(cases, "neg", {"s16", "s32", "s64"}, [](Wide a) { return -a; });
  for (const int n : {32, 64}) {
    const std::string b = ".b" + std::to_string(n), a = reg('a', n), r = reg('r', n);
    cases.push_back(
        {"popc" + b + " {r32}, " + a + ';', [=](const Inputs& in) { return U(std::popcount(low(in.a, n))); }});
    cases.push_back({"clz" + b + " {r32}, " + a + ';',
                     [=](const Inputs& in) { return U(std::countl_zero(low(in.a, n)) - (64 - n)); }});
    cases.push_back({"brev" + b + ' ' + r + ", " + a + ';', [=](const Inputs& in) {
                       U result = 0;
                       for (int i = 0; i < n; ++i) result |= (in.a >> i & 1) << (n - 1 - i);
                       return result;
                     }});
    for (const bool is_signed : {false, true})
      for (const bool shift : {false, true})
        cases.push_back({std::string("bfind") + (shift ? ".shiftamt" : "") + (is_signed ? ".s" : ".u") +
                             std::to_string(n) + " {r32}, " + a + ';',
                         [=](const Inputs& in) {
                           U value = low(in.a, n);
                           if (is_signed && as_signed(in.a, n) < 0) value = low(~value, n);
                           if (value == 0) return U{0xffffffff};
                           const int top = 63 - std::countl_zero(value);
                           return U(shift ? n - 1 - top : top);
                         }});
  }
  run(cases);
}

TEST(IsaInteger, MinimumAndMaximum) {
  std::vector<Case> cases;
  const auto every = {"u16", "s16", "u32", "s32", "u64", "s64"};
  add_binary(cases, "min", every, [](Wide a, Wide b, int) { return std::min(a, b); });
  add_binary(cases, "max", every, [](Wide a, Wide b, int) { return std::max(a, b); });
  add_binary(cases, "min.relu", {"s32"}, [](Wide a, Wide b, int) { return std::max<Wide>(0, std::min(a, b)); });
  add_binary(cases, "max.relu", {"s32"}, [](Wide a, Wide b, int) { return std::max<Wide>(0, std::max(a, b)); });
  for (const char* op : {"min", "max"})
    for (const bool is_signed : {false, true})
      cases.push_back(
          {std::string(op) + (is_signed ? ".s16x2" : ".u16x2") + " {r32}, {a32}, {b32};", [=](const Inputs& in) {
             const IntegerType half{"", 16, is_signed};
             U result = 0;
             for (int i = 0; i < 32; i += 16) {
               const Wide a = value_of(in.a >> i, half), b = value_of(in.b >> i, half);
               result |= bits_of(op[1] == 'i' ? std::min(a, b) : std::max(a, b), 16) << i;
             }
             return result;
           }});
  for (const IntegerType& type : all_types)
    cases.push_back({std::string("sad.") + type.name + ' ' + reg('r', type.bits) + ", " + reg('a', type.bits) + ", " +
                         reg('b', type.bits) + ", " + reg('c', type.bits) + ';',
                     [=](const Inputs& in) {
                       const Wide difference = value_of(in.a, type) - value_of(in.b, type);
                       return bits_of((difference < 0 ? -difference : difference) + in.c, type.bits);
                     }});
  run(cases);
}

TEST(IsaInteger, Logic) {
  std::vector<Case> cases;
  for (const int n : {16, 32, 64}) {
    const std::string b = ".b" + std::to_string(n) + ' ' + reg('r', n) + ", " + reg('a', n),
                      second = ", " + reg('b', n) + ';';
    cases.push_back({"and" + b + second, [=](const Inputs& in) { return low(in.a & in.b, n); }});
    cases.push_back({"or" + b + second, [=](const Inputs& in) { return low(in.a | in.b, n); }});
    cases.push_back({"xor" + b + second, [=](const Inputs& in) { return low(in.a ^ in.b, n); }});
    cases.push_back({"not" + b + ';', [=](const Inputs& in) { return low(~in.a, n); }});
    cases.push_back({"cnot" + b + ';', [=](const Inputs& in) { return U(low(in.a, n) == 0); }});
  }
  cases.push_back({"and.pred {rp}, {ap}, {bp};", [](const Inputs& in) { return in.a & in.b & 1; }});
  cases.push_back({"or.pred {rp}, {ap}, {bp};", [](const Inputs& in) { return (in.a | in.b) & 1; }});
  cases.push_back({"xor.pred {rp}, {ap}, {bp};", [](const Inputs& in) { return (in.a ^ in.b) & 1; }});
  cases.push_back({"not.pred {rp}, {ap};", [](const Inputs& in) { return ~in.a & 1; }});
  cases.push_back({"mov.pred {rp}, {ap};", [](const Inputs& in) { return in.a & 1; }});
  for (const int table : {0x00, 0x96, 0xe8, 0xea, 0x1b, 0xff})
    cases.push_back({"lop3.b32 {r32}, {a32}, {b32}, {c32}, " + std::to_string(table) + ';', [=](const Inputs& in) {
                       U result = 0;
                       for (int i = 0; i < 32; ++i) {
                         const U row = (in.a >> i & 1) << 2 | (in.b >> i & 1) << 1 | (in.c >> i & 1);
                         result |= U(table >> row & 1) << i;
                       }
                       return result;
                     }});
  run(cases);
}

TEST(IsaInteger, Shifts) {
  std::vector<Case> cases;
  for (const int n : {16, 32, 64}) {
    const std::string width = std::to_string(n) + ' ', operands = reg('r', n) + ", " + reg('a', n) + ", {b32};";
    cases.push_back({"shl.b" + width + operands, [=](const Inputs& in) {
                       const U by = low(in.b, 32);
                       return by >= U(n) ? 0 : low(in.a << by, n);
                     }});
    cases.push_back({"shr.u" + width + operands, [=](const Inputs& in) {
                       const U by = low(in.b, 32);
                       return by >= U(n) ? 0 : low(in.a, n) >> by;
                     }});
    cases.push_back({"shr.s" + width + operands, [=](const Inputs& in) {
                       const U by = std::min<U>(low(in.b, 32), U(n) - 1);
                       return low(static_cast<U>(as_signed(in.a, n) >> by), n);
                     }});
  }
  for (const bool left : {false, true})
    for (const bool clamp : {false, true})
      cases.push_back(
          {std::string("shf.") + (left ? "l" : "r") + (clamp ? ".clamp" : ".wrap") + ".b32 {r32}, {a32}, {b32}, {c32};",
           [=](const Inputs& in) {
             const U by = clamp ? std::min<U>(low(in.c, 32), 32) : low(in.c, 5);
             const U pair = low(in.a, 32) | low(in.b, 32) << 32;
             return low(left ? pair << by >> 32 : pair >> by, 32);
           }});
  run(cases);
}

TEST(IsaInteger, BitFields) {
  std::vector<Case> cases;
  // Positions and lengths are limited to 8 bits; beyond, an H100 takes them modulo 256 in 32-bit forms only.
  const auto bfe_is_defined = [](const Inputs& in) { return low(in.b, 32) <= 255 && low(in.c, 32) <= 255; };
  const auto bfi_is_defined = [](const Inputs& in) { return low(in.c, 32) <= 255 && low(in.d, 32) <= 255; };
  for (const int n : {32, 64}) {
    const std::string width = std::to_string(n);
    for (const bool is_signed : {false, true})
      cases.push_back({std::string("bfe.") + (is_signed ? "s" : "u") + width + ' ' + reg('r', n) + ", " + reg('a', n) +
                           ", {b32}, {c32};",
                       [=](const Inputs& in) {
                         const int position = int(in.b & 0xff), length = int(in.c & 0xff), top = n - 1;
                         const bool fill =
                             is_signed && length > 0 && (in.a >> std::min(position + length - 1, top) & 1);
                         U result = 0;
                         for (int i = 0; i < n; ++i) {
                           const bool inside = i < length && position + i <= top;
                           result |= U(inside ? in.a >> (position + i) & 1 : fill) << i;
                         }
                         return result;
                       },
                       bfe_is_defined});
    cases.push_back({"bfi.b" + width + ' ' + reg('r', n) + ", " + reg('a', n) + ", " + reg('b', n) + ", {c32}, {d32};",
                     [=](const Inputs& in) {
                       const int position = int(in.c & 0xff), length = int(in.d & 0xff);
                       U result = low(in.b, n);
                       for (int i = 0; i < length && position + i < n; ++i) {
                         result &= ~(U{1} << (position + i));
                         result |= (i < n ? in.a >> i & 1 : 0) << (position + i);
                       }
                       return result;
                     },
                     bfi_is_defined});
  }
  for (const bool clamp : {false, true}) {
    const std::string mode = clamp ? "clamp" : "wrap";
    cases.push_back({"bmsk." + mode + ".b32 {r32}, {a32}, {b32};", [=](const Inputs& in) {
                       const U a = low(in.a, 32), b = low(in.b, 32), from = a & 31, count = b & 31;
                       if (clamp && a >= 32) return U{0};
                       const U ones = clamp && b >= 32 ? 0xffffffff : (U{1} << count) - 1;
                       return low(ones << from, 32);
                     }});
    for (const bool is_signed : {false, true})
      cases.push_back(
          {"szext." + mode + (is_signed ? ".s32" : ".u32") + " {r32}, {a32}, {b32};", [=](const Inputs& in) {
             const U b = low(in.b, 32);
             if (clamp && b >= 32) return low(in.a, 32);
             const int bits = int(b & 31);
             if (bits == 0) return U{0};
             return is_signed ? low(static_cast<U>(as_signed(in.a, bits)), 32) : low(in.a, bits);
           }});
  }
  cases.push_back({"and.b32 {t32}, {b32}, 31; fns.b32 {r32}, {a32}, {t32}, {c32};",
                   [](const Inputs& in) {
                     const int base = int(in.b & 31), offset = int(as_signed(in.c, 32));
                     const auto bit = [&](int i) { return in.a >> i & 1; };
                     if (offset == 0) return bit(base) ? U(base) : U{0xffffffff};
                     S left = std::abs(S{offset}) - 1;
                     for (int i = base; i >= 0 && i<32; i += offset> 0 ? 1 : -1)
                       if (bit(i) && left-- == 0) return U(i);
                     return U{0xffffffff};
                   },
                   [](const Inputs& in) { return low(in.c, 32) != 0x80000000; }});
  run(cases);
}

TEST(IsaInteger, Permutation) {
  const auto byte = [](const Inputs& in, U which) { return (low(in.a, 32) | in.b << 32) >> (8 * (which & 7)) & 0xff; };
  std::vector<Case> cases;
  cases.push_back({"prmt.b32 {r32}, {a32}, {b32}, {c32};", [=](const Inputs& in) {
                     U result = 0;
                     for (int i = 0; i < 4; ++i) {
                       const U selector = in.c >> (4 * i) & 15, value = byte(in, selector);
                       result |= (selector & 8 ? (value & 0x80 ? 0xff : 0) : value) << (8 * i);
                     }
                     return result;
                   }});
  // Rows: the selector's low two bits; columns: the byte of the result, lowest first.
  struct Mode {
    const char* name;
    int bytes[4][4];
  };
  const Mode modes[] = {{"f4e", {{0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {3, 4, 5, 6}}},
                        {"b4e", {{0, 7, 6, 5}, {1, 0, 7, 6}, {2, 1, 0, 7}, {3, 2, 1, 0}}},
                        {"rc8", {{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}}},
                        {"ecl", {{0, 1, 2, 3}, {1, 1, 2, 3}, {2, 2, 2, 3}, {3, 3, 3, 3}}},
                        {"ecr", {{0, 0, 0, 0}, {0, 1, 1, 1}, {0, 1, 2, 2}, {0, 1, 2, 3}}},
                        {"rc16", {{0, 1, 0, 1}, {2, 3, 2, 3}, {0, 1, 0, 1}, {2, 3, 2, 3}}}};
  for (const Mode& mode : modes)
    cases.push_back({std::string("prmt.b32.") + mode.name + " {r32}, {a32}, {b32}, {c32};", [=](const Inputs& in) {
                       U result = 0;
                       for (int i = 0; i < 4; ++i) result |= byte(in, U(mode.bytes[in.c & 3][i])) << (8 * i);
                       return result;
                     }});
  run(cases);
}

TEST(IsaInteger, DotProducts) {
  std::vector<Case> cases;
  for (const bool a_signed : {false, true})
    for (const bool b_signed : {false, true}) {
      const std::string types = std::string(a_signed ? ".s32" : ".u32") + (b_signed ? ".s32" : ".u32");
      const auto part = [=](U value, int at, int bits, bool is_signed) {
        return is_signed ? as_signed(value >> at, bits) : S(low(value >> at, bits));
      };
      cases.push_back({"dp4a" + types + " {r32}, {a32}, {b32}, {c32};", [=](const Inputs& in) {
                         U sum = in.c;
                         for (int i = 0; i < 32; i += 8)
                           sum += U(part(in.a, i, 8, a_signed) * part(in.b, i, 8, b_signed));
                         return low(sum, 32);
                       }});
      for (const bool high : {false, true})
        cases.push_back({std::string("dp2a") + (high ? ".hi" : ".lo") + types + " {r32}, {a32}, {b32}, {c32};",
                         [=](const Inputs& in) {
                           U sum = in.c;
                           for (int i = 0; i < 2; ++i)
                             sum += U(part(in.a, 16 * i, 16, a_signed) * part(in.b, 8 * i + 16 * high, 8, b_signed));
                           return low(sum, 32);
                         }});
    }
  run(cases);
}

}  // namespace
}  // namespace isa_test
