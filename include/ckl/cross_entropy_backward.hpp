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

/// What to compute: the gradient of a cross-entropy's logits, from the lse that it has stored. With dloss, the gradient of each row's loss,
///
///     dlogits[j] = dloss * (exp(logits[j] - lse) - s / n - (1 - s) * [j == target])
///
/// for the n classes of a row and the label smoothing s.
///
/// Supported: logits f32, f16 or bf16 and dlogits of the same type, at any strides and alignment; dlogits may be exactly logits. targets
/// i32 or i64; lse and dloss f32 (with a stride of 0, dloss is one value for all rows). Each row is read once.
///
/// - Rows whose target is `ignore_index` have a gradient of 0, whatever is in them; those with another target outside of 0 to n - 1 one of
///   NaN. Else NaN and infinities propagate as the formula says, within their row.
/// - Computed in f32 and rounded once: exp(logits[j] - lse) is off by a few units of f32 in the last place, and by as many more as the
///   exponent is large. lse itself is a rounded number: off by half a unit in its last place, it changes the gradient by that much.
/// - A row's bits depend on its elements, its length, its place between 16-byte boundaries, and whether rows of adjacent elements lie alike
///   between those in logits and dlogits, both of which begin on one. Else it does not matter how many rows there are.
struct CKL_API CrossEntropyBackwardProblem {
  int rank = 0;                                ///< Dimensions of logits and dlogits, at least 1.
  std::array<std::int64_t, max_rank> sizes{};  ///< Their shape; the last dimension counts the classes.
  TensorOperand logits;                        ///< Input: what the loss was taken of.
  TensorOperand targets;             ///< Input: one a row. It, lse and dloss have a stride of 0 in the last dimension.
  TensorOperand lse;                 ///< Input: one a row, which the cross-entropy has stored.
  TensorOperand dloss;               ///< Input: one a row, the gradient of its loss.
  TensorOperand dlogits;             ///< Output: the gradient of logits.
  std::int64_t ignore_index = -100;  ///< As in the cross-entropy.
  float label_smoothing = 0.0f;      ///< As in the cross-entropy.

  /// E.g. "cross-entropy-backward (4096, 32000) bf16 i64".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const CrossEntropyBackwardProblem& x, const CrossEntropyBackwardProblem& y) noexcept;

/// The tensors of one gradient, for the one-line call: `ckl::cross_entropy_backward({logits, targets, lse, dloss, dlogits}, stream)`.
struct CrossEntropyBackwardArguments {
  Tensor logits;                     ///< Input of rank 1 or more.
  Tensor targets;                    ///< Input of logits' shape without the last dimension.
  Tensor lse;                        ///< Input of that shape.
  Tensor dloss;                      ///< Input of that shape.
  Tensor dlogits;                    ///< Output of logits' shape.
  std::int64_t ignore_index = -100;  ///< As in the cross-entropy.
  float label_smoothing = 0.0f;      ///< As in the cross-entropy.
};

/// Device pointers of one run.
struct CrossEntropyBackwardPointers {
  const void* logits = nullptr;   ///< Input.
  const void* targets = nullptr;  ///< Input.
  const float* lse = nullptr;     ///< Input.
  const float* dloss = nullptr;   ///< Input.
  void* dlogits = nullptr;        ///< Output.
};

/// The problem that `arguments` pose, the pointers' alignment included.
/// @throws Error (invalid_argument) for shapes that do not fit, rows without classes, a label smoothing outside of 0 to 1, null data, or
///         dlogits that overlap themselves, partly logits, or another input; (unsupported) for dtypes that are not listed at
///         CrossEntropyBackwardProblem.
CKL_API CrossEntropyBackwardProblem cross_entropy_backward_problem(const CrossEntropyBackwardArguments& arguments);

/// The kernel configs that can serve `problem`, the chosen one first; empty where there are no rows.
CKL_API std::vector<std::string> cross_entropy_backward_candidates(const CrossEntropyBackwardProblem& problem,
                                                                   const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
class CKL_API CrossEntropyBackwardPlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that cross_entropy_backward_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it;
  ///         (unsupported) for a device other than compute capability 9.0 or dtypes that are not listed.
  explicit CrossEntropyBackwardPlan(const CrossEntropyBackwardProblem& problem, int device = -1,
                                    std::string_view config = {});

  /// Launches the gradient on `stream`, without synchronizing. Works under stream capture.
  /// @param pointers  With the alignment that the problem promised; dlogits may be exactly logits where the strides are equal.
  /// @throws Error (invalid_argument) for a null, misaligned or overlapping pointer, or a stream of another device.
  void run(const CrossEntropyBackwardPointers& pointers, Stream stream = nullptr) const;

  const CrossEntropyBackwardProblem& problem() const noexcept;  ///< What it computes.
  const std::string& config() const noexcept;                   ///< How: the config's name, e.g. "bf16_t512_vec".
  int device() const noexcept;                                  ///< Where: the CUDA device index.

  struct Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// The gradient of a cross-entropy's logits, on `stream` of the current device, without synchronizing. Plans are cached.
/// @throws Error as cross_entropy_backward_problem(), CrossEntropyBackwardPlan::CrossEntropyBackwardPlan() and
///         CrossEntropyBackwardPlan::run() do.
CKL_API void cross_entropy_backward(const CrossEntropyBackwardArguments& arguments, Stream stream = nullptr);

}  // namespace ckl
