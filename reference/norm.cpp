#include <array>
#include <cmath>
#include <sstream>

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

}  // namespace

std::int64_t element_count(const NormProblem& problem) {
  std::int64_t count = 1;
  for (int d = 0; d < problem.rank; ++d) count *= problem.sizes[d];
  return count;
}

NormResult norm(const NormProblem& p, const void* x, const void* weight, const void* bias, const void* residual) {
  NormResult result;
  const std::int64_t count = element_count(p), columns = columns_of(p), rows = count ? count / columns : 0;
  const FloatFormat f32 = format_of(DType::f32), format = format_of(p.x.dtype);
  result.y.resize(std::size_t(count)), result.scale.resize(std::size_t(count));
  result.sum.resize(std::size_t(count));
  result.mean.resize(std::size_t(rows)), result.rstd.resize(std::size_t(rows));
  parallel_for(rows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      double* s = &result.sum[std::size_t(row * columns)];
      const Row x_row(p, p.x, x, row), residual_row(p, p.residual, residual, row);
      const Row weight_row(p, p.weight, weight, row), bias_row(p, p.bias, bias, row);
      for (std::int64_t i = 0; i < columns; ++i)
        s[i] = p.has_residual ? round_to(format, round_to(f32, x_row[i] + residual_row[i])) : x_row[i];
      const double mean = p.kind == NormKind::layer ? mean_of(s, columns) : 0.0;
      double squares = 0;
      for (std::int64_t i = 0; i < columns; ++i) squares += (s[i] - mean) * (s[i] - mean);
      const double rstd = 1 / std::sqrt(squares / double(columns) + double(p.epsilon));
      for (std::int64_t i = 0; i < columns; ++i) {
        const double normal = (s[i] - mean) * rstd, w = p.has_weight ? weight_row[i] : 1,
                     b = p.has_bias ? bias_row[i] : 0;
        result.y[std::size_t(row * columns + i)] = normal * w + b;
        result.scale[std::size_t(row * columns + i)] = (std::abs(normal) + 1) * std::abs(w) + std::abs(b);
      }
      result.mean[std::size_t(row)] = mean;
      result.rstd[std::size_t(row)] = rstd;
    }
  });
  return result;
}

double norm_tolerance(const NormProblem& p) { return p.x.dtype == DType::f32 ? 0x1p-40 : 0x1p-20; }

Comparison compare_norm(const NormProblem& p, const void* y, const NormResult& expected) {
  const FloatFormat format = format_of(p.y.dtype);
  const std::int64_t count = element_count(p), columns = columns_of(p), rows = count ? count / columns : 0;
  Comparison comparison;
  comparison.bound = std::ldexp(1.0, -format.fraction_bits - 1) + norm_tolerance(p);
  for (std::int64_t row = 0; row < rows; ++row) {
    const Row actual(p, p.y, y, row);
    for (std::int64_t i = 0; i < columns; ++i) {
      const auto at = std::size_t(row * columns + i);
      judge_scaled(comparison, format, actual[i], expected.y[at], expected.scale[at], norm_tolerance(p), row, i);
    }
  }
  return comparison;
}

Comparison compare_norm_sum(const NormProblem& p, const void* sum, const NormResult& expected) {
  const std::int64_t count = element_count(p), columns = columns_of(p), rows = count ? count / columns : 0;
  Comparison comparison;
  for (std::int64_t row = 0; row < rows; ++row) {
    const Row actual(p, p.sum, sum, row);
    for (std::int64_t i = 0; i < columns; ++i)
      judge_scaled(comparison, format_of(p.sum.dtype), actual[i], expected.sum[std::size_t(row * columns + i)], 1, 0,
                   row, i);
  }
  return comparison;
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
  const std::int64_t count = element_count(p), columns = columns_of(p), rows = count ? count / columns : 0;
  const bool centered = p.kind == NormKind::layer;
  const double tolerance = p.x.dtype == DType::f32 ? 0x1p-40 : 0x1p-20;
  NormBackwardResult result;
  result.dx.resize(std::size_t(count)), result.dx_slack.resize(std::size_t(count));
  std::vector<double> terms(static_cast<std::size_t>(count));  // of dweight
  parallel_for(rows, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> g(static_cast<std::size_t>(columns)), normal(g.size());
    for (std::int64_t row = begin; row < end; ++row) {
      const Row x(p, p.x, pointers.x, row), dy(p, p.dy, pointers.dy, row), weight(p, p.weight, pointers.weight, row);
      const double mean = centered ? double(pointers.mean[row_offset(p, p.mean, row)]) : 0;
      const double rstd = double(pointers.rstd[row_offset(p, p.rstd, row)]);
      double of_g = 0, of_gx = 0, size_of_g = 0, size_of_gx = 0;
      for (std::int64_t i = 0; i < columns; ++i) {
        g[i] = dy[i] * (p.has_weight ? weight[i] : 1), normal[i] = (x[i] - mean) * rstd;
        of_g += g[i] / double(columns), of_gx += g[i] * normal[i] / double(columns);
        size_of_g += std::abs(g[i]) / double(columns), size_of_gx += std::abs(g[i] * normal[i]) / double(columns);
      }
      if (!centered) of_g = size_of_g = 0;
      for (std::int64_t i = 0; i < columns; ++i) {
        const auto at = std::size_t(row * columns + i);
        const double size = std::abs(rstd) * (std::abs(g[i]) + size_of_g + std::abs(normal[i]) * size_of_gx);
        result.dx[at] = rstd * (g[i] - of_g - normal[i] * of_gx);
        result.dx_slack[at] = std::isfinite(size) ? tolerance * size : 0;
        terms[at] = dy[i] * normal[i];
      }
    }
  });
  const auto sum_up = [&](std::vector<double>& sums, std::vector<double>& slack, const auto& term) {
    sums.resize(std::size_t(columns)), slack.resize(std::size_t(columns));
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t i = 0; i < columns; ++i) {
        const double value = term(row, i);
        sums[std::size_t(i)] += value, slack[std::size_t(i)] += 0x1p-24 * double(rows + 16) * std::abs(value);
      }
    for (double& one : slack) one = std::isfinite(one) ? one : 0;
  };
  const Numeric numeric(p.dy.dtype);
  if (p.has_dweight)
    sum_up(result.dweight, result.dweight_slack,
           [&](std::int64_t row, std::int64_t i) { return terms[std::size_t(row * columns + i)]; });
  if (p.has_dbias)
    sum_up(result.dbias, result.dbias_slack, [&](std::int64_t row, std::int64_t i) {
      return numeric.read(pointers.dy, row_offset(p, p.dy, row) + i * p.dy.strides[p.rank - 1]);
    });
  return result;
}

Comparison compare_norm_dx(const NormBackwardProblem& p, const void* dx, const NormBackwardResult& expected) {
  const std::int64_t count = element_count(p), columns = columns_of(p), rows = count ? count / columns : 0;
  Comparison comparison;
  comparison.bound = 1;
  for (std::int64_t row = 0; row < rows; ++row) {
    const Row actual(p, p.dx, dx, row);
    for (std::int64_t i = 0; i < columns; ++i) {
      const auto at = std::size_t(row * columns + i);
      judge(comparison, format_of(p.dx.dtype), actual[i], expected.dx[at], expected.dx_slack[at], row, i);
    }
  }
  return comparison;
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

}  // namespace ckl::reference
