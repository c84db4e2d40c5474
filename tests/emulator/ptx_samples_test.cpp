// PTX that nvcc wrote: a committed sample, and the kernels of the library where they are built.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "fatbin/fatbin.hpp"
#include "ptx/describe.hpp"
#include "ptx/module.hpp"

namespace emu::ptx {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string sample() { return read(std::filesystem::path(CKL_EMU_PTX_SAMPLES) / "features.ptx"); }

/// The PTX of the library's modules; none where only the emulator is built.
std::vector<std::string> library_modules() {
  std::vector<std::string> texts;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(CKL_EMU_LIBRARY_MODULES, none)) {
    if (entry.path().extension() != ".fatbin") continue;
    const std::string bytes = read(entry.path());
    for (const PtxImage& image : read_fatbin(std::as_bytes(std::span(bytes))).ptx) texts.push_back(image.text);
  }
  return texts;
}

void expect_round_trip(const std::string& text) {
  const Module module = Module::parse(text);
  const std::string described = describe(module);
  const Module again = Module::parse(described);
  EXPECT_EQ(describe(again), described);
  ASSERT_EQ(again.functions.size(), module.functions.size());
  for (const Function& function : module.functions) {
    const Function& other = again.functions[again.find_function(function.name)];
    EXPECT_EQ(other.instructions.size(), function.instructions.size());
    EXPECT_EQ(other.registers.size(), function.registers.size());
    EXPECT_EQ(other.parameter_bytes, function.parameter_bytes);
  }
}

TEST(PtxSamples, RoundTrip) {
  ASSERT_FALSE(sample().empty());
  expect_round_trip(sample());
}

TEST(PtxSamples, RoundTripOfTheLibrary) {
  const auto modules = library_modules();
  if (modules.empty()) GTEST_SKIP() << "the library's kernels are not built";
  for (const std::string& text : modules) expect_round_trip(text);
}

TEST(PtxSamples, WhatTheSampleHolds) {
  const Module module = Module::parse(sample());
  EXPECT_EQ(module.target, "sm_90a");
  const Index memory = module.find_function("_Z6memoryPii");
  ASSERT_NE(memory, no_index);
  const Function& function = module.functions[memory];
  EXPECT_EQ(function.bounds.max_threads[0], 128u);
  EXPECT_EQ(function.bounds.min_ctas_per_sm, 2u);
  EXPECT_EQ(function.local_bytes, 256u);
  EXPECT_TRUE(module.place_of(function.instructions.front()).starts_with("features.cu:"));
  const auto indirect = [](const Function& each) {
    return std::any_of(each.calls.begin(), each.calls.end(),
                       [](const Call& call) { return call.prototype != no_index; });
  };
  EXPECT_TRUE(std::any_of(module.functions.begin(), module.functions.end(), indirect));
  const Index functions = module.find_variable("functions");
  ASSERT_NE(functions, no_index);
  EXPECT_EQ(module.variables[functions].relocations.size(), 2u);
  EXPECT_TRUE(std::any_of(module.locations.begin(), module.locations.end(),
                          [](const Location& location) { return !location.function.empty(); }));
}

TEST(PtxSamples, AreParsedFast) {
  std::string text = sample();
  for (const std::string& module : library_modules())
    if (module.size() > text.size()) text = module;
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    Module::parse(text);
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  const double of_a_megabyte = best * 1e6 / static_cast<double>(text.size());
  RecordProperty("ms_per_megabyte", std::to_string(of_a_megabyte));
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(of_a_megabyte, 50);
#endif
}

}  // namespace
}  // namespace emu::ptx
