#include "ops/gemm/problem.hpp"

#include <cstdlib>
#include <utility>

#include "host/tensor_map.hpp"
#include "ops/pad/pad.hpp"

namespace ckl {

namespace {

std::int64_t round_up_to_16_bytes(std::int64_t elements, DType dtype) {
  auto per_16_bytes = std::int64_t(16 / size_of(dtype));
  return (elements + per_16_bytes - 1) / per_16_bytes * per_16_bytes;
}

/// Gives a dimension of extent 1 the stride that makes the matrix look dense and aligned.
void settle_strides(GemmOperand& x, std::int64_t rows, std::int64_t columns) {
  if (columns == 1 && x.row_stride != 1) x.column_stride = 1;
  if (rows == 1 && x.column_stride != 1) x.row_stride = 1;
  if (rows == 1 && x.column_stride == 1) x.row_stride = round_up_to_16_bytes(columns, x.dtype);
  if (columns == 1 && x.row_stride == 1) x.column_stride = round_up_to_16_bytes(rows, x.dtype);
}

void transpose(GemmOperand& x) { std::swap(x.row_stride, x.column_stride); }

/// The major mode of A, and of B taken as (n, k): the one with the smaller step.
Major major_of(std::int64_t mn_stride, std::int64_t k_stride) {
  return std::llabs(k_stride) <= std::llabs(mn_stride) ? Major::k : Major::mn;
}

bool operand_loads_by_tma(const GemmOperand& x, Major major, std::int64_t mn, std::int64_t k, std::int64_t mn_stride,
                          std::int64_t k_stride) {
  if (major == Major::k) return k_stride == 1 && host::tma_can_load(x.dtype, k, mn, mn_stride, x.alignment);
  return mn_stride == 1 && host::tma_can_load(x.dtype, mn, k, k_stride, x.alignment);
}

}  // namespace

GemmProblem mirror_image(const GemmProblem& problem) {
  GemmProblem p = problem;
  GemmEpilogue& e = p.epilogue;
  std::swap(p.m, p.n);
  std::swap(p.a, p.b);
  std::swap(e.a_scale, e.b_scale);
  std::swap(e.row_bias, e.column_bias);
  for (GemmOperand* x : {&p.a, &p.b, &p.c, &p.d, &e.residual, &e.aux}) transpose(*x);
  return p;
}

CanonicalGemm canonical(const GemmProblem& problem, bool may_transpose) {
  CanonicalGemm c{problem, false};
  GemmProblem& p = c.problem;
  settle_strides(p.d, p.m, p.d_columns());
  // The columns of a gated epilogue come in pairs, so they must be the kernel's columns.
  if (may_transpose && !p.epilogue.gated && std::llabs(p.d.row_stride) < std::llabs(p.d.column_stride)) {
    c.transposed = true;
    p = mirror_image(p);
  }
  settle_strides(p.a, p.m, p.k);
  settle_strides(p.b, p.k, p.n);
  return c;
}

GemmTraits traits_of(const GemmProblem& p) {
  GemmTraits traits;
  traits.a_major = major_of(p.a.row_stride, p.a.column_stride);
  traits.b_major = major_of(p.b.column_stride, p.b.row_stride);
  traits.a_by_tma = operand_loads_by_tma(p.a, traits.a_major, p.m, p.k, p.a.row_stride, p.a.column_stride);
  traits.b_by_tma = operand_loads_by_tma(p.b, traits.b_major, p.n, p.k, p.b.column_stride, p.b.row_stride);
  traits.loads_by_tma = traits.a_by_tma && traits.b_by_tma;
  traits.stores_by_tma =
      p.d.column_stride == 1 && host::tma_can_store(p.d.dtype, p.d_columns(), p.m, p.d.row_stride, p.d.alignment);
  return traits;
}

namespace {

/// Makes `mn_stride` and `k_stride` those of the operand's copy.
void pad_strides(Major major, std::int64_t mn, std::int64_t k, int element_bytes, std::int64_t& mn_stride,
                 std::int64_t& k_stride) {
  mn_stride = major == Major::k ? padded_pitch(k, element_bytes) : 1;
  k_stride = major == Major::k ? 1 : padded_pitch(mn, element_bytes);
}

}  // namespace

bool moves_by_vectors(const GemmOperand& x) {
  return x.column_stride == 1 && x.alignment >= 16 && x.row_stride * std::int64_t(size_of(x.dtype)) % 16 == 0;
}

GemmProblem padded(const GemmProblem& problem, Padding padding) {
  GemmProblem p = problem;
  GemmTraits traits = traits_of(p);
  if (padding.a) {
    pad_strides(traits.a_major, p.m, p.k, int(size_of(p.a.dtype)), p.a.row_stride, p.a.column_stride);
    p.a.alignment = 16;
  }
  if (padding.b) {
    pad_strides(traits.b_major, p.n, p.k, int(size_of(p.b.dtype)), p.b.column_stride, p.b.row_stride);
    p.b.alignment = 16;
  }
  return p;
}

}  // namespace ckl
