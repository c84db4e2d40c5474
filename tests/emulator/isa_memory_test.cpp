// PTX ISA 9.7.9 and 9.7.13: loads and stores in every space, type and vector, address conversions, atomics.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "isa_float.hpp"
#include "isa_integer.hpp"

namespace isa_test {
namespace {

/// Sixteen bytes of its own for each thread, whose address goes to {u64} or, in a space's own form, to {u32}.
const std::string shared_cell =
    ".shared .align 16 .b8 cell[2048]; mov.u32 {t32}, %tid.x; shl.b32 {t32}, {t32}, 4; mov.u32 {u32}, cell; add.u32 "
    "{u32}, {u32}, {t32};\n";
const std::string local_cell = ".local .align 16 .b8 cell[32]; mov.u64 {u64}, cell;\n";

struct Place {
  std::string space, setup, address;
};
const Place places[] = {
    {".shared", shared_cell, "[{u32}]"},
    {".shared::cta", shared_cell, "[{u32}]"},
    {".local", local_cell, "[{u64}]"},
    {".local", ".local .align 16 .b8 cell[32];\n", "[cell]"},
    {"", shared_cell + "cvt.u64.u32 {u64}, {u32}; cvta.shared.u64 {u64}, {u64};\n", "[{u64}]"},
    {"", local_cell + "cvta.local.u64 {u64}, {u64};\n", "[{u64}]"},
    {".global", "", "[%out]"},
    {"", "cvta.global.u64 {u64}, %out;\n", "[{u64}]"},
};

TEST(IsaMemory, EveryTypeInEverySpace) {
  std::vector<Case> cases;
  for (const Place& place : places)
    for (const std::string type :
         {"b8", "u8", "s8", "b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"}) {
      const int bits = std::stoi(type.substr(1)), in_register = std::max(bits, 16);
      const bool is_signed = type[0] == 's', is_float = type[0] == 'f';
      cases.push_back(
          {place.setup + "st" + place.space + '.' + type + ' ' + place.address + ", " + reg('a', in_register) + "; ld" +
               place.space + '.' + type + ' ' + reg('r', in_register) + ", " + place.address + ';',
           [=](const Inputs& in) { return is_signed ? low(U(as_signed(in.a, bits)), in_register) : low(in.a, bits); }});
      if (bits < 32 && !is_float)  // a wider register is filled as the type says
        cases.push_back({place.setup + "st" + place.space + '.' + type + ' ' + place.address + ", {a32}; ld" +
                             place.space + '.' + type + " {r64}, " + place.address + ';',
                         [=](const Inputs& in) { return is_signed ? U(as_signed(in.a, bits)) : low(in.a, bits); }});
    }
  run(cases);
}

TEST(IsaMemory, Vectors) {
  std::vector<Case> cases;
  for (const Place& place : places) {
    if (place.address == "[%out]" || place.setup.find("%out") != std::string::npos) continue;  // 8 bytes each
    const std::string st = place.setup + "st" + place.space, ld = "ld" + place.space, at = ' ' + place.address;
    cases.push_back(
        {st + ".v4.b32" + at + ", {{{a32}, {b32}, {c32}, {d32}}}; " + ld + ".v2.b64 {{{t64}, {r64}}}," + at + ';',
         [](const Inputs& in) { return low(in.c, 32) | in.d << 32; }});
    cases.push_back({st + ".v2.b64" + at + ", {{{a64}, {b64}}}; " + ld + ".v4.u32 {{_, {r32}, _, _}}," + at + ';',
                     [](const Inputs& in) { return in.a >> 32; }});
    cases.push_back(
        {st + ".v4.b16" + at + ", {{{a16}, {b16}, {c16}, {d16}}}; " + ld + ".b64 {r64}," + at + ';',
         [](const Inputs& in) { return low(in.a, 16) | low(in.b, 16) << 16 | low(in.c, 16) << 32 | in.d << 48; }});
    cases.push_back(
        {st + ".v4.b8" + at + ", {{{a16}, {b16}, {c16}, {d16}}}; " + ld + ".v2.u16 {{{t16}, {r16}}}," + at + ';',
         [](const Inputs& in) { return low(in.c, 8) | low(in.d, 8) << 8; }});
    cases.push_back({st + ".v2.f32" + at + ", {{{a32}, {b32}}}; " + ld + ".volatile.b64 {r64}," + at + ';',
                     [](const Inputs& in) { return low(in.a, 32) | in.b << 32; }});
  }
  // ".volatile" comes before the space.
  for (Case& test : cases)
    for (const std::string space : {".shared::cta", ".shared", ".local", ""}) {
      const std::size_t at = test.ptx.find("ld" + space + ".volatile");
      if (at == std::string::npos) continue;
      test.ptx.replace(at, 2 + space.size() + 9, space == ".local" ? "ld.local" : "ld.volatile" + space);
      break;
    }
  run(cases);
}

TEST(IsaMemory, LanesThatFollowEachOther) {
  // Threads without a gap between their elements; then half of the lanes at a time, drawn, so that the emulator goes lane by lane.
  std::vector<Case> cases;
  const char letters[] = {'a', 'b', 'c', 'd'};
  for (const int bits : {8, 16, 32, 64})
    for (const int count : {1, 2, 4}) {
      const int bytes = bits / 8 * count, in_register = std::max(bits, 16);
      if (bytes > 16) continue;
      const std::string setup = ".shared .align 16 .b8 cell[2048]; mov.u32 {t32}, %tid.x; mul.lo.u32 {t32}, {t32}, " +
                                std::to_string(bytes) + "; mov.u32 {u32}, cell; add.u32 {u32}, {u32}, {t32};\n";
      const std::string form =
          ".shared" + (count == 1 ? "" : ".v" + std::to_string(count)) + ".b" + std::to_string(bits);
      const auto vector = [&](auto element) {
        if (count == 1) return element(0);
        std::string list = "{{";
        for (int i = 0; i < count; ++i) list += (i ? ", " : "") + element(i);
        return list + "}}";
      };
      const std::string st =
          "st" + form + " [{u32}], " + vector([&](int i) { return reg(letters[i], in_register); }) + "; ";
      for (int i = 0; i < count; ++i) {
        const std::string ld = "ld" + form + ' ' +
                               vector([&](int j) { return j == i ? reg('r', in_register) : std::string("_"); }) +
                               ", [{u32}]; ";
        const auto expected = [=](const Inputs& in) {
          return low(std::array{in.a, in.b, in.c, in.d}[std::size_t(i)], bits);
        };
        cases.push_back({setup + st + "@{dp} " + ld + "@!{dp} " + ld, expected});
        cases.push_back({setup + "@{dp} " + st + "@!{dp} " + st + ld, expected});
        cases.push_back({setup + st + ld, expected});
      }
    }
  // All threads at one element, of the first thread.
  const std::string first = ".shared .align 16 .b8 cell[16]; mov.u32 {t32}, %tid.x; setp.eq.u32 {tp}, {t32}, 0; @{tp} ";
  cases.push_back(
      together(first + "st.shared.v2.b64 [cell], {{{a64}, {b64}}}; bar.sync 0; ld.shared.v2.b64 {{_, {r64}}}, [cell];",
               [](const Inputs* threads, int) { return threads[0].b; }));
  cases.push_back(together(first + "st.shared.b16 [cell], {a16}; bar.sync 0; ld.shared.s8 {r64}, [cell];",
                           [](const Inputs* threads, int) { return U(as_signed(threads[0].a, 8)); }));
  run(cases);
}

TEST(IsaMemory, Spaces) {
  std::vector<Case> cases;
  const auto one = [](const Inputs&) { return U{1}; };
  const std::string shared = shared_cell + "cvt.u64.u32 {u64}, {u32}; cvta.shared.u64 {u64}, {u64};\n";
  const std::string local = local_cell + "cvta.local.u64 {u64}, {u64};\n", global = "cvta.global.u64 {u64}, %out;\n";
  cases.push_back({shared + "isspacep.shared {rp}, {u64};", one});
  cases.push_back({local + "isspacep.local {rp}, {u64};", one});
  cases.push_back({global + "isspacep.global {rp}, {u64};", one});
  cases.push_back({global + "isspacep.shared {tp}, {u64}; not.pred {rp}, {tp};", one});
  cases.push_back({shared + "isspacep.global {tp}, {u64}; not.pred {rp}, {tp};", one});
  cases.push_back(
      {shared + "cvta.to.shared.u64 {t64}, {u64}; cvt.u64.u32 {u64}, {u32}; setp.eq.u64 {rp}, {t64}, {u64};", one});
  cases.push_back(
      {local + "cvta.to.local.u64 {t64}, {u64}; mov.u64 {u64}, cell; setp.eq.u64 {rp}, {t64}, {u64};", one});
  run(cases);
}

/// An atomic on a cell that holds input b: the old value is the low half of the result, the new one the high half.
template <class Compute>
void add_atomic(std::vector<Case>& cases, const std::string& op, const std::string& operands, Compute compute) {
  for (const bool generic : {false, true}) {
    const std::string setup =
        generic ? shared_cell + "cvt.u64.u32 {u64}, {u32}; cvta.shared.u64 {u64}, {u64};\n" : shared_cell;
    const std::string space = generic ? "" : ".shared", address = generic ? "[{u64}]" : "[{u32}]";
    cases.push_back({setup + "st" + space + ".b32 " + address + ", {b32}; atom" + space + op + " {t32}, " + address +
                         operands + "; ld" + space + ".b32 {c32}, " + address + "; mov.b64 {r64}, {{{t32}, {c32}}};",
                     [=](const Inputs& in) {
                       return low(in.b, 32) | low(compute(low(in.a, 32), low(in.b, 32), low(in.d, 32)), 32) << 32;
                     }});
  }
  if (op.find("cas") == std::string::npos && op.find("exch") == std::string::npos)
    cases.push_back({shared_cell + "st.shared.b32 [{u32}], {b32}; red.shared" + op + " [{u32}]" + operands +
                         "; ld.shared.b32 {r32}, [{u32}];",
                     [=](const Inputs& in) { return low(compute(low(in.a, 32), low(in.b, 32), low(in.d, 32)), 32); }});
}

TEST(IsaMemory, Atomics) {
  std::vector<Case> cases;
  const auto s = [](U value) { return as_signed(value, 32); };
  add_atomic(cases, ".add.u32", ", {a32}", [](U a, U b, U) { return b + a; });
  add_atomic(cases, ".add.s32", ", {a32}", [](U a, U b, U) { return b + a; });
  add_atomic(cases, ".relaxed.cta.add.u32", ", {a32}", [](U a, U b, U) { return b + a; });
  add_atomic(cases, ".min.u32", ", {a32}", [](U a, U b, U) { return std::min(a, b); });
  add_atomic(cases, ".max.u32", ", {a32}", [](U a, U b, U) { return std::max(a, b); });
  add_atomic(cases, ".min.s32", ", {a32}", [=](U a, U b, U) { return U(std::min(s(a), s(b))); });
  add_atomic(cases, ".max.s32", ", {a32}", [=](U a, U b, U) { return U(std::max(s(a), s(b))); });
  add_atomic(cases, ".and.b32", ", {a32}", [](U a, U b, U) { return a & b; });
  add_atomic(cases, ".or.b32", ", {a32}", [](U a, U b, U) { return a | b; });
  add_atomic(cases, ".xor.b32", ", {a32}", [](U a, U b, U) { return a ^ b; });
  add_atomic(cases, ".inc.u32", ", {a32}", [](U a, U b, U) { return b >= a ? 0 : b + 1; });
  add_atomic(cases, ".dec.u32", ", {a32}", [](U a, U b, U) { return b == 0 || b > a ? a : b - 1; });
  add_atomic(cases, ".exch.b32", ", {a32}", [](U a, U, U) { return a; });
  add_atomic(cases, ".cas.b32", ", {a32}, {d32}", [](U a, U b, U d) { return a == b ? d : b; });
  const std::string wide = shared_cell + "st.shared.b64 [{u32}], {b64}; atom.shared";
  cases.push_back({wide + ".add.u64 {t64}, [{u32}], {a64}; ld.shared.b64 {r64}, [{u32}];",
                   [](const Inputs& in) { return in.a + in.b; }});
  cases.push_back({wide + ".exch.b64 {r64}, [{u32}], {a64};", [](const Inputs& in) { return in.b; }});
  cases.push_back({wide + ".max.s64 {t64}, [{u32}], {a64}; ld.shared.b64 {r64}, [{u32}];",
                   [](const Inputs& in) { return U(std::max(S(in.a), S(in.b))); }});
  cases.push_back({wide + ".cas.b64 {t64}, [{u32}], {a64}, {d64}; ld.shared.b64 {r64}, [{u32}];",
                   [](const Inputs& in) { return in.a == in.b ? in.d : in.b; }});
  // All threads of the CTA at one counter.
  cases.push_back(
      {".shared .u32 counter; mov.u32 {t32}, %tid.x; setp.eq.u32 {tp}, {t32}, 0; mov.u32 {t32}, 0;\n"
       "@{tp} st.shared.u32 [counter], {t32}; bar.sync 0;\n"
       "atom.shared.add.u32 {t32}, [counter], 3; red.shared.add.u32 [counter], 1; bar.sync 0; ld.shared.u32 {r32}, "
       "[counter];",
       [](const Inputs&) { return U{512}; }});
  run(cases);
}

TEST(IsaMemory, EveryVector) {
  std::vector<Case> cases;
  for (const std::string space : {"", ".global", ".shared"})
    for (const std::string type : {"b8", "b16", "b32", "f32", "b64", "f64"})
      for (const int count : {2, 4}) {
        const int bits = std::stoi(type.substr(1)), in_register = std::max(bits, 16);
        if (bits == 64 && count == 4) continue;
        const std::string setup = space == ".shared" ? shared_cell : "", at = space == ".shared" ? "[{u32}]" : "[%in]";
        const std::string n = std::to_string(in_register), vector = ".v" + std::to_string(count) + '.' + type + ' ';
        const std::string rest = count == 4 ? ", {c" + n + "}, {d" + n + "}" : "";
        // The second element comes back.
        cases.push_back({setup + "st" + space + vector + at + ", {{{a" + n + "}, {b" + n + "}" + rest + "}}; ld" +
                             space + vector + "{{_, {r" + n + "}" + (count == 4 ? ", _, _" : "") + "}}, " + at +
                             "; st.global.v2.u64 [%in], {{%raw0, %raw1}};",
                         [=](const Inputs& in) { return low(in.b, bits); }});
      }
  run(cases);
}

/// Every atomic in every space that it has: the old value must be the cell's, and the new one what the operation says.
TEST(IsaMemory, EveryAtomic) {
  std::vector<Case> cases;
  const auto same_numbers = [](Format format, int elements) {
    return [=](U found, U expected) {
      for (int i = 0; i < elements; ++i) {
        const U x = low(found >> i * format.width(), format.width()),
                y = low(expected >> i * format.width(), format.width());
        if (x != y && !(format.is_nan(x) && format.is_nan(y))) return false;
      }
      return true;
    };
  };
  const auto never = [](U, U) { return false; };
  const auto add = [&](const std::string& op, int bits, auto compute, std::function<bool(U, U)> accepts, bool has_red,
                       bool has_atom) {
    const std::string n = std::to_string(bits), in_register = bits == 16 ? "16" : n;
    for (const std::string space : {"", ".global", ".shared"}) {
      const std::string setup = space == ".shared" ? shared_cell : "", at = space == ".shared" ? "[{u32}]" : "[%in]";
      const std::string value = "{a" + in_register + "}", cell = "{b" + in_register + "}";
      const std::string begin = setup + "st" + space + ".b" + n + ' ' + at + ", " + cell + "; ";
      const std::string restore = space == ".shared" ? "" : " st.global.v2.u64 [%in], {{%raw0, %raw1}};";
      const std::string swap = op.find("cas") != std::string::npos ? ", {d" + in_register + "}" : "";
      const auto expected = [=](const Inputs& in) {
        return low(compute(low(in.b, bits), low(in.a, bits), low(in.d, bits)), bits);
      };
      if (has_atom) {
        cases.push_back({begin + "atom" + space + op + " {t" + n + "}, " + at + ", " + value + swap + "; ld" + space +
                             ".b" + n + " {r" + n + "}, " + at + ';' + restore,
                         expected, [](const Inputs&) { return true; }, accepts});
        cases.push_back({begin + "atom" + space + op + " {r" + n + "}, " + at + ", " + value + swap + ';' + restore,
                         [=](const Inputs& in) { return low(in.b, bits); }});
      }
      if (has_red)
        cases.push_back({begin + "red" + space + op + ' ' + at + ", " + value + "; ld" + space + ".b" + n + " {r" + n +
                             "}, " + at + ';' + restore,
                         expected, [](const Inputs&) { return true; }, accepts});
    }
  };
  for (const int bits : {32, 64}) {
    const std::string n = std::to_string(bits);
    add(
        ".add.u" + n, bits, [](U m, U x, U) { return m + x; }, never, true, true);
    if (bits == 32)
      add(
          ".add.s32", bits, [](U m, U x, U) { return m + x; }, never, true, true);
    add(
        ".min.u" + n, bits, [](U m, U x, U) { return std::min(m, x); }, never, true, true);
    add(
        ".max.u" + n, bits, [](U m, U x, U) { return std::max(m, x); }, never, true, true);
    add(
        ".min.s" + n, bits, [=](U m, U x, U) { return U(std::min(as_signed(m, bits), as_signed(x, bits))); }, never,
        true, true);
    add(
        ".max.s" + n, bits, [=](U m, U x, U) { return U(std::max(as_signed(m, bits), as_signed(x, bits))); }, never,
        true, true);
    add(
        ".and.b" + n, bits, [](U m, U x, U) { return m & x; }, never, true, true);
    add(
        ".or.b" + n, bits, [](U m, U x, U) { return m | x; }, never, true, true);
    add(
        ".xor.b" + n, bits, [](U m, U x, U) { return m ^ x; }, never, true, true);
    add(
        ".exch.b" + n, bits, [](U, U x, U) { return x; }, never, false, true);
    add(
        ".cas.b" + n, bits, [](U m, U x, U y) { return m == x ? y : m; }, never, false, true);
  }
  add(
      ".cas.b16", 16, [](U m, U x, U y) { return m == x ? y : m; }, never, false, true);
  add(
      ".inc.u32", 32, [](U m, U x, U) { return m >= x ? 0 : m + 1; }, never, true, true);
  add(
      ".dec.u32", 32, [](U m, U x, U) { return m == 0 || m > x ? x : m - 1; }, never, true, true);
  const auto sum = [](Format format) {
    return [=](U m, U x, U) { return format.encode(odd_fma(format.decode(m), 1, format.decode(x))); };
  };
  const auto sums = [](Format format) {
    return [=](U m, U x, U) {
      const auto one = [=](U p, U q) { return format.encode(odd_fma(format.decode(p), 1, format.decode(q))); };
      return one(low(m, 16), low(x, 16)) | one(m >> 16, x >> 16) << 16;
    };
  };
  add(
      ".add.f32", 32, [](U m, U x, U) { return bits(f32(m) + f32(x)); }, same_numbers(single, 1), true, true);
  add(
      ".add.f64", 64, [](U m, U x, U) { return bits(f64(m) + f64(x)); }, same_numbers(double_format, 1), true, true);
  add(".add.noftz.f16", 16, sum(half), same_numbers(half, 1), true, true);
  add(".add.noftz.bf16", 16, sum(bfloat), same_numbers(bfloat, 1), true, true);
  add(".add.noftz.f16x2", 32, sums(half), same_numbers(half, 2), true, true);
  add(".add.noftz.bf16x2", 32, sums(bfloat), same_numbers(bfloat, 2), true, true);
  run(cases);
}

/// Vectors of floats in global memory: element i of 16 bytes is that of inputs a and b, times i + 1 in rotation.
TEST(IsaMemory, VectorAtomics) {
  std::vector<Case> cases;
  struct Type {
    const char* name;
    Format format;
    int bits;
  };
  for (const Type& type :
       {Type{"f32", single, 32}, {"f16", half, 16}, {"bf16", bfloat, 16}, {"f16x2", half, 32}, {"bf16x2", bfloat, 32}})
    for (const int count : {2, 4, 8})
      for (const std::string op : {"add", "min", "max"}) {
        if (count * type.bits > 128 || (type.bits == 32 && type.format.width() == 32 && op != "add")) continue;
        const int width = type.format.width();
        const auto one = [=](U m, U x) {
          const Format f = type.format;
          if (op == "add") return f.encode(odd_fma(f.decode(m), 1, f.decode(x)));
          if (f.is_nan(m) || f.is_nan(x)) return f.is_nan(m) && f.is_nan(x) ? U{0x7fff} : f.is_nan(m) ? x : m;
          const long double p = f.decode(m), q = f.decode(x);
          if (p == q) return (m >> 15 != 0) == (op == "min") ? m : x;
          return (p < q) == (op == "min") ? m : x;
        };
        // 8 bytes of the cell are input b, the next 8 are d; the operand's are a and c.
        const auto all = [=](U m, U x) {
          const int end = std::min(64, count * type.bits);
          U result = end == 64 ? 0 : m >> end << end;  // what is behind the vector stays
          for (int at = 0; at < end; at += width) result |= one(low(m >> at, width), low(x >> at, width)) << at;
          return result;
        };
        const bool wide = count * type.bits == 128;
        const std::string opcode =
            ".global." + op + (width == 32 ? ".v" : ".noftz.v") + std::to_string(count) + '.' + type.name;
        // The registers of the vector, from the 64-bit inputs.
        std::string names, old, setup;
        const std::string n = std::to_string(type.bits);
        for (int i = 0; i < count; ++i) {
          const std::string source = i * type.bits < 64 ? "%raw0" : "%raw2", reg_name = "%v" + std::to_string(i);
          setup += ".reg .b" + n + ' ' + reg_name + ", %o" + std::to_string(i) + "; .reg .b64 %s" + std::to_string(i) +
                   "; shr.u64 %s" + std::to_string(i) + ", " + source + ", " + std::to_string(i * type.bits % 64) +
                   "; cvt.u" + n + ".u64 " + reg_name + ", %s" + std::to_string(i) + "; ";
          names += (i ? ", " : "") + reg_name;
          old += (i ? ", %o" : "%o") + std::to_string(i);
        }
        // The cell is b, and d where it has 16 bytes.
        const std::string cell = "st.global.v2.u64 [%in], {{%raw1, %raw3}}; ";
        const std::string restore = " st.global.v2.u64 [%in], {{%raw0, %raw1}};";
        const auto accepts = [=](U found, U expected) {
          for (int at = 0; at < 64; at += width) {
            const U x = low(found >> at, width), y = low(expected >> at, width);
            if (x != y && !(type.format.is_nan(x) && type.format.is_nan(y))) return false;
          }
          return true;
        };
        const auto always = [](const Inputs&) { return true; };
        for (const std::string kind : {"atom", "red"}) {
          const std::string text = setup + cell + kind + opcode +
                                   (kind == "atom" ? " {{" + old + "}}, [%in], {{" : " [%in], {{") + names + "}};";
          cases.push_back({text + " ld.global.u64 {r64}, [%in];" + restore,
                           [=](const Inputs& in) { return all(in.b, in.a); }, always, accepts});
          if (wide)
            cases.push_back({text + " ld.global.u64 {r64}, [%in+8];" + restore,
                             [=](const Inputs& in) { return all(in.d, in.c); }, always, accepts});
        }
        const std::string first_old = type.bits == 16 ? "cvt.u64.u16 {r64}, %o1;" : "cvt.u64.u32 {r64}, %o1;";
        cases.push_back(
            {setup + cell + "atom" + opcode + " {{" + old + "}}, [%in], {{" + names + "}}; " + first_old + restore,
             [=](const Inputs& in) { return low(in.b >> type.bits, type.bits); }});
      }
  run(cases);
}

TEST(IsaMemory, CachesAndOrders) {
  std::vector<Case> cases;
  const auto value32 = [](const Inputs& in) { return low(in.a, 32); };
  const auto value64 = [](const Inputs& in) { return in.a; };
  for (const std::string cache : {"", ".ca", ".cg", ".cs", ".lu", ".cv"})
    cases.push_back({"ld.global" + cache + ".b32 {r32}, [%in];", value32});
  for (const std::string cache : {"", ".wb", ".cg", ".cs", ".wt"})
    cases.push_back({"st.global" + cache + ".b32 [%out], {a32}; ld.global.b32 {r32}, [%out];", value32});
  for (const std::string l1 : {"", ".L1::no_allocate"})
    for (const std::string l2 : {"", ".L2::128B"}) {
      cases.push_back({"ld.global.nc" + l1 + l2 + ".b32 {r32}, [%in];", value32});
      cases.push_back({"ld.global.nc" + l1 + l2 + ".v4.f32 {{{r32}, _, _, _}}, [%in];", value32});
    }
  cases.push_back({"ldu.global.b32 {r32}, [%in];", value32});
  for (const std::string space : {"", ".global", ".shared"})
    for (const std::string scope : {"cta", "cluster", "gpu", "sys"})
      for (const int bits : {32, 64}) {
        const std::string setup = space == ".shared" ? shared_cell : "", at = space == ".shared" ? "[{u32}]" : "[%out]";
        const std::string type = ".b" + std::to_string(bits), value = reg('a', bits), result = reg('r', bits);
        for (const auto& [load, store] : {std::pair("relaxed", "relaxed"), std::pair("acquire", "release")})
          cases.push_back({setup + "st." + store + '.' + scope + space + type + ' ' + at + ", " + value + "; ld." +
                               load + '.' + scope + space + type + ' ' + result + ", " + at + ';',
                           [=](const Inputs& in) { return low(in.a, bits); }});
        if (bits == 32 && scope == "cta")
          cases.push_back({setup + "st.volatile" + space + ".b32 " + at + ", {a32}; ld.volatile" + space +
                               ".b32 {r32}, " + at + ';',
                           value32});
      }
  for (const std::string scope : {"cta", "cluster", "gpu", "sys"}) {
    const std::string begin = "st.global.b32 [%out], {b32}; ", end = " ld.global.b32 {r32}, [%out];";
    const auto sum = [](const Inputs& in) { return low(in.a + in.b, 32); };
    for (const std::string order : {"relaxed", "acquire", "release", "acq_rel"})
      cases.push_back({begin + "atom." + order + '.' + scope + ".global.add.u32 {t32}, [%out], {a32};" + end, sum});
    for (const std::string order : {"relaxed", "release"})
      cases.push_back({begin + "red." + order + '.' + scope + ".global.add.u32 [%out], {a32};" + end, sum});
    for (const std::string fence : {"fence.", "fence.sc.", "fence.acq_rel."})
      cases.push_back({begin + fence + scope + ';' + end, [](const Inputs& in) { return low(in.b, 32); }});
  }
  const auto keeps = [&](const std::string& text) { cases.push_back({text + " mov.b64 {r64}, {a64};", value64}); };
  for (const std::string level : {"cta", "gl", "sys"}) keeps("membar." + level + ';');
  for (const std::string proxy :
       {"fence.proxy.async;", "fence.proxy.async.shared::cta;", "fence.proxy.async.shared::cluster;",
        "fence.proxy.async.global;", "fence.proxy.alias;", "fence.mbarrier_init.release.cluster;"})
    keeps(proxy);
  for (const std::string text :
       {"prefetch.L1 [%in];", "prefetch.L2 [%in];", "prefetch.global.L1 [%in];", "prefetch.global.L2 [%in];",
        "prefetchu.L1 [%in];", "applypriority.global.L2::evict_normal [%in], 128;",
        "createpolicy.fractional.L2::evict_first.b64 {t64}, 0f3F800000;"})
    keeps(text);
  for (const std::string width : {"32", "64"}) {
    const std::string shared = shared_cell + (width == "64" ? "cvt.u64.u32 {u64}, {u32};\n" : "");
    const std::string address = width == "64" ? "{u64}" : "{u32}";
    cases.push_back({shared + "mapa.shared::cluster.u" + width + " {t" + width + "}, " + address +
                         ", 0; getctarank.shared::cluster.u" + width + " {c32}, {t" + width +
                         "}; add.u32 {r32}, {c32}, 7;",
                     [](const Inputs&) { return U{7}; }});
  }
  cases.push_back(
      {shared_cell +
           "cvt.u64.u32 {u64}, {u32}; cvta.shared.u64 {u64}, {u64}; mapa.u64 {t64}, {u64}, 0; getctarank.u64 {r32}, "
           "{t64}; st.b32 [{t64}], {a32}; ld.shared.b32 {r32}, [{u32}];",
       value32});
  cases.push_back({shared_cell +
                       "mapa.shared::cluster.u32 {t32}, {u32}, 0; st.shared::cluster.b32 [{t32}], {b32}; "
                       "atom.shared::cluster.add.u32 {c32}, [{t32}], {a32}; ld.shared::cluster.b32 {r32}, [{t32}];",
                   [](const Inputs& in) { return low(in.a + in.b, 32); }});
  const auto one = [](const Inputs&) { return U{1}; };
  cases.push_back(
      {shared_cell + "cvt.u64.u32 {u64}, {u32}; cvta.shared.u64 {u64}, {u64}; isspacep.shared::cta {rp}, {u64};", one});
  cases.push_back(
      {shared_cell + "cvt.u64.u32 {u64}, {u32}; cvta.shared.u64 {u64}, {u64}; isspacep.shared::cluster {rp}, {u64};",
       one});
  cases.push_back({"cvta.param.u64 {u64}, inputs; isspacep.param {rp}, {u64};", one});
  run(cases);
}

}  // namespace
}  // namespace isa_test
