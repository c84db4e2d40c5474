// PTX ISA 9.7.9.6, 9.7.12 and 9.7.13: shuffles, votes and their like, barriers, and what diverged lanes do.
#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "isa_integer.hpp"

namespace isa_test {
namespace {

/// The inputs of the warp of `thread`.
const Inputs* warp_of(const Inputs* threads, int thread) { return threads + thread / 32 * 32; }

/// A mask of the lanes of a warp for which `holds`.
template <class Holds> U ballot(const Inputs* warp, Holds holds) {
  U mask = 0;
  for (int lane = 0; lane < 32; ++lane) mask |= U(bool(holds(warp[lane]))) << lane;
  return mask;
}

TEST(IsaWarp, Shuffles) {
  std::vector<Case> cases;
  for (const std::string mode : {"idx", "up", "down", "bfly"})
    for (const int width : {32, 16, 8, 1}) {
      const int limits = (32 - width) << 8 | (mode == "up" ? 0 : 31);
      // The lane that is read, and whether it lies within the segment.
      const auto source = [=](const Inputs* threads, int thread) {
        const int lane = thread % 32, by = int(warp_of(threads, thread)[lane].b & 31), segment = limits >> 8;
        const int first = lane & segment, last = first | (limits & 31 & ~segment);
        const int from = mode == "up"     ? lane - by
                         : mode == "down" ? lane + by
                         : mode == "bfly" ? lane ^ by
                                          : first | (by & ~segment);
        const bool inside = mode == "up" ? from >= last : from <= last;
        return std::pair(inside ? from : lane, inside);
      };
      const std::string text = "shfl.sync." + mode + ".b32 ",
                        operands = "{a32}, {b32}, " + std::to_string(limits) + ", -1;";
      cases.push_back(together(text + "{r32}, " + operands, [=](const Inputs* threads, int thread) {
        return low(warp_of(threads, thread)[source(threads, thread).first].a, 32);
      }));
      cases.push_back(together(text + "{t32}|{rp}, " + operands,
                               [=](const Inputs* threads, int thread) { return U(source(threads, thread).second); }));
    }
  run(cases);
}

TEST(IsaWarp, Votes) {
  const auto odd = [](const Inputs& in) { return in.a & 1; };
  std::vector<Case> cases;
  cases.push_back(together("vote.sync.ballot.b32 {r32}, {ap}, -1;",
                           [=](const Inputs* threads, int thread) { return ballot(warp_of(threads, thread), odd); }));
  // By the lane's group of 8, so that all of them happen to agree at times.
  for (const std::string mode : {"all", "any", "uni"})
    cases.push_back(together(
        "popc.b32 {t32}, {a32}; setp.gt.u32 {tp}, {t32}, 2; vote.sync." + mode + ".pred {rp}, {tp}, -1;",
        [=](const Inputs* threads, int thread) {
          const U mask =
              ballot(warp_of(threads, thread), [](const Inputs& in) { return std::popcount(low(in.a, 32)) > 2; });
          return U(mode == "all" ? mask == 0xffffffff : mode == "any" ? mask != 0 : mask == 0 || mask == 0xffffffff);
        }));
  cases.push_back(together("vote.sync.any.pred {rp}, !{ap}, -1;", [=](const Inputs* threads, int thread) {
    return U(ballot(warp_of(threads, thread), odd) != 0xffffffff);
  }));
  cases.push_back(together("elect.sync {r32}|{tp}, -1; selp.u32 {t32}, 100, 0, {tp}; add.u32 {r32}, {r32}, {t32};",
                           [](const Inputs*, int thread) { return U(thread % 32 == 0 ? 100 : 0); }));
  run(cases);
}

TEST(IsaWarp, Matches) {
  const auto small = [](const Inputs& in) { return in.a & 3; };
  std::vector<Case> cases;
  for (const std::string type : {"b32", "b64"}) {
    const std::string n = type.substr(1), key = "and." + type + " {t" + n + "}, {a" + n + "}, 3; ";
    cases.push_back(
        together(key + "match.any.sync." + type + " {r32}, {t" + n + "}, -1;", [=](const Inputs* threads, int thread) {
          const Inputs* warp = warp_of(threads, thread);
          return ballot(warp, [&](const Inputs& in) { return small(in) == small(warp[thread % 32]); });
        }));
    cases.push_back(
        together(key + "match.all.sync." + type + " {r32}|{tp}, {t" + n + "}, -1; selp.u32 {r32}, 7, {r32}, {tp};",
                 [=](const Inputs* threads, int thread) {
                   const Inputs* warp = warp_of(threads, thread);
                   const U same = ballot(warp, [&](const Inputs& in) { return small(in) == small(warp[0]); });
                   return U(same == 0xffffffff ? 7 : 0);
                 }));
  }
  run(cases);
}

TEST(IsaWarp, Reductions) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& op, bool is_signed, auto combine) {
    cases.push_back(together("redux.sync." + op + " {r32}, {a32}, -1;", [=](const Inputs* threads, int thread) {
      const Inputs* warp = warp_of(threads, thread);
      const IntegerType type{"", 32, is_signed};
      Wide result = value_of(warp[0].a, type);
      for (int lane = 1; lane < 32; ++lane) result = combine(result, value_of(warp[lane].a, type));
      return bits_of(result, 32);
    }));
  };
  add("add.u32", false, [](Wide a, Wide b) { return a + b; });
  add("add.s32", true, [](Wide a, Wide b) { return a + b; });
  add("min.u32", false, [](Wide a, Wide b) { return std::min(a, b); });
  add("max.u32", false, [](Wide a, Wide b) { return std::max(a, b); });
  add("min.s32", true, [](Wide a, Wide b) { return std::min(a, b); });
  add("max.s32", true, [](Wide a, Wide b) { return std::max(a, b); });
  add("and.b32", false, [](Wide a, Wide b) { return a & b; });
  add("or.b32", false, [](Wide a, Wide b) { return a | b; });
  add("xor.b32", false, [](Wide a, Wide b) { return a ^ b; });
  run(cases);
}

