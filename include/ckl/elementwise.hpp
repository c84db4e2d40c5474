#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ckl/device.hpp"
#include "ckl/export.hpp"
#include "ckl/operand.hpp"
#include "ckl/tensor.hpp"

namespace ckl {

/// What is computed for every element: outputs y (y0, y1) from inputs x (x0, x1, ...) and scalars s (s0, s1).
enum class ElementwiseOp : std::uint8_t {
  cast,             ///< y = x
  fill,             ///< y = s, without any input
  scale,            ///< y = s x
  neg,              ///< y = -x
  abs,              ///< y = |x|
  exp,              ///< y = e^x
  log,              ///< y = ln x
  sqrt,             ///< y = square root of x
  rsqrt,            ///< y = 1 / square root of x
  tanh,             ///< y = tanh x
  sigmoid,          ///< y = 1 / (1 + e^-x)
  relu,             ///< y = x, 0 where x < 0
  gelu,             ///< y = x/2 (1 + erf(x / sqrt 2))
  gelu_tanh,        ///< y = x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  silu,             ///< y = x / (1 + e^-x)
  clamp,            ///< y = x, s0 where x < s0, s1 where x > s1
  add,              ///< y = x0 + x1
  sub,              ///< y = x0 - x1
  mul,              ///< y = x0 x1
  div,              ///< y = x0 / x1
  min,              ///< y = the smaller of x0 and x1; NaN where one is NaN
  max,              ///< y = the larger of x0 and x1; NaN where one is NaN
  swiglu,           ///< y = silu(x0) x1
  fma,              ///< y = x0 x1 + x2, rounded once
  where,            ///< y = x1 where x0 is not 0, else x2
  swiglu_backward,  ///< y0, y1 = the gradients of swiglu's inputs x1 and x2, where x0 is its output's
  rotate,           ///< y0 = x0 x2 - x1 x3, y1 = x0 x3 + x1 x2: (x0, x1) turned by the angle of cosine x2 and sine x3
  custom,           ///< What a module of one's own says: ElementwiseModulePlan alone takes it.
};

/// Number of the operations that the library has: all of ElementwiseOp's values but custom.
constexpr int elementwise_op_count = int(ElementwiseOp::rotate) + 1;

/// What an operation takes and gives.
struct ElementwiseOpInfo {
  const char* name;  ///< As it is spelt in ElementwiseOp.
  int inputs;        ///< Tensors that it reads.
  int outputs;       ///< Tensors that it writes.
  int scalars;       ///< Numbers that it takes.
  bool
      integers;  ///< Whether it is defined on integers: computed in 64 bits, which wrap, where all operands are i64, i32 or b8.
};

/// The facts about `op`; of custom, the problem says how many operands there are; name "invalid" and no operands for a value outside the enumeration.
constexpr ElementwiseOpInfo describe(ElementwiseOp op) noexcept {
  switch (op) {
    case ElementwiseOp::cast: return {"cast", 1, 1, 0, true};
    case ElementwiseOp::fill: return {"fill", 0, 1, 1, true};
    case ElementwiseOp::scale: return {"scale", 1, 1, 1, false};
    case ElementwiseOp::neg: return {"neg", 1, 1, 0, true};
    case ElementwiseOp::abs: return {"abs", 1, 1, 0, true};
    case ElementwiseOp::exp: return {"exp", 1, 1, 0, false};
    case ElementwiseOp::log: return {"log", 1, 1, 0, false};
    case ElementwiseOp::sqrt: return {"sqrt", 1, 1, 0, false};
    case ElementwiseOp::rsqrt: return {"rsqrt", 1, 1, 0, false};
    case ElementwiseOp::tanh: return {"tanh", 1, 1, 0, false};
    case ElementwiseOp::sigmoid: return {"sigmoid", 1, 1, 0, false};
    case ElementwiseOp::relu: return {"relu", 1, 1, 0, true};
    case ElementwiseOp::gelu: return {"gelu", 1, 1, 0, false};
    case ElementwiseOp::gelu_tanh: return {"gelu_tanh", 1, 1, 0, false};
    case ElementwiseOp::silu: return {"silu", 1, 1, 0, false};
    case ElementwiseOp::clamp: return {"clamp", 1, 1, 2, true};
    case ElementwiseOp::add: return {"add", 2, 1, 0, true};
    case ElementwiseOp::sub: return {"sub", 2, 1, 0, true};
    case ElementwiseOp::mul: return {"mul", 2, 1, 0, true};
    case ElementwiseOp::div: return {"div", 2, 1, 0, false};
    case ElementwiseOp::min: return {"min", 2, 1, 0, true};
    case ElementwiseOp::max: return {"max", 2, 1, 0, true};
    case ElementwiseOp::swiglu: return {"swiglu", 2, 1, 0, false};
    case ElementwiseOp::fma: return {"fma", 3, 1, 0, true};
    case ElementwiseOp::where: return {"where", 3, 1, 0, true};
    case ElementwiseOp::swiglu_backward: return {"swiglu_backward", 3, 2, 0, false};
    case ElementwiseOp::rotate: return {"rotate", 4, 2, 0, false};
    case ElementwiseOp::custom: return {"custom", 0, 0, 0, true};
  }
  return {"invalid", 0, 0, 0, false};
}

/// The name of `op`, e.g. "add".
constexpr const char* name(ElementwiseOp op) noexcept { return describe(op).name; }

/// What to compute: out[...][i] = op(in[...][i]) for every index i of the common shape.
///
/// Supported: operands of dtype f32, f16, bf16, e4m3, e5m2, i64, i32 and b8, mixed at will; any sizes, strides and alignment. Where all
/// operands are integers (i64, i32, b8) the op is computed in 64-bit integers, else in f32: inputs are converted to it (integers round to the
/// nearest), and the results are rounded once to the outputs' types, to the nearest even; e4m3 and e5m2 saturate at their largest number.
/// An integer output is truncated towards 0 and saturates at its range, NaN becomes 0 in it, and what is not 0 is true.
///
/// Accuracy, before that last rounding: cast, fill, scale, neg, abs, sqrt, relu, clamp, add, sub, mul, div, min, max, fma and where are f32's
/// correctly rounded results. exp, log, rsqrt, tanh and sigmoid are within 4 units of f32 in the last place (2^-149 at least; 2^-126 for
/// sigmoid). silu, gelu, gelu_tanh are within 2^-21 |x|, swiglu is within 2^-21 |x0 x1|, the gradients within 2^-20 of |x0 x2| (1 + |x1|) and
/// of |x0 x1|, rotate within 2^-22 of the sum of its products' magnitudes, unless an intermediate product leaves f32's range.
struct CKL_API ElementwiseProblem {
  ElementwiseOp op = ElementwiseOp::cast;      ///< What is computed.
  int rank = 0;                                ///< Dimensions of the outputs.
  std::array<std::int64_t, max_rank> sizes{};  ///< The outputs' shape.
  int inputs = 0;                              ///< With ElementwiseOp::custom, how many inputs there are; else 0.
  int outputs = 0;                             ///< The same of outputs.
  std::array<TensorOperand, 4> in;             ///< As many as op takes.
  std::array<TensorOperand, 2> out;            ///< As many as op gives.
  std::array<double, 2> scalars{};  ///< As many as op takes: converted to f32, or to i64 where integers are computed.

