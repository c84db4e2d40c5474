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

/// What to compute: for each row of logits (the last dimension counts the n classes) and its target, a class,
///
///     lse = log(sum_j exp(logits[j])),   loss = lse - (1 - s) * logits[target] - s * mean_j logits[j]
///
/// with the label smoothing s: the target's class has a weight of 1 - s + s / n, all others one of s / n.
///
/// Supported: logits f32, f16 or bf16, at any strides and alignment; targets i32 or i64; loss and lse f32. Each row is read once.
///
/// - A row whose target is `ignore_index` has a loss of 0, whatever is in it. One with another target outside of 0 to n - 1 has a loss of
///   NaN: a mistake in data on the device cannot be reported without waiting for it.
/// - A NaN or a +infinity in a row makes its loss and its lse NaN. Classes of -infinity have a probability of 0: a target among them has a
///   loss of +infinity, as has every row that has some where there is smoothing. Of nothing but -infinity, lse is -infinity and the loss
///   NaN.
/// - The sum is formed in f32 relative to the largest logit: off by a few units of f32 in the last place. The loss is not the difference of
///   lse and a logit, but formed from their distances from the largest logit: where it is small, it is still exact.
/// - A row's bits depend on its elements, whether those are adjacent, its length, and its place between boundaries of 128 bytes (rows of
///   up to 16 K 16-bit or 8 K f32 elements: 16) alone, not on how many rows there are.
struct CKL_API CrossEntropyProblem {
  int rank = 0;                                ///< Dimensions of logits, at least 1.
  std::array<std::int64_t, max_rank> sizes{};  ///< Their shape; the last dimension counts the classes.
  TensorOperand logits;                        ///< Input.
  TensorOperand targets;             ///< Input: one a row. It, loss and lse have a stride of 0 in the last dimension.
  TensorOperand loss;                ///< Output: one a row.
  bool has_lse = false;              ///< Whether lse is an output too; the gradient needs it.
  TensorOperand lse;                 ///< Output: one a row.
  std::int64_t ignore_index = -100;  ///< The target of rows that do not count.
  float label_smoothing = 0.0f;      ///< 0 to 1.

  /// E.g. "cross-entropy (4096, 32000) bf16 i64 lse".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const CrossEntropyProblem& x, const CrossEntropyProblem& y) noexcept;

/// The tensors of one cross-entropy, for the one-line call: `ckl::cross_entropy({logits, targets, loss}, stream)`. Those with a default
/// may be left out.
struct CrossEntropyArguments {
  Tensor logits;                     ///< Input of rank 1 or more.
  Tensor targets;                    ///< Input of logits' shape without the last dimension.
  Tensor loss;                       ///< Output of that shape.
  Tensor lse = Tensor();             ///< Output of that shape, for the gradient.
  std::int64_t ignore_index = -100;  ///< The target of rows that do not count.
  float label_smoothing = 0.0f;      ///< 0 to 1.
};

/// Device pointers of one run; that of a tensor that the problem does not have is not looked at.
struct CrossEntropyPointers {
  const void* logits = nullptr;   ///< Input.
  const void* targets = nullptr;  ///< Input.
  float* loss = nullptr;          ///< Output.
  float* lse = nullptr;           ///< Output.
};

/// The problem that `arguments` pose, the pointers' alignment included.
/// @throws Error (invalid_argument) for shapes that do not fit, rows without classes, a label smoothing outside of 0 to 1, null data, or
///         outputs that overlap themselves or any other tensor; (unsupported) for dtypes that are not listed at CrossEntropyProblem.
CKL_API CrossEntropyProblem cross_entropy_problem(const CrossEntropyArguments& arguments);

/// The kernel configs that can serve `problem`, the chosen one first; empty where there are no rows.
CKL_API std::vector<std::string> cross_entropy_candidates(const CrossEntropyProblem& problem, const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
class CKL_API CrossEntropyPlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that cross_entropy_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it;
  ///         (unsupported) for a device other than compute capability 9.0 or dtypes that are not listed.
  explicit CrossEntropyPlan(const CrossEntropyProblem& problem, int device = -1, std::string_view config = {});

  /// Launches the cross-entropy on `stream`, without synchronizing. Works under stream capture.
  /// @param pointers  With the alignment that the problem promised.
  /// @throws Error (invalid_argument) for a null, misaligned or overlapping pointer, or a stream of another device.
  void run(const CrossEntropyPointers& pointers, Stream stream = nullptr) const;

  const CrossEntropyProblem& problem() const noexcept;  ///< What it computes.
  const std::string& config() const noexcept;           ///< How: the config's name, e.g. "bf16_p256_vec".
  int device() const noexcept;                          ///< Where: the CUDA device index.

  struct Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// The losses of rows of logits, on `stream` of the current device, without synchronizing. Plans are cached.
/// @throws Error as cross_entropy_problem(), CrossEntropyPlan::CrossEntropyPlan() and CrossEntropyPlan::run() do.
CKL_API void cross_entropy(const CrossEntropyArguments& arguments, Stream stream = nullptr);

}  // namespace ckl
