// What reductions accept and refuse, and how they are shared out, without a GPU.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "cases/bad_reduce.hpp"
#include "cases/reduce_cases.hpp"
#include "ckl/reduce_module.hpp"
#include "expect_error.hpp"
#include "ops/reduce/choice.hpp"

namespace ckl::test {
namespace {

void* at(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

DeviceInfo h100() {
  DeviceInfo device;
  device.sm_count = 132;
  device.clusters_of_8 = 14;
  return device;
}

TEST(ReduceProblem, TakesShapeAxesAndAlignment) {
  ReduceArguments in = good_reduce(at(0x10000), at(0x90000));
  EXPECT_EQ(reduce_problem(in).to_string(), "sum of (40, 48) along 1 f32");
  in.axes = {-2}, in.y.sizes[0] = 48, in.op = ReduceOp::variance, in.correction = 1, in.batch_invariant = true;
  EXPECT_EQ(reduce_problem(in).to_string(), "variance of (40, 48) along 0 f32 correction=1 batch_invariant");
  in.axes = {}, in.y.rank = 0, in.op = ReduceOp::argmax, in.y.dtype = DType::i64;
  EXPECT_EQ(reduce_problem(in).to_string(), "argmax of (40, 48) along 0, 1 f32->i64 correction=1 batch_invariant");
  EXPECT_TRUE(reduce_problem(in) == reduce_problem(in));
  ReduceArguments other = in;
  other.op = ReduceOp::argmin;
  EXPECT_FALSE(reduce_problem(in) == reduce_problem(other));
}

TEST(ReduceProblem, TakesOutputsWithOrWithoutReducedDimensions) {
  ReduceArguments in = good_reduce(at(0x10000), at(0x90000)), keeps = in;
  keeps.y = Tensor::contiguous(at(0x90000), DType::f32, {40, 1});
  EXPECT_TRUE(reduce_problem(in) == reduce_problem(keeps));
}

TEST(ReduceProblem, RefusesWhatIsMalformed) {
  for (const BadReduce& bad : bad_reduces()) {
    SCOPED_TRACE(bad.name);
    ReduceArguments in = good_reduce(at(0x10000), at(0x90000));
    bad.spoil(in);
    expect_error(bad.code, bad.words, [&] { reduce_problem(in); });
  }
}

Tensor tensor(std::uintptr_t address, DType type, const Sizes& sizes, const Sizes& strides) {
  Tensor t;
  t.data = at(address), t.dtype = type, t.rank = int(sizes.size());
  std::copy(sizes.begin(), sizes.end(), t.sizes.begin());
  std::copy(strides.begin(), strides.end(), t.strides.begin());
  return t;
}

std::string best_of(const Tensor& x, const std::vector<int>& axes, ReduceOp op, bool batch_invariant,
                    const DeviceInfo& device = h100()) {
  const Sizes kept = sizes_without({x.sizes.begin(), x.sizes.begin() + x.rank}, axes);
  const Tensor y = tensor(0x900000000000, natural_output(op, x.dtype), kept, dense(kept).strides);
  const std::vector<std::string> names =
      reduce_candidates(reduce_problem({op, x, y, axes, 0, batch_invariant}), device);
  return names.empty() ? "" : names.front();
}

std::string best(const Sizes& sizes, std::vector<int> axes, ReduceOp op = ReduceOp::sum, DType dtype = DType::f32,
                 bool batch_invariant = false) {
  return best_of(tensor(0x100000000, dtype, sizes, dense(sizes).strides), axes, op, batch_invariant);
}

TEST(ReduceChoice, ToAScalarFollowsTheNumberOfElements) {
  EXPECT_EQ(best({500}, {}), "sum_f32_warp_vec_w16");
  EXPECT_EQ(best({1000}, {}), "sum_f32_block_vec_s1");
  EXPECT_EQ(best({8192}, {}), "sum_f32_block_vec_s1");  // 512 threads with 4 loads of 4 elements each
  EXPECT_EQ(best({8193}, {}), "sum_f32_block_vec_c2");
  EXPECT_EQ(best({1 << 16}, {}), "sum_f32_block_vec_c8");
  EXPECT_EQ(best({1 << 20}, {}), "sum_f32_block_vec_s128");
  EXPECT_EQ(best({std::int64_t(1) << 31}, {}), "sum_f32_block_vec_s264");  // two blocks an SM
  EXPECT_EQ(best({1 << 20}, {}, ReduceOp::argmin, DType::bf16), "arg_bf16_block_vec_s64");
  EXPECT_EQ(best({1 << 18}, {}), "sum_f32_block_vec_s64");  // half a batch each
  EXPECT_EQ(best({1 << 18}, {}, ReduceOp::argmin), "arg_f32_block_vec_s32");
  EXPECT_EQ(best({1 << 17}, {}), "sum_f32_block_vec_c16");
  EXPECT_EQ(best({1 << 22}, {}), "sum_f32_block_vec_s256");  // two batches each, rather than three of some
  EXPECT_EQ(best({0}, {}), "sum_f32_warp_any_w1");
}

// Of groups of multiprocessors that hold one cluster of 8 each, none may hold one of 16.
TEST(ReduceChoice, LargeClustersAreForDevicesThatHoldThem) {
  DeviceInfo small = h100();
  small.sm_count = 78;
  const auto best_on_small = [&](const Sizes& sizes, const std::vector<int>& axes) {
    return best_of(tensor(0x100000000, DType::f32, sizes, dense(sizes).strides), axes, ReduceOp::sum, false, small);
  };
  for (const int clusters : {7, 8, 9}) {
    small.clusters_of_8 = clusters;
    EXPECT_EQ(best_on_small({1 << 17}, {}), clusters > 8 ? "sum_f32_block_vec_c16" : "sum_f32_block_vec_s32");
    EXPECT_EQ(best_on_small({2, 1 << 17}, {1}), "sum_f32_block_vec_s32");
    EXPECT_EQ(best_on_small({1 << 16}, {}), "sum_f32_block_vec_c8");
  }
  EXPECT_EQ(best({4, 1 << 17}, {1}), "sum_f32_block_vec_c16");
}

TEST(ReduceChoice, OfRowsFollowsTheirLengthAndNumber) {
  EXPECT_EQ(best({100000, 32}, {1}), "sum_f32_warp_vec_w8");
  EXPECT_EQ(best({100000, 33}, {1}), "sum_f32_warp_any_w2_staged");
  EXPECT_EQ(best({100000, 100}, {1}), "sum_f32_warp_any_w4_staged");  // 25 loads would leave lanes idle
  EXPECT_EQ(best({100000, 1000}, {1}), "sum_f32_warp_vec_w32");
  EXPECT_EQ(best({100000, 1001}, {1}), "sum_f32_warp_vec_w32");  // vectors between ragged ends
  EXPECT_EQ(best({100000, 1001}, {1}, ReduceOp::sum, DType::f32, true), "sum_f32_warp_any_w32");
  EXPECT_EQ(best({100000, 512}, {1}), "sum_f32_warp_vec_w16");  // 8 loads a lane
  EXPECT_EQ(best({100000, 1024}, {1}), "sum_f32_warp_vec_w32");
  // Where rows of a warp each would make 1.3 waves, several warps take one, with two batches each.
  EXPECT_EQ(best({4096, 16384}, {1}, ReduceOp::sum, DType::bf16), "sum_bf16_warp_vec_w128");
  EXPECT_EQ(best({4096, 16384}, {1}, ReduceOp::argmax, DType::bf16), "arg_bf16_warp_vec_w128");
  EXPECT_EQ(best({16384, 4096}, {1}, ReduceOp::sum, DType::bf16), "sum_bf16_warp_vec_w32");
  EXPECT_EQ(best({16384, 4096}, {1}, ReduceOp::log_sum_exp, DType::bf16), "lse_bf16_warp_vec_w64");  // one batch each
  EXPECT_EQ(best({65536, 1024}, {1}, ReduceOp::log_sum_exp, DType::bf16), "lse_bf16_warp_vec_w16");
  EXPECT_EQ(best({4096, 16384}, {1}, ReduceOp::sum, DType::bf16, true), "sum_bf16_block_vec_s1");
  EXPECT_EQ(best({10, 100000}, {1}), "sum_f32_block_vec_s13");
  EXPECT_EQ(best({100, 100000}, {1}), "sum_f32_block_vec_s5");
  EXPECT_EQ(best({64, 1 << 20}, {1}), "sum_f32_block_vec_s4");
  EXPECT_EQ(best({4096, 100000}, {1}), "sum_f32_block_vec_s1");
  EXPECT_EQ(best({0, 64}, {1}), "");
}

TEST(ReduceChoice, OfSeveralRunsFollowsTheirLength) {
  EXPECT_EQ(best({64, 256, 4096}, {0, 2}), "sum_f32_block_vec_w256_s1");
  EXPECT_EQ(best({64, 257, 2047}, {0, 2}), "sum_f32_block_vec_w128_s1");
  EXPECT_EQ(best({512, 512, 49}, {0, 2}), "sum_f32_block_vec_w4_s1");
  EXPECT_EQ(best({32, 3, 349525}, {0, 2}), "sum_f32_block_vec_w512_s32");
  EXPECT_EQ(best({512, 512, 64}, {0, 2}), "sum_f32_block_vec_s1");  // vector by vector
}

TEST(ReduceChoice, OfColumnsFollowsBothSizes) {
  EXPECT_EQ(best({32, 1 << 20}, {0}), "sum_f32_columns_vec_w64_once_s1");
  EXPECT_EQ(best({64, 1 << 20}, {0}), "sum_f32_columns_vec_w32_once_s1");
  EXPECT_EQ(best({8, 1 << 20}, {0}), "sum_f32_columns_vec_w256_s1");
  EXPECT_EQ(best({65, 1 << 20}, {0}).find("once"), std::string::npos);
  EXPECT_EQ(best({32, 1 << 20}, {0}, ReduceOp::variance), "moments_f32_columns_vec_w256_s1");  // of large states
  EXPECT_EQ(best({4096, 32, 512}, {1}, ReduceOp::sum, DType::bf16), "sum_bf16_columns_vec_w64_once_s1");
  EXPECT_EQ(best({4096, 32, 320}, {1}, ReduceOp::sum, DType::bf16), "sum_bf16_columns_vec_w64_once_s1");
  EXPECT_EQ(best({4096, 32, 256}, {1}, ReduceOp::sum, DType::bf16), "sum_bf16_columns_vec_w32_once_s1");
  EXPECT_EQ(best({1 << 20, 16}, {0}),
            "sum_f32_columns_vec_w4_s512");  // a little less than the 528 blocks that fit at a time
  EXPECT_EQ(best({4096, 16384}, {0}), "sum_f32_columns_vec_w8_s1");
  EXPECT_EQ(best({65536, 1024}, {0}), "sum_f32_columns_vec_w8_s16");
  EXPECT_EQ(best({4096, 4096}, {0}), "sum_f32_columns_vec_w8_s4");
  EXPECT_EQ(best({64, 300, 1024}, {1}), "sum_f32_columns_vec_w32_s1");
  EXPECT_EQ(best({4096, 4095}, {0}), "sum_f32_columns_any_w32_s8");
  EXPECT_EQ(best({65536, 1024}, {0}, ReduceOp::sum, DType::bf16), "sum_bf16_columns_vec_w8_s32");
  EXPECT_EQ(best({16384, 4096}, {0}, ReduceOp::sum, DType::bf16), "sum_bf16_columns_vec_w8_s8");
  EXPECT_EQ(best({4096, 16384}, {0}, ReduceOp::sum, DType::bf16), "sum_bf16_columns_vec_w8_s2");
  EXPECT_EQ(best({1024, 65536}, {0}, ReduceOp::sum, DType::bf16), "sum_bf16_columns_vec_w16_s1");
  EXPECT_EQ(best({128, 1 << 19}, {0}, ReduceOp::sum, DType::bf16), "sum_bf16_columns_vec_w128_s1");
}

TEST(ReduceChoice, DoesNotDependOnTheNumberOfOutputsWhereThatIsAskedFor) {
  for (const std::int64_t count : {64, 1000, 5000, 100000, 4000000})
    for (const std::int64_t others : {8, 64, 1024}) {
      EXPECT_EQ(best({others, count}, {1}, ReduceOp::sum, DType::bf16, true),
                best({1, count}, {1}, ReduceOp::sum, DType::bf16, true));
      EXPECT_EQ(best({count, others}, {0}, ReduceOp::sum, DType::bf16, true),
                best({count, 16}, {0}, ReduceOp::sum, DType::bf16, true));
    }
  // What is loaded at a time may differ, not by whom it is added up.
  const auto columns = [](std::int64_t count, std::int64_t others, ReduceOp op) {
    const std::string name = best({count, others}, {0}, op, DType::bf16, true);
    EXPECT_NE(name.find(others % 8 ? "_columns_any_" : "_columns_vec_"), name.npos) << name;
    return name.substr(name.find("_w"));
  };
  for (const std::int64_t count : {64, 1000, 5000, 100000, 4000000})
    for (const std::int64_t others : {1, 5, 64, 1001})
      for (const ReduceOp op : {ReduceOp::sum, ReduceOp::max, ReduceOp::variance})
        EXPECT_EQ(columns(count, others, op), columns(count, 8, op));
  // A row is taken as several are, also where a dimension of several outputs would lie in it.
  EXPECT_EQ(best({64, 1, 4096}, {0, 2}, ReduceOp::sum, DType::bf16, true),
            best({64, 5, 4096}, {0, 2}, ReduceOp::sum, DType::bf16, true));
  EXPECT_EQ(best({1, 1, 33}, {2}, ReduceOp::sum, DType::bf16, true),
            best({7, 5, 33}, {2}, ReduceOp::sum, DType::bf16, true));
}

// A part of a tensor has its strides, and begins at any of its outputs.
TEST(ReduceChoice, OfAPartIsThatOfTheWholeWhereThatIsAskedFor) {
  struct Whole {
    ReduceOp op;
    DType dtype;
    Sizes sizes;
    std::vector<int> axes;
  };
  for (const Whole& whole :
       {Whole{ReduceOp::sum, DType::f32, {8, 8, 100}, {2}}, Whole{ReduceOp::log_sum_exp, DType::f32, {5, 3, 7}, {2}},
        Whole{ReduceOp::sum, DType::f32, {5, 33}, {1}}, Whole{ReduceOp::product, DType::f16, {16, 1, 3, 17}, {1, 2, 3}},
        Whole{ReduceOp::variance, DType::bf16, {4, 3, 264}, {2}},
        Whole{ReduceOp::sum, DType::bf16, {6, 40, 64}, {0, 2}},
        Whole{ReduceOp::argmax, DType::bf16, {6, 5, 3, 20}, {1, 3}}}) {
    const Sizes strides = dense(whole.sizes).strides;
    for (const std::int64_t offset : {0, 1}) {
      const std::uintptr_t address = 0x100000000 + std::uintptr_t(offset) * size_of(whole.dtype);
      const std::string of_all =
          best_of(tensor(address, whole.dtype, whole.sizes, strides), whole.axes, whole.op, true);
      for (std::size_t d = 0; d < whole.sizes.size(); ++d) {
        if (std::find(whole.axes.begin(), whole.axes.end(), int(d)) != whole.axes.end()) continue;
        for (std::int64_t begin = 0; begin < whole.sizes[d]; ++begin) {
          Tensor part = tensor(address + std::uintptr_t(begin * strides[d]) * size_of(whole.dtype), whole.dtype,
                               whole.sizes, strides);
          part.sizes[d] = 1;
          EXPECT_EQ(best_of(part, whole.axes, whole.op, true), of_all) << of_all << " from " << begin << " of " << d;
          if (d != 1 || whole.axes[0] == 0) continue;
          part.sizes[0] = 1;
          EXPECT_EQ(best_of(part, whole.axes, whole.op, true), of_all) << of_all << ", one from " << begin;
        }
      }
    }
  }
}

// Where DLPack writes a stride of 1 for dimensions of size 1, reduced ones as well, they are taken for dense ones.
TEST(ReduceChoice, OfUnknownStridesIsThatOfTheWholeWhereThatIsAskedFor) {
  const auto one = [](const Sizes& sizes, const Sizes& strides, ReduceOp op, DType dtype) {
    return best_of(tensor(0x100000000, dtype, sizes, strides), {1, 2, 3}, op, true);
  };
  EXPECT_EQ(one({1, 1, 3, 17}, {1, 1, 17, 1}, ReduceOp::product, DType::f16),
            one({16, 1, 3, 17}, {51, 51, 17, 1}, ReduceOp::product, DType::f16));
  EXPECT_EQ(one({1, 1, 64, 2}, {1, 1, 2, 1}, ReduceOp::variance, DType::bf16),
            one({16, 1, 64, 2}, {128, 128, 2, 1}, ReduceOp::variance, DType::bf16));
}

TEST(ReduceModule, ServesWithItsOwnKernelsWhatIsCustom) {
  ReduceArguments in = good_reduce(at(0x10000), at(0x90000));
  in.op = ReduceOp::custom;
  const ReduceProblem problem = reduce_problem(in);
  ModuleEntry entries[] = {{"ckl_reduce_custom_f32_block_any", "custom_f32_block_any"},
                           {"ckl_reduce_custom_f32_warp_vec", "custom_f32_warp_vec"}};
  Module module{"mine", nullptr, entries, 2, 16, 0, 0, reduce_module_version};
  EXPECT_EQ(reduce_candidates(problem, module, h100()),
            (std::vector<std::string>{"custom_f32_warp_vec_w8", "custom_f32_block_any_s1"}));

  constexpr ErrorCode invalid = ErrorCode::invalid_argument;
  expect_error(invalid, {"op ", "custom"}, [&] { reduce_candidates(problem, h100()); });
  expect_error(invalid, {"op ", "custom", "sum"},
               [&] { reduce_candidates(reduce_problem(good_reduce(at(0x10000), at(0x90000))), module, h100()); });
  Module other = module;
  other.version = 0;
  expect_error(invalid, {"mine", "version"}, [&] { reduce_candidates(problem, other, h100()); });
  other = module, other.params_bytes = 257;
  expect_error(invalid, {"mine", "256", "257"}, [&] { reduce_candidates(problem, other, h100()); });
  entries[0].config = "sum_f32_block_any";
  expect_error(invalid, {"mine", "entry 0", "sum_f32_block_any"}, [&] { reduce_candidates(problem, module, h100()); });
  entries[0].config = entries[1].config = "custom_bf16_warp_vec";
  expect_error(ErrorCode::unsupported, {"mine", "none of its 2"}, [&] { reduce_candidates(problem, module, h100()); });
}

TEST(ReduceShape, SortsAndMergesDimensions) {
  ReduceProblem p;
  p.rank = 4;
  p.sizes = {2, 3, 4, 5};
  p.x = {DType::f32, {60, 20, 5, 1}, 16};
  p.reduced = {false, false, true, true};
  p.y.strides = {3, 1, 0, 0};
  ReduceShape shape = ReduceShape::of(p);
  ASSERT_EQ(shape.kept.size(), 1u);
  EXPECT_EQ(shape.kept[0].size, 6);
  ASSERT_EQ(shape.reduced.size(), 1u);
  EXPECT_EQ(shape.count, 20);
  EXPECT_TRUE(shape.whole_rows);
  EXPECT_TRUE(shape.vector_rows);
  EXPECT_FALSE(shape.vector_runs);
  EXPECT_FALSE(shape.vector_columns);

  p.reduced = {true, false, false, true};  // two reduced dimensions around 12 outputs; rows of 5 are no whole vectors
  p.y.strides = {0, 4, 1, 0};
  shape = ReduceShape::of(p);
  EXPECT_EQ(shape.reduced.size(), 2u);
  EXPECT_EQ(shape.kept.size(), 1u);
  EXPECT_FALSE(shape.vector_rows);
  EXPECT_TRUE(shape.vector_runs);
  p.batch_invariant = true;  // runs of 5 begin within a vector
  EXPECT_FALSE(ReduceShape::of(p).vector_runs);
  p.batch_invariant = false;

  p.x.strides = {1, 2, 6, 24};  // the first dimension is the innermost in memory, but places are counted in its order
  p.op = ReduceOp::argmax;
  EXPECT_EQ(ReduceShape::of(p).reduced.back().size, 5);
  p.op = ReduceOp::sum;
  EXPECT_EQ(ReduceShape::of(p).reduced.back().size, 2);
}

TEST(ReduceWork, AsksForWhatItsBlocksLeave) {
  ReduceProblem p;
  p.rank = 1;
  p.sizes = {1 << 20};
  p.reduced = {true};
  p.x = {DType::f32, {1}, 16};
  const ReduceShape shape = ReduceShape::of(p);
  const ReduceWork work = ReduceWork::of(p, shape, {parse_reduce_config("sum_f32_block_vec"), 1, 100, false});
  EXPECT_EQ(work.blocks, 100);
  EXPECT_EQ(work.mailbox_bytes, 128u * 8);  // a word for each sum, in rows of 32
  EXPECT_EQ(ReduceWork::of(p, shape, {parse_reduce_config("sum_f32_block_vec"), 1, 8, true}).mailbox_bytes, 0u);
  for (const auto* others : {"product_f32_block_vec", "sum_i64_block_vec"})  // two words each, with marks
    EXPECT_EQ(ReduceWork::of(p, shape, {parse_reduce_config(others), 1, 100, false}).mailbox_bytes, 128u * 16)
        << others;
}

TEST(ReduceWork, TakesAsManyRowsAsMakeABatch) {
  ReduceProblem p;
  p.rank = 2;
  p.sizes = {1000, 0};
  p.reduced = {false, true};
  const auto work_of = [&](std::int64_t columns, std::int64_t stride, int width) {
    p.sizes[1] = columns, p.x = {DType::f32, {stride, 1}, 16}, p.y.strides = {1, 0};
    return ReduceWork::of(p, ReduceShape::of(p), {parse_reduce_config("sum_f32_warp_vec"), width, 1, false});
  };
  const auto expect = [&](const ReduceWork& work, int loads_log2, std::int64_t rows_of_a_block) {
    EXPECT_EQ(work.params.loads_log2, loads_log2);
    EXPECT_EQ(work.blocks, (1000 + rows_of_a_block - 1) / rows_of_a_block);
  };
  expect(work_of(32, 32, 8), 0, 32 * 8);   // one load of each row: eight at a time
  expect(work_of(96, 96, 8), 2, 32 * 2);   // three loads, as if they were four
  expect(work_of(1024, 1024, 32), -1, 8);  // all loads are of one row
  expect(work_of(33, 36, 8), -1, 32);      // a ragged end
}

TEST(ReduceConfig, IsReadFromItsName) {
  constexpr ReduceConfig config = parse_reduce_config("lse_bf16_columns_vec");
  static_assert(config.valid && config.family == ReduceFamily::lse && config.dtype == DType::bf16 &&
                config.kind == ReduceKind::columns && config.vector && config.vector_elements() == 8);
  for (const ReduceFamily family : {ReduceFamily::sum, ReduceFamily::arg, ReduceFamily::moments})
    for (const DType dtype : {DType::f32, DType::i64})
      for (const ReduceKind kind : {ReduceKind::warp, ReduceKind::block, ReduceKind::columns}) {
        const ReduceConfig made{family, dtype, kind, false, true};
        EXPECT_EQ(parse_reduce_config(entry_of(made)), made) << entry_of(made);
      }
  for (const char* name : {"", "sum", "sum_", "sum_f32", "sum_f32_block", "sum_f32_block_", "sum_f32_block_both",
                           "sum_f32_row_vec", "sum_i8_block_vec", "mean_f32_block_vec", "sum_f32_block_vec_"})
    EXPECT_FALSE(parse_reduce_config(name).valid) << name;
}

}  // namespace
}  // namespace ckl::test
