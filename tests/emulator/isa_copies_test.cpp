// PTX ISA 9.7.9.25 and 9.7.13: asynchronous copies, mbarriers, st.async and red.async, matrices in shared memory, barriers.
#include <algorithm>
#include <string>
#include <vector>

#include "isa_float.hpp"
#include "isa_integer.hpp"

namespace isa_test {
namespace {

/// 16 bytes for each thread of the CTA, whose address goes to {u32}; an mbarrier that expects what `count` says, initialized.
std::string cells(int count) {
  return ".shared .align 128 .b8 cell[2048]; .shared .align 8 .b64 bar; mov.u32 {t32}, %tid.x; shl.b32 {u32}, {t32}, "
         "4; "
         "mov.u32 {t32}, cell; add.u32 {u32}, {u32}, {t32};\n"
         ".reg .pred %first; mov.u32 {t32}, %tid.x; setp.eq.u32 %first, {t32}, 0;\n"
         "@%first mbarrier.init.shared::cta.b64 [bar], " +
         std::to_string(count) + "; @%first fence.mbarrier_init.release.cluster; bar.sync 0;\n";
}
/// Waits for phase 0 of the barrier.
const std::string wait = "WAIT: mbarrier.try_wait.parity.shared::cta.b64 {tp}, [bar], 0; @!{tp} bra.uni WAIT;\n";

TEST(IsaCopies, CpAsync) {
  std::vector<Case> cases;
  const std::string load = " ld.shared.u64 {r64}, [{u32}];";
  const auto is_a = [](const Inputs& in) { return in.a; };
  cases.push_back(
      {cells(1) + "cp.async.cg.shared.global [{u32}], [%in], 16; cp.async.commit_group; cp.async.wait_group 0;" + load,
       is_a});
  for (const std::string form : {"cp.async.ca.shared.global", "cp.async.ca.shared.global.L2::128B",
                                 "cp.async.ca.shared::cta.global", "cp.async.ca.shared::cta.global.L2::128B"})
    cases.push_back({cells(1) + form + " [{u32}], [%in], 8; cp.async.wait_all;" + load, is_a});
  // Fewer bytes than there is room: the rest is zero. And none at all.
  cases.push_back(
      {cells(1) + "and.b32 {t32}, {b32}, 7; cp.async.ca.shared.global [{u32}], [%in], 8, {t32}; cp.async.wait_all;" +
           load,
       [](const Inputs& in) { return low(in.a, static_cast<int>(in.b & 7) * 8); },
       [](const Inputs& in) { return (in.b & 7) != 0; }});
  cases.push_back({cells(1) + "cp.async.ca.shared.global [{u32}], [%in], 8, 0; cp.async.wait_all;" + load,
                   [](const Inputs&) { return U{0}; }});
  // Two groups, of which the first one must be there.
  cases.push_back({cells(1) + "cp.async.ca.shared.global [{u32}], [%in], 4; cp.async.commit_group; add.u32 {t32}, "
                              "{u32}, 4; add.u64 {u64}, "
                              "%in, 8;\ncp.async.ca.shared.global [{t32}], [{u64}], 4; cp.async.commit_group; "
                              "cp.async.wait_group 1; ld.shared.u32 "
                              "{r32}, [{u32}]; cp.async.wait_group 0;",
                   [](const Inputs& in) { return low(in.a, 32); }});
  for (const std::string space : {"", ".shared", ".shared::cta"})
    for (const bool noinc : {false, true}) {
      const std::string generic = space.empty() ? "mov.u64 {u64}, bar; cvta.shared.u64 {u64}, {u64};\n" : "";
      cases.push_back({cells(noinc ? 128 : 256) + generic +
                           "cp.async.ca.shared.global [{u32}], [%in], 8; cp.async.mbarrier.arrive" +
                           (noinc ? ".noinc" : "") + space + ".b64 " + (space.empty() ? "[{u64}]; " : "[bar]; ") +
                           (noinc ? "" : "mbarrier.arrive.shared::cta.b64 _, [bar], 2;\n") + wait + load,
                       is_a});
    }
  run(cases);
}

TEST(IsaCopies, Bulk) {
  std::vector<Case> cases;
  // Thread 0 loads the inputs of the first 64 threads; all read them.
  const auto first = [](const Inputs* threads, int thread) {
    return thread % 2 ? threads[thread / 4].c : threads[thread / 4].a;
  };
  const std::string expect = "@%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 1024;\n";
  const std::string read =
      wait +
      "mov.u32 {t32}, %tid.x; and.b32 {c32}, {t32}, 1; shl.b32 {c32}, {c32}, 4; shr.u32 {t32}, {t32}, 2; shl.b32 "
      "{t32}, {t32}, 5; add.u32 {t32}, {t32}, {c32}; mov.u32 {c32}, cell; add.u32 {t32}, {t32}, {c32}; ld.shared.u64 "
      "{r64}, [{t32}];";
  const std::string load = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes";
  cases.push_back(together(cells(1) + expect + "@%first " + load + " [cell], [%in], 1024, [bar];\n" + read, first));
  cases.push_back(together(cells(1) + expect + "mov.b64 {u64}, 1; @%first " + load +
                               ".L2::cache_hint [cell], [%in], 1024, [bar], {u64};\n" + read,
                           first));
  cases.push_back(together(cells(1) + expect + "mov.b16 {t16}, 1; @%first " + load +
                               ".multicast::cluster [cell], [%in], 1024, [bar], {t16};\n" + read,
                           first));
  cases.push_back(together(cells(1) + "@%first cp.async.bulk.prefetch.L2.global [%in], 1024;\n" + expect + "@%first " +
                               load + " [cell], [%in], 1024, [bar];\n" + read,
                           first));

  // What each thread stores in shared memory goes out in one piece, 8 bytes each.
  const std::string pack =
      ".shared .align 128 .b8 sums[1024]; mov.u32 {t32}, %tid.x; shl.b32 {t32}, {t32}, 3; mov.u32 {c32}, sums; add.u32 "
      "{c32}, {c32}, {t32};\n";
  const std::string published = " fence.proxy.async.shared::cta; bar.sync 0;\n";
  const std::string commit = "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0; bar.sync 0;\n";
  const std::string commit_read =
      "cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0; cp.async.bulk.wait_group 0; bar.sync 0;\n";
  const std::string store = "cp.async.bulk.global.shared::cta.bulk_group";
  cases.push_back({cells(1) + pack + "st.shared.u64 [{c32}], {a64};" + published + "@%first " + store +
                       " [%out], [sums], 1024;\n" + commit + "ld.global.u64 {r64}, [%out];",
                   [](const Inputs& in) { return in.a; }});
  cases.push_back({cells(1) + pack + "mov.b64 {u64}, 1; st.shared.u64 [{c32}], {a64};" + published + "@%first " +
                       store + ".L2::cache_hint [%out], [sums], 1024, {u64};\n" + commit_read +
                       "ld.global.u64 {r64}, [%out];",
                   [](const Inputs& in) { return in.a; }});

  const auto halves = [](auto compute) {
    return [=](U m, U x) {
      U result = 0;
      for (int at = 0; at < 64; at += 16) result |= compute(low(m >> at, 16), low(x >> at, 16)) << at;
      return result;
    };
  };
  const auto words = [](auto compute) {
    return [=](U m, U x) { return low(compute(low(m, 32), low(x, 32)), 32) | compute(m >> 32, x >> 32) << 32; };
  };
  // The global cell holds b, and a is reduced into it. Where floats may be NaN they are compared by `same`.
  const auto reduce = [&](const std::string& op, std::function<U(U, U)> compute, Format format) {
    cases.push_back({cells(1) + pack + "st.global.u64 [%out], {b64}; st.shared.u64 [{c32}], {a64}; fence.proxy.async;" +
                         published + "@%first cp.reduce.async.bulk.global.shared::cta.bulk_group." + op +
                         " [%out], [sums], 1024;\n" + commit + "ld.global.u64 {r64}, [%out];",
                     [=](const Inputs& in) { return compute(in.b, in.a); }, [](const Inputs&) { return true; },
                     [=](U found, U expected) {
                       for (int at = 0; at < 64; at += format.width()) {
                         const U x = low(found >> at, format.width()), y = low(expected >> at, format.width());
                         if (x != y && !(format.is_nan(x) && format.is_nan(y))) return false;
                       }
                       return op.find('f') != std::string::npos;
                     }});
  };
  const auto s32 = [](U x) { return as_signed(x, 32); };
  reduce("add.u32", words([](U m, U x) { return m + x; }), single);
  reduce("add.s32", words([](U m, U x) { return m + x; }), single);
  reduce(
      "add.u64", [](U m, U x) { return m + x; }, single);
  reduce("min.u32", words([](U m, U x) { return std::min(m, x); }), single);
  reduce("max.u32", words([](U m, U x) { return std::max(m, x); }), single);
  reduce("min.s32", words([=](U m, U x) { return low(U(std::min(s32(m), s32(x))), 32); }), single);
  reduce("max.s32", words([=](U m, U x) { return low(U(std::max(s32(m), s32(x))), 32); }), single);
  reduce(
      "min.u64", [](U m, U x) { return std::min(m, x); }, single);
  reduce(
      "max.u64", [](U m, U x) { return std::max(m, x); }, single);
  reduce(
      "min.s64", [](U m, U x) { return U(std::min(S(m), S(x))); }, single);
  reduce(
      "max.s64", [](U m, U x) { return U(std::max(S(m), S(x))); }, single);
  reduce(
      "and.b32", [](U m, U x) { return m & x; }, single);
  reduce(
      "or.b32", [](U m, U x) { return m | x; }, single);
  reduce(
      "xor.b32", [](U m, U x) { return m ^ x; }, single);
  reduce(
      "and.b64", [](U m, U x) { return m & x; }, single);
  reduce(
      "or.b64", [](U m, U x) { return m | x; }, single);
  reduce(
      "xor.b64", [](U m, U x) { return m ^ x; }, single);
  reduce("inc.u32", words([](U m, U x) { return m >= x ? 0 : m + 1; }), single);
  reduce("dec.u32", words([](U m, U x) { return m == 0 || m > x ? x : m - 1; }), single);
  reduce("add.f32", words([](U m, U x) { return bits(f32(m) + f32(x)); }), single);
  reduce(
      "add.f64", [](U m, U x) { return bits(f64(m) + f64(x)); }, double_format);
  for (const auto& [name, format] : {std::pair("f16", half), std::pair("bf16", bfloat)}) {
    const Format f = format;
    reduce(std::string("add.noftz.") + name,
           halves([=](U m, U x) { return f.encode(odd_fma(f.decode(m), 1, f.decode(x))); }), f);
    for (const bool is_min : {true, false})
      reduce(std::string(is_min ? "min." : "max.") + name, halves([=](U m, U x) {
               if (f.is_nan(m) || f.is_nan(x)) return f.is_nan(m) && f.is_nan(x) ? U{0x7fff} : f.is_nan(m) ? x : m;
               const long double p = f.decode(m), q = f.decode(x);
               if (p == q) return (m >> 15 != 0) == is_min ? m : x;
               return (p < q) == is_min ? m : x;
             }),
             f);
  }

  // Within the cluster, here of one CTA: 1024 bytes from one place of shared memory to another.
  const auto within = [&](const std::string& opcode, std::function<U(U, U)> compute) {
    cases.push_back(
        {cells(1) + pack +
             ".shared .align 128 .b8 target[1024]; mov.u32 {t32}, target; sub.u32 {t32}, {c32}, {t32}; mov.u32 {d32}, "
             "sums; mov.u32 {t32}, target; sub.u32 {t32}, {t32}, {d32}; add.u32 {t32}, {t32}, {c32};\n"
             "st.shared.u64 [{c32}], {a64}; st.shared.u64 [{t32}], {b64};" +
             published + "@%first mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [bar], 1024;\n@%first " +
             opcode + " [target], [sums], 1024, [bar];\n" + wait + "ld.shared.u64 {r64}, [{t32}];",
         [=](const Inputs& in) { return compute(in.b, in.a); }});
  };
  within("cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes", [](U, U x) { return x; });
  const std::string to_cluster = "cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes.";
  for (const std::string type : {"u32", "s32"}) {
    within(to_cluster + "add." + type, words([](U m, U x) { return m + x; }));
    for (const bool is_min : {true, false})
      within(to_cluster + (is_min ? "min." : "max.") + type, words([=](U m, U x) {
               const bool less = type == "s32" ? s32(m) < s32(x) : m < x;
               return low(less == is_min ? m : x, 32);
             }));
  }
  within(to_cluster + "and.b32", [](U m, U x) { return m & x; });
  within(to_cluster + "or.b32", [](U m, U x) { return m | x; });
  within(to_cluster + "xor.b32", [](U m, U x) { return m ^ x; });
  run(cases);
}

TEST(IsaCopies, StoreAndReduceAsync) {
  std::vector<Case> cases;
  const auto one = [&](const std::string& opcode, int bytes, const std::string& value, const std::string& result,
                       std::function<U(const Inputs&)> expected) {
    cases.push_back({cells(1) +
                         "st.shared.u64 [{u32}], {b64}; @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], " +
                         std::to_string(128 * bytes) +
                         "; .reg .b32 %there; mov.u32 {t32}, bar; mapa.shared::cluster.u32 %there, {t32}, 0; "
                         "mapa.shared::cluster.u32 {t32}, {u32}, 0;\n" +
                         opcode + " [{t32}], " + value + ", [%there];\n" + wait + result,
                     expected});
  };
  const std::string store = "st.async.shared::cluster.mbarrier::complete_tx::bytes.";
  const std::string read32 = "ld.shared.u32 {r32}, [{u32}];", read64 = "ld.shared.u64 {r64}, [{u32}];";
  for (const std::string type : {"b32", "u32", "f32"})
    one(store + type, 4, "{a32}", read32, [](const Inputs& in) { return low(in.a, 32); });
  one(store + "b64", 8, "{a64}", read64, [](const Inputs& in) { return in.a; });
  one(store + "v2.b32", 8, "{{{a32}, {c32}}}", read64, [](const Inputs& in) { return low(in.a, 32) | in.c << 32; });
  one(store + "v4.b32", 16, "{{{a32}, {c32}, {b32}, {d32}}}", "ld.shared.u64 {r64}, [{u32}+8];",
      [](const Inputs& in) { return low(in.b, 32) | in.d << 32; });
  one(store + "v2.b64", 16, "{{{a64}, {c64}}}", "ld.shared.u64 {r64}, [{u32}+8];",
      [](const Inputs& in) { return in.c; });
  const std::string reduce = "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.";
  const auto op = [&](const std::string& name, auto compute) {
    one(reduce + name, 4, "{a32}", read32,
        [=](const Inputs& in) { return low(compute(low(in.b, 32), low(in.a, 32)), 32); });
  };
  const auto s = [](U x) { return as_signed(x, 32); };
  op("add.u32", [](U m, U x) { return m + x; });
  op("add.s32", [](U m, U x) { return m + x; });
  op("min.u32", [](U m, U x) { return std::min(m, x); });
  op("max.u32", [](U m, U x) { return std::max(m, x); });
  op("min.s32", [=](U m, U x) { return U(std::min(s(m), s(x))); });
  op("max.s32", [=](U m, U x) { return U(std::max(s(m), s(x))); });
  op("inc.u32", [](U m, U x) { return m >= x ? 0 : m + 1; });
  op("dec.u32", [](U m, U x) { return m == 0 || m > x ? x : m - 1; });
  op("and.b32", [](U m, U x) { return m & x; });
  op("or.b32", [](U m, U x) { return m | x; });
  op("xor.b32", [](U m, U x) { return m ^ x; });
  one(reduce + "add.u64", 8, "{a64}", read64, [](const Inputs& in) { return in.a + in.b; });
  run(cases);
}

TEST(IsaCopies, Mbarriers) {
  std::vector<Case> cases;
  const auto holds = [](const Inputs&) { return U{1}; };
  const auto test = [&](int count, const std::string& text) { cases.push_back({cells(count) + text, holds}); };
  // All threads arrive, each by itself; the phase is over then.
  for (const std::string form : {"mbarrier.arrive", "mbarrier.arrive.release.cta"})
    for (const std::string space : {".shared", ".shared::cta"}) {
      test(128,
           form + space + ".b64 {t64}, [bar]; bar.sync 0; mbarrier.test_wait" + space + ".b64 {rp}, [bar], {t64};");
      test(128, form + space + ".b64 {t64}, [bar]; bar.sync 0; mbarrier.try_wait" + space + ".b64 {rp}, [bar], {t64};");
    }
  test(128,
       "mov.u64 {u64}, bar; cvta.shared.u64 {u64}, {u64}; mbarrier.arrive.b64 {t64}, [{u64}]; bar.sync 0; "
       "mbarrier.test_wait.b64 {rp}, "
       "[{u64}], {t64};");
  test(128,
       "mov.u64 {u64}, bar; cvta.shared.u64 {u64}, {u64}; mbarrier.arrive.b64 {t64}, [{u64}]; bar.sync 0; "
       "mbarrier.try_wait.parity.b64 "
       "{rp}, [{u64}], 0;");
  test(128,
       "mov.u64 {u64}, bar; cvta.shared.u64 {u64}, {u64}; mbarrier.arrive.b64 {t64}, [{u64}]; bar.sync 0; "
       "mbarrier.try_wait.b64 "
       "{rp}, [{u64}], {t64};");
  test(128,
       "mov.u64 {u64}, bar; cvta.shared.u64 {u64}, {u64}; mbarrier.arrive.b64 {t64}, [{u64}]; bar.sync 0; "
       "mbarrier.test_wait.parity.b64 "
       "{rp}, [{u64}], 0;");
  for (const std::string form : {"test_wait.parity.shared", "test_wait.parity.shared::cta", "try_wait.parity.shared",
                                 "try_wait.parity.shared::cta", "try_wait.parity.acquire.cluster.shared::cta"}) {
    test(128, "mbarrier.arrive.shared::cta.b64 {t64}, [bar]; bar.sync 0; mbarrier." + form + ".b64 {rp}, [bar], 0;");
    // Of the phase that is not over.
    if (form.starts_with("test"))
      test(128, "mbarrier." + form + ".b64 {tp}, [bar], 0; not.pred {rp}, {tp}; bar.sync 0;");
  }
  // What is pending, before 5 arrivals and after.
  test(8,
       "@!%first bra DONE; mbarrier.arrive.shared::cta.b64 {t64}, [bar], 5; mbarrier.pending_count.b64 {t32}, {t64}; "
       "setp.ne.u32 {tp}, "
       "{t32}, 8; @{tp} trap; mbarrier.arrive.shared::cta.b64 {t64}, [bar], 1; mbarrier.pending_count.b64 {t32}, "
       "{t64}; setp.ne.u32 {tp}, "
       "{t32}, 3; @{tp} trap;\nDONE: setp.eq.u32 {rp}, 0, 0;");
  test(3,
       "@!%first bra DONE; mbarrier.arrive.noComplete.shared.b64 {t64}, [bar], 2; mbarrier.arrive.shared::cta.b64 _, "
       "[bar];\nDONE: " +
           wait + "setp.eq.u32 {rp}, 0, 0;");
  // Who drops out is not expected in the next phase.
  test(2,
       "@!%first bra DONE; mbarrier.arrive_drop.shared::cta.b64 _, [bar]; mbarrier.arrive.shared::cta.b64 _, [bar]; "
       "mbarrier.arrive.shared::cta.b64 "
       "_, [bar];\nDONE: bar.sync 0; mbarrier.test_wait.parity.shared::cta.b64 {rp}, [bar], 1;");
  test(2,
       "@!%first bra DONE; mbarrier.arrive_drop.expect_tx.shared::cta.b64 _, [bar], 32; "
       "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [bar], 32; "
       "mbarrier.arrive.shared::cta.b64 _, [bar];\nDONE: bar.sync 0; mbarrier.test_wait.parity.shared::cta.b64 {rp}, "
       "[bar], 0;");
  test(1,
       "@!%first bra DONE; mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [bar], 64; mbarrier.arrive.shared::cta.b64 "
       "_, [bar]; "
       "mbarrier.test_wait.parity.shared::cta.b64 {tp}, [bar], 0; @{tp} trap; "
       "mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [bar], 64;\n"
       "DONE: " +
           wait + "setp.eq.u32 {rp}, 0, 0;");
  test(128,
       "mov.u32 {t32}, bar; mapa.shared::cluster.u32 {t32}, {t32}, 0; "
       "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [{t32}];\n" +
           wait + "setp.eq.u32 {rp}, 0, 0;");
  // Invalidated, and initialized with another count.
  for (const std::string space : {".shared", ".shared::cta"})
    test(7, "@!%first bra DONE; mbarrier.inval" + space + ".b64 [bar]; mbarrier.init" + space +
                ".b64 [bar], 1; mbarrier.arrive" + space +
                ".b64 _, [bar];\nDONE: bar.sync 0; mbarrier.test_wait.parity.shared::cta.b64 {rp}, [bar], 0;");
  test(7,
       "@!%first bra DONE; mov.u64 {u64}, bar; cvta.shared.u64 {u64}, {u64}; mbarrier.inval.b64 [{u64}]; "
       "mbarrier.init.b64 [{u64}], 1; "
       "mbarrier.arrive.b64 _, [{u64}];\nDONE: bar.sync 0; mbarrier.test_wait.parity.shared::cta.b64 {rp}, [bar], 0;");
  run(cases);
}

TEST(IsaCopies, Matrices) {
  std::vector<Case> cases;
  // Each warp has 512 bytes, 4 matrices of 8 rows of 16 bytes; thread t of it fills row t with its inputs a and b.
  const std::string setup = cells(1) + "st.shared.v2.u64 [{u32}], {{{a64}, {b64}}}; bar.warp.sync -1;\n";
  const auto element = [](const Inputs* warp, int matrix, int row, int column) {
    const Inputs& in = warp[8 * matrix + row];
    return low((column < 4 ? in.a : in.b) >> column % 4 * 16, 16);
  };
  for (const int count : {1, 2, 4})
    for (const bool trans : {false, true})
      for (const std::string space : {"", ".shared"}) {
        const std::string shape = ".m8n8.x" + std::to_string(count) + (trans ? ".trans" : "") + space + ".b16";
        const std::string generic = space.empty() ? "cvt.u64.u32 {u64}, {u32}; cvta.shared.u64 {u64}, {u64};\n" : "";
        const std::string address = space.empty() ? "[{u64}]" : "[{u32}]";
        const std::string names = count == 1 ? "{{%m0}}" : count == 2 ? "{{%m0, %m1}}" : "{{%m0, %m1, %m2, %m3}}";
        for (int matrix = 0; matrix < count; ++matrix) {
          const auto fragment = [=](const Inputs* threads, int thread) {
            const Inputs* warp = threads + thread / 32 * 32;
            const int row = thread % 32 / 4, column = thread % 4 * 2;
            const auto at = [&](int i) {
              return trans ? element(warp, matrix, column + i, row) : element(warp, matrix, row, column + i);
            };
            return at(0) | at(1) << 16;
          };
          cases.push_back(together(setup + generic + ".reg .b32 %m<4>; ldmatrix.sync.aligned" + shape + ' ' + names +
                                       ", " + address + "; mov.b32 {r32}, %m" + std::to_string(matrix) + ';',
                                   fragment));
          // What was loaded plainly is stored, transposed or not, and read back by thread t as row t.
          if (matrix > 0) continue;
          const std::string plain = ".m8n8.x" + std::to_string(count) + space + ".b16";
          cases.push_back(together(setup + generic + ".reg .b32 %m<4>; ldmatrix.sync.aligned" + plain + ' ' + names +
                                       ", " + address + "; bar.warp.sync -1; stmatrix.sync.aligned" + shape + ' ' +
                                       address + ", " + names + "; bar.warp.sync -1; ld.shared.u64 {r64}, [{u32}];",
                                   [=](const Inputs* threads, int thread) {
                                     const Inputs* warp = threads + thread / 32 * 32;
                                     const int m = thread % 32 / 8, row = thread % 8;
                                     if (m >= count) return threads[thread].a;
                                     U result = 0;
                                     for (int c = 0; c < 4; ++c)
                                       result |= (trans ? element(warp, m, c, row) : element(warp, m, row, c))
                                                 << 16 * c;
                                     return result;
                                   }));
        }
      }
  cases.push_back(
      together("movmatrix.sync.aligned.m8n8.trans.b16 {r32}, {a32};", [](const Inputs* threads, int thread) {
        const Inputs* warp = threads + thread / 32 * 32;
        const int row = thread % 32 / 4, column = thread % 4 * 2;
        const auto at = [&](int r, int c) { return low(warp[4 * r + c / 2].a >> c % 2 * 16, 16); };
        return at(column, row) | at(column + 1, row) << 16;
      }));
  run(cases);
}

TEST(IsaCopies, Barriers) {
  std::vector<Case> cases;
  // The sum of all threads' votes, by both names.
  for (const std::string name : {"bar", "barrier"}) {
    cases.push_back(together(name + ".red.popc.u32 {r32}, 1, {ap};", [](const Inputs* threads, int) {
      U count = 0;
      for (int i = 0; i < 128; ++i) count += threads[i].a & 1;
      return count;
    }));
    for (const bool is_and : {true, false})
      cases.push_back(
          together(name + ".red." + (is_and ? "and" : "or") + ".pred {rp}, 1, {ap};", [=](const Inputs* threads, int) {
            bool all = true, any = false;
            for (int i = 0; i < 128; ++i) (threads[i].a & 1 ? any : all) = threads[i].a & 1;
            return U(is_and ? all : any);
          }));
    // Warp 0 hands its inputs to warp 1: one arrives, the other waits.
    cases.push_back(together(
        cells(1) +
            "setp.lt.u32 {tp}, {t32}, 32; setp.ge.u32 {up}, {t32}, 64; mov.u64 {r64}, 3;\n@{tp} st.shared.u64 [{u32}], "
            "{a64}; @{tp} bra GIVE; @{up} bra DONE;\n" +
            name + ".sync 2, 64; sub.u32 {u32}, {u32}, 512; ld.shared.u64 {r64}, [{u32}]; bra DONE;\nGIVE: " + name +
            ".arrive 2, 64;\nDONE:",
        [](const Inputs* threads, int thread) { return thread / 32 == 1 ? threads[thread - 32].a : U{3}; }));
  }
  const auto neighbor = [](const Inputs* threads, int thread) { return threads[thread ^ 64].a; };
  for (const std::string sync :
       {"barrier.cta.sync.aligned 0;", "barrier.cluster.arrive; barrier.cluster.wait;",
        "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;",
        "barrier.cluster.arrive.release; barrier.cluster.wait.acquire;",
        "barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;",
        "fence.acq_rel.cluster; barrier.cluster.arrive.relaxed; barrier.cluster.wait; fence.acq_rel.cluster;",
        "fence.acq_rel.cluster; barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait; fence.acq_rel.cluster;"})
    cases.push_back(together(cells(1) + "st.shared.u64 [{u32}], {a64}; " + sync +
                                 " xor.b32 {t32}, {t32}, 64; shl.b32 {t32}, {t32}, 4; mov.u32 {u32}, cell; add.u32 "
                                 "{u32}, {u32}, {t32}; ld.shared.u64 {r64}, [{u32}];",
                             neighbor));
  // Tiles of 8 lanes vote, each for itself, in one instruction.
  cases.push_back(
      together("mov.u32 {t32}, %laneid; and.b32 {t32}, {t32}, 24; shl.b32 {t32}, 255, {t32}; vote.sync.any.pred {rp}, "
               "{ap}, {t32};",
               [](const Inputs* threads, int thread) {
                 bool any = false;
                 for (int i = 0; i < 8; ++i) any |= threads[thread / 8 * 8 + i].a & 1;
                 return U(any);
               }));
  cases.push_back(
      together("mov.u32 {t32}, %laneid; and.b32 {t32}, {t32}, 24; shl.b32 {t32}, 255, {t32}; redux.sync.add.u32 {r32}, "
               "{a32}, {t32};",
               [](const Inputs* threads, int thread) {
                 U sum = 0;
                 for (int i = 0; i < 8; ++i) sum += threads[thread / 8 * 8 + i].a;
                 return low(sum, 32);
               }));
  cases.push_back(
      {"nanosleep.u32 5; griddepcontrol.wait; griddepcontrol.launch_dependents; pmevent 1; mov.b64 {r64}, {a64};",
       [](const Inputs& in) { return in.a; }});
  cases.push_back({"setmaxnreg.dec.sync.aligned.u32 24; setmaxnreg.inc.sync.aligned.u32 24; mov.b64 {r64}, {a64};",
                   [](const Inputs& in) { return in.a; }});
  run(cases);
}

}  // namespace
}  // namespace isa_test
