#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <numeric>
#include <sstream>

#include "compare.hpp"
#include "numeric.hpp"
#include "parallel.hpp"
#include "reference.hpp"

namespace ckl::reference {
namespace {

/// Rows `rows` of a matrix of the batch, as dense row-major doubles.
std::vector<double> unpack(const GemmOperand& operand, const void* data, std::int64_t batch,
                           const std::vector<std::int64_t>& rows, std::int64_t columns) {
  const Numeric numeric(operand.dtype);
  std::vector<double> values(rows.size() * columns);
  parallel_for(std::int64_t(rows.size()), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < columns; ++j)
        values[i * columns + j] =
            numeric.read(data, batch * operand.batch_stride + rows[i] * operand.row_stride + j * operand.column_stride);
  });
  return values;
}

std::vector<std::int64_t> all(std::int64_t count) {
  std::vector<std::int64_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

/// d (rows, n) += a (rows, k) * b (k, n), all dense and row-major. In panels of B that stay in the cache while all
/// rows pass over them; four steps of k at once, which spares loads and stores of d.
void multiply_accumulate(std::int64_t rows, std::int64_t n, std::int64_t k, const double* a, const double* b,
                         double* d) {
  constexpr std::int64_t panel_k = 64, panel_n = 512;  // 256 KiB of doubles
  for (std::int64_t k0 = 0; k0 < k; k0 += panel_k) {
    const std::int64_t k1 = std::min(k, k0 + panel_k);
    for (std::int64_t j0 = 0; j0 < n; j0 += panel_n) {
      const std::int64_t width = std::min(n - j0, panel_n);
      for (std::int64_t i = 0; i < rows; ++i) {
        double* __restrict d_row = d + i * n + j0;
        const double* a_row = a + i * k;
        std::int64_t l = k0;
        for (; l + 4 <= k1; l += 4) {
          const double a0 = a_row[l], a1 = a_row[l + 1], a2 = a_row[l + 2], a3 = a_row[l + 3];
          const double *b0 = b + l * n + j0, *b1 = b0 + n, *b2 = b1 + n, *b3 = b2 + n;
          for (std::int64_t j = 0; j < width; ++j) d_row[j] += a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j];
        }
        for (; l < k1; ++l)
          for (std::int64_t j = 0; j < width; ++j) d_row[j] += a_row[l] * b[l * n + j0 + j];
      }
    }
  }
}

/// out (rows, n) = alpha * a * b + beta * c; c is empty where beta is 0, a and b where alpha is 0.
void combine(std::int64_t rows, std::int64_t n, std::int64_t k, double alpha, const std::vector<double>& a,
             const std::vector<double>& b, double beta, const std::vector<double>& c, double* out) {
  parallel_for(rows, [&](std::int64_t begin, std::int64_t end) {
    double* d = out + begin * n;
    const std::int64_t count = (end - begin) * n;
    std::fill_n(d, count, 0.0);
    if (!a.empty()) {
      multiply_accumulate(end - begin, n, k, a.data() + begin * k, b.data(), d);
      for (std::int64_t i = 0; i < count; ++i) d[i] *= alpha;
    }
    if (!c.empty())
      for (std::int64_t i = 0; i < count; ++i) d[i] += beta * c[begin * n + i];
  });
}

void make_absolute(std::vector<double>& values) {
  for (double& value : values) value = std::abs(value);
}

}  // namespace

void gemm_rows(const GemmProblem& p, const void* a, const void* b, const void* c, const std::vector<std::int64_t>& rows,
               double* d, double* scale) {
  const bool product = p.alpha != 0 && p.k > 0;
  const bool addend = p.beta != 0;
  const std::int64_t count = std::int64_t(rows.size());
  for (std::int64_t batch = 0; batch < p.batch; ++batch) {
    std::vector<double> a_values, b_values, c_values;
    if (product) a_values = unpack(p.a, a, batch, rows, p.k);
    if (product) b_values = unpack(p.b, b, batch, all(p.k), p.n);
    if (addend) c_values = unpack(p.c, c, batch, rows, p.n);
    const std::int64_t first = batch * count * p.n;
    combine(count, p.n, p.k, p.alpha, a_values, b_values, p.beta, c_values, d + first);
    if (!scale) continue;
    make_absolute(a_values);
    make_absolute(b_values);
    make_absolute(c_values);
    combine(count, p.n, p.k, std::abs(p.alpha), a_values, b_values, std::abs(p.beta), c_values, scale + first);
  }
}

void gemm(const GemmProblem& problem, const void* a, const void* b, const void* c, double* d, double* scale) {
  gemm_rows(problem, a, b, c, all(problem.m), d, scale);
}

double gemm_tolerance(std::int64_t k) { return std::ldexp(std::sqrt(double(std::max<std::int64_t>(k, 1))), -22); }

double gemm_bound(const GemmProblem& problem) {
  return std::ldexp(1.0, -format_of(problem.d.dtype).fraction_bits - 1) + gemm_tolerance(problem.k);
}

namespace {

std::string describe(std::int64_t batch, std::int64_t row, std::int64_t column, double actual, double expected,
                     double slack) {
  std::ostringstream text;
  text.precision(9);
  text << "d[" << batch << "](" << row << ", " << column << ") is " << actual << ", expected " << expected
       << " before rounding, give or take " << slack;
  return text.str();
}

}  // namespace

Comparison compare_gemm_rows(const GemmProblem& p, const void* actual, const std::vector<std::int64_t>& rows,
                             const double* d, const double* scale) {
  const Numeric numeric(p.d.dtype);
  const double tolerance = gemm_tolerance(p.k);
  const std::int64_t count = std::int64_t(rows.size());
  Comparison total;
  total.bound = gemm_bound(p);
  std::int64_t first_position = std::numeric_limits<std::int64_t>::max();
  std::mutex mutex;
  parallel_for(p.batch * count, [&](std::int64_t begin, std::int64_t end) {
    Comparison part;
    std::int64_t part_position = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t batch = i / count, row = rows[i % count];
      for (std::int64_t j = 0; j < p.n; ++j) {
        const std::int64_t at = i * p.n + j;
        const double value =
            numeric.read(actual, batch * p.d.batch_stride + row * p.d.row_stride + j * p.d.column_stride);
        const double slack = tolerance * scale[at];
        part.error = std::max(part.error, relative_error(numeric.format(), value, d[at], scale[at]));
        if (acceptable(numeric.format(), value, d[at], slack)) continue;
        if (part.wrong++ == 0) {
          part.first_wrong = describe(batch, row, j, value, d[at], slack);
          part_position = at;
        }
      }
    }
    const std::lock_guard lock(mutex);
    total.error = std::max(total.error, part.error);
    total.wrong += part.wrong;
    if (part.wrong > 0 && part_position < first_position) {
      total.first_wrong = part.first_wrong;
      first_position = part_position;
    }
  });
  return total;
}

Comparison compare_gemm(const GemmProblem& problem, const void* actual, const double* d, const double* scale) {
  return compare_gemm_rows(problem, actual, all(problem.m), d, scale);
}

}  // namespace ckl::reference
