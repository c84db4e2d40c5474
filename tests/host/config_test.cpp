// The configs: their names, their geometry, and the choice between them, as pure functions over a GPU that is only
// described.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "cases/add_cases.hpp"
#include "cases/gemm_cases.hpp"
#include "ckl/ckl.hpp"
#include "expect_error.hpp"
#include "host/module.hpp"
#include "device/elementwise_config.hpp"
#include "ops/gemm/choice.hpp"
#include "ops/gemm/problem.hpp"
#include "ops/pad/config.hpp"

namespace ckl::test {
namespace {

DeviceInfo h100() { return {0, "NVIDIA H100", 9, 0, 132, 50 << 20, 232448, std::size_t(80) << 30, 66, 32, 16}; }

GemmCase gemm_of(DType in, bool a_by_rows, bool b_by_rows, std::int64_t m, std::int64_t n, std::int64_t k) {
  GemmCase gemm = dense_gemm("", "", m, n, k);
  gemm.in = gemm.out = in;
  gemm.a = a_by_rows ? row_major(k) : column_major(m);
  gemm.b = b_by_rows ? row_major(n) : column_major(k);
  return gemm;
}

/// The config of a choice's name.
GemmConfig config_of(const std::string& name) { return parse_gemm_choice(name).config; }

/// The names of all configs that some problem can be served by.
std::set<std::string> reachable_configs() {
  std::set<std::string> names;
  for (const DType in : {DType::bf16, DType::f16})
    for (const bool a_by_rows : {true, false})
      for (const bool b_by_rows : {true, false}) {
        GemmCase gemm = gemm_of(in, a_by_rows, b_by_rows, 512, 512, 512);
        for (const std::string& name : gemm_candidates(problem_of(gemm), h100()))
          names.insert(to_string(config_of(name)));
      }
  return names;
}

TEST(GemmConfigs, NamesParseBack) {
  ASSERT_FALSE(reachable_configs().empty());
  for (const std::string& name : reachable_configs()) EXPECT_EQ(to_string(parse_gemm_config(name)), name);
}

TEST(GemmConfigs, NameSaysWhatItIs) {
  const GemmConfig config = parse_gemm_config("f16_nt_192x96x128_2x4_s3_coopn_gather");
  EXPECT_EQ(config.dtype, DType::f16);
  EXPECT_EQ(config.a_major, Major::mn);
  EXPECT_EQ(config.b_major, Major::mn);
  EXPECT_EQ(config.tile_m, 192);
  EXPECT_EQ(config.tile_n, 96);
  EXPECT_EQ(config.tile_k, 128);
  EXPECT_EQ(config.cluster_m, 2);
  EXPECT_EQ(config.cluster_n, 4);
  EXPECT_EQ(config.stages, 3);
  EXPECT_EQ(config.schedule, Schedule::cooperative_n);
  EXPECT_EQ(config.load, Load::gather);
  EXPECT_EQ(config.cluster_k, 1);
  EXPECT_EQ(parse_gemm_config("bf16_tn_64x64x64_1x1x8_s2_coopn").cluster_k, 8);
  EXPECT_EQ(parse_gemm_config("bf16_tn_64x64x64_1x1x1_s2_coopn").stages, 0) << "has a shorter name";
  EXPECT_EQ(parse_gemm_config("bf16_tn_64x64x64_1x1_s2_ping"),
            (GemmConfig{DType::bf16, Major::k, Major::k, 64, 64, 64, 1, 1, 1, 2, Schedule::pingpong, Load::tma}));
}

TEST(GemmConfigs, OtherNamesAreRefused) {
  const std::string good = "bf16_tn_128x256x64_2x1_s4_coopm";
  ASSERT_EQ(parse_gemm_config(good).stages, 4);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string without = good;
    without.erase(i, 1);
    const GemmConfig config = parse_gemm_config(without);
    // Most are no name at all; a digit less is the name of another config.
    EXPECT_TRUE(config.stages == 0 || to_string(config) == without) << without;
  }
  for (const char* name :
       {"", "bf16", "f32_tn_128x256x64_2x1_s4_coopm", "bf16_tx_128x256x64_2x1_s4_coopm",
        "bf16_tn_128x256x64_2x1_s4_coopm_", "bf16_tn_128x256x64_2x1_s4_coop", " bf16_tn_128x256x64_2x1_s4_coopm",
        "bf16_tn_128x256x64_2x1_s4_coopm_gathers", "bf16_tn_12345678x256x64_2x1_s4_coopm"})
    EXPECT_EQ(parse_gemm_config(name).stages, 0) << name;
}

// A kernel that no problem is ever given to would be compiled for nothing, and never tested.
TEST(GemmConfigs, EveryShippedOneServesSomeProblem) {
  const std::vector<std::string> shipped = host::shipped_configs("gemm");
  EXPECT_EQ(std::set<std::string>(shipped.begin(), shipped.end()), reachable_configs());
  EXPECT_EQ(shipped.size(), reachable_configs().size()) << "a config is shipped twice";
}

TEST(GemmConfigs, OthersAreNotShipped) {
  expect_error(ErrorCode::unsupported, {"config", "gemm", "\"bf16_tn_8x8x8_1x1_s2_coopm\""},
               [] { host::find_kernel("gemm", "bf16_tn_8x8x8_1x1_s2_coopm"); });
  EXPECT_TRUE(host::shipped_configs("fft").empty());
}

// What config.hpp computes for the host must be what the hardware takes.
TEST(GemmConfigs, GeometryFitsTheHardware) {
  for (const std::string& name : reachable_configs()) {
    SCOPED_TRACE(name);
    const GemmConfig c = parse_gemm_config(name);
    EXPECT_EQ(defect(c), nullptr);
    EXPECT_LE(std::size_t(c.shared_bytes()), h100().shared_bytes);
    EXPECT_GE(c.shared_bytes(), c.stages * (c.tile_m + c.tile_n) * c.tile_k * 2);
    // One register file, 64 Ki, for a producer and two or three consumer warpgroups; setmaxnreg takes multiples of 8 up to 255.
    EXPECT_LE((c.producer_registers() + c.consumers() * c.consumer_registers()) * 128, 65536);
    for (const int registers : {c.producer_registers(), c.consumer_registers()}) {
      EXPECT_EQ(registers % 8, 0);
      EXPECT_GE(registers, 24);
      EXPECT_LE(registers, 256);
    }
    // Together the warpgroups' parts are the tile.
    const int parts = c.schedule == Schedule::pingpong ? 1 : c.consumers();
    EXPECT_EQ(c.warpgroup_m() * c.warpgroup_n() * parts, c.tile_m * c.tile_n);
    // A TMA box has at most 256 elements a side, and 128 bytes a row, the swizzle, or what is left of an N-major tile.
    EXPECT_EQ(c.box_contiguous() * c.element_bytes(), 128);
    EXPECT_EQ(c.tile_k % c.box_contiguous(), 0);
    EXPECT_EQ(c.warpgroup_m() % c.box_contiguous(), 0) << "a consumer's part begins with a box";
    if (c.b_major == Major::mn) {
      EXPECT_TRUE(c.warpgroup_n() == c.tile_n || c.warpgroup_n() % c.box_contiguous() == 0) << "so does this one";
      EXPECT_EQ(c.tile_n % c.box_contiguous() * c.element_bytes() % 16, 0) << "what TMA takes";
      EXPECT_LT(c.b_stage_columns() - c.tile_n, c.box_contiguous());
    }
    EXPECT_TRUE(c.a_box_other() >= 8 && c.a_box_other() <= 256);
    EXPECT_TRUE(c.b_box_other() >= 8 && c.b_box_other() <= 256);
    for (const int bytes : {2, 4}) {
      const int columns = c.piece_n(bytes), box = c.d_box_n(bytes);
      EXPECT_EQ(columns % box, 0);
      EXPECT_EQ(c.warpgroup_n() % columns % box, 0) << "the last piece of a row is made of whole boxes too";
      EXPECT_EQ(box * bytes % 32, 0) << "the narrowest swizzle";
      EXPECT_LE(columns * bytes, 128);
      EXPECT_LE(columns * bytes * GemmConfig::piece_m, c.staging_bytes());
    }
  }
}

TEST(GemmConfigs, DefectsAreFound) {
  const GemmConfig good = parse_gemm_config("bf16_tn_128x256x64_2x1_s4_coopm");
  ASSERT_EQ(defect(good), nullptr);
  const char* const bad[] = {
      "bf16_tn_128x256x32_2x1_s4_coopm",              // K tile of less than a swizzle row
      "bf16_tn_64x256x64_2x1_s4_coopm",               // half of the rows is less than wgmma's 64
      "bf16_tn_160x128x64_2x1_s4_coopm",              // neither a half nor a third of the rows is a multiple of 64
      "bf16_tn_192x208x64_2x1_s2_coopm",              // accumulators of 104 registers a thread of three consumers
      "bf16_nt_128x96x64_1x1_s4_coopn",               // half of an N-major B begins within a row of the swizzle
      "bf16_tn_128x8x64_1x1_s4_ping",                 // too few columns
      "bf16_tn_64x264x64_1x1_s2_ping",                // more columns than one wgmma has
      "bf16_tn_256x256x64_1x1_s2_coopm",              // accumulators of 256 registers a thread
      "bf16_tn_128x256x64_4x4_s4_coopm",              // 16 CTAs
      "bf16_tn_128x256x64_0x1_s4_coopm",              // no CTA
      "bf16_tn_128x192x64_5x1_s4_coopm",              // columns that 5 CTAs cannot share
      "bf16_tt_128x128x64_5x1_s4_coopm",              // K rows of an N-major B that 5 CTAs cannot share
      "bf16_nn_128x128x64_1x3_s4_coopm",              // the same of an M-major A
      "bf16_tn_128x128x64_2x1_s4_coopm_gather",       // multicast without TMA
      "bf16_tn_192x64x64_1x1_s2_coopm_gather",        // three consumers
      "bf16_nt_128x96x64_1x1_s4_coopm_gather",        // columns that are turned
      "bf16_tn_128x128x64_1x1_s4_coopm_gather_swap",  // any layout as it is
      "bf16_tn_128x128x64_2x1x2_s4_coopm",            // operands and K shared
      "bf16_tn_64x64x64_1x1x4_s4_ping",               // K shared, but no tile
      "bf16_tn_192x64x64_1x1x2_s3_coopm",             // K shared by three consumers
      "bf16_tn_128x128x64_1x1x16_s3_coopm",           // 16 CTAs again
      "bf16_tn_128x128x64_1x1x3_s4_coopm",            // accumulators that 3 CTAs cannot share
      "bf16_tn_128x320x64_1x1x2_s2_coopn",            // more accumulators than there are registers for, and their sums
      "bf16_tn_128x128x64_1x1x2_s6_coopm",            // no room for the inbox
      "bf16_tn_128x256x64_2x1_s1_coopm",              // no pipeline
      "bf16_tn_128x256x64_2x1_s5_coopm",              // more shared memory than there is
  };
  for (const char* name : bad) {
    ASSERT_EQ(to_string(parse_gemm_config(name)), name);
    EXPECT_NE(defect(parse_gemm_config(name)), nullptr) << name;
  }
}

// ---- the choice ----------------------------------------------------------------------------------------

TEST(GemmChoice, NamesParseBack) {
  std::set<Division> seen;
  const GemmProblem problem = problem_of(gemm_of(DType::bf16, true, false, 1000, 800, 3000));
  for (const std::string& name : gemm_candidates(problem, h100())) {
    EXPECT_EQ(to_string(parse_gemm_choice(name)), name);
    seen.insert(parse_gemm_choice(name).division);
  }
  EXPECT_EQ(seen.size(), 3);
  const std::string config = "bf16_tn_64x64x64_1x1_s2_ping";
  for (const Division division : {Division::whole_tiles, Division::stream_k, Division::split_k})
    for (const Padding padding : {Padding{}, {true, false}, {false, true}, {true, true}}) {
      const GemmChoice choice{parse_gemm_config(config), division, padding};
      EXPECT_EQ(parse_gemm_choice(to_string(choice)), choice);
    }
  EXPECT_EQ(to_string({parse_gemm_config(config), Division::stream_k, {true, true}}), config + "_sk_padab");
  for (const char* name : {"_sk", "_splitk", "_pada", "_sk_padb"}) EXPECT_EQ(parse_gemm_choice(name).config.stages, 0);
  EXPECT_EQ(parse_gemm_choice(config + "_pada_sk").config.stages, 0) << "the division comes first";
}

// Tiles are cut only where a whole-tile grid would leave clusters idle in its last wave.
TEST(GemmChoice, CutsTilesOfPartialWavesOnly) {
  EXPECT_EQ(tiles_to_cut(132, 66), 0);
  EXPECT_EQ(tiles_to_cut(10, 66), 10);
  EXPECT_EQ(tiles_to_cut(140, 66), 66 + 8);
  const GemmProblem short_k = problem_of(gemm_of(DType::bf16, true, false, 1000, 1000, 64));
  for (const std::string& name : gemm_candidates(short_k, h100()))
    EXPECT_EQ(parse_gemm_choice(name).division, Division::whole_tiles) << name;
}

// A cluster that shares K needs no workspace for it and cuts no last wave.
TEST(GemmChoice, ClustersThatShareKCutWholeTilesOnly) {
  std::set<Division> divisions;
  for (const std::int64_t k : {64, 512, 65536})
    for (const std::string& name : gemm_candidates(problem_of(gemm_of(DType::bf16, true, false, 256, 256, k)), h100()))
      if (config_of(name).cluster_k > 1) divisions.insert(parse_gemm_choice(name).division);
  EXPECT_EQ(divisions, (std::set{Division::whole_tiles, Division::split_k}));
  EXPECT_FALSE(is_batch_invariant(parse_gemm_config("bf16_tn_128x128x64_1x1x2_s5_coopm")));
  EXPECT_EQ(splits_of(parse_gemm_config("bf16_tn_128x128x64_1x1x4_s5_coopm"), 4, 30, 1024), 7);
  EXPECT_EQ(splits_of(parse_gemm_config("bf16_tn_128x128x64_1x1x4_s5_coopm"), 4, 30, 32), 2) << "4 K tiles each";
}

// What has not been measured comes last.
TEST(GemmChoice, WhatIsNotMeasuredIsOnlyForTheAsking) {
  const std::vector<std::string> unmeasured = host::unmeasured_configs("gemm");
  for (const std::int64_t k : {64, 512, 65536}) {
    const std::vector<std::string> names =
        gemm_candidates(problem_of(gemm_of(DType::bf16, true, false, 256, 256, k)), h100());
    const auto is_measured = [&](const std::string& name) {
      return std::find(unmeasured.begin(), unmeasured.end(), to_string(config_of(name))) == unmeasured.end();
    };
    EXPECT_TRUE(is_measured(names.front()));
    EXPECT_TRUE(std::is_partitioned(names.begin(), names.end(), is_measured));
  }
}

// Split-K is for few tiles with much of K each.
TEST(GemmChoice, SplitsKAmongIdleClusters) {
  EXPECT_EQ(splits_of(10, 132, 1000), 13);
  EXPECT_EQ(splits_of(10, 132, 20), 5) << "at least 4 K tiles each";
  EXPECT_EQ(splits_of(1, 132, 1000), 64);
  EXPECT_EQ(splits_of(67, 132, 1000), 1);
  EXPECT_EQ(splits_of(0, 132, 1000), 64) << "no division by 0";
}

TEST(GemmChoice, CGoesToTilesThatHideIt) {
  for (const DType out : {DType::bf16, DType::f32}) {
    GemmCase gemm = gemm_of(DType::bf16, true, false, 4096, 4096, 1024);
    gemm.out = out;
    gemm.beta = 1;
    const GemmConfig config = config_of(gemm_candidates(problem_of(gemm), h100()).front());
    EXPECT_EQ(config.schedule, Schedule::pingpong);
    EXPECT_LE(config.accumulators(), 128) << "a piece of C is loaded ahead";
  }
}

// Boxes along M do not end with the matrix as those along K do: TMA fills the rest with zeros, for long. CTAs of a cluster share that.
TEST(GemmChoice, ClustersShareWhatIsFilledWithZeros) {
  auto columns_of_cluster = [](bool a_by_rows) {
    const GemmProblem problem = problem_of(gemm_of(DType::bf16, a_by_rows, true, 16, 8192, 8192));
    return config_of(gemm_candidates(problem, h100()).front()).cluster_n;
  };
  EXPECT_EQ(columns_of_cluster(false), 4);
  EXPECT_EQ(columns_of_cluster(true), 1);
}

TEST(GemmChoice, IsAPureFunction) {
  const GemmProblem problem = problem_of(gemm_of(DType::bf16, true, false, 4096, 2112, 7168));
  const std::vector<std::string> names = gemm_candidates(problem, h100());
  EXPECT_EQ(gemm_candidates(problem, h100()), names);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size()) << "a config is listed twice";
}

