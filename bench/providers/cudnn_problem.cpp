#include "providers/cudnn_problem.hpp"

#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ckl::bench {
namespace {

const char* name(CudnnRole role) {
  switch (role) {
    case CudnnRole::x: return "x";
    case CudnnRole::y: return "y";
    case CudnnRole::mean: return "mean";
    case CudnnRole::rstd: return "rstd";
    case CudnnRole::weight: return "weight";
    case CudnnRole::bias: return "bias";
    case CudnnRole::epsilon: return "epsilon";
    case CudnnRole::dy: return "dy";
    case CudnnRole::dx: return "dx";
    case CudnnRole::dweight: return "dweight";
    case CudnnRole::dbias: return "dbias";
  }
  return "invalid";
}

/// The product of sizes [begin, end).
template <class Problem> std::int64_t extent(const Problem& p, int begin, int end) {
  std::int64_t product = 1;
  for (int d = begin; d < end; ++d) product *= p.sizes[d];
  return product;
}

/// Refuses an operand that is not contiguous over dimensions [0, end), or where those before the last are broadcast.
template <class Problem> void require_dense(const Problem& p, const TensorOperand& operand, int end) {
  std::int64_t stride = 1;
  for (int d = end - 1; d >= 0; stride *= p.sizes[d--])
    if (p.sizes[d] > 1 && operand.strides[d] != stride) throw NotInCudnn("cuDNN is asked for dense tensors only");
}

void require_one_type(DType x, std::initializer_list<DType> others) {
  for (const DType other : others)
    if (other != x) throw NotInCudnn("cuDNN is asked for tensors of one type only");
}

int to_int(std::int64_t size) {
  if (size <= std::numeric_limits<int>::max()) return int(size);
  throw NotInCudnn("cuDNN's softmax has sizes of 31 bits");
}

template <class Problem>
CudnnSoftmax softmax_of(const Problem& p, bool backward, std::initializer_list<TensorOperand> operands) {
  CudnnSoftmax softmax;
  softmax.backward = backward;
  softmax.log = p.log;
  softmax.dtype = operands.begin()->dtype;
  softmax.sizes = {to_int(extent(p, 0, p.axis)), to_int(p.sizes[p.axis]), to_int(extent(p, p.axis + 1, p.rank)), 1};
  for (const TensorOperand& operand : operands) {
    require_dense(p, operand, p.rank);
    require_one_type(softmax.dtype, {operand.dtype});
  }
  return softmax;
}

/// Collects the tensors of a normalization along the last dimension.
template <class Problem> class NormTensors {
 public:
  NormTensors(const Problem& p, CudnnNorm& norm) : p_(p), norm_(norm) {}

  void add_matrix(CudnnRole role, const TensorOperand& operand) const {
    require_dense(p_, operand, p_.rank);
    require_one_type(p_.x.dtype, {operand.dtype});
    add(role, operand, {rows(), columns(), 1, 1});
  }
  void add_vector(CudnnRole role, const TensorOperand& operand) const {
    if (columns() > 1 && operand.strides[p_.rank - 1] != 1) throw NotInCudnn("cuDNN is asked for dense tensors only");
    add(role, operand, {1, columns(), 1, 1});
  }
  void add_statistic(CudnnRole role) const { norm_.tensors.push_back({role, DType::f32, {rows(), 1, 1, 1}}); }

 private:
  void add(CudnnRole role, const TensorOperand& operand, const std::array<std::int64_t, 4>& sizes) const {
    norm_.tensors.push_back({role, operand.dtype, sizes});
  }
  std::int64_t rows() const { return extent(p_, 0, p_.rank - 1); }
  std::int64_t columns() const { return p_.sizes[p_.rank - 1]; }

  const Problem& p_;
  CudnnNorm& norm_;
};

}  // namespace

std::string CudnnSoftmax::to_string() const {
  return fmt::format("{}softmax{} ({}) {}{}", log ? "log-" : "", backward ? " backward" : "", fmt::join(sizes, ", "),
                     ckl::name(dtype), alpha == 1 ? "" : fmt::format(", times {}", alpha));
}

