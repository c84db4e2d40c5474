// What cuDNN is asked, as values; and, where the library is installed, that it finds no fault with its descriptions. What
// it computes is judged on a GPU, by the bench itself.

#include "providers/cudnn_problem.hpp"

#include <gtest/gtest.h>

#include "providers/providers.hpp"

namespace ckl::bench {
namespace {

template <class Function> std::string reason(const Function& function) {
  try {
    function();
  } catch (const NotInCudnn& lacking) {
    return lacking.what();
  }
  return "";
}

TensorOperand dense(DType dtype, std::initializer_list<std::int64_t> strides) {
  TensorOperand operand;
  operand.dtype = dtype;
  std::copy(strides.begin(), strides.end(), operand.strides.begin());
  return operand;
}

SoftmaxProblem softmax(int axis) {
  SoftmaxProblem p;
  p.rank = 3;
  p.sizes = {4, 5, 6};
  p.axis = axis;
  p.x = p.y = dense(DType::bf16, {30, 6, 1});
  return p;
}

NormProblem norm(NormKind kind) {
  NormProblem p;
  p.kind = kind;
  p.rank = 3;
  p.sizes = {4, 5, 64};
  p.x = p.y = dense(DType::bf16, {320, 64, 1});
  p.weight = p.bias = dense(DType::f32, {0, 0, 1});
  p.has_weight = true;
  p.has_bias = kind == NormKind::layer;
  return p;
}

NormBackwardProblem norm_backward(NormKind kind) {
  NormBackwardProblem p;
  p.kind = kind;
  p.rank = 3;
  p.sizes = {4, 5, 64};
  p.x = p.dy = p.dx = dense(DType::f16, {320, 64, 1});
  p.mean = p.rstd = dense(DType::f32, {5, 1, 0});
  p.weight = p.dweight = p.dbias = dense(DType::f16, {0, 0, 1});
  p.has_weight = p.has_dweight = true;
  p.has_dbias = kind == NormKind::layer;
  return p;
}

TEST(Cudnn, SumsASoftmaxOverC) {
  EXPECT_EQ(cudnn_softmax(softmax(2)).to_string(), "softmax (20, 6, 1, 1) bf16");
  EXPECT_EQ(cudnn_softmax(softmax(1)).to_string(), "softmax (4, 5, 6, 1) bf16");
  EXPECT_EQ(cudnn_softmax(softmax(0)).to_string(), "softmax (1, 4, 30, 1) bf16");
}

TEST(Cudnn, ScalesASoftmaxsGradient) {
  SoftmaxBackwardProblem p;
  p.rank = 1;
  p.sizes[0] = 7;
  p.y = p.dy = p.dx = dense(DType::f32, {1});
  p.scale = 2;
  p.log = true;
  EXPECT_EQ(cudnn_softmax(p).to_string(), "log-softmax backward (1, 7, 1, 1) f32, times 2");
}

TEST(Cudnn, SaysWhichSoftmaxItLacks) {
  const auto lacks = [](const auto& change) {
    SoftmaxProblem p = softmax(2);
    change(p);
    return reason([&] { cudnn_softmax(p); });
  };
  EXPECT_EQ(lacks([](SoftmaxProblem&) {}), "");
  EXPECT_EQ(lacks([](SoftmaxProblem& p) { p.has_mask = true; }), "cuDNN's softmax has no mask");
  EXPECT_EQ(lacks([](SoftmaxProblem& p) { p.causal = true; }), "cuDNN's softmax has no mask");
  EXPECT_EQ(lacks([](SoftmaxProblem& p) { p.scale = 0.5f; }), "cuDNN's softmax does not scale x");
  EXPECT_EQ(lacks([](SoftmaxProblem& p) { p.x.strides[1] = 8; }), "cuDNN is asked for dense tensors only");
  EXPECT_EQ(lacks([](SoftmaxProblem& p) { p.y.dtype = DType::f32; }), "cuDNN is asked for tensors of one type only");
  EXPECT_EQ(lacks([](SoftmaxProblem& p) {
              p.sizes = {std::int64_t(1) << 31, 1, 1};
            }),
            "cuDNN's softmax has sizes of 31 bits");
}

TEST(Cudnn, StoresStatisticsWhenItTrains) {
  NormProblem p = norm(NormKind::layer);
  EXPECT_EQ(cudnn_norm(p).to_string(),
            "layernorm inference: x (20, 64, 1, 1) bf16, y (20, 64, 1, 1) bf16, weight (1, 64, 1, 1) f32, "
            "bias (1, 64, 1, 1) f32, epsilon (1, 1, 1, 1) f32");
  p.has_mean = p.has_rstd = true;
  EXPECT_EQ(cudnn_norm(p).to_string(),
            "layernorm training: x (20, 64, 1, 1) bf16, y (20, 64, 1, 1) bf16, weight (1, 64, 1, 1) f32, "
            "bias (1, 64, 1, 1) f32, mean (20, 1, 1, 1) f32, rstd (20, 1, 1, 1) f32, epsilon (1, 1, 1, 1) f32");
  EXPECT_EQ(cudnn_norm(p).epsilon, p.epsilon);
  p = norm(NormKind::rms);
  p.has_rstd = true;
  EXPECT_EQ(cudnn_norm(p).to_string(),
            "rmsnorm training: x (20, 64, 1, 1) bf16, y (20, 64, 1, 1) bf16, weight (1, 64, 1, 1) f32, "
            "rstd (20, 1, 1, 1) f32, epsilon (1, 1, 1, 1) f32");
}

TEST(Cudnn, GivesAllGradientsAtOnce) {
  EXPECT_EQ(cudnn_norm(norm_backward(NormKind::layer)).to_string(),
            "layernorm backward: x (20, 64, 1, 1) f16, dy (20, 64, 1, 1) f16, dx (20, 64, 1, 1) f16, "
            "weight (1, 64, 1, 1) f16, dweight (1, 64, 1, 1) f16, dbias (1, 64, 1, 1) f16, mean (20, 1, 1, 1) f32, "
            "rstd (20, 1, 1, 1) f32");
  EXPECT_EQ(cudnn_norm(norm_backward(NormKind::rms)).to_string(),
            "rmsnorm backward: x (20, 64, 1, 1) f16, dy (20, 64, 1, 1) f16, dx (20, 64, 1, 1) f16, "
            "weight (1, 64, 1, 1) f16, dweight (1, 64, 1, 1) f16, rstd (20, 1, 1, 1) f32");
}

TEST(Cudnn, SaysWhichNormItLacks) {
  const auto lacks = [](NormKind kind, const auto& change) {
    NormProblem p = norm(kind);
    change(p);
    return reason([&] { cudnn_norm(p); });
  };
  EXPECT_EQ(lacks(NormKind::layer, [](NormProblem&) {}), "");
  EXPECT_EQ(lacks(NormKind::rms, [](NormProblem& p) { p.has_residual = true; }), "cuDNN's norms add no residual");
  EXPECT_EQ(lacks(NormKind::rms, [](NormProblem& p) { p.has_scale = true; }), "cuDNN's norms find no scale of a row");
  EXPECT_EQ(lacks(NormKind::rms, [](NormProblem& p) { p.has_weight = false; }), "cuDNN's norms have a weight");
  EXPECT_EQ(lacks(NormKind::layer, [](NormProblem& p) { p.has_bias = false; }), "cuDNN's LayerNorm has a bias");
  EXPECT_EQ(lacks(NormKind::rms, [](NormProblem& p) { p.has_mean = true; }), "cuDNN's RMSNorm stores no mean");
  EXPECT_EQ(lacks(NormKind::layer, [](NormProblem& p) { p.has_mean = true; }),
            "cuDNN's LayerNorm stores both mean and rstd, or neither");
  EXPECT_EQ(lacks(NormKind::layer, [](NormProblem& p) { p.y.dtype = DType::e4m3; }),
            "cuDNN is asked for tensors of one type only");
  EXPECT_EQ(lacks(NormKind::layer, [](NormProblem& p) { p.x.strides[2] = 2; }),
            "cuDNN is asked for dense tensors only");
  EXPECT_EQ(lacks(NormKind::layer, [](NormProblem& p) { p.weight.strides[2] = 2; }),
            "cuDNN is asked for dense tensors only");
}

TEST(Cudnn, SaysWhichGradientsItLacks) {
  const auto lacks = [](const auto& change) {
    NormBackwardProblem p = norm_backward(NormKind::layer);
    change(p);
    return reason([&] { cudnn_norm(p); });
  };
  EXPECT_EQ(lacks([](NormBackwardProblem&) {}), "");
  EXPECT_EQ(lacks([](NormBackwardProblem& p) { p.has_dweight = false; }),
            "cuDNN's norms have a weight, and give its gradient");
  EXPECT_EQ(lacks([](NormBackwardProblem& p) { p.has_dbias = false; }),
            "cuDNN's LayerNorm gives the gradient of a bias");
  EXPECT_EQ(lacks([](NormBackwardProblem& p) { p.rstd.strides[1] = 3; }), "cuDNN is asked for dense tensors only");
  EXPECT_EQ(lacks([](NormBackwardProblem& p) { p.dx.dtype = DType::f32; }),
            "cuDNN is asked for tensors of one type only");
}

TEST(Cudnn, FindsNoFaultWithItsDescriptions) {
  if (cudnn_version().empty()) GTEST_SKIP() << "cuDNN is not installed";
  for (const NormKind kind : {NormKind::layer, NormKind::rms}) {
    NormProblem p = norm(kind);
    EXPECT_NO_THROW(check_by_cudnn(cudnn_norm(p)));
    p.has_mean = kind == NormKind::layer;
    p.has_rstd = true;
    EXPECT_NO_THROW(check_by_cudnn(cudnn_norm(p)));
    EXPECT_NO_THROW(check_by_cudnn(cudnn_norm(norm_backward(kind))));
  }
}

TEST(Cudnn, FindsTheFaultOfADescription) {
  if (cudnn_version().empty()) GTEST_SKIP() << "cuDNN is not installed";
  CudnnNorm without_x = cudnn_norm(norm(NormKind::rms));
  without_x.tensors.erase(without_x.tensors.begin());
  try {
    check_by_cudnn(without_x);
    FAIL() << "cuDNN takes a norm of nothing";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("cudnnBackendFinalize failed with CUDNN_STATUS_BAD_PARAM"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace ckl::bench