TEST(IsaWarp, Divergence) {
  const auto odd = [](const Inputs& in) { return in.a & 1; };
  std::vector<Case> cases;
  cases.push_back(
      together("vote.sync.ballot.b32 {t32}, {ap}, -1; mov.u32 {r32}, 5; @{ap} vote.sync.ballot.b32 {r32}, {bp}, {t32};",
               [=](const Inputs* threads, int thread) {
                 if (!odd(threads[thread])) return U{5};
                 return ballot(warp_of(threads, thread), [&](const Inputs& in) { return odd(in) && in.b & 1; });
               }));
  // Each lane goes round as often as its input says; then all meet.
  cases.push_back(
      together("and.b32 {t32}, {a32}, 15; mov.u32 {u32}, 0;\n"
               "AGAIN: add.u32 {u32}, {u32}, {t32}; setp.ne.u32 {tp}, {t32}, 0;\n"
               "@{tp} sub.u32 {t32}, {t32}, 1; @{tp} bra AGAIN;\n"
               "and.b32 {t32}, {u32}, 1; setp.eq.u32 {tp}, {t32}, 1; vote.sync.ballot.b32 {r32}, {tp}, -1;",
               [](const Inputs* threads, int thread) {
                 return ballot(warp_of(threads, thread), [](const Inputs& in) {
                   const U n = in.a & 15;
                   return n * (n + 1) / 2 & 1;
                 });
               }));
  // A loop with two ways through and one way out; and what a lane writes in its own way stays its own.
  cases.push_back(
      {"and.b32 {t32}, {a32}, 31; mov.u32 {r32}, 1;\n"
       "AGAIN: setp.eq.u32 {tp}, {t32}, 0; @{tp} bra OUT;\n"
       "and.b32 {u32}, {t32}, 1; setp.eq.u32 {up}, {u32}, 0; sub.u32 {t32}, {t32}, 1;\n"
       "@{up} bra EVEN; mad.lo.u32 {r32}, {r32}, 3, 1; bra AGAIN;\n"
       "EVEN: add.u32 {r32}, {r32}, {b32}; bra.uni AGAIN;\n"
       "OUT:",
       [](const Inputs& in) {
         U result = 1;
         for (U n = in.a & 31; n > 0; --n) result = n % 2 ? result * 3 + 1 : result + in.b;
         return low(result, 32);
       }});
  cases.push_back(
      {"and.b32 {t32}, {a32}, 3; mov.u32 {r32}, 9;\n"
       "TABLE: .branchtargets ZERO, ONE, TWO, DONE;\n"
       "brx.idx {t32}, TABLE;\n"
       "ZERO: add.u32 {r32}, {r32}, 1;\nONE: add.u32 {r32}, {r32}, 10; bra DONE;\nTWO: mov.u32 {r32}, 7;\nDONE:",
       [](const Inputs& in) {
         constexpr U results[] = {20, 19, 7, 9};
         return results[in.a & 3];
       }});
  // Lanes that have left do not count.
  cases.push_back(together(
      "mov.u64 {t64}, 77; st.global.u64 [%out], {t64}; @{ap} exit; activemask.b32 {t32}; vote.sync.ballot.b32 {r32}, "
      "{bp}, {t32};\n"
      "and.b32 {t32}, {t32}, {r32}; mov.u32 {u32}, %laneid; shr.u32 {r32}, {r32}, {u32}; and.b32 {r32}, {r32}, 1;",
      [=](const Inputs* threads, int thread) { return odd(threads[thread]) ? U{77} : threads[thread].b & 1; }));
  run(cases);
}

