#include "compare.hpp"

#include <cmath>
#include <limits>

namespace ckl::reference {

bool acceptable(FloatFormat format, double actual, double expected, double slack) {
  if (std::isnan(expected)) return std::isnan(actual);
  if (std::isinf(expected)) return actual == expected;
  if (std::abs(actual - expected) <= slack) return true;  // the common case, without rounding anything
  return actual >= round_to(format, expected - slack) && actual <= round_to(format, expected + slack);
}

double relative_error(FloatFormat format, double actual, double expected, double scale) {
  if (std::isnan(actual) && std::isnan(expected)) return 0;
  if (!std::isfinite(actual) && actual == round_to(format, expected)) return 0;  // overflow, as it should
  if (!std::isfinite(actual) || !std::isfinite(expected)) return std::numeric_limits<double>::infinity();
  const double difference = std::abs(actual - expected);
  return difference == 0 ? 0 : difference / scale;
}

}  // namespace ckl::reference
