#pragma once

// The gradient of cross-entropy: dlogit = dloss * (exp(logit - lse) - what the target gives the class). One read and one write.

#include "device/row_engine.cuh"
#include "ops/cross_entropy/target.cuh"
#include "ops/cross_entropy/backward/params.hpp"

namespace ckl::device {

template <RowConfig Config> struct CrossEntropyBackwardKernel {
  using Engine = RowEngine<Config>;
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;
  static_assert(Config.kind == RowKind::registers);

  CUTE_DEVICE static void run(CrossEntropyBackwardParams const& p) {
    allow_next_grid();
    wait_for_preceding_grids();
    Part part = Engine::part(p.grid);
    if (part.row >= p.grid.rows) return;
    T const* x = static_cast<T const*>(p.logits.data) + Engine::offset(p.grid, p.logits, part.row);
    T* dx = static_cast<T*>(p.dlogits.data) + Engine::offset(p.grid, p.dlogits, part.row);
    Row row = Row::of(p, part.row);
    typename Engine::Ragged ragged = Engine::Ragged::of(x, part.columns);
    T const* body = x + ragged.head;
    T* dbody = dx + ragged.head;
    Engine::for_each_piece(ragged.body, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      int wanted = row.target.is_ignored ? 0 : columns;
      Fragment rX;  // (VEC, VECTORS)
      Engine::load(Engine::at_column(body, p.logits.step, begin), p.logits.step, wanted, part.thread, rX);
      int hot = Engine::element_at(row.target.index - ragged.head - begin, part.thread);
      auto gradient = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return row.gradient(Engine::value(rX, i), i == hot); };
      Engine::store(gradient, Engine::at_column(dbody, p.dlogits.step, begin), p.dlogits.step, columns, part.thread,
                    rX);
    });
    ragged.for_each_end(part.thread, [&](int64_t column) CUTLASS_LAMBDA_FUNC_INLINE {
      dx[column] = T(row.gradient(float(x[column]), column == row.target.index));
    });
  }

 private:
  /// What the gradients of a row have in common.
  struct Row {
    Target target;
    float lse, dloss;
    float cold, hot;  // the probabilities that the target asks for: of the other classes, and of its own

    CUTE_DEVICE static Row of(CrossEntropyBackwardParams const& p, int64_t row) {
      Target target = Target::of(p.targets, p.grid, Engine::offset(p.grid, p.targets.data, row));
      float dloss = static_cast<float const*>(p.dloss.data)[Engine::offset(p.grid, p.dloss, row)];
      float cold = p.targets.smoothing / float(p.grid.columns);
      return {target, static_cast<float const*>(p.lse.data)[Engine::offset(p.grid, p.lse, row)],
              target.is_class ? dloss : NAN, cold, 1 - p.targets.smoothing + cold};
    }

    CUTE_DEVICE float gradient(float logit, bool is_hot) const {
      float difference = exponential(logit - lse) - (is_hot ? hot : cold);
      return target.is_ignored ? 0.0f : dloss * difference;
    }
  };
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_CROSS_ENTROPY_BACKWARD_ENTRY(NAME)                                                                     \
  extern "C" __global__ void __launch_bounds__(                                                                    \
      ckl::parse_row_config(#NAME, ckl::cross_entropy_backward_needs).threads(),                                   \
      ckl::parse_row_config(#NAME, ckl::cross_entropy_backward_needs).blocks_per_sm())                             \
      ckl_cross_entropy_backward_##NAME(__grid_constant__ ckl::CrossEntropyBackwardParams const params) {          \
    ckl::device::CrossEntropyBackwardKernel<ckl::parse_row_config(#NAME, ckl::cross_entropy_backward_needs)>::run( \
        params);                                                                                                   \
  }
