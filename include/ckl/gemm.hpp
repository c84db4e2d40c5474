#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ckl/device.hpp"
#include "ckl/export.hpp"
#include "ckl/tensor.hpp"

namespace ckl {

/// One matrix of a GemmProblem: how it lies in memory, not where.
struct GemmOperand {
  DType dtype = DType::bf16;       ///< Element type.
  std::int64_t row_stride = 0;     ///< Elements from (i, j) to (i + 1, j).
  std::int64_t column_stride = 0;  ///< Elements from (i, j) to (i, j + 1).
  std::int64_t batch_stride = 0;   ///< Elements from one matrix of the batch to the next.
  int alignment = 16;  ///< Bytes, a power of two from 1 to 16, that the pointer given to run() is a multiple of.

  /// Whether all members are equal.
  friend bool operator==(const GemmOperand& x, const GemmOperand& y) noexcept {
    return x.dtype == y.dtype && x.row_stride == y.row_stride && x.column_stride == y.column_stride &&
           x.batch_stride == y.batch_stride && x.alignment == y.alignment;
  }
};

/// What to compute: D = alpha * A * B + beta * C with A (m, k), B (k, n), C and D (m, n).
/// Strides alone say the layout; there are no transpose flags.
///
/// Supported: A and B both bf16 or both f16, accumulation in f32; D f32, f16 or bf16; C of D's dtype.
/// Every m, n, k >= 0 and all strides. An operand is loaded as it lies (by TMA) where one of its strides is 1 and the other stride
/// and the pointer are multiples of 16 bytes; else it is copied into the plan's workspace first, or, where the product is tiny,
/// gathered element by element.
struct CKL_API GemmProblem {
  std::int64_t m = 0;      ///< Rows of A, C and D.
  std::int64_t n = 0;      ///< Columns of B, C and D.
  std::int64_t k = 0;      ///< Columns of A, rows of B.
  std::int64_t batch = 1;  ///< Number of matrices; 1 in this version.
  GemmOperand a;           ///< Left factor (m, k).
  GemmOperand b;           ///< Right factor (k, n).
  GemmOperand c;           ///< Addend (m, n), not looked at when beta is 0.
  GemmOperand d;           ///< Result (m, n).
  float alpha = 1.0f;      ///< Scale of the product. With 0, A and B are never read.
  float beta = 0.0f;       ///< Scale of C. With 0, C is never read.

  /// Whether a row of D has the same bits whatever m is and wherever the row lies: no sum is then cut in a way that depends on m.
  bool batch_invariant = false;

  /// E.g. "gemm m=4096 n=4096 k=4096 bf16*bf16->bf16 tn".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const GemmProblem& x, const GemmProblem& y) noexcept;

/// The tensors of one product, for the one-line call: `ckl::gemm({a, b, d}, stream)`.
struct GemmArguments {
  Tensor a;                      ///< (m, k), input.
  Tensor b;                      ///< (k, n), input.
  Tensor d;                      ///< (m, n), output.
  float alpha = 1.0f;            ///< Scale of the product.
  float beta = 0.0f;             ///< Scale of C.
  Tensor c = Tensor();           ///< (m, n), input; needed when beta is not 0. May be exactly D.
  bool batch_invariant = false;  ///< As in GemmProblem.
};

/// The problem that `arguments` pose, the pointers' alignment included.
/// @throws Error (invalid_argument) for shapes that do not fit together, null data, or a D that overlaps
///         itself or an input; (unsupported) for dtypes that are not listed at GemmProblem.
CKL_API GemmProblem gemm_problem(const GemmArguments& arguments);

/// The kernel configs that can serve `problem` on `device`, the chosen one first; empty where no product has
/// to be computed (m, n or k is 0, or alpha is 0).
CKL_API std::vector<std::string> gemm_candidates(const GemmProblem& problem, const DeviceInfo& device);

/// A problem bound to a kernel config and to a device: made once, run many times, from many threads.
/// Making it loads the kernel and queries the device; running it only launches.
class CKL_API GemmPlan {
 public:
  /// Plans `problem` for CUDA device `device` (-1: the current one).
  /// @param config  A name that gemm_candidates() lists, or empty to let the library choose.
  /// @throws Error (invalid_argument) for an ill-formed problem or a config that cannot serve it;
  ///         (unsupported) for a device other than compute capability 9.0 or dtypes that are not listed.
  explicit GemmPlan(const GemmProblem& problem, int device = -1, std::string_view config = {});

  /// Launches the product on `stream`, without synchronizing. Works under stream capture.
  /// @param a,b,c,d    Device pointers with the alignment that the problem promised; c may be null when beta
  ///                   is 0, and may be exactly d when their strides are equal.
  /// @param workspace  At least workspace_bytes() bytes, aligned to 256, for this call alone until it has finished; may be
  ///                   null when that is 0. Fill it with zeros once, before its first use; each run leaves it ready for
  ///                   the next, of this plan or of another.
  /// @throws Error (invalid_argument) for a null, misaligned or overlapping pointer, or a stream of another device.
  void run(const void* a, const void* b, const void* c, void* d, void* workspace = nullptr,
           Stream stream = nullptr) const;

  std::size_t workspace_bytes() const noexcept;  ///< Exact size that run() needs, in bytes.
  const GemmProblem& problem() const noexcept;   ///< What it computes.
  const std::string& config() const noexcept;    ///< How: the config's name, e.g. "bf16_tn_128x256x64_2x1_s4_coopm".
  int device() const noexcept;                   ///< Where: the CUDA device index.

  class Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// D = alpha * A * B + beta * C on `stream` of the current device, without synchronizing. Plans are cached,
/// so that a repeated call costs little host time.
/// @throws Error as gemm_problem(), GemmPlan::GemmPlan() and GemmPlan::run() do.
CKL_API void gemm(const GemmArguments& arguments, Stream stream = nullptr);

}  // namespace ckl
