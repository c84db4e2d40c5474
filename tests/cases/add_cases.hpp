#pragma once

/// @file
/// The additions that the device tests run, each with the reason why it is there.

#include <algorithm>
#include <array>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "ckl/elementwise.hpp"
#include "reference/draw.hpp"

namespace ckl::test {

using Sizes = std::vector<std::int64_t>;  ///< One value a dimension: sizes, or strides in elements.

/// How one operand lies in memory, in its own shape (before it is broadcast).
struct OperandLayout {
  Sizes sizes;
  Sizes strides;            ///< Elements.
  std::int64_t offset = 0;  ///< Elements from a 256-byte boundary to the lowest element.
};

/// Whether one of some operator's configs takes rows that begin anywhere by vectors.
inline bool any_is_ragged(const std::vector<std::string>& configs) {
  return std::any_of(configs.begin(), configs.end(), [](const std::string& c) { return c.ends_with("_ragged"); });
}

struct AddCase {
  std::string name;  ///< Letters, digits and underscores.
  std::string why;
  DType dtype = DType::f32;
  OperandLayout a, b, d;
  enum { separate, into_a, into_b } where = separate;  ///< Whether D is exactly an input.

  std::int64_t elements() const {
    std::int64_t count = 1;
    for (const std::int64_t size : d.sizes) count *= size;
    return count;
  }
  bool quick() const { return elements() <= 1 << 16; }
};

/// The problem of d = a + b.
inline ElementwiseProblem add_problem(const Tensor& a, const Tensor& b, const Tensor& d) {
  return elementwise_problem({ElementwiseOp::add, {a, b}, {d}, {}});
}

inline void PrintTo(const AddCase& add, std::ostream* out) {
  const auto list = [&](const Sizes& values) {
    *out << '(';
    for (std::size_t i = 0; i < values.size(); ++i) *out << (i ? ", " : "") << values[i];
    *out << ')';
  };
  const auto print = [&](const char* name, const OperandLayout& layout) {
    *out << ' ' << name << ' ', list(layout.sizes), *out << ':', list(layout.strides), *out << '+' << layout.offset;
  };
  *out << name(add.dtype);
  print("A", add.a), print("B", add.b), print("D", add.d);
  *out << (add.where == AddCase::separate ? "" : " in place") << ": " << add.why;
}

/// C order without gaps.
inline OperandLayout dense(const Sizes& sizes, std::int64_t offset = 0) {
  OperandLayout layout{sizes, Sizes(sizes.size()), offset};
  std::int64_t step = 1;
  for (std::size_t i = sizes.size(); i-- > 0; step *= sizes[i]) layout.strides[i] = step;
  return layout;
}

/// The same shape with dimension order[last] contiguous, then order[last - 1], ...: a transposed view of memory.
inline OperandLayout permuted(const Sizes& sizes, const std::vector<int>& order) {
  OperandLayout layout{sizes, Sizes(sizes.size()), 0};
  std::int64_t step = 1;
  for (std::size_t i = order.size(); i-- > 0;) layout.strides[order[i]] = step, step *= sizes[order[i]];
  return layout;
}

inline std::vector<AddCase> add_cases(bool short_list) {
  std::vector<AddCase> cases;
  const auto add = [&](std::string name, std::string why, OperandLayout a, OperandLayout b, OperandLayout d,
                       DType dtype = DType::f32) -> AddCase& {
    AddCase added;
    added.name = std::move(name), added.why = std::move(why), added.dtype = dtype;
    added.a = std::move(a), added.b = std::move(b), added.d = std::move(d);
    return cases.emplace_back(std::move(added));
  };

  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::string type = name(dtype);
    for (const std::int64_t count : {0, 1, 7, 8, 9, 255, 4096, 4099, 65536, 1000003})
      add(type + "_size" + std::to_string(count), "contiguous, with every kind of tail after the vectors",
          dense({count}), dense({count}), dense({count}), dtype);

    // Each pointer off alone, and all by the same: 16-byte vectors fit all operands, some or none.
    for (const std::int64_t offset : {1, 2, 4, 8}) {
      const std::string by = std::to_string(offset);
      add(type + "_a_off" + by, "A misaligned", dense({4099}, offset), dense({4099}), dense({4099}), dtype);
      add(type + "_b_off" + by, "B misaligned", dense({4099}), dense({4099}, offset), dense({4099}), dtype);
      add(type + "_d_off" + by, "D misaligned", dense({4099}), dense({4099}), dense({4099}, offset), dtype);
      add(type + "_all_off" + by, "all misaligned alike", dense({4099}, offset), dense({4099}, offset),
          dense({4099}, offset), dtype);
    }

    add(type + "_into_a", "in place", dense({33, 65}), dense({33, 65}), dense({33, 65}), dtype).where = AddCase::into_a;
    add(type + "_into_b_broadcast", "in place while the other input is broadcast", dense({65}), dense({33, 65}),
        dense({33, 65}), dtype)
        .where = AddCase::into_b;
    add(type + "_transposed", "A is read across its memory order", permuted({130, 70}, {1, 0}), dense({130, 70}),
        dense({130, 70}), dtype);
    add(type + "_d_transposed", "D is written across the inputs' memory order", dense({130, 70}), dense({130, 70}),
        permuted({130, 70}, {1, 0}), dtype);
    add(type + "_all_transposed", "all transposed alike: contiguous again when dimensions are reordered",
        permuted({130, 70}, {1, 0}), permuted({130, 70}, {1, 0}), permuted({130, 70}, {1, 0}), dtype);
    add(type + "_every_second", "no unit stride anywhere", {{301}, {2}, 0}, {{301}, {3}, 1}, {{301}, {2}, 0}, dtype);
    add(type + "_padded_rows", "rows with gaps, aligned", {{40, 64}, {72, 1}, 0}, {{40, 64}, {64, 1}, 0},
        {{40, 64}, {80, 1}, 0}, dtype);
    add(type + "_padded_rows_broadcast", "blocks of whole vectors, and a few vectors more", {{150, 64}, {72, 1}, 0},
        dense({64}), {{150, 64}, {80, 1}, 0}, dtype);
    add(type + "_padded_rows_odd", "rows with gaps, each at another alignment", {{40, 63}, {65, 1}, 0},
        {{40, 63}, {67, 1}, 0}, {{40, 63}, {69, 1}, 0}, dtype);
  }

