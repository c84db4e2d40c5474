#include "timer/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace ckl::bench {

double quantile(std::vector<double> values, double q) {
  if (values.empty()) throw std::invalid_argument("quantile: needs at least one value, got none");
  std::sort(values.begin(), values.end());
  const double position = q * double(values.size() - 1);
  const std::size_t below = std::size_t(position);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - double(below)) * (values[above] - values[below]);
}

Spread spread(const std::vector<double>& values) {
  return {quantile(values, 0.5), quantile(values, 0.1), quantile(values, 0.9)};
}

Spread paired_ratio(const std::vector<double>& numerator, const std::vector<double>& denominator) {
  if (numerator.size() != denominator.size())
    throw std::invalid_argument("paired_ratio: needs equally many samples of both, got " +
                                std::to_string(numerator.size()) + " and " + std::to_string(denominator.size()));
  std::vector<double> ratios(numerator.size());
  for (std::size_t i = 0; i < ratios.size(); ++i) ratios[i] = numerator[i] / denominator[i];
  return spread(ratios);
}

double geometric_mean(const std::vector<double>& values) {
  if (values.empty()) throw std::invalid_argument("geometric_mean: needs at least one value, got none");
  double sum = 0;
  for (double value : values) sum += std::log(value);
  return std::exp(sum / double(values.size()));
}

}  // namespace ckl::bench
