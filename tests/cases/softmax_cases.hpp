#pragma once

/// @file
/// The softmaxes that the device tests run, each with the reason why it is there.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "cases/add_cases.hpp"
#include "ckl/softmax.hpp"

namespace ckl::test {

struct SoftmaxCase {
  std::string name;  ///< Letters, digits and underscores.
  std::string why;
  DType dtype = DType::f32;
  OperandLayout x, y;
  int axis = 0;
  float scale = 1;
  bool log = false, in_place = false;
  OperandLayout mask;  ///< Its sizes are empty without one.
  bool causal = false;
  std::int64_t diagonal = 0;
  bool ragged = false;  ///< Whether a kernel has to take it by vectors, although its rows begin anywhere.

  std::int64_t elements() const {
    std::int64_t count = 1;
    for (const std::int64_t size : x.sizes) count *= size;
    return count;
  }
  /// Small enough for an emulated GPU. Of the longest rows one type will do.
  bool quick() const { return elements() <= 1 << 14 || (dtype == DType::bf16 && elements() <= (1 << 17) + 64); }
};

inline void PrintTo(const SoftmaxCase& softmax, std::ostream* out) {
  *out << name(softmax.dtype) << " along " << softmax.axis << ": " << softmax.why;
}

inline std::vector<SoftmaxCase> softmax_cases(bool short_list) {
  std::vector<SoftmaxCase> cases;
  const auto add = [&](std::string name, std::string why, OperandLayout x, OperandLayout y, int axis,
                       DType dtype = DType::f32) -> SoftmaxCase& {
    SoftmaxCase added;
    added.name = std::move(name), added.why = std::move(why), added.dtype = dtype;
    added.x = std::move(x), added.y = std::move(y), added.axis = axis;
    return cases.emplace_back(std::move(added));
  };
  const auto rows = [&](std::string name, std::string why, std::int64_t rows, std::int64_t columns,
                        DType dtype = DType::f32) -> SoftmaxCase& {
    return add(std::move(name), std::move(why), dense({rows, columns}), dense({rows, columns}), 1, dtype);
  };

  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::string type = name(dtype);
    // One row length for every kind of kernel: each group of threads, a cluster of 2, 4 and 8 blocks, and beyond; and just more than
    // a group holds.
    for (const std::int64_t columns :
         {1, 2, 7, 8, 64, 129, 136, 256, 264, 511, 1000, 1001, 1024, 1032, 2056, 4096, 4099, 8200})
      rows(type + "_columns" + std::to_string(columns), "every way to hold a row, aligned and not", 5, columns, dtype);
    rows(type + "_cluster2", "two blocks a row, the second one partly filled", 2, 16648, dtype);
    rows(type + "_cluster8", "as many blocks as a cluster may have", 1, 65536, dtype);
    rows(type + "_stream", "longer than a cluster holds", 1, 131080, dtype);
    rows(type + "_stream_any", "longer than a block holds, and not aligned", 1, 16385, dtype);
    rows(type + "_long", "a million elements", 3, 1 << 20, dtype);
    rows(type + "_many_rows", "more rows than blocks of threads at a time, the last block partly filled", 1003, 96,
         dtype);
    rows(type + "_scaled", "the temperature is not 1", 9, 200, dtype).scale = -2.5f;
    rows(type + "_log", "the logarithm", 9, 200, dtype).log = true;
    rows(type + "_log_long", "the logarithm of a row that a block holds", 2, 3000, dtype).log = true;
    for (const std::int64_t columns : {40, 200, 1032, 2056, 4099, 8200})
      rows(type + "_masked" + std::to_string(columns), "a mask is added", 3, columns, dtype).mask = dense({3, columns});
    SoftmaxCase& scaled_mask = rows(type + "_masked_scaled", "the mask is not scaled", 9, 200, dtype);
    scaled_mask.mask = dense({1, 200}), scaled_mask.scale = -0.5f, scaled_mask.log = true;
    rows(type + "_masked_odd", "a mask that vectors cannot take", 9, 128, dtype).mask = {{9, 128}, {129, 1}, 1};
    rows(type + "_masked_stream", "the mask of a row that is read twice", 1, 131080, dtype).mask = dense({1, 131080});
    for (const std::int64_t columns : {40, 129, 200, 1032, 4096})
      rows(type + "_causal" + std::to_string(columns), "row i sees i + 1 columns", 9, columns, dtype).causal = true;
    const auto causal = [&](const char* name, std::int64_t of, std::int64_t columns,
                            std::int64_t diagonal) -> SoftmaxCase& {
      SoftmaxCase& one = rows(type + name, "the diagonal is another", of, columns, dtype);
      one.causal = true, one.diagonal = diagonal;
      return one;
    };
    causal("_causal_later", 5, 264, 130);
    causal("_causal_none", 5, 264, -3);  // the first three rows see nothing
    causal("_causal_all", 5, 264, std::numeric_limits<std::int64_t>::max());
    causal("_causal_nothing", 5, 264, std::numeric_limits<std::int64_t>::min());
    causal("_causal_odd_all", 5, 261, std::numeric_limits<std::int64_t>::max()).ragged = true;
    causal("_causal_odd_tail", 5, 261, 256).ragged = true;  // some rows end among the elements behind the last vector
    causal("_causal_shared", 2, 8200, 5001);
    causal("_causal_cluster", 2, 16648, 100);  // nothing of what the second block has
    causal("_causal_stream", 1, 131080, 70000);
    SoftmaxCase& matrices = add(type + "_causal_matrices", "causal and masked: one mask for all matrices",
                                dense({2, 3, 17, 64}), dense({2, 3, 17, 64}), 3, dtype);
    matrices.causal = true, matrices.diagonal = 47, matrices.mask = dense({1, 1, 17, 64});
    SoftmaxCase& odd = add(type + "_causal_odd", "causal and masked, and each row at another place between boundaries",
                           dense({2, 17, 61}), dense({2, 17, 61}), 2, dtype);
    odd.causal = true, odd.diagonal = 50, odd.mask = dense({2, 17, 61}), odd.scale = 0.5f, odd.ragged = true;
    SoftmaxCase& odd_shared = add(type + "_causal_odd_shared", "the same with one mask for both matrices: by elements",
                                  dense({2, 17, 61}), dense({2, 17, 61}), 2, dtype);
    odd_shared.causal = true, odd_shared.diagonal = 3, odd_shared.mask = dense({1, 17, 61}), odd_shared.scale = 0.5f;
    SoftmaxCase& log_odd = rows(type + "_log_odd", "the logarithm of rows that begin anywhere", 9, 203, dtype);
    log_odd.log = log_odd.ragged = true;
    rows(type + "_in_place", "y is x", 17, 520, dtype).in_place = true;
    SoftmaxCase& in_place_odd = rows(type + "_in_place_odd", "y is x, and rows begin anywhere", 17, 521, dtype);
    in_place_odd.in_place = in_place_odd.ragged = true;
    rows(type + "_in_place_stream", "y is x where the row is read twice", 1, 140000, dtype).in_place = true;
    add(type + "_padded", "rows with gaps, aligned", {{9, 128}, {136, 1}, 0}, {{9, 128}, {144, 1}, 0}, 1, dtype);
    add(type + "_odd_rows", "rows at odd distances, which vectors cannot take", {{9, 128}, {129, 1}, 0},
        {{9, 128}, {131, 1}, 0}, 1, dtype);
    add(type + "_odd_rows_alike", "rows at odd distances, alike in x and y", {{9, 128}, {129, 1}, 0},
        {{9, 128}, {137, 1}, 0}, 1, dtype)
        .ragged = true;
    add(type + "_odd_rows_offset", "the same, an element off: by elements", {{9, 128}, {129, 1}, 1},
        {{9, 128}, {137, 1}, 1}, 1, dtype);
    add(type + "_offset", "x an element off any alignment", dense({9, 128}, 1), dense({9, 128}), 1, dtype);
    add(type + "_y_offset", "y an element off", dense({9, 128}), dense({9, 128}, 1), 1, dtype);
    add(type + "_columns_first", "along the first of two dimensions: elements of a row lie far apart", dense({70, 33}),
        dense({70, 33}), 0, dtype);
    add(type + "_middle", "along the middle of three dimensions", dense({4, 37, 6}), dense({4, 37, 6}), 1, dtype);
    add(type + "_transposed", "x's memory order is not y's", permuted({40, 72}, {1, 0}), dense({40, 72}), 1, dtype);
    add(type + "_every_second", "no unit stride", {{5, 301}, {700, 2}, 1}, {{5, 301}, {1000, 3}, 0}, 1, dtype);
    add(type + "_broadcast", "all rows of x are one", {{6, 64}, {0, 1}, 0}, dense({6, 64}), 1, dtype);
  }
  add("rank1", "a single row, no other dimension", dense({777}), dense({777}), 0);
  add("rank5", "five dimensions, along the fourth", dense({2, 3, 2, 11, 3}), dense({2, 3, 2, 11, 3}), 3);
  add("rank5_permuted", "row dimensions that cannot be merged", permuted({3, 2, 4, 2, 24}, {2, 0, 3, 1, 4}),
      permuted({3, 2, 4, 2, 24}, {1, 3, 0, 2, 4}), 4, DType::bf16);
  add("no_rows", "no row at all", dense({0, 5}), dense({0, 5}), 1);
  add("empty_rows", "rows without elements", dense({5, 0}), dense({5, 0}), 1);
  rows("more_rows_than_a_grid_dimension", "more rows than a grid's y or z dimension can count", 70001, 3);

  if (short_list)
    cases.erase(std::remove_if(cases.begin(), cases.end(), [](const SoftmaxCase& c) { return !c.quick(); }),
                cases.end());
  return cases;
}

/// Those whose gradient is one of its own: it does not know of masks.
inline std::vector<SoftmaxCase> softmax_gradient_cases(bool short_list) {
  std::vector<SoftmaxCase> cases = softmax_cases(short_list);
  std::erase_if(cases, [](const SoftmaxCase& c) { return c.causal || !c.mask.sizes.empty(); });
  return cases;
}

}  // namespace ckl::test
