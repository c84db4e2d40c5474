#include "report/compare.hpp"

#include <gtest/gtest.h>

namespace ckl::bench {
namespace {

/// One row of ours that was timed, and compared with the vendor if `ratio` is not 0.
Document with(double us, double ratio, double spread = 0.01) {
  Row row;
  row.op = "gemm";
  row.problem = {{"m", 1}};
  row.regime = "cold";
  row.impl = "ckl";
  row.verified = true;
  row.time_us = Spread{us, us * (1 - spread), us * (1 + spread)};
  if (ratio != 0) row.ratio["cublaslt_top1"] = {ratio, ratio * (1 - spread), ratio * (1 + spread)};
  Document document;
  document.rows = {row};
  return document;
}

Change change(const Document& before, const Document& after) { return compare(before, after).front().change; }

TEST(Compare, TrustsTheRatioRatherThanTheTime) {
  // Another machine with a slower clock: the time grows, the ratio to the vendor does not.
  EXPECT_EQ(change(with(10, 1.0), with(11, 1.0)), Change::same);
  EXPECT_EQ(change(with(10, 1.0), with(10, 0.9)), Change::slower);
  EXPECT_EQ(change(with(10, 0.9), with(10, 1.0)), Change::faster);
}

TEST(Compare, TakesTheTimeWhereThereIsNoOpponent) {
  EXPECT_EQ(change(with(10, 0), with(11, 0)), Change::slower);
  EXPECT_EQ(change(with(11, 0), with(10, 0)), Change::faster);
}

TEST(Compare, RespectsTheSpread) {
  EXPECT_EQ(change(with(10, 1.0, 0.06), with(10, 0.9, 0.06)), Change::same);
  EXPECT_EQ(change(with(10, 1.0, 0.001), with(10, 0.985, 0.001)), Change::same) << "less than 2 %";
}

TEST(Compare, FindsWrongMissingAndNewRows) {
  Document wrong = with(10, 1.0);
  wrong.rows[0].verified = false;
  wrong.rows[0].time_us.reset();
  EXPECT_EQ(change(with(10, 1.0), wrong), Change::wrong);
  EXPECT_EQ(change(with(10, 1.0), Document()), Change::missing);
  EXPECT_EQ(change(Document(), with(10, 1.0)), Change::added);
  Document untimed = with(10, 0);
  untimed.rows[0].time_us.reset();
  EXPECT_EQ(change(with(10, 0), untimed), Change::missing);
}

TEST(Compare, CallsRegressionsByName) {
  for (Change bad : {Change::slower, Change::wrong, Change::missing}) EXPECT_TRUE(is_regression(bad));
  for (Change good : {Change::same, Change::faster, Change::added}) EXPECT_FALSE(is_regression(good));
  EXPECT_EQ(comparison_lines(compare(with(10, 1.0), with(10, 0.9))).back(), "1 rows: 1 SLOWER");
}

}  // namespace
}  // namespace ckl::bench
