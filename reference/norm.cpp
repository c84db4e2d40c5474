#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <sstream>
#include <utility>

#include "compare.hpp"
#include "numeric.hpp"
#include "parallel.hpp"
#include "reference.hpp"

namespace ckl::reference {
namespace {

template <class Problem> std::int64_t columns_of(const Problem& p) { return p.sizes[p.rank - 1]; }

/// Elements from element (0, 0, ...) to the first, or only, one of row `row`; rows are counted in C order.
template <class Problem> std::int64_t row_offset(const Problem& p, const TensorOperand& operand, std::int64_t row) {
  std::int64_t offset = 0;
  for (int d = p.rank - 2; d >= 0; --d) {
    offset += row % p.sizes[d] * operand.strides[d];
    row /= p.sizes[d];
  }
  return offset;
}

/// One row of an operand in host memory.
class Row {
 public:
  template <class Problem> Row(const Problem& p, const TensorOperand& operand, const void* data, std::int64_t row)
      : numeric_(operand.dtype), data_(data), first_(row_offset(p, operand, row)), step_(operand.strides[p.rank - 1]) {}

  double operator[](std::int64_t column) const { return numeric_.read(data_, first_ + column * step_); }

 private:
  Numeric numeric_;
  const void* data_;
  std::int64_t first_, step_;
};

double mean_of(const double* values, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += values[i];
  const double mean = sum / double(count);
  double rest = 0;  // what rounding of the large sum has lost
  for (std::int64_t i = 0; i < count; ++i) rest += values[i] - mean;
  return mean + rest / double(count);
}

/// Adds an element to a comparison whose errors are relative to `scale`.
void judge_scaled(Comparison& comparison, FloatFormat format, double actual, double expected, double scale,
                  double tolerance, std::int64_t row, std::int64_t column) {
  comparison.error = std::max(comparison.error, relative_error(format, actual, expected, scale));
  if (acceptable(format, actual, expected, tolerance * scale)) return;
  if (comparison.wrong++ > 0) return;
  std::ostringstream text;
  text.precision(9);
  text << "row " << row << ", column " << column << " is " << actual << ", expected " << expected
       << " before rounding, give or take " << tolerance * scale;
  comparison.first_wrong = text.str();
}

template <class Problem> std::int64_t rows_of(const Problem& p) {
  const std::int64_t count = element_count(p);
  return count == 0 ? 0 : count / columns_of(p);
}

/// What a normalization makes of a row.
struct NormRow {
  explicit NormRow(std::int64_t columns) : sum(std::size_t(columns)), y(sum.size()), scale(sum.size()) {}

