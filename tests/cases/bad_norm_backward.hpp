#pragma once

/// @file
/// Gradients of normalizations that must be refused: by norm_backward_problem() on the host, and by norm_backward() on the device, which
/// must leave its outputs untouched.

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "bad_gemm.hpp"
#include "ckl/norm_backward.hpp"

namespace ckl::test {

struct BadNormBackward {
  std::string name;
  ErrorCode code;
  std::vector<std::string> words;
  std::function<void(NormBackwardArguments&)> spoil;
};

inline void PrintTo(const BadNormBackward& bad, std::ostream* out) { *out << bad.name; }

/// x, dy and dx (40, 48), f32, with everything else that there can be: nothing is wrong with it. `memory(i)` has 4096 elements each, for i
/// from 0 to 7.
template <class Memory> NormBackwardArguments good_norm_backward(const Memory& memory) {
  const auto matrix = [&](int i) { return Tensor::contiguous(memory(i), DType::f32, {40, 48}); };
  const auto vector = [&](int i, std::int64_t size) { return Tensor::contiguous(memory(i), DType::f32, {size}); };
  return {NormKind::layer, matrix(0),     matrix(1),     matrix(2),    vector(3, 40),
          vector(4, 48),   vector(5, 48), vector(6, 48), vector(7, 40)};
}

inline std::vector<BadNormBackward> bad_norm_backwards() {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  constexpr std::int64_t huge = std::int64_t(1) << 62;
  return {
      {"x_null", invalid, {"x ", "null"}, [](auto& n) { n.x.data = nullptr; }},
      {"dy_null", invalid, {"dy ", "null"}, [](auto& n) { n.dy.data = nullptr; }},
      {"dx_null", invalid, {"dx ", "null"}, [](auto& n) { n.dx.data = nullptr; }},
      {"rstd_null", invalid, {"rstd ", "null"}, [](auto& n) { n.rstd.data = nullptr; }},
      {"weight_null", invalid, {"weight ", "null"}, [](auto& n) { n.weight.data = nullptr; }},
      {"dweight_null", invalid, {"dweight ", "null"}, [](auto& n) { n.dweight.data = nullptr; }},
      {"kind_wrong", invalid, {"kind", "7"}, [](auto& n) { n.kind = NormKind(7), n.mean = Tensor(); }},
      {"x_scalar", invalid, {"x.rank", "1 or more", "0"}, [](auto& n) { n.x.rank = 0; }},
      {"x_rank_too_large", invalid, {"x.rank", "5", "6"}, [](auto& n) { n.x.rank = 6; }},
      {"dy_rank", invalid, {"dy.rank", "2", "1"}, [](auto& n) { n.dy.rank = 1; }},
      {"dx_columns", invalid, {"dx.sizes[1]", "x.sizes[1]", "48", "47"}, [](auto& n) { n.dx.sizes[1] = 47; }},
      {"rstd_rows", invalid, {"rstd.sizes[0]", "x.sizes[0]", "40", "41"}, [](auto& n) { n.rstd.sizes[0] = 41; }},
      {"mean_missing", invalid, {"mean", "given", "layernorm"}, [](auto& n) { n.mean = Tensor(); }},
      {"mean_of_rms", invalid, {"mean", "absent", "rmsnorm"}, [](auto& n) { n.kind = NormKind::rms; }},
      {"weight_rank", invalid, {"weight.rank", "1", "2"}, [](auto& n) { n.weight = n.x; }},
      {"dweight_length",
       invalid,
       {"dweight.sizes[0]", "x.sizes[1]", "48", "40"},
       [](auto& n) { n.dweight.sizes[0] = 40; }},
      {"x_huge", invalid, {"x ", "2^63"}, [](auto& n) { n.x.strides[0] = huge; }},
      {"x_i32", unsupported, {"x.dtype", "bf16", "i32"}, [](auto& n) { n.x.dtype = DType::i32; }},
      {"dy_f16", unsupported, {"dy.dtype", "f32", "f16"}, [](auto& n) { n.dy.dtype = DType::f16; }},
      {"rstd_f16", unsupported, {"rstd.dtype", "f32", "f16"}, [](auto& n) { n.rstd.dtype = DType::f16; }},
      {"dbias_f16", unsupported, {"dbias.dtype", "f32", "f16"}, [](auto& n) { n.dbias.dtype = DType::f16; }},
      {"dx_repeats", invalid, {"dx ", "overlap"}, [](auto& n) { n.dx.strides[0] = 0; }},
      {"dweight_repeats", invalid, {"dweight ", "overlap"}, [](auto& n) { n.dweight.strides[0] = 0; }},
      {"dx_in_x", invalid, {"dx ", "overlap x"}, [](auto& n) { n.dx.data = moved(n.x.data, 16); }},
      {"dx_in_dy", invalid, {"dx ", "overlap dy"}, [](auto& n) { n.dx.data = moved(n.dy.data, 16); }},
      {"dweight_is_weight", invalid, {"dweight ", "overlap weight"}, [](auto& n) { n.dweight.data = n.weight.data; }},
      {"dbias_is_dweight", invalid, {"dbias ", "overlap dweight"}, [](auto& n) { n.dbias.data = n.dweight.data; }},
      {"dbias_in_dy", invalid, {"dbias ", "overlap dy"}, [](auto& n) { n.dbias.data = n.dy.data; }},
      {"rstd_between_elements",
       invalid,
       {"rstd ", "multiple of the element"},
       [](auto& n) { n.rstd.data = moved(n.rstd.data, 2); }},
  };
}

}  // namespace ckl::test
