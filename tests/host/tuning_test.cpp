// The tuning database: its file, what it holds for, and how it is chosen by; all of it without a GPU.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "cases/gemm_cases.hpp"
#include "ckl/ckl.hpp"
#include "expect_error.hpp"
#include "host/module.hpp"
#include "host/tuning.hpp"
#include "ops/gemm/choice.hpp"
#include "ops/gemm/problem.hpp"

namespace ckl::test {
namespace {

using host::Tuning;
using host::TuningDatabase;
namespace fs = std::filesystem;

DeviceInfo h100() { return {0, "NVIDIA H100", 9, 0, 132, 50 << 20, 232448, std::size_t(80) << 30, 66, 32, 16}; }

Tuning entry(const std::string& problem, const std::string& config) {
  return {"gemm", problem, host::tuning_scope(h100().name), host::menu_hash("gemm"), config, 12.5, "2030-01-31"};
}

/// What is shipped, as if all of it had been measured.
GemmMenu shipped() {
  GemmMenu menu;
  for (const std::string& name : host::shipped_configs("gemm")) menu.measured.push_back(parse_gemm_config(name));
  return menu;
}

/// A folder of its own for each test, removed at its end.
class TuningFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ckl_tuning_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder = name;
    path = folder + "/below/tuning.json";
  }
  void TearDown() override { fs::remove_all(folder); }

  void write(const std::string& text) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  }

  std::string folder, path;
};

// ---- the value -----------------------------------------------------------------------------------------

TEST(Tuning, ReadsWhatItWrites) {
  TuningDatabase database;
  database.put(entry("m=1", "x"));
  database.put(entry("m=2", "y"));
  const TuningDatabase read = TuningDatabase::parse(database.to_json());
  EXPECT_EQ(read.size(), 2);
  EXPECT_EQ(read.to_json(), database.to_json());
  const auto answer = read.find("gemm", "m=2", host::tuning_scope(h100().name));
  ASSERT_NE(answer.tuning, nullptr);
  EXPECT_EQ(*answer.tuning, entry("m=2", "y"));
}

TEST(Tuning, ANewEntryTakesTheOldOnesPlace) {
  TuningDatabase database, newer;
  database.put(entry("m=1", "old"));
  newer.put(entry("m=1", "new"));
  Tuning elsewhere = entry("m=1", "other");
  elsewhere.scope.gpu = "NVIDIA H200";
  newer.put(elsewhere);
  database.merge(newer);
  EXPECT_EQ(database.size(), 2) << "another GPU's entry stands beside it";
  EXPECT_EQ(database.find("gemm", "m=1", entry("", "").scope).tuning->config, "new");
  EXPECT_EQ(database.find("gemm", "m=1", elsewhere.scope).tuning->config, "other");
}

TEST(Tuning, HoldsForOneGpuAndLibraryOnly) {
  TuningDatabase database;
  database.put(entry("m=1", "x"));
  const host::TuningScope scope = entry("", "").scope;
  EXPECT_EQ(database.find("gemm", "m=2", scope).tuning, nullptr);
  EXPECT_EQ(database.find("gemm", "m=2", scope).why_not, "");
  EXPECT_EQ(database.find("conv2d", "m=1", scope).tuning, nullptr);
  for (const auto& [change, word] : {std::pair{&host::TuningScope::gpu, "GPU, NVIDIA H100"},
                                     {&host::TuningScope::library, "version of the library"}}) {
    host::TuningScope other = scope;
    other.*change = "another";
    const auto answer = database.find("gemm", "m=1", other);
    EXPECT_EQ(answer.tuning, nullptr) << word;
    EXPECT_NE(answer.why_not.find(word), std::string::npos) << answer.why_not;
  }
}

TEST(Tuning, TheScopeIsThisLibrarys) {
  const host::TuningScope scope = host::tuning_scope("G");
  EXPECT_EQ(scope.gpu, "G");
  EXPECT_EQ(scope.library, version());
  EXPECT_EQ(host::menu_hash("gemm").size(), 16);
  EXPECT_NE(host::menu_hash("gemm"), host::menu_hash("elementwise"));
}

// A measurement with another menu gives way to one with this.
TEST(Tuning, OneEntryForAllMenus) {
  TuningDatabase database;
  Tuning old = entry("m=1", "old");
  old.menu = "another";
  database.put(old);
  EXPECT_EQ(database.find("gemm", "m=1", old.scope).tuning->config, "old");
  database.put(entry("m=1", "new"));
  EXPECT_EQ(database.size(), 1);
  EXPECT_EQ(database.find("gemm", "m=1", old.scope).tuning->config, "new");
}

