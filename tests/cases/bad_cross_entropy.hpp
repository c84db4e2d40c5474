#pragma once

/// @file
/// What cross-entropy and its gradient must refuse alike: on the host, and on the device, which must leave its outputs untouched.

#include <cmath>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "bad_gemm.hpp"
#include "ckl/cross_entropy.hpp"
#include "ckl/cross_entropy_backward.hpp"

namespace ckl::test {

/// A mistake in arguments of type Arguments.
template <class Arguments> struct BadCrossEntropy {
  std::string name;
  ErrorCode code;
  std::vector<std::string> words;
  std::function<void(Arguments&)> spoil;

  friend void PrintTo(const BadCrossEntropy& bad, std::ostream* out) { *out << bad.name; }
};

/// 40 rows of 48 classes, f32: nothing is wrong with them. `memory(i)` has 4096 elements each, for i from 0 to 3.
template <class Memory> CrossEntropyArguments good_cross_entropy(const Memory& memory) {
  return {Tensor::contiguous(memory(0), DType::f32, {40, 48}), Tensor::contiguous(memory(1), DType::i32, {40}),
          Tensor::contiguous(memory(2), DType::f32, {40}), Tensor::contiguous(memory(3), DType::f32, {40})};
}

/// The same, for i from 0 to 4.
template <class Memory> CrossEntropyBackwardArguments good_cross_entropy_backward(const Memory& memory) {
  return {Tensor::contiguous(memory(0), DType::f32, {40, 48}), Tensor::contiguous(memory(1), DType::i32, {40}),
          Tensor::contiguous(memory(2), DType::f32, {40}), Tensor::contiguous(memory(3), DType::f32, {40}),
          Tensor::contiguous(memory(4), DType::f32, {40, 48})};
}

template <class Arguments> std::vector<BadCrossEntropy<Arguments>> bad_in_both() {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  constexpr std::int64_t huge = std::int64_t(1) << 62;
  return {
      {"logits_null", invalid, {"logits ", "null"}, [](auto& a) { a.logits.data = nullptr; }},
      {"targets_null", invalid, {"targets ", "null"}, [](auto& a) { a.targets.data = nullptr; }},
      {"logits_scalar", invalid, {"logits.rank", "1 or more", "0"}, [](auto& a) { a.logits.rank = 0; }},
      {"logits_rank_too_large", invalid, {"logits.rank", "5", "6"}, [](auto& a) { a.logits.rank = 6; }},
      {"logits_negative", invalid, {"logits.sizes[0]", "-1"}, [](auto& a) { a.logits.sizes[0] = -1; }},
      {"logits_huge", invalid, {"logits ", "2^63"}, [](auto& a) { a.logits.strides[0] = huge; }},
      {"targets_rank", invalid, {"targets.rank", "1", "2"}, [](auto& a) { a.targets.rank = 2; }},
      {"targets_rows",
       invalid,
       {"targets.sizes[0]", "logits.sizes[0]", "40", "1"},
       [](auto& a) { a.targets.sizes[0] = 1; }},
      {"lse_rows", invalid, {"lse.sizes[0]", "40", "41"}, [](auto& a) { a.lse.sizes[0] = 41; }},
      {"smoothing_negative",
       invalid,
       {"label_smoothing", "0 to 1", "-0.5"},
       [](auto& a) { a.label_smoothing = -0.5f; }},
      {"smoothing_large", invalid, {"label_smoothing", "0 to 1", "1.5"}, [](auto& a) { a.label_smoothing = 1.5f; }},
      {"smoothing_nan", invalid, {"label_smoothing", "nan"}, [](auto& a) { a.label_smoothing = std::nanf(""); }},
      {"logits_i32", unsupported, {"logits.dtype", "bf16", "i32"}, [](auto& a) { a.logits.dtype = DType::i32; }},
      {"targets_f32", unsupported, {"targets.dtype", "i64", "f32"}, [](auto& a) { a.targets.dtype = DType::f32; }},
      {"lse_f16", unsupported, {"lse.dtype", "f32", "f16"}, [](auto& a) { a.lse.dtype = DType::f16; }},
      {"targets_between_elements",
       invalid,
       {"targets ", "multiple of the element"},
       [](auto& a) { a.targets.data = moved(a.targets.data, 2); }},
  };
}

inline std::vector<BadCrossEntropy<CrossEntropyArguments>> bad_cross_entropies() {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  auto list = bad_in_both<CrossEntropyArguments>();
  const std::vector<BadCrossEntropy<CrossEntropyArguments>> more = {
      {"loss_null", invalid, {"loss ", "null"}, [](auto& a) { a.loss.data = nullptr; }},
      {"lse_null", invalid, {"lse ", "null"}, [](auto& a) { a.lse.data = nullptr; }},
      {"loss_rank", invalid, {"loss.rank", "1", "0"}, [](auto& a) { a.loss.rank = 0; }},
      {"loss_bf16", unsupported, {"loss.dtype", "f32", "bf16"}, [](auto& a) { a.loss.dtype = DType::bf16; }},
      {"no_classes", invalid, {"logits.sizes[1]", "1 or more", "0"}, [](auto& a) { a.logits.sizes[1] = 0; }},
      {"loss_repeats", invalid, {"loss ", "overlap"}, [](auto& a) { a.loss.strides[0] = 0; }},
      {"loss_is_lse", invalid, {"lse ", "overlap loss"}, [](auto& a) { a.lse.data = a.loss.data; }},
      {"loss_in_logits", invalid, {"loss ", "overlap logits"}, [](auto& a) { a.loss.data = moved(a.logits.data, 64); }},
      {"lse_in_targets", invalid, {"lse ", "overlap targets"}, [](auto& a) { a.lse.data = a.targets.data; }},
  };
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

inline std::vector<BadCrossEntropy<CrossEntropyBackwardArguments>> bad_cross_entropy_backwards() {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  auto list = bad_in_both<CrossEntropyBackwardArguments>();
  const std::vector<BadCrossEntropy<CrossEntropyBackwardArguments>> more = {
      {"lse_null", invalid, {"lse ", "null"}, [](auto& a) { a.lse.data = nullptr; }},
      {"dloss_null", invalid, {"dloss ", "null"}, [](auto& a) { a.dloss.data = nullptr; }},
      {"dlogits_null", invalid, {"dlogits ", "null"}, [](auto& a) { a.dlogits.data = nullptr; }},
      {"no_classes",
       invalid,
       {"logits.sizes[1]", "1 or more", "0"},
       [](auto& a) { a.logits.sizes[1] = a.dlogits.sizes[1] = 0; }},
      {"dlogits_classes",
       invalid,
       {"dlogits.sizes[1]", "logits.sizes[1]", "48", "47"},
       [](auto& a) { a.dlogits.sizes[1] = 47; }},
      {"dloss_f16", unsupported, {"dloss.dtype", "f32", "f16"}, [](auto& a) { a.dloss.dtype = DType::f16; }},
      {"dlogits_bf16", unsupported, {"dlogits.dtype", "f32", "bf16"}, [](auto& a) { a.dlogits.dtype = DType::bf16; }},
      {"dlogits_repeats", invalid, {"dlogits ", "overlap"}, [](auto& a) { a.dlogits.strides[0] = 0; }},
      {"dlogits_in_logits",
       invalid,
       {"dlogits ", "overlap logits"},
       [](auto& a) { a.dlogits.data = moved(a.logits.data, 16); }},
      {"dlogits_over_lse", invalid, {"dlogits ", "overlap lse"}, [](auto& a) { a.lse.data = a.dlogits.data; }},
      {"dlogits_over_targets",
       invalid,
       {"dlogits ", "overlap targets"},
       [](auto& a) { a.targets.data = moved(a.dlogits.data, 128); }},
  };
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

}  // namespace ckl::test
