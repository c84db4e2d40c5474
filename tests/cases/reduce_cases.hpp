#pragma once

/// @file
/// The reductions that the device tests run, each with the reason why it is there.

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "cases/add_cases.hpp"
#include "ckl/reduce.hpp"

namespace ckl::test {

struct ReduceCase {
  std::string name;  ///< Letters, digits and underscores.
  std::string why;
  ReduceOp op = ReduceOp::sum;
  DType dtype = DType::f32, out = DType::f32;
  OperandLayout x, y;  ///< y without the reduced dimensions.
  std::vector<int> axes;
  double correction = 0;
  bool batch_invariant = false;

  std::int64_t elements() const {
    std::int64_t count = 1;
    for (const std::int64_t size : x.sizes) count *= size;
    return count;
  }
  /// Small enough for an emulated GPU.
  bool quick() const { return elements() <= 1 << 17; }
};

inline void PrintTo(const ReduceCase& reduce, std::ostream* out) {
  *out << name(reduce.op) << ' ' << name(reduce.dtype) << "->" << name(reduce.out) << ": " << reduce.why;
}

inline std::vector<ReduceOp> reduce_ops(DType dtype) {
  std::vector<ReduceOp> ops = {ReduceOp::sum,    ReduceOp::product, ReduceOp::min, ReduceOp::max,
                               ReduceOp::argmin, ReduceOp::argmax,  ReduceOp::any, ReduceOp::all};
  if (dtype != DType::i32 && dtype != DType::i64)
    ops.insert(ops.end(), {ReduceOp::mean, ReduceOp::l1, ReduceOp::l2, ReduceOp::log_sum_exp, ReduceOp::variance,
                           ReduceOp::deviation});
  return ops;
}

/// The type of an output that loses nothing but what the operation does.
inline DType natural_output(ReduceOp op, DType dtype) {
  if (op == ReduceOp::argmin || op == ReduceOp::argmax) return DType::i64;
  return op == ReduceOp::any || op == ReduceOp::all ? DType::b8 : dtype;
}

/// The sizes that are left when `axes` are reduced.
inline Sizes sizes_without(const Sizes& sizes, const std::vector<int>& axes) {
  Sizes left;
  for (int d = 0; d < int(sizes.size()); ++d)
    if (!axes.empty() && std::find(axes.begin(), axes.end(), d) == axes.end()) left.push_back(sizes[d]);
  return left;
}

inline std::vector<ReduceCase> reduce_cases(bool short_list) {
  std::vector<ReduceCase> cases;
  const auto add = [&](std::string name, std::string why, ReduceOp op, DType dtype, OperandLayout x,
                       std::vector<int> axes) -> ReduceCase& {
    ReduceCase added;
    added.name = std::move(name), added.why = std::move(why), added.op = op;
    added.dtype = dtype, added.out = natural_output(op, dtype);
    added.y = dense(sizes_without(x.sizes, axes));
    added.x = std::move(x), added.axes = std::move(axes);
    return cases.emplace_back(std::move(added));
  };

  // Every operation on every type, by every kind of kernel: the candidates for aligned rows and for aligned columns are all there are.
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::f64, DType::i32, DType::i64})
    for (const ReduceOp op : reduce_ops(dtype)) {
      const std::string type = std::string(name(op)) + "_" + name(dtype);
      add(type + "_rows", "every kernel for rows", op, dtype, dense({5, 272}), {1});
      add(type + "_columns", "every kernel for columns", op, dtype, dense({70, 16}), {0});
      if (dtype == DType::f32 || dtype == DType::bf16)
        add(type + "_all", "a million elements, to one", op, dtype, dense({(1 << 20) + 5}), {});
    }

  // Shapes. A sum misses no element and counts none twice; argmax knows where each was.
  for (const auto& [op, dtype] :
       {std::pair{ReduceOp::sum, DType::f32}, {ReduceOp::argmax, DType::bf16}, {ReduceOp::variance, DType::f16}}) {
    const std::string type = std::string(name(op)) + "_" + name(dtype);
    for (const std::int64_t n : {1, 3, 8, 31, 1000, 2048, 8191, 16384, 16389, 70000, 120001})
      add(type + "_all" + std::to_string(n), "to a scalar: one block, a cluster, many blocks, ragged ends", op, dtype,
          dense({n}), {});
    add(type + "_all_off", "a pointer an element off", op, dtype, dense({3001}, 1), {});
    for (const std::int64_t n : {1, 2, 5, 8, 24, 33, 64, 130, 256, 260, 1024, 2056, 5000})
      add(type + "_row" + std::to_string(n), "row lengths around those of vectors, lanes and batches", op, dtype,
          dense({19, n}), {1});
    add(type + "_many_rows", "more rows than a block of warps has, several a lane", op, dtype, dense({1031, 40}), {1});
    add(type + "_many_odd_rows", "more rows than a block brings to shared memory, begun anywhere", op, dtype,
        dense({517, 33}), {1});
    add(type + "_long_odd_rows", "vectors between ends that differ from row to row", op, dtype, dense({5, 9001}), {1});
    add(type + "_long_rows", "each row shared by blocks", op, dtype, dense({3, 40000}), {1});
    add(type + "_ragged_rows", "rows that end within a vector, at distances that are whole vectors", op, dtype,
        {{7, 1003}, {1008, 1}, 0}, {1});
    for (const std::int64_t n : {1, 2, 7, 8, 33, 64, 520})
      add(type + "_column" + std::to_string(n), "column counts around those of vectors and tiles", op, dtype,
          dense({67, n}), {0});
    add(type + "_long_columns", "a few columns, shared by many threads and blocks", op, dtype, dense({9001, 8}), {0});
    add(type + "_short_columns", "many columns of few elements", op, dtype, dense({3, 3000}), {0});
    add(type + "_middle", "the middle of three dimensions", op, dtype, dense({5, 37, 24}), {1});
    add(type + "_middle_odd", "the same, unaligned", op, dtype, dense({5, 37, 7}), {1});
    add(type + "_outer_and_inner", "two dimensions around one that stays", op, dtype, dense({6, 5, 64}), {0, 2});
    add(type + "_outer_and_inner_odd", "the same, unaligned", op, dtype, dense({6, 5, 13}), {0, 2});
    add(type + "_odd_runs", "rows of several runs, begun anywhere, by parts of a warp", op, dtype, dense({9, 3, 301}),
        {0, 2});
    add(type + "_long_odd_runs", "by whole blocks", op, dtype, dense({3, 2, 12001}), {0, 2});
    add(type + "_two_of_four", "columns over dimensions that cannot be merged", op, dtype, dense({4, 3, 5, 16}),
        {0, 2});
    add(type + "_three_of_five", "three reduced dimensions that cannot be merged", op, dtype, dense({3, 4, 5, 2, 8}),
        {0, 2, 4});
    add(type + "_permuted", "x's memory order is not its dimensions'", op, dtype, permuted({6, 40, 9}, {2, 0, 1}), {1});
    add(type + "_permuted_all", "the same to a scalar, whose places are counted by dimensions", op, dtype,
        permuted({6, 40, 9}, {1, 2, 0}), {});
    add(type + "_every_second", "no unit stride", op, dtype, {{5, 301}, {700, 2}, 1}, {1});
    add(type + "_backwards", "negative strides", op, dtype, {{5, 64}, {-64, -1}, 0}, {1});
    add(type + "_repeated", "rows that are all one", op, dtype, {{6, 64}, {0, 1}, 0}, {0});
    add(type + "_repeated_elements", "a row of one element, over and over", op, dtype, {{6, 64}, {1, 0}, 0}, {1});
    add(type + "_size_one", "a reduced dimension of size 1", op, dtype, dense({50, 1, 6}), {1});
    add(type + "_no_output", "no output at all", op, dtype, dense({0, 5}), {1});
    add(type + "_invariant", "rows that are shared out by their length", op, dtype, dense({3, 30000}), {1})
        .batch_invariant = true;
    add(type + "_invariant_odd_rows", "rows whose bits may not depend on where they begin", op, dtype, dense({7, 2003}),
        {1})
        .batch_invariant = true;
    add(type + "_invariant_columns", "columns that are shared out by their length", op, dtype, dense({20000, 5}), {0})
        .batch_invariant = true;
    add(type + "_y_strided", "outputs at strides of their own", op, dtype, dense({4, 8, 32}), {2}).y = {
        {4, 8}, {3, 20}, 0};
  }
  for (const std::int64_t n : {16, 63, 64, 128, 600, 9001})
    add("log_sum_exp_bf16_row" + std::to_string(n), "lanes, and warps, that agree on their largest first",
        ReduceOp::log_sum_exp, DType::bf16, dense({19, n}), {1});
  for (const std::int64_t n : {16, 63, 64, 72})
    for (const ReduceOp op : {ReduceOp::mean, ReduceOp::l1})
      add(std::string(name(op)) + "_bf16_row" + std::to_string(n), "rows that f32 adds up, and longer ones", op,
          DType::bf16, dense({1031, n}), {1});
  // Of 9 to 64 rows, threads load once: all of what each may load, less, and a tile that ends beside the last column.
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::f64, DType::i32, DType::i64}) {
    const std::int64_t vector = std::int64_t(16 / size_of(dtype));
    for (const ReduceOp op : {ReduceOp::sum, ReduceOp::product, ReduceOp::max, ReduceOp::any}) {
      const std::string type = std::string(name(op)) + "_" + name(dtype);
      add(type + "_few_rows", "columns of as many rows as threads load", op, dtype, dense({32, 64 * vector}), {0});
      add(type + "_fewer_rows", "columns of fewer rows, beside which threads have none", op, dtype,
          dense({9, 250 * vector}), {0});
    }
    add(std::string("sum_") + name(dtype) + "_few_rows_of_two", "the same over dimensions that cannot be merged",
        ReduceOp::sum, dtype, dense({5, 2, 11, 30 * vector}), {0, 2});
  }
  for (const ReduceOp op : {ReduceOp::sum, ReduceOp::argmin, ReduceOp::log_sum_exp})
    add(std::string(name(op)) + "_bf16_long_columns", "blocks that share columns, and meet twice: 11, in groups of 4",
        op, DType::bf16, dense({12001, 8}), {0})
        .batch_invariant = true;
  for (const ReduceOp op : {ReduceOp::sum, ReduceOp::product, ReduceOp::mean, ReduceOp::any, ReduceOp::all,
                            ReduceOp::l1, ReduceOp::l2, ReduceOp::log_sum_exp, ReduceOp::variance}) {
    add(std::string(name(op)) + "_of_none", "the reduction of no elements", op, DType::f32, dense({4, 0}), {1});
    add(std::string(name(op)) + "_of_no_rows", "the same along columns", op, DType::bf16, dense({0, 8}), {0});
  }
  for (const DType out : {DType::f32, DType::f16, DType::bf16, DType::f64})
    for (const DType dtype : {DType::bf16, DType::f64})
      add(std::string("sum_") + name(dtype) + "_to_" + name(out), "every type of output", ReduceOp::sum, dtype,
          dense({9, 100}), {1})
          .out = out;
  for (const DType dtype : {DType::i32, DType::i64})
    for (const DType out : {DType::i32, DType::i64}) {
      const std::string types = std::string(name(dtype)) + "_to_" + name(out);
      add("sum_" + types, "every type of output", ReduceOp::sum, dtype, dense({9, 100}), {1}).out = out;
      add("argmin_" + types, "every type of output", ReduceOp::argmin, dtype, dense({9, 100}), {1}).out = out;
    }
  add("sample_variance", "the correction", ReduceOp::variance, DType::f32, dense({9, 100}), {1}).correction = 1;
  add("sample_of_one", "a correction of all there is", ReduceOp::deviation, DType::f32, dense({9, 1}), {1}).correction =
      1;
  add("scalar", "no dimension at all", ReduceOp::l2, DType::f32, dense({}), {});

  if (short_list)
    cases.erase(std::remove_if(cases.begin(), cases.end(), [](const ReduceCase& c) { return !c.quick(); }),
                cases.end());
  return cases;
}

}  // namespace ckl::test
