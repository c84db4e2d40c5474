#pragma once

/// @file
/// The oracle: every operator once more, in double precision on the CPU, over HOST memory. Slow and obvious;
/// the tests and `--device reference` compare kernels against it. Problems are taken to be well formed.

#include <cstdint>
#include <string>
#include <vector>

#include "ckl/elementwise.hpp"
#include "ckl/gemm.hpp"

namespace ckl::reference {

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
///                   error that the activations are granted (2^-16 of their result) included.
/// @param aux        Receives batch * m * n values of z; null if they are not wanted.
/// @param aux_scale  Their scale; null if it is not wanted.
void fused_gemm(const GemmProblem& problem, const GemmPointers& pointers, double* d, double* scale,
                double* aux = nullptr, double* aux_scale = nullptr);

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

/// Elements of the problem's output.
std::int64_t element_count(const AddProblem& problem);

/// A + B, rounded to f32 and then to D's type, as the operator promises: it has one right answer.
/// @param d  Receives the values, in C order of D's indices and dense.
void add(const AddProblem& problem, const void* a, const void* b, double* d);

/// Judges `actual`, D in host memory as the problem lays it out, against what add() gave: every element must be
/// equal, the sign of a zero included; a NaN needs a NaN.
Comparison compare_add(const AddProblem& problem, const void* actual, const double* d);

}  // namespace ckl::reference
