#pragma once

// LayerNorm and RMSNorm of rows: y = (x - mean) * rstd * weight + bias, with rstd = 1 / sqrt(variance + epsilon); RMSNorm takes the mean
// to be 0. The variance is summed up around 0 if the mean is near, else around the mean, or in f64 around an element of the row, so that a large
// mean costs no digits.
// Quantized, y is fp8: divided by a scale of the row's own, which its largest magnitude decides.

#include <cfloat>

#include "device/quantization.cuh"
#include "device/row_engine.cuh"
#include "device/row_source.cuh"
#include "device/shifted_vector.cuh"
#include "device/widened.cuh"
#include "ops/norm/params.hpp"

namespace ckl::device {

/// IsPlain: for rows without a residual whose weight is of x's type, and nothing else.
template <RowConfig Config, bool Quantized = false, bool IsPlain = false> struct NormKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Real = typename Engine::Real;
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;
  using Y = cute::conditional_t<Quantized, uint8_t, T>;  // an fp8 number's bits
  using Pair = cute::array<Real, 2>;
  static constexpr bool is_f64 = sizeof(Real) == sizeof(double);
  /// Whether elements are normalized without a conversion. From shared memory that gains nothing: it takes more instructions.
  static constexpr bool widens = is_f64 && !Config.in_pieces();
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
      if (!IsPlain && has_plain_path && has_usual_weight(p) && !p.residual.data)
        NormKernel<Config, Quantized, has_plain_path>::normalize(p, part, rows, reduction);
      else
        normalize(p, part, rows, reduction);
    });
  }

  /// Normalizes a row, or its part.
  template <class Rows>
  CUTE_DEVICE static void normalize(NormParams const& p, Part const& part, Rows& rows, Reduction& reduction) {
    if constexpr (Config.in_pieces())
      pass_twice(p, part, rows, reduction);
    else
      hold(p, part, rows, reduction);
  }

 protected:
  /// Whether usual operands have a path of their own. Quantized in f64 it would save little, and take registers that are not there.
  static constexpr bool has_usual_path = Config.vector && !(Quantized && is_f64);

  /// Whether plain rows have code of their own, so that what is executed lies together. Elsewhere it would take registers that are not there.
  static constexpr bool has_plain_path = has_usual_path && !Quantized && Config.rows_per_block() == 1 &&
                                         (!is_f64 || (Config.kind == RowKind::shared && !Config.reads_again()));

  /// Whether there is a weight of the elements' type.
  CUTE_DEVICE static bool has_usual_weight(NormParams const& p) {
    return has_usual_path && (IsPlain || (p.weight.data && p.affine_f32 == cute::is_same_v<T, float>));
  }
  CUTE_DEVICE static bool has_residual(NormParams const& p) { return !IsPlain && p.residual.data; }
  CUTE_DEVICE static bool has_sum(NormParams const& p) { return !IsPlain && p.sum.data; }

  /// The mean in two parts: what is left after subtracting `mean`, which is 0 where the row's is near, averages to `correction`.
  struct Statistics {
    Real mean, correction, rstd;
    Real shift;  // of (x - mean) * rstd, or in f64, which has digits enough, of x * rstd

    CUTE_DEVICE static Statistics of(NormParams const& p, Real mean, Pair moments) {
      Real reciprocal = Real(p.reciprocal_columns);
      // The last term is 0, but NaN for a row with an infinity, wherever distances are taken from.
      Real correction = p.centered ? moments[0] * reciprocal + Real(0) * moments[1] : Real(0);
      Real variance = moments[1] * reciprocal - correction * correction;
      Real rstd = reciprocal_root(variance + Real(p.epsilon));
      return {mean, correction, rstd, p.centered ? -(is_f64 ? mean + correction : correction) * rstd : Real(0)};
    }
    CUTE_DEVICE static float reciprocal_root(float x) { return rsqrtf(x); }  // off by two units at most
    CUTE_DEVICE static double reciprocal_root(double x) { return 1 / sqrt(x); }

    CUTE_DEVICE Real normalize(float x) const { return (is_f64 ? Real(x) : Real(x) - mean) * rstd + shift; }
    /// Whether normalize_usual() may take its place, as for most rows: `mean` need not be subtracted, or what is widened is finite, and so is
    /// what makes up for it.
    CUTE_DEVICE bool is_usual() const { return widens ? rstd > 0 && rstd < Real(0x1p127) : is_f64 || mean == 0; }
    CUTE_DEVICE Real normalize_usual(float x) const {
      if constexpr (widens) return widened(x) * (rstd * widened_unit) + shift;
      return Real(x) * rstd + shift;
    }
  };

  /// From column `begin` of the part on; what is beyond the row stays 0.
  CUTE_DEVICE static void add_residual(NormParams const& p, Part const& part, int64_t begin, int columns,
                                       Fragment& rX) {
    if (!has_residual(p)) return;
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
    if (has_sum(p)) Engine::store(rX, sum_at(p, part, begin), p.sum.step, columns, part.thread);
  }

  /// The sums of this thread's elements and of their squares: what is beyond the row is 0.
  CUTE_DEVICE static Pair moments(Fragment const& rX) {
    return Engine::template sums<2>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      Real x = Real(Engine::value(rX, i));
      return Pair{{x, x * x}};
    });
  }

  /// The sums of the distances from `mean` and of their squares, of this thread's elements. What is beyond the row is 0, and at no distance.
  CUTE_DEVICE static Pair moments(Fragment const& rX, Real mean, int columns, int thread) {
    return Engine::template sums<2>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      Real distance = Real(Engine::value(rX, i)) - (Engine::has(i, columns, thread) ? mean : Real(0));
      return Pair{{distance, distance * distance}};
    });
  }

  /// Calls f(i, result) for each of the thread's vectors, from column `begin` of the part on, where result(j) is what becomes of the
  /// thread's element j, one of the vector's. Where vectors are under way early, f is called for those beyond the row, too.
  template <class F> CUTE_DEVICE static void for_each_vector(NormParams const& p, Part const& part, int64_t begin,
                                                             int columns, Statistics const& statistics, Fragment& rX,
                                                             F const& f) {
    constexpr bool is_f32 = cute::is_same_v<T, float>;
    if (has_usual_weight(p) && statistics.is_usual()) {
      if (p.bias.data)
        for_each_usual_vector<true>(p, part, begin, columns, statistics, rX, f);
      else
        for_each_usual_vector<false>(p, part, begin, columns, statistics, rX, f);
    } else if (is_f32 || (!IsPlain && p.affine_f32)) {
      for_each_vector<float>(p, part, begin, columns, statistics, rX, f);
    } else {
      for_each_vector<T>(p, part, begin, columns, statistics, rX, f);
    }
  }

  /// The same as most rows have it: a weight, maybe a bias, both of the elements' type, and a mean near 0. Few instructions, and the operands
  /// of the next vector are under way while one is worked on.
  template <bool HasBias, class F>
  CUTE_DEVICE static void for_each_usual_vector(NormParams const& p, Part const& part, int64_t begin, int columns,
                                                Statistics const& statistics, Fragment& rX, F const& f) {
    T const *weight = affine_at<T>(p.weight, part, begin), *bias = affine_at<T>(p.bias, part, begin);
    Tensor rW = make_tensor<T>(Shape<Int<VEC>, Int<UNDER_WAY>>{});  // (VEC, UNDER_WAY)
    Tensor rB = make_tensor<T>(Shape<Int<VEC>, Int<UNDER_WAY>>{});  // (VEC, UNDER_WAY)
    clear(rW);
    clear(rB);
    auto load = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      if (i >= Engine::VECTORS || !Engine::has(i * VEC, columns, part.thread)) return;
      copy(typename Engine::Vectorized{}, Engine::vector_at(weight, p.weight.step, part.thread, i),
           rW(_, i % UNDER_WAY));
      if constexpr (HasBias)
        copy(typename Engine::Vectorized{}, Engine::vector_at(bias, p.bias.step, part.thread, i), rB(_, i % UNDER_WAY));
    };
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < UNDER_WAY - 1; ++i) load(i);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VECTORS; ++i) {
      if (UNDER_WAY == 1 && !Engine::has(i * VEC, columns, part.thread)) continue;
      load(i + UNDER_WAY - 1);
      Tensor rOfW = rW(_, i % UNDER_WAY);  // (VEC)
      Tensor rOfB = rB(_, i % UNDER_WAY);  // (VEC)
      auto result = [&](int j) CUTLASS_LAMBDA_FUNC_INLINE {
        Real y = statistics.normalize_usual(Engine::value(rX, j)) * Real(unpacked(rOfW, j % VEC));
        return float(HasBias ? y + Real(unpacked(rOfB, j % VEC)) : y);
      };
      f(i, result);
      Engine::forget_derived(rX);
    }
  }

  /// Of the weight and the bias, vectors that are under way at a time. Quantized, registers are short: a vector's operands are loaded behind
  /// a branch, which those of the next one do not cross.
  static constexpr int UNDER_WAY = Quantized ? 1 : 2;

  /// Where column `begin` of a part of the weight or the bias, of type U, is.
  template <class U> CUTE_DEVICE static U const* affine_at(RowOperand const& operand, Part const& part, int64_t begin) {
    return Engine::at_column(static_cast<U const*>(operand.data), operand.step, part.begin + begin);
  }

  /// The same with weight and bias, where they are, of type U.
  template <class U, class F>
  CUTE_DEVICE static void for_each_vector(NormParams const& p, Part const& part, int64_t begin, int columns,
                                          Statistics const& statistics, Fragment& rX, F const& f) {
    U const *weight = affine_at<U>(p.weight, part, begin), *bias = affine_at<U>(p.bias, part, begin);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VECTORS; ++i) {
      if (!Engine::has(i * VEC, columns, part.thread)) continue;
      auto load = [&](U const* data, int64_t step, U filling) CUTLASS_LAMBDA_FUNC_INLINE {
        Tensor r = make_tensor<U>(Int<VEC>{});  // (VEC)
        fill(r, filling);
        if (data) copy(typename Engine::Vectorized{}, Engine::vector_at(data, step, part.thread, i), r);
        return r;
      };
      Tensor rW = load(p.weight.data ? weight : nullptr, p.weight.step, U(1));  // (VEC)
      Tensor rB = load(p.bias.data ? bias : nullptr, p.bias.step, U(0));        // (VEC)
      auto result = [&](int j) CUTLASS_LAMBDA_FUNC_INLINE {
        Real normal = statistics.normalize(Engine::value(rX, j));
        return float(normal * Real(unpacked(rW, j % VEC)) + Real(unpacked(rB, j % VEC)));
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
      auto of_vector = [&](int v) CUTLASS_LAMBDA_FUNC_INLINE { return values(i * VEC + v); };
      if (p.y_dtype == DType::e4m3)
        to_fp8<cutlass::float_e4m3_t, VEC>(of_vector, rY);
      else
        to_fp8<cutlass::float_e5m2_t, VEC>(of_vector, rY);
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
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) {
        float y = result(i * VEC + v);
        if constexpr (keeps_results) rX(v, i) = y;
        largest = fmaxf(largest, fabsf(y));
      }
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
    if (part.thread != 0 || (Config.is_shared() && part.begin != 0) || part.row >= p.grid.rows) return;
    if (p.mean) p.mean[part.row] = float(statistics.mean + statistics.correction);
    if (p.rstd) p.rstd[part.row] = float(statistics.rstd);
  }

  /// A value to take distances from in f64: the first element of the part. In f64, sums of distances and their squares from any element
  /// of the row are exact enough: its squared distance from the mean is n variances at most, which cost log2(n) of 53 bits.
  CUTE_DEVICE static Real pivot(NormParams const& p, Part const& part, Real first, Reduction& reduction,
                                Fragment const& rX) {
    if (!p.centered) return 0;
    if (!has_residual(p)) return first;
    return reduction.in_group(part.thread == 0 ? Real(Engine::value(rX, 0)) : Real(0), Sum());
  }

  /// Of a part whose moments about 0 are `sums`: where its mean is so far from 0 that the variance would lose digits, takes the moments about
  /// that, of which about(mean) are this thread's share. Otherwise `mean` stays 0.
  template <class About> CUTE_DEVICE static void recenter(NormParams const& p, Part const& part, Reduction& reduction,
                                                          Real& mean, Pair& sums, About const& about) {
    if (!p.centered) return;
    Real reciprocal =
        Engine::is_cluster ? Real(1) / Real(part.columns > 0 ? part.columns : 1) : Real(p.reciprocal_columns);
    Real of_row = sums[0] * reciprocal;
    // Up to 1.7 deviations cost two bits. A NaN or an infinity counts as far.
    bool is_far = !(of_row * of_row <= Real(0.75) * sums[1] * reciprocal && sums[1] <= Real(FLT_MAX));
    if (!Reduction::any_group_of_warp(is_far)) return;
    if (is_far) mean = of_row;
    sums = reduction.in_group_aside(about(mean), Sum());
  }

  /// The statistics of a row whose parts' moments are about a mean of their own.
  CUTE_DEVICE static Statistics over_cluster(NormParams const& p, Reduction& reduction, Real mean, Pair moments) {
    if constexpr (Engine::is_cluster) {
      if (Engine::blocks() > 1) {
        auto const& parts = reduction.gather(cute::array<Real, 3>{{mean, moments[0], moments[1]}});
        if constexpr (Config.in_pieces())
          over_parts(p, parts, Int<2>{}, mean, moments);
        else  // registers hold the row, and have no room for what an unrolled loop loads
          over_parts(p, parts, Engine::blocks(), mean, moments);
      }
    }
    return Statistics::of(p, mean, moments);
  }

  /// The mean and the moments of a row whose parts have `parts`: `blocks` of them; if that is a constant, as many, or twice as many and so on,
  /// and it is unrolled, since a block does nothing else meanwhile.
  template <class Parts, class Blocks> CUTE_DEVICE static void over_parts(NormParams const& p, Parts const& parts,
                                                                          Blocks blocks, Real& mean, Pair& moments) {
    if constexpr (cute::is_static<Blocks>::value && blocks < Int<Config.max_cluster()>{})
      if (Engine::blocks() > blocks) return over_parts(p, parts, blocks * Int<2>{}, mean, moments);
    // All but the last one have as many columns.
    using Column = typename Engine::Column;
    const Column part = Column(p.grid.part), last = Column(p.grid.columns) - (blocks - 1) * part;
    auto columns = [blocks, whole = Real(part), last = Real(last)](int block) {
      return block < blocks - 1 ? whole : last;
    };
    moments = Pair{{0, 0}};
    if (!p.centered) {
      CUTLASS_PRAGMA_UNROLL
      for (int block = 0; block < blocks; ++block)
        moments = {{moments[0] + parts[1][block], moments[1] + parts[2][block]}};
      return;
    }
    mean = 0;
    CUTLASS_PRAGMA_UNROLL
    for (int block = 0; block < blocks; ++block) mean += columns(block) * Real(p.reciprocal_columns) * parts[0][block];
    CUTLASS_PRAGMA_UNROLL
    for (int block = 0; block < blocks; ++block) {
      Real distance = parts[0][block] - mean;
      moments[0] += parts[1][block] + columns(block) * distance;
      moments[1] += parts[2][block];
      moments[1] += distance * (2 * parts[1][block] + columns(block) * distance);
    }
  }

  /// Registers hold the row: it is read once.
  template <class Rows>
  CUTE_DEVICE static void hold(NormParams const& p, Part const& part, Rows& rows, Reduction& reduction) {
    int columns = int(part.columns);
    Fragment rX;  // (VEC, VECTORS)
    rows.load(0, 0, columns, rX);
    Real first = Real(part.columns > 0 ? rows.first(0) : 0.0f), mean = 0;
    rows.advance();
    // A ring without a barrier here has more under way at once than there are registers for. In f64, which vectors there are is found out again.
    if constexpr (Engine::is_cluster)
      Reduction::sync();
    else if constexpr (Config.kind == RowKind::pipeline && Quantized)
      warp_sync();
    if constexpr (Engine::is_cluster && Quantized && is_f64)
      columns ^= int(p.grid.columns >> 62);  // by 0, as renew() does
    add_residual(p, part, 0, columns, rX);
    if constexpr (is_f64) mean = pivot(p, part, first, reduction, rX);
    store_sum(p, part, 0, columns, rX);
    Engine::forget_derived(rX);
    Pair sums;
    if constexpr (is_f64) {
      sums = reduction.in_group(moments(rX, mean, columns, part.thread), Sum());
    } else {
      sums = reduction.in_group(moments(rX), Sum());
      recenter(p, part, reduction, mean, sums, [&](Real of_row) CUTLASS_LAMBDA_FUNC_INLINE {
        Engine::renew(rX, uint32_t(p.grid.columns >> 62));
        return moments(rX, of_row, columns, part.thread);
      });
    }
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

  /// The statistics of a row that is read from where it lives, in `rX`, a piece at a time; and once more, as again(f) does, where a mean far from
  /// 0 is found in f32. Calls meanwhile() before the threads wait for each other.
  template <class Rows, class Again, class F>
  CUTE_DEVICE static Statistics in_pieces(NormParams const& p, Part const& part, Rows& rows, Reduction& reduction,
                                          Fragment& rX, Again const& again, F const& meanwhile) {
    Real first = Real(part.columns > 0 ? rows.first(0) : 0.0f), mean = 0;
    Pair sums{{0, 0}};
    auto add = [&](Pair& sums, Pair const& piece) { sums = {{sums[0] + piece[0], sums[1] + piece[1]}}; };
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      rows.load(0, begin, columns, rX);
      add_residual(p, part, begin, columns, rX);
      if constexpr (is_f64)
        if (begin == 0) mean = pivot(p, part, first, reduction, rX);
      store_sum(p, part, begin, columns, rX);
      add(sums, is_f64 ? moments(rX, mean, columns, part.thread) : moments(rX));
    });
    meanwhile();
    sums = reduction.in_group(sums, Sum());
    if constexpr (!is_f64)
      recenter(p, part, reduction, mean, sums, [&](Real of_row) CUTLASS_LAMBDA_FUNC_INLINE {
        Pair about{{0, 0}};
        again([&](int64_t, int columns)
                  CUTLASS_LAMBDA_FUNC_INLINE { add(about, moments(rX, of_row, columns, part.thread)); });
        return about;
      });
    Statistics statistics = over_cluster(p, reduction, mean, sums);
    store_statistics(p, part, statistics);
    return statistics;
  }

  /// The row is read twice; quantized, a third time, since its scale depends on what the statistics make of it.
  template <class Rows>
  CUTE_DEVICE static void pass_twice(NormParams const& p, Part const& part, Rows& rows, Reduction& reduction) {
    Y* y = Engine::template at<Y>(p.grid, p.y, part);
    Fragment rX;  // (VEC, VECTORS)
    auto again = [&](auto const& f) CUTLASS_LAMBDA_FUNC_INLINE {
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        if (has_sum(p)) {  // it may have overwritten an input
          Engine::load(sum_at(p, part, begin), p.sum.step, columns, part.thread, rX);
        } else {
          rows.load(0, begin, columns, rX);
          add_residual(p, part, begin, columns, rX);
        }
        f(begin, columns);
      });
    };
    Statistics statistics = in_pieces(p, part, rows, reduction, rX, again, [] {});
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