  /// E.g. "add (4096, 128) bf16, bf16 -> bf16".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const ElementwiseProblem& x, const ElementwiseProblem& y) noexcept;

/// The arguments of elementwise(), e.g. {ElementwiseOp::clamp, {x}, {y}, {-1, 1}}.
struct ElementwiseArguments {
  ElementwiseOp op = ElementwiseOp::cast;  ///< What to compute.
  std::vector<Tensor>
      in;  ///< Broadcast to the outputs' shape as in NumPy: dimensions are matched from the last one, and
           ///< an absent dimension or one of size 1 is repeated.
  std::vector<Tensor> out;      ///< All of one shape. An output may be exactly an input.
  std::vector<double> scalars;  ///< As many as the op takes.
};

/// The problem that the arguments pose.
/// @throws Error (invalid_argument) for another number of operands or scalars than op's, shapes that do not broadcast to out[0]'s, null
///         data, an output that overlaps itself, the other output, or partly an input; (unsupported) for dtypes that are not listed at
///         ElementwiseProblem, or an op without a meaning for integers whose operands are all integers.
CKL_API ElementwiseProblem elementwise_problem(const ElementwiseArguments& arguments);

/// The kernel configs that can serve `problem`, the chosen one first; empty where the outputs have no elements.
CKL_API std::vector<std::string> elementwise_candidates(const ElementwiseProblem& problem, const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
class CKL_API ElementwisePlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that elementwise_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it; (unsupported) for a device other than
  ///         compute capability 9.0 or dtypes that are not listed.
  explicit ElementwisePlan(const ElementwiseProblem& problem, int device = -1, std::string_view config = {});

  /// Launches the kernel on `stream`, without synchronizing. Works under stream capture.
  /// @param in,out  Device pointers, as many as the op has inputs and outputs, with the alignment that the problem promised; an output may
  ///                be exactly an input where the strides are equal.
  /// @throws Error (invalid_argument) for a null, misaligned or partly overlapping pointer, or a stream of another device.
  void run(const void* const* in, void* const* out, Stream stream = nullptr) const;

  const ElementwiseProblem& problem() const noexcept;  ///< What it computes.
  const std::string& config() const noexcept;          ///< How: the config's name, e.g. "n2_f32_v8_flat".
  int device() const noexcept;                         ///< Where: the CUDA device index.

  struct Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// Computes the op on `stream` of the current device, without synchronizing.
/// @throws Error as elementwise_problem(), ElementwisePlan::ElementwisePlan() and ElementwisePlan::run() do.
CKL_API void elementwise(const ElementwiseArguments& arguments, Stream stream = nullptr);

/// y = x0 + x1: elementwise() with the op of that name.
CKL_API void add(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream = nullptr);
/// y = x0 - x1.
CKL_API void sub(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream = nullptr);
/// y = x0 x1.
CKL_API void mul(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream = nullptr);
/// y = x0 / x1.
CKL_API void div(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream = nullptr);
/// y = x0 x1 + x2, rounded once.
CKL_API void fma(const Tensor& x0, const Tensor& x1, const Tensor& x2, const Tensor& y, Stream stream = nullptr);
/// y = x1 where x0 is not 0, else x2.
CKL_API void where(const Tensor& x0, const Tensor& x1, const Tensor& x2, const Tensor& y, Stream stream = nullptr);
/// y = x, in y's type.
CKL_API void cast(const Tensor& x, const Tensor& y, Stream stream = nullptr);
/// y = x, which have one dtype; their strides may differ in any way.
/// @throws Error (invalid_argument) for dtypes that differ, and as elementwise() does.
CKL_API void copy(const Tensor& x, const Tensor& y, Stream stream = nullptr);
/// y = x with its dimensions in another order, in y's type: dimension i of y is dimension order[i] of x. {1, 0} transposes a matrix.
/// @throws Error (invalid_argument) unless order names each dimension of x once, and as elementwise() does.
CKL_API void permute(const Tensor& x, const std::vector<int>& order, const Tensor& y, Stream stream = nullptr);
/// y = factor x, in y's type: the quantization of a tensor, for one.
CKL_API void scale(const Tensor& x, double factor, const Tensor& y, Stream stream = nullptr);
/// y = silu(x0) x1.
CKL_API void swiglu(const Tensor& x0, const Tensor& x1, const Tensor& y, Stream stream = nullptr);

}  // namespace ckl
