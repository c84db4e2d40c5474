#pragma once

// LayerNorm and RMSNorm of rows: y = (x - mean) * rstd * weight + bias, with rstd = 1 / sqrt(variance + epsilon); RMSNorm takes the mean
// to be 0. The variance is summed up around the mean, or in f64 around an element of the row, so that a large mean costs no digits.
// Quantized, y is fp8: divided by a scale of the row's own, which its largest magnitude decides.

#include "device/quantization.cuh"
#include "device/row_engine.cuh"
#include "device/row_source.cuh"
#include "ops/norm/params.hpp"

namespace ckl::device {

template <RowConfig Config, bool Quantized = false> struct NormKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Real = typename Engine::Real;
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;
  using Y = cute::conditional_t<Quantized, uint8_t, T>;  // an fp8 number's bits
  using Pair = cute::array<Real, 2>;
  static constexpr bool is_f64 = sizeof(Real) == sizeof(double);
  static constexpr int VALUES = Engine::VALUES, VEC = Engine::VEC;

  CUTE_DEVICE static void run(NormParams const& p) {
    if constexpr (Config.is_ahead()) allow_next_grid();
    auto spans = [&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      return RowSpans<T, 1>{{{Engine::at(p.grid, p.x, part)}}, {{p.x.step}}, part.columns};
    };
    using Rows = Rows<Config, 1, decltype(spans)>;
    __shared__ typename Rows::Storage row_storage;
    Rows rows(row_storage, p.grid, spans);
    if constexpr (Config.is_ahead()) wait_for_preceding_grids();
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      if constexpr (Config.in_pieces())
        pass_twice(p, part, rows, reduction);
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

  /// Calls f(i, result) for each of the thread's vectors, from column `begin` of the part on, where result(j) is what becomes of the
  /// thread's element j, one of the vector's.
  template <class F> CUTE_DEVICE static void for_each_vector(NormParams const& p, Part const& part, int64_t begin,
                                                             int columns, Statistics const& statistics, Fragment& rX,
                                                             F const& f) {
    // Weights are not loaded across a branch: so those of all vectors do not take registers at once where no store is in between.
    constexpr int AT_ONCE = Quantized ? 1 : Engine::VECTORS;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VECTORS; i += AT_ONCE)
      if (p.affine_f32)
        for_each_vector<float>(p, part, begin, columns, statistics, rX, i, i + AT_ONCE, f);
      else
        for_each_vector<T>(p, part, begin, columns, statistics, rX, i, i + AT_ONCE, f);
  }

  /// The same of vectors `first` to `last` - 1, with weight and bias of type U.
  template <class U, class F>
  CUTE_DEVICE static void for_each_vector(NormParams const& p, Part const& part, int64_t begin, int columns,
                                          Statistics const& statistics, Fragment& rX, int first, int last, F const& f) {
    auto affine = [&](RowOperand const& operand) CUTLASS_LAMBDA_FUNC_INLINE {
      return Engine::at_column(static_cast<U const*>(operand.data), operand.step, part.begin + begin);
    };
    U const *weight = affine(p.weight), *bias = affine(p.bias);
    CUTLASS_PRAGMA_UNROLL
    for (int i = first; i < last; ++i) {
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
      f(i, result);
      Engine::forget_derived(rX);
    }
  }

  /// Stores vector `i` of the result at `y`, from which fp8 types are told apart at run time.
  template <class Values> CUTE_DEVICE static void store_vector(NormParams const& p, Values const& values, Y* y,
                                                               int columns, int thread, int i) {
    if constexpr (!Quantized) {
      Engine::store_vector(values, y, p.y.step, columns, thread, i);
    } else {
      Tensor gY = Engine::vector_at(y, p.y.step, thread, i);  // (VEC)
      Tensor rY = make_tensor<Y>(Int<VEC>{});                 // (VEC)
      to_fp8<VEC>([&](int v) CUTLASS_LAMBDA_FUNC_INLINE { return values(i * VEC + v); }, p.y_dtype, rY);
      if (Engine::has(i * VEC, columns, thread)) copy(typename Engine::Vectorized{}, rY, gY);
    }
  }

  /// The result at `y`, from column `begin` of the part on; `scale` is what it goes through before it is rounded.
  template <class Scale>
  CUTE_DEVICE static void store_normalized(NormParams const& p, Part const& part, Y* y, int64_t begin, int columns,
                                           Statistics const& statistics, Fragment& rX, Scale const& scale) {
    for_each_vector(p, part, begin, columns, statistics, rX, [&](int i, auto const& result) CUTLASS_LAMBDA_FUNC_INLINE {
      auto scaled = [&](int j) CUTLASS_LAMBDA_FUNC_INLINE { return scale(result(j)); };
      store_vector(p, scaled, y, columns, part.thread, i);
    });
  }

