#pragma once

// Softmax of rows: y = exp(s - max(s)) / sum(exp(s - max(s))) with s = scale * x, or its logarithm.

#include "device/online_softmax.cuh"
#include "device/row_engine.cuh"
#include "device/row_source.cuh"
#include "ops/softmax/params.hpp"

namespace ckl::device {

template <RowConfig Config> struct SoftmaxKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;
  static constexpr int VALUES = Engine::VALUES, VEC = Engine::VEC;
  static constexpr float ln_2 = 0.6931471805599453f;

  CUTE_DEVICE static void run(SoftmaxParams const& p) {
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    Row row(p, Engine::part(p.grid));
    if (p.log)
      run<true>(p, row, reduction);
    else
      run<false>(p, row, reduction);
  }

 private:
  /// A row's operands, from the first column of this block's part on.
  struct Row {
    Part part;
    int64_t visible;  // columns of the part that count; the others are as if they were -infinity
    T const *x, *mask;
    T* y;

    CUTE_DEVICE Row(SoftmaxParams const& p, Part const& of) : part(of), visible(of.columns) {
      int64_t row = part.row < p.grid.rows ? part.row : 0;
      auto at = [&](RowOperand const& operand) CUTLASS_LAMBDA_FUNC_INLINE {
        return Engine::at_column(static_cast<T*>(operand.data) + Engine::offset(p.grid, operand, row), operand.step,
                                 part.begin);
      };
      x = at(p.x);
      y = at(p.y);
      mask = p.mask.data ? at(p.mask) : nullptr;
      if (p.causal) {
        int64_t in_matrix = row - p.matrix_rows.quotient(row) * p.matrix_rows.divisor;
        int64_t end = in_matrix + p.diagonal + 1 - part.begin;
        visible = end < 0 ? 0 : end < part.columns ? end : part.columns;
      }
    }

    /// Columns that have to be loaded: whole vectors.
    CUTE_DEVICE int64_t wanted() const {
      int64_t end = (visible + VEC - 1) / VEC * VEC;
      return end < part.columns ? end : part.columns;
    }
  };
  using Values = float[VALUES];

  template <bool IsLog> CUTE_DEVICE static void run(SoftmaxParams const& p, Row const& row, Reduction& reduction) {
    if constexpr (Config.kind == RowKind::registers)
      hold<IsLog>(p, row, reduction);
    else
      pass_twice<IsLog>(p, row, reduction);
  }

  /// What the softmax is taken of: a thread's elements, scaled and masked; -infinity beyond what counts, where it changes nothing.
  CUTE_DEVICE static void load_mask_and_scale(SoftmaxParams const& p, Row const& row, Fragment const& rX, int64_t begin,
                                              int columns, Values& values) {
    int thread = row.part.thread;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i)
      values[i] = Engine::has(i, columns, thread) ? Engine::value(rX, i) * p.scale : -INFINITY;
    if (row.mask) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < Engine::VECTORS; ++i) {
        Tensor rM = make_tensor<T>(Int<VEC>{});  // (VEC)
        Engine::load_vector(Engine::at_column(row.mask, p.mask.step, begin), p.mask.step, columns, thread, i, rM, T(0));
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < VEC; ++v) values[i * VEC + v] += float(rM(v));
      }
    }
    if (p.causal) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VALUES; ++i)
        if (begin + Engine::column_of(i, thread) >= row.visible) values[i] = -INFINITY;
    }
  }

  /// Registers hold the row: it is read once, and each exponential computed once.
  template <bool IsLog> CUTE_DEVICE static void hold(SoftmaxParams const& p, Row const& row, Reduction& reduction) {
    int columns = int(row.part.columns), wanted = int(row.wanted()), thread = row.part.thread;
    Fragment rX;  // (VEC, VECTORS)
    Engine::load(row.x, p.x.step, wanted, thread, rX);
    Values values;
    load_mask_and_scale(p, row, rX, 0, wanted, values);
    auto value = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i]; };
    float max = reduction(Engine::reduce(value, Max()), Max());
    auto exponential_of = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return exponential(values[i] - max); };
    if constexpr (IsLog) {
      float log_sum = log2f(reduction(Engine::reduce(exponential_of, Sum()), Sum())) * ln_2;
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i] - max - log_sum; };
      Engine::store(result, row.y, p.y.step, columns, thread);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VALUES; ++i) values[i] = exponential_of(i);
      float reciprocal = 1.0f / reduction(Engine::reduce(value, Sum()), Sum());
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i] * reciprocal; };
      Engine::store(result, row.y, p.y.step, columns, thread);
    }
  }

  /// Two passes over the row: for the sum of its exponentials, and for the result.
  template <bool IsLog>
  CUTE_DEVICE static void pass_twice(SoftmaxParams const& p, Row const& row, Reduction& reduction) {
    using Source = RowSource<Config, 1>;
    __shared__ typename Source::Storage storage;
    int thread = row.part.thread;
    int64_t wanted = row.wanted();
    Source source(storage, {{{row.x, p.x.step}}}, wanted);
    auto load = [&](int64_t begin, int columns, Values& values) CUTLASS_LAMBDA_FUNC_INLINE {
      Fragment rX;  // (VEC, VECTORS)
      source.load(0, begin, columns, thread, rX);
      load_mask_and_scale(p, row, rX, begin, columns, values);
    };
    OnlineSoftmax softmax;
    Engine::for_each_piece(wanted, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      Values values;
      load(begin, columns, values);
      softmax.template absorb<VALUES>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i]; });
    });
    softmax = softmax.over(reduction);
    float log_sum = softmax.log_sum(), reciprocal = 1.0f / softmax.sum;
    auto store = [&](int64_t begin, int columns, Values const& values) CUTLASS_LAMBDA_FUNC_INLINE {
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
        float distance = values[i] - softmax.max;
        return IsLog ? distance - log_sum : exponential(distance) * reciprocal;
      };
      Engine::store(result, Engine::at_column(row.y, p.y.step, begin), p.y.step, columns, thread);
    };
    Engine::for_each_piece(row.part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      int64_t left = wanted - begin;
      Values values;
      if (left > 0) {
        load(begin, left < columns ? int(left) : columns, values);
      } else {
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < VALUES; ++i) values[i] = -INFINITY;
      }
      store(begin, columns, values);
    });
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_SOFTMAX_ENTRY(NAME)                                                              \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME).threads(),       \
                                               ckl::parse_row_config(#NAME).blocks_per_sm()) \
      ckl_softmax_##NAME(__grid_constant__ ckl::SoftmaxParams const params) {                \
    ckl::device::SoftmaxKernel<ckl::parse_row_config(#NAME)>::run(params);                   \
  }
