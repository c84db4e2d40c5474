#pragma once

/// @file
/// Additions that must be refused: by add_problem() on the host, and by add() on the device, which must leave its
/// output untouched.

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "bad_gemm.hpp"
#include "ckl/elementwise.hpp"

namespace ckl::test {

struct AddArguments {
  Tensor a, b, d;
};

struct BadAdd {
  std::string name;
  ErrorCode code;
  std::vector<std::string> words;
  std::function<void(AddArguments&)> spoil;
};

inline void PrintTo(const BadAdd& bad, std::ostream* out) { *out << bad.name; }

/// A and D (40, 48), B (48), f32: nothing is wrong with it. The memory of each must hold 4096 elements.
inline AddArguments good_add(void* a, void* b, void* d) {
  return {Tensor::contiguous(a, DType::f32, {40, 48}), Tensor::contiguous(b, DType::f32, {48}),
          Tensor::contiguous(d, DType::f32, {40, 48})};
}

inline std::vector<BadAdd> bad_adds() {
  constexpr ErrorCode invalid = ErrorCode::invalid_argument, unsupported = ErrorCode::unsupported;
  constexpr std::int64_t huge = std::int64_t(1) << 62;
  return {
      {"a_null", invalid, {"in[0] ", "null"}, [](auto& x) { x.a.data = nullptr; }},
      {"b_null", invalid, {"in[1] ", "null"}, [](auto& x) { x.b.data = nullptr; }},
      {"d_null", invalid, {"out[0] ", "null"}, [](auto& x) { x.d.data = nullptr; }},
      {"a_has_more_dimensions", invalid, {"in[0].rank", "2", "3"}, [](auto& x) { x.a.rank = 3; }},
      {"b_rank_too_large", invalid, {"in[1].rank", "5", "6"}, [](auto& x) { x.b.rank = 6; }},
      {"d_rank_negative", invalid, {"out[0].rank", "0", "-2"}, [](auto& x) { x.d.rank = -2; }},
      {"a_rows_differ", invalid, {"in[0].sizes[0]", "out[0].sizes[0]", "40", "39"}, [](auto& x) { x.a.sizes[0] = 39; }},
      {"b_columns_differ",
       invalid,
       {"in[1].sizes[0]", "out[0].sizes[1]", "48", "2"},
       [](auto& x) { x.b.sizes[0] = 2; }},
      {"d_does_not_broadcast", invalid, {"in[0].sizes[0]", "1", "40"}, [](auto& x) { x.d.sizes[0] = 1; }},
      {"a_empty", invalid, {"in[0].sizes[0]", "40", "0"}, [](auto& x) { x.a.sizes[0] = 0; }},
      {"a_negative", invalid, {"in[0].sizes[1]", "0 or more", "-48"}, [](auto& x) { x.a.sizes[1] = -48; }},
      {"d_negative", invalid, {"out[0].sizes[0]", "0 or more", "-1"}, [](auto& x) { x.d.sizes[0] = -1; }},
      {"a_sizes_too_large",
       invalid,
       {"in[0] ", "2^63 bytes"},
       [](auto& x) {
         x.a.sizes = {huge, huge};
       }},
      {"a_stride_too_large", invalid, {"in[0] ", "2^63 bytes"}, [](auto& x) { x.a.strides[0] = huge; }},
      {"d_stride_too_large", invalid, {"out[0] ", "2^63 bytes"}, [](auto& x) { x.d.strides[1] = -huge; }},
      {"a_f64", unsupported, {"in[0].dtype", "f32", "f64"}, [](auto& x) { x.a.dtype = DType::f64; }},
      {"d_i8", unsupported, {"out[0].dtype", "f32", "i8"}, [](auto& x) { x.d.dtype = DType::i8; }},
      {"no_dtype", invalid, {"in[1].dtype", "99"}, [](auto& x) { x.b.dtype = DType(99); }},
      {"d_broadcast", invalid, {"out[0] ", "overlap", "(0, 1)"}, [](auto& x) { x.d.strides[0] = 0; }},
      {"d_rows_overlap", invalid, {"out[0] ", "overlap", "(47, 1)"}, [](auto& x) { x.d.strides[0] = 47; }},
      {"d_begins_in_a",
       invalid,
       {"out[0] ", "overlap in[0]"},
       [](auto& x) { x.d.data = moved(x.a.data, 40 * 48 * 4 - 4); }},
      {"d_ends_in_b",
       invalid,
       {"out[0] ", "overlap in[1]"},
       [](auto& x) { x.b.data = moved(x.d.data, 40 * 48 * 4 - 4); }},
      {"d_is_a_an_element_on", invalid, {"out[0] ", "overlap in[0]"}, [](auto& x) { x.a.data = moved(x.d.data, 4); }},
      {"d_is_a_transposed",
       invalid,
       {"out[0] ", "overlap in[0]"},
       [](auto& x) { x.a = Tensor::column_major(x.d.data, DType::f32, 40, 48); }},
      // B is one row: if D's first row were B, it would be overwritten while other rows still need it.
      {"d_has_b_as_a_row", invalid, {"out[0] ", "overlap in[1]"}, [](auto& x) { x.b.data = x.d.data; }},
      {"a_between_elements", invalid, {"in[0] ", "multiple", "4"}, [](auto& x) { x.a.data = moved(x.a.data, 2); }},
      {"d_between_elements", invalid, {"out[0] ", "multiple", "4"}, [](auto& x) { x.d.data = moved(x.d.data, 1); }},
  };
}

}  // namespace ckl::test
