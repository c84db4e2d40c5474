#pragma once

/// @file
/// The oracle: every operator once more, in double precision on the CPU, over HOST memory. Slow and obvious;
/// the tests and `--device reference` compare kernels against it. Problems are taken to be well formed.

#include <cstdint>
#include <string>
#include <vector>

#include "ckl/cross_entropy.hpp"
#include "ckl/cross_entropy_backward.hpp"
#include "ckl/elementwise.hpp"
#include "ckl/gemm.hpp"
#include "ckl/norm.hpp"
#include "ckl/norm_backward.hpp"
#include "ckl/reduce.hpp"
#include "ckl/softmax.hpp"
#include "ckl/softmax_backward.hpp"

namespace ckl::reference {

/// What arithmetic in f32 is granted before a result is rounded, relative to the magnitudes that it is made of: a 256th of half a unit
/// of f16 in the last place. The norms and the gradients of softmax grant it to 16-bit rows, and to those who compute f32 rows in f32.
constexpr double f32_tolerance = 0x1p-20;

// ---- GEMM ----------------------------------------------------------------------------------------------

/// alpha * A * B + beta * C in double.
/// @param a,b,c  Host memory, laid out as the problem says; not read where the problem says so (c when beta is
///               0, a and b when alpha is 0), and then null is fine.
/// @param d      Receives batch * m * n results, row-major and dense.
/// @param scale  Receives |alpha| |A| |B| + |beta C| likewise, the sum that rounding errors are proportional
///               to; null if it is not wanted.
void gemm(const GemmProblem& problem, const void* a, const void* b, const void* c, double* d, double* scale);

/// The same with the problem's epilogue; all pointers are host memory, laid out as the problem says.
/// @param d          Receives batch * m * d_columns() results, row-major and dense.
/// @param scale      As above, through the epilogue: what gemm_tolerance() times it bounds the error of a D before rounding, the
///                   error that the activations are granted (2^-19 of their result) included.
/// @param aux        Receives batch * m * n values of z; null if they are not wanted.
/// @param aux_scale  Their scale; null if it is not wanted.
void fused_gemm(const GemmProblem& problem, const GemmPointers& pointers, double* d, double* scale,
                double* aux = nullptr, double* aux_scale = nullptr);

/// What an activation's result may be off by, as a part of it, and by how much an activation enlarges errors of its argument. Far below
/// 0 more of the result is off (device/activation.hpp), but there it is tiny, and less off than by what the argument's errors grant.
constexpr double activation_error = 0x1p-19, steepest = 1.13;

/// The activation, by its definition.
double activate(Activation activation, double x);

/// The same for a choice of rows of every matrix: d and scale receive batch * rows.size() * n values.
void gemm_rows(const GemmProblem& problem, const void* a, const void* b, const void* c,
               const std::vector<std::int64_t>& rows, double* d, double* scale);

/// What a kernel's output is worth.
struct Comparison {
  double error = 0;         ///< Largest |d - ref| / scale; infinity where NaN or Inf disagree.
  double bound = 0;         ///< What the documented accuracy allows `error` to be (beyond the smallest numbers).
  std::int64_t wrong = 0;   ///< Elements that no correctly rounded result within the bound can be.
  std::string first_wrong;  ///< Where the first of them is, what it is and what it should be.

