#pragma once

// Softmax of rows: y = exp(s - max(s)) / sum(exp(s - max(s))) with s = scale * x, or its logarithm.

#include "device/row_engine.cuh"
#include "ops/softmax/params.hpp"

namespace ckl::device {

template <RowConfig Config> struct SoftmaxKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using T = typename Engine::T;
  static constexpr int VALUES = Engine::VALUES;
  static constexpr float log2_e = 1.4426950408889634f, ln_2 = 0.6931471805599453f;

  CUTE_DEVICE static void run(SoftmaxParams const& p) {
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    typename Engine::Part part = Engine::part(p.grid);
    T const* x = static_cast<T const*>(p.x.data);
    T* y = static_cast<T*>(p.y.data);
    if (part.row < p.grid.rows) {
      x += Engine::offset(p.grid, p.x, part.row) + part.begin * p.x.step;
      y += Engine::offset(p.grid, p.y, part.row) + part.begin * p.y.step;
    }
    if constexpr (Config.kind == RowKind::stream)
      stream(p, x, y, part.thread, reduction);
    else
      hold(p, x, y, part, reduction);
  }

 private:
  /// e^x.
  CUTE_DEVICE static float exponential(float x) { return exp2f(x * log2_e); }

  /// What a row's results have in common.
  struct Statistics {
    float max, sum;
    bool log;

    CUTE_DEVICE void apply(float (&values)[VALUES]) const {
      float reciprocal = 1.0f / sum, log_sum = log2f(sum) * ln_2;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VALUES; ++i)
        values[i] = log ? values[i] - max - log_sum : exponential(values[i] - max) * reciprocal;
    }
  };

  CUTE_DEVICE static void load_scaled(SoftmaxParams const& p, T const* x, int columns, int thread,
                                      float (&values)[VALUES]) {
    Engine::load(x, p.x.step, columns, thread, 0.0f, values);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i)
      values[i] = Engine::column_of(i, thread) < columns ? values[i] * p.scale : -INFINITY;
  }

  /// Registers hold the row: it is read once.
  CUTE_DEVICE static void hold(SoftmaxParams const& p, T const* x, T* y, typename Engine::Part const& part,
                               Reduction& reduction) {
    float values[VALUES];
    load_scaled(p, x, part.columns, part.thread, values);
    float max = reduction(Engine::reduce(values, Max()), Max());
    float terms[VALUES];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) terms[i] = exponential(values[i] - max);
    Statistics row{max, reduction(Engine::reduce(terms, Sum()), Sum()), p.log};
    row.apply(values);
    Engine::store(values, y, p.y.step, part.columns, part.thread);
  }

  /// The row is read twice. Each thread keeps the largest element so far, and the sum relative to it (Milakov and Gimelshein,
  /// 2018).
  CUTE_DEVICE static void stream(SoftmaxParams const& p, T const* x, T* y, int thread, Reduction& reduction) {
    float max = -INFINITY, sum = 0;
    // Where everything so far is -infinity, terms are relative to 0: they vanish rather than become NaN.
    auto base = [](float m) CUTLASS_LAMBDA_FUNC_INLINE { return m == -INFINITY ? 0.0f : m; };
    Engine::for_each_piece(p.grid.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      float values[VALUES];
      load_scaled(p, x + begin * p.x.step, columns, thread, values);
      float larger = fmaxf(max, Engine::reduce(values, Max()));
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VALUES; ++i) values[i] = exponential(values[i] - base(larger));
      sum = sum * exponential(max - base(larger)) + Engine::reduce(values, Sum());
      max = larger;
    });
    Statistics row{reduction(max, Max()), 0, p.log};
    row.sum = reduction(sum * exponential(base(max) - base(row.max)), Sum());
    Engine::for_each_piece(p.grid.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      float values[VALUES];
      load_scaled(p, x + begin * p.x.step, columns, thread, values);
      row.apply(values);
      Engine::store(values, y + begin * p.y.step, p.y.step, columns, thread);
    });
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_SOFTMAX_ENTRY(NAME)                                                        \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME).threads()) \
      ckl_softmax_##NAME(__grid_constant__ ckl::SoftmaxParams const params) {          \
    ckl::device::SoftmaxKernel<ckl::parse_row_config(#NAME)>::run(params);             \
  }
