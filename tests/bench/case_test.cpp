#include <gtest/gtest.h>

#include "ckl/elementwise.hpp"
#include "ops/gemm_epilogue.hpp"
#include "ops/operator.hpp"
#include "ops/parse.hpp"

namespace ckl::bench {
namespace {

/// What the UsageError says that `run` throws.
template <class Run> std::string usage_error(const Run& run) {
  try {
    run();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no UsageError";
}

TEST(Combinations, VaryTheProblemFastest) {
  const std::vector<Settings> rows =
      combinations({{"dtype", {"bf16", "f16"}}, {"problem", {"1x1x1", "2x2x2"}}, {"zeta", {"z"}}});
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].at("dtype"), "bf16");
  EXPECT_EQ(rows[1].at("dtype"), "bf16");
  EXPECT_EQ(rows[1].at("problem"), "2x2x2");
  EXPECT_EQ(rows[2].at("dtype"), "f16");
}

TEST(ParseSizes, TakesNumbersJoinedByX) {
  EXPECT_EQ(parse_sizes("problem", "4096x2112x7168", 3), (std::vector<std::int64_t>{4096, 2112, 7168}));
  EXPECT_EQ(parse_sizes("problem", "9000000000", 0), (std::vector<std::int64_t>{9000000000}));
}

TEST(ParseSizes, SaysWhatIsWrong) {
  for (const char* text : {"", "x", "4096", "1x2", "1x2x3x4", "1x2x-3", "1x2x3 ", "1x2x3x", "axbxc", "1,2,3",
                           "99999999999999999999x1x1"}) {
    const std::string message = usage_error([&] { parse_sizes("problem", text, 3); });
    EXPECT_NE(message.find("--problem: must be"), std::string::npos) << text << ": " << message;
    EXPECT_NE(message.find(std::string("got `") + text + "`"), std::string::npos) << message;
  }
  EXPECT_NE(usage_error([] { parse_sizes("problem", "1x1x1x1x1x1", 0); }).find("at most 5"), std::string::npos);
}

TEST(Gemm, ParsesItsProblem) {
  const Case one = find_operator("gemm").parse(
      {{"problem", "8x16x32"}, {"dtype", "bf16"}, {"dtype-out", "f32"}, {"layout", "nt"}, {"beta", "0.5"}});
  EXPECT_EQ(one.problem.dump(), R"({"m":8,"n":16,"k":32,"beta":0.5})");
  EXPECT_EQ(one.dtype_out, "f32");
  EXPECT_EQ(one.to_string(), "gemm 8x16x32 beta=0.5 bf16->f32 nt");
}

TEST(Gemm, ParsesItsEpilogue) {
  const Case one = find_operator("gemm").parse(
      {{"problem", "8x16x32"}, {"dtype", "bf16"}, {"layout", "tn"}, {"epilogue", "bias+gelu_tanh+residual"}});
  EXPECT_EQ(one.problem.dump(), R"({"m":8,"n":16,"k":32,"epilogue":"bias+gelu_tanh+residual"})");
  EXPECT_EQ(one.to_string(), "gemm 8x16x32 bias+gelu_tanh+residual bf16 tn");
  const GemmEpilogue epilogue = parse_epilogue("bias+gelu_tanh+residual", DType::f16, 8, 16);
  EXPECT_EQ(epilogue.to_string(), "column_bias:f16+gelu_tanh+residual:f16:16:1");
}

TEST(Gemm, RejectsWhatItDoesNotKnow) {
  const Operator& gemm = find_operator("gemm");
  const Settings good = {{"problem", "8x8x8"}, {"dtype", "bf16"}, {"layout", "tn"}};
  const auto with = [&](const char* key, const char* value) {
    Settings settings = good;
    settings[key] = value;
    return usage_error([&] { gemm.parse(settings); });
  };
  EXPECT_EQ(with("dtype", "f64"), "--dtype: must be one of bf16, f16, got `f64`");
  EXPECT_EQ(with("layout", "xy"), "--layout: must be one of tn, nn, nt, tt, got `xy`");
  EXPECT_EQ(with("alpha", "one"), "--alpha: must be a number, got `one`");
  EXPECT_EQ(with("colour", "red"),
            "--colour: gemm takes only problem, dtype, dtype-out, layout, alpha, beta, epilogue, got `red`");
  EXPECT_NE(with("epilogue", "bias+tan").find("--epilogue: must be of bias, "), std::string::npos);
  EXPECT_EQ(with("epilogue", "gated+bias"), "no UsageError");
}

TEST(Add, NeedsTwoSizesForLayoutsThatHaveRows) {
  const std::string message = usage_error([] {
    find_operator("add").parse({{"problem", "4096"}, {"dtype", "f32"}, {"layout", "broadcast"}});
  });
  EXPECT_EQ(message, "--problem: must have two sizes or more for --layout broadcast, got `4096`");
}

TEST(FindOperators, KnowsNamesFamiliesAndAll) {
  EXPECT_EQ(find_operators("all").size(), operators().size());
  EXPECT_EQ(find_operators("elementwise").front()->name(), "add");
  EXPECT_EQ(int(find_operators("elementwise").size()), elementwise_op_count);
  const std::string message = usage_error([] { find_operators("frob"); });
  EXPECT_EQ(message.find("op: must be one of gemm, add, cast, "), 0) << message;
  EXPECT_NE(message.find(", cross_entropy, cross_entropy_backward, norm, norm_backward, "), std::string::npos)
      << message;
  EXPECT_NE(message.find(", reduce, softmax, softmax_backward, memory_ablation, all, got `frob`"), std::string::npos)
      << message;
}

TEST(Operators, AcceptTheirOwnDefaults) {
  for (const Operator* op : operators())
    for (bool small : {false, true})
      for (const Settings& settings : combinations(op->defaults(small))) EXPECT_EQ(op->parse(settings).op, op->name());
}

}  // namespace
}  // namespace ckl::bench
