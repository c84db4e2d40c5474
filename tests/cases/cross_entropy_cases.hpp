#pragma once

/// @file
/// The cross-entropies that the device tests run, each with the reason why it is there.

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "cases/add_cases.hpp"
#include "ckl/cross_entropy.hpp"

namespace ckl::test {

struct CrossEntropyCase {
  std::string name;  ///< Letters, digits and underscores.
  std::string why;
  DType dtype = DType::f32, target_dtype = DType::i64;
  OperandLayout logits, dlogits;
  std::int64_t step = 1;  ///< Elements from one target, loss or lse to the next.
  float label_smoothing = 0;
  bool lse = true;
  bool in_place = false;  ///< dlogits is logits.

  Sizes rows() const { return {logits.sizes.begin(), logits.sizes.end() - 1}; }
  std::int64_t classes() const { return logits.sizes.back(); }
  /// How a tensor with one element a row lies.
  OperandLayout one_a_row() const {
    OperandLayout layout = dense(rows());
    for (std::int64_t& stride : layout.strides) stride *= step;
    return layout;
  }
  std::int64_t elements() const {
    std::int64_t count = 1;
    for (const std::int64_t size : logits.sizes) count *= size;
    return count;
  }
  /// Small enough for an emulated GPU. Of the longest rows one type will do.
  bool quick() const { return elements() <= 1 << 14 || (dtype == DType::bf16 && elements() <= 150000); }
};

inline void PrintTo(const CrossEntropyCase& one, std::ostream* out) { *out << name(one.dtype) << ": " << one.why; }

inline std::vector<CrossEntropyCase> cross_entropy_cases(bool short_list) {
  std::vector<CrossEntropyCase> cases;
  const auto add = [&](std::string name, std::string why, DType dtype, OperandLayout logits,
                       OperandLayout dlogits) -> CrossEntropyCase& {
    CrossEntropyCase added;
    added.name = std::move(name), added.why = std::move(why), added.dtype = dtype;
    added.logits = std::move(logits), added.dlogits = std::move(dlogits);
    return cases.emplace_back(std::move(added));
  };
  const auto rows = [&](std::string name, std::string why, DType dtype, std::int64_t rows,
                        std::int64_t classes) -> CrossEntropyCase& {
    return add(std::move(name), std::move(why), dtype, dense({rows, classes}), dense({rows, classes}));
  };

  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::string type = name(dtype);
    // A group of threads for each length, rows of several pieces, and rows that begin anywhere between 16-byte boundaries.
    for (const std::int64_t classes : {1, 2, 7, 8, 64, 129, 136, 264, 1000, 1001, 2056, 4099, 8200})
      rows(type + "_classes" + std::to_string(classes), "every group of threads, with every kind of end", dtype, 5,
           classes)
          .target_dtype = classes % 2 ? DType::i32 : DType::i64;
    rows(type + "_pieces", "longer than any group holds", dtype, 2, 33000);
    rows(type + "_pieces_odd", "the same, and each row at another place between boundaries", dtype, 3, 50257);
    rows(type + "_vocabulary", "a language model's", dtype, 16, 128256);
    rows(type + "_long", "a million classes", dtype, 2, 1 << 20);
    rows(type + "_many_rows", "more rows than blocks of threads at a time, the last block partly filled", dtype, 503,
         24);
    rows(type + "_smoothed", "all classes share in the target's weight", dtype, 9, 200).label_smoothing = 0.1f;
    rows(type + "_smoothed_odd", "the same of the ends of rows", dtype, 9, 203).label_smoothing = 0.25f;
    rows(type + "_smoothed_whole", "the target has no weight of its own", dtype, 4, 1000).label_smoothing = 1;
    rows(type + "_without_lse", "nobody wants lse, so that ignored rows are not read", dtype, 9, 200).lse = false;
    rows(type + "_in_place", "dlogits is logits", dtype, 7, 520).in_place = true;
    rows(type + "_in_place_odd", "dlogits is logits, and rows have ends", dtype, 7, 521).in_place = true;
    rows(type + "_apart", "targets, losses and lse with gaps", dtype, 9, 40).step = 3;
    add(type + "_padded", "rows with gaps, aligned", dtype, {{9, 128}, {136, 1}, 0}, {{9, 128}, {144, 1}, 0});
    add(type + "_odd_rows", "rows at odd distances, alike in logits and dlogits", dtype, {{9, 128}, {129, 1}, 0},
        {{9, 128}, {137, 1}, 0});
    add(type + "_unlike_rows", "rows at odd distances, which differ between logits and dlogits", dtype,
        {{9, 128}, {129, 1}, 0}, {{9, 128}, {131, 1}, 0});
    add(type + "_offset", "logits an element off any alignment", dtype, dense({9, 128}, 1), dense({9, 128}));
    add(type + "_transposed", "elements of a row lie far apart", dtype, permuted({40, 72}, {1, 0}), dense({40, 72}));
    add(type + "_every_second", "no unit stride", dtype, {{5, 301}, {700, 2}, 1}, {{5, 301}, {1000, 3}, 0});
  }
  add("rank1", "a single row, no other dimension", DType::f32, dense({777}), dense({777}));
  add("rank4", "four dimensions", DType::f32, dense({2, 3, 2, 55}), dense({2, 3, 2, 55}));
  add("classes_second", "a picture's classes, which are not innermost: row dimensions that cannot be merged",
      DType::bf16, permuted({3, 4, 5, 24}, {0, 3, 1, 2}), permuted({3, 4, 5, 24}, {0, 3, 1, 2}));
  add("no_rows", "no row at all", DType::f32, dense({0, 5}), dense({0, 5}));

  if (short_list)
    cases.erase(std::remove_if(cases.begin(), cases.end(), [](const CrossEntropyCase& c) { return !c.quick(); }),
                cases.end());
  return cases;
}

}  // namespace ckl::test
