#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ops/operator.hpp"
#include "reference/numeric.hpp"

namespace ckl::bench {

std::vector<std::string> describe_reference(DType dtype, const std::vector<double>& d) {
  const reference::FloatFormat format = reference::format_of(dtype);
  double squares = 0, largest = 0, rounding = 0;
  for (double value : d) {
    squares += value * value;
    largest = std::max(largest, std::abs(value));
    rounding = std::max(rounding, std::abs(reference::round_to(format, value) - value));
  }
  const double rms = d.empty() ? 0 : std::sqrt(squares / double(d.size()));
  return {fmt::format("{} elements, root mean square {:.6g}, largest magnitude {:.6g}", d.size(), rms, largest),
          fmt::format("rounding to {} changes an element by at most {:.3g}", name(dtype), rounding)};
}

}  // namespace ckl::bench
