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

/// What elements are reduced to. Those marked (f) take floating-point elements only.
enum class ReduceOp : std::uint8_t {
  sum,          ///< Their sum; 0 of none. Integers wrap around as 64-bit ones do.
  product,      ///< Their product; 1 of none. Integers wrap around as 64-bit ones do.
  mean,         ///< (f) Their sum divided by their number; NaN of none.
  min,          ///< The smallest; a NaN if there is one. Of none it is an error.
  max,          ///< The largest; a NaN if there is one. Of none it is an error.
  argmin,       ///< The place of the first NaN, or else of the first that is the smallest. Of none it is an error.
  argmax,       ///< The place of the first NaN, or else of the first that is the largest. Of none it is an error.
  any,          ///< Whether one is not 0 (a NaN is not); false of none.
  all,          ///< Whether none is 0; true of none.
  l1,           ///< (f) The sum of their absolute values.
  l2,           ///< (f) The square root of the sum of their squares.
  log_sum_exp,  ///< (f) log(sum of exp(x)), without overflow; -infinity of none.
  variance,     ///< (f) The sum of squared distances from the mean, divided by their number less the correction.
  deviation,    ///< (f) The square root of the variance.
  custom,       ///< What a module of one's own says, for y of any type that is listed: ReduceModulePlan alone takes it.
};

/// The name of `op`, e.g. "log_sum_exp"; "invalid" for a value outside the enumeration.
CKL_API const char* name(ReduceOp op) noexcept;

/// What to compute: each element of y from the elements of x along the reduced dimensions, in one launch.
///
/// Supported: x f32, f16, bf16, f64, i32 or i64, at any sizes, strides and alignment; y of any strides. y is i64 or i32 for argmin and
/// argmax (a place counts the reduced dimensions in C order), b8 for any and all, any of these for custom, i64 or i32 of integers, and f32, f16, bf16 or f64 of
/// floating-point numbers.
///
/// Accuracy, before the one rounding to y's type:
/// - sum, mean and l1 of f32, f16 and bf16 are trees in f32 over at most 64 elements and f64 beyond: off by at most 2^-21 of the same
///   reduction of absolute values, where that of any 64 elements stays below 3e38; of f64, by 2^-42 of it.
/// - product is formed in f64: off by at most n 2^-52 of itself, with n elements, and n 2^-1060 more, since f64 loses digits there.
/// - l2, variance and deviation sum up squares (of distances from the first element, so that a large mean costs no digits) in f64, or for
///   16-bit elements in f32 trees and f64 beyond. l2 and variance are off by at most 2^-40 (16-bit: 2^-18) of the mean of those squares
///   times n over the divisor; deviation accordingly. Squares of 16-bit elements must stay below 3e38.
/// - log_sum_exp is off by at most 2^-19 (f64: 2^-40), where the largest element so far does not grow in more than a few dozen steps.
/// - min, max, any, all, argmin and argmax are exact, as are sums and products of integers.
///
/// Equal problems, configs and inputs give equal bits.
struct CKL_API ReduceProblem {
  ReduceOp op = ReduceOp::sum;                 ///< Which reduction.
  int rank = 0;                                ///< Dimensions of x.
  std::array<std::int64_t, max_rank> sizes{};  ///< x's shape.
  std::array<bool, max_rank> reduced{};        ///< Which dimensions are reduced.
  TensorOperand x;                             ///< Input.
  TensorOperand y;        ///< Output: a stride for each dimension of x, 0 for those that are reduced.
  double correction = 0;  ///< variance and deviation: taken off the number of elements, 0 or more.
  /// Whether an output has the same bits however many others there are: its elements are then shared out by their own number alone. x's
  /// strides, also those of dimensions of size 1, say whether they are a row or a column, and with x's alignment whether all rows begin on
  /// 16 bytes: such rows are added up in another order. So what is cut out of x has the same bits as in x where it has all of x's
  /// dimensions and their strides. A stride of 1 of a dimension of size 1 counts as unknown (as in DLPack) where a larger dimension has
  /// one too: x is then taken to be in C order.
  bool batch_invariant = false;

  /// E.g. "sum of (4096, 1024) along 1 bf16->f32".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const ReduceProblem& x, const ReduceProblem& y) noexcept;

/// The tensors of one reduction, for the one-line call: `ckl::reduce({ReduceOp::sum, x, y}, stream)`.
struct ReduceArguments {
  ReduceOp op = ReduceOp::sum;   ///< Which reduction.
  Tensor x;                      ///< Input.
  Tensor y;                      ///< Output: x's shape without the reduced dimensions, or with size 1 in their place.
  std::vector<int> axes = {};    ///< The reduced dimensions, negative ones counted from the last; empty: all.
  double correction = 0;         ///< As in ReduceProblem: 1 for the variance of a sample.
  bool batch_invariant = false;  ///< As in ReduceProblem.
};

/// The problem that `arguments` pose, the pointers' alignment included.
/// @throws Error (invalid_argument) for axes that x does not have or that are named twice, a y of another shape, a correction that is
///         negative or not finite, null data, the smallest or largest of no elements, or a y that overlaps itself or x; (unsupported)
///         for dtypes that are not listed at ReduceProblem and ReduceOp.
CKL_API ReduceProblem reduce_problem(const ReduceArguments& arguments);

/// The kernel configs that can serve `problem` on `device`, the chosen one first; empty where y has no elements.
CKL_API std::vector<std::string> reduce_candidates(const ReduceProblem& problem, const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
class CKL_API ReducePlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that reduce_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it;
  ///         (unsupported) for a device other than compute capability 9.0 or dtypes that are not listed.
  explicit ReducePlan(const ReduceProblem& problem, int device = -1, std::string_view config = {});

  /// Launches the reduction on `stream`, without synchronizing. Works under stream capture.
  /// @param x,y        Device pointers with the alignment that the problem promised; y needs nothing but its elements' own.
  /// @param workspace  At least workspace_bytes() bytes, aligned to 256, for this call alone until it has finished; may be
  ///                   null when that is 0. Fill it with zeros once, before its first use; each run leaves it ready for
  ///                   the next of this plan.
  /// @throws Error (invalid_argument) for a null, misaligned or overlapping pointer, or a stream of another device.
  void run(const void* x, void* y, void* workspace = nullptr, Stream stream = nullptr) const;

  std::size_t workspace_bytes() const noexcept;   ///< Exact size that run() needs, in bytes.
  const ReduceProblem& problem() const noexcept;  ///< What it computes.
  const std::string& config() const noexcept;     ///< How: the config's name, e.g. "sum_bf16_block_vec_s264".
  int device() const noexcept;                    ///< Where: the CUDA device index.

  class Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// Reduces x on `stream` of the current device, without synchronizing. Plans are cached. Graphs of such calls run as those of gemm() do.
/// @throws Error as reduce_problem(), ReducePlan::ReducePlan() and ReducePlan::run() do.
CKL_API void reduce(const ReduceArguments& arguments, Stream stream = nullptr);

}  // namespace ckl
