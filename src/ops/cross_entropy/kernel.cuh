#pragma once

// Cross-entropy of rows of logits: loss = lse - logit of the target, with lse = log(sum of exp(logit)). A row is read once, and nothing
// of it is held: its threads keep the largest logit so far and the sum relative to it.

#include "device/online_softmax.cuh"
#include "device/row_engine.cuh"
#include "ops/cross_entropy/target.cuh"

namespace ckl::device {

template <RowConfig Config> struct CrossEntropyKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Real = typename Engine::Real;
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;
  static_assert(Config.kind == RowKind::registers);

  CUTE_DEVICE static void run(CrossEntropyParams const& p) {
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    Part part = Engine::part(p.grid);
    bool exists = part.row < p.grid.rows;
    int64_t row = exists ? part.row : 0;
    T const* x = static_cast<T const*>(p.logits.data) + Engine::offset(p.grid, p.logits, row);
    Target target = Target::of(p.targets, p.grid, row);
    bool is_wanted = !target.is_ignored || p.lse.data;  // else nobody asks for what is in the row

    Sums sums;
    if (is_wanted) sums.absorb(p, x, part);
    bool is_writer = exists && part.thread == 0;
    float target_logit = is_writer && target.is_class ? float(x[target.index * p.logits.step]) : 0;
    OnlineSoftmax softmax = sums.softmax.over(reduction);
    float total = p.targets.smoothing > 0 ? float(reduction(sums.total, Sum())) : 0;
    if (!is_writer) return;
    if (p.lse.data)
      static_cast<float*>(p.lse.data)[Engine::offset(p.grid, p.lse, row)] = softmax.max + softmax.log_sum();
    static_cast<float*>(p.loss.data)[Engine::offset(p.grid, p.loss, row)] =
        loss(p, target, target_logit, softmax, total);
  }

 private:
  /// What a thread keeps of the elements that it has seen.
  struct Sums {
    OnlineSoftmax softmax;
    Real total = 0;  // only where all classes share in the target's weight

    /// Adds the thread's elements of the row at `x`.
    CUTE_DEVICE void absorb(CrossEntropyParams const& p, T const* x, Part const& part) {
      typename Engine::Ragged row = Engine::Ragged::of(x, part.columns);
      T const* body = x + row.head;
      int64_t step = p.logits.step;
      Engine::for_each_piece(row.body, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        Fragment rX;  // (VEC, VECTORS)
        Engine::load(Engine::at_column(body, step, begin), step, columns, part.thread, rX, T(-INFINITY));
        float values[Engine::VALUES];
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < Engine::VALUES; ++i) values[i] = Engine::value(rX, i);
        softmax.template absorb<Engine::VALUES>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i]; });
        if (p.targets.smoothing > 0)
          total += Engine::sum([&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
            return Engine::has(i, columns, part.thread) ? Real(values[i]) : Real(0);
          });
      });
      row.for_each_end(part.thread, [&](int64_t column) CUTLASS_LAMBDA_FUNC_INLINE {
        float logit = float(x[column]);
        softmax.template absorb<1>([&](int) CUTLASS_LAMBDA_FUNC_INLINE { return logit; });
        total += Real(logit);
      });
    }
  };

  /// lse is taken apart, so that its large part costs the loss no digits where that is small.
  CUTE_DEVICE static float loss(CrossEntropyParams const& p, Target const& target, float target_logit,
                                OnlineSoftmax const& softmax, float total) {
    if (target.is_ignored) return 0;
    if (!target.is_class) return NAN;
    float s = p.targets.smoothing, distance = softmax.max - target_logit;
    if (s > 0) {  // what has no weight may be infinite
      float from_mean = softmax.max - total / float(p.grid.columns);
      distance = (s < 1 ? (1 - s) * distance : 0.0f) + s * from_mean;
    }
    return softmax.log_sum() + distance;
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_CROSS_ENTROPY_ENTRY(NAME)                                                        \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME).threads(),       \
                                               ckl::parse_row_config(#NAME).blocks_per_sm()) \
      ckl_cross_entropy_##NAME(__grid_constant__ ckl::CrossEntropyParams const params) {     \
    ckl::device::CrossEntropyKernel<ckl::parse_row_config(#NAME)>::run(params);              \
  }
