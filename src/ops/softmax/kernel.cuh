#pragma once

// Softmax of rows: y = exp(s - max(s)) / sum(exp(s - max(s))) with s = scale * x, or its logarithm.

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
  static constexpr int VALUES = Engine::VALUES;
  static constexpr float ln_2 = 0.6931471805599453f;

  CUTE_DEVICE static void run(SoftmaxParams const& p) {
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    Part part = Engine::part(p.grid);
    T const* x = static_cast<T const*>(p.x.data);
    T* y = static_cast<T*>(p.y.data);
    if (part.row < p.grid.rows) {
      x = Engine::at_column(x + Engine::offset(p.grid, p.x, part.row), p.x.step, part.begin);
      y = Engine::at_column(y + Engine::offset(p.grid, p.y, part.row), p.y.step, part.begin);
    }
    if (p.log)
      run<true>(p, x, y, part, reduction);
    else
      run<false>(p, x, y, part, reduction);
  }

 private:
  template <bool IsLog>
  CUTE_DEVICE static void run(SoftmaxParams const& p, T const* x, T* y, Part const& part, Reduction& reduction) {
    if constexpr (Config.kind == RowKind::registers)
      hold<IsLog>(p, x, y, part, reduction);
    else
      pass_twice<IsLog>(p, x, y, part, reduction);
  }

  /// Element `i` of a thread, scaled; -infinity beyond the row, where it changes nothing.
  CUTE_DEVICE static float scaled(SoftmaxParams const& p, Fragment const& rX, int i, int columns, int thread) {
    return Engine::has(i, columns, thread) ? Engine::value(rX, i) * p.scale : -INFINITY;
  }

  /// Registers hold the row: it is read once, and each exponential computed once.
  template <bool IsLog>
  CUTE_DEVICE static void hold(SoftmaxParams const& p, T const* x, T* y, Part const& part, Reduction& reduction) {
    int columns = int(part.columns);
    Fragment rX;  // (VEC, VECTORS)
    Engine::load(x, p.x.step, columns, part.thread, rX);
    float values[VALUES];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) values[i] = scaled(p, rX, i, columns, part.thread);
    auto value = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i]; };
    float max = reduction(Engine::reduce(value, Max()), Max());
    auto exponential_of = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return exponential(values[i] - max); };
    if constexpr (IsLog) {
      float log_sum = log2f(reduction(Engine::reduce(exponential_of, Sum()), Sum())) * ln_2;
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i] - max - log_sum; };
      Engine::store(result, y, p.y.step, columns, part.thread);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VALUES; ++i) values[i] = exponential_of(i);
      float reciprocal = 1.0f / reduction(Engine::reduce(value, Sum()), Sum());
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i] * reciprocal; };
      Engine::store(result, y, p.y.step, columns, part.thread);
    }
  }

  /// Two passes over the row. In the first, each thread keeps the largest element so far, and the sum relative to it (Milakov and
  /// Gimelshein, 2018).
  template <bool IsLog>
  CUTE_DEVICE static void pass_twice(SoftmaxParams const& p, T const* x, T* y, Part const& part, Reduction& reduction) {
    using Source = RowSource<Config, 1>;
    __shared__ typename Source::Storage storage;
    Source source(storage, {{{x, p.x.step}}}, part.columns);
    float max = -INFINITY, sum = 0;
    // Where everything so far is -infinity, terms are relative to 0: they vanish rather than become NaN.
    auto base = [](float m) CUTLASS_LAMBDA_FUNC_INLINE { return m == -INFINITY ? 0.0f : m; };
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      Fragment rX;  // (VEC, VECTORS)
      source.load(0, begin, columns, part.thread, rX);
      auto value = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return scaled(p, rX, i, columns, part.thread); };
      float larger = fmaxf(max, Engine::reduce(value, Max()));
      auto term = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return exponential(value(i) - base(larger)); };
      sum = sum * exponential(max - base(larger)) + Engine::reduce(term, Sum());
      max = larger;
    });
    float row_max = reduction(max, Max());
    float row_sum = reduction(sum * exponential(base(max) - base(row_max)), Sum());
    float log_sum = log2f(row_sum) * ln_2, reciprocal = 1.0f / row_sum;
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      Fragment rX;  // (VEC, VECTORS)
      source.load(0, begin, columns, part.thread, rX);
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
        float distance = scaled(p, rX, i, columns, part.thread) - row_max;
        return IsLog ? distance - log_sum : exponential(distance) * reciprocal;
      };
      Engine::store(result, Engine::at_column(y, p.y.step, begin), p.y.step, columns, part.thread);
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
