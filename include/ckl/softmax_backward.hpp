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

/// What to compute, along one axis: the gradient of a softmax's input. With y = softmax(scale * x) and dy, the gradient of y,
///
///     dx[i] = scale * y[i] * (dy[i] - sum_j dy[j] y[j])
///
/// and with y = log-softmax(scale * x) (`log`), dx[i] = scale * (dy[i] - exp(y[i]) * sum_j dy[j]).
///
/// Supported: y, dy and dx all f32, all f16 or all bf16; any sizes, strides and alignment; dx may be exactly y or dy. 16-bit rows are
/// computed in f32 and f32 rows in f64, and the result is rounded once. NaN and infinities propagate as the formula says, within
/// their row. A row's bits depend on its elements, its length, its place between boundaries of 16 bytes, and on how all operands lie: rows
/// of adjacent elements that all begin and end on such boundaries, or of which the first begins on one and the others lie alike in all
/// operands, or neither. So a row may have other bits in a tensor of its own; else it does not matter how many rows there are.
struct CKL_API SoftmaxBackwardProblem {
  int rank = 0;                                ///< Dimensions of y, dy and dx, at least 1.
  std::array<std::int64_t, max_rank> sizes{};  ///< Their shape.
  int axis = 0;                                ///< The dimension that the softmax sums over, 0 to rank - 1.
  TensorOperand y;                             ///< Input: what the softmax gave.
  TensorOperand dy;                            ///< Input: the gradient of y.
  TensorOperand dx;                            ///< Output: the gradient of x.
  float scale = 1.0f;                          ///< Of x, as in the softmax.
  bool log = false;                            ///< Whether y is the logarithm.

  /// E.g. "softmax-backward (4096, 1024) along 1 bf16".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const SoftmaxBackwardProblem& x, const SoftmaxBackwardProblem& y) noexcept;

/// The tensors of one gradient, for the one-line call: `ckl::softmax_backward({y, dy, dx}, stream)`.
struct SoftmaxBackwardArguments {
  Tensor y;            ///< Input: what the softmax gave.
  Tensor dy;           ///< Input of y's shape.
  Tensor dx;           ///< Output of y's shape.
  int axis = -1;       ///< The dimension that the softmax sums over; negative ones count from the last.
  float scale = 1.0f;  ///< Of x, as in the softmax.
  bool log = false;    ///< Whether y is the logarithm.
};

/// The problem that `arguments` pose, the pointers' alignment included.
/// @throws Error (invalid_argument) for shapes that differ, an axis that is none of y's, a scale that is not finite, null data, or a dx
///         that overlaps itself or partly overlaps an input; (unsupported) for dtypes that are not listed at SoftmaxBackwardProblem.
CKL_API SoftmaxBackwardProblem softmax_backward_problem(const SoftmaxBackwardArguments& arguments);

/// The kernel configs that can serve `problem`, the chosen one first; empty where dx has no elements.
CKL_API std::vector<std::string> softmax_backward_candidates(const SoftmaxBackwardProblem& problem,
                                                             const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
class CKL_API SoftmaxBackwardPlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that softmax_backward_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it;
  ///         (unsupported) for a device other than compute capability 9.0 or dtypes that are not listed.
  explicit SoftmaxBackwardPlan(const SoftmaxBackwardProblem& problem, int device = -1, std::string_view config = {});

  /// Launches the gradient on `stream`, without synchronizing. Works under stream capture.
  /// @param y,dy,dx  Device pointers with the alignment that the problem promised; dx may be exactly y or dy where the strides are
  ///                 equal.
  /// @throws Error (invalid_argument) for a null, misaligned or partly overlapping pointer, or a stream of another device.
  void run(const void* y, const void* dy, void* dx, Stream stream = nullptr) const;

  const SoftmaxBackwardProblem& problem() const noexcept;  ///< What it computes.
  const std::string& config() const noexcept;              ///< How: the config's name, e.g. "bf16_p128_vec".
  int device() const noexcept;                             ///< Where: the CUDA device index.

  struct Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// The gradient of a softmax's input, on `stream` of the current device, without synchronizing. Plans are cached.
/// @throws Error as softmax_backward_problem(), SoftmaxBackwardPlan::SoftmaxBackwardPlan() and SoftmaxBackwardPlan::run() do.
CKL_API void softmax_backward(const SoftmaxBackwardArguments& arguments, Stream stream = nullptr);

}  // namespace ckl
