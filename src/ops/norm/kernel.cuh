#pragma once

// LayerNorm and RMSNorm of rows: y = (x - mean) * rstd * weight + bias, with rstd = 1 / sqrt(variance + epsilon); RMSNorm takes the mean
// to be 0. The variance is summed up around the mean, or in f64 around an
// element of the row, so that a large mean costs no digits.

#include "device/row_engine.cuh"
#include "device/row_source.cuh"
#include "ops/norm/params.hpp"

namespace ckl::device {

template <RowConfig Config> struct NormKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Real = typename Engine::Real;
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;
  using Pair = cute::array<Real, 2>;
  static constexpr bool is_f64 = sizeof(Real) == sizeof(double);
  static constexpr int VALUES = Engine::VALUES, VEC = Engine::VEC;

  CUTE_DEVICE static void run(NormParams const& p) {
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    Part part = Engine::part(p.grid);
    Row row(p, part);
    if constexpr (Config.kind == RowKind::registers)
      hold(p, row, part, reduction);
    else if constexpr (Config.kind == RowKind::cluster)
      hold_in_shared(p, row, part, reduction);
    else
      stream(p, row, part, reduction);
  }

 private:
  /// A row's operands, from the first column of this block's part on.
  struct Row {
    T const *x, *residual;
    T *y, *sum;
    int64_t begin;  // that column

    CUTE_DEVICE Row(NormParams const& p, Part const& part) : begin(part.begin) {
      int64_t row = part.row < p.grid.rows ? part.row : 0;
      auto at = [&](RowOperand const& operand) CUTLASS_LAMBDA_FUNC_INLINE {
        return Engine::at_column(static_cast<T*>(operand.data) + Engine::offset(p.grid, operand, row), operand.step,
                                 part.begin);
      };
      x = at(p.x);
      y = at(p.y);
      residual = p.residual.data ? at(p.residual) : nullptr;
      sum = p.sum.data ? at(p.sum) : nullptr;
    }
  };

  /// The mean in two parts: what is left after subtracting `mean` averages to `correction`.
  struct Statistics {
    Real mean, correction, rstd;
    Real shift;  // of (x - mean) * rstd, or in f64, which has digits enough, of x * rstd

    CUTE_DEVICE static Statistics of(NormParams const& p, Real mean, Pair moments) {
      Real reciprocal = Real(p.reciprocal_columns);
      // The last term is 0, but NaN for a row with an infinity, wherever distances are taken from.
      Real correction = p.centered ? moments[0] * reciprocal + Real(0) * moments[1] : Real(0);
      Real variance = moments[1] * reciprocal - correction * correction;
      Real rstd = Real(1) / sqrt(variance + Real(p.epsilon));
      return {mean, correction, rstd, p.centered ? -(is_f64 ? mean + correction : correction) * rstd : Real(0)};
    }
    CUTE_DEVICE Real normalize(float x) const { return (is_f64 ? Real(x) : Real(x) - mean) * rstd + shift; }
  };

  /// x, plus the residual; what is beyond the row is 0.
  CUTE_DEVICE static void load_sum(NormParams const& p, Row const& row, int64_t begin, int columns, int thread,
                                   Fragment& rX) {
    Engine::load(Engine::at_column(row.x, p.x.step, begin), p.x.step, columns, thread, rX);
    if (row.residual) add_residual(p, row, begin, columns, thread, rX);
  }

