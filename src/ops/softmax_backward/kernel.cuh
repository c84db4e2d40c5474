#pragma once

// The gradient of softmax along rows: dx = scale y (dy - sum(dy y)), or of its logarithm: dx = scale (dy - exp(y) sum(dy)).

#include "device/row_engine.cuh"
#include "device/row_source.cuh"
#include "ops/softmax_backward/params.hpp"

namespace ckl::device {

template <RowConfig Config> struct SoftmaxBackwardKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Real = typename Engine::Real;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;

  CUTE_DEVICE static void run(SoftmaxBackwardParams const& p) {
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    if (p.log)
      run<true>(p, reduction);
    else
      run<false>(p, reduction);
  }

 private:
  template <bool IsLog> CUTE_DEVICE static void run(SoftmaxBackwardParams const& p, Reduction& reduction) {
    typename Engine::Part part = Engine::part(p.grid);
    auto at = [&](RowOperand const& operand) CUTLASS_LAMBDA_FUNC_INLINE {
      int64_t row = part.row < p.grid.rows ? part.row : 0;
      return Engine::at_column(static_cast<T*>(operand.data) + Engine::offset(p.grid, operand, row), operand.step,
                               part.begin);
    };
    T const *y = at(p.y), *dy = at(p.dy);
    T* dx = at(p.dx);
    Fragment rY, rDY;  // (VEC, VECTORS)
    if constexpr (Config.kind == RowKind::registers) {
      int columns = int(part.columns);
      Engine::load(y, p.y.step, columns, part.thread, rY);
      Engine::load(dy, p.dy.step, columns, part.thread, rDY);
      Real sum = reduction(partial_sum<IsLog>(rY, rDY), Sum());
      Engine::forget_derived(rY);
      Engine::forget_derived(rDY);
      store<IsLog>(p, rY, rDY, sum, dx, 0, columns, part.thread);
    } else {  // a pass for the sum, one more for the result
      using Source = RowSource<Config, softmax_backward_inputs>;
      __shared__ typename Source::Storage storage;
      Source source(storage, {{{y, p.y.step}, {dy, p.dy.step}}}, part.columns);
      auto load = [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        source.load(0, begin, columns, part.thread, rY);
        source.load(1, begin, columns, part.thread, rDY);
      };
      Real sum = 0;
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        load(begin, columns);
        sum += partial_sum<IsLog>(rY, rDY);
      });
      sum = reduction(sum, Sum());
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        load(begin, columns);
        store<IsLog>(p, rY, rDY, sum, dx, begin, columns, part.thread);
      });
    }
  }

  /// This thread's part of sum(dy y), or of sum(dy).
  template <bool IsLog> CUTE_DEVICE static Real partial_sum(Fragment const& rY, Fragment const& rDY) {
    return Engine::sum([&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      Real dy = Real(Engine::value(rDY, i));
      return IsLog ? dy : Real(Engine::value(rY, i)) * dy;
    });
  }

  template <bool IsLog> CUTE_DEVICE static void store(SoftmaxBackwardParams const& p, Fragment& rY, Fragment& rDY,
                                                      Real sum, T* dx, int64_t begin, int columns, int thread) {
    auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      Real y = Real(Engine::value(rY, i)), dy = Real(Engine::value(rDY, i));
      return float(Real(p.scale) * (IsLog ? dy - exp(y) * sum : y * (dy - sum)));
    };
    Engine::store(result, Engine::at_column(dx, p.dx.step, begin), p.dx.step, columns, thread, rY, rDY);
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_SOFTMAX_BACKWARD_ENTRY(NAME)                                                                         \
  extern "C" __global__ void __launch_bounds__(                                                                  \
      ckl::parse_row_config(#NAME, ckl::softmax_backward_inputs).threads(),                                      \
      ckl::parse_row_config(#NAME, ckl::softmax_backward_inputs).blocks_per_sm())                                \
      ckl_softmax_backward_##NAME(__grid_constant__ ckl::SoftmaxBackwardParams const params) {                   \
    ckl::device::SoftmaxBackwardKernel<ckl::parse_row_config(#NAME, ckl::softmax_backward_inputs)>::run(params); \
  }