TEST(GemmChoice, MatchesTypeAndLayout) {
  for (const DType in : {DType::bf16, DType::f16})
    for (const bool a_by_rows : {true, false})
      for (const bool b_by_rows : {true, false}) {
        const GemmCase gemm = gemm_of(in, a_by_rows, b_by_rows, 1024, 1024, 1024);
        const std::vector<std::string> names = gemm_candidates(problem_of(gemm), h100());
        ASSERT_FALSE(names.empty());
        for (const std::string& name : names) {
          const GemmConfig config = config_of(name);
          EXPECT_EQ(config.dtype, in) << name;
          // A swapped kernel's A is B transposed.
          EXPECT_EQ(config.swapped ? config.b_major : config.a_major, a_by_rows ? Major::k : Major::mn) << name;
          EXPECT_EQ(config.swapped ? config.a_major : config.b_major, b_by_rows ? Major::mn : Major::k) << name;
        }
        EXPECT_EQ(config_of(names.front()).load, Load::tma) << "aligned operands are TMA's";
      }
}

// A column-major D is computed as the transposed product, D' = B' A': what is contiguous in B decides A's part of the
// kernel's name, and the other way round.
TEST(GemmChoice, TransposesTheProblemForAColumnMajorD) {
  for (const bool a_by_rows : {true, false})
    for (const bool b_by_rows : {true, false}) {
      GemmCase gemm = gemm_of(DType::bf16, a_by_rows, b_by_rows, 1024, 1024, 1024);
      gemm.d = gemm.c = column_major(gemm.m);
      for (const std::string& name : gemm_candidates(problem_of(gemm), h100())) {
        const GemmConfig config = config_of(name);
        EXPECT_EQ(config.swapped ? config.b_major : config.a_major, b_by_rows ? Major::mn : Major::k) << name;
        EXPECT_EQ(config.swapped ? config.a_major : config.b_major, a_by_rows ? Major::k : Major::mn) << name;
      }
    }
}

