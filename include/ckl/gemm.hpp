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

/// A function that an epilogue applies to each element, in f32. GELU and SiLU of minus infinity are NaN, as by their formulas.
enum class Activation : std::uint8_t {
  none,       ///< x
  relu,       ///< max(x, 0); NaN stays NaN
  gelu,       ///< x (1 + erf(x / sqrt 2)) / 2
  gelu_tanh,  ///< x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
  silu,       ///< x / (1 + exp(-x))
  sigmoid,    ///< 1 / (1 + exp(-x))
};

/// The name of `activation`, e.g. "gelu_tanh"; "invalid" for a value outside the enumeration.
CKL_API const char* name(Activation activation) noexcept;

/// A vector of a GemmEpilogue: how it lies in memory, not where.
struct GemmVector {
  bool used = false;         ///< Without it, the other members mean nothing and nothing is read.
  DType dtype = DType::f32;  ///< f32, f16 or bf16.
  std::int64_t stride = 1;   ///< Elements from one to the next; 0 for a scalar that serves all.

  /// Whether both are not used, or all members are equal.
  friend bool operator==(const GemmVector& x, const GemmVector& y) noexcept {
    return x.used == y.used && (!x.used || (x.dtype == y.dtype && x.stride == y.stride));
  }
};

/// What happens to a product on its way to D, in f32, in this order, with element (i, j) of the (m, n) product:
///
///     z = alpha * a_scale[i] * b_scale[j] * (A B) + beta * C + row_bias[i] + column_bias[j]
///     aux = z
///     y = activation(z), or gated: y(i, j) = activation(z(i, 2 j)) * z(i, 2 j + 1)
///     D = (y + residual) * d_scale, converted to D's type
///
/// What is not used is left out. The default is no epilogue but alpha and beta.
struct GemmEpilogue {
  GemmVector a_scale;                        ///< One factor a row, (m), or one for all.
  GemmVector b_scale;                        ///< One factor a column of the product, (n), or one for all.
  GemmVector d_scale;                        ///< One factor for all; its stride is 0.
  GemmVector row_bias;                       ///< (m)
  GemmVector column_bias;                    ///< (n)
  Activation activation = Activation::none;  ///< Applied to z.
  /// Even columns are gates of the odd columns after them: D and the residual have n / 2 columns, n being even. With sigmoid
  /// this is GLU, with relu ReGLU, with gelu GeGLU, with silu SwiGLU. Fast where D is row-major.
  bool gated = false;
  bool has_residual = false;  ///< Whether there is a residual.
  bool has_aux = false;       ///< Whether z is stored.
  GemmOperand residual;       ///< Input (m, columns of D) of f32, f16 or bf16; may be exactly D.
  GemmOperand aux;            ///< Output (m, n) of f32, f16 or bf16.

  /// Whether it does nothing.
  bool empty() const noexcept { return *this == GemmEpilogue(); }

  /// E.g. "column_bias+gelu+residual"; empty for an epilogue that does nothing.
  CKL_API std::string to_string() const;

  /// Whether all members that are used are equal.
  CKL_API friend bool operator==(const GemmEpilogue& x, const GemmEpilogue& y) noexcept;
};

/// What to compute: D = epilogue(alpha * A * B + beta * C) with A (m, k), B (k, n), C (m, n), and D (m, n), or
/// (m, n / 2) where the epilogue is gated. Strides alone say the layout; there are no transpose flags.
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
  GemmEpilogue epilogue;   ///< What is fused.

  /// Columns of D: n, or half of them where the epilogue is gated.
  std::int64_t d_columns() const noexcept { return epilogue.gated ? n / 2 : n; }

  /// Whether a row of D has the same bits whatever m is and wherever the row lies: no sum is then cut in a way that depends on m.
  bool batch_invariant = false;

  /// E.g. "gemm m=4096 n=4096 k=4096 bf16*bf16->bf16 tn".
  std::string to_string() const;
};

/// Equal problems give equal plans.
CKL_API bool operator==(const GemmProblem& x, const GemmProblem& y) noexcept;

