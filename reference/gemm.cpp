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

double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::none: return x;
    case Activation::relu: return x < 0 ? 0 : x;
    case Activation::gelu: return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case Activation::gelu_tanh: {
      const double pi = 3.14159265358979323846;
      return x / (1 + std::exp(-2 * std::sqrt(2 / pi) *
                               (x + 0.044715 * x * x * x)));  // (1 + tanh y) / 2 without cancellation
    }
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::sigmoid: return 1 / (1 + std::exp(-x));
  }
  throw std::invalid_argument("reference: no such activation");
}

namespace {

/// Element i of a vector of the epilogue, or `otherwise` where it is not used.
double element(const GemmVector& x, const void* data, std::int64_t i, double otherwise) {
  return x.used ? Numeric(x.dtype).read(data, i * x.stride) : otherwise;
}

double element(const GemmOperand& x, const void* data, std::int64_t batch, std::int64_t row, std::int64_t column) {
  return Numeric(x.dtype).read(data, batch * x.batch_stride + row * x.row_stride + column * x.column_stride);
}

/// A value and the magnitude that errors of it are proportional to.
struct Scaled {
  double value, scale;
};

Scaled activated(Activation activation, Scaled x, double tolerance) {
  if (activation == Activation::none) return x;
  const double y = activate(activation, x.value);
  return {y, steepest * x.scale + std::abs(y) * activation_error / tolerance};
}

}  // namespace

void fused_gemm(const GemmProblem& p, const GemmPointers& x, double* d, double* scale, double* aux, double* aux_scale) {
  GemmProblem product = p;
  product.beta = 0;
  product.epilogue = {};
  std::vector<double> values(p.batch * p.m * p.n), scales(values.size());
  gemm(product, x.a, x.b, nullptr, values.data(), scales.data());

  const GemmEpilogue& e = p.epilogue;
  const double tolerance = gemm_tolerance(p.k), d_scale = element(e.d_scale, x.d_scale, 0, 1);
  parallel_for(p.batch * p.m, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t line = begin; line < end; ++line) {
      const std::int64_t batch = line / p.m, i = line % p.m;
      const double row_scale = element(e.a_scale, x.a_scale, i, 1), row_bias = element(e.row_bias, x.row_bias, i, 0);
      std::vector<Scaled> z(p.n);
      for (std::int64_t j = 0; j < p.n; ++j) {
        const double factor = row_scale * element(e.b_scale, x.b_scale, j, 1);
        const double bias = element(e.column_bias, x.column_bias, j, 0);
        const double addend = p.beta != 0 ? p.beta * element(p.c, x.c, batch, i, j) : 0;
        z[j] = {values[line * p.n + j] * factor + addend + row_bias + bias,
                scales[line * p.n + j] * std::abs(factor) + std::abs(addend) + std::abs(row_bias) + std::abs(bias)};
        if (aux) aux[line * p.n + j] = z[j].value;
        if (aux_scale) aux_scale[line * p.n + j] = z[j].scale;
      }
      for (std::int64_t j = 0; j < p.d_columns(); ++j) {
        Scaled y = activated(e.activation, z[e.gated ? 2 * j : j], tolerance);
        if (e.gated) {
          const Scaled v = z[2 * j + 1];
          y = {y.value * v.value, y.scale * std::abs(v.value) + std::abs(y.value) * v.scale};
        }
        const double residual = e.has_residual ? element(e.residual, x.residual, batch, i, j) : 0;
        d[line * p.d_columns() + j] = (y.value + residual) * d_scale;
        if (scale) scale[line * p.d_columns() + j] = (y.scale + std::abs(residual)) * std::abs(d_scale);
      }
    }
  });
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
      for (std::int64_t j = 0; j < p.d_columns(); ++j) {
        const std::int64_t at = i * p.d_columns() + j;
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
