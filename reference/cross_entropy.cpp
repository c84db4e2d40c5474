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

constexpr double unit = 0x1p-24;  // half a unit of f32 in the last place, relative
constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

template <class Problem> std::int64_t classes_of(const Problem& p) { return p.sizes[p.rank - 1]; }

template <class Problem> std::int64_t rows_of(const Problem& p) {
  std::int64_t rows = 1;
  for (int d = 0; d < p.rank - 1; ++d) rows *= p.sizes[d];
  return rows;
}

/// Elements from element (0, 0, ...) to the first, or only, one of row `row`; rows are counted in C order.
template <class Problem> std::int64_t row_offset(const Problem& p, const TensorOperand& operand, std::int64_t row) {
  std::int64_t offset = 0;
  for (int d = p.rank - 2; d >= 0; --d) {
    offset += row % p.sizes[d] * operand.strides[d];
    row /= p.sizes[d];
  }
  return offset;
}

template <class Problem> std::int64_t target_of(const Problem& p, const void* targets, std::int64_t row) {
  return read_integer(p.targets.dtype, targets, row_offset(p, p.targets, row));
}

/// The logits of a row.
template <class Problem>
void read_row(const Problem& p, const Numeric& numeric, const void* logits, std::int64_t row, std::vector<double>& x) {
  const std::int64_t from = row_offset(p, p.logits, row), step = p.logits.strides[p.rank - 1];
  for (std::size_t j = 0; j < x.size(); ++j) x[j] = numeric.read(logits, from + std::int64_t(j) * step);
}

/// What is not a number has no error.
double finite_or_0(double slack) { return std::isfinite(slack) ? slack : 0; }

/// Result number `row` of a row `x` of logits.
void evaluate(const CrossEntropyProblem& p, const std::vector<double>& x, std::int64_t target, std::size_t row,
              CrossEntropyResult& result) {
  const double n = double(x.size()), s = double(p.label_smoothing), depth = 64 + 2 * std::log2(n);
  double max = -infinity, sum = 0, total = 0, magnitude = 0;
  for (double logit : x) max = std::max(max, logit);  // a NaN is less than anything
  for (double logit : x) {
    sum += std::exp(logit - (max == -infinity ? 0 : max));
    total += logit, magnitude += std::abs(logit);
  }
  const double log_sum = std::log(sum), error = unit * (depth + 4 * std::abs(log_sum));
  result.lse[row] = max + log_sum;
  result.lse_slack[row] = finite_or_0(error);
  result.loss_slack[row] = 0;
  if (target == p.ignore_index) {
    result.loss[row] = 0;
  } else if (target < 0 || target >= std::int64_t(x.size())) {
    result.loss[row] = nan;
  } else {
    const double distance = max - x[std::size_t(target)], from_mean = s > 0 ? max - total / n : 0;
    result.loss[row] = log_sum + (s < 1 ? (1 - s) * distance : 0) + s * from_mean;
    result.loss_slack[row] =
        finite_or_0(error + (s < 1 ? 4 * unit * std::abs(distance) : 0) +
                    (s > 0 ? s * unit * (depth * magnitude / n + 4 * (std::abs(from_mean) + std::abs(max))) : 0));
  }
}

Comparison compare_rows(const CrossEntropyProblem& p, const TensorOperand& operand, const float* actual,
                        const std::vector<double>& expected, const std::vector<double>& slack) {
  const Numeric numeric(DType::f32);
  Comparison comparison;
  comparison.bound = 1;
  for (std::size_t row = 0; row < expected.size(); ++row)
    judge(comparison, numeric.format(), numeric.read(actual, row_offset(p, operand, std::int64_t(row))), expected[row],
          slack[row], std::int64_t(row), 0);
  return comparison;
}

