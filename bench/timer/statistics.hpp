#pragma once

#include <vector>

namespace ckl::bench {

/// A distribution in three numbers.
struct Spread {
  double median = 0;
  double p10 = 0;
  double p90 = 0;
};

/// The value below which a share `q` (0 to 1) of `values` lies, linear between neighbours.
/// `values` must not be empty; its order does not matter.
double quantile(std::vector<double> values, double q);

/// Median, 10 % and 90 % of `values`, which must not be empty.
Spread spread(const std::vector<double>& values);

/// The ratios `numerator[i] / denominator[i]` of measurements taken side by side. Drift of the clocks moves both
/// and leaves the ratio, which is why rows are compared by it and not by their medians.
Spread paired_ratio(const std::vector<double>& numerator, const std::vector<double>& denominator);

/// The geometric mean of positive `values`, which must not be empty.
double geometric_mean(const std::vector<double>& values);

}  // namespace ckl::bench
