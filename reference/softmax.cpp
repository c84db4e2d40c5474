#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "compare.hpp"
#include "numeric.hpp"
#include "parallel.hpp"
#include "reference.hpp"

namespace ckl::reference {
namespace {

using Index = std::array<std::int64_t, max_rank>;

/// The index of the first element of row number `row`, rows counted in C order of the other dimensions.
template <class Problem> Index first_of(const Problem& p, std::int64_t row) {
  Index index{};
  for (int d = p.rank - 1; d >= 0; --d) {
    if (d == p.axis) continue;
    index[d] = row % p.sizes[d];
    row /= p.sizes[d];
  }
  return index;
}

template <class Problem> std::int64_t offset_of(const Problem& p, const TensorOperand& operand, const Index& index) {
  std::int64_t offset = 0;
  for (int d = 0; d < p.rank; ++d) offset += index[d] * operand.strides[d];
  return offset;
}

/// The place of an index in C order.
template <class Problem> std::int64_t linear(const Problem& p, const Index& index) {
  std::int64_t at = 0;
  for (int d = 0; d < p.rank; ++d) at = at * p.sizes[d] + index[d];
  return at;
}

/// Elements of y from one of a row to the next, in C order.
template <class Problem> std::int64_t step_of(const Problem& p) {
  std::int64_t step = 1;
  for (int d = p.axis + 1; d < p.rank; ++d) step *= p.sizes[d];
  return step;
}

/// One row: s = scale * x + mask in, the result in its place. The slack of each in the place of the numbers whose rounding makes the errors
/// of s.
void transform(const SoftmaxProblem& p, std::vector<double>& s, std::vector<double>& slack) {
  constexpr double unit = 0x1p-24;  // half a unit of f32 in the last place, relative
  const auto largest = std::max_element(s.begin(), s.end(), [](double a, double b) { return a < b; });
  const double max = *largest, of_max = slack[std::size_t(largest - s.begin())];
  double sum = 0;
  for (double value : s) sum += std::exp(value - max);
  const double log_sum = std::log(sum), depth = 64 + 2 * std::log2(double(s.size()));
  for (std::size_t i = 0; i < s.size(); ++i) {
    const double distance = s[i] - max;
    // Of the exponent: the rounding of s, of the difference, and of its product with log2(e).
    const double magnified = unit * (2 * std::abs(distance) + slack[i] + of_max);
    const double result = p.log ? distance - log_sum : std::exp(distance) / sum;
    slack[i] = p.log ? magnified + unit * (depth + 4 * std::abs(log_sum)) : result * (magnified + unit * depth);
    if (!std::isfinite(slack[i])) slack[i] = 0;
    s[i] = result;
  }
}

template <class Problem> std::int64_t elements(const Problem& p) {
  std::int64_t count = 1;
  for (int d = 0; d < p.rank; ++d) count *= p.sizes[d];
  return count;
}

template <class Problem> std::int64_t rows_of(const Problem& p) {
  const std::int64_t count = elements(p);
  return count == 0 ? 0 : count / p.sizes[p.axis];
}

/// Calls body(row, index of its first element, values, slack) for rows [begin, end).
template <class Body> void for_each_row(const SoftmaxProblem& p, const SoftmaxPointers& inputs, std::int64_t begin,
                                        std::int64_t end, const Body& body) {
  const Numeric numeric(p.x.dtype);
  const std::int64_t columns = p.sizes[p.axis];
  std::vector<double> y(static_cast<std::size_t>(columns)), slack(y.size());
  for (std::int64_t r = begin; r < end; ++r) {
    const Index first = first_of(p, r);
    const std::int64_t from = offset_of(p, p.x, first), mask_from = p.has_mask ? offset_of(p, p.mask, first) : 0;
    const std::int64_t own = p.causal ? first[p.rank - 2] : 0;
    for (std::int64_t i = 0; i < columns; ++i) {
      const double scaled = double(p.scale) * numeric.read(inputs.x, from + i * p.x.strides[p.axis]);
      const double mask = p.has_mask ? numeric.read(inputs.mask, mask_from + i * p.mask.strides[p.axis]) : 0;
      y[i] = !p.causal || i - own <= p.diagonal ? scaled + mask : -std::numeric_limits<double>::infinity();
      slack[i] = (p.scale == 1 ? 0 : std::abs(scaled)) + (p.has_mask ? std::abs(y[i]) : 0);
    }
    transform(p, y, slack);
    body(r, first, y, slack);
  }
}

/// What the gradient of a softmax is read from.
struct Gradient {
  const void *y, *dy;
  double tolerance;  ///< Granted to each element, relative to what it is the difference of.
};

template <class Body> void for_each_row(const SoftmaxBackwardProblem& p, const Gradient& inputs, std::int64_t begin,
                                        std::int64_t end, const Body& body) {
  const Numeric numeric(p.y.dtype);
  const std::int64_t columns = p.sizes[p.axis];
  std::vector<double> y(static_cast<std::size_t>(columns)), dy(y.size()), dx(y.size()), slack(y.size());
  for (std::int64_t r = begin; r < end; ++r) {
    const Index first = first_of(p, r);
    const std::int64_t y_from = offset_of(p, p.y, first), dy_from = offset_of(p, p.dy, first);
    double sum = 0, magnitude = 0;
    for (std::int64_t i = 0; i < columns; ++i) {
      y[i] = numeric.read(inputs.y, y_from + i * p.y.strides[p.axis]);
      dy[i] = numeric.read(inputs.dy, dy_from + i * p.dy.strides[p.axis]);
      const double term = p.log ? dy[i] : dy[i] * y[i];
      sum += term, magnitude += std::abs(term);
    }
    for (std::int64_t i = 0; i < columns; ++i) {
      const double share = p.log ? std::exp(y[i]) : y[i], scale = double(p.scale);
      const double gradient = p.log ? dy[i] - share * sum : share * (dy[i] - sum);
      const double size = p.log ? std::abs(dy[i]) + share * magnitude : std::abs(share) * (std::abs(dy[i]) + magnitude);
      dx[i] = scale * gradient;
      slack[i] = std::isfinite(size) ? inputs.tolerance * std::abs(scale) * size : 0;
    }
    body(r, first, dx, slack);
  }
}

/// All rows, in C order.
template <class Problem, class Inputs>
void store_rows(const Problem& p, const Inputs& inputs, double* values, double* slack) {
  const std::int64_t columns = p.sizes[p.axis], step = step_of(p);
  parallel_for(rows_of(p), [&](std::int64_t begin, std::int64_t end) {
    for_each_row(p, inputs, begin, end, [&](std::int64_t, const Index& first, const auto& row, const auto& row_slack) {
      const std::int64_t to = linear(p, first);
      for (std::int64_t i = 0; i < columns; ++i) values[to + i * step] = row[i], slack[to + i * step] = row_slack[i];
    });
  });
}

/// Judges `actual`, laid out as `operand` says, by rows as they are computed.
template <class Problem, class Inputs>
Comparison judge_rows(const Problem& p, const Inputs& inputs, const TensorOperand& operand, const void* actual) {
  const Numeric numeric(operand.dtype);
  return compare_on_all_cores(rows_of(p), 1, [&](std::int64_t begin, std::int64_t end, Comparison& comparison) {
    for_each_row(p, inputs, begin, end, [&](std::int64_t r, const Index& first, const auto& row, const auto& slack) {
      const std::int64_t from = offset_of(p, operand, first), step = operand.strides[p.axis];
      for (std::int64_t i = 0; i < p.sizes[p.axis]; ++i)
        judge(comparison, numeric.format(), numeric.read(actual, from + i * step), row[i], slack[i], r, i);
    });
  });
}

/// The same by values in C order.
template <class Problem> Comparison judge_rows(const Problem& p, const TensorOperand& operand, const void* actual,
                                               const double* values, const double* slack) {
  const Numeric numeric(operand.dtype);
  const std::int64_t step = step_of(p);
  return compare_on_all_cores(rows_of(p), 1, [&](std::int64_t begin, std::int64_t end, Comparison& comparison) {
    for (std::int64_t r = begin; r < end; ++r) {
      const Index first = first_of(p, r);
      const std::int64_t from = offset_of(p, operand, first), to = linear(p, first);
      for (std::int64_t i = 0; i < p.sizes[p.axis]; ++i)
        judge(comparison, numeric.format(), numeric.read(actual, from + i * operand.strides[p.axis]),
              values[to + i * step], slack[to + i * step], r, i);
    }
  });
}

}  // namespace

std::int64_t element_count(const SoftmaxProblem& problem) { return elements(problem); }
std::int64_t element_count(const SoftmaxBackwardProblem& problem) { return elements(problem); }

void softmax(const SoftmaxProblem& p, const SoftmaxPointers& inputs, double* y, double* slack) {
  store_rows(p, inputs, y, slack);
}

void softmax_backward(const SoftmaxBackwardProblem& p, const void* y, const void* dy, double* dx, double* slack) {
  store_rows(p, Gradient{y, dy, softmax_backward_tolerance(p)}, dx, slack);
}

double softmax_backward_tolerance(const SoftmaxBackwardProblem& p) {
  return p.y.dtype == DType::f32 ? 0x1p-40 : f32_tolerance;
}

Comparison compare_softmax(const SoftmaxProblem& p, const void* actual, const double* y, const double* slack) {
  return judge_rows(p, p.y, actual, y, slack);
}

Comparison compare_softmax(const SoftmaxProblem& p, const SoftmaxPointers& pointers) {
  return judge_rows(p, pointers, p.y, pointers.y);
}

Comparison compare_softmax_backward(const SoftmaxBackwardProblem& p, const void* actual, const double* dx,
                                    const double* slack) {
  return judge_rows(p, p.dx, actual, dx, slack);
}

Comparison compare_softmax_backward(const SoftmaxBackwardProblem& p, const void* y, const void* dy, const void* dx,
                                    double tolerance) {
  return judge_rows(p, Gradient{y, dy, tolerance}, p.dx, dx);
}

}  // namespace ckl::reference
