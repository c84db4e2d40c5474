#include <array>
#include <cmath>
#include <sstream>

#include "compare.hpp"
#include "numeric.hpp"
#include "parallel.hpp"
#include "reference.hpp"

namespace ckl::reference {
namespace {

std::int64_t columns_of(const NormProblem& p) { return p.sizes[p.rank - 1]; }

/// Elements from element (0, 0, ...) to the first one of row `row`; rows are counted in C order.
std::int64_t row_offset(const NormProblem& p, const TensorOperand& operand, std::int64_t row) {
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
  Row(const NormProblem& p, const TensorOperand& operand, const void* data, std::int64_t row)
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

/// Adds element `at` of `actual` to the comparison.
void judge(Comparison& comparison, FloatFormat format, double actual, double expected, double scale, double tolerance,
           std::int64_t row, std::int64_t column) {
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
      judge(comparison, format, actual[i], expected.y[at], expected.scale[at], norm_tolerance(p), row, i);
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
      judge(comparison, format_of(p.sum.dtype), actual[i], expected.sum[std::size_t(row * columns + i)], 1, 0, row, i);
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
    judge(comparison, format_of(DType::f32), actual[row], value, scale, norm_tolerance(p), std::int64_t(row), 0);
  }
  return comparison;
}

}  // namespace ckl::reference
