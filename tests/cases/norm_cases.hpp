#pragma once

/// @file
/// The normalizations that the device tests run, each with the reason why it is there.

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "cases/add_cases.hpp"
#include "ckl/norm.hpp"

namespace ckl::test {

struct NormCase {
  std::string name;  ///< Letters, digits and underscores.
  std::string why;
  NormKind kind = NormKind::layer;
  DType dtype = DType::f32, affine = DType::f32;
  DType quantized = DType::f32;  ///< That of y, if it is e4m3 or e5m2; else y has x's.
  OperandLayout x, y, residual, sum;
  std::int64_t affine_step = 1, affine_offset = 0;  ///< Of weight and bias, in elements.
  bool weight = true, bias = true, add = false, store_sum = false, statistics = true;
  float epsilon = 1e-3f;
  bool ragged = false;  ///< Whether a kernel has to take it by vectors, although its rows begin anywhere.
  enum { separate, y_is_x, y_is_residual, sum_is_x } where = separate;  ///< Which output is exactly which input.

  bool is_quantized() const { return quantized != DType::f32; }
  DType dtype_of_y() const { return is_quantized() ? quantized : dtype; }

  std::int64_t elements() const {
    std::int64_t count = 1;
    for (const std::int64_t size : x.sizes) count *= size;
    return count;
  }
  /// Small enough for an emulated GPU. Of the longest rows one type will do.
  bool quick() const { return elements() <= 1 << 14 || (dtype == DType::bf16 && elements() <= 140000); }
};

inline void PrintTo(const NormCase& norm, std::ostream* out) {
  *out << name(norm.kind) << ' ' << name(norm.dtype) << ": " << norm.why;
}

inline std::vector<NormCase> norm_cases(bool short_list) {
  std::vector<NormCase> cases;
  const auto add = [&](std::string name, std::string why, DType dtype, OperandLayout x, OperandLayout y) -> NormCase& {
    NormCase added;
    added.name = std::move(name), added.why = std::move(why);
    added.dtype = added.affine = dtype;
    added.x = added.residual = added.sum = std::move(x), added.y = std::move(y);
    return cases.emplace_back(std::move(added));
  };
  const auto rows = [&](std::string name, std::string why, DType dtype, std::int64_t rows,
                        std::int64_t columns) -> NormCase& {
    return add(std::move(name), std::move(why), dtype, dense({rows, columns}), dense({rows, columns}));
  };

  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::string type = name(dtype);
    // One row length for every kind of kernel, and just more than a group of threads holds. The kinds take turns.
    for (const std::int64_t columns : {1, 2, 7, 64, 129, 136, 264, 1000, 1032, 2056, 4104, 8200}) {
      NormCase& one = rows(type + "_columns" + std::to_string(columns), "every way to hold a row, aligned and not",
                           dtype, 5, columns);
      one.kind = columns % 3 == 0 ? NormKind::rms : NormKind::layer;
    }
    // Of rows that begin anywhere, lengths that fill threads and more, and those that leave nothing to vectors.
    for (const std::int64_t columns : {3, 13, 77, 197, 267, 523, 1001, 2059, 4107, 8203}) {
      NormCase& one = rows(type + "_odd" + std::to_string(columns), "rows that begin anywhere between boundaries",
                           dtype, columns > 5000 ? 1 : 9, columns);
      one.kind = columns % 3 == 0 ? NormKind::rms : NormKind::layer;
      one.ragged = dtype != DType::f32 || columns < 8192;
    }
    for (const bool store : {false, true}) {
      NormCase& sum = rows(type + "_odd_residual" + (store ? "_sum" : ""), "the same with a residual", dtype, 9, 197);
      sum.add = sum.ragged = true, sum.store_sum = store;
    }
    NormCase& odd_into = rows(type + "_odd_sum_is_x", "the same, where the sum replaces x", dtype, 9, 523);
    odd_into.add = odd_into.store_sum = odd_into.ragged = true, odd_into.where = NormCase::sum_is_x;
    NormCase& odd_onto = rows(type + "_odd_y_is_residual", "the same, where y replaces the residual", dtype, 9, 77);
    odd_onto.add = odd_onto.ragged = true, odd_onto.where = NormCase::y_is_residual;
    rows(type + "_odd_y_is_x", "the same, where y replaces x", dtype, 17, 197).where = NormCase::y_is_x;
    NormCase& odd_few =
        rows(type + "_odd_many_rows", "more rows than a block has groups, the last one partly filled", dtype, 503, 13);
    odd_few.kind = NormKind::rms, odd_few.ragged = true;
    NormCase& odd_padded = add(type + "_odd_padded", "whole vectors and more, rows that begin on boundaries", dtype,
                               {{9, 101}, {104, 1}, 0}, {{9, 101}, {112, 1}, 0});
    odd_padded.residual = odd_padded.sum = odd_padded.y,
    odd_padded.add = odd_padded.store_sum = odd_padded.ragged = true;
    NormCase& odd_mixed = rows(type + "_odd_affine_f32", "odd rows, weight and bias in f32", dtype, 9, 197);
    odd_mixed.affine = DType::f32, odd_mixed.ragged = dtype == DType::f32;
    rows(type + "_odd_affine_units", "odd rows, weight and bias on units of theirs alone", dtype, 9, 197);
    cases.back().affine_offset = dtype == DType::f32 ? 2 : 4, cases.back().ragged = true;
    rows(type + "_odd_affine_off", "odd rows, weight and bias an element off", dtype, 9, 197).affine_offset = 1;
    rows(type + "_odd_any_rank", "odd rows that two dimensions count", dtype, 9, 197);
    cases.back().x = cases.back().y = cases.back().residual = cases.back().sum = {{3, 3, 77}, {300, 77, 1}, 0};
    rows(type + "_cluster2", "two blocks a row, the second one partly filled", dtype, 2, 16648);
    rows(type + "_cluster8", "as many blocks as a cluster may have", dtype, 1, 65536).kind = NormKind::rms;
    rows(type + "_stream", "longer than a cluster holds", dtype, 1, 131080);
    rows(type + "_stream_any", "longer than a block holds, and not aligned", dtype, 1, 16385);
    rows(type + "_long", "a million elements", dtype, 3, 1 << 20);
    rows(type + "_many_rows", "more rows than blocks of threads at a time, the last block partly filled", dtype, 503,
         96);
    for (const int mask : {0, 1, 2}) {
      NormCase& one = rows(type + "_affine" + std::to_string(mask), "without a bias, a weight or both", dtype, 9, 200);
      one.weight = mask & 1, one.bias = mask & 2;
      NormCase& odd = rows(type + "_odd_affine" + std::to_string(mask), "the same of odd rows", dtype, 9, 203);
      odd.weight = mask & 1, odd.bias = mask & 2, odd.ragged = true;
    }
    NormCase& narrow = rows(type + "_no_statistics", "RMSNorm as language models use it", dtype, 9, 512);
    narrow.kind = NormKind::rms, narrow.bias = narrow.statistics = false;
    NormCase& mixed = rows(type + "_affine_f32", "weight and bias in f32", dtype, 9, 520);
    mixed.affine = DType::f32;
    rows(type + "_affine_apart", "weight and bias with gaps: element by element", dtype, 9, 520).affine_step = 3;
    rows(type + "_affine_off", "weight and bias an element off", dtype, 9, 520).affine_offset = 1;
    for (const std::int64_t columns : {200, 4096, 16385}) {
      NormCase& sum = rows(type + "_sum" + std::to_string(columns), "the residual is added and the sum stored", dtype,
                           columns > 10000 ? 1 : 3, columns);
      sum.add = sum.store_sum = true;
      NormCase& only = rows(type + "_residual" + std::to_string(columns), "the residual is added", dtype,
                            columns > 10000 ? 1 : 3, columns);
      only.add = true, only.kind = NormKind::rms;
      NormCase& into = rows(type + "_sum_is_x" + std::to_string(columns), "the sum replaces x", dtype,
                            columns > 10000 ? 1 : 3, columns);
      into.add = into.store_sum = true, into.where = NormCase::sum_is_x;
    }
    rows(type + "_y_is_x", "y replaces x", dtype, 17, 520).where = NormCase::y_is_x;
    rows(type + "_y_is_x_stream", "y replaces x, which is read twice", dtype, 1, 16385).where = NormCase::y_is_x;
    NormCase& onto = rows(type + "_y_is_residual", "y replaces the residual", dtype, 7, 520);
    onto.add = true, onto.where = NormCase::y_is_residual;
    add(type + "_padded", "rows with gaps, aligned", dtype, {{9, 128}, {136, 1}, 0}, {{9, 128}, {144, 1}, 0});
    add(type + "_odd_rows", "rows at odd distances, which vectors cannot take", dtype, {{9, 128}, {129, 1}, 0},
        {{9, 128}, {131, 1}, 0});
    add(type + "_offset", "x an element off any alignment", dtype, dense({9, 128}, 1), dense({9, 128}));
    add(type + "_y_offset", "y an element off", dtype, dense({9, 128}), dense({9, 128}, 1));
    add(type + "_transposed", "x's memory order is not y's", dtype, permuted({40, 72}, {1, 0}), dense({40, 72}));
    add(type + "_every_second", "no unit stride", dtype, {{5, 301}, {700, 2}, 1}, {{5, 301}, {1000, 3}, 0});
  }
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::string type = name(dtype);
    const auto quantized = [&](NormCase& one, DType to) -> NormCase& { return one.quantized = to, one; };
    for (const std::int64_t columns : {1, 7, 64, 129, 136, 264, 1000, 1032, 2056, 4104, 8200}) {
      if (dtype == DType::f16 && columns != 64 && columns != 2056) continue;  // it is held as bf16 is
      const DType to = columns % 2 ? DType::e5m2 : DType::e4m3;
      quantized(rows(type + "_fp8_columns" + std::to_string(columns), "every way to hold a row that is quantized",
                     dtype, 3, columns),
                to)
          .kind = columns % 3 == 0 ? NormKind::rms : NormKind::layer;
    }
    quantized(rows(type + "_fp8_cluster2", "two blocks agree on a scale", dtype, 2, 16648), DType::e4m3);
    quantized(rows(type + "_fp8_cluster8", "as many as a cluster may have", dtype, 1, 65536), DType::e5m2);
    quantized(rows(type + "_fp8_stream_any", "read three times, element by element", dtype, 1, 16385), DType::e4m3);
    quantized(rows(type + "_fp8_long", "read three times, a million elements", dtype, 2, 1 << 20), DType::e4m3);
    quantized(rows(type + "_fp8_many_rows", "rows of several blocks, the last one partly filled", dtype, 503, 32),
              DType::e4m3);
    NormCase& usual = quantized(
        rows(type + "_fp8_sum", "as a language model's layers use it: the sum stored, no bias", dtype, 3, 4096),
        DType::e4m3);
    usual.kind = NormKind::rms, usual.bias = usual.statistics = false, usual.add = usual.store_sum = true;
    NormCase& into = quantized(rows(type + "_fp8_sum_is_x", "the sum replaces x, which is read again", dtype, 1, 16385),
                               DType::e4m3);
    into.add = into.store_sum = true, into.where = NormCase::sum_is_x;
    quantized(rows(type + "_fp8_affine_f32", "weight and bias in f32", dtype, 5, 520), DType::e5m2).affine = DType::f32;
    quantized(
        add(type + "_fp8_narrow_rows", "rows of y at distances that are no multiples of 16 bytes, but of its vectors",
            dtype, dense({5, 64}), {{5, 64}, {72, 1}, 0}),
        DType::e4m3);
    quantized(add(type + "_fp8_y_offset", "y off its vectors", dtype, dense({5, 64}), dense({5, 64}, 1)), DType::e4m3);
    quantized(
        add(type + "_fp8_every_second", "no unit stride", dtype, {{3, 301}, {700, 2}, 1}, {{3, 301}, {1000, 3}, 0}),
        DType::e5m2);
  }
  add("rank1_fp8", "a single scale", DType::bf16, dense({776}), dense({776})).quantized = DType::e4m3;
  add("rank1", "a single row, no other dimension", DType::f32, dense({777}), dense({777}));
  add("rank5", "five dimensions", DType::f32, dense({2, 3, 2, 5, 11}), dense({2, 3, 2, 5, 11}));
  add("rank5_permuted", "row dimensions that cannot be merged", DType::bf16,
      permuted({3, 2, 4, 2, 24}, {2, 0, 3, 1, 4}), permuted({3, 2, 4, 2, 24}, {1, 3, 0, 2, 4}));
  add("no_rows", "no row at all", DType::f32, dense({0, 5}), dense({0, 5}));
  add("empty_rows", "rows without elements", DType::f32, dense({5, 0}), dense({5, 0}));

  if (short_list)
    cases.erase(std::remove_if(cases.begin(), cases.end(), [](const NormCase& c) { return !c.quick(); }), cases.end());
  return cases;
}

}  // namespace ckl::test
