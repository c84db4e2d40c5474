#include "ops/suite.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "ops/parse.hpp"

namespace ckl::bench {
namespace {

std::string error_of(const std::string& text) {
  try {
    parse_suite(text, "suite.yaml", operators());
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no UsageError";
}

TEST(Suite, CombinesListsAndTakesDefaults) {
  const auto cases = parse_suite(R"(
name: small
rows:
  - op: gemm
    dtype: [bf16, f16]
    problem: [1x2x3, 4x5x6]
  - op: add
    problem: "4096"
)",
                                 "suite.yaml", operators());
  ASSERT_EQ(cases.size(), 5u);
  EXPECT_EQ(cases[0].one.to_string(), "gemm 1x2x3 bf16 tn");
  EXPECT_EQ(cases[3].one.to_string(), "gemm 4x5x6 f16 tn");
  EXPECT_EQ(cases[4].one.to_string(), "add 4096 bf16 contiguous");
  EXPECT_EQ(cases[4].one.suite, "small");
}

TEST(Suite, NamesWhoTakesPart) {
  const auto cases =
      parse_suite("{name: s, rows: [{op: gemm, impl: [ckl, ladder_3_tma]}, {op: gemm}]}", "s", operators());
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[0].implementations, (std::vector<std::string>{"ckl", "ladder_3_tma"}));
  EXPECT_TRUE(cases[1].implementations.empty());
}

TEST(Suite, LeavesOutOtherOperators) {
  const std::string text = "{name: s, rows: [{op: gemm}, {op: add}]}";
  EXPECT_EQ(parse_suite(text, "s", find_operators("add")).size(), 1u);
}

TEST(Suite, SaysWhatIsWrong) {
  EXPECT_EQ(error_of("[]"), "suite.yaml: must have a name and a list of rows");
  EXPECT_EQ(error_of("{name: s}"), "suite.yaml: must have a name and a list of rows");
  EXPECT_EQ(error_of("{name: s, rows: [{dtype: bf16}]}"), "suite.yaml: entry 1: must name its op");
  EXPECT_EQ(error_of("{name: s, rows: [{op: gemm}, {op: gemm, layout: xx}]}"),
            "suite.yaml: entry 2: --layout: must be one of tn, nn, nt, tt, got `xx`");
  EXPECT_NE(error_of("{name: s, rows: [{op: gemm, dtype: [[1]]}]}").find("suite.yaml: is not a suite"),
            std::string::npos);
  EXPECT_NE(error_of("name: 'open").find("suite.yaml: is not a suite"), std::string::npos);
}

TEST(Suite, AllShippedOnesAreGood) {
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(CKL_SUITES)) {
    EXPECT_FALSE(read_suite(file.path(), operators()).empty()) << file.path();
    ++files;
  }
  EXPECT_GT(files, 0);
  EXPECT_FALSE(read_suite(CKL_SUITES "/../peers/peers.yaml", operators()).empty());
}

}  // namespace
}  // namespace ckl::bench
