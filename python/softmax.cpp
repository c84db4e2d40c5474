#include "ckl/softmax.hpp"

#include <nanobind/nanobind.h>

#include "bindings.hpp"
#include "call.hpp"
#include "ckl/softmax_backward.hpp"

namespace ckl::python {
namespace {

nb::object softmax(nb::handle x, int axis, nb::object out, float scale, bool log, nb::handle mask, bool causal,
                   std::int64_t diagonal, nb::handle stream) {
  Call call(stream);
  SoftmaxArguments arguments;
  arguments.x = call.input("x", x);
  arguments.mask = call.optional_input("mask", mask);
  arguments.axis = axis;
  arguments.scale = scale;
  arguments.log = log;
  arguments.causal = causal;
  arguments.diagonal = diagonal;
  arguments.y = call.output_or_new("y", out, arguments.x.dtype, sizes_of(arguments.x));
  call.run([&](Stream on) { ckl::softmax(arguments, on); });
  return out;
}

nb::object softmax_backward(nb::handle y, nb::handle dy, int axis, nb::object out, float scale, bool log,
                            nb::handle stream) {
  Call call(stream);
  SoftmaxBackwardArguments arguments;
  arguments.y = call.input("y", y);
  arguments.dy = call.input("dy", dy);
  arguments.axis = axis;
  arguments.scale = scale;
  arguments.log = log;
  arguments.dx = call.output_or_new("dx", out, arguments.y.dtype, sizes_of(arguments.y));
  call.run([&](Stream on) { ckl::softmax_backward(arguments, on); });
  return out;
}

}  // namespace

void bind_softmax(nb::module_& module) {
  using namespace nb::literals;
  module.def(
      "softmax", &softmax, "x"_a, "axis"_a = -1, "out"_a = nb::none(), nb::kw_only(), "scale"_a = 1.0f, "log"_a = false,
      "mask"_a = nb::none(), "causal"_a = false, "diagonal"_a = 0, "stream"_a = nb::none(),
      nb::sig(
          "def softmax(x: Tensor, axis: int = -1, out: Tensor | None = None, *, scale: float = 1.0, log: bool = False, "
          "mask: Tensor | None = None, causal: bool = False, diagonal: int = 0, stream: Stream = None) -> Tensor"),
      "out = softmax(scale x + mask) along an axis, or its logarithm.\n\n"
      "x: f32, f16 or bf16, of any shape and strides. mask: of x's dtype and rank, with x's sizes or 1.\n"
      "causal: row i of the last two dimensions sees its columns up to i + diagonal.\n"
      "out: of x's shape and dtype; may be exactly x or the mask.\n"
      "Raises Error for shapes that differ, an axis that x does not have, and an out that partly overlaps an input.");
  module.def(
      "softmax_backward", &softmax_backward, "y"_a, "dy"_a, "axis"_a = -1, "out"_a = nb::none(), nb::kw_only(),
      "scale"_a = 1.0f, "log"_a = false, "stream"_a = nb::none(),
      nb::sig("def softmax_backward(y: Tensor, dy: Tensor, axis: int = -1, out: Tensor | None = None, *, scale: float "
              "= 1.0, "
              "log: bool = False, stream: Stream = None) -> Tensor"),
      "out = the gradient of softmax's x, from its result y and the gradient of y.\n\n"
      "y, dy: of one shape and dtype: f32, f16 or bf16. axis, scale, log: as they were given to softmax.\n"
      "out: of y's shape and dtype; may be exactly y or dy.\n"
      "Raises Error for shapes that differ, an axis that y does not have, and an out that partly overlaps an input.");
}

}  // namespace ckl::python
