#pragma once

/// @file
/// The GEMM problems that the device tests run, each with the reason why it is there.

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "ckl/gemm.hpp"
#include "reference/draw.hpp"

namespace ckl::test {

using reference::Draw;

/// How one matrix lies in memory.
struct MatrixLayout {
  std::int64_t row_stride = 0;     ///< Elements.
  std::int64_t column_stride = 0;  ///< Elements.
  std::int64_t offset =
      0;  ///< Elements from a 256-byte boundary to the lowest element, (0, 0) if no stride is negative.
};

/// Rows contiguous, `pad` unused elements after each; every element `step` apart from the next.
inline MatrixLayout row_major(std::int64_t cols, std::int64_t pad = 0, std::int64_t offset = 0, std::int64_t step = 1) {
  return {(cols + pad) * step, step, offset};
}

/// Columns contiguous, likewise.
inline MatrixLayout column_major(std::int64_t rows, std::int64_t pad = 0, std::int64_t offset = 0,
                                 std::int64_t step = 1) {
  return {step, (rows + pad) * step, offset};
}

struct GemmCase {
  std::string name;  ///< Letters, digits and underscores.
  std::string why;
  std::int64_t m = 0, n = 0, k = 0;
  DType in = DType::bf16, out = DType::bf16;
  MatrixLayout a, b, c, d;
  float alpha = 1, beta = 0;
  bool in_place = false;  ///< C is D.

