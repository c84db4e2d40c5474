#pragma once

/// @file
/// GEMM calls that must be refused. Checked on the host by gemm_problem(), and on the device by gemm(), which must
/// leave its output untouched.

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "ckl/error.hpp"
#include "ckl/gemm.hpp"

namespace ckl::test {

struct BadGemm {
  std::string name;
  ErrorCode code;
  std::vector<std::string> words;             ///< The message has them: argument, requirement, actual value.
  std::function<void(GemmArguments&)> spoil;  ///< Makes the good arguments bad.
};

inline void PrintTo(const BadGemm& bad, std::ostream* out) { *out << bad.name; }

/// A (64, 32), B (32, 48), C and D (64, 48), all bf16 and dense, row-major but for B: nothing is wrong with it. The
/// memory of each must hold 4096 elements, so that the tests can shift the others into it.
inline GemmArguments good_gemm(void* a, void* b, void* c, void* d) {
  return {Tensor::row_major(a, DType::bf16, 64, 32),
          Tensor::column_major(b, DType::bf16, 32, 48),
          Tensor::row_major(d, DType::bf16, 64, 48),
          1.0f,
          1.0f,
          Tensor::row_major(c, DType::bf16, 64, 48)};
}

/// `data`, `bytes` further on.
inline void* moved(void* data, std::ptrdiff_t bytes) { return static_cast<char*>(data) + bytes; }

/// The bias of good_gemm()'s columns, of rank 1. The null pointer is for the test to spoil.
inline Tensor column_vector(const void* data, std::int64_t size) {
  return Tensor::contiguous(data, DType::f32, {size});
}

inline std::vector<BadGemm> bad_gemms() {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  constexpr std::int64_t huge = std::int64_t(1) << 62;
  return {
      {"a_null", invalid, {"a ", "null"}, [](auto& g) { g.a.data = nullptr; }},
      {"b_null", invalid, {"b ", "null"}, [](auto& g) { g.b.data = nullptr; }},
      {"c_null", invalid, {"c ", "null"}, [](auto& g) { g.c.data = nullptr; }},
      {"c_missing", invalid, {"c", "rank", "2", "0"}, [](auto& g) { g.c = Tensor(); }},
      {"d_null", invalid, {"d ", "null"}, [](auto& g) { g.d.data = nullptr; }},

      {"bias_null",
       invalid,
       {"epilogue.column_bias ", "null"},
       [](auto& g) { g.epilogue.column_bias = column_vector(nullptr, 48); }},
      {"bias_length",
       invalid,
       {"epilogue.column_bias.sizes[0]", "48", "47"},
       [](auto& g) { g.epilogue.column_bias = column_vector(g.c.data, 47); }},
      {"row_bias_scalar",
       invalid,
       {"epilogue.row_bias.rank", "1", "0"},
       [](auto& g) { g.epilogue.row_bias = Tensor::contiguous(g.c.data, DType::f32, {}); }},
      {"d_scale_vector",
       invalid,
       {"epilogue.d_scale.rank", "0", "1"},
       [](auto& g) { g.epilogue.d_scale = column_vector(g.c.data, 48); }},
      {"bias_is_d",
       invalid,
       {"d ", "epilogue.column_bias"},
       [](auto& g) { g.epilogue.column_bias = column_vector(g.d.data, 48); }},
      {"bias_misaligned",
       invalid,
       {"epilogue.column_bias", "4 bytes"},
       [](auto& g) { g.epilogue.column_bias = column_vector(moved(g.c.data, 2), 48); }},
      {"residual_size",
       invalid,
       {"epilogue.residual.sizes[1]", "48", "40"},
       [](auto& g) { g.epilogue.residual = Tensor::row_major(g.c.data, DType::bf16, 64, 40); }},
      {"residual_partly_d",
       invalid,
       {"d ", "overlap", "epilogue.residual"},
       [](auto& g) { g.epilogue.residual = Tensor::row_major(moved(g.d.data, 16), DType::bf16, 64, 48); }},
      {"aux_is_d", invalid, {"epilogue.aux", "d", "both"}, [](auto& g) { g.epilogue.aux = g.d; }},
      {"aux_is_c",
       invalid,
       {"epilogue.aux", "c"},
       [](auto& g) { g.epilogue.aux = Tensor::row_major(moved(g.c.data, 16), DType::bf16, 64, 48); }},
      {"gated_d_size",
       invalid,
       {"d.sizes[1]", "half of b.sizes[1]", "24", "48"},
       [](auto& g) { g.epilogue.gated = true; }},
      {"a_vector", invalid, {"a.rank", "2", "1"}, [](auto& g) { g.a.rank = 1; }},
      {"b_batch", invalid, {"b.rank", "2", "3"}, [](auto& g) { g.b.rank = 3; }},
      {"c_vector", invalid, {"c.rank", "2", "1"}, [](auto& g) { g.c.rank = 1; }},
      {"d_scalar", invalid, {"d.rank", "2", "0"}, [](auto& g) { g.d.rank = 0; }},
      {"a_rank_too_large", invalid, {"a.rank", "5", "6"}, [](auto& g) { g.a.rank = 6; }},
      {"d_rank_negative", invalid, {"d.rank", "0", "-1"}, [](auto& g) { g.d.rank = -1; }},

      {"k_differs", invalid, {"b.sizes[0]", "a.sizes[1]", "32", "31"}, [](auto& g) { g.b.sizes[0] = 31; }},
      {"m_differs", invalid, {"d.sizes[0]", "a.sizes[0]", "64", "63"}, [](auto& g) { g.d.sizes[0] = 63; }},
      {"n_differs", invalid, {"d.sizes[1]", "b.sizes[1]", "48", "47"}, [](auto& g) { g.d.sizes[1] = 47; }},
      {"c_rows_differ", invalid, {"c.sizes[0]", "d.sizes[0]", "64", "1"}, [](auto& g) { g.c.sizes[0] = 1; }},
      {"c_columns_differ", invalid, {"c.sizes[1]", "d.sizes[1]", "48", "49"}, [](auto& g) { g.c.sizes[1] = 49; }},

      {"a_rows_negative", invalid, {"a.sizes[0]", "0 or more", "-1"}, [](auto& g) { g.a.sizes[0] = -1; }},
      {"b_columns_negative", invalid, {"b.sizes[1]", "0 or more", "-48"}, [](auto& g) { g.b.sizes[1] = -48; }},
      {"c_rows_negative", invalid, {"c.sizes[0]", "0 or more", "-64"}, [](auto& g) { g.c.sizes[0] = -64; }},
      {"d_rows_negative", invalid, {"d.sizes[0]", "0 or more", "-9"}, [](auto& g) { g.d.sizes[0] = -9; }},

      // Products beyond 64 bits: of the sizes (with and without strides), of a size and a stride, of both in bytes, and
      // of their sum alone.
      {"a_sizes_too_large",
       invalid,
       {"a ", "2^63 bytes", "4611686018427387904"},
       [](auto& g) {
         g.a.sizes = {huge, huge};
       }},
      {"a_elements_too_many",
       invalid,
       {"a ", "2^63 bytes", "4611686018427387904"},
       [](auto& g) {
         g.a.sizes = {huge, huge}, g.a.strides = {0, 0};
       }},
      {"a_stride_too_large",
       invalid,
       {"a ", "2^63 bytes", "4611686018427387904"},
       [](auto& g) { g.a.strides[0] = huge; }},
      {"a_stride_too_negative",
       invalid,
       {"a ", "2^63 bytes", "-4611686018427387904"},
       [](auto& g) { g.a.strides[0] = -huge; }},
      {"b_bytes_too_large", invalid, {"b ", "2^63 bytes"}, [](auto& g) { g.b.strides[0] = huge / 31 + 1; }},
      {"d_span_too_large",
       invalid,
       {"d ", "2^63 bytes"},
       [](auto& g) {
         g.d.strides = {huge / 63 / 2 * 2 - 1, huge / 47 / 2 * 2 - 1};
       }},
      {"c_stride_too_large", invalid, {"c ", "2^63 bytes"}, [](auto& g) { g.c.strides[1] = huge; }},

      {"a_f32", unsupported, {"a.dtype", "bf16 or f16", "f32"}, [](auto& g) { g.a.dtype = g.b.dtype = DType::f32; }},
      {"a_e4m3", unsupported, {"a.dtype", "bf16 or f16", "e4m3"}, [](auto& g) { g.a.dtype = g.b.dtype = DType::e4m3; }},
      {"b_f16", unsupported, {"b.dtype", "bf16", "f16"}, [](auto& g) { g.b.dtype = DType::f16; }},
      {"c_f32", unsupported, {"c.dtype", "bf16", "f32"}, [](auto& g) { g.c.dtype = DType::f32; }},
      {"d_f64",
       unsupported,
       {"d.dtype", "f32, f16 or bf16", "f64"},
       [](auto& g) { g.c.dtype = g.d.dtype = DType::f64; }},
      {"d_i8", unsupported, {"d.dtype", "f32, f16 or bf16", "i8"}, [](auto& g) { g.c.dtype = g.d.dtype = DType::i8; }},
      {"no_dtype", invalid, {"a.dtype", "77"}, [](auto& g) { g.a.dtype = DType(77); }},

      {"d_rows_are_one",
       invalid,
       {"d ", "overlap", "(0, 1)"},
       [](auto& g) {
         g.d.strides = {0, 1};
       }},
      {"d_elements_are_one",
       invalid,
       {"d ", "overlap"},
       [](auto& g) {
         g.d.strides = {0, 0};
       }},
      {"d_rows_overlap",
       invalid,
       {"d ", "overlap", "(47, 1)"},
       [](auto& g) {
         g.d.strides = {47, 1};
       }},
      {"d_columns_overlap",
       invalid,
       {"d ", "overlap", "(1, 63)"},
       [](auto& g) {
         g.d.strides = {1, 63};
       }},
      {"d_lattice_overlaps",
       invalid,
       {"d ", "overlap", "(6, 4)"},
       [](auto& g) {
         g.d.strides = {6, 4};
       }},

      {"d_is_a", invalid, {"d ", "a"}, [](auto& g) { g.d.data = g.a.data; }},
      {"d_is_b", invalid, {"d ", "b"}, [](auto& g) { g.d.data = g.b.data; }},
      {"d_begins_in_a", invalid, {"d ", "overlap a"}, [](auto& g) { g.d.data = moved(g.a.data, 64 * 32 * 2 - 2); }},
      {"d_ends_in_b", invalid, {"d ", "overlap b"}, [](auto& g) { g.b.data = moved(g.d.data, 64 * 48 * 2 - 2); }},
      {"d_is_within_c", invalid, {"d ", "overlap c"}, [](auto& g) { g.c.data = moved(g.d.data, 2); }},
      {"d_is_c_a_row_on", invalid, {"d ", "overlap c"}, [](auto& g) { g.c.data = moved(g.d.data, 96); }},
      {"d_is_c_transposed",
       invalid,
       {"d ", "overlap c"},
       [](auto& g) { g.c = Tensor::column_major(g.d.data, DType::bf16, 64, 48); }},
      {"d_is_c_broadcast",
       invalid,
       {"d ", "overlap c"},
       [](auto& g) {
         g.c = Tensor::strided(g.d.data, DType::bf16, {64, 48}, {0, 1});
       }},

      {"a_between_elements", invalid, {"a ", "multiple of 2"}, [](auto& g) { g.a.data = moved(g.a.data, 1); }},
      {"d_between_elements", invalid, {"d ", "multiple of 2"}, [](auto& g) { g.d.data = moved(g.d.data, 1); }},
  };
}

/// Problems that no plan can be made of: the same faults, where no pointers are known.
struct BadProblem {
  std::string name;
  ErrorCode code;
  std::vector<std::string> words;
  std::function<void(GemmProblem&)> spoil;
};

inline void PrintTo(const BadProblem& bad, std::ostream* out) { *out << bad.name; }

inline std::vector<BadProblem> bad_gemm_problems() {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  return {
      {"m_negative", invalid, {"m ", "0 or more", "-1"}, [](auto& p) { p.m = -1; }},
      {"n_negative", invalid, {"n ", "0 or more", "-2"}, [](auto& p) { p.n = -2; }},
      {"k_negative", invalid, {"k ", "0 or more", "-3"}, [](auto& p) { p.k = -3; }},
      {"batch_2", unsupported, {"batch", "1", "2"}, [](auto& p) { p.batch = 2; }},
      {"batch_0", unsupported, {"batch", "1", "0"}, [](auto& p) { p.batch = 0; }},
      {"a_alignment_0", invalid, {"a.alignment", "1, 2, 4, 8 or 16", "0"}, [](auto& p) { p.a.alignment = 0; }},
      {"b_alignment_3", invalid, {"b.alignment", "1, 2, 4, 8 or 16", "3"}, [](auto& p) { p.b.alignment = 3; }},
      {"c_alignment_32", invalid, {"c.alignment", "1, 2, 4, 8 or 16", "32"}, [](auto& p) { p.c.alignment = 32; }},
      {"d_alignment_negative",
       invalid,
       {"d.alignment", "1, 2, 4, 8 or 16", "-16"},
       [](auto& p) { p.d.alignment = -16; }},
      {"m_too_large", invalid, {"2^63 bytes"}, [](auto& p) { p.m = std::int64_t(1) << 60; }},
      {"a_f32", unsupported, {"a.dtype", "f32"}, [](auto& p) { p.a.dtype = DType::f32; }},
      {"b_f16", unsupported, {"b.dtype", "bf16", "f16"}, [](auto& p) { p.b.dtype = DType::f16; }},
      {"c_f32", unsupported, {"c.dtype", "bf16", "f32"}, [](auto& p) { p.c.dtype = DType::f32; }},
      {"d_i32", unsupported, {"d.dtype", "i32"}, [](auto& p) { p.d.dtype = DType::i32; }},
      {"d_overlaps", invalid, {"d ", "overlap"}, [](auto& p) { p.d.row_stride = 1; }},
      {"gated_odd_n",
       invalid,
       {"n ", "even", "gated", "47"},
       [](auto& p) { p.epilogue.gated = true, p.n = 47, p.d.row_stride = 47; }},
      {"activation_unknown",
       invalid,
       {"epilogue.activation", "99"},
       [](auto& p) { p.epilogue.activation = Activation(99); }},
      {"bias_i32",
       unsupported,
       {"epilogue.column_bias.dtype", "f32, f16 or bf16", "i32"},
       [](auto& p) {
         p.epilogue.column_bias = {true, DType::i32, 1};
       }},
      {"d_scale_vector",
       invalid,
       {"epilogue.d_scale.stride", "0", "1"},
       [](auto& p) {
         p.epilogue.d_scale = {true, DType::f32, 1};
       }},
      {"residual_i8",
       unsupported,
       {"epilogue.residual.dtype", "i8"},
       [](auto& p) { p.epilogue.has_residual = true, p.epilogue.residual.dtype = DType::i8; }},
      {"aux_overlaps",
       invalid,
       {"epilogue.aux ", "overlap"},
       [](auto& p) {
         p.epilogue.has_aux = true, p.epilogue.aux = {DType::bf16, 1, 1, 0, 16};
       }},
  };
}

}  // namespace ckl::test