// A swapped kernel does for a problem what the plain one does for its mirror image: it is a candidate for the same problems, padding
// included, and the model gives both the same time, but for how they store.
TEST(GemmChoice, SwappedKernelsSeeTheMirrorImage) {
  const GemmConfig plain = parse_gemm_config("bf16_nn_128x144x64_2x1_s5_coopm");
  GemmConfig swapped = plain;
  swapped.swapped = true;
  EXPECT_EQ(to_string(swapped), "bf16_nn_128x144x64_2x1_s5_coopm_swap");
  const auto options = [](const GemmCase& gemm, const GemmConfig& config) {
    const GemmProblem problem = canonical(problem_of(gemm)).problem;
    std::map<std::string, double> all;
    for (GemmChoice choice : rank_choices(problem, h100(), {config})) {
      const double clocks = estimated_clocks(problem, choice, h100());
      choice.config.swapped = false;
      all.emplace(to_string(choice), clocks);
    }
    return all;
  };
  for (const std::int64_t k : {1000, 1001}) {
    const GemmCase gemm = gemm_of(DType::bf16, true, true, 2000, 300, k);        // tt
    const GemmCase mirrored = gemm_of(DType::bf16, false, false, 300, 2000, k);  // nn
    const auto by_swapped = options(gemm, swapped), by_plain = options(mirrored, plain);
    EXPECT_EQ(by_swapped.size(), 3u) << "whole tiles, stream-K, split-K";
    EXPECT_EQ(by_plain.size(), by_swapped.size());
    for (const auto& [choice, clocks] : by_plain) {
      ASSERT_TRUE(by_swapped.contains(choice)) << choice;
      EXPECT_NEAR(by_swapped.at(choice), clocks, 0.02 * clocks) << choice;
    }
    EXPECT_TRUE(options(gemm, plain).empty());
    EXPECT_TRUE(options(mirrored, swapped).empty());
  }
}

