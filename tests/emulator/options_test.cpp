#include "runtime/options.hpp"

#include <gtest/gtest.h>

namespace {

using emu::OptionsError;
using emu::parse_options;

TEST(Options, DefaultsAreAnH100WithAllChecks) {
  emu::Options options = parse_options({});
  EXPECT_STREQ(options.gpu->key, "h100");
  EXPECT_EQ(options.sm_count, 132);
  EXPECT_GE(options.threads, 1);
  EXPECT_TRUE(options.checks);
  EXPECT_FALSE(options.log || options.late_loads || options.late_mma || options.late_stores ||
               options.random_priorities);
  EXPECT_EQ(options.seed, 0u);
  EXPECT_EQ(options.vectors, emu::best_vector_path());
}

TEST(Options, EachVariableIsRead) {
  emu::Options options = parse_options({{"CKL_EMU_GPU", "h200"},
                                        {"CKL_EMU_SMS", "8"},
                                        {"CKL_EMU_THREADS", "3"},
                                        {"CKL_EMU_CHECK", "0"},
                                        {"CKL_EMU_SEED", "18446744073709551615"},
                                        {"CKL_EMU_LOG", "1"},
                                        {"CKL_EMU_VECTORS", "portable"},
                                        {"CKL_EMU_MODE", "late-loads,random"}});
  EXPECT_STREQ(options.gpu->key, "h200");
  EXPECT_EQ(options.sm_count, 8);
  EXPECT_EQ(options.threads, 3);
  EXPECT_FALSE(options.checks);
  EXPECT_EQ(options.seed, UINT64_MAX);
  EXPECT_TRUE(options.log);
  EXPECT_EQ(options.vectors, emu::VectorPath::portable);
  EXPECT_TRUE(options.late_loads && options.random_priorities);
  EXPECT_FALSE(options.late_mma || options.late_stores);
}

TEST(Options, ModesCombine) {
  emu::Options late = parse_options({{"CKL_EMU_MODE", "late"}});
  EXPECT_TRUE(late.late_loads && late.late_mma && late.late_stores);
  emu::Options early = parse_options({{"CKL_EMU_MODE", "early"}});
  EXPECT_FALSE(early.late_loads || early.late_mma || early.late_stores);
}

TEST(Options, MalformedValuesAreNamed) {
  const std::map<std::string, std::vector<std::string>> malformed = {
      {"CKL_EMU_GPU", {"", "a100", "H100"}},
      {"CKL_EMU_SMS", {"", "0", "-1", "8x", "2000", " 8"}},
      {"CKL_EMU_THREADS", {"0", "two", "1.5"}},
      {"CKL_EMU_CHECK", {"", "yes", "2"}},
      {"CKL_EMU_SEED", {"-1", "0x10", "1e3"}},
      {"CKL_EMU_LOG", {"true"}},
      {"CKL_EMU_VECTORS", {"", "best", "AVX2"}},
      {"CKL_EMU_MODE", {"", "eager", "late,", "late, random"}},
      {"CKL_EMU_MODES", {"late"}},
      {"CKL_EMU_", {"1"}},
  };
  for (const auto& [name, values] : malformed)
    for (const std::string& value : values) {
      try {
        parse_options({{name, value}});
        ADD_FAILURE() << name << "=\"" << value << "\" was accepted";
      } catch (const OptionsError& error) {
        EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      }
    }
}

}  // namespace
