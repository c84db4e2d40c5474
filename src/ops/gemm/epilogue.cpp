#include "ops/gemm/epilogue.hpp"

#include <algorithm>

#include "host/overlap.hpp"
#include "host/require.hpp"

namespace ckl {

const char* name(Activation activation) noexcept {
  switch (activation) {
    case Activation::none: return "none";
    case Activation::relu: return "relu";
    case Activation::gelu: return "gelu";
    case Activation::gelu_tanh: return "gelu_tanh";
    case Activation::silu: return "silu";
    case Activation::sigmoid: return "sigmoid";
  }
  return "invalid";
}

bool operator==(const GemmEpilogue& x, const GemmEpilogue& y) noexcept {
  return x.a_scale == y.a_scale && x.b_scale == y.b_scale && x.d_scale == y.d_scale && x.row_bias == y.row_bias &&
         x.column_bias == y.column_bias && x.activation == y.activation && x.gated == y.gated &&
         x.has_residual == y.has_residual && (!x.has_residual || x.residual == y.residual) && x.has_aux == y.has_aux &&
         (!x.has_aux || x.aux == y.aux);
}

std::string GemmEpilogue::to_string() const {
  std::string text;
  auto add = [&](bool used, const std::string& word) {
    if (used) text += (text.empty() ? "" : "+") + word;
  };
  auto vector = [&](const GemmVector& x, const char* word) {
    add(x.used, x.stride == 1 ? host::sentence(word, ":", name(x.dtype))
                              : host::sentence(word, ":", name(x.dtype), ":", x.stride));
  };
  auto matrix = [&](bool used, const GemmOperand& x, const char* word) {
    add(used, host::sentence(word, ":", name(x.dtype), ":", x.row_stride, ":", x.column_stride));
  };
  vector(a_scale, "a_scale");
  vector(b_scale, "b_scale");
  vector(row_bias, "row_bias");
  vector(column_bias, "column_bias");
  matrix(has_aux, aux, "aux");
  add(activation != Activation::none, name(activation));
  add(gated, "gated");
  matrix(has_residual, residual, "residual");
  vector(d_scale, "d_scale");
  return text;
}

Tensor as_tensor(const GemmOperand& x, std::int64_t rows, std::int64_t columns, const void* data) {
  return Tensor::strided(data, x.dtype, {rows, columns}, {x.row_stride, x.column_stride});
}

GemmOperand operand_of(const Tensor& t) {
  GemmOperand x;
  x.dtype = t.dtype;
  x.row_stride = t.strides[0];
  x.column_stride = t.strides[1];
  x.alignment = host::alignment_of(t.data);
  return x;
}

void require_operand(const GemmOperand& x, std::int64_t rows, std::int64_t columns, const char* argument) {
  host::require_well_formed(as_tensor(x, rows, columns, nullptr), argument);
  host::require(x.alignment == 1 || x.alignment == 2 || x.alignment == 4 || x.alignment == 8 || x.alignment == 16,
                argument, ".alignment must be 1, 2, 4, 8 or 16 bytes, but is ", x.alignment);
}

void require_pointer(const void* data, const GemmOperand& x, const char* argument) {
  host::require(data != nullptr, argument, " must not be null");
  int needed = std::max<int>(x.alignment, int(size_of(x.dtype)));
  host::require(host::alignment_of(data) >= needed, argument, " must be a multiple of ", needed,
                " bytes, as its problem promised, but is ", data);
}

namespace {

/// What stands for a tensor that is not used.
bool absent(const Tensor& t) { return t.data == nullptr && t.rank == 0; }

void require_float(DType dtype, const char* argument) {
  host::require_supported(dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16, argument,
                          ".dtype must be f32, f16 or bf16, but is ", name(dtype));
}

/// `x` as a tensor of `length` elements at `data`.
Tensor as_tensor(const GemmVector& x, std::int64_t length, const void* data) {
  return Tensor::strided(data, x.dtype, {x.stride == 0 ? std::min<std::int64_t>(length, 1) : length}, {x.stride});
}

GemmOperand matrix_of(const Tensor& t, std::int64_t rows, std::int64_t columns, const char* argument) {
  host::require_well_formed(t, argument);
  host::require(t.rank == 2, argument, ".rank must be 2, but is ", t.rank);
  host::require(t.sizes[0] == rows, argument, ".sizes[0] must be the rows of the product, ", rows, ", but is ",
                t.sizes[0]);
  host::require(t.sizes[1] == columns, argument, ".sizes[1] must be ", columns, ", but is ", t.sizes[1]);
  return operand_of(t);
}

}  // namespace

GemmEpilogue epilogue_of(const GemmEpilogueTensors& in, std::int64_t m, std::int64_t n) {
  GemmProblem p;
  p.m = m;
  p.n = n;
  GemmEpilogue& e = p.epilogue;
  e.activation = in.activation;
  e.gated = in.gated;
  for_each_vector(p, [&](GemmVector& x, const char* argument, std::int64_t length, auto tensor, auto) {
    const Tensor& t = in.*tensor;
    if (absent(t)) return;
    host::require_well_formed(t, argument);
    bool may_be_scalar = tensor != &GemmEpilogueTensors::row_bias && tensor != &GemmEpilogueTensors::column_bias;
    bool must_be_scalar = tensor == &GemmEpilogueTensors::d_scale;
    host::require(t.rank <= 1 && (t.rank == 0 ? may_be_scalar : !must_be_scalar), argument, ".rank must be ",
                  must_be_scalar  ? "0"
                  : may_be_scalar ? "0 or 1"
                                  : "1",
                  ", but is ", t.rank);
    host::require(t.rank == 0 || t.sizes[0] == length, argument, ".sizes[0] must be ", length, ", but is ", t.sizes[0]);
    x = {true, t.dtype, t.rank == 0 ? 0 : t.strides[0]};
  });
  e.has_residual = !absent(in.residual);
  e.has_aux = !absent(in.aux);
  if (e.has_residual) e.residual = matrix_of(in.residual, m, p.d_columns(), "epilogue.residual");
  if (e.has_aux) e.aux = matrix_of(in.aux, m, n, "epilogue.aux");
  return e;
}

void require_valid_epilogue(const GemmProblem& p) {
  const GemmEpilogue& e = p.epilogue;
  host::require(std::string_view(name(e.activation)) != "invalid",
                "epilogue.activation must be one of ckl::Activation, but is ", int(e.activation));
  host::require(!e.gated || p.n % 2 == 0, "n must be even where epilogue.gated is set, but is ", p.n);
  for_each_vector(p, [&](const GemmVector& x, const char* argument, std::int64_t length, auto tensor, auto) {
    if (!x.used) return;
    require_float(x.dtype, argument);
    host::require(tensor != &GemmEpilogueTensors::d_scale || x.stride == 0, argument, ".stride must be 0, but is ",
                  x.stride);
    host::require_well_formed(as_tensor(x, length, nullptr), argument);
  });
  if (e.has_residual) {
    require_float(e.residual.dtype, "epilogue.residual");
    require_operand(e.residual, p.m, p.d_columns(), "epilogue.residual");
  }
  if (e.has_aux) {
    require_float(e.aux.dtype, "epilogue.aux");
    require_operand(e.aux, p.m, p.n, "epilogue.aux");
    host::require_no_self_overlap(as_tensor(e.aux, p.m, p.n, nullptr), "epilogue.aux");
  }
}

void require_epilogue_pointers(const GemmProblem& p, const GemmPointers& x) {
  const GemmEpilogue& e = p.epilogue;
  if (e.empty()) return;
  Tensor d = as_tensor(p.d, p.m, p.d_columns(), x.d), aux;
  if (e.has_aux) {
    require_pointer(x.aux, e.aux, "epilogue.aux");
    aux = as_tensor(e.aux, p.m, p.n, x.aux);
    host::require(x.aux != x.d, "epilogue.aux must not be d, but both are at ", x.d);
    host::require_no_partial_overlap(aux, "epilogue.aux", d, "d");
  }
  /// Nothing that is read may be written, but for the very element that takes its place.
  auto require_apart = [&](const Tensor& in, const char* argument, bool may_be_d) {
    host::require(may_be_d || in.data != x.d, "d must not be ", argument, ", but both are at ", x.d);
    host::require_no_partial_overlap(d, "d", in, argument);
    if (!e.has_aux) return;
    host::require(in.data != x.aux, "epilogue.aux must not be ", argument, ", but both are at ", x.aux);
    host::require_no_partial_overlap(aux, "epilogue.aux", in, argument);
  };
  for_each_vector(p, [&](const GemmVector& v, const char* argument, std::int64_t length, auto, auto pointer) {
    if (!v.used) return;
    const void* data = x.*pointer;
    host::require(data != nullptr, argument, " must not be null");
    host::require(host::alignment_of(data) >= int(size_of(v.dtype)), argument, " must be a multiple of ",
                  size_of(v.dtype), " bytes, but is ", data);
    require_apart(as_tensor(v, length, data), argument, false);
  });
  if (e.has_residual) {
    require_pointer(x.residual, e.residual, "epilogue.residual");
    require_apart(as_tensor(e.residual, p.m, p.d_columns(), x.residual), "epilogue.residual", true);
  }
  if (!e.has_aux) return;
  if (p.beta != 0.0f) require_apart(as_tensor(p.c, p.m, p.n, x.c), "c", true);
  if (p.k > 0 && p.alpha != 0.0f) {
    require_apart(as_tensor(p.a, p.m, p.k, x.a), "a", false);
    require_apart(as_tensor(p.b, p.k, p.n, x.b), "b", false);
  }
}

}  // namespace ckl