// The mirror image of the mirror image is the problem, and D lies where it did.
TEST(GemmProblems, MirrorImage) {
  GemmCase gemm = gemm_of(DType::bf16, true, true, 200, 300, 100);
  gemm.a.offset = 4, gemm.c = column_major(200, 3), gemm.beta = 2;
  const GemmProblem problem = problem_of(gemm), mirrored = mirror_image(problem);
  EXPECT_EQ(mirrored.m, 300);
  EXPECT_EQ(mirrored.n, 200);
  EXPECT_EQ(mirrored.k, 100);
  EXPECT_EQ(mirrored.a.column_stride, problem.b.row_stride);
  EXPECT_EQ(mirrored.b.alignment, problem.a.alignment);
  EXPECT_EQ(mirrored.c.row_stride, problem.c.column_stride);
  EXPECT_EQ(mirrored.d.row_stride, 1);
  EXPECT_FALSE(mirrored == problem);
  EXPECT_TRUE(mirror_image(mirrored) == problem);
}

/// Whether every choice for `gemm` either gathers or pads just what `padding` says, and there are some of both kinds.
bool gathers_or_pads(const GemmCase& gemm, Padding padding) {
  int gather = 0, tma = 0;
  for (const std::string& name : gemm_candidates(problem_of(gemm), h100())) {
    const GemmChoice choice = parse_gemm_choice(name);
    const bool gathers = choice.config.load == Load::gather;
    ++(gathers ? gather : tma);
    const Padding padded = choice.config.swapped ? Padding{padding.b, padding.a} : padding;  // in the kernel's order
    if (choice.padding != (gathers ? Padding{} : padded)) return false;
  }
  return gather > 0 && tma > 0;
}