  // Every rank, with sizes that are neither powers of two nor equal.
  const Sizes sizes = {3, 5, 2, 7, 11};
  for (int rank = 0; rank <= max_rank; ++rank) {
    const Sizes shape(sizes.end() - rank, sizes.end());
    add("rank" + std::to_string(rank), "each rank, 0 being a single element", dense(shape), dense(shape), dense(shape));
  }

  // Every pattern of which dimensions A and B repeat, by a size of 1. The shape has a dimension less than a warp and
  // one more.
  const Sizes full = {3, 4, 37};
  for (int a_mask = 0; a_mask < 8; ++a_mask)
    for (int b_mask = 0; b_mask < 8; ++b_mask) {
      Sizes a_sizes = full, b_sizes = full;
      for (int i = 0; i < 3; ++i) {
        if (a_mask >> i & 1) a_sizes[i] = 1;
        if (b_mask >> i & 1) b_sizes[i] = 1;
      }
      add("broadcast_" + std::to_string(a_mask) + std::to_string(b_mask), "dimensions of size 1 are repeated",
          dense(a_sizes), dense(b_sizes), dense(full), DType::bf16);
    }
  // The same by absent dimensions and by strides of 0.
  add("broadcast_row", "B lacks the first dimensions", dense({6, 5, 40}), dense({40}), dense({6, 5, 40}));
  add("broadcast_scalar", "B is a single element without dimensions", dense({6, 5, 40}), dense({}), dense({6, 5, 40}));
  add("broadcast_both", "a column and a row: neither input is as large as D", dense({70, 1}), dense({90}),
      dense({70, 90}));
  add("broadcast_stride0", "strides of 0 where the size is not 1", {{50, 60}, {0, 1}, 0}, {{50, 60}, {1, 0}, 0},
      dense({50, 60}));

  add("permuted_5d", "three different memory orders of five dimensions", permuted({4, 3, 5, 2, 6}, {4, 2, 0, 1, 3}),
      permuted({4, 3, 5, 2, 6}, {1, 3, 4, 0, 2}), permuted({4, 3, 5, 2, 6}, {2, 0, 4, 3, 1}), DType::f16);
  add("zero_in_the_middle", "one size of 0 makes the whole tensor empty", dense({4, 0, 5}), dense({4, 0, 5}),
      dense({4, 0, 5}));
  add("empty_broadcast", "an input with elements, broadcast to no element", dense({1, 5}), dense({0, 5}),
      dense({0, 5}));
  add("ones", "all sizes 1", dense({1, 1, 1, 1, 1}), dense({1}), dense({1, 1, 1, 1, 1}));
  add("many_rows", "more rows than a grid's y or z dimension can count", {{70001, 3}, {5, 1}, 0}, dense({70001, 3}),
      dense({70001, 3}));
  add("long_rows", "rows longer than many blocks, broadcast", dense({3, 300007}), dense({300007}), dense({3, 300007}),
      DType::bf16);

  if (short_list)
    cases.erase(std::remove_if(cases.begin(), cases.end(), [](const AddCase& c) { return !c.quick(); }), cases.end());
  return cases;
}

}  // namespace ckl::test
