#include "compare.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

namespace ckl::reference {

bool acceptable(FloatFormat format, double actual, double expected, double slack) {
  if (std::isnan(expected)) return std::isnan(actual);
  if (std::isinf(expected)) return actual == expected;
  // The common cases, without rounding anything: within the slack, or nearer to `expected` than its neighbours are.
  const double difference = std::abs(actual - expected);
  if (difference <= slack) return true;
  if (difference < ulp(format, std::min(std::abs(actual), std::abs(expected))) / 2) return true;
  return actual >= round_to(format, expected - slack) && actual <= round_to(format, expected + slack);
}

double relative_error(FloatFormat format, double actual, double expected, double scale) {
  if (std::isnan(actual) && std::isnan(expected)) return 0;
  if (!std::isfinite(actual) && actual == round_to(format, expected)) return 0;  // overflow, as it should
  if (!std::isfinite(actual) || !std::isfinite(expected)) return std::numeric_limits<double>::infinity();
  const double difference = std::abs(actual - expected);
  return difference == 0 ? 0 : difference / scale;
}

void judge(Comparison& comparison, FloatFormat format, double actual, double expected, double slack, std::int64_t row,
           std::int64_t column) {
  const double half = std::isfinite(expected) ? ulp(format, expected) / 2 : 0;
  comparison.error = std::max(comparison.error, relative_error(format, actual, expected, slack + half));
  if (acceptable(format, actual, expected, slack) || comparison.wrong++ > 0) return;
  std::ostringstream text;
  text.precision(9);
  text << "element " << column << " of row " << row << " is " << actual << ", expected " << expected
       << " before rounding, give or take " << slack;
  comparison.first_wrong = text.str();
}

void append(Comparison& comparison, const Comparison& more) {
  comparison.error = std::max(comparison.error, more.error);
  if (comparison.wrong == 0) comparison.first_wrong = more.first_wrong;
  comparison.wrong += more.wrong;
}

}  // namespace ckl::reference
