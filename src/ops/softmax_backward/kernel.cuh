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
    if constexpr (Config.in_pieces()) {  // a pass for the sum, one more for the result
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
      typename Engine::template Ends<T> y_ends, dy_ends;  // what is in no vector
      if constexpr (Config.ragged) rows.load_ends(0, y_ends), rows.load_ends(1, dy_ends);
      rows.advance();
      Real of_thread = partial_sum<IsLog>(rY, rDY);
      for (int i = 0; i < Engine::ENDS; ++i) of_thread += term<IsLog>(float(y_ends[i]), float(dy_ends[i]));
      Real sum = reduction(of_thread, Sum());
      Engine::forget_derived(rY);
      Engine::forget_derived(rDY);
      T* dx = Engine::at(p.grid, p.dx, part);
      store<IsLog>(p, part, rY, rDY, sum, dx, columns);
      if constexpr (Config.ragged)
        for (int i = 0; i < Engine::ENDS; ++i)
          if (rows.has_end(i)) dx[rows.end(i)] = T(gradient<IsLog>(p, float(y_ends[i]), float(dy_ends[i]), sum));
    }
  }

  /// This thread's part of sum(dy y), or of sum(dy).
  template <bool IsLog> CUTE_DEVICE static Real partial_sum(Fragment const& rY, Fragment const& rDY) {
    return Engine::sum(
        [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return term<IsLog>(Engine::value(rY, i), Engine::value(rDY, i)); });
  }

  /// An element's part of the sum.
  template <bool IsLog> CUTE_DEVICE static Real term(float y, float dy) {
    return IsLog ? Real(dy) : Real(y) * Real(dy);
  }

  template <bool IsLog> CUTE_DEVICE static float gradient(SoftmaxBackwardParams const& p, float y, float dy, Real sum) {
    return float(Real(p.scale) * (IsLog ? Real(dy) - exp(Real(y)) * sum : Real(y) * (Real(dy) - sum)));
  }

  template <bool IsLog> CUTE_DEVICE static void store(SoftmaxBackwardParams const& p, Part const& part, Fragment& rY,
                                                      Fragment& rDY, Real sum, T* dx, int columns) {
    auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      return gradient<IsLog>(p, Engine::value(rY, i), Engine::value(rDY, i), sum);
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
