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

}  // namespace
}  // namespace isa_test