/// The same of plain rows in shared memory, which lie at equal distances: the same sums in the same order, so that bits are the same. The first
/// of the weight and the bias are under way before the threads wait for each other, and what is executed is short.
template <RowConfig Config> struct PlainNormKernel : NormKernel<Config, false, true> {
  using Kernel = NormKernel<Config, false, true>;
  using typename Kernel::Engine, typename Kernel::Fragment, typename Kernel::Part, typename Kernel::Real;
  using typename Kernel::Reduction, typename Kernel::Statistics, typename Kernel::T;
  static constexpr int VEC = Engine::VEC, VECTORS = Engine::VECTORS;
  /// Vectors of the weight and of the bias that are held: the one that is wanted, and those under way, each in place of one that is not
  /// wanted any more. Were it still, registers would be copied behind the load, which waits for it.
  static constexpr int UNDER_WAY = VECTORS;

  CUTE_DEVICE static void run(NormParams const& p) {
    auto spans = [&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      return RowSpans<T, 1>{{{at(p.x, part)}}, {{1}}, part.columns};
    };
    using Rows = SharedRows<Config, 1, decltype(spans)>;
    __shared__ typename Rows::Storage row_storage;
    Rows rows(row_storage, p.grid, spans);
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE { normalize(p, part, rows, reduction); });
  }

 private:
  /// The first element of a part of an operand's row.
  CUTE_DEVICE static T* at(RowOperand const& x, Part const& part) {
    return static_cast<T*>(x.data) + part.row * x.strides[0] + part.begin;
  }

  /// What a part's results are multiplied with and what is added, some vectors ahead of their use.
  struct Affine {
    T const *weight, *bias;
    int columns, thread;
    Tensor<ArrayEngine<T, VEC * UNDER_WAY>, Layout<Shape<Int<VEC>, Int<UNDER_WAY>>>> rW, rB;  // (VEC, UNDER_WAY)

    CUTE_DEVICE Affine(NormParams const& p, Part const& part)
        : weight(Kernel::template affine_at<T>(p.weight, part, 0)),
          bias(Kernel::template affine_at<T>(p.bias, part, 0)),
          columns(part.columns),
          thread(part.thread) {}

    /// Begins to load vector `i` of the piece, or of those behind it.
    template <bool HasBias> CUTE_DEVICE void load(int i) {
      if (!Engine::has(i * VEC, columns, thread)) return;
      copy(typename Engine::Vectorized{}, Engine::vector_at(weight, 1, thread, i), rW(_, i % UNDER_WAY));
      if constexpr (HasBias)
        copy(typename Engine::Vectorized{}, Engine::vector_at(bias, 1, thread, i), rB(_, i % UNDER_WAY));
    }
    /// Goes on to the next piece.
    CUTE_DEVICE void advance() { weight += Config.piece(), bias += Config.piece(), columns -= Config.piece(); }
  };

  template <class Rows>
  CUTE_DEVICE static void normalize(NormParams const& p, Part const& part, Rows& rows, Reduction& reduction) {
    Fragment rX;  // (VEC, VECTORS)
    auto again = [&](auto const& f) CUTLASS_LAMBDA_FUNC_INLINE {
      Engine::for_each_piece(part.columns, [&](int begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        rows.load(0, begin, columns, rX);
        f(begin, columns);
      });
    };
    Affine affine(p, part);
    Statistics statistics = Kernel::in_pieces(p, part, rows, reduction, rX, again, [&]() CUTLASS_LAMBDA_FUNC_INLINE {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < UNDER_WAY - 1; ++i)
        p.bias.data ? affine.template load<true>(i) : affine.template load<false>(i);
    });
    T* y = at(p.y, part);
    // Vector `i` of the piece at `begin`. Registers hold two of them, which leaves room for the weight and the bias.
    auto load_x = [&](int begin, int i) CUTLASS_LAMBDA_FUNC_INLINE {
      if (Engine::has(i * VEC, part.columns - begin, part.thread))
        copy(typename Engine::Vectorized{}, Engine::vector_at(rows.piece(0, begin), 1, part.thread, i), rX(_, i));
    };
    auto store = [&](auto has_bias, auto is_usual) CUTLASS_LAMBDA_FUNC_INLINE {
      clear(rX);  // what has been there is not wanted
      load_x(0, 0);
      Engine::for_each_piece(part.columns, [&](int begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < VECTORS; ++i) {
          affine.template load<has_bias>(i + UNDER_WAY - 1);
          i + 1 < VECTORS ? load_x(begin, i + 1) : load_x(begin + Config.piece(), 0);
          Tensor rW = affine.rW(_, i % UNDER_WAY);  // (VEC)
          Tensor rB = affine.rB(_, i % UNDER_WAY);  // (VEC)
          auto result = [&](int j) CUTLASS_LAMBDA_FUNC_INLINE {
            float x = Engine::value(rX, j);
            Real normal =
                (is_usual ? statistics.normalize_usual(x) : statistics.normalize(x)) * Real(unpacked(rW, j % VEC));
            // As for_each_vector(): of rows that are not usual a bias of 0 is added, too, which makes a 0 of -0.
            return float(has_bias || !is_usual ? normal + (has_bias ? Real(unpacked(rB, j % VEC)) : Real(0)) : normal);
          };
          Engine::store_vector(result, y, 1, columns, part.thread, i);
        }
        affine.advance();
        y += Config.piece();
      });
    };
    auto by_bias = [&](auto is_usual) CUTLASS_LAMBDA_FUNC_INLINE {
      if (p.bias.data)
        store(cute::true_type{}, is_usual);
      else
        store(cute::false_type{}, is_usual);
    };
    if (statistics.is_usual())
      by_bias(cute::true_type{});
    else
      by_bias(cute::false_type{});
  }
};

