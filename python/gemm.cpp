#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>

#include "bindings.hpp"
#include "call.hpp"
#include "ckl/gemm.hpp"

namespace ckl::python {
namespace {

Activation activation_named(std::string_view text) {
  return named("activation", text,
               {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu,
                Activation::sigmoid});
}

nb::object gemm(nb::handle a, nb::handle b, nb::handle c, nb::object out, float alpha, nb::handle beta,
                std::string_view activation, bool gated, nb::handle a_scale, nb::handle b_scale, nb::handle d_scale,
                nb::handle row_bias, nb::handle column_bias, nb::handle residual, nb::handle aux, bool batch_invariant,
                nb::handle dtype, nb::handle stream) {
  Call call(stream);
  GemmArguments arguments;
  arguments.a = call.input("a", a);
  arguments.b = call.input("b", b);
  arguments.c = call.optional_input("c", c);
  arguments.alpha = alpha;
  arguments.beta = beta.is_none() ? (c.is_none() ? 0.0f : 1.0f) : nb::cast<float>(beta);
  arguments.batch_invariant = batch_invariant;
  arguments.epilogue.activation = activation_named(activation);
  arguments.epilogue.gated = gated;
  arguments.epilogue.a_scale = call.optional_input("a_scale", a_scale);
  arguments.epilogue.b_scale = call.optional_input("b_scale", b_scale);
  arguments.epilogue.d_scale = call.optional_input("d_scale", d_scale);
  arguments.epilogue.row_bias = call.optional_input("row_bias", row_bias);
  arguments.epilogue.column_bias = call.optional_input("column_bias", column_bias);
  arguments.epilogue.residual = call.optional_input("residual", residual);
  arguments.epilogue.aux = call.optional_output("aux", aux);

  const std::int64_t columns = arguments.b.sizes[1];
  arguments.d =
      call.output_or_new("d", out, dtype, arguments.a.dtype, {arguments.a.sizes[0], gated ? columns / 2 : columns});
  call.run([&](Stream on) { ckl::gemm(arguments, on); });
  return out;
}

}  // namespace

void bind_gemm(nb::module_& module) {
  using namespace nb::literals;
  module.def(
      "gemm", &gemm, "a"_a, "b"_a, "c"_a = nb::none(), "out"_a = nb::none(), nb::kw_only(), "alpha"_a = 1.0f,
      "beta"_a = nb::none(), "activation"_a = "none", "gated"_a = false, "a_scale"_a = nb::none(),
      "b_scale"_a = nb::none(), "d_scale"_a = nb::none(), "row_bias"_a = nb::none(), "column_bias"_a = nb::none(),
      "residual"_a = nb::none(), "aux"_a = nb::none(), "batch_invariant"_a = false, "dtype"_a = nb::none(),
      "stream"_a = nb::none(),
      nb::sig(
          "def gemm(a: Tensor, b: Tensor, c: Tensor | None = None, out: Tensor | None = None, *, alpha: float = 1.0, "
          "beta: float | None = None, activation: str = \"none\", gated: bool = False, a_scale: Tensor | None = None, "
          "b_scale: Tensor | None = None, d_scale: Tensor | None = None, row_bias: Tensor | None = None, "
          "column_bias: Tensor | None = None, residual: Tensor | None = None, aux: Tensor | None = None, "
          "batch_invariant: bool = False, dtype: str | None = None, stream: Stream = None) -> Tensor"),
      "out = (activation(alpha a_scale[i] b_scale[j] (a b) + beta c + row_bias[i] + column_bias[j]) + residual) "
      "d_scale\n\n"
      "a: (m, k), b: (k, n), both bf16 or both f16; strides alone say the layout, so a transposed view is as good as "
      "another.\n"
      "c: (m, n), of out's dtype; may be exactly out. beta: 1 where c is given, else 0; with 0, c is not read.\n"
      "out: (m, n), or (m, n / 2) where gated; f32, f16 or bf16. None makes one, of a's dtype or of `dtype`.\n"
      "activation: none, relu, gelu, gelu_tanh, silu or sigmoid. gated: even columns are the gates of the odd ones "
      "after them.\n"
      "a_scale, row_bias: (m); b_scale, column_bias: (n); the scales also of no dimension, as d_scale: one for all.\n"
      "residual: of out's shape. aux: (m, n), is written: the sum before the activation.\n"
      "batch_invariant: a row's bits do not depend on m.\n"
      "Raises Error for shapes that do not fit together, dtypes that are not listed, and an out that overlaps an "
      "input.");
}

}  // namespace ckl::python