  std::vector<double> sum, y, scale;  ///< As in NormResult.
  double mean = 0, rstd = 0;
};

/// Calls body(row, values) for rows [begin, end).
template <class Body> void for_each_row(const NormProblem& p, const NormPointers& inputs, std::int64_t begin,
                                        std::int64_t end, const Body& body) {
  const std::int64_t columns = columns_of(p);
  const FloatFormat f32 = format_of(DType::f32), format = format_of(p.x.dtype);
  NormRow values(columns);
  for (std::int64_t row = begin; row < end; ++row) {
    double* s = values.sum.data();
    const Row x_row(p, p.x, inputs.x, row), residual_row(p, p.residual, inputs.residual, row);
    const Row weight_row(p, p.weight, inputs.weight, row), bias_row(p, p.bias, inputs.bias, row);
    for (std::int64_t i = 0; i < columns; ++i)
      s[i] = p.has_residual ? round_to(format, round_to(f32, x_row[i] + residual_row[i])) : x_row[i];
    const double mean = p.kind == NormKind::layer ? mean_of(s, columns) : 0.0;
    double squares = 0;
    for (std::int64_t i = 0; i < columns; ++i) squares += (s[i] - mean) * (s[i] - mean);
    const double rstd = 1 / std::sqrt(squares / double(columns) + double(p.epsilon));
    for (std::int64_t i = 0; i < columns; ++i) {
      const double normal = (s[i] - mean) * rstd, w = p.has_weight ? weight_row[i] : 1,
                   b = p.has_bias ? bias_row[i] : 0;
      values.y[std::size_t(i)] = normal * w + b;
      values.scale[std::size_t(i)] = (std::abs(normal) + 1) * std::abs(w) + std::abs(b);
    }
    values.mean = mean, values.rstd = rstd;
    body(row, values);
  }
}

double norm_bound(const NormProblem& p, double tolerance) {
  return p.has_scale ? 1 : std::ldexp(1.0, -format_of(p.y.dtype).fraction_bits - 1) + tolerance;
}

/// The scale of an fp8 row, from its elements before.
double scale_of_row(const NormProblem& p, const double* y) {
  double largest = 0;
  for (std::int64_t i = 0; i < columns_of(p); ++i)
    if (std::abs(y[i]) > largest) largest = std::abs(y[i]);  // no NaN is
  return std::max(std::min(largest, format_of(DType::f32).max()) / format_of(p.y.dtype).max(), 0x1p-126);
}

/// It is off by as much as the largest elements may be, and by two roundings.
void judge_scale(Comparison& comparison, const NormProblem& p, float actual, const double* y, const double* scale,
                 double tolerance, std::int64_t row) {
  double error = 0;
  for (std::int64_t i = 0; i < columns_of(p); ++i)
    if (std::isfinite(scale[i])) error = std::max(error, tolerance * scale[i]);
  const double expected = scale_of_row(p, y);
  judge(comparison, format_of(DType::f32), actual, expected, error / format_of(p.y.dtype).max() + 0x1p-24 * expected,
        row, 0);
}

/// An fp8 element is judged by what its row was divided by; on the way from f64 there, it is rounded to f32 three times.
void judge_quantized(Comparison& comparison, const NormProblem& p, const void* y, const double* expected,
                     const double* scale, double tolerance, double scale_of_row, std::int64_t row) {
  const FloatFormat format = format_of(p.y.dtype);
  const Row actual(p, p.y, y, row);
  for (std::int64_t i = 0; i < columns_of(p); ++i) {
    const double quotient = std::isinf(expected[i]) ? round_to(format, expected[i]) : expected[i] / scale_of_row;
    // Before it is divided, y is an f32, of which the smallest are 2^-149 apart.
    const double slack = (tolerance * scale[i] + 0x1p-150) / scale_of_row + 0x1p-22 * std::abs(quotient);
    judge(comparison, format, actual[i], quotient, std::isfinite(slack) ? slack : 0, row, i);
  }
}

/// `scales`: those of an fp8 result.
void judge_y(Comparison& comparison, const NormProblem& p, const void* y, const float* scales, const double* expected,
             const double* scale, double tolerance, std::int64_t row) {
  if (p.has_scale) {
    judge_scale(comparison, p, scales[row], expected, scale, tolerance, row);
    judge_quantized(comparison, p, y, expected, scale, tolerance, double(scales[row]), row);
    return;
  }
  const Row actual(p, p.y, y, row);
  for (std::int64_t i = 0; i < columns_of(p); ++i)
    judge_scaled(comparison, format_of(p.y.dtype), actual[i], expected[i], scale[i], tolerance, row, i);
}

void judge_sum(Comparison& comparison, const NormProblem& p, const void* sum, const double* expected,
               std::int64_t row) {
  const Row actual(p, p.sum, sum, row);
  for (std::int64_t i = 0; i < columns_of(p); ++i)
    judge_scaled(comparison, format_of(p.sum.dtype), actual[i], expected[i], 1, 0, row, i);
}

/// What the gradients of a norm are of a row, and of a column so far.
struct GradientRow {
  explicit GradientRow(std::int64_t columns)
      : dx(std::size_t(columns)), slack(dx.size()), dy(dx.size()), term(dx.size()) {}

