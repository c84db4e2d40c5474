#pragma once

/// @file
/// What cuDNN is asked for the bench's problems, as values that need neither cuDNN nor its headers.

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "ckl/norm.hpp"
#include "ckl/norm_backward.hpp"
#include "ckl/softmax.hpp"
#include "ckl/softmax_backward.hpp"

namespace ckl::bench {

/// cuDNN has nothing that computes the problem; the text is the sentence of its rows.
struct NotInCudnn : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A softmax or its gradient: along C of dense tensors (N, C, H, W).
struct CudnnSoftmax {
  bool backward = false;
  bool log = false;
  DType dtype = DType::f32;
  std::array<int, 4> sizes{};
  float alpha = 1;  ///< Multiplies the result.

  /// E.g. "log-softmax backward (4096, 1000, 1, 1) bf16, times 2".
  std::string to_string() const;
};

/// What a tensor is to a normalization. The number is its unique id in cuDNN's graph.
enum class CudnnRole : std::int64_t { x = 1, y, mean, rstd, weight, bias, epsilon, dy, dx, dweight, dbias };

/// A dense tensor of a normalization: (rows, columns, 1, 1), or with 1 for what it does not have.
struct CudnnTensor {
  CudnnRole role;
  DType dtype;
  std::array<std::int64_t, 4> sizes;

  std::array<std::int64_t, 4> strides() const;

  /// E.g. "weight (1, 1024, 1, 1) bf16".
  std::string to_string() const;
};

/// A normalization, or its gradients: one operation of cuDNN's graph.
struct CudnnNorm {
  NormKind kind = NormKind::layer;
  bool backward = false;
  bool training = false;  ///< Forward: statistics are stored.
  float epsilon = 0;      ///< Forward.
  std::vector<CudnnTensor> tensors;

  /// E.g. "rmsnorm inference: x (4096, 1024, 1, 1) bf16, y (4096, 1024, 1, 1) bf16, weight (1, 1024, 1, 1) bf16".
  std::string to_string() const;
};

/// @throws NotInCudnn for a mask, causal rows, a scale of x, tensors that are not dense or not of one type.
CudnnSoftmax cudnn_softmax(const SoftmaxProblem& problem);

/// @throws NotInCudnn for tensors that are not dense or not of one type.
CudnnSoftmax cudnn_softmax(const SoftmaxBackwardProblem& problem);

/// @throws NotInCudnn for a residual, scales of rows, a norm without a weight, a LayerNorm without a bias, a part of the statistics that a
///         norm has, tensors that are not dense, or a y of another type than x.
CudnnNorm cudnn_norm(const NormProblem& problem);

/// @throws NotInCudnn for gradients without that of the weight or, of LayerNorm, of the bias, tensors that are not dense,
///         or a dy or dx of another type than x.
CudnnNorm cudnn_norm(const NormBackwardProblem& problem);

/// Lets cuDNN check its description of `norm`, without a GPU. Throws with cuDNN's own words where it finds fault with it,
/// or where there is no cuDNN.
void check_by_cudnn(const CudnnNorm& norm);

}  // namespace ckl::bench
