#pragma once

/// @file
/// Normalizations that must be refused: by norm_problem() on the host, and by norm() on the device, which must leave its outputs
/// untouched.

#include <cmath>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "bad_gemm.hpp"
#include "ckl/norm.hpp"

namespace ckl::test {

struct BadNorm {
  std::string name;
  ErrorCode code;
  std::vector<std::string> words;
  std::function<void(NormArguments&)> spoil;
};

inline void PrintTo(const BadNorm& bad, std::ostream* out) { *out << bad.name; }

/// x, y, residual and sum (40, 48), f32, with everything else that there can be: nothing is wrong with it. `memory(i)` has 4096
/// elements each, for i from 0 to 7.
template <class Memory> NormArguments good_norm(const Memory& memory) {
  const auto matrix = [&](int i) { return Tensor::contiguous(memory(i), DType::f32, {40, 48}); };
  NormArguments a{NormKind::layer, matrix(0), matrix(1)};
  a.weight = Tensor::contiguous(memory(2), DType::f32, {48});
  a.bias = Tensor::contiguous(memory(3), DType::f32, {48});
  a.residual = matrix(4), a.sum = matrix(5);
  a.mean = Tensor::contiguous(memory(6), DType::f32, {40});
  a.rstd = Tensor::contiguous(memory(7), DType::f32, {40});
  return a;
}

inline std::vector<BadNorm> bad_norms() {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  constexpr std::int64_t huge = std::int64_t(1) << 62;
  return {
      {"x_null", invalid, {"x ", "null"}, [](auto& n) { n.x.data = nullptr; }},
      {"y_null", invalid, {"y ", "null"}, [](auto& n) { n.y.data = nullptr; }},
      {"weight_null", invalid, {"weight ", "null"}, [](auto& n) { n.weight.data = nullptr; }},
      {"sum_null", invalid, {"sum ", "null"}, [](auto& n) { n.sum.data = nullptr; }},
      {"rstd_null", invalid, {"rstd ", "null"}, [](auto& n) { n.rstd.data = nullptr; }},
      {"x_scalar", invalid, {"x.rank", "1 or more", "0"}, [](auto& n) { n.x.rank = 0; }},
      {"x_rank_too_large", invalid, {"x.rank", "5", "6"}, [](auto& n) { n.x.rank = 6; }},
      {"y_rank", invalid, {"y.rank", "2", "1"}, [](auto& n) { n.y.rank = 1; }},
      {"y_columns", invalid, {"y.sizes[1]", "x.sizes[1]", "48", "47"}, [](auto& n) { n.y.sizes[1] = 47; }},
      {"residual_rows", invalid, {"residual.sizes[0]", "40", "1"}, [](auto& n) { n.residual.sizes[0] = 1; }},
      {"weight_rank", invalid, {"weight.rank", "1", "2"}, [](auto& n) { n.weight = n.x; }},
      {"weight_length",
       invalid,
       {"weight.sizes[0]", "x.sizes[1]", "48", "40"},
       [](auto& n) { n.weight.sizes[0] = 40; }},
      {"bias_length", invalid, {"bias.sizes[0]", "48", "1"}, [](auto& n) { n.bias.sizes[0] = 1; }},
      {"mean_rank", invalid, {"mean.rank", "1", "2"}, [](auto& n) { n.mean = n.x; }},
      {"rstd_length", invalid, {"rstd.sizes[0]", "40", "39"}, [](auto& n) { n.rstd.sizes[0] = 39; }},
      {"mean_gaps", invalid, {"mean.strides[0]", "1", "2"}, [](auto& n) { n.mean.strides[0] = 2; }},
      {"mean_f16", unsupported, {"mean.dtype", "f32", "f16"}, [](auto& n) { n.mean.dtype = DType::f16; }},
      {"x_stride_too_large", invalid, {"x ", "2^63 bytes"}, [](auto& n) { n.x.strides[0] = huge; }},
      {"y_bf16", unsupported, {"y.dtype", "f32", "bf16"}, [](auto& n) { n.y.dtype = DType::bf16; }},
      {"y_e4m3_without_scale", invalid, {"scale", "e4m3", "absent"}, [](auto& n) { n.y.dtype = DType::e4m3; }},
      {"scale_of_f32", invalid, {"scale", "absent", "f32"}, [](auto& n) { n.scale = n.mean, n.mean = Tensor(); }},
      {"scale_f16",
       unsupported,
       {"scale.dtype", "f32", "f16"},
       [](auto& n) { n.y.dtype = DType::e4m3, n.scale = n.rstd, n.rstd = Tensor(), n.scale.dtype = DType::f16; }},
      {"scale_length",
       invalid,
       {"scale.sizes[0]", "40", "41"},
       [](auto& n) { n.y.dtype = DType::e4m3, n.scale = n.rstd, n.rstd = Tensor(), n.scale.sizes[0] = 41; }},
      {"scale_null",
       invalid,
       {"scale ", "null"},
       [](auto& n) { n.y.dtype = DType::e4m3, n.scale = n.rstd, n.rstd = Tensor(), n.scale.data = nullptr; }},
      {"scale_is_mean",
       invalid,
       {"scale ", "overlap mean"},
       [](auto& n) { n.y.dtype = DType::e4m3, n.scale = n.mean; }},
      {"y_e5m2_is_x",
       invalid,
       {"y ", "overlap x"},
       [](auto& n) { n.y.dtype = DType::e5m2, n.y.data = n.x.data, n.scale = n.rstd, n.rstd = Tensor(); }},
      {"residual_f16", unsupported, {"residual.dtype", "f32", "f16"}, [](auto& n) { n.residual.dtype = DType::f16; }},
      {"weight_f16", unsupported, {"weight.dtype", "f32", "f16"}, [](auto& n) { n.weight.dtype = DType::f16; }},
      {"all_i32",
       unsupported,
       {"x.dtype", "f32, f16 or bf16", "i32"},
       [](auto& n) { n.x.dtype = n.y.dtype = n.residual.dtype = n.sum.dtype = DType::i32; }},
      {"sum_without_residual", invalid, {"sum", "residual"}, [](auto& n) { n.residual = Tensor(); }},
      {"epsilon_negative", invalid, {"epsilon", "0 or more", "-1"}, [](auto& n) { n.epsilon = -1; }},
      {"epsilon_nan", invalid, {"epsilon", "finite", "nan"}, [](auto& n) { n.epsilon = std::nanf(""); }},
      {"no_kind", invalid, {"kind", "7"}, [](auto& n) { n.kind = NormKind(7); }},
      {"y_rows_overlap", invalid, {"y ", "overlap", "(47, 1)"}, [](auto& n) { n.y.strides[0] = 47; }},
      {"sum_broadcast", invalid, {"sum ", "overlap", "(0, 1)"}, [](auto& n) { n.sum.strides[0] = 0; }},
      {"y_in_x", invalid, {"y ", "overlap x"}, [](auto& n) { n.y.data = moved(n.x.data, 4); }},
      {"sum_in_residual",
       invalid,
       {"sum ", "overlap residual"},
       [](auto& n) { n.sum.data = moved(n.residual.data, 4); }},
      {"y_is_sum", invalid, {"sum ", "overlap y"}, [](auto& n) { n.sum = n.y; }},
      {"mean_in_weight", invalid, {"mean ", "overlap weight"}, [](auto& n) { n.mean.data = n.weight.data; }},
      {"rstd_is_mean", invalid, {"rstd ", "overlap mean"}, [](auto& n) { n.rstd.data = n.mean.data; }},
      {"x_between_elements", invalid, {"x ", "multiple", "4"}, [](auto& n) { n.x.data = moved(n.x.data, 2); }},
      {"bias_between_elements",
       invalid,
       {"bias ", "multiple", "4"},
       [](auto& n) { n.bias.data = moved(n.bias.data, 1); }},
  };
}

}  // namespace ckl::test
