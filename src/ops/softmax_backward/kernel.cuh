#pragma once

// The gradient of softmax along rows: dx = scale y (dy - sum(dy y)), or of its logarithm: dx = scale (dy - exp(y) sum(dy)).

#include "device/row_engine.cuh"
#include "ops/softmax_backward/params.hpp"

namespace ckl::device {

template <RowConfig Config> struct SoftmaxBackwardKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Real = typename Engine::Real;
  using T = typename Engine::T;
  static constexpr int VALUES = Engine::VALUES;

  CUTE_DEVICE static void run(SoftmaxBackwardParams const& p) {
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    typename Engine::Part part = Engine::part(p.grid);
    auto at = [&](RowOperand const& operand) CUTLASS_LAMBDA_FUNC_INLINE {
      int64_t row = part.row < p.grid.rows ? part.row : 0;
      return static_cast<T*>(operand.data) + Engine::offset(p.grid, operand, row) + part.begin * operand.step;
    };
    T const *y = at(p.y), *dy = at(p.dy);
    T* dx = at(p.dx);
    float ys[VALUES], dys[VALUES];
    if constexpr (Config.kind == RowKind::stream) {  // read once for the sum, once more for the result
      Real sum = 0;
      Engine::for_each_piece(p.grid.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        load(p, y, dy, begin, columns, part.thread, ys, dys);
        sum += partial_sum(p, ys, dys);
      });
      sum = reduction(sum, Sum());
      Engine::for_each_piece(p.grid.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        load(p, y, dy, begin, columns, part.thread, ys, dys);
        store(p, ys, dys, sum, dx, begin, columns, part.thread);
      });
    } else {
      load(p, y, dy, 0, part.columns, part.thread, ys, dys);
      Real sum = reduction(partial_sum(p, ys, dys), Sum());
      store(p, ys, dys, sum, dx, 0, part.columns, part.thread);
    }
  }

 private:
  CUTE_DEVICE static void load(SoftmaxBackwardParams const& p, T const* y, T const* dy, int64_t begin, int columns,
                               int thread, float (&ys)[VALUES], float (&dys)[VALUES]) {
    Engine::load(y + begin * p.y.step, p.y.step, columns, thread, 0.0f, ys);
    Engine::load(dy + begin * p.dy.step, p.dy.step, columns, thread, 0.0f, dys);
  }

  /// This thread's part of sum(dy y), or of sum(dy).
  CUTE_DEVICE static Real partial_sum(SoftmaxBackwardParams const& p, float const (&ys)[VALUES],
                                      float const (&dys)[VALUES]) {
    return Engine::sum([&](int i)
                           CUTLASS_LAMBDA_FUNC_INLINE { return p.log ? Real(dys[i]) : Real(ys[i]) * Real(dys[i]); });
  }

  CUTE_DEVICE static void store(SoftmaxBackwardParams const& p, float const (&ys)[VALUES], float (&dys)[VALUES],
                                Real sum, T* dx, int64_t begin, int columns, int thread) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) {
      Real y = Real(ys[i]), dy = Real(dys[i]);
      dys[i] = float(Real(p.scale) * (p.log ? dy - exp(y) * sum : y * (dy - sum)));
    }
    Engine::store(dys, dx + begin * p.dx.step, p.dx.step, columns, thread);
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_SOFTMAX_BACKWARD_ENTRY(NAME)                                                       \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME).threads(),         \
                                               ckl::parse_row_config(#NAME).blocks_per_sm(2))  \
      ckl_softmax_backward_##NAME(__grid_constant__ ckl::SoftmaxBackwardParams const params) { \
    ckl::device::SoftmaxBackwardKernel<ckl::parse_row_config(#NAME)>::run(params);             \
  }