TEST(Tuning, MalformedTextIsRefused) {
  const std::string good = TuningDatabase().to_json();
  EXPECT_EQ(TuningDatabase::parse(good).size(), 0);
  for (const char* text :
       {"", "{", "[]", "{}", "null", "{\"schema\": 2, \"entries\": []}", "{\"schema\": 1}", "\xff\xfe",
        "{\"schema\": 1, \"entries\": {}}", "{\"schema\": 1, \"entries\": [1]}",
        "{\"schema\": 1, \"entries\": [{\"op\": \"gemm\"}]}", "{\"schema\": 1, \"entries\": [{\"op\": 3}]}"})
    expect_error(ErrorCode::invalid_argument, {"must"}, [&] { TuningDatabase::parse(text); });
  // Each member is needed, and of its type.
  TuningDatabase database;
  database.put(entry("m=1", "x"));
  for (const char* key : {"op", "problem", "gpu", "library", "menu", "config", "time_us", "measured"}) {
    std::string text = database.to_json();
    text[text.find(std::string("\"") + key) + 1] = '_';
    expect_error(ErrorCode::invalid_argument, {"entry", key}, [&] { TuningDatabase::parse(text); });
  }
}

TEST(Tuning, WhatIsShippedIsWellFormed) { EXPECT_NO_THROW(TuningDatabase::parse(host::kShippedTuning)); }

// ---- the choice ----------------------------------------------------------------------------------------

TEST(TuningChoice, TheDatabaseGoesBeforeTheModel) {
  const GemmProblem problem = canonical(problem_of(dense_gemm("", "", 1000, 2000, 512))).problem;
  const GemmRanking by_model = choose(problem, h100(), shipped(), {});
  ASSERT_GT(by_model.choices.size(), 3u);
  EXPECT_EQ(by_model.reason, "by the model");
  EXPECT_EQ(by_model.choices, rank_choices(problem, h100(), shipped().measured));

  TuningDatabase database;
  database.put(entry(tuning_key(problem), to_string(by_model.choices[3])));
  const GemmRanking tuned = choose(problem, h100(), shipped(), database);
  EXPECT_EQ(tuned.choices.front(), by_model.choices[3]);
  EXPECT_NE(tuned.reason.find("tuning database"), std::string::npos) << tuned.reason;
  std::vector<GemmChoice> rest = by_model.choices;
  rest.erase(rest.begin() + 3);
  EXPECT_EQ(std::vector<GemmChoice>(tuned.choices.begin() + 1, tuned.choices.end()), rest);

  DeviceInfo h200 = h100();
  h200.name = "NVIDIA H200";
  const GemmRanking elsewhere = choose(problem, h200, shipped(), database);
  EXPECT_EQ(elsewhere.choices, by_model.choices);
  EXPECT_NE(elsewhere.reason.find("another GPU, NVIDIA H100"), std::string::npos) << elsewhere.reason;
}

// What has not been measured is there to be named and tuned, but changes neither the model's choice nor what has been tuned.
TEST(TuningChoice, WhatIsNotMeasuredComesLastButMayBeTuned) {
  const GemmProblem problem = canonical(problem_of(dense_gemm("", "", 1000, 2000, 512))).problem;
  const std::vector<GemmChoice> all = choose(problem, h100(), shipped(), {}).choices;
  GemmMenu menu = shipped();
  const auto best = std::find(menu.measured.begin(), menu.measured.end(), all.front().config);
  ASSERT_NE(best, menu.measured.end());
  menu.unmeasured.push_back(*best);
  menu.measured.erase(best);

  const std::vector<GemmChoice> choices = choose(problem, h100(), menu, {}).choices;
  ASSERT_EQ(choices.size(), all.size());
  EXPECT_EQ(choices.back().config, menu.unmeasured.front());
  EXPECT_NE(choices.front().config, menu.unmeasured.front());

  TuningDatabase database;
  database.put(entry(tuning_key(problem), to_string(all.front())));
  EXPECT_EQ(choose(problem, h100(), menu, database).choices.front(), all.front());
}