  std::vector<double> dx, slack;  ///< As in NormBackwardResult.
  std::vector<double> dy, term;   ///< What the row adds to dbias and to dweight.
};

/// Calls body(row, values) for rows [begin, end).
template <class Body> void for_each_row(const NormBackwardProblem& p, const NormBackwardPointers& pointers,
                                        double tolerance, std::int64_t begin, std::int64_t end, const Body& body) {
  const std::int64_t columns = columns_of(p);
  const bool centered = p.kind == NormKind::layer;
  GradientRow values(columns);
  std::vector<double> g(static_cast<std::size_t>(columns)), normal(g.size());
  for (std::int64_t row = begin; row < end; ++row) {
    const Row x(p, p.x, pointers.x, row), dy(p, p.dy, pointers.dy, row), weight(p, p.weight, pointers.weight, row);
    const double mean = centered ? double(pointers.mean[row_offset(p, p.mean, row)]) : 0;
    const double rstd = double(pointers.rstd[row_offset(p, p.rstd, row)]);
    double of_g = 0, of_gx = 0, size_of_g = 0, size_of_gx = 0;
    for (std::int64_t i = 0; i < columns; ++i) {
      values.dy[i] = dy[i];
      g[i] = values.dy[i] * (p.has_weight ? weight[i] : 1), normal[i] = (x[i] - mean) * rstd;
      of_g += g[i] / double(columns), of_gx += g[i] * normal[i] / double(columns);
      size_of_g += std::abs(g[i]) / double(columns), size_of_gx += std::abs(g[i] * normal[i]) / double(columns);
    }
    if (!centered) of_g = size_of_g = 0;
    for (std::int64_t i = 0; i < columns; ++i) {
      const double size = std::abs(rstd) * (std::abs(g[i]) + size_of_g + std::abs(normal[i]) * size_of_gx);
      values.dx[i] = rstd * (g[i] - of_g - normal[i] * of_gx);
      values.slack[i] = std::isfinite(size) ? tolerance * size : 0;
      values.term[i] = values.dy[i] * normal[i];
    }
    body(row, values);
  }
}

/// Sums of columns, and of their absolute values.
struct ColumnSums {
  explicit ColumnSums(std::int64_t columns) : sum(std::size_t(columns)), magnitude(sum.size()) {}

  void add(const std::vector<double>& terms) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += terms[i], magnitude[i] += std::abs(terms[i]);
  }
  void add(const ColumnSums& more) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more.sum[i], magnitude[i] += more.magnitude[i];
  }

  std::vector<double> sum, magnitude;
};

/// What some rows add to the result.
struct GradientPiece {
  explicit GradientPiece(std::int64_t columns) : dweight(columns), dbias(columns) {}

  ColumnSums dweight, dbias;
  Comparison dx;
};

/// All rows, on all cores. Calls body(row, values, comparison of the piece) for each; returns the sums over them, without dx, and the
/// comparisons' sum.
template <class Body> std::pair<NormBackwardResult, Comparison> gradients(const NormBackwardProblem& p,
                                                                          const NormBackwardPointers& pointers,
                                                                          double tolerance, const Body& body) {
  const std::int64_t rows = rows_of(p), columns = columns_of(p);
  std::mutex mutex;
  std::map<std::int64_t, GradientPiece> pieces;  // by their first row: equal sums each time
  parallel_for(rows, [&](std::int64_t begin, std::int64_t end) {
    GradientPiece piece(columns);
    for_each_row(p, pointers, tolerance, begin, end, [&](std::int64_t row, const GradientRow& values) {
      piece.dweight.add(values.term), piece.dbias.add(values.dy);
      body(row, values, piece.dx);
    });
    const std::lock_guard lock(mutex);
    pieces.emplace(begin, std::move(piece));
  });
  GradientPiece whole(columns);
  for (const auto& [begin, piece] : pieces) {
    whole.dweight.add(piece.dweight), whole.dbias.add(piece.dbias);
    append(whole.dx, piece.dx);
  }
  const auto slack = [&](const std::vector<double>& magnitude) {
    std::vector<double> slack = magnitude;
    for (double& one : slack) one = std::isfinite(one) ? 0x1p-24 * double(rows + 16) * one : 0;
    return slack;
  };
  NormBackwardResult result;
  if (p.has_dweight) result.dweight = whole.dweight.sum, result.dweight_slack = slack(whole.dweight.magnitude);
  if (p.has_dbias) result.dbias = whole.dbias.sum, result.dbias_slack = slack(whole.dbias.magnitude);
  return {std::move(result), whole.dx};
}