TEST(GemmChoice, PadsWhatTmaCannotLoad) {
  const GemmCase good = gemm_of(DType::bf16, true, false, 256, 256, 256);
  EXPECT_TRUE(gathers_or_pads(good, {}));
  constexpr Padding pad_a{true, false}, pad_b{false, true};
  const std::pair<std::function<void(GemmCase&)>, Padding> spoilers[] = {
      {[](auto& g) { g.a = row_major(g.k, 1); }, pad_a},     // rows at odd distances
      {[](auto& g) { g.b = column_major(g.k, 4); }, pad_b},  // 8 bytes, not 16
      {[](auto& g) { g.a.offset = 4; }, pad_a},              // pointer aligned to 8 bytes
      {[](auto& g) { g.b.offset = 1; }, pad_b},
      {[](auto& g) { g.a = row_major(g.k, 0, 0, 2); }, pad_a},           // no unit stride
      {[](auto& g) { g.a.row_stride = 0; }, pad_a},                      // broadcast
      {[](auto& g) { g.a.row_stride = -256; }, pad_a},                   // backwards
      {[](auto& g) { g.a.row_stride = std::int64_t(1) << 39; }, pad_a},  // 2^40 bytes: beyond what a descriptor takes
      {[](auto& g) { g.a = row_major(g.k, 1), g.b.offset = 1; }, {true, true}},
  };
  for (const auto& [spoil, padding] : spoilers) {
    GemmCase spoilt = good;
    spoil(spoilt);
    EXPECT_TRUE(gathers_or_pads(spoilt, padding)) << "spoiler " << &spoil - &spoilers[0].first;
  }
  // Of a column-major D the kernel computes the transpose: then the kernel's B is the caller's A.
  GemmCase transposed = good;
  transposed.a = row_major(good.k, 1), transposed.d = column_major(good.m);
  EXPECT_TRUE(gathers_or_pads(transposed, pad_b));
  // D need not be TMA's: it can be stored element by element.
  GemmCase odd_output = good;
  odd_output.d = row_major(good.n, 1);
  EXPECT_TRUE(gathers_or_pads(odd_output, {}));
  // Beyond 2^31 rows not even the copy has coordinates.
  GemmCase huge = dense_gemm("", "", std::int64_t(1) << 31, 8, 9);
  for (const std::string& name : gemm_candidates(problem_of(huge), h100()))
    EXPECT_EQ(config_of(name).load, Load::gather) << name;
}

// The copy costs a launch, and gathering a single K tile costs more.
TEST(GemmChoice, PadsProductsOfAnySize) {
  const auto best = [](std::int64_t size) {
    return parse_gemm_choice(gemm_candidates(problem_of(dense_gemm("", "", size, size, size + 1)), h100()).front());
  };
  for (const std::int64_t size : {2, 16, 512, 2000, 4096}) EXPECT_EQ(best(size).padding, (Padding{true, true})) << size;
}

