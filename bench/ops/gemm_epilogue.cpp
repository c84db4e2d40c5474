#include "ops/gemm_epilogue.hpp"

#include <sstream>

#include <fmt/format.h>

#include "ops/parse.hpp"

namespace ckl::bench {
namespace {

constexpr Activation activations[] = {Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu,
                                      Activation::sigmoid};

/// Whether `word` is an activation's name, which is then set.
bool set_activation(GemmEpilogue& e, const std::string& word) {
  for (const Activation activation : activations)
    if (word == name(activation)) return e.activation = activation, true;
  return false;
}

}  // namespace

GemmEpilogue parse_epilogue(const std::string& text, DType out, std::int64_t m, std::int64_t n) {
  GemmProblem p;
  p.n = n;
  GemmEpilogue& e = p.epilogue;
  std::stringstream words(text);
  for (std::string word; std::getline(words, word, '+');) {
    if (word == "bias")
      e.column_bias = {true, out, 1};
    else if (word == "row_bias")
      e.row_bias = {true, out, 1};
    else if (word == "a_scale")
      e.a_scale = {true, DType::f32, 1};
    else if (word == "b_scale")
      e.b_scale = {true, DType::f32, 1};
    else if (word == "d_scale")
      e.d_scale = {true, DType::f32, 0};
    else if (word == "gated")
      e.gated = true;
    else if (word == "residual")
      e.has_residual = true;
    else if (!set_activation(e, word))
      throw UsageError(fmt::format("--epilogue: must be of {}, got `{}`", epilogue_words, text));
  }
  if (e.gated && n % 2 != 0) throw UsageError(fmt::format("--epilogue: gated needs an even N, got {}", n));
  if (e.has_residual) e.residual = {out, p.d_columns(), 1, m * p.d_columns(), 16};
  return e;
}

}  // namespace ckl::bench
