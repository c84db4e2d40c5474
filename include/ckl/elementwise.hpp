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

/// What to compute: D[i] = A[i] + B[i] for every index i of D's shape.
///
/// Supported: A, B and D all f32, all f16 or all bf16 (the 16-bit sum is formed in f32 and rounded once); any
/// sizes, strides and alignment.
struct CKL_API AddProblem {
  int rank = 0;                                ///< Dimensions of D.
  std::array<std::int64_t, max_rank> sizes{};  ///< D's shape.
  TensorOperand a;                             ///< Input.
  TensorOperand b;                             ///< Input.
  TensorOperand d;                             ///< Output.

  /// E.g. "add (4096, 128) bf16".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const AddProblem& x, const AddProblem& y) noexcept;

/// The problem that D = A + B poses. A and B broadcast to D's shape as in NumPy: dimensions are matched from
/// the last one, and an absent dimension or one of size 1 is repeated.
/// @throws Error (invalid_argument) for shapes that do not broadcast to D's, null data, or a D that overlaps
///         itself or partly overlaps an input; (unsupported) for dtypes that are not listed at AddProblem.
CKL_API AddProblem add_problem(const Tensor& a, const Tensor& b, const Tensor& d);

/// The kernel configs that can serve `problem`, the chosen one first; empty where D has no elements.
CKL_API std::vector<std::string> add_candidates(const AddProblem& problem, const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
class CKL_API AddPlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that add_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it;
  ///         (unsupported) for a device other than compute capability 9.0 or dtypes that are not listed.
  explicit AddPlan(const AddProblem& problem, int device = -1, std::string_view config = {});

  /// Launches the sum on `stream`, without synchronizing. Works under stream capture.
  /// @param a,b,d  Device pointers with the alignment that the problem promised; d may be exactly a or b where
  ///               the strides are equal.
  /// @throws Error (invalid_argument) for a null, misaligned or partly overlapping pointer, or a stream of
  ///         another device.
  void run(const void* a, const void* b, void* d, Stream stream = nullptr) const;

  const AddProblem& problem() const noexcept;  ///< What it computes.
  const std::string& config() const noexcept;  ///< How: the config's name, e.g. "add_bf16_flat".
  int device() const noexcept;                 ///< Where: the CUDA device index.

  struct Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// D = A + B on `stream` of the current device, without synchronizing. D may be exactly A or B.
/// @throws Error as add_problem(), AddPlan::AddPlan() and AddPlan::run() do.
CKL_API void add(const Tensor& a, const Tensor& b, const Tensor& d, Stream stream = nullptr);

}  // namespace ckl
