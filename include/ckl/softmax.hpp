#pragma once

#include <array>
#include <cstddef>
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

/// What to compute, along one axis of x: y[i] = exp(s[i] - max(s)) / sum_j exp(s[j] - max(s)) with s = scale * x + mask, or with `log` its
/// logarithm, s[i] - max(s) - log(sum_j exp(s[j] - max(s))). With `causal`, row i of a matrix (the last two dimensions) sees its columns up
/// to i + diagonal, as if the others were -infinity; most of those are not read.
///
/// Supported: x, y and mask all f32, all f16 or all bf16, computed in f32 and rounded once; any sizes, strides and alignment; y may be
/// exactly x or the mask. Elements that are -infinity have probability 0. A row that has a NaN or +infinity, or only -infinity (with
/// `causal`, that sees nothing), becomes NaN, as the formula says. A row's bits depend on its elements, its length, its place between
/// boundaries of 16 bytes, and on how all operands lie: rows of adjacent elements that all begin and end on such boundaries, or of which
/// the first begins on one and the others lie alike in all operands, or neither. So a row may have other bits in a tensor of its own; else
/// it does not matter how many rows there are.
struct CKL_API SoftmaxProblem {
  int rank = 0;                                ///< Dimensions of x and y, at least 1.
  std::array<std::int64_t, max_rank> sizes{};  ///< Their shape.
  int axis = 0;                                ///< The dimension that is summed over, 0 to rank - 1.
  TensorOperand x;                             ///< Input.
  TensorOperand y;                             ///< Output.
  float scale = 1.0f;                          ///< Of x: 1 / temperature.
  bool log = false;                            ///< Whether the logarithm is wanted.
  bool has_mask = false;                       ///< Whether there is a mask.
  TensorOperand mask;                          ///< Input of x's shape, with strides of 0 where it repeats.
  bool causal = false;        ///< Whether rows see no more than i + diagonal; only along the last of two axes or more.
  std::int64_t diagonal = 0;  ///< With `causal`: columns - rows lets the last row see everything.

  /// E.g. "softmax (4096, 1024) along 1 bf16".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const SoftmaxProblem& x, const SoftmaxProblem& y) noexcept;

/// The tensors of one softmax, for the one-line call: `ckl::softmax({x, y}, stream)`.
struct SoftmaxArguments {
  Tensor x;                   ///< Input.
  Tensor y;                   ///< Output of x's shape.
  int axis = -1;              ///< The dimension that is summed over; negative ones count from the last.
  float scale = 1.0f;         ///< Of x.
  bool log = false;           ///< Whether the logarithm is wanted.
  Tensor mask = Tensor();     ///< Input of x's rank, with x's sizes or 1; may be left out.
  bool causal = false;        ///< As in SoftmaxProblem.
  std::int64_t diagonal = 0;  ///< As in SoftmaxProblem.
};

/// Device pointers of one run; that of a mask that the problem does not have is not looked at.
struct SoftmaxPointers {
  const void* x = nullptr;     ///< Input.
  void* y = nullptr;           ///< Output.
  const void* mask = nullptr;  ///< Input.
};

/// The problem that `arguments` pose, the pointers' alignment included.
/// @throws Error (invalid_argument) for shapes that differ, an axis that is none of x's, a scale that is not finite, `causal` along
///         another axis than the last of two or more, null data, or a y that overlaps itself or partly overlaps an input; (unsupported) for dtypes that are not listed at SoftmaxProblem.
CKL_API SoftmaxProblem softmax_problem(const SoftmaxArguments& arguments);

/// The kernel configs that can serve `problem`, the chosen one first; empty where y has no elements.
CKL_API std::vector<std::string> softmax_candidates(const SoftmaxProblem& problem, const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
class CKL_API SoftmaxPlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that softmax_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it;
  ///         (unsupported) for a device other than compute capability 9.0 or dtypes that are not listed.
  explicit SoftmaxPlan(const SoftmaxProblem& problem, int device = -1, std::string_view config = {});

  /// Launches the softmax on `stream`, without synchronizing. Works under stream capture.
  /// @param x,y  Device pointers with the alignment that the problem promised; y may be exactly x where the strides are equal.
  /// @throws Error (invalid_argument) for a null, misaligned or partly overlapping pointer, or a stream of another device.
  void run(const void* x, void* y, Stream stream = nullptr) const;

  /// The same, with the mask that the problem has.
  void run(const SoftmaxPointers& pointers, Stream stream = nullptr) const;

  const SoftmaxProblem& problem() const noexcept;  ///< What it computes.
  const std::string& config() const noexcept;      ///< How: the config's name, e.g. "bf16_p128_vec".
  int device() const noexcept;                     ///< Where: the CUDA device index.

  struct Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// The softmax of x along an axis, on `stream` of the current device, without synchronizing. Plans are cached.
/// @throws Error as softmax_problem(), SoftmaxPlan::SoftmaxPlan() and SoftmaxPlan::run() do.
CKL_API void softmax(const SoftmaxArguments& arguments, Stream stream = nullptr);

}  // namespace ckl