// What has been measured stays the choice when configs are added to the menu, and the log says that there is something to try.
TEST(TuningChoice, AnEntryOutlivesItsMenu) {
  const GemmProblem problem = canonical(problem_of(dense_gemm("", "", 1000, 2000, 512))).problem;
  Tuning tuned = entry(tuning_key(problem), to_string(rank_choices(problem, h100(), shipped().measured)[3]));
  TuningDatabase database;
  database.put(tuned);
  EXPECT_EQ(choose(problem, h100(), shipped(), database).reason.find("menu"), std::string::npos);
  tuned.menu = "that of before";
  database.put(tuned);
  const GemmRanking ranking = choose(problem, h100(), shipped(), database);
  EXPECT_EQ(to_string(ranking.choices.front()), tuned.config);
  EXPECT_NE(ranking.reason.find("the menu of configs has changed since"), std::string::npos) << ranking.reason;
}

TEST(TuningChoice, WhatCanBeCompiled) {
  EXPECT_EQ(gemm_config_obstacle("bf16_tn_64x48x64_1x1_s12_ping"), "");
  EXPECT_EQ(gemm_config_obstacle(host::shipped_configs("gemm").front()), "it is shipped");
  EXPECT_NE(gemm_config_obstacle("bf16_tn_64x48x64_1x1_s99_ping").find("shared memory"), std::string::npos);
  for (const char* name : {"", "gemm", "bf16_tn_64x48x64_1x1_s12_ping_sk", "../bf16_tn_64x48x64_1x1_s12_ping"})
    EXPECT_NE(gemm_config_obstacle(name).find("named like"), std::string::npos) << name;
}

TEST(TuningChoice, AConfigThatCannotServeIsIgnored) {
  const GemmProblem problem = canonical(problem_of(dense_gemm("", "", 1000, 2000, 512))).problem;
  for (const char* config : {"", "nonsense", "f16_tn_128x256x64_2x1_s4_coopm", "bf16_tn_128x256x64_2x1_s4_coopm_pada",
                             "bf16_tn_128x256x64_2x1_s3_coopm"}) {  // the last: not shipped any more
    TuningDatabase database;
    database.put(entry(tuning_key(problem), config));
    const GemmRanking ranking = choose(problem, h100(), shipped(), database);
    EXPECT_EQ(ranking.choices, rank_choices(problem, h100(), shipped().measured)) << config;
    EXPECT_NE(ranking.reason.find("cannot serve"), std::string::npos) << ranking.reason;
  }
}

// Problems with the same key have the same candidates, or an entry could be made that cannot serve.
TEST(TuningChoice, TheKeySaysWhatDecides) {
  const GemmCase base = dense_gemm("", "", 1000, 2000, 512);
  const auto key = [](const GemmCase& gemm) { return tuning_key(canonical(problem_of(gemm)).problem); };
  const std::function<void(GemmCase&)> changes[] = {
      [](auto& g) { g.m = 1001; },
      [](auto& g) { g.n = 2008, g.d = row_major(g.n); },
      [](auto& g) { g.in = DType::f16; },
      [](auto& g) { g.out = DType::f32; },
      [](auto& g) { g.a = column_major(g.m); },
      [](auto& g) { g.b = row_major(g.n); },
      [](auto& g) { g.a = row_major(g.k, 1); },
      [](auto& g) { g.a = row_major(g.k, 8); },
      [](auto& g) { g.b.offset = 1; },
      [](auto& g) { g.d.offset = 1; },
      [](auto& g) { g.beta = 1; },
  };
  for (const auto& change : changes) {
    GemmCase gemm = base;
    change(gemm);
    EXPECT_NE(key(gemm), key(base)) << "change " << &change - changes;
  }
  GemmCase with_c = base, with_odd_c = base;
  with_c.beta = with_odd_c.beta = 1;
  with_odd_c.c = row_major(base.n, 1);
  EXPECT_NE(key(with_c), key(with_odd_c)) << "C by elements takes longer, and other configs are the best";
  GemmProblem invariant = canonical(problem_of(base)).problem;
  invariant.batch_invariant = true;
  EXPECT_NE(tuning_key(invariant), key(base));
  GemmCase scaled = base;  // a scale costs no time
  scaled.alpha = 3;
  EXPECT_EQ(key(scaled), key(base));
}

// ---- the file ------------------------------------------------------------------------------------------

TEST_F(TuningFile, IsMadeAndAddedTo) {
  EXPECT_EQ(host::read_tuning_file(path).size(), 0) << "no file is an empty one";
  host::store_tuning(path, entry("m=1", "x"));
  host::store_tuning(path, entry("m=2", "y"));
  host::store_tuning(path, entry("m=1", "z"));
  const TuningDatabase database = host::read_tuning_file(path);
  EXPECT_EQ(database.size(), 2);
  EXPECT_EQ(database.find("gemm", "m=1", entry("", "").scope).tuning->config, "z");
  EXPECT_FALSE(fs::exists(path + ".new")) << "nothing is left beside it";
}

