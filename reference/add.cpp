#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>

#include "numeric.hpp"
#include "parallel.hpp"
#include "reference.hpp"

namespace ckl::reference {
namespace {

/// The index (i0, i1, ...) of the element that is number `linear` in C order.
std::array<std::int64_t, max_rank> index_of(const AddProblem& problem, std::int64_t linear) {
  std::array<std::int64_t, max_rank> index{};
  for (int dimension = problem.rank - 1; dimension >= 0; --dimension) {
    index[dimension] = linear % problem.sizes[dimension];
    linear /= problem.sizes[dimension];
  }
  return index;
}

/// Elements from element (0, 0, ...) to the one at `index`.
std::int64_t offset_of(const AddProblem& problem, const TensorOperand& operand,
                       const std::array<std::int64_t, max_rank>& index) {
  std::int64_t offset = 0;
  for (int dimension = 0; dimension < problem.rank; ++dimension)
    offset += index[dimension] * operand.strides[dimension];
  return offset;
}

}  // namespace

std::int64_t element_count(const AddProblem& problem) {
  std::int64_t count = 1;
  for (int dimension = 0; dimension < problem.rank; ++dimension) count *= problem.sizes[dimension];
  return count;
}

void add(const AddProblem& problem, const void* a, const void* b, double* d) {
  const Numeric a_numeric(problem.a.dtype), b_numeric(problem.b.dtype);
  const FloatFormat f32 = format_of(DType::f32), output = format_of(problem.d.dtype);
  parallel_for(element_count(problem), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto index = index_of(problem, i);
      const double sum = a_numeric.read(a, offset_of(problem, problem.a, index)) +
                         b_numeric.read(b, offset_of(problem, problem.b, index));
      d[i] = round_to(output, round_to(f32, sum));
    }
  });
}

Comparison compare_add(const AddProblem& problem, const void* actual, const double* d) {
  const Numeric numeric(problem.d.dtype);
  Comparison comparison;
  const std::int64_t count = element_count(problem);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto index = index_of(problem, i);
    const double value = numeric.read(actual, offset_of(problem, problem.d, index));
    const bool both_nan = std::isnan(value) && std::isnan(d[i]);
    if (both_nan || (value == d[i] && std::signbit(value) == std::signbit(d[i]))) continue;
    const double error = std::abs(value - d[i]) / std::abs(d[i]);
    comparison.error =
        std::max(comparison.error, std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
    if (comparison.wrong++ == 0) {
      std::ostringstream text;
      text.precision(9);
      text << "element (";
      for (int dimension = 0; dimension < problem.rank; ++dimension)
        text << (dimension ? ", " : "") << index[dimension];
      text << ") is " << value << ", expected " << d[i];
      comparison.first_wrong = text.str();
    }
  }
  return comparison;
}

}  // namespace ckl::reference
