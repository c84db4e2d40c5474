#include "timer/statistics.hpp"

#include <gtest/gtest.h>

namespace ckl::bench {
namespace {

TEST(Quantile, InterpolatesBetweenNeighbours) {
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({10, 0}, 0.1), 1);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.9), 7);
  EXPECT_DOUBLE_EQ(quantile({3, 1, 2}, 0), 1);
  EXPECT_DOUBLE_EQ(quantile({3, 1, 2}, 1), 3);
}

TEST(Quantile, NeedsAValue) { EXPECT_THROW(quantile({}, 0.5), std::invalid_argument); }

TEST(Spread, HoldsMedianAndTails) {
  std::vector<double> values;
  for (int i = 0; i <= 100; ++i) values.push_back(i);
  const Spread s = spread(values);
  EXPECT_DOUBLE_EQ(s.median, 50);
  EXPECT_DOUBLE_EQ(s.p10, 10);
  EXPECT_DOUBLE_EQ(s.p90, 90);
}

TEST(PairedRatio, IgnoresDriftThatMovesBoth) {
  // Both slow down by half during the measurement; their ratio never moves.
  const Spread ratio = paired_ratio({10, 12, 15}, {5, 6, 7.5});
  EXPECT_DOUBLE_EQ(ratio.median, 2);
  EXPECT_DOUBLE_EQ(ratio.p10, 2);
  EXPECT_DOUBLE_EQ(ratio.p90, 2);
}

TEST(PairedRatio, NeedsPairs) { EXPECT_THROW(paired_ratio({1, 2}, {1}), std::invalid_argument); }

TEST(GeometricMean, OfReciprocalsIsOne) {
  EXPECT_DOUBLE_EQ(geometric_mean({2, 0.5}), 1);
  EXPECT_NEAR(geometric_mean({1, 2, 4}), 2, 1e-15);
  EXPECT_THROW(geometric_mean({}), std::invalid_argument);
}

}  // namespace
}  // namespace ckl::bench
