#pragma once

// What the host hands to a GEMM kernel with a fused epilogue, behind GemmParams.

#include <cstdint>

#include "ckl/gemm.hpp"
#include "ops/gemm/config.hpp"
#include "ops/gemm/params.hpp"

namespace ckl {

/// A matrix of the epilogue, of a type that is known at run time; without data there is none.
struct EpilogueMatrix {
  MatrixParams at;
  DType dtype;
  bool by_vectors;  ///< Columns are contiguous, and rows begin at multiples of 16 bytes.
};

/// A vector of the epilogue; without data there is none.
struct EpilogueVector {
  const void* data;
  std::int64_t stride;  ///< Elements.
  DType dtype;
};

/// GemmEpilogue with pointers, its rows and columns being those of the kernel's D.
struct NamedEpilogueParams {
  EpilogueVector row_scale, column_scale, d_scale, row_bias, column_bias;
  EpilogueMatrix residual, aux;
  Activation activation;
  bool gated;
  bool by_fragments;  ///< moves_by_fragments()
};

/// Whether D leaves by TMA from fragments of accumulators: all that the epilogue reads and writes then moves in pairs and in vectors of 16
/// bytes, which edges do not cut.
inline bool moves_by_fragments(const GemmParams& p, const NamedEpilogueParams& e) {
  auto in_pairs = [](const EpilogueVector& x) {
    return !x.data || (x.stride == 1 && reinterpret_cast<std::uintptr_t>(x.data) % (2 * size_of(x.dtype)) == 0);
  };
  auto in_vectors = [](const EpilogueMatrix& x) { return !x.at.data || (x.by_vectors && size_of(x.dtype) == 2); };
  const bool reads_c = p.epilogue.beta != 0.0f;
  return p.d_by_tma && size_of(p.d_dtype) == 2 && p.n % 8 == 0 && !e.gated && in_pairs(e.column_bias) &&
         (e.column_scale.stride == 0 || in_pairs(e.column_scale)) && in_vectors(e.residual) && in_vectors(e.aux) &&
         (!reads_c || (p.c_by_vectors && !e.residual.at.data));
}

/// The most that an epilogue may add, in bytes, and that it may be aligned to.
constexpr int max_epilogue_params = 256, max_epilogue_align = 64;
static_assert(sizeof(NamedEpilogueParams) <= max_epilogue_params);

/// How many neighbours of a row the epilogue gets at a time: more of them share the work of a step, where there are registers for them.
constexpr int fused_neighbours(const GemmConfig& c) { return c.consumer_registers() - c.accumulators() >= 64 ? 4 : 2; }

/// The parameter of a kernel with an epilogue.
template <class Epilogue> struct GemmFusedParams {
  GemmParams gemm;
  Epilogue epilogue;
};

}  // namespace ckl