// What is padded is what TMA wants: dense rows that begin on a line of L2, in the same order; what is not, stays.
TEST(GemmPadding, MakesOperandsLoadable) {
  for (const bool a_by_rows : {true, false})
    for (const bool b_by_rows : {true, false}) {
      GemmCase gemm = gemm_of(DType::f16, a_by_rows, b_by_rows, 130, 70, 33);
      gemm.a.offset = 1;
      const GemmProblem problem = canonical(problem_of(gemm)).problem;
      const GemmProblem copy = padded(problem, {true, true});
      EXPECT_EQ(traits_of(copy).a_major, traits_of(problem).a_major);
      EXPECT_EQ(traits_of(copy).b_major, traits_of(problem).b_major);
      EXPECT_TRUE(traits_of(copy).loads_by_tma);
      EXPECT_EQ(copy.a.row_stride, a_by_rows ? 64 : 1);
      EXPECT_EQ(copy.a.column_stride, a_by_rows ? 1 : 192);
      EXPECT_EQ(copy.b.row_stride, b_by_rows ? 128 : 1);
      EXPECT_EQ(copy.b.column_stride, b_by_rows ? 1 : 64);
      EXPECT_EQ(padded(problem, {}).a, problem.a);
      EXPECT_EQ(padded(problem, {true, false}).b, problem.b);
    }
}

TEST(PadConfigs, NamesParseBackAndAreShipped) {
  const std::vector<std::string> shipped = host::shipped_configs("pad");
  std::set<std::string> reachable;
  for (const std::int64_t columns : {1, 128, 129, 100000}) {
    const PadConfig config = pad_config(columns, 2);
    EXPECT_EQ(parse_pad_config(to_string(config)), config);
    EXPECT_EQ(config.elements() % 8, 0) << "enough in flight";
    reachable.insert(to_string(config));
  }
  EXPECT_EQ(std::set<std::string>(shipped.begin(), shipped.end()), reachable);
  EXPECT_EQ(parse_pad_config("b16_16x255").element_bits, 0);
}

// ---- batch invariance ----------------------------------------------------------------------------------

// No choice may cut K in a way that depends on m, and all must take the same steps along it.
TEST(GemmBatchInvariance, CutsNoSum) {
  for (const std::int64_t m : {1, 8, 100, 1024, 4096}) {
    GemmProblem problem = problem_of(gemm_of(DType::bf16, true, false, m, 1024, 8192));
    const std::vector<std::string> all = gemm_candidates(problem, h100());
    problem.batch_invariant = true;
    const std::vector<std::string> names = gemm_candidates(problem, h100());
    ASSERT_FALSE(names.empty());
    EXPECT_LT(names.size(), all.size());
    for (const std::string& name : names) {
      EXPECT_EQ(parse_gemm_choice(name).division, Division::whole_tiles) << name;
      EXPECT_EQ(config_of(name).tile_k, 64) << name;
    }
  }
  EXPECT_FALSE(is_batch_invariant(parse_gemm_config("bf16_tn_128x128x128_1x1_s2_ping")));
}

// A TMA store writes whole 16-byte units, so a row of D that ends within one would be overrun, padded or not.
TEST(GemmChoice, StoresByTmaOnlyWhereRowsAreWholeUnits) {
  const auto stored_by_tma = [](DType out, std::int64_t n, std::int64_t leading) {
    GemmCase gemm = gemm_of(DType::bf16, true, false, 256, n, 256);
    gemm.out = out;
    gemm.d = gemm.c = row_major(n, leading - n);
    return traits_of(canonical(problem_of(gemm)).problem).stores_by_tma;
  };
  EXPECT_TRUE(stored_by_tma(DType::bf16, 128, 128));
  EXPECT_TRUE(stored_by_tma(DType::bf16, 128, 136));
  EXPECT_TRUE(stored_by_tma(DType::f32, 132, 132));
  EXPECT_FALSE(stored_by_tma(DType::bf16, 129, 136));
  EXPECT_FALSE(stored_by_tma(DType::f16, 132, 136));
  EXPECT_FALSE(stored_by_tma(DType::f32, 130, 132));
  EXPECT_FALSE(stored_by_tma(DType::bf16, 128, 132)) << "rows at distances that are not multiples of 16 bytes";
}

// A dimension of extent 1 is never stepped through, so its stride must not keep TMA away.
TEST(GemmChoice, IgnoresTheStridesOfExtentOne) {
  GemmCase gemm = gemm_of(DType::bf16, true, false, 1, 256, 256);
  gemm.a.row_stride = 12345;
  gemm.d.row_stride = gemm.c.row_stride = 777;
  EXPECT_TRUE(gathers_or_pads(gemm, {}));
  gemm = gemm_of(DType::bf16, true, false, 256, 1, 256);
  gemm.b.column_stride = 3;
  EXPECT_TRUE(gathers_or_pads(gemm, {}));
}

