#pragma once

/// @file
/// The parameters of the bench's own kernels: what host and device share.

#include <cstdint>

namespace ckl::bench {

constexpr int kBenchThreads = 256;

/// out[i] = standard normal number i of the sequence `seed`, rounded to the element type.
struct FillParams {
  void* out;
  std::int64_t count;
  std::uint64_t seed;
};

/// Keeps one thread busy, so that the host can enqueue work behind it.
struct SpinParams {
  std::int64_t cycles;
};

/// A matrix anywhere in memory; strides in elements.
struct MatrixView {
  const void* data;
  std::int64_t row_stride;
  std::int64_t column_stride;
};

/// Reads `count` 16-byte words, and writes to `out` only what no data gives.
struct ReadParams {
  const void* data;
  std::int64_t count;
  void* out;
};

constexpr int kOracleTileM = 128;
constexpr int kOracleTileN = 64;
constexpr int kOracleTileK = 16;

/// expected = alpha A B + beta C in fp64 and scale = |alpha| |A| |B| + |beta C|, both dense and row-major.
struct OracleParams {
  MatrixView a, b, c;
  double* expected;
  float* scale;
  std::int64_t m, n, k;
  double alpha, beta;
};

/// What the oracle applies as an activation: the numbers of ckl::Activation.
enum class OracleActivation : int { none, relu, gelu, gelu_tanh, silu, sigmoid };

/// A vector of the epilogue in the type of the kernel or, for scales, f32; null where it is not used. Its elements are `stride` apart.
struct VectorView {
  const void* data;
  std::int64_t stride;
};

/// expected and scale of alpha A B, dense (m, n) -> those of D, dense (m, n) or, gated, (m, n / 2), after the epilogue, with the meaning
/// that ckl::GemmEpilogue gives it. C, biases and residual are of D's type.
struct OracleEpilogueParams {
  const double* product;
  const float* product_scale;
  double* expected;
  float* scale;
  std::int64_t m, n;
  MatrixView c, residual;  ///< Without data where they are not used, as for the vectors.
  double beta;
  VectorView a_scale, b_scale, d_scale, row_bias, column_bias;
  OracleActivation activation;
  bool gated;
  double activation_error;  ///< Granted to an activation's result, as a part of it, over the tolerance.
  double steepest;          ///< How much an activation enlarges errors of its argument.
};

/// What a comparison found. The host clears it before.
struct Findings {
  unsigned long long max_error_bits;  ///< Of a double that is not negative: such bits order as the numbers do.
  unsigned long long wrong;           ///< Elements outside what rounding allows.
};

/// Compares D with what the oracle computed.
struct CompareParams {
  MatrixView d;
  const double* expected;
  const float* scale;
  std::int64_t m, n;
  double tolerance;  ///< Allowed before rounding, relative to scale.
  Findings* findings;
};

}  // namespace ckl::bench