/// The same of rows that begin anywhere between boundaries of 16 bytes, at equal distances (RaggedRows), with a weight and a bias of their type. Those
/// begin on a boundary, so that their vectors lie elsewhere than a row's: each is put together of units that are loaded.
template <RowConfig Config> struct RaggedNormKernel : NormKernel<Config> {
  using Kernel = NormKernel<Config>;
  using typename Kernel::Engine, typename Kernel::Fragment, typename Kernel::Pair, typename Kernel::Part;
  using typename Kernel::Real, typename Kernel::Reduction, typename Kernel::Statistics, typename Kernel::T;
  using Ends = typename Engine::template Ends<T>;
  static constexpr int VEC = Engine::VEC, VECTORS = Engine::VECTORS, ENDS = Engine::ENDS;

  CUTE_DEVICE static void run(NormParams const& p) {
    static_assert(Config.is_ahead());
    allow_next_grid();
    auto spans = [&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      return RowSpans<T, 1>{{{at(p, p.x, part)}}, {{1}}, part.columns};
    };
    using Rows = RaggedRows<Config, 1, decltype(spans)>;
    typename Rows::Storage row_storage;
    Rows rows(row_storage, p.grid, spans);
    wait_for_preceding_grids();
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE { normalize(p, part, rows, reduction); });
  }

 private:
  /// The first element of a part of an operand's row; of the first row where there is no such row.
  CUTE_DEVICE static T* at(NormParams const& p, RowOperand const& x, Part const& part) {
    return static_cast<T*>(x.data) + (part.row < p.grid.rows ? part.row : 0) * x.strides[0] + part.begin;
  }

  /// What results are multiplied with, or what is added.
  struct Affine {
    T const* data;  // of the part; null without
    T filling;      // where there is none
    int shift;      // elements from a boundary of a unit to it

    CUTE_DEVICE Affine(RowOperand const& operand, Part const& part, T filling)
        : data(operand.data ? static_cast<T const*>(operand.data) + part.begin : nullptr),
          filling(filling),
          shift(int(part.begin) % ShiftedVector<T>::UNIT) {}

    /// The units of vector `i` of the thread.
    CUTE_DEVICE ShiftedVector<T> load(int thread, int i) const {
      ShiftedVector<T> vector;
      vector.fill(filling);
      if (data) vector.load(data + (i * Engine::GROUP + thread) * VEC - shift);
      return vector;
    }
    CUTE_DEVICE Real at(int column) const { return Real(float(data ? data[column] : filling)); }
  };

  template <class Rows>
  CUTE_DEVICE static void normalize(NormParams const& p, Part const& part, Rows& rows, Reduction& reduction) {
    int columns = int(part.columns);
    Fragment rX;  // (VEC, VECTORS)
    Ends ends;
    rows.load(0, 0, columns, rX);
    rows.load_ends(0, ends);
    Real mean = Kernel::is_f64 && p.centered && !p.residual.data ? Real(rows.first(0)) : Real(0);
    if (p.residual.data) {
      add_residual(p, part, rows, rX, ends);
      if constexpr (Kernel::is_f64)  // the first sum, which its thread knows: x may have been overwritten
        if (p.centered)
          mean = reduction.in_group(
              part.thread == 0 ? Real(columns > 0 ? Engine::value(rX, 0) : float(ends[0])) : Real(0), Sum());
    }
    Engine::forget_derived(rX);
    auto moments_about = [&](Real mean, Pair sums) CUTLASS_LAMBDA_FUNC_INLINE {
      for_each_end(rows, [&](int i, int) CUTLASS_LAMBDA_FUNC_INLINE {
        Real distance = Real(float(ends[i])) - mean;
        sums = {{sums[0] + distance, sums[1] + distance * distance}};
      });
      return sums;
    };
    Pair sums;
    if constexpr (Kernel::is_f64) {
      sums = reduction.in_group(moments_about(mean, Kernel::moments(rX, mean, columns, part.thread)), Sum());
    } else {
      sums = reduction.in_group(moments_about(0, Kernel::moments(rX)), Sum());
      Kernel::recenter(p, part, reduction, mean, sums, [&](Real of_row) CUTLASS_LAMBDA_FUNC_INLINE {
        Engine::renew(rX, uint32_t(p.grid.columns >> 62));
        return moments_about(of_row, Kernel::moments(rX, of_row, columns, part.thread));
      });
    }
    Statistics statistics = Statistics::of(p, mean, sums);
    Kernel::store_statistics(p, part, statistics);
    Engine::forget_derived(rX);
    T* y = at(p, p.y, part);
    Affine weight(p.weight, part, T(1)), bias(p.bias, part, T(0));
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      if (!Engine::has(i * VEC, columns, part.thread)) continue;
      ShiftedVector<T> of_weight = weight.load(part.thread, i), of_bias = bias.load(part.thread, i);
      Tensor rW = of_weight.vector(weight.shift);  // (VEC)
      Tensor rB = of_bias.vector(bias.shift);      // (VEC)
      auto result = [&](int j) CUTLASS_LAMBDA_FUNC_INLINE {
        Real normal = statistics.normalize(Engine::value(rX, j));
        return float(normal * Real(unpacked(rW, j % VEC)) + Real(unpacked(rB, j % VEC)));
      };
      Engine::store_vector(result, y, 1, columns, part.thread, i);
      Engine::forget_derived(rX);
    }
    for_each_end(rows, [&](int i, int column) CUTLASS_LAMBDA_FUNC_INLINE {
      y[column] = T(float(statistics.normalize(float(ends[i])) * weight.at(column) + bias.at(column)));
    });
  }

  /// Adds the residual, and stores the sum where it is wanted.
  template <class Rows> CUTE_DEVICE static void add_residual(NormParams const& p, Part const& part, Rows const& rows,
                                                             Fragment& rX, Ends& ends) {
    int columns = int(part.columns);
    T const* residual = at(p, p.residual, part);
    auto add_ends = [&]() CUTLASS_LAMBDA_FUNC_INLINE {
      for_each_end(rows, [&](int i, int column)
                             CUTLASS_LAMBDA_FUNC_INLINE { ends[i] = T(float(ends[i]) + float(residual[column])); });
    };
    if constexpr (ENDS > 1)
      add_ends();  // several of them before the vectors: all at once would take registers that are not there
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      Tensor rR = make_tensor<T>(Int<VEC>{});  // (VEC)
      Engine::load_vector(residual, 1, columns, part.thread, i, rR, T(0));
      auto added = [&](int j) CUTLASS_LAMBDA_FUNC_INLINE { return Engine::value(rX, j) + unpacked(rR, j % VEC); };
      Engine::convert_vector(added, i, rX(_, i));
    }
    if constexpr (ENDS == 1) add_ends();
    if (!p.sum.data) return;
    T* sum = at(p, p.sum, part);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i)
      if (Engine::has(i * VEC, columns, part.thread))
        copy(typename Engine::Vectorized{}, rX(_, i), Engine::vector_at(sum, 1, part.thread, i));
    for_each_end(rows, [&](int i, int column) CUTLASS_LAMBDA_FUNC_INLINE { sum[column] = ends[i]; });
  }

  /// Calls f(i, column of the part) for the thread's elements that are in no vector.
  template <class Rows, class F> CUTE_DEVICE static void for_each_end(Rows const& rows, F const& f) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < ENDS; ++i)
      if (rows.has_end(i)) f(i, rows.end(i));
  }
};

/// The kernel for a config.
template <RowConfig Config> using NormKernelFor = cute::conditional_t<
    Config.plain && Config.in_pieces(), PlainNormKernel<Config>,
    cute::conditional_t<Config.ragged, RaggedNormKernel<Config>, NormKernel<Config, false, Config.plain>>>;

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_NORM_ENTRY(NAME)                                                                                  \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME, ckl::norm_needs).threads(),       \
                                               ckl::parse_row_config(#NAME, ckl::norm_needs).blocks_per_sm()) \
      ckl_norm_##NAME(__grid_constant__ ckl::NormParams const params) {                                       \
    ckl::device::NormKernelFor<ckl::parse_row_config(#NAME, ckl::norm_needs)>::run(params);                   \
  }