TEST(GemmChoice, LeavesOutWhatDoesNotFitTheDevice) {
  DeviceInfo small = h100();
  small.shared_bytes = 180000;
  const GemmProblem problem = problem_of(gemm_of(DType::bf16, true, false, 1024, 1024, 1024));
  const std::vector<std::string> fitting = gemm_candidates(problem, small);
  EXPECT_FALSE(fitting.empty());
  EXPECT_LT(fitting.size(), gemm_candidates(problem, h100()).size());
  for (const std::string& name : fitting) EXPECT_LE(config_of(name).shared_bytes(), 180000) << name;
}

// With few rows and columns a large tile would leave most multiprocessors idle; with many, a small one would load too
// much.
TEST(GemmChoice, TakesSmallTilesForSmallProblemsAndLargeOnesForLarge) {
  const auto area = [&](std::int64_t size) {
    const GemmCase gemm = gemm_of(DType::bf16, true, false, size, size, 4096);
    const GemmConfig config = config_of(gemm_candidates(problem_of(gemm), h100()).front());
    return config.tile_m * config.tile_n;
  };
  EXPECT_LT(area(512), area(8192));
  EXPECT_GE(area(8192), 128 * 192);
}

TEST(GemmChoice, HasNothingToChooseWithoutAProduct) {
  for (const auto& [m, n, k] : {std::array{0, 8, 8}, {8, 0, 8}, {8, 8, 0}})
    EXPECT_TRUE(gemm_candidates(problem_of(gemm_of(DType::bf16, true, false, m, n, k)), h100()).empty());
  GemmCase no_alpha = gemm_of(DType::bf16, true, false, 8, 8, 8);
  no_alpha.alpha = 0;
  EXPECT_TRUE(gemm_candidates(problem_of(no_alpha), h100()).empty());
}

// ---- elementwise ---------------------------------------------------------------------------------------

TensorOperand operand(const OperandLayout& layout, DType dtype) {
  TensorOperand result;
  result.dtype = dtype;
  std::copy(layout.strides.begin(), layout.strides.end(), result.strides.begin());
  while (layout.offset * std::int64_t(size_of(dtype)) % result.alignment != 0) result.alignment /= 2;
  return result;
}

/// The configs for A + B -> D, which all have D's shape.
std::vector<std::string> configs(const OperandLayout& a, const OperandLayout& b, const OperandLayout& d,
                                 DType dtype = DType::f32) {
  ElementwiseProblem problem;
  problem.op = ElementwiseOp::add;
  problem.rank = int(d.sizes.size());
  std::copy(d.sizes.begin(), d.sizes.end(), problem.sizes.begin());
  problem.in[0] = operand(a, dtype), problem.in[1] = operand(b, dtype), problem.out[0] = operand(d, dtype);
  return elementwise_candidates(problem, h100());
}

using Names = std::vector<std::string>;

TEST(ElementwiseConfigs, NamesParseBackAndOthersAreRefused) {
  for (const std::string& name : host::shipped_configs("elementwise"))
    EXPECT_EQ(to_string(parse_elementwise_config(name)), name);
  for (const char* name :
       {"", "n2", "n2_f32", "n3_f32_v4_flat", "n2_f64_v4_flat", "n2_f32_v3_flat", "n2_f32_v4_flat_",
        "n2_f32_v4_rows_few", "n2_f32_v4_fla", "n2_f32_v1_flat", "n2_f32_v4_strided", "_n2_f32_v4_flat", "n2f32v4flat"})
    EXPECT_EQ(parse_elementwise_config(name).inputs, 0) << name;
}

// Every op has a kernel for any strides and any mixture of dtypes that it is defined on.
TEST(ElementwiseConfigs, EveryOpIsServed) {
  for (int i = 0; i < elementwise_op_count; ++i) {
    ElementwiseProblem problem;
    problem.op = ElementwiseOp(i);
    problem.rank = 1;
    problem.sizes = {1000};
    const ElementwiseOpInfo info = describe(problem.op);
    for (const DType dtype :
         {DType::f32, DType::f16, DType::bf16, DType::e4m3, DType::e5m2, DType::i64, DType::i32, DType::b8})
      for (const std::int64_t stride : {1, 2}) {
        for (TensorOperand& x : problem.in) x = {dtype, {stride}, 16};
        for (TensorOperand& x : problem.out) x = {dtype, {stride}, 16};
        const bool integer = dtype == DType::i64 || dtype == DType::i32 || dtype == DType::b8;
        if (integer && !info.integers) {
          expect_error(ErrorCode::unsupported, {"op", "integers", info.name},
                       [&] { elementwise_candidates(problem, h100()); });
          continue;
        }
        const Names names = elementwise_candidates(problem, h100());
        ASSERT_FALSE(names.empty()) << problem.to_string();
        EXPECT_EQ(names.front().find("strided") != std::string::npos, stride == 2) << names.front();
      }
  }
}

TEST(ElementwiseChoice, FlatForWhatIsOneRunOfMemory) {
  const Names all = {"n2_f32_v4_flat", "n2_f32_v4_flat_few", "n2_f32_v4_rows", "n2_f32_v2_rows", "n2_f32_v1_strided"};
  EXPECT_EQ(configs(dense({5, 7}), dense({5, 7}), dense({5, 7})), all);
  // In any order of the dimensions, as long as it is everybody's.
  const OperandLayout transposed = permuted({5, 7}, {1, 0});
  EXPECT_EQ(configs(transposed, transposed, transposed), all);
  EXPECT_EQ(configs(dense({}), dense({}), dense({})), all);
}

