#pragma once

// LayerNorm and RMSNorm of rows: y = (x - mean) * rstd * weight + bias, with rstd = 1 / sqrt(variance + epsilon); RMSNorm takes the mean
// to be 0. The variance is summed up around the mean, so that a large mean costs no digits.

#include "device/row_engine.cuh"
#include "ops/norm/params.hpp"

namespace ckl::device {

template <RowConfig Config> struct NormKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Real = typename Engine::Real;
  using Part = typename Engine::Part;
  using T = typename Engine::T;
  using Pair = cute::array<Real, 2>;
  static constexpr int VALUES = Engine::VALUES, VEC = Engine::VEC;

  CUTE_DEVICE static void run(NormParams const& p) {
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    Part part = Engine::part(p.grid);
    Row row(p, part);
    if constexpr (Config.kind == RowKind::stream)
      stream(p, row, part, reduction);
    else
      hold(p, row, part, reduction);
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
        return static_cast<T*>(operand.data) + Engine::offset(p.grid, operand, row) + part.begin * operand.step;
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

    CUTE_DEVICE static Statistics of(NormParams const& p, Real mean, Pair moments) {
      Real reciprocal = Real(p.reciprocal_columns), correction = p.centered ? moments[0] * reciprocal : Real(0);
      Real variance = moments[1] * reciprocal - correction * correction;
      return {mean, correction, Real(1) / sqrt(variance + Real(p.epsilon))};
    }
    CUTE_DEVICE Real normalize(float x) const { return (Real(x) - mean - correction) * rstd; }
  };

  /// x, plus the residual; what is beyond the row is 0.
  CUTE_DEVICE static void load_sum(NormParams const& p, Row const& row, int64_t begin, int columns, int thread,
                                   float (&values)[VALUES]) {
    Engine::load(row.x + begin * p.x.step, p.x.step, columns, thread, 0.0f, values);
    if (!row.residual) return;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VECTORS; ++i) {
      float addend[VEC] = {};
      Engine::load_vector(row.residual + begin * p.residual.step, p.residual.step, columns, thread, i, addend);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) values[i * VEC + v] = float(T(values[i * VEC + v] + addend[v]));  // as it is stored
    }
  }

  /// The same after store_sum(): it may have overwritten an input.
  CUTE_DEVICE static void load_sum_again(NormParams const& p, Row const& row, int64_t begin, int columns, int thread,
                                         float (&values)[VALUES]) {
    if (row.sum)
      Engine::load(row.sum + begin * p.sum.step, p.sum.step, columns, thread, 0.0f, values);
    else
      load_sum(p, row, begin, columns, thread, values);
  }

  CUTE_DEVICE static void store_sum(NormParams const& p, Row const& row, int64_t begin, int columns, int thread,
                                    float const (&values)[VALUES]) {
    if (row.sum) Engine::store(values, row.sum + begin * p.sum.step, p.sum.step, columns, thread);
  }

  /// The sum of this thread's elements.
  CUTE_DEVICE static Real total(float const (&values)[VALUES]) {
    return Engine::sum([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return Real(values[i]); });
  }

  /// The sums of the distances from `mean` and of their squares, of this thread's elements.
  CUTE_DEVICE static Pair moments(float const (&values)[VALUES], Real mean, int columns, int thread) {
    auto distance = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      return Engine::column_of(i, thread) < columns ? Real(values[i]) - mean : Real(0);
    };
    return {{Engine::sum(distance),
             Engine::sum([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return distance(i) * distance(i); })}};
  }

  CUTE_DEVICE static void store_normalized(NormParams const& p, Row const& row, int64_t begin, int columns, int thread,
                                           Statistics const& statistics, float (&values)[VALUES]) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VECTORS; ++i) {
      float weight[VEC], bias[VEC];
      load_affine(p, p.weight, row.begin + begin, columns, thread, i, 1.0f, weight);
      load_affine(p, p.bias, row.begin + begin, columns, thread, i, 0.0f, bias);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) {
        float& value = values[i * VEC + v];
        value = float(statistics.normalize(value) * Real(weight[v]) + Real(bias[v]));
      }
      Engine::store_vector(values + i * VEC, row.y + begin * p.y.step, p.y.step, columns, thread, i);
    }
  }

  /// Vector `i` of this thread's elements of the weight or the bias; `absent` if there is none.
  CUTE_DEVICE static void load_affine(NormParams const& p, RowOperand const& operand, int64_t begin, int columns,
                                      int thread, int i, float absent, float (&values)[VEC]) {
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v) values[v] = absent;
    if (!operand.data) return;
    int64_t offset = begin * operand.step;
    if (p.affine_f32)
      Engine::load_vector(static_cast<float const*>(operand.data) + offset, operand.step, columns, thread, i, values);
    else
      Engine::load_vector(static_cast<T const*>(operand.data) + offset, operand.step, columns, thread, i, values);
  }

  CUTE_DEVICE static void store_statistics(NormParams const& p, Part const& part, Statistics const& statistics) {
    if (part.thread != 0 || part.begin != 0 || part.row >= p.grid.rows) return;
    if (p.mean) p.mean[part.row] = float(statistics.mean + statistics.correction);
    if (p.rstd) p.rstd[part.row] = float(statistics.rstd);
  }

  /// Registers hold the row: it is read once.
  CUTE_DEVICE static void hold(NormParams const& p, Row const& row, Part const& part, Reduction& reduction) {
    float values[VALUES];
    load_sum(p, row, 0, part.columns, part.thread, values);
    store_sum(p, row, 0, part.columns, part.thread, values);
    Real mean = p.centered ? reduction(total(values), Sum()) * Real(p.reciprocal_columns) : Real(0);
    Statistics statistics = Statistics::of(p, mean, reduction(moments(values, mean, part.columns, part.thread), Sum()));
    store_statistics(p, part, statistics);
    store_normalized(p, row, 0, part.columns, part.thread, statistics, values);
  }

  /// The row is read twice. Each thread keeps the mean and the squares of what it has seen, and merges the next piece into them (Chan,
  /// Golub and LeVeque, 1983).
  CUTE_DEVICE static void stream(NormParams const& p, Row const& row, Part const& part, Reduction& reduction) {
    Real count = 0, mean = 0, squares = 0;
    Engine::for_each_piece(p.grid.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      float values[VALUES];
      load_sum(p, row, begin, columns, part.thread, values);
      store_sum(p, row, begin, columns, part.thread, values);
      Real added = Real(Engine::columns_of(columns, part.thread));
      if (added == 0) return;
      Real piece_mean = p.centered ? total(values) / added : Real(0);
      Real between = piece_mean - mean, share = added / (count + added);
      squares += moments(values, piece_mean, columns, part.thread)[1] + between * between * count * share;
      mean += between * share;
      count += added;
    });
    Real row_mean = p.centered ? reduction(mean * count, Sum()) * Real(p.reciprocal_columns) : Real(0);
    Real between = mean - row_mean;
    Statistics statistics =
        Statistics::of(p, row_mean, reduction(Pair{{between * count, squares + between * between * count}}, Sum()));
    store_statistics(p, part, statistics);
    Engine::for_each_piece(p.grid.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      float values[VALUES];
      load_sum_again(p, row, begin, columns, part.thread, values);
      store_normalized(p, row, begin, columns, part.thread, statistics, values);
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