  /// Small enough for an emulated GPU.
  bool quick() const { return m * n * k <= 1 << 22 && m * n + m * k + n * k <= 1 << 19; }
};

inline void PrintTo(const GemmCase& gemm, std::ostream* out) {
  const auto print = [&](const char* name, const MatrixLayout& layout) {
    *out << ' ' << name << " (" << layout.row_stride << ", " << layout.column_stride << ")+" << layout.offset;
  };
  *out << "m=" << gemm.m << " n=" << gemm.n << " k=" << gemm.k << ' ' << name(gemm.in) << "->" << name(gemm.out);
  print("A", gemm.a), print("B", gemm.b), print("C", gemm.c), print("D", gemm.d);
  *out << " alpha=" << gemm.alpha << " beta=" << gemm.beta << (gemm.in_place ? " in place" : "") << ": " << gemm.why;
}

/// The problem that the case poses, without any memory: pointers are as aligned as the offsets say.
inline GemmProblem problem_of(const GemmCase& gemm) {
  const auto operand = [](DType dtype, const MatrixLayout& layout) {
    GemmOperand result{dtype, layout.row_stride, layout.column_stride, 0, 16};
    while (layout.offset * std::int64_t(size_of(dtype)) % result.alignment != 0) result.alignment /= 2;
    return result;
  };
  GemmProblem problem;
  problem.m = gemm.m, problem.n = gemm.n, problem.k = gemm.k;
  problem.a = operand(gemm.in, gemm.a), problem.b = operand(gemm.in, gemm.b);
  problem.c = operand(gemm.out, gemm.c), problem.d = operand(gemm.out, gemm.d);
  problem.alpha = gemm.alpha, problem.beta = gemm.beta;
  return problem;
}

/// bf16, everything dense, A row-major and B column-major (the layout that needs no transposition), D row-major.
inline GemmCase dense_gemm(std::string name, std::string why, std::int64_t m, std::int64_t n, std::int64_t k) {
  GemmCase gemm;
  gemm.name = std::move(name), gemm.why = std::move(why);
  gemm.m = m, gemm.n = n, gemm.k = k;
  gemm.a = row_major(k), gemm.b = column_major(k), gemm.c = gemm.d = row_major(n);
  return gemm;
}

/// Every single extreme once, all else being ordinary.
inline std::vector<GemmCase> gemm_extremes() {
  std::vector<GemmCase> cases;
  const auto add = [&](const char* name, const char* why, std::int64_t m, std::int64_t n, std::int64_t k, auto change) {
    cases.push_back(dense_gemm(name, why, m, n, k));
    change(cases.back());
  };
  const auto as_is = [](GemmCase&) {};

  // Sizes.
  add("m0", "no rows: nothing may be written or launched with an empty grid", 0, 64, 64, as_is);
  add("n0", "no columns", 64, 0, 64, as_is);
  add("k0", "an empty sum: D becomes zeros", 64, 72, 0, as_is);
  add("k0_beta", "an empty sum: D = beta C, by a kernel that computes no product", 65, 71, 0,
      [](GemmCase& g) { g.beta = -0.5f; });
  add("all0", "nothing at all", 0, 0, 0, as_is);
  add("one", "the smallest product: all of a tile but one element is outside", 1, 1, 1, as_is);
  add("row_vector", "m = 1: a vector times a matrix", 1, 136, 264, as_is);
  add("column_vector", "n = 1: a matrix times a vector; D's rows are one element apart", 136, 1, 264, as_is);
  add("outer_product", "k = 1: less than one step of the tensor core, odd strides", 130, 70, 1, as_is);
  add("k8", "the shortest rows that TMA can load: one k-tile, mostly filled with zeros", 128, 128, 8, as_is);
  add("k_one_tile", "exactly one k-tile: the loop's first and last step are the same", 128, 128, 64, as_is);
  add("k_two_tiles_and_8", "a k tail of one vector after whole tiles", 128, 128, 136, as_is);
  add("k_many_stages", "more k-tiles than any pipeline has stages, so that every stage is filled again", 64, 64, 1096,
      as_is);
  add("exact_tile", "one whole tile: no edge anywhere", 128, 256, 128, as_is);
  add("tile_and_one", "one row and eight columns more than a tile", 129, 264, 64, as_is);
  add("tile_less_one", "a row less than a tile, eight columns less", 127, 248, 64, as_is);
  add("many_tiles", "more tiles than an emulated GPU has multiprocessors: a block computes several in turn", 520, 776,
      64, as_is);
  add("waves", "several waves of tiles on a real GPU, the last one partial", 4000, 5000, 200, as_is);
  add("tall", "more rows of tiles than a grid's y or z dimension can count", (1 << 23) + 136, 8, 8, as_is);
  add("wide", "more columns of tiles than a grid's y or z dimension can count", 8, (1 << 23) + 136, 8, as_is);
  add("long_k", "a long sum: the error of accumulation, and split-k if there is one", 72, 80, 1 << 17, as_is);

  // Layouts and strides.
  add("a_column_major", "A's rows one element apart: the transposed operand of wgmma", 136, 136, 136,
      [](GemmCase& g) { g.a = column_major(g.m); });
  add("b_row_major", "B's columns one element apart", 136, 136, 136, [](GemmCase& g) { g.b = row_major(g.n); });
  add("both_other", "A column-major and B row-major", 136, 136, 136,
      [](GemmCase& g) { g.a = column_major(g.m), g.b = row_major(g.n); });
  add("d_column_major", "D's columns contiguous", 136, 264, 72, [](GemmCase& g) { g.d = g.c = column_major(g.m); });
  add("d_column_major_beta", "D's columns contiguous, and C's as well", 136, 264, 72,
      [](GemmCase& g) { g.d = g.c = column_major(g.m), g.beta = 1; });
  add("c_other_order", "C column-major, D row-major", 136, 264, 72,
      [](GemmCase& g) { g.c = column_major(g.m), g.beta = 1; });
  add("padded", "leading dimensions larger than the rows, multiples of 16 bytes: gaps must not be touched", 136, 136,
      72, [](GemmCase& g) {
        g.a = row_major(g.k, 8), g.b = column_major(g.k, 16), g.c = row_major(g.n, 24), g.d = row_major(g.n, 40),
        g.beta = 1;
      });
  add("a_odd_leading", "A's rows at odd distances, which TMA cannot load", 130, 136, 72,
      [](GemmCase& g) { g.a = row_major(g.k, 1); });
  add("b_odd_leading", "B's columns at odd distances", 130, 136, 72, [](GemmCase& g) { g.b = column_major(g.k, 1); });
  add("d_odd_leading", "D's rows at odd distances: no vector store fits", 130, 136, 72,
      [](GemmCase& g) { g.d = row_major(g.n, 1); });
  add("c_odd_leading", "C's rows at odd distances while D's are aligned", 130, 136, 72,
      [](GemmCase& g) { g.c = row_major(g.n, 1), g.beta = 1; });
  add("a_offset", "A one element off any alignment", 128, 136, 72, [](GemmCase& g) { g.a.offset = 1; });
  add("b_offset", "B one element off", 128, 136, 72, [](GemmCase& g) { g.b.offset = 1; });
  add("c_offset", "C one element off", 128, 136, 72, [](GemmCase& g) { g.c.offset = 1, g.beta = 1; });
  add("d_offset", "D one element off", 128, 136, 72, [](GemmCase& g) { g.d.offset = 1; });
  add("d_offset_half", "D aligned to 8 bytes and no more", 128, 136, 72, [](GemmCase& g) { g.d.offset = 4; });
  add("offset_vector", "all 16 bytes, and no more, from a 256-byte boundary", 128, 136, 72,
      [](GemmCase& g) { g.a.offset = g.b.offset = g.c.offset = g.d.offset = 8, g.beta = 1; });
  add("k_odd", "an odd K: rows of A and columns of B begin anywhere, and are copied to where TMA can load them", 130,
      136, 73, as_is);
  add("k_odd_deep", "the same, with a K that may be cut, and rows of several tiles of the copy", 64, 56, 1033, as_is);
  add("mn_odd", "odd M and N, A column-major and B row-major: copies whose rows run along M and N", 131, 137, 72,
      [](GemmCase& g) { g.a = column_major(g.m), g.b = row_major(g.n); });
  add("k_odd_transposed", "unaligned operands of a transposed product: the kernel's A is the caller's B", 130, 136, 72,
      [](GemmCase& g) { g.a = row_major(g.k, 1), g.d = g.c = column_major(g.m), g.beta = 1; });
  add("d_half_units", "D's rows are aligned, but end within 16 bytes", 130, 133, 72,
      [](GemmCase& g) { g.d = row_major(g.n, 3); });
  add("k4096_odd_leading", "a large copy, K being a multiple of everything but A's leading dimension odd", 200, 264,
      4096, [](GemmCase& g) { g.a = row_major(g.k, 1); });
  add("k4096_odd_pointers", "large copies of operands with good strides but odd pointers", 200, 264, 4096,
      [](GemmCase& g) { g.a.offset = g.b.offset = 1; });
  add("gaps_between_elements", "no unit stride in any matrix", 70, 66, 40, [](GemmCase& g) {
    g.a = row_major(g.k, 3, 0, 2), g.b = row_major(g.n, 0, 1, 3), g.c = column_major(g.m, 1, 0, 2),
    g.d = row_major(g.n, 0, 0, 2), g.beta = 2;
  });
  add("a_broadcast_row", "A's row stride is 0: all its rows are one", 136, 72, 64,
      [](GemmCase& g) { g.a.row_stride = 0; });
  add("b_broadcast_column", "B's column stride is 0", 136, 72, 64, [](GemmCase& g) { g.b.column_stride = 0; });
  add("c_bias", "C's row stride is 0: one row is added to all", 136, 72, 64,
      [](GemmCase& g) { g.c.row_stride = 0, g.beta = 1; });
  add("c_scalar", "both of C's strides are 0", 136, 72, 64,
      [](GemmCase& g) { g.c.row_stride = g.c.column_stride = 0, g.beta = 1; });

  add("c_half_units", "C's rows are aligned, but end within 16 bytes: no vectors of C", 130, 132, 72,
      [](GemmCase& g) { g.c = g.d = row_major(g.n, 4), g.beta = 1; });
  add("c_half_units_f32", "the same number of columns makes whole vectors of f32", 130, 132, 72,
      [](GemmCase& g) { g.out = DType::f32, g.c = row_major(g.n, 4), g.beta = -1; });
  add("c_bias_of_tiles", "one row of several tiles is added to all", 264, 520, 72,
      [](GemmCase& g) { g.c.row_stride = 0, g.beta = 1; });
  add("backwards", "A's rows and D's columns run backwards in memory", 70, 66, 40,
      [](GemmCase& g) { g.a.row_stride = -g.k, g.d.column_stride = -1, g.beta = 1; });

  // Scalars.
  add("alpha", "alpha is applied in f32, before rounding", 136, 136, 72, [](GemmCase& g) { g.alpha = -1.7f; });
  add("beta", "C is added", 136, 136, 72, [](GemmCase& g) { g.beta = 1; });
  add("alpha_beta", "both scalars at work", 136, 136, 72, [](GemmCase& g) { g.alpha = 0.3f, g.beta = -2.5f; });
  add("alpha0", "D = beta C without a product", 136, 136, 72, [](GemmCase& g) { g.alpha = 0, g.beta = 0.5f; });
  add("alpha0_beta0", "D = 0 without reading anything", 136, 136, 72, [](GemmCase& g) { g.alpha = 0; });
  add("in_place", "C is D", 136, 136, 72, [](GemmCase& g) { g.beta = 1, g.in_place = true; });
  add("in_place_tiles", "C is D, several tiles of vectors", 264, 520, 136,
      [](GemmCase& g) { g.out = DType::f32, g.beta = 1, g.in_place = true; });
  add("in_place_odd", "C is D on the path without TMA", 131, 133, 71,
      [](GemmCase& g) { g.beta = -1, g.in_place = true; });
  add("in_place_k0", "C is D and is only scaled", 131, 133, 0, [](GemmCase& g) { g.beta = -3, g.in_place = true; });

  // Number types.
  for (const DType in : {DType::bf16, DType::f16})
    for (const DType out : {DType::f32, DType::f16, DType::bf16}) {
      const std::string pair = std::string(name(in)) + "_" + name(out);
      for (const bool beta : {false, true})
        add(("types_" + pair + (beta ? "_beta" : "")).c_str(), "each pair of types, with and without C", 136, 136, 136,
            [&](GemmCase& g) { g.in = in, g.out = out, g.beta = beta ? -0.5f : 0.0f; });
      add(("types_" + pair + "_odd").c_str(), "each pair of types on the path without TMA", 67, 35, 33,
          [&](GemmCase& g) { g.in = in, g.out = out, g.beta = 1; });
    }
  add("f16_overflow", "results beyond f16's range become infinities", 72, 72, 64,
      [](GemmCase& g) { g.in = g.out = DType::f16, g.alpha = 8192; });
  add("f16_subnormal", "results in f16's subnormal range are rounded, not flushed", 72, 72, 64,
      [](GemmCase& g) { g.in = g.out = DType::f16, g.alpha = 0x1p-20f; });
  return cases;
}

/// Problem number `number` of those drawn over all layouts, types, scalars and `sizes`.
inline GemmCase drawn_gemm(int number, std::initializer_list<std::int64_t> sizes) {
  Draw draw(0x6765'6d6d'0000 + std::uint64_t(number));
  GemmCase gemm;
  gemm.name = "drawn_" + std::to_string(number);
  gemm.why = "drawn";
  gemm.m = draw.of(sizes), gemm.n = draw.of(sizes), gemm.k = draw.of(sizes);
  gemm.in = draw.of({DType::bf16, DType::f16});
  gemm.out = draw.of({DType::f32, DType::f16, DType::bf16});
  const auto layout = [&](std::int64_t rows, std::int64_t cols) {
    const bool by_rows = draw.one_in(2);
    const std::int64_t contiguous = by_rows ? cols : rows;
    // Half of the leading dimensions are multiples of 8 elements, so that TMA has its share.
    const std::int64_t aligned = (8 - contiguous % 8) % 8;
    const std::int64_t pad = draw.of<std::int64_t>({aligned, aligned, aligned + 8, 0, 1, 3});
    const std::int64_t offset = draw.of<std::int64_t>({0, 0, 0, 8, 1, 2});
    const std::int64_t step = draw.one_in(12) ? 2 : 1;
    return by_rows ? row_major(cols, pad, offset, step) : column_major(rows, pad, offset, step);
  };
  gemm.a = layout(gemm.m, gemm.k), gemm.b = layout(gemm.k, gemm.n);
  gemm.c = layout(gemm.m, gemm.n), gemm.d = layout(gemm.m, gemm.n);
  gemm.alpha = draw.of({1.0f, 1.0f, 1.0f, 0.0f, -1.0f, float(2 * draw.symmetric())});
  gemm.beta = draw.of({0.0f, 0.0f, 1.0f, -1.0f, float(2 * draw.symmetric())});
  gemm.in_place = gemm.beta != 0 && draw.one_in(4);
  if (gemm.in_place) gemm.c = gemm.d;
  return gemm;
}

/// All cases of the full list, or of the short one.
inline std::vector<GemmCase> gemm_cases(bool short_list) {
  std::vector<GemmCase> cases = gemm_extremes();
  if (short_list)
    cases.erase(std::remove_if(cases.begin(), cases.end(), [](const GemmCase& g) { return !g.quick(); }), cases.end());
  for (int number = 0; number < (short_list ? 24 : 300); ++number)
    cases.push_back(short_list ? drawn_gemm(number, {0, 1, 7, 64, 129})
                               : drawn_gemm(number, {0, 1, 7, 64, 129, 1000, 4095}));
  return cases;
}

}  // namespace ckl::test