TEST(IsaWarp, Barriers) {
  std::vector<Case> cases;
  for (const std::string barrier : {"bar.sync 0;", "barrier.sync.aligned 0;", "barrier.sync 1, 128;",
                                    "bar.sync 3, 128;", "bar.arrive 1, 256; bar.sync 1, 256;"}) {
    cases.push_back(together(
        ".shared .align 4 .b32 cell[128]; mov.u32 {t32}, %tid.x; shl.b32 {t32}, {t32}, 2; mov.u32 {u32}, cell;\n"
        "add.u32 {u32}, {u32}, {t32}; st.shared.u32 [{u32}], {a32};\n" +
            barrier +
            "\nxor.b32 {t32}, {t32}, 308; mov.u32 {u32}, cell; add.u32 {u32}, {u32}, {t32}; ld.shared.u32 {r32}, "
            "[{u32}];",
        [](const Inputs* threads, int thread) { return low(threads[thread ^ 77].a, 32); }));
  }
  cases.push_back(together("bar.red.popc.u32 {r32}, 0, {ap};", [](const Inputs* threads, int) {
    return U(std::count_if(threads, threads + 128, [](const Inputs& in) { return in.a & 1; }));
  }));
  cases.push_back(together("bar.red.or.pred {rp}, 0, {ap};", [](const Inputs* threads, int) {
    return U(std::any_of(threads, threads + 128, [](const Inputs& in) { return in.a & 1; }));
  }));
  cases.push_back(together("bar.red.and.pred {rp}, 0, !{ap};", [](const Inputs* threads, int) {
    return U(std::none_of(threads, threads + 128, [](const Inputs& in) { return in.a & 1; }));
  }));
  run(cases);
}

TEST(IsaWarp, SpecialRegisters) {
  const auto lane_of = [](int thread) { return U(thread % 32); };
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, auto value) {
    cases.push_back(
        together("mov.u32 {r32}, " + name + ';', [=](const Inputs*, int thread) { return U(value(thread)); }));
  };
  add("%tid.x", [](int thread) { return thread; });
  add("%tid.y", [](int) { return 0; });
  add("%ntid.x", [](int) { return 128; });
  add("%ntid.z", [](int) { return 1; });
  add("%ctaid.y", [](int) { return 0; });
  add("%nctaid.y", [](int) { return 1; });
  add("%laneid", lane_of);
  add("%lanemask_eq", [=](int thread) { return 1u << lane_of(thread); });
  add("%lanemask_lt", [=](int thread) { return (1u << lane_of(thread)) - 1; });
  add("%lanemask_le", [=](int thread) { return low((2ull << lane_of(thread)) - 1, 32); });
  add("%lanemask_gt", [=](int thread) { return low(~((2ull << lane_of(thread)) - 1), 32); });
  add("%lanemask_ge", [=](int thread) { return low(~((1ull << lane_of(thread)) - 1), 32); });
  add("WARP_SZ", [](int) { return 32; });
  add("%cluster_ctarank", [](int) { return 0; });
  add("%cluster_nctarank", [](int) { return 1; });
  add("%clusterid.y", [](int) { return 0; });
  add("%nclusterid.y", [](int) { return 1; });
  run(cases);
}

}  // namespace
}  // namespace isa_test