TEST(ElementwiseChoice, LargeBlocksForSomeMillionElements) {
  const auto best = [](std::int64_t elements, DType dtype = DType::f32) {
    return configs(dense({elements}), dense({elements}), dense({elements}), dtype).front();
  };
  EXPECT_EQ(best(1 << 18), "n2_f32_v4_flat");
  EXPECT_EQ(best(1 << 20), "n2_f32_v4_flat_few");
  EXPECT_EQ(best(1 << 24), "n2_f32_v4_flat");
  EXPECT_EQ(best(1 << 20, DType::bf16), "n2_f32_v8_flat");
}

TEST(ElementwiseChoice, RowsForBroadcastsAndPaddedRows) {
  const Names rows = {"n2_f32_v4_rows", "n2_f32_v2_rows", "n2_f32_v1_strided"};
  EXPECT_EQ(configs({{6, 40}, {0, 1}, 0}, dense({6, 40}), dense({6, 40})), rows);
  EXPECT_EQ(configs({{6, 40}, {1, 0}, 0}, dense({6, 40}), dense({6, 40})), rows);
  EXPECT_EQ(configs({{6, 40}, {44, 1}, 0}, dense({6, 40}), {{6, 40}, {48, 1}, 0}), rows);
  // An input that is a single element needs no alignment.
  EXPECT_EQ(configs({{6, 40}, {0, 0}, 1}, dense({6, 40}), dense({6, 40})), rows);
}

// What is aligned to a part of 16 bytes has shorter vectors.
TEST(ElementwiseChoice, VectorsAsLongAsAllOperandsAllow) {
  EXPECT_EQ(configs(dense({64}), dense({64}), dense({64}, 2)).front(), "n2_f32_v2_rows");
  EXPECT_EQ(configs({{6, 40}, {44, 1}, 0}, dense({6, 40}), dense({6, 40}), DType::f16).front(), "n2_f32_v4_rows");
  EXPECT_EQ(configs(dense({64}), dense({64}), dense({64}), DType::bf16).front(), "n2_f32_v8_flat");
  EXPECT_EQ(configs(dense({64}), dense({64}), dense({64}), DType::e4m3).front(), "n2_f32_v16_flat");
  EXPECT_EQ(configs(dense({64}), dense({64}), dense({64}), DType::i64).front(), "n2_i64_v2_flat");
}

/// The config chosen for an input of these strides, of D's shape.
std::string turned(const OperandLayout& in, const OperandLayout& out, DType dtype) {
  ElementwiseProblem problem;
  problem.rank = int(out.sizes.size());
  std::copy(out.sizes.begin(), out.sizes.end(), problem.sizes.begin());
  problem.in[0] = operand(in, dtype), problem.out[0] = operand(out, dtype);
  return elementwise_candidates(problem, h100()).front();
}

TEST(ElementwiseChoice, TilesForAnInputThatIsDenseAlongAnotherDimension) {
  EXPECT_EQ(turned(permuted({100, 200}, {1, 0}), dense({100, 200}), DType::bf16), "n1_f32_v8_tiles");
  EXPECT_EQ(turned(permuted({100, 200}, {1, 0}), dense({100, 200}), DType::e4m3), "n1_f32_v16_tiles");
  EXPECT_EQ(turned(permuted({100, 200}, {1, 0}), dense({100, 200}), DType::i64), "n1_i64_v2_tiles");
  EXPECT_EQ(turned(permuted({10, 30, 20, 40}, {0, 2, 3, 1}), dense({10, 30, 20, 40}), DType::f32), "n1_f32_v4_tiles");
  EXPECT_EQ(turned(permuted({100, 200}, {1, 0}), dense({100, 200}, 1), DType::f32), "n1_f32_v4_tiles")
      << "at any alignment";
  EXPECT_EQ(turned(permuted({100, 3}, {1, 0}), dense({100, 3}), DType::f32), "n1_f32_v1_strided")
      << "tiles would be empty";
  EXPECT_EQ(turned({{100, 200}, {2, 200}, 0}, dense({100, 200}), DType::f32), "n1_f32_v1_strided") << "dense nowhere";
}

TEST(ElementwiseChoice, StridedForTheRest) {
  const Names strided = {"n2_f32_v1_strided"};
  EXPECT_EQ(configs(dense({64}, 1), dense({64}), dense({64})), strided);
  EXPECT_EQ(configs(permuted({5, 7}, {1, 0}), dense({5, 7}), dense({5, 7})), strided);
  EXPECT_EQ(configs({{6, 40}, {41, 1}, 0}, dense({6, 40}), dense({6, 40})), strided) << "rows that begin unaligned";
  EXPECT_EQ(configs({{64}, {2}, 0}, dense({64}), dense({64})), strided);
}

TEST(ElementwiseChoice, NothingForNoElements) {
  EXPECT_TRUE(configs(dense({4, 0}), dense({4, 0}), dense({4, 0})).empty());
}

}  // namespace
}  // namespace ckl::test