  bool passed() const { return wrong == 0; }
};

/// The part of a GEMM's error that accumulation in f32 is granted, relative to scale: 2^-22 sqrt(k), and no
/// less than for k = 1, since alpha and beta round too.
double gemm_tolerance(std::int64_t k);

/// The whole of it: half a unit in the last place of the output type, plus gemm_tolerance().
double gemm_bound(const GemmProblem& problem);

/// Judges `actual`, D in host memory as the problem lays it out, against what gemm() gave. An element is right if it
/// is the rounding of some number within gemm_tolerance(k) * scale of the reference, which also decides
/// overflow and subnormal outputs; a NaN needs a NaN, and an infinity the same infinity.
/// It holds where all sums stay in the range of f32, the accumulator.
Comparison compare_gemm(const GemmProblem& problem, const void* actual, const double* d, const double* scale);

/// The same for the rows that gemm_rows() computed.
Comparison compare_gemm_rows(const GemmProblem& problem, const void* actual, const std::vector<std::int64_t>& rows,
                             const double* d, const double* scale);

// ---- Elementwise ---------------------------------------------------------------------------------------

/// Elements of each of the problem's outputs.
std::int64_t element_count(const ElementwiseProblem& problem);

/// What the op gives, as its output `output` holds it.
/// @return  The values, in C order of the indices and dense.
std::vector<double> elementwise(const ElementwiseProblem& problem, const void* const* in, int output = 0);

/// Judges the outputs `out`, in host memory as the problem lays them out, of the inputs `in`: an element is right if it is the conversion of
/// some number within the documented accuracy, which is 0 for the correctly rounded ops: those must be equal, the sign of a zero included. A
/// NaN needs a NaN. `error` is the largest relative error of the elements that are wrong.
Comparison compare_elementwise(const ElementwiseProblem& problem, const void* const* in, const void* const* out);

// ---- Softmax -------------------------------------------------------------------------------------------

/// Elements of the problem's output.
std::int64_t element_count(const SoftmaxProblem& problem);

/// The softmax, or its logarithm, in double.
/// @param y      Receives the values, in C order of y's indices and dense.
/// @param slack  Receives what the documented accuracy grants each of them before it is rounded to y's type: a few units of f32 in the
///               last place, more where the exponent is large, since its own rounding is then magnified.
void softmax(const SoftmaxProblem& problem, const SoftmaxPointers& inputs, double* y, double* slack);

/// Judges `actual`, y in host memory as the problem lays it out: an element is right if it is the rounding of some number within its
/// slack; a NaN needs a NaN, and an infinity the same infinity. `error` is relative to the slack plus half a unit in the last place.
Comparison compare_softmax(const SoftmaxProblem& problem, const void* actual, const double* y, const double* slack);

/// The same of the y that `pointers`, to host memory, names beside the inputs. It keeps no more than a row for each core, and so do the
/// others below that take all operands: there may be a lot of rows.
Comparison compare_softmax(const SoftmaxProblem& problem, const SoftmaxPointers& pointers);

/// Elements of the problem's output.
std::int64_t element_count(const SoftmaxBackwardProblem& problem);

/// The gradient of a softmax's input in double.
/// @param dx     Receives the values, in C order of dx's indices and dense.
/// @param slack  Receives what the documented accuracy grants each of them before it is rounded to dx's type: softmax_backward_tolerance()
///               of |scale y| (|dy| + sum |dy y|), or of |scale| (|dy| + exp(y) sum |dy|).
void softmax_backward(const SoftmaxBackwardProblem& problem, const void* y, const void* dy, double* dx, double* slack);

/// What the library's arithmetic is granted: 2^-20 for 16-bit rows, 2^-40 for f32 rows.
double softmax_backward_tolerance(const SoftmaxBackwardProblem& problem);

/// Judges `actual`, dx in host memory, as compare_softmax() does.
Comparison compare_softmax_backward(const SoftmaxBackwardProblem& problem, const void* actual, const double* dx,
                                    const double* slack);

/// The same of the inputs, with `tolerance` granted.
Comparison compare_softmax_backward(const SoftmaxBackwardProblem& problem, const void* y, const void* dy,
                                    const void* dx, double tolerance);

// ---- Cross-entropy -------------------------------------------------------------------------------------

/// What a cross-entropy gives, one value a row in C order, before it is rounded to f32; and what the documented accuracy grants each.
struct CrossEntropyResult {
  std::vector<double> loss, lse, loss_slack, lse_slack;
};

/// The cross-entropy in double. Pointers are to host memory, laid out as the problem says.
CrossEntropyResult cross_entropy(const CrossEntropyProblem& problem, const void* logits, const void* targets);

/// Judges the losses in host memory, as compare_softmax() does.
Comparison compare_cross_entropy(const CrossEntropyProblem& problem, const float* loss,
                                 const CrossEntropyResult& expected);

/// The same of lse.
Comparison compare_cross_entropy_lse(const CrossEntropyProblem& problem, const float* lse,
                                     const CrossEntropyResult& expected);

/// Elements of the problem's output.
std::int64_t element_count(const CrossEntropyBackwardProblem& problem);

/// The gradient of logits in double, in C order of the indices and dense. Pointers are to host memory.
std::vector<double> cross_entropy_backward(const CrossEntropyBackwardProblem& problem,
                                           const CrossEntropyBackwardPointers& pointers);

/// Judges `dlogits`, in host memory as the problem lays it out, of the inputs that `pointers` names, as compare_softmax() does. It keeps
/// no more than a row: there may be a lot of logits.
Comparison compare_cross_entropy_backward(const CrossEntropyBackwardProblem& problem,
                                          const CrossEntropyBackwardPointers& pointers, const void* dlogits);

// ---- Normalization -------------------------------------------------------------------------------------

/// Elements of the problem's output.
std::int64_t element_count(const NormProblem& problem);

/// What a normalization gives, in C order of the indices and dense, before it is rounded to the outputs' types.
struct NormResult {
  std::vector<double> y;  ///< One value an element.
  std::vector<double>
      scale;  ///< For each: |weight| (|x^| + 1) + |bias|, what errors before rounding are proportional to.
  std::vector<double> sum;         ///< x + residual, rounded: it has one right answer. Empty without a residual.
  std::vector<double> mean, rstd;  ///< One value a row.
};

/// The normalization in double. Pointers are to host memory, laid out as the problem says; absent inputs are not read.
NormResult norm(const NormProblem& problem, const void* x, const void* weight, const void* bias, const void* residual);

/// The rows' scales of an fp8 y, before they are rounded.
std::vector<double> norm_scales(const NormProblem& problem, const NormResult& result);

/// The part of a normalization's error that its arithmetic is granted, relative to scale, before the result is rounded: 2^-20 for
/// 16-bit rows (a 256th of half a unit of f16 in the last place), 2^-40 for f32 rows.
double norm_tolerance(const NormProblem& problem);

/// Judges `y` in host memory: an element is right if it is the rounding of some number within norm_tolerance() * scale of the
/// reference; a NaN needs a NaN, and an infinity the same infinity. `error` is relative to scale. Of an fp8 y, `scales` are judged
/// too, one value a row, which may be off by as much as the elements that they are made from; and y as the quotient by them, granted 2^-22
/// more for three roundings to f32. `error` is then relative to what is allowed.
Comparison compare_norm(const NormProblem& problem, const void* y, const NormResult& expected,
                        const float* scales = nullptr);

/// The same of the y, its scales and the sum where there are some, that `pointers`, to host memory, names beside the inputs, with `tolerance` granted to
/// y.
Comparison compare_norm(const NormProblem& problem, const NormPointers& pointers, double tolerance);

/// Judges the sum: every element must be equal; a NaN needs a NaN.
Comparison compare_norm_sum(const NormProblem& problem, const void* sum, const NormResult& expected);

/// Judges a statistic, f32 and one value a row, against `expected`: as compare_norm() does, with errors relative to the value itself and,
/// for the mean (`of_mean`), to the deviation 1 / rstd.
Comparison compare_norm_statistic(const NormProblem& problem, const float* actual, const NormResult& expected,
                                  bool of_mean);

/// Elements of the problem's dx.
std::int64_t element_count(const NormBackwardProblem& problem);

/// A normalization's gradients, before they are rounded, and how far the documented accuracy lets each be off.
struct NormBackwardResult {
  std::vector<double> dx, dx_slack;                                ///< One value an element, in C order and dense.
  std::vector<double> dweight, dweight_slack, dbias, dbias_slack;  ///< One value a column.
};

/// The gradients in double, of mean and rstd as they are. Pointers are to host memory, laid out as the problem says; what is absent is not
/// read.
NormBackwardResult norm_backward(const NormBackwardProblem& problem, const NormBackwardPointers& pointers);

/// What the library's arithmetic is granted in dx, relative to the magnitudes that it is the difference of: 2^-20 for 16-bit rows, 2^-40 for
/// f32 rows.
double norm_backward_tolerance(const NormBackwardProblem& problem);

/// Judges dx in host memory, as compare_softmax() does.
Comparison compare_norm_dx(const NormBackwardProblem& problem, const void* dx, const NormBackwardResult& expected);

/// The same of dweight, or of dbias (`of_bias`).
Comparison compare_norm_vector(const NormBackwardProblem& problem, const void* actual,
                               const NormBackwardResult& expected, bool of_bias);

/// The same of all gradients that `pointers`, to host memory, names beside the inputs, with `tolerance` granted to dx.
Comparison compare_norm_backward(const NormBackwardProblem& problem, const NormBackwardPointers& pointers,
                                 double tolerance);

// ---- Reductions ----------------------------------------------------------------------------------------

/// Elements of the problem's output.
std::int64_t output_count(const ReduceProblem& problem);

/// The reduction in long double, which holds all 64-bit integers.
/// @param y      Receives the values, in C order of y's indices and dense.
/// @param slack  Receives how far each may be off before it is rounded, as ReduceProblem states it.
void reduce(const ReduceProblem& problem, const void* x, long double* y, long double* slack);

/// Judges `actual`, y in host memory as the problem lays it out, against what reduce() gave. Comparison::error is relative to the
/// slack and half a unit in the last place.
Comparison compare_reduce(const ReduceProblem& problem, const void* actual, const long double* y,
                          const long double* slack);

}  // namespace ckl::reference
