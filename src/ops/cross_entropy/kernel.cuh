#pragma once

// Cross-entropy of rows of logits: loss = lse - logit of the target, with lse = log(sum of exp(logit)). A row is read once: a short one at
// once, a long one in pieces, of which its threads keep the largest logit so far and the sum relative to it.

#include "device/largest.cuh"
#include "device/online_softmax.cuh"
#include "device/row_engine.cuh"
#include "device/row_source.cuh"
#include "ops/cross_entropy/target.cuh"

namespace ckl::device {

template <RowConfig Config> struct CrossEntropyKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Real = typename Engine::Real;
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;
  static_assert(Config.kind != RowKind::stream);

  CUTE_DEVICE static void run(CrossEntropyParams const& p) {
    static_assert(Config.is_ahead());
    allow_next_grid();
    if constexpr (is_long_of_16_bits)
      if (int(blockIdx.x) < p.waiting_blocks) Rows::prefetch(p.grid, Spans{p});
    wait_for_preceding_grids();
    if constexpr (is_held) {
      __shared__ typename Reduction::Storage storage;
      Reduction reduction(storage);
      run_held(p, Engine::part(p.grid), reduction);
    } else {
      __shared__ typename Rows::Storage row_storage;
      Rows rows(row_storage, p.grid, Spans{p});
      __shared__ typename Reduction::Storage storage;
      Reduction reduction(storage);
      rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
        Row row(p, part);
        bool is_writer = part.row < p.grid.rows && part.thread == 0;
        Target target = target_of(p, part);
        float target_logit = is_writer && target.is_class ? float(row.x[target.index * p.logits.step]) : 0;
        Sums sums;
        sums.absorb(p, row, part, rows);
        store(p, part, is_writer, target, target_logit, sums, reduction);
      });
    }
  }

 private:
  /// Whether registers hold a row.
  static constexpr bool is_held = Config.ragged;
  /// Whether a block reads a row in pieces from a ring; and whether elements are many for their bytes then.
  static constexpr bool is_long = Config.kind == RowKind::pipeline;
  static constexpr bool is_long_of_16_bits = is_long && sizeof(T) == 2;

  /// A row of logits. The body of a long one begins at a line of 128 bytes: bulk copies that begin elsewhere are slower.
  struct Row {
    static constexpr int alignment = 128;
    static_assert(alignment / int(sizeof(T)) + Engine::VEC <= Engine::GROUP || !is_long, "an end for each thread");
    T const* x;
    typename Engine::Ragged ragged;

    CUTE_DEVICE Row(CrossEntropyParams const& p, Part const& part)
        : x(Engine::at(p.grid, p.logits, part)), ragged(Engine::Ragged::template of<alignment>(x, part.columns)) {}
  };

  /// Whether anybody asks for a row. With lse, all are asked for, and no target is waited for.
  CUTE_DEVICE static bool is_wanted(CrossEntropyParams const& p, Part const& part) {
    return p.lse.data || !target_of(p, part).is_ignored;
  }

  /// Where a row's body lies.
  struct Spans {
    CrossEntropyParams const& p;

    CUTE_DEVICE RowSpans<T, 1> operator()(Part const& part) const {
      Row row(p, part);
      return {{{row.x + row.ragged.head}}, {{p.logits.step}}, row.ragged.body};
    }
    CUTE_DEVICE bool is_wanted(Part const& part) const { return CrossEntropyKernel::is_wanted(p, part); }
  };
  using Rows = cute::conditional_t<is_long, PipelinedRows<Config, 1, Spans, true>, GlobalRows<Config, 1, Spans>>;

  /// Elements from the first target to that of the group's row, or of the first row where there is none.
  CUTE_DEVICE static int64_t target_offset(CrossEntropyParams const& p, Part const& part) {
    return Engine::offset(p.grid, p.targets.data, part.row < p.grid.rows ? part.row : 0);
  }

  CUTE_DEVICE static Target target_of(CrossEntropyParams const& p, Part const& part) {
    return Target::of(p.targets, p.grid, target_offset(p, part));
  }

  template <class Rows> static constexpr int at_once() {
    if constexpr (is_long)
      return Rows::at_once;
    else
      return 0;
  }

  /// What a thread keeps of the elements that it has seen.
  struct Sums {
    OnlineSoftmax softmax;
    Real total = 0;  // only where all classes share in the target's weight

    /// Adds the thread's elements of a piece, of which `most` is the largest: those of `columns` columns, the others being -infinity.
    template <bool WITH_TOTAL, bool WHOLE>
    CUTE_DEVICE void absorb_piece(Fragment& rX, float most, int columns, int thread) {
      constexpr int AT_ONCE = Engine::VALUES < 16 ? Engine::VALUES : 16;  // converted, in registers
      softmax.template absorb<Engine::VALUES, AT_ONCE>(
          [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return Engine::value(rX, i); }, most,
          // Of the threads of a group, the first one has some wherever one has.
          [&](int first) CUTLASS_LAMBDA_FUNC_INLINE { return !is_held || Engine::has(first, columns, 0); },
          [&](int first) CUTLASS_LAMBDA_FUNC_INLINE {
            if constexpr (WITH_TOTAL) {
              auto term = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
                return WHOLE || Engine::has(first + i, columns, thread) ? Real(Engine::value(rX, first + i)) : Real(0);
              };
              total += reduce_tree_of<AT_ONCE>(term, Sum());
            }
            Engine::forget_derived(rX);
          });
    }

    /// Adds an element.
    CUTE_DEVICE void absorb_one(float logit) {
      softmax.template absorb<1>([&](int) CUTLASS_LAMBDA_FUNC_INLINE { return logit; });
      total += Real(logit);
    }

    /// Adds the thread's elements of the row; where nobody asks for it, of what is loaded in any case.
    CUTE_DEVICE void absorb(CrossEntropyParams const& p, Row const& row, Part const& part, Rows& rows) {
      // A thread has no more than one end, which is under way while the others arrive.
      bool is_end = is_long && part.thread < row.ragged.ends();
      float end = is_end ? float(row.x[row.ragged.end(part.thread)]) : 0.0f;
      constexpr typename Engine::Column unasked = at_once<Rows>();
      typename Engine::Column body = row.ragged.body;
      if (body > unasked && !is_wanted(p, part)) body = unasked;
      auto absorb_next = [&](auto whole, auto& rows, typename Engine::Column begin, int columns)
                             CUTLASS_LAMBDA_FUNC_INLINE {
                               constexpr bool WHOLE = decltype(whole)::value;
                               Fragment rX;  // (VEC, VECTORS)
                               if constexpr (WHOLE)
                                 rows.load_piece(0, begin, rX);
                               else if (columns == Config.piece())  // no thread asks whether its elements are there
                                 rows.load(0, begin, Config.piece(), rX);
                               else
                                 rows.load(0, begin, columns, rX, T(-INFINITY));
                               if constexpr (is_long_of_16_bits) Engine::forget_derived(rX);
                               float most = largest(rX);
                               rows.advance();
                               if (p.targets.smoothing > 0)
                                 absorb_piece<true, WHOLE>(rX, most, columns, part.thread);
                               else
                                 absorb_piece<false, WHOLE>(rX, most, columns, part.thread);
                             };
      if constexpr (is_long_of_16_bits) {
        int whole = body - body % Config.piece();
        CUTLASS_PRAGMA_NO_UNROLL
        for (int begin = 0; begin < whole; begin += Config.piece())
          absorb_next(cute::true_type{}, rows, begin, Config.piece());
        if (whole < body) absorb_next(cute::false_type{}, rows, whole, body - whole);
      } else {
        Engine::for_each_piece(body, [&](typename Engine::Column begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
          absorb_next(cute::false_type{}, rows, begin, columns);
        });
      }
      if (row.ragged.body == 0) rows.advance();
      if (is_end) absorb_one(end);
    }
  };

  /// A row that registers hold. Its target is under way together with it: nothing that is loaded waits for something else.
  struct HeldRow {
    T const* x;
    typename Engine::ShortRagged ragged;
    Target::Words target;
    Fragment rX;  // (VEC, VECTORS)
    T end;        // where a thread has no more than one of the elements that are in no vector

    static constexpr bool has_one_end = Engine::ENDS == 1;

    CUTE_DEVICE HeldRow(CrossEntropyParams const& p, Part const& part)
        : x(Engine::at(p.grid, p.logits, part)),
          ragged(Engine::ShortRagged::of(x, int(part.columns))),
          target(Target::Words::at(p.targets, target_offset(p, part))),
          end(-INFINITY) {
      Engine::load(x + ragged.head, 1, ragged.body, part.thread, rX, T(-INFINITY));
      if (has_one_end && part.thread < ragged.ends()) end = x[ragged.end(part.thread)];
    }
  };

  CUTE_DEVICE static void run_held(CrossEntropyParams const& p, Part const& part, Reduction& reduction) {
    HeldRow row(p, part);
    float most = largest(row.rX);
    Sums sums;
    if (p.targets.smoothing > 0)
      sums.template absorb_piece<true, false>(row.rX, most, row.ragged.body, part.thread);
    else
      sums.template absorb_piece<false, false>(row.rX, most, row.ragged.body, part.thread);
    if constexpr (HeldRow::has_one_end) {
      if (part.thread < row.ragged.ends()) sums.absorb_one(float(row.end));
    } else {
      row.ragged.for_each_end(part.thread,
                              [&](int column) CUTLASS_LAMBDA_FUNC_INLINE { sums.absorb_one(float(row.x[column])); });
    }
    Target target = Target::of(p.targets, p.grid, row.target);
    bool is_writer = part.row < p.grid.rows && part.thread == 0;
    float target_logit = is_writer && target.is_class ? float(row.x[target.index]) : 0.0f;  // the L1 has it
    store(p, part, is_writer, target, target_logit, sums, reduction);
  }

  /// Stores the results of a row, of which each thread has `sums`.
  CUTE_DEVICE static void store(CrossEntropyParams const& p, Part const& part, bool is_writer, Target const& target,
                                float target_logit, Sums const& sums, Reduction& reduction) {
    Real total = sums.total;
    OnlineSoftmax softmax =
        p.targets.smoothing > 0 ? sums.softmax.over(reduction, total) : sums.softmax.over(reduction);
    if (!is_writer) return;
    float log_sum = softmax.log_sum();
    if (p.lse.data) static_cast<float*>(p.lse.data)[Engine::offset(p.grid, p.lse, part.row)] = softmax.max + log_sum;
    static_cast<float*>(p.loss.data)[Engine::offset(p.grid, p.loss, part.row)] =
        loss(p, target, target_logit, softmax.max, log_sum, float(total));
  }

  /// lse is taken apart, so that its large part costs the loss no digits where that is small.
  CUTE_DEVICE static float loss(CrossEntropyParams const& p, Target const& target, float target_logit, float max,
                                float log_sum, float total) {
    if (target.is_ignored) return 0;
    if (!target.is_class) return NAN;
    float s = p.targets.smoothing, distance = max - target_logit;
    if (s > 0) {  // what has no weight may be infinite
      float from_mean = max - total / float(p.grid.columns);
      distance = (s < 1 ? (1 - s) * distance : 0.0f) + s * from_mean;
    }
    return log_sum + distance;
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_CROSS_ENTROPY_ENTRY(NAME)                                                                                  \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME, ckl::cross_entropy_needs).threads(),       \
                                               ckl::parse_row_config(#NAME, ckl::cross_entropy_needs).blocks_per_sm()) \
      ckl_cross_entropy_##NAME(__grid_constant__ ckl::CrossEntropyParams const params) {                               \
    ckl::device::CrossEntropyKernel<ckl::parse_row_config(#NAME, ckl::cross_entropy_needs)>::run(params);              \
  }
