#include "ckl/norm.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>

#include "bindings.hpp"
#include "call.hpp"
#include "ckl/norm_backward.hpp"

namespace ckl::python {
namespace {

NormKind kind_named(std::string_view text) { return named("kind", text, {NormKind::layer, NormKind::rms}); }

nb::object norm(std::string_view kind, nb::handle x, nb::handle weight, nb::handle bias, nb::object out, float epsilon,
                nb::handle residual, nb::handle sum, nb::handle mean, nb::handle rstd, nb::handle scale,
                nb::handle dtype, nb::handle stream) {
  Call call(stream);
  NormArguments arguments;
  arguments.kind = kind_named(kind);
  arguments.x = call.input("x", x);
  arguments.weight = call.optional_input("weight", weight);
  arguments.bias = call.optional_input("bias", bias);
  arguments.epsilon = epsilon;
  arguments.residual = call.optional_input("residual", residual);
  arguments.sum = call.optional_output("sum", sum);
  arguments.mean = call.optional_output("mean", mean);
  arguments.rstd = call.optional_output("rstd", rstd);
  arguments.scale = call.optional_output("scale", scale);
  arguments.y = call.output_or_new("y", out, dtype, arguments.x.dtype, sizes_of(arguments.x));
  call.run([&](Stream on) { ckl::norm(arguments, on); });
  return out;
}

nb::object norm_backward(std::string_view kind, nb::handle x, nb::handle dy, nb::handle rstd, nb::handle weight,
                         nb::object out, nb::handle mean, nb::handle dweight, nb::handle dbias, nb::handle stream) {
  Call call(stream);
  NormBackwardArguments arguments;
  arguments.kind = kind_named(kind);
  arguments.x = call.input("x", x);
  arguments.dy = call.input("dy", dy);
  arguments.rstd = call.input("rstd", rstd);
  arguments.weight = call.optional_input("weight", weight);
  arguments.mean = call.optional_input("mean", mean);
  arguments.dweight = call.optional_output("dweight", dweight);
  arguments.dbias = call.optional_output("dbias", dbias);
  arguments.dx = call.output_or_new("dx", out, arguments.x.dtype, sizes_of(arguments.x));
  call.run([&](Stream on) { ckl::norm_backward(arguments, on); });
  return out;
}

}  // namespace

void bind_norm(nb::module_& module) {
  using namespace nb::literals;
  module.def(
      "norm", &norm, "kind"_a, "x"_a, "weight"_a = nb::none(), "bias"_a = nb::none(), "out"_a = nb::none(),
      nb::kw_only(), "epsilon"_a = 1e-5f, "residual"_a = nb::none(), "sum"_a = nb::none(), "mean"_a = nb::none(),
      "rstd"_a = nb::none(), "scale"_a = nb::none(), "dtype"_a = nb::none(), "stream"_a = nb::none(),
      nb::sig("def norm(kind: str, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, "
              "out: Tensor | None = None, *, epsilon: float = 1e-5, residual: Tensor | None = None, sum: Tensor | None "
              "= None, "
              "mean: Tensor | None = None, rstd: Tensor | None = None, scale: Tensor | None = None, "
              "dtype: str | None = None, stream: Stream = None) -> Tensor"),
      "out = (s - mean) rstd weight + bias along the last dimension, with s = x + residual.\n\n"
      "kind: \"layernorm\", or \"rmsnorm\", whose mean is 0.\n"
      "x: f32, f16 or bf16, of any shape and strides. residual: of its shape and dtype.\n"
      "weight, bias: of x's last dimension; of x's dtype, or both f32.\n"
      "out: of x's shape; of x's dtype, and then it may be exactly x or the residual, or e4m3 or e5m2. None makes one, "
      "of x's dtype or of "
      "`dtype`.\n"
      "scale: is written with an out of e4m3 or e5m2, which needs it: what to multiply its rows by; as the statistics "
      "are.\n"
      "sum, mean, rstd: are written where they are given: s, of x's shape and dtype (may be exactly x or the "
      "residual), and the rows'\n"
      "statistics, f32 and contiguous, of x's shape without the last dimension. norm_backward needs the statistics.\n"
      "Raises Error for shapes that differ, a sum without a residual, an out of fp8 without a scale, and outputs that "
      "overlap.");
  module.def("norm_backward", &norm_backward, "kind"_a, "x"_a, "dy"_a, "rstd"_a, "weight"_a = nb::none(),
             "out"_a = nb::none(), nb::kw_only(), "mean"_a = nb::none(), "dweight"_a = nb::none(),
             "dbias"_a = nb::none(), "stream"_a = nb::none(),
             nb::sig("def norm_backward(kind: str, x: Tensor, dy: Tensor, rstd: Tensor, weight: Tensor | None = None, "
                     "out: Tensor | None = None, *, mean: Tensor | None = None, dweight: Tensor | None = None, "
                     "dbias: Tensor | None = None, stream: Stream = None) -> Tensor"),
             "out = the gradient of norm's x, from the gradient of its result.\n\n"
             "x: what was normalized: the sum, where there was a residual, whose gradient is out as well. dy: of x's "
             "shape and dtype.\n"
             "rstd, mean: as norm has written them; layernorm needs the mean, rmsnorm has none. weight: as it was "
             "given to norm.\n"
             "dweight, dbias: are written where they are given: of x's last dimension, of x's dtype or f32.\n"
             "out: of x's shape and dtype; may be exactly x or dy.\n"
             "Raises Error for shapes that differ, a layernorm without a mean or an rmsnorm with one, and outputs that "
             "overlap.");
}

}  // namespace ckl::python