  /// What the row's results go through before they are rounded. Quantized, that is its scale, which is stored as well: the group's
  /// threads, and the cluster's, have found `largest`, their largest magnitudes.
  CUTE_DEVICE static auto scale_of_row(NormParams const& p, Part const& part, float largest, Reduction& reduction) {
    if constexpr (Quantized) {
      RowScale scale = RowScale::of(float(reduction(Real(largest), Max())), p.y_dtype);
      if (part.thread == 0 && part.begin == 0 && part.row < p.grid.rows) p.scale[part.row] = scale.scale;
      return scale;
    } else {
      return cute::identity{};
    }
  }

  /// Whether results can take the place of their elements in registers. Others are computed again when their scale is known: as floats
  /// they would take more registers than there are.
  static constexpr bool keeps_results = cute::is_same_v<T, float> && !Config.in_pieces();

  /// The largest magnitude of `largest` and of what becomes of the thread's elements, which replaces them if it can. NaNs do not count.
  CUTE_DEVICE static float largest_result(NormParams const& p, Part const& part, int64_t begin, int columns,
                                          Statistics const& statistics, Fragment& rX, float largest) {
    for_each_vector(p, part, begin, columns, statistics, rX, [&](int i, auto const& result) CUTLASS_LAMBDA_FUNC_INLINE {
      float of_vector = 0;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) {
        float y = result(i * VEC + v);
        if constexpr (keeps_results) rX(v, i) = y;
        of_vector = fmaxf(of_vector, fabsf(y));
      }
      if (Engine::has(i * VEC, columns, part.thread)) largest = fmaxf(largest, of_vector);
    });
    return largest;
  }

  /// The quantized result of elements after largest_result().
  CUTE_DEVICE static void store_quantized(NormParams const& p, Part const& part, Y* y, int columns,
                                          Statistics const& statistics, Fragment& rX, RowScale const& scale) {
    if constexpr (keeps_results) {
      auto scaled = [&](int j) CUTLASS_LAMBDA_FUNC_INLINE { return scale(rX(j)); };
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < Engine::VECTORS; ++i) store_vector(p, scaled, y, columns, part.thread, i);
    } else {
      store_normalized(p, part, y, 0, columns, statistics, rX, scale);
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
    if constexpr (Quantized) {
      float largest = largest_result(p, part, 0, columns, statistics, rX, 0);
      RowScale scale = scale_of_row(p, part, largest, reduction);
      store_quantized(p, part, Engine::template at<Y>(p.grid, p.y, part), columns, statistics, rX, scale);
    } else {
      store_normalized(p, part, Engine::at(p.grid, p.y, part), 0, columns, statistics, rX, cute::identity{});
    }
  }

  /// The row is read twice from where it lives; quantized, a third time, since its scale depends on what the statistics make of it; and once
  /// before where the mean is wanted in f32, from shared memory.
  template <class Rows>
  CUTE_DEVICE static void pass_twice(NormParams const& p, Part const& part, Rows& rows, Reduction& reduction) {
    Y* y = Engine::template at<Y>(p.grid, p.y, part);
    Fragment rX;  // (VEC, VECTORS)
    Real first = Real(part.columns > 0 ? rows.first(0) : 0.0f), mean = 0;
    if constexpr (!is_f64)
      if (p.centered) {
        Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
          rows.load(0, begin, columns, rX);
          add_residual(p, part, begin, columns, rX);
          mean += total(rX);
        });
        mean = reduction.in_group(mean, Sum()) / Real(part.columns > 0 ? part.columns : 1);
      }
    Pair sums{{0, 0}};
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      rows.load(0, begin, columns, rX);
      add_residual(p, part, begin, columns, rX);
      if constexpr (is_f64)
        if (begin == 0) mean = pivot(p, part, first, reduction, rX);
      store_sum(p, part, begin, columns, rX);
      Pair piece = moments(rX, mean, columns, part.thread);
      sums = {{sums[0] + piece[0], sums[1] + piece[1]}};
    });
    Statistics statistics = over_cluster(p, reduction, mean, reduction.in_group(sums, Sum()));
    store_statistics(p, part, statistics);
    auto again = [&](auto const& f) CUTLASS_LAMBDA_FUNC_INLINE {
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        if (p.sum.data) {  // it may have overwritten an input
          Engine::load(sum_at(p, part, begin), p.sum.step, columns, part.thread, rX);
        } else {
          rows.load(0, begin, columns, rX);
          add_residual(p, part, begin, columns, rX);
        }
        f(begin, columns);
      });
    };
    float largest = 0;
    if constexpr (Quantized)
      again([&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        largest = largest_result(p, part, begin, columns, statistics, rX, largest);
      });
    auto scale = scale_of_row(p, part, largest, reduction);
    again([&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      store_normalized(p, part, Engine::at_column(y, p.y.step, begin), begin, columns, statistics, rX, scale);
    });
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_NORM_ENTRY(NAME)                                                                                  \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME, ckl::norm_needs).threads(),       \
                                               ckl::parse_row_config(#NAME, ckl::norm_needs).blocks_per_sm()) \
      ckl_norm_##NAME(__grid_constant__ ckl::NormParams const params) {                                       \
    ckl::device::NormKernel<ckl::parse_row_config(#NAME, ckl::norm_needs)>::run(params);                      \
  }
