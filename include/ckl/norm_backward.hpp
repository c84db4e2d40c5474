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
#include "ckl/norm.hpp"
#include "ckl/operand.hpp"
#include "ckl/tensor.hpp"

namespace ckl {

/// What to compute: the gradients of a normalization along the last dimension, of n elements. With x^ = (x - mean) * rstd, where RMSNorm
/// takes the mean to be 0, and g = dy * weight,
///
///     dx = rstd * (g - mean_j(g) - x^ * mean_j(g * x^)),   dweight = sum over the rows of dy * x^,   dbias = sum over the rows of dy
///
/// where RMSNorm has no mean_j(g). Where a residual was added before, x is the sum that the normalization has stored, and dx is the
/// gradient of both.
///
/// Supported: x, dy and dx all f32, all f16 or all bf16, at any strides and alignment; dx may be exactly x or dy; weight, dweight and dbias of
/// that type or f32; mean and rstd f32, as the normalization stores them.
///
/// - Computed in f32, for f32 rows in f64, from mean and rstd as they are; dx is rounded once.
/// - dweight and dbias are the same each time: each of a few hundred groups of threads adds up its rows one after another in f32, and these
///   sums are added up in f32, too. With m rows they are off by at most 2^-24 (m + 16) of the sum of absolute values, and in fact
///   by far less.
/// - NaN and infinities propagate as the formulas say: within their row of dx, and within their column of dweight and dbias.
/// - A row of dx has bits that depend on its elements, its length, its place between boundaries of 16 bytes, and on how all operands lie (as of
///   `NormProblem`), else not on how many rows there are.
struct CKL_API NormBackwardProblem {
  NormKind kind = NormKind::layer;             ///< Which normalization.
  int rank = 0;                                ///< Dimensions of x, dy and dx, at least 1.
  std::array<std::int64_t, max_rank> sizes{};  ///< Their shape; the last dimension was normalized.
  TensorOperand x;                             ///< Input: what was normalized.
  TensorOperand dy;                            ///< Input: the gradient of the normalization's result.
  TensorOperand dx;                            ///< Output: the gradient of x.
  TensorOperand mean;        ///< LayerNorm's input: one a row. mean and rstd have a stride of 0 in the last dimension.
  TensorOperand rstd;        ///< Input: one a row.
  bool has_weight = false;   ///< Whether there is a weight.
  bool has_dweight = false;  ///< Whether the weight's gradient is an output too.
  bool has_dbias = false;    ///< Whether the bias's gradient is an output too.
  TensorOperand weight;  ///< Input over the last dimension; strides of the others are 0, as those of dweight and dbias.
  TensorOperand dweight;  ///< Output over the last dimension.
  TensorOperand dbias;    ///< Output over the last dimension.

  /// E.g. "layernorm-backward (4096, 1024) bf16 weight dweight dbias".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const NormBackwardProblem& x, const NormBackwardProblem& y) noexcept;

/// The tensors of one gradient, for the one-line call: `ckl::norm_backward({NormKind::rms, x, dy, dx, rstd, weight, dweight}, stream)`.
/// Those with a default may be left out.
struct NormBackwardArguments {
  NormKind kind = NormKind::layer;  ///< Which normalization.
  Tensor x;                         ///< Input of rank 1 or more.
  Tensor dy;                        ///< Input of x's shape.
  Tensor dx;                        ///< Output of x's shape.
  Tensor rstd;                      ///< Input of x's shape without the last dimension.
  Tensor weight = Tensor();         ///< Input of rank 1, as long as x's last dimension.
  Tensor dweight = Tensor();        ///< Output of rank 1, as long as x's last dimension.
  Tensor dbias = Tensor();          ///< Output of rank 1, as long as x's last dimension.
  Tensor mean = Tensor();           ///< Input of rstd's shape, which LayerNorm needs.
};

/// Device pointers of one run; those of tensors that the problem does not have are not looked at.
struct NormBackwardPointers {
  const void* x = nullptr;       ///< Input.
  const void* dy = nullptr;      ///< Input.
  void* dx = nullptr;            ///< Output.
  const float* rstd = nullptr;   ///< Input.
  const void* weight = nullptr;  ///< Input.
  void* dweight = nullptr;       ///< Output.
  void* dbias = nullptr;         ///< Output.
  const float* mean = nullptr;   ///< Input.
};

/// The problem that `arguments` pose, the pointers' alignment included.
/// @throws Error (invalid_argument) for shapes that differ, a LayerNorm without a mean or an RMSNorm with one, null data, or an output that
///         overlaps itself, another output, or partly an input; (unsupported) for dtypes that are not listed at NormBackwardProblem.
CKL_API NormBackwardProblem norm_backward_problem(const NormBackwardArguments& arguments);

/// The kernel configs that can serve `problem`, the chosen one first; empty where dx has no elements.
CKL_API std::vector<std::string> norm_backward_candidates(const NormBackwardProblem& problem, const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
class CKL_API NormBackwardPlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that norm_backward_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it;
  ///         (unsupported) for a device other than compute capability 9.0 or dtypes that are not listed.
  explicit NormBackwardPlan(const NormBackwardProblem& problem, int device = -1, std::string_view config = {});

  /// Launches the gradients on `stream`, without synchronizing. Works under stream capture.
  /// @param pointers   With the alignment that the problem promised.
  /// @param workspace  At least workspace_bytes() bytes, aligned to 256, for this call alone until it has finished; may be
  ///                   null when that is 0. What is in it does not matter.
  /// @throws Error (invalid_argument) for a null, misaligned or overlapping pointer, or a stream of another device.
  void run(const NormBackwardPointers& pointers, void* workspace = nullptr, Stream stream = nullptr) const;

  std::size_t workspace_bytes() const noexcept;         ///< Exact size that run() needs, in bytes.
  const NormBackwardProblem& problem() const noexcept;  ///< What it computes.
  const std::string& config() const noexcept;           ///< How: the config's name, e.g. "bf16_p256_vec".
  int device() const noexcept;                          ///< Where: the CUDA device index.

  class Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// The gradients of a normalization, on `stream` of the current device, without synchronizing. Plans are cached. Graphs of it run as those of gemm() do.
/// @throws Error as norm_backward_problem(), NormBackwardPlan::NormBackwardPlan() and NormBackwardPlan::run() do.
CKL_API void norm_backward(const NormBackwardArguments& arguments, Stream stream = nullptr);

}  // namespace ckl
