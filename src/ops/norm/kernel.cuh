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
    auto spans = [&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      return RowSpans<T, 1>{{{Engine::at(p.grid, p.x, part)}}, {{p.x.step}}, part.columns};
    };
    using Rows = Rows<Config, 1, decltype(spans)>;
    __shared__ typename Rows::Storage row_storage;
    Rows rows(row_storage, p.grid, spans);
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      if constexpr (Config.kind == RowKind::stream)
        stream(p, part, rows, reduction);
      else
        hold(p, part, rows, reduction);
    });
  }

 private:
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

  /// From column `begin` of the part on; what is beyond the row stays 0.
  CUTE_DEVICE static void add_residual(NormParams const& p, Part const& part, int64_t begin, int columns,
                                       Fragment& rX) {
    if (!p.residual.data) return;
    T const* residual = Engine::at_column(Engine::at(p.grid, p.residual, part), p.residual.step, begin);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VECTORS; ++i) {
      Tensor rR = make_tensor<T>(Int<VEC>{});  // (VEC)
      Engine::load_vector(residual, p.residual.step, columns, part.thread, i, rR, T(0));
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) rX(v, i) = T(float(rX(v, i)) + float(rR(v)));  // as it is stored
    }
  }

  /// Where column `begin` of the part of the stored sum is.
  CUTE_DEVICE static T* sum_at(NormParams const& p, Part const& part, int64_t begin) {
    return Engine::at_column(Engine::at(p.grid, p.sum, part), p.sum.step, begin);
  }

  CUTE_DEVICE static void store_sum(NormParams const& p, Part const& part, int64_t begin, int columns,
                                    Fragment const& rX) {
    if (p.sum.data) Engine::store(rX, sum_at(p, part, begin), p.sum.step, columns, part.thread);
  }

  /// The sum of this thread's elements.
  CUTE_DEVICE static Real total(Fragment const& rX) {
    return Engine::sum([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return Real(Engine::value(rX, i)); });
  }

  /// The sums of the distances from `mean` and of their squares, of this thread's elements.
  CUTE_DEVICE static Pair moments(Fragment const& rX, Real mean, int columns, int thread) {
    return Engine::template sums<2>(
        [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
          Real distance = Real(Engine::value(rX, i)) - mean;
          return Pair{{distance, distance * distance}};
        },
        columns, thread);
  }

  /// The result at `y`, from column `begin` of the part on.
  CUTE_DEVICE static void store_normalized(NormParams const& p, Part const& part, T* y, int64_t begin, int columns,
                                           Statistics const& statistics, Fragment& rX) {
    if (p.affine_f32)
      store_normalized<float>(p, part, y, begin, columns, statistics, rX);
    else
      store_normalized<T>(p, part, y, begin, columns, statistics, rX);
  }

  /// The same with weight and bias of type U.
  template <class U> CUTE_DEVICE static void store_normalized(NormParams const& p, Part const& part, T* y,
                                                              int64_t begin, int columns, Statistics const& statistics,
                                                              Fragment& rX) {
    auto affine = [&](RowOperand const& operand) CUTLASS_LAMBDA_FUNC_INLINE {
      return Engine::at_column(static_cast<U const*>(operand.data), operand.step, part.begin + begin);
    };
    U const *weight = affine(p.weight), *bias = affine(p.bias);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VECTORS; ++i) {
      Tensor rW = make_tensor<U>(Int<VEC>{});  // (VEC)
      Tensor rB = make_tensor<U>(Int<VEC>{});  // (VEC)
      if (p.weight.data)
        Engine::load_vector(weight, p.weight.step, columns, part.thread, i, rW, U(1));
      else
        fill(rW, U(1));
      if (p.bias.data)
        Engine::load_vector(bias, p.bias.step, columns, part.thread, i, rB, U(0));
      else
        fill(rB, U(0));
      auto result = [&](int j) CUTLASS_LAMBDA_FUNC_INLINE {
        int v = j - i * VEC;
        return float(statistics.normalize(Engine::value(rX, j)) * Real(unpacked(rW, v)) + Real(unpacked(rB, v)));
      };
      Engine::store_vector(result, y, p.y.step, columns, part.thread, i);
      Engine::forget_derived(rX);
    }
  }

  CUTE_DEVICE static void store_statistics(NormParams const& p, Part const& part, Statistics const& statistics) {
    if (part.thread != 0 || part.begin != 0 || part.row >= p.grid.rows) return;
    if (p.mean) p.mean[part.row] = float(statistics.mean + statistics.correction);
    if (p.rstd) p.rstd[part.row] = float(statistics.rstd);
  }

  /// A value to take distances from in f64: the first element of the part. In f64, sums of distances and their squares from any element
  /// of the row are exact enough: its squared distance from the mean is n variances at most, which cost log2(n) of 53 bits.
  CUTE_DEVICE static Real pivot(NormParams const& p, Part const& part, Real first, Reduction& reduction,
                                Fragment const& rX) {
    if (!p.centered) return 0;
    if (!p.residual.data) return first;
    return reduction.in_group(part.thread == 0 ? Real(Engine::value(rX, 0)) : Real(0), Sum());
  }

  /// The statistics of a row whose parts' moments are about a mean of their own.
  CUTE_DEVICE static Statistics over_cluster(NormParams const& p, Reduction& reduction, Real mean, Pair moments) {
    if constexpr (Engine::is_cluster) {
      if (Engine::blocks() > 1) {
        auto const& parts = reduction.gather(cute::array<Real, 3>{{mean, moments[0], moments[1]}});
        auto columns = [&](int block) { return Real(Engine::columns_of_block(p.grid, block)); };
        if (p.centered) {
          mean = 0;
          for (int block = 0; block < Engine::blocks(); ++block)
            mean += columns(block) * Real(p.reciprocal_columns) * parts[0][block];
        }
        moments = Pair{{0, 0}};
        for (int block = 0; block < Engine::blocks(); ++block) {
          Real distance = p.centered ? parts[0][block] - mean : Real(0);
          moments[0] += parts[1][block] + columns(block) * distance;
          moments[1] += parts[2][block];
          if (p.centered) moments[1] += distance * (2 * parts[1][block] + columns(block) * distance);
        }
      }
    }
    return Statistics::of(p, mean, moments);
  }

  /// Registers hold the row: it is read once.
  template <class Rows>
  CUTE_DEVICE static void hold(NormParams const& p, Part const& part, Rows& rows, Reduction& reduction) {
    int columns = int(part.columns);
    Fragment rX;  // (VEC, VECTORS)
    rows.load(0, 0, columns, rX);
    Real first = Real(part.columns > 0 ? rows.first(0) : 0.0f), mean = 0;
    rows.advance();
    add_residual(p, part, 0, columns, rX);
    if constexpr (is_f64) mean = pivot(p, part, first, reduction, rX);
    store_sum(p, part, 0, columns, rX);
    if constexpr (!is_f64) {
      Real reciprocal = Engine::is_cluster ? Real(1) / Real(columns > 0 ? columns : 1) : Real(p.reciprocal_columns);
      if (p.centered) mean = reduction.in_group(total(rX), Sum()) * reciprocal;
    }
    Engine::forget_derived(rX);
    Pair sums = reduction.in_group(moments(rX, mean, columns, part.thread), Sum());
    Statistics statistics = over_cluster(p, reduction, mean, sums);
    store_statistics(p, part, statistics);
    Engine::forget_derived(rX);
    store_normalized(p, part, Engine::at(p.grid, p.y, part), 0, columns, statistics, rX);
  }

  /// The row is read twice from global memory.
  template <class Rows>
  CUTE_DEVICE static void stream(NormParams const& p, Part const& part, Rows& rows, Reduction& reduction) {
    static_assert(is_f64);
    T* y = Engine::at(p.grid, p.y, part);
    Fragment rX;  // (VEC, VECTORS)
    Real first = Real(part.columns > 0 ? rows.first(0) : 0.0f), mean = 0;
    Pair sums{{0, 0}};
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      rows.load(0, begin, columns, rX);
      add_residual(p, part, begin, columns, rX);
      if (begin == 0) mean = pivot(p, part, first, reduction, rX);
      store_sum(p, part, begin, columns, rX);
      Pair piece = moments(rX, mean, columns, part.thread);
      sums = {{sums[0] + piece[0], sums[1] + piece[1]}};
    });
    Statistics statistics = over_cluster(p, reduction, mean, reduction.in_group(sums, Sum()));
    store_statistics(p, part, statistics);
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      if (p.sum.data) {  // it may have overwritten an input
        Engine::load(sum_at(p, part, begin), p.sum.step, columns, part.thread, rX);
      } else {
        rows.load(0, begin, columns, rX);
        add_residual(p, part, begin, columns, rX);
      }
      store_normalized(p, part, Engine::at_column(y, p.y.step, begin), begin, columns, statistics, rX);
    });
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