TEST_F(TuningFile, AMalformedOneIsNotOverwritten) {
  write("{ not JSON");
  expect_error(ErrorCode::invalid_argument, {"JSON"}, [&] { host::store_tuning(path, entry("m=1", "x")); });
  std::string text;
  std::getline(std::ifstream(path), text);
  EXPECT_EQ(text, "{ not JSON");
}

TEST_F(TuningFile, IsCheckedBeforeThereIsAnythingToStore) {
  host::check_tuning_file(path);
  EXPECT_FALSE(fs::exists(path));
  host::store_tuning(path, entry("m=1", "x"));
  host::check_tuning_file(path);
  EXPECT_EQ(host::read_tuning_file(path).size(), 1);
  write("{ not JSON");
  expect_error(ErrorCode::invalid_argument, {"JSON"}, [&] { host::check_tuning_file(path); });
  expect_error(ErrorCode::invalid_argument, {"/proc/nowhere/tuning.json"},
               [] { host::check_tuning_file("/proc/nowhere/tuning.json"); });
}

TEST_F(TuningFile, WhereNothingCanBeWrittenIsSaid) {
  expect_error(ErrorCode::invalid_argument, {"path", "CKL_TUNING_DATABASE"},
               [] { host::store_tuning("", entry("m=1", "x")); });
  expect_error(ErrorCode::invalid_argument, {"/proc/nowhere/tuning.json"},
               [] { host::store_tuning("/proc/nowhere/tuning.json", entry("m=1", "x")); });
}

// Each writer adds its own entries; a reader meanwhile never sees half of a file.
TEST_F(TuningFile, ManyWritersLoseNothing) {
  constexpr int writers = 4, each = 12;
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w)
    threads.emplace_back([&, w] {
      for (int i = 0; i < each; ++i) host::store_tuning(path, entry("m=" + std::to_string(w * each + i), "x"));
    });
  for (int i = 0; i < 50; ++i) EXPECT_NO_THROW(host::read_tuning_file(path));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(host::read_tuning_file(path).size(), writers * each);
}

TEST_F(TuningFile, ThePathComesFromTheEnvironment) {
  setenv("HOME", "/home/someone", 1);
  unsetenv("XDG_CACHE_HOME");
  unsetenv("CKL_TUNING_DATABASE");
  EXPECT_EQ(tuning_database_path(), "/home/someone/.cache/ckl/tuning.json");
  setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(tuning_database_path(), "/cache/ckl/tuning.json");
  unsetenv("CKL_KERNELS");
  const std::string kernels = compiled_kernels_folder("gemm");
  EXPECT_EQ(kernels.find("/cache/ckl/kernels/" + std::string(version()) + "-"), 0u) << kernels;
  EXPECT_EQ(fs::path(kernels).filename(), "gemm");
  setenv("CKL_KERNELS", "", 1);
  EXPECT_EQ(compiled_kernels_folder("gemm"), "");
  setenv("CKL_TUNING_DATABASE", path.c_str(), 1);
  EXPECT_EQ(tuning_database_path(), path);

  const GemmProblem problem = problem_of(dense_gemm("", "", 1000, 2000, 512));
  const std::string config = gemm_candidates(problem, h100())[2];
  expect_error(ErrorCode::invalid_argument, {"config", "nonsense"},
               [&] { store_tuning(problem, h100(), "nonsense", 1); });
  expect_error(ErrorCode::invalid_argument, {"time_us", "0"}, [&] { store_tuning(problem, h100(), config, 0); });
  store_tuning(problem, h100(), config, 3.5);
  const TuningDatabase stored = host::read_tuning_file(path);
  const auto answer = stored.find("gemm", tuning_key(canonical(problem).problem), host::tuning_scope(h100().name));
  ASSERT_NE(answer.tuning, nullptr);
  EXPECT_EQ(answer.tuning->config, config);
  EXPECT_EQ(answer.tuning->time_us, 3.5);
  EXPECT_EQ(answer.tuning->measured.size(), 10);
  EXPECT_EQ(answer.tuning->menu, host::menu_hash("gemm"));
  setenv("CKL_TUNING_DATABASE", "", 1);
  EXPECT_EQ(tuning_database_path(), "") << "empty switches it off";
}

}  // namespace
}  // namespace ckl::test