std::array<std::int64_t, 4> CudnnTensor::strides() const {
  // As if channels were innermost: of (N, C, 1, 1) that is the order in memory.
  return {sizes[1] * sizes[2] * sizes[3], 1, sizes[1] * sizes[3], sizes[1]};
}

std::string CudnnTensor::to_string() const {
  return fmt::format("{} ({}) {}", name(role), fmt::join(sizes, ", "), ckl::name(dtype));
}

std::string CudnnNorm::to_string() const {
  std::string text = fmt::format("{} {}:", ckl::name(kind),
                                 backward   ? "backward"
                                 : training ? "training"
                                            : "inference");
  for (const CudnnTensor& tensor : tensors) text += (&tensor == &tensors.front() ? " " : ", ") + tensor.to_string();
  return text;
}

CudnnSoftmax cudnn_softmax(const SoftmaxProblem& p) {
  if (p.has_mask || p.causal) throw NotInCudnn("cuDNN's softmax has no mask");
  if (p.scale != 1) throw NotInCudnn("cuDNN's softmax does not scale x");
  return softmax_of(p, false, {p.x, p.y});
}

CudnnSoftmax cudnn_softmax(const SoftmaxBackwardProblem& p) {
  CudnnSoftmax softmax = softmax_of(p, true, {p.y, p.dy, p.dx});
  softmax.alpha = p.scale;
  return softmax;
}

CudnnNorm cudnn_norm(const NormProblem& p) {
  const bool layer = p.kind == NormKind::layer;
  if (p.has_residual) throw NotInCudnn("cuDNN's norms add no residual");
  if (p.has_scale) throw NotInCudnn("cuDNN's norms find no scale of a row");
  if (!p.has_weight) throw NotInCudnn("cuDNN's norms have a weight");
  if (layer && !p.has_bias) throw NotInCudnn("cuDNN's LayerNorm has a bias");
  if (p.has_mean && !layer) throw NotInCudnn("cuDNN's RMSNorm stores no mean");
  if (layer && p.has_mean != p.has_rstd) throw NotInCudnn("cuDNN's LayerNorm stores both mean and rstd, or neither");
  CudnnNorm norm{p.kind, false, p.has_rstd, p.epsilon, {}};
  const NormTensors tensors(p, norm);
  tensors.add_matrix(CudnnRole::x, p.x);
  tensors.add_matrix(CudnnRole::y, p.y);
  tensors.add_vector(CudnnRole::weight, p.weight);
  if (p.has_bias) tensors.add_vector(CudnnRole::bias, p.bias);
  if (p.has_mean) tensors.add_statistic(CudnnRole::mean);
  if (p.has_rstd) tensors.add_statistic(CudnnRole::rstd);
  norm.tensors.push_back({CudnnRole::epsilon, DType::f32, {1, 1, 1, 1}});
  return norm;
}

CudnnNorm cudnn_norm(const NormBackwardProblem& p) {
  const bool layer = p.kind == NormKind::layer;
  if (!p.has_weight || !p.has_dweight) throw NotInCudnn("cuDNN's norms have a weight, and give its gradient");
  if (layer && !p.has_dbias) throw NotInCudnn("cuDNN's LayerNorm gives the gradient of a bias");
  CudnnNorm norm{p.kind, true, false, 0, {}};
  const NormTensors tensors(p, norm);
  tensors.add_matrix(CudnnRole::x, p.x);
  tensors.add_matrix(CudnnRole::dy, p.dy);
  tensors.add_matrix(CudnnRole::dx, p.dx);
  tensors.add_vector(CudnnRole::weight, p.weight);
  tensors.add_vector(CudnnRole::dweight, p.dweight);
  if (p.has_dbias) tensors.add_vector(CudnnRole::dbias, p.dbias);
  require_dense(p, p.rstd, p.rank - 1);
  if (layer) require_dense(p, p.mean, p.rank - 1);
  if (layer) tensors.add_statistic(CudnnRole::mean);
  tensors.add_statistic(CudnnRole::rstd);
  return norm;
}

}  // namespace ckl::bench