void judge_dx(Comparison& comparison, const NormBackwardProblem& p, const void* dx, const double* expected,
              const double* slack, std::int64_t row) {
  const Row actual(p, p.dx, dx, row);
  for (std::int64_t i = 0; i < columns_of(p); ++i)
    judge(comparison, format_of(p.dx.dtype), actual[i], expected[i], slack[i], row, i);
}

}  // namespace

std::int64_t element_count(const NormProblem& problem) {
  std::int64_t count = 1;
  for (int d = 0; d < problem.rank; ++d) count *= problem.sizes[d];
  return count;
}

NormResult norm(const NormProblem& p, const void* x, const void* weight, const void* bias, const void* residual) {
  NormResult result;
  const std::int64_t count = element_count(p), columns = columns_of(p), rows = rows_of(p);
  result.y.resize(std::size_t(count)), result.scale.resize(std::size_t(count));
  result.sum.resize(std::size_t(count));
  result.mean.resize(std::size_t(rows)), result.rstd.resize(std::size_t(rows));
  parallel_for(rows, [&](std::int64_t begin, std::int64_t end) {
    for_each_row(p, {x, nullptr, weight, bias, residual}, begin, end, [&](std::int64_t row, const NormRow& values) {
      const auto store = [&](const std::vector<double>& from, std::vector<double>& to) {
        std::copy(from.begin(), from.end(), to.begin() + row * columns);
      };
      store(values.y, result.y), store(values.scale, result.scale), store(values.sum, result.sum);
      result.mean[std::size_t(row)] = values.mean;
      result.rstd[std::size_t(row)] = values.rstd;
    });
  });
  return result;
}

double norm_tolerance(const NormProblem& p) { return p.x.dtype == DType::f32 ? 0x1p-40 : f32_tolerance; }

std::vector<double> norm_scales(const NormProblem& p, const NormResult& result) {
  std::vector<double> scales;
  for (std::int64_t row = 0; row < rows_of(p); ++row)
    scales.push_back(scale_of_row(p, &result.y[std::size_t(row * columns_of(p))]));
  return scales;
}

Comparison compare_norm(const NormProblem& p, const void* y, const NormResult& expected, const float* scales) {
  const std::int64_t columns = columns_of(p);
  return compare_on_all_cores(rows_of(p), norm_bound(p, norm_tolerance(p)),
                              [&](std::int64_t begin, std::int64_t end, Comparison& comparison) {
                                for (std::int64_t row = begin; row < end; ++row)
                                  judge_y(comparison, p, y, scales, &expected.y[std::size_t(row * columns)],
                                          &expected.scale[std::size_t(row * columns)], norm_tolerance(p), row);
                              });
}

Comparison compare_norm_sum(const NormProblem& p, const void* sum, const NormResult& expected) {
  return compare_on_all_cores(rows_of(p), 0, [&](std::int64_t begin, std::int64_t end, Comparison& comparison) {
    for (std::int64_t row = begin; row < end; ++row)
      judge_sum(comparison, p, sum, &expected.sum[std::size_t(row * columns_of(p))], row);
  });
}

Comparison compare_norm(const NormProblem& p, const NormPointers& pointers, double tolerance) {
  return compare_on_all_cores(
      rows_of(p), norm_bound(p, tolerance), [&](std::int64_t begin, std::int64_t end, Comparison& comparison) {
        for_each_row(p, pointers, begin, end, [&](std::int64_t row, const NormRow& values) {
          judge_y(comparison, p, pointers.y, pointers.scale, values.y.data(), values.scale.data(), tolerance, row);
          if (p.has_sum) judge_sum(comparison, p, pointers.sum, values.sum.data(), row);
        });
      });
}