/// The tensors of a fused epilogue; Tensor() stands for what is not used. See GemmEpilogue.
struct GemmEpilogueTensors {
  Activation activation = Activation::none;  ///< Applied to the sum.
  bool gated = false;                        ///< Even columns are gates of odd ones; D has n / 2 columns.
  Tensor a_scale = Tensor();                 ///< (m), or a scalar: rank 0.
  Tensor b_scale = Tensor();                 ///< (n), or a scalar: rank 0.
  Tensor d_scale = Tensor();                 ///< A scalar: rank 0.
  Tensor row_bias = Tensor();                ///< (m)
  Tensor column_bias = Tensor();             ///< (n)
  Tensor residual = Tensor();                ///< D's sizes; may be exactly D.
  Tensor aux = Tensor();                     ///< (m, n), output.
};

/// The tensors of one product, for the one-line call: `ckl::gemm({a, b, d}, stream)`.
struct GemmArguments {
  Tensor a;                      ///< (m, k), input.
  Tensor b;                      ///< (k, n), input.
  Tensor d;                      ///< (m, n), or (m, n / 2) where the epilogue is gated; output.
  float alpha = 1.0f;            ///< Scale of the product.
  float beta = 0.0f;             ///< Scale of C.
  Tensor c = Tensor();           ///< (m, n), input; needed when beta is not 0. May be exactly D.
  bool batch_invariant = false;  ///< As in GemmProblem.
  GemmEpilogueTensors epilogue = GemmEpilogueTensors();  ///< What is fused.
};

/// Device pointers of one run of a plan, each aligned as the problem promised; null where the problem does not use them.
struct GemmPointers {
  const void* a = nullptr;            ///< (m, k)
  const void* b = nullptr;            ///< (k, n)
  const void* c = nullptr;            ///< (m, n); may be exactly d when their strides are equal.
  void* d = nullptr;                  ///< (m, n), or (m, n / 2)
  const void* a_scale = nullptr;      ///< See GemmEpilogue, as for all that follow.
  const void* b_scale = nullptr;      ///< Factors of columns.
  const void* d_scale = nullptr;      ///< One factor.
  const void* row_bias = nullptr;     ///< (m)
  const void* column_bias = nullptr;  ///< (n)
  const void* residual = nullptr;     ///< D's sizes; may be exactly d when their strides are equal.
  void* aux = nullptr;                ///< (m, n), output.
};

/// The problem that `arguments` pose, the pointers' alignment included.
/// @throws Error (invalid_argument) for shapes that do not fit together, null data, or a D that overlaps
///         itself or an input; (unsupported) for dtypes that are not listed at GemmProblem.
CKL_API GemmProblem gemm_problem(const GemmArguments& arguments);

/// The kernel configs that can serve `problem` on `device`, the chosen one first; empty where there is nothing but C to
/// scale: m or n is 0, or k or alpha is 0 and the epilogue is empty.
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

  /// The same with all pointers, those of the epilogue included.
  void run(const GemmPointers& pointers, void* workspace = nullptr, Stream stream = nullptr) const;

  std::size_t workspace_bytes() const noexcept;  ///< Exact size that run() needs, in bytes.
  const GemmProblem& problem() const noexcept;   ///< What it computes.
  const std::string& config() const noexcept;    ///< How: the config's name, e.g. "bf16_tn_128x256x64_2x1_s4_coopm".
  int device() const noexcept;                   ///< Where: the CUDA device index.

  class Implementation;  ///< Private to the library.

 private:
  std::shared_ptr<const Implementation> implementation_;
};

/// D = epilogue(alpha * A * B + beta * C) on `stream` of the current device, without synchronizing. Plans are cached,
/// so that a repeated call costs little host time. A graph that has captured such calls, and its clones, run one at a time; those of plans need not.
/// @throws Error as gemm_problem(), GemmPlan::GemmPlan() and GemmPlan::run() do.
CKL_API void gemm(const GemmArguments& arguments, Stream stream = nullptr);

}  // namespace ckl
