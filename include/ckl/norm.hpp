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

/// How rows are normalized.
enum class NormKind : std::uint8_t {
  layer,  ///< LayerNorm: to mean 0 and variance 1.
  rms,    ///< RMSNorm: to a mean square of 1; the mean stays.
};

/// The name of `kind`, "layernorm" or "rmsnorm"; "invalid" for a value outside the enumeration.
CKL_API const char* name(NormKind kind) noexcept;

/// What to compute, along the last dimension, with s = x + residual rounded to x's type (s = x without a residual):
///
///     y = (s - mean) * rstd * weight + bias,   rstd = 1 / sqrt(mean of (s - mean)^2 + epsilon)
///
/// where LayerNorm takes the mean of the row's n elements (and divides the sum of squares by n), and RMSNorm takes 0.
///
/// With a y of fp8, each row is quantized with a scale of its own, which is an output too, so that y * scale is what it would be without:
///
///     scale = max(max |y| / M, 2^-126),   y becomes y / scale, rounded to the nearest,   M = 448 (e4m3) or 57344 (e5m2)
///
/// Every scale is a positive, normal number: that of a row of zeros is 2^-126. A NaN stays one, and does not count for the scale; an infinity,
/// and what f32 cannot hold, counts as the largest f32 and becomes M.
///
/// Supported: x, residual and sum all f32, all f16 or all bf16; y of that type, e4m3 or e5m2; weight and bias of x's type or both f32; any
/// sizes, strides and alignment. 16-bit rows are computed in f32 and f32 rows in f64, and the result is rounded once, so that it is off by at most a
/// little more than half a unit in the last place; the variance is summed up around the mean, so that a large mean costs no digits.
/// A NaN or an infinity in a row makes all of it NaN (RMSNorm: an infinity makes the finite elements 0 times their weight, plus bias).
/// A row's bits depend on its elements, its length, its place between boundaries of 16 bytes, and on how all operands lie: rows of adjacent
/// elements that all begin and end on such boundaries, or that lie alike in all operands, or neither. So a row may have other bits in a tensor of its
/// own; else it does not matter how many rows there are.
struct CKL_API NormProblem {
  NormKind kind = NormKind::layer;             ///< Which normalization.
  int rank = 0;                                ///< Dimensions of x and y, at least 1.
  std::array<std::int64_t, max_rank> sizes{};  ///< Their shape; the last dimension is normalized.
  TensorOperand x;                             ///< Input.
  TensorOperand y;                             ///< Output; may be exactly x or the residual, unless it is fp8.
  bool has_weight = false;                     ///< Whether there is a weight.
  bool has_bias = false;                       ///< Whether there is a bias.
  bool has_residual = false;                   ///< Whether there is a residual.
  bool has_sum = false;                        ///< Whether x + residual is an output too.
  bool has_mean = false;                       ///< Whether the mean of each row is an output too.
  bool has_rstd = false;                       ///< Whether rstd of each row is an output too.
  bool has_scale = false;                      ///< Whether the scale of each row is: where y is fp8, and only there.
  TensorOperand weight;                        ///< Input over the last dimension; strides of the others are 0.
  TensorOperand bias;                          ///< Input over the last dimension; strides of the others are 0.
  TensorOperand residual;                      ///< Input of x's shape.
  TensorOperand sum;                           ///< Output of x's shape; may be exactly x or the residual.
  float epsilon = 1e-5f;                       ///< Added to the variance, 0 or more.

  /// E.g. "layernorm (4096, 1024) bf16 weight bias".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const NormProblem& x, const NormProblem& y) noexcept;

/// The tensors of one normalization, for the one-line call: `ckl::norm({NormKind::rms, x, y, weight}, stream)`. Those with a default
/// may be left out.
struct NormArguments {
  NormKind kind = NormKind::layer;  ///< Which normalization.
  Tensor x;                         ///< Input of rank 1 or more.
  Tensor y;                         ///< Output of x's shape.
  Tensor weight = Tensor();         ///< Input of rank 1, as long as x's last dimension.
  Tensor bias = Tensor();           ///< Input of rank 1, as long as x's last dimension.
  float epsilon = 1e-5f;            ///< Added to the variance.
  Tensor residual = Tensor();       ///< Input of x's shape, added before.
  Tensor sum = Tensor();            ///< Output of x's shape: x + residual.
  Tensor mean = Tensor();           ///< Output, f32, of x's shape without the last dimension, contiguous.
  Tensor rstd = Tensor();           ///< Output, f32, of x's shape without the last dimension, contiguous.
  Tensor scale = Tensor();          ///< Output of a y of fp8, f32, of x's shape without the last dimension, contiguous.
};

/// Device pointers of one run; those of tensors that the problem does not have are not looked at.
struct NormPointers {
  const void* x = nullptr;         ///< Input.
  void* y = nullptr;               ///< Output.
  const void* weight = nullptr;    ///< Input.
  const void* bias = nullptr;      ///< Input.
  const void* residual = nullptr;  ///< Input.
  void* sum = nullptr;             ///< Output.
  float* mean = nullptr;           ///< Output, one value a row.
  float* rstd = nullptr;           ///< Output, one value a row.
  float* scale = nullptr;          ///< Output, one value a row.
};

/// The problem that `arguments` pose, the pointers' alignment included.
/// @throws Error (invalid_argument) for shapes that differ, an epsilon that is negative or not finite, a sum without a residual,
///         an fp8 y without a scale or a scale without one, null data, or an output that overlaps itself, another output, or partly an input; (unsupported) for dtypes that are not
///         listed at NormProblem.
CKL_API NormProblem norm_problem(const NormArguments& arguments);

/// The kernel configs that can serve `problem`, the chosen one first; empty where y has no elements.
CKL_API std::vector<std::string> norm_candidates(const NormProblem& problem, const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
class CKL_API NormPlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that norm_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it;
  ///         (unsupported) for a device other than compute capability 9.0 or dtypes that are not listed.
  explicit NormPlan(const NormProblem& problem, int device = -1, std::string_view config = {});

  /// Launches the normalization on `stream`, without synchronizing. Works under stream capture.
  /// @param pointers  With the alignment that the problem promised.
  /// @throws Error (invalid_argument) for a null, misaligned or overlapping pointer, or a stream of another device.
  void run(const NormPointers& pointers, Stream stream = nullptr) const;

  const NormProblem& problem() const noexcept;  ///< What it computes.
  const std::string& config() const noexcept;   ///< How: the config's name, e.g. "bf16_p128_vec".
  int device() const noexcept;                  ///< Where: the CUDA device index.

  struct Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// Normalizes the rows of x on `stream` of the current device, without synchronizing. Plans are cached.
/// @throws Error as norm_problem(), NormPlan::NormPlan() and NormPlan::run() do.
CKL_API void norm(const NormArguments& arguments, Stream stream = nullptr);

}  // namespace ckl