Comparison compare_norm_statistic(const NormProblem& p, const float* actual, const NormResult& expected, bool of_mean) {
  Comparison comparison;
  comparison.bound = 0x1p-24 + norm_tolerance(p);
  for (std::size_t row = 0; row < expected.mean.size(); ++row) {
    const double value = of_mean ? expected.mean[row] : expected.rstd[row];
    const double deviation = 1 / expected.rstd[row];
    const double scale = std::abs(value) + (of_mean && std::isfinite(deviation) ? deviation : 0);
    judge_scaled(comparison, format_of(DType::f32), actual[row], value, scale, norm_tolerance(p), std::int64_t(row), 0);
  }
  return comparison;
}

std::int64_t element_count(const NormBackwardProblem& problem) {
  std::int64_t count = 1;
  for (int d = 0; d < problem.rank; ++d) count *= problem.sizes[d];
  return count;
}

NormBackwardResult norm_backward(const NormBackwardProblem& p, const NormBackwardPointers& pointers) {
  const std::int64_t columns = columns_of(p);
  std::vector<double> dx(std::size_t(element_count(p))), dx_slack(dx.size());
  const auto store = [&](std::int64_t row, const GradientRow& values, Comparison&) {
    std::copy(values.dx.begin(), values.dx.end(), dx.begin() + row * columns);
    std::copy(values.slack.begin(), values.slack.end(), dx_slack.begin() + row * columns);
  };
  NormBackwardResult result = gradients(p, pointers, norm_backward_tolerance(p), store).first;
  result.dx = std::move(dx), result.dx_slack = std::move(dx_slack);
  return result;
}

double norm_backward_tolerance(const NormBackwardProblem& p) {
  return p.x.dtype == DType::f32 ? 0x1p-40 : f32_tolerance;
}

Comparison compare_norm_dx(const NormBackwardProblem& p, const void* dx, const NormBackwardResult& expected) {
  const std::int64_t columns = columns_of(p);
  return compare_on_all_cores(rows_of(p), 1, [&](std::int64_t begin, std::int64_t end, Comparison& comparison) {
    for (std::int64_t row = begin; row < end; ++row)
      judge_dx(comparison, p, dx, &expected.dx[std::size_t(row * columns)],
               &expected.dx_slack[std::size_t(row * columns)], row);
  });
}

Comparison compare_norm_vector(const NormBackwardProblem& p, const void* actual, const NormBackwardResult& expected,
                               bool of_bias) {
  const TensorOperand& operand = of_bias ? p.dbias : p.dweight;
  const std::vector<double>&values = of_bias ? expected.dbias : expected.dweight,
        &slack = of_bias ? expected.dbias_slack : expected.dweight_slack;
  const Row row(p, operand, actual, 0);
  Comparison comparison;
  comparison.bound = 1;
  for (std::size_t i = 0; i < values.size(); ++i)
    judge(comparison, format_of(operand.dtype), row[std::int64_t(i)], values[i], slack[i], 0, std::int64_t(i));
  return comparison;
}

Comparison compare_norm_backward(const NormBackwardProblem& p, const NormBackwardPointers& pointers, double tolerance) {
  const auto judge_row = [&](std::int64_t row, const GradientRow& values, Comparison& comparison) {
    judge_dx(comparison, p, pointers.dx, values.dx.data(), values.slack.data(), row);
  };
  auto [sums, comparison] = gradients(p, pointers, tolerance, judge_row);
  comparison.bound = 1;
  if (p.has_dweight) append(comparison, compare_norm_vector(p, pointers.dweight, sums, false));
  if (p.has_dbias) append(comparison, compare_norm_vector(p, pointers.dbias, sums, true));
  return comparison;
}

}  // namespace ckl::reference