/// The gradients of a row `x` of logits in its place, and their slack.
void differentiate(const CrossEntropyBackwardProblem& p, std::int64_t target, double lse, double dloss,
                   std::vector<double>& x, std::vector<double>& slack) {
  const double s = double(p.label_smoothing), n = double(x.size());
  const bool is_class = target >= 0 && target < std::int64_t(x.size());
  for (std::size_t j = 0; j < x.size(); ++j) {
    const double exponent = x[j] - lse, probability = std::exp(exponent);
    const double wanted = s / n + (std::int64_t(j) == target ? 1 - s : 0);
    x[j] = target == p.ignore_index ? 0 : is_class ? dloss * (probability - wanted) : nan;
    // Of the exponent: the rounding of the difference and of its product with log2(e). Of the rest, a few units; exponentials below the
    // normal numbers may vanish.
    const double error = probability * unit * (8 + 4 * std::abs(exponent)) + 4 * unit * wanted + 0x1p-126;
    slack[j] = finite_or_0(std::abs(dloss) * error + 2 * unit * std::abs(x[j]));
    if (std::isnan(x[j]) || target == p.ignore_index) slack[j] = 0;
  }
}

/// Calls body(row, gradients, slack) for all rows, those of a piece of [0, rows) at a time.
template <class Body> void for_each_gradient(const CrossEntropyBackwardProblem& p,
                                             const CrossEntropyBackwardPointers& pointers, std::int64_t begin,
                                             std::int64_t end, const Body& body) {
  const Numeric numeric(p.logits.dtype);
  std::vector<double> gradients(std::size_t(classes_of(p))), slack(gradients.size());
  for (std::int64_t row = begin; row < end; ++row) {
    read_row(p, numeric, pointers.logits, row, gradients);
    differentiate(p, target_of(p, pointers.targets, row), double(pointers.lse[row_offset(p, p.lse, row)]),
                  double(pointers.dloss[row_offset(p, p.dloss, row)]), gradients, slack);
    body(row, gradients, slack);
  }
}

}  // namespace

CrossEntropyResult cross_entropy(const CrossEntropyProblem& p, const void* logits, const void* targets) {
  const Numeric numeric(p.logits.dtype);
  const auto rows = std::size_t(rows_of(p));
  CrossEntropyResult result;
  for (std::vector<double>* values : {&result.loss, &result.lse, &result.loss_slack, &result.lse_slack})
    values->resize(rows);
  parallel_for(std::int64_t(rows), [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> x(std::size_t(classes_of(p)));
    for (std::int64_t row = begin; row < end; ++row) {
      read_row(p, numeric, logits, row, x);
      evaluate(p, x, target_of(p, targets, row), std::size_t(row), result);
    }
  });
  return result;
}

Comparison compare_cross_entropy(const CrossEntropyProblem& p, const float* loss, const CrossEntropyResult& expected) {
  return compare_rows(p, p.loss, loss, expected.loss, expected.loss_slack);
}

Comparison compare_cross_entropy_lse(const CrossEntropyProblem& p, const float* lse,
                                     const CrossEntropyResult& expected) {
  return compare_rows(p, p.lse, lse, expected.lse, expected.lse_slack);
}

std::int64_t element_count(const CrossEntropyBackwardProblem& p) { return rows_of(p) * classes_of(p); }

std::vector<double> cross_entropy_backward(const CrossEntropyBackwardProblem& p,
                                           const CrossEntropyBackwardPointers& pointers) {
  std::vector<double> dlogits(std::size_t(element_count(p)));
  parallel_for(rows_of(p), [&](std::int64_t begin, std::int64_t end) {
    for_each_gradient(p, pointers, begin, end, [&](std::int64_t row, const auto& gradients, const auto&) {
      std::copy(gradients.begin(), gradients.end(), dlogits.begin() + row * classes_of(p));
    });
  });
  return dlogits;
}

Comparison compare_cross_entropy_backward(const CrossEntropyBackwardProblem& p,
                                          const CrossEntropyBackwardPointers& pointers, const void* dlogits) {
  const Numeric numeric(p.dlogits.dtype);
  return compare_on_all_cores(rows_of(p), 1, [&](std::int64_t begin, std::int64_t end, Comparison& piece) {
    for_each_gradient(p, pointers, begin, end, [&](std::int64_t row, const auto& gradients, const auto& slack) {
      const std::int64_t from = row_offset(p, p.dlogits, row), step = p.dlogits.strides[p.rank - 1];
      for (std::int64_t j = 0; j < classes_of(p); ++j)
        judge(piece, numeric.format(), numeric.read(dlogits, from + j * step), gradients[std::size_t(j)],
              slack[std::size_t(j)], row, j);
    });
  });
}

}  // namespace ckl::reference
