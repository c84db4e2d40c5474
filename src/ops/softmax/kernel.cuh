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

  /// Two passes over the row: for the sum of its exponentials, and for the result.
  template <bool IsLog>
  CUTE_DEVICE static void pass_twice(SoftmaxParams const& p, T const* x, T* y, Part const& part, Reduction& reduction) {
    using Source = RowSource<Config, 1>;
    __shared__ typename Source::Storage storage;
    Source source(storage, {{{x, p.x.step}}}, part.columns);
    OnlineSoftmax row;
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      Fragment rX;  // (VEC, VECTORS)
      source.load(0, begin, columns, part.thread, rX);
      row.template absorb<VALUES>([&](int i)
                                      CUTLASS_LAMBDA_FUNC_INLINE { return scaled(p, rX, i, columns, part.thread); });
    });
    row = row.over(reduction);
    float log_sum = row.log_sum(), reciprocal = 1.0f / row.sum;
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      Fragment rX;  // (VEC, VECTORS)
      source.load(0, begin, columns, part.thread, rX);
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
        float distance = scaled(p, rX, i, columns, part.thread) - row.max;
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