  CUTE_DEVICE static void add_residual(NormParams const& p, Row const& row, int64_t begin, int columns, int thread,
                                       Fragment& rX) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VECTORS; ++i) {
      Tensor rR = make_tensor<T>(Int<VEC>{});  // (VEC)
      Engine::load_vector(Engine::at_column(row.residual, p.residual.step, begin), p.residual.step, columns, thread, i,
                          rR, T(0));
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) rX(v, i) = T(float(rX(v, i)) + float(rR(v)));  // as it is stored
    }
  }

  /// The same after store_sum(): it may have overwritten an input.
  CUTE_DEVICE static void load_sum_again(NormParams const& p, Row const& row, int64_t begin, int columns, int thread,
                                         Fragment& rX) {
    if (row.sum)
      Engine::load(Engine::at_column(row.sum, p.sum.step, begin), p.sum.step, columns, thread, rX);
    else
      load_sum(p, row, begin, columns, thread, rX);
  }

  CUTE_DEVICE static void store_sum(NormParams const& p, Row const& row, int64_t begin, int columns, int thread,
                                    Fragment const& rX) {
    if (row.sum) Engine::store(rX, Engine::at_column(row.sum, p.sum.step, begin), p.sum.step, columns, thread);
  }

  /// The sum of this thread's elements.
  CUTE_DEVICE static Real total(Fragment const& rX) {
    return Engine::sum([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return Real(Engine::value(rX, i)); });
  }

  /// The sums of the distances from `mean` and of their squares, of this thread's elements.
  CUTE_DEVICE static Pair moments(Fragment const& rX, Real mean, int columns, int thread) {
    return Engine::template sums<2>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      Real distance = Engine::has(i, columns, thread) ? Real(Engine::value(rX, i)) - mean : Real(0);
      return Pair{{distance, distance * distance}};
    });
  }

  CUTE_DEVICE static void store_normalized(NormParams const& p, Row const& row, int64_t begin, int columns, int thread,
                                           Statistics const& statistics, Fragment& rX) {
    if (p.affine_f32)
      store_normalized<float>(p, row, begin, columns, thread, statistics, rX);
    else
      store_normalized<T>(p, row, begin, columns, thread, statistics, rX);
  }

  /// The same with weight and bias of type U.
  template <class U> CUTE_DEVICE static void store_normalized(NormParams const& p, Row const& row, int64_t begin,
                                                              int columns, int thread, Statistics const& statistics,
                                                              Fragment& rX) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VECTORS; ++i) {
      Tensor rW = make_tensor<U>(Int<VEC>{});  // (VEC)
      Tensor rB = make_tensor<U>(Int<VEC>{});  // (VEC)
      load_affine(p.weight, row.begin + begin, columns, thread, i, U(1), rW);
      load_affine(p.bias, row.begin + begin, columns, thread, i, U(0), rB);
      auto result = [&](int j) CUTLASS_LAMBDA_FUNC_INLINE {
        int v = j - i * VEC;
        return float(statistics.normalize(Engine::value(rX, j)) * Real(unpacked(rW, v)) + Real(unpacked(rB, v)));
      };
      Engine::store_vector(result, Engine::at_column(row.y, p.y.step, begin), p.y.step, columns, thread, i);
      Engine::forget_derived(rX);
    }
  }

  /// Vector `i` of this thread's elements of the weight or the bias; `absent` if there is none.
  template <class U, class Vector> CUTE_DEVICE static void load_affine(RowOperand const& operand, int64_t begin,
                                                                       int columns, int thread, int i, U absent,
                                                                       Vector&& rV) {
    if (operand.data)
      Engine::load_vector(Engine::at_column(static_cast<U const*>(operand.data), operand.step, begin), operand.step,
                          columns, thread, i, rV, absent);
    else
      fill(rV, absent);
  }

  CUTE_DEVICE static void store_statistics(NormParams const& p, Part const& part, Statistics const& statistics) {
    if (part.thread != 0 || part.begin != 0 || part.row >= p.grid.rows) return;
    if (p.mean) p.mean[part.row] = float(statistics.mean + statistics.correction);
    if (p.rstd) p.rstd[part.row] = float(statistics.rstd);
  }

  /// A value to take distances from in f64: the row's first element. In f64, sums of distances and their squares from any element of
  /// the row are exact enough: its squared distance from the mean is n variances at most, which cost log2(n) of 53 bits.
  CUTE_DEVICE static Real pivot(NormParams const& p, Row const& row, Part const& part, Reduction& reduction) {
    if (!p.centered) return 0;
    bool is_first = part.thread == 0 && part.begin == 0;
    Real first = 0;
    if (is_first || !row.sum) {
      T x = *Engine::at_column(row.x, p.x.step, -row.begin);
      first = row.residual ? float(T(float(x) + float(*Engine::at_column(row.residual, p.residual.step, -row.begin))))
                           : float(x);
    }
    return row.sum ? reduction(first, Sum()) : first;  // the sum may take the element's place: then one thread reads it
  }

  /// Registers hold the row: it is read once.
  CUTE_DEVICE static void hold(NormParams const& p, Row const& row, Part const& part, Reduction& reduction) {
    int columns = int(part.columns);
    Fragment rX;  // (VEC, VECTORS)
    load_sum(p, row, 0, columns, part.thread, rX);
    Real mean = 0;
    if constexpr (is_f64) mean = pivot(p, row, part, reduction);
    store_sum(p, row, 0, columns, part.thread, rX);
    if constexpr (!is_f64)
      if (p.centered) mean = reduction(total(rX), Sum()) * Real(p.reciprocal_columns);
    Engine::forget_derived(rX);
    Statistics statistics = Statistics::of(p, mean, reduction(moments(rX, mean, columns, part.thread), Sum()));
    Engine::forget_derived(rX);
    store_statistics(p, part, statistics);
    store_normalized(p, row, 0, columns, part.thread, statistics, rX);
  }

  /// Shared memory holds it.
  CUTE_DEVICE static void hold_in_shared(NormParams const& p, Row const& row, Part const& part, Reduction& reduction) {
    using Source = RowSource<Config, 1>;
    __shared__ typename Source::Storage storage;
    Source source(storage, {{{row.x, p.x.step}}}, part.columns);
    Real mean = 0;
    if constexpr (is_f64) mean = pivot(p, row, part, reduction);
    if (row.residual || (!is_f64 && p.centered)) {
      Real sum = 0;
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        Fragment rX;  // (VEC, VECTORS)
        source.load(0, begin, columns, part.thread, rX);
        if (row.residual) {
          add_residual(p, row, begin, columns, part.thread, rX);
          source.put(0, begin, columns, part.thread, rX);
          store_sum(p, row, begin, columns, part.thread, rX);
        }
        if constexpr (!is_f64) sum += total(rX);
      });
      if constexpr (!is_f64)
        if (p.centered) mean = reduction(sum, Sum()) * Real(p.reciprocal_columns);
    }
    auto load = [&](int64_t begin, int columns, Fragment& rX)
                    CUTLASS_LAMBDA_FUNC_INLINE { source.load(0, begin, columns, part.thread, rX); };
    normalize_in_pieces(p, row, part, reduction, mean, load, load);
  }

  /// The last two passes over a row, in pieces that first(begin, columns, rX) and again(begin, columns, rX) bring: for the statistics, with
  /// distances taken from `mean`, and for the result.
  template <class First, class Again>
  CUTE_DEVICE static void normalize_in_pieces(NormParams const& p, Row const& row, Part const& part,
                                              Reduction& reduction, Real mean, First const& first, Again const& again) {
    Pair sums{{0, 0}};
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      Fragment rX;  // (VEC, VECTORS)
      first(begin, columns, rX);
      Pair piece = moments(rX, mean, columns, part.thread);
      sums = {{sums[0] + piece[0], sums[1] + piece[1]}};
    });
    Statistics statistics = Statistics::of(p, mean, reduction(sums, Sum()));
    store_statistics(p, part, statistics);
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      Fragment rX;  // (VEC, VECTORS)
      again(begin, columns, rX);
      store_normalized(p, row, begin, columns, part.thread, statistics, rX);
    });
  }

  /// The row is read twice from global memory.
  CUTE_DEVICE static void stream(NormParams const& p, Row const& row, Part const& part, Reduction& reduction) {
    static_assert(is_f64);
    auto first = [&](int64_t begin, int columns, Fragment& rX) CUTLASS_LAMBDA_FUNC_INLINE {
      load_sum(p, row, begin, columns, part.thread, rX);
      store_sum(p, row, begin, columns, part.thread, rX);
    };
    auto again = [&](int64_t begin, int columns, Fragment& rX)
                     CUTLASS_LAMBDA_FUNC_INLINE { load_sum_again(p, row, begin, columns, part.thread, rX); };
    normalize_in_pieces(p, row, part, reduction, pivot(p, row, part, reduction), first, again);
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_NORM_ENTRY(NAME)                                                                 \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME).threads(),       \
                                               ckl::parse_row_config(#NAME).blocks_per_sm()) \
      ckl_norm_##NAME(__grid_constant__ ckl::NormParams const params) {                      \
    ckl::device::NormKernel<ckl::parse_row_config(#NAME)>::run(params);                      \
  }
