#pragma once

// Softmax of rows: y = exp(s - max(s)) / sum(exp(s - max(s))) with s = scale * x, or its logarithm.

#include <climits>

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
  static constexpr int VALUES = Engine::VALUES, VEC = Engine::VEC;
  static constexpr float ln_2 = 0.6931471805599453f, log2_e = OnlineSoftmax::log2_e;

  CUTE_DEVICE static void run(SoftmaxParams const& p) {
    if constexpr (Config.is_ahead()) allow_next_grid();
    auto spans = [&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      return RowSpans<T, 1>{{{Engine::at(p.grid, p.x, part)}}, {{p.x.step}}, Row(p, part).wanted()};
    };
    using Rows = Rows<Config, 1, decltype(spans)>;
    __shared__ typename Rows::Storage row_storage;
    Rows rows(row_storage, p.grid, spans);
    if constexpr (Config.is_ahead()) wait_for_preceding_grids();
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    if (p.log)
      rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE { run<true>(p, Row(p, part), rows, reduction); });
    else
      rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE { run<false>(p, Row(p, part), rows, reduction); });
  }

 private:
  using Column = typename Engine::Column;

  /// A row, from the first column of this block's part on.
  struct Row {
    Part part;
    Column visible;  // columns of the part that count; the others are as if they were -infinity
    int ends;        // of a ragged row, where what counts ends: maybe before the part, or behind it

    CUTE_DEVICE Row(SoftmaxParams const& p, Part const& of) : part(of), visible(of.columns), ends(INT_MAX) {
      if (!p.causal) return;
      int64_t in_matrix = part.row - p.matrix_rows.quotient(part.row) * p.matrix_rows.divisor;
      int64_t end = in_matrix + p.diagonal + 1 - part.begin;
      if constexpr (Config.ragged) ends = end < -VEC ? -VEC : end < part.columns + VEC ? int(end) : INT_MAX;
      visible = Column(end < 0 ? 0 : end < part.columns ? end : int64_t(part.columns));
    }

    /// Columns that have to be loaded: whole vectors.
    CUTE_DEVICE Column wanted() const {
      Column end = (visible + VEC - 1) / VEC * VEC;
      return end < part.columns ? end : part.columns;
    }
  };
  using Values = float[VALUES];

  template <bool IsLog, class Rows>
  CUTE_DEVICE static void run(SoftmaxParams const& p, Row const& row, Rows& rows, Reduction& reduction) {
    if constexpr (Config.in_pieces())
      pass_twice<IsLog>(p, row, rows, reduction);
    else
      hold<IsLog>(p, row, rows, reduction);
  }

  /// What the softmax is taken of: a thread's elements, scaled and masked; -infinity beyond what counts, where it changes nothing.
  CUTE_DEVICE static void mask_and_scale(SoftmaxParams const& p, Row const& row, Fragment& rX, int64_t begin,
                                         int columns, Values& values) {
    int thread = row.part.thread;
    T const* mask = p.mask.data ? Engine::at_column(Engine::at(p.grid, p.mask, row.part), p.mask.step, begin) : nullptr;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) {
      values[i] = Engine::has(i, columns, thread) ? Engine::value(rX, i) * p.scale : -INFINITY;
      // One vector after another, each in the place of the one before: there are registers for the values, but not for the elements beside them.
      if constexpr (Config.twice && sizeof(T) == 2)
        if (i % VEC == VEC - 1) Engine::forget_derived(rX);
    }
    if (mask) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < Engine::VECTORS; ++i) {
        Tensor rM = make_tensor<T>(Int<VEC>{});  // (VEC)
        Engine::load_vector(mask, p.mask.step, columns, thread, i, rM, T(0));
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < VEC; ++v) values[i * VEC + v] += float(rM(v));
      }
    }
    if (p.causal) hide(row, begin, values);
  }

  /// Makes -infinity of what a causal row does not see.
  CUTE_DEVICE static void hide(Row const& row, int64_t begin, Values& values) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i)
      if (begin + Engine::column_of(i, row.part.thread) >= row.visible) values[i] = -INFINITY;
  }

  CUTE_DEVICE static T* y_at(SoftmaxParams const& p, Row const& row, int64_t begin) {
    return Engine::at_column(Engine::at(p.grid, p.y, row.part), p.y.step, begin);
  }

  /// Registers hold the row: it is read once, and each exponential computed once.
  template <bool IsLog, class Rows>
  CUTE_DEVICE static void hold(SoftmaxParams const& p, Row const& row, Rows& rows, Reduction& reduction) {
    int columns = int(row.part.columns), wanted = int(row.wanted()), thread = row.part.thread;
    Fragment rX;  // (VEC, VECTORS)
    rows.load(0, 0, wanted, rX);
    typename Engine::template Ends<T> loaded;
    typename Engine::template Ends<float> ends;
    if constexpr (Config.ragged) rows.load_ends(0, loaded);
    rows.advance();
    T* y = y_at(p, row, 0);
    Values values;
    if constexpr (Config.ragged) mask_and_scale_ends(p, row, rows, loaded, ends);
    mask_and_scale(p, row, rX, 0, wanted, values);
    auto with_ends = [&](float of_vectors, auto operation) CUTLASS_LAMBDA_FUNC_INLINE {
      for (int i = 0; i < Engine::ENDS; ++i) of_vectors = operation(of_vectors, ends[i]);
      return of_vectors;
    };
    auto store_ends = [&](auto const& result) CUTLASS_LAMBDA_FUNC_INLINE {
      if constexpr (Config.ragged)
        for (int i = 0; i < Engine::ENDS; ++i)
          if (rows.has_end(i)) y[rows.end(i)] = T(result(ends[i]));
    };
    auto value = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i]; };
    float max = float(reduction.in_group(with_ends(Engine::reduce(value, Max()), Max()), Max()));
    float reference = reference_of(max);
    if constexpr (IsLog) {
      auto exponential_of = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return exponential(values[i] - reference); };
      float part = Engine::reduce(exponential_of, Sum());
      for (int i = 0; i < Engine::ENDS; ++i) part += exponential(ends[i] - reference);
      float sum = float(reduction.in_group(part, Sum()));
      Shares shares = over_cluster(reduction, max, sum);
      float log_sum = log2f(shares.sum) * ln_2;
      auto logarithm = [&](float value) CUTLASS_LAMBDA_FUNC_INLINE { return value - shares.max - log_sum; };
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return logarithm(values[i]); };
      Engine::store(result, y, p.y.step, columns, thread);
      store_ends(logarithm);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VALUES; ++i) values[i] = magnified_power(values[i] - reference, log2_e);
      for (int i = 0; i < Engine::ENDS; ++i) ends[i] = magnified_power(ends[i] - reference, log2_e);
      float sum = float(reduction.in_group(with_ends(Engine::reduce(value, Sum()), Sum()), Sum()));
      Shares shares = over_cluster(reduction, max, sum);
      float factor = shares.weight / shares.sum;
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i] * factor; };
      Engine::store(result, y, p.y.step, columns, thread);
      store_ends([&](float power) CUTLASS_LAMBDA_FUNC_INLINE { return power * factor; });
    }
  }

  /// The same as mask_and_scale() of a thread's elements that are in no vector.
  template <class Rows> CUTE_DEVICE static void mask_and_scale_ends(SoftmaxParams const& p, Row const& row,
                                                                    Rows const& rows,
                                                                    typename Engine::template Ends<T> const& loaded,
                                                                    typename Engine::template Ends<float>& ends) {
    T const* mask = p.mask.data ? Engine::at(p.grid, p.mask, row.part) : nullptr;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::ENDS; ++i) {
      ends[i] = -INFINITY;
      if (rows.has_end(i) && rows.end(i) < row.ends)
        ends[i] = float(loaded[i]) * p.scale + (mask ? float(mask[rows.end(i)]) : 0.0f);
    }
  }

  /// The largest value of a row and the sum of its exponentials relative to that, from those of the block's part; and what the part's
  /// exponentials have to be multiplied with.
  struct Shares {
    float max, sum, weight;
  };
  CUTE_DEVICE static Shares over_cluster(Reduction& reduction, float max, float sum) {
    if constexpr (Engine::is_cluster) {
      if (Engine::blocks() > 1) {
        auto const& parts = reduction.gather(cute::array<typename Engine::Real, 2>{{max, sum}});
        float all = float(parts[0][0]), total = 0;
        for (int block = 1; block < Engine::blocks(); ++block) all = fmaxf(all, float(parts[0][block]));
        for (int block = 0; block < Engine::blocks(); ++block)
          total += float(parts[1][block]) * exponential(float(parts[0][block]) - reference_of(all));
        return {all, total, exponential(max - reference_of(all))};
      }
    }
    return {max, sum, 1.0f};
  }

  /// What exponentials are relative to. In a cluster, a part may have nothing but -infinity, which must not make NaN of the others.
  CUTE_DEVICE static float reference_of(float max) { return Engine::is_cluster && max == -INFINITY ? 0.0f : max; }

  /// 2^(distance * rate) times `magnification`. For 16-bit results in two instructions: magnified, what becomes a denormal result is a normal
  /// number, of which the hardware's power of two does not make 0. That costs the exponent five bits, which f32 has to keep. Shorter rows wait
  /// for memory in any case.
  static constexpr bool is_magnified = sizeof(T) == 2 && Engine::is_cluster;
  static constexpr float magnification = is_magnified ? 0x1p24f : 1.0f;
  CUTE_DEVICE static float magnified_power(float distance, float rate) {
    return is_magnified ? exp2_approx(fmaf(distance, rate, 24.0f)) : exp2f(distance * rate);
  }

  /// In two passes, a row's numbers are its elements, of whose distances the scale is a factor, as far as their order is that of the scaled
  /// ones; else they are scaled and masked elements.
  CUTE_DEVICE static bool are_elements(SoftmaxParams const& p) { return !p.mask.data && p.scale > 0; }

  /// A thread's numbers; -infinity beyond what counts, where it changes nothing.
  template <class Rows> CUTE_DEVICE static void load_numbers(SoftmaxParams const& p, Row const& row, Rows& rows,
                                                             int64_t begin, int columns, Values& values) {
    Fragment rX;  // (VEC, VECTORS)
    rows.load(0, begin, columns, rX, T(-INFINITY));
    if (!are_elements(p)) return mask_and_scale(p, row, rX, begin, columns, values);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) values[i] = Engine::value(rX, i);
    if (p.causal) hide(row, begin, values);
  }

  /// Two passes over the row: for the sum of its exponentials, and for the result.
  template <bool IsLog, class Rows>
  CUTE_DEVICE static void pass_twice(SoftmaxParams const& p, Row const& row, Rows& rows, Reduction& reduction) {
    int thread = row.part.thread;
    int64_t wanted = row.wanted();
    float scale = are_elements(p) ? p.scale : 1.0f;
    T* y = y_at(p, row, 0);
    OnlineSoftmax softmax{scale * log2_e};
    Engine::for_each_piece(wanted, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      Values values;
      load_numbers(p, row, rows, begin, columns, values);
      softmax.template absorb<VALUES>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i]; });
    });
    softmax = softmax.over(reduction);
    float log_sum = softmax.log_sum(), factor = 1.0f / (magnification * softmax.sum);
    auto store = [&](int64_t begin, int columns, Values const& values) CUTLASS_LAMBDA_FUNC_INLINE {
      auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
        float distance = values[i] - softmax.max;
        return IsLog ? distance * scale - log_sum : magnified_power(distance, softmax.rate) * factor;
      };
      Engine::store(result, Engine::at_column(y, p.y.step, begin), p.y.step, columns, thread);
    };
    Engine::for_each_piece(row.part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      int64_t left = wanted - begin;
      Values values;
      if (left > 0) {
        load_numbers(p, row, rows, begin, left < columns ? int(left) : columns, values);
      } else {
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < VALUES; ++i) values[i] = -INFINITY;
      }
      store(begin, columns, values);
    });
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_SOFTMAX_ENTRY(NAME)                                                                                  \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME, ckl::softmax_needs).threads(),       \
                                               ckl::parse_row_config(#NAME, ckl::softmax_needs).blocks_per_sm()) \
      ckl_softmax_##NAME(__grid_constant__ ckl::SoftmaxParams const params) {                                    \
    ckl::device::SoftmaxKernel<ckl::parse_row_config(#NAME, ckl::softmax_needs)>::run(params);                   \
  }
