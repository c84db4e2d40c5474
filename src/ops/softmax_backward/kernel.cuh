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
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;

  CUTE_DEVICE static void run(SoftmaxBackwardParams const& p) {
    if constexpr (Config.is_ahead()) allow_next_grid();
    auto spans = [&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      return RowSpans<T, 2>{
          {{Engine::at(p.grid, p.y, part), Engine::at(p.grid, p.dy, part)}}, {{p.y.step, p.dy.step}}, part.columns};
    };
    using Rows = Rows<Config, 2, decltype(spans)>;
    __shared__ typename Rows::Storage row_storage;
    Rows rows(row_storage, p.grid, spans);
    if constexpr (Config.is_ahead()) wait_for_preceding_grids();
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      if (p.log)
        run<true>(p, part, rows, reduction);
      else
        run<false>(p, part, rows, reduction);
    });
  }

 private:
  template <bool IsLog, class Rows>
  CUTE_DEVICE static void run(SoftmaxBackwardParams const& p, Part const& part, Rows& rows, Reduction& reduction) {
    Fragment rY, rDY;  // (VEC, VECTORS)
    auto load = [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      rows.load(0, begin, columns, rY);
      rows.load(1, begin, columns, rDY);
    };
    if constexpr (Config.kind == RowKind::stream) {  // a pass for the sum, one more for the result
      T* dx = Engine::at(p.grid, p.dx, part);
      Real sum = 0;
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        load(begin, columns);
        sum += partial_sum<IsLog>(rY, rDY);
      });
      sum = reduction(sum, Sum());
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        load(begin, columns);
        store<IsLog>(p, part, rY, rDY, sum, Engine::at_column(dx, p.dx.step, begin), columns);
      });
    } else {
      int columns = int(part.columns);
      load(0, columns);
      rows.advance();
      Real sum = reduction(partial_sum<IsLog>(rY, rDY), Sum());
      Engine::forget_derived(rY);
      Engine::forget_derived(rDY);
      store<IsLog>(p, part, rY, rDY, sum, Engine::at(p.grid, p.dx, part), columns);
    }
  }

  /// This thread's part of sum(dy y), or of sum(dy).
  template <bool IsLog> CUTE_DEVICE static Real partial_sum(Fragment const& rY, Fragment const& rDY) {
    return Engine::sum([&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      Real dy = Real(Engine::value(rDY, i));
      return IsLog ? dy : Real(Engine::value(rY, i)) * dy;
    });
  }

  template <bool IsLog> CUTE_DEVICE static void store(SoftmaxBackwardParams const& p, Part const& part, Fragment& rY,
                                                      Fragment& rDY, Real sum, T* dx, int columns) {
    auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      Real y = Real(Engine::value(rY, i)), dy = Real(Engine::value(rDY, i));
      return float(Real(p.scale) * (IsLog ? dy - exp(y) * sum : y * (dy - sum)));
    };
    Engine::store(result, dx, p.dx.step, columns, part.thread, rY, rDY);
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_SOFTMAX_BACKWARD_ENTRY(NAME)                                                                        \
  extern "C" __global__ void __launch_bounds__(                                                                 \
      ckl::parse_row_config(#NAME, ckl::softmax_backward_needs).threads(),                                      \
      ckl::parse_row_config(#NAME, ckl::softmax_backward_needs).blocks_per_sm())                                \
      ckl_softmax_backward_##NAME(__grid_constant__ ckl::SoftmaxBackwardParams const params) {                  \
    ckl::device::SoftmaxBackwardKernel<ckl::parse_row_config(#NAME, ckl::softmax_backward_needs)>::run(params); \
  }
