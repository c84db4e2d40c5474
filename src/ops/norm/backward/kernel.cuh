#pragma once

// The gradients of LayerNorm and RMSNorm: dx = rstd * (g - mean(g) - x^ * mean(g * x^)), with g = dy * weight and x^ = (x - mean) * rstd.
// A block takes one row after another, and adds up dy * x^ and dy of its columns, which stay its own: what it has in the end are its
// partial sums of dweight and dbias.

#include "device/row_engine.cuh"
#include "device/row_source.cuh"
#include "ops/norm/backward/params.hpp"

namespace ckl::device {

template <RowConfig Config> struct NormBackwardKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Real = typename Engine::Real;
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;
  using Pair = cute::array<Real, 2>;
  static constexpr int VALUES = Engine::VALUES, VEC = Engine::VEC, VECTORS = Engine::VECTORS, GROUP = Engine::GROUP;
  static constexpr bool is_held = Config.kind == RowKind::registers;
  static_assert(is_held || Config.kind == RowKind::stream);

  CUTE_DEVICE static void run(NormBackwardParams const& p) {
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    if constexpr (is_held)
      hold(p, reduction);
    else
      stream(p, reduction);
  }

 private:
  /// A row's operands, from the first column of this block's part on, and its statistics.
  struct Row {
    T const *x, *dy;
    T* dx;
    Real mean, rstd;

    CUTE_DEVICE Row(NormBackwardParams const& p, Part const& part) {
      bool exists = part.row < p.grid.rows;
      int64_t row = exists ? part.row : 0;
      auto at = [&](RowOperand const& operand) CUTLASS_LAMBDA_FUNC_INLINE {
        return Engine::at_column(static_cast<T*>(operand.data) + Engine::offset(p.grid, operand, row), operand.step,
                                 part.begin);
      };
      auto statistic = [&](RowOperand const& operand) CUTLASS_LAMBDA_FUNC_INLINE {
        return exists ? Real(static_cast<float const*>(operand.data)[Engine::offset(p.grid, operand, row)]) : Real(0);
      };
      x = at(p.x);
      dy = at(p.dy);
      dx = at(p.dx);
      mean = p.centered ? statistic(p.mean) : Real(0);
      rstd = statistic(p.rstd);
    }

    CUTE_DEVICE Real normalized(float value) const { return (Real(value) - mean) * rstd; }
  };

  /// A thread's elements of x, dy and the weight.
  struct Elements {
    Fragment rX, rDY;              // (VEC, VECTORS)
    cute::array<float, VALUES> w;  // what is beyond the row is 0

    CUTE_DEVICE Real gradient(int i) const { return Real(Engine::value(rDY, i)) * Real(w[i]); }
  };

  /// Where the sums of a thread's columns are kept.
  using Sums = cute::array<float, VALUES>;

  CUTE_DEVICE static void load_weight(NormBackwardParams const& p, int64_t begin, int columns, int thread,
                                      Elements& elements) {
    auto load = [&](auto type) CUTLASS_LAMBDA_FUNC_INLINE {
      using U = decltype(type);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VECTORS; ++i) {
        Tensor rW = make_tensor<U>(Int<VEC>{});  // (VEC)
        fill(rW, U(1));
        if (p.weight.data)
          Engine::load_vector(Engine::at_column(static_cast<U const*>(p.weight.data), p.weight.step, begin),
                              p.weight.step, columns, thread, i, rW, U(0));
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < VEC; ++v) elements.w[i * VEC + v] = float(rW(v));
      }
    };
    if (p.weight_f32)
      load(float{});
    else
      load(T{});
  }

  /// The sums of g and of g * x^ of this thread's elements.
  CUTE_DEVICE static Pair moments(Row const& row, Elements const& e) {
    return Engine::template sums<2>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      Real g = e.gradient(i);
      return Pair{{g, g * row.normalized(Engine::value(e.rX, i))}};
    });
  }

  CUTE_DEVICE static void store(NormBackwardParams const& p, Row const& row, Elements& e, Pair sums, int64_t begin,
                                int columns, int thread) {
    Real of_g = p.centered ? sums[0] * Real(p.reciprocal_columns) : Real(0),
         of_gx = sums[1] * Real(p.reciprocal_columns);
    auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      return float(row.rstd * (e.gradient(i) - of_g - row.normalized(Engine::value(e.rX, i)) * of_gx));
    };
    Engine::store(result, Engine::at_column(row.dx, p.dx.step, begin), p.dx.step, columns, thread, e.rX, e.rDY);
  }

  /// Adds a row's terms to the sums of the thread's columns; beyond the row, dy is 0.
  CUTE_DEVICE static void add_to_dweight(Row const& row, Elements const& e, Sums& sums) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i)
      sums[i] += float(Real(Engine::value(e.rDY, i)) * row.normalized(Engine::value(e.rX, i)));
  }
  CUTE_DEVICE static void add_to_dbias(Elements const& e, Sums& sums) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) sums[i] += Engine::value(e.rDY, i);
  }

  CUTE_DEVICE static void clear(Sums& sums) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) sums[i] = 0;
  }

  /// Registers hold a row, the next one, which is under way meanwhile, and the sums.
  CUTE_DEVICE static void hold(NormBackwardParams const& p, Reduction& reduction) {
    Part part = Engine::part(p.grid);
    int columns = int(p.grid.columns), thread = part.thread;
    auto there = [&] { return part.row < p.grid.rows ? columns : 0; };
    auto load = [&](Row const& row, Fragment& rX, Fragment& rDY) CUTLASS_LAMBDA_FUNC_INLINE {
      Engine::load(row.x, p.x.step, there(), thread, rX);
      Engine::load(row.dy, p.dy.step, there(), thread, rDY);
    };
    Sums dweight, dbias;
    clear(dweight), clear(dbias);
    Elements e;
    Row row(p, part);
    load(row, e.rX, e.rDY);
    int64_t step = int64_t(gridDim.x) * Config.rows_per_block();
    int64_t last =
        p.grid.rows - int64_t(blockIdx.x) * Config.rows_per_block();  // of the block's rows, which go on together
    CUTLASS_PRAGMA_NO_UNROLL
    for (int64_t done = 0; done < last; done += step) {
      int columns_there = there();
      part.row += step;
      Row next(p, part);
      Fragment rX, rDY;  // (VEC, VECTORS)
      load(next, rX, rDY);
      load_weight(p, 0, columns, thread, e);
      Pair sums = reduction(moments(row, e), Sum());
      Engine::forget_derived(e.rX);
      Engine::forget_derived(e.rDY);
      add_to_dweight(row, e, dweight);
      add_to_dbias(e, dbias);
      Engine::forget_derived(e.rX);
      Engine::forget_derived(e.rDY);
      store(p, row, e, sums, 0, columns_there, thread);
      copy(rX, e.rX);
      copy(rDY, e.rDY);
      row = next;
    }
    store_partials(p, p.dweight_partials, dweight, thread);
    store_partials(p, p.dbias_partials, dbias, thread);
  }

  /// Stores the sums over the block's rows, to which all of its groups contribute in order.
  CUTE_DEVICE static void store_partials(NormBackwardParams const& p, float* partials, Sums const& sums, int thread) {
    if (!partials) return;
    int columns = int(p.grid.columns), group = int(threadIdx.x) / GROUP;
    float* to = partials + int64_t(blockIdx.x) * columns;
    if constexpr (Config.rows_per_block() == 1) {
      store_sums(sums, to, columns, thread);
    } else {
      __shared__ float combined[Config.piece()];
      for (int turn = 0; turn < Config.rows_per_block(); ++turn) {
        block_sync();  // what the group before has added is there; and nobody reads the sums before these any more
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < VALUES; ++i) {
          float& sum = combined[i * GROUP + thread];
          if (group == turn) sum = turn == 0 ? sums[i] : sum + sums[i];
        }
      }
      if (group != Config.rows_per_block() - 1) return;
      Sums total;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VALUES; ++i) total[i] = combined[i * GROUP + thread];
      store_sums(total, to, columns, thread);
    }
  }

  /// Vectors of the partial sums, which lie densely.
  CUTE_DEVICE static auto partial_vectors(float* sums) {
    return make_tensor(make_gmem_ptr(sums), make_shape(Int<VEC>{}, int(1)), make_stride(_1{}, Int<VEC>{}));
  }

  CUTE_DEVICE static void store_sums(Sums const& sums, float* to, int columns, int thread) {
    Tensor gSums = partial_vectors(to);  // (VEC, vectors)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      Tensor rSums = make_tensor<float>(Int<VEC>{});  // (VEC)
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) rSums(v) = sums[i * VEC + v];
      if (Engine::has(i * VEC, columns, thread))
        copy(typename Engine::Vectorized{}, rSums, gSums(_, i * GROUP + thread));
    }
  }

  CUTE_DEVICE static void load_sums(Sums& sums, float* from, int columns, int thread) {
    Tensor gSums = partial_vectors(from);  // (VEC, vectors)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      Tensor rSums = make_tensor<float>(Int<VEC>{});  // (VEC)
      cute::fill(rSums, 0.0f);
      if (Engine::has(i * VEC, columns, thread))
        copy(typename Engine::Vectorized{}, gSums(_, i * GROUP + thread), rSums);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) sums[i * VEC + v] = rSums(v);
    }
  }

  /// A cluster reads a row twice, and keeps its sums in the workspace: each thread has columns of its own there.
  CUTE_DEVICE static void stream(NormBackwardParams const& p, Reduction& reduction) {
    Part part = Engine::part(p.grid);
    int64_t cluster = part.row, clusters = gridDim.x / cluster_shape().x;
    CUTLASS_PRAGMA_NO_UNROLL
    for (; part.row < p.grid.rows; part.row += clusters) {
      Row row(p, part);
      Elements e;
      auto load = [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        Engine::load(Engine::at_column(row.x, p.x.step, begin), p.x.step, columns, part.thread, e.rX);
        Engine::load(Engine::at_column(row.dy, p.dy.step, begin), p.dy.step, columns, part.thread, e.rDY);
        load_weight(p, part.begin + begin, columns, part.thread, e);
      };
      Pair sums{{0, 0}};
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        load(begin, columns);
        Pair piece = moments(row, e);
        sums = {{sums[0] + piece[0], sums[1] + piece[1]}};
      });
      sums = reduction(sums, Sum());
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        load(begin, columns);
        int64_t at = cluster * p.grid.columns + part.begin + begin;
        auto add = [&](float* partials, auto const& terms) CUTLASS_LAMBDA_FUNC_INLINE {
          if (!partials) return;
          Sums kept;
          clear(kept);
          if (part.row != cluster) load_sums(kept, partials + at, columns, part.thread);
          terms(kept);
          store_sums(kept, partials + at, columns, part.thread);
        };
        add(p.dweight_partials, [&](Sums& kept) CUTLASS_LAMBDA_FUNC_INLINE { add_to_dweight(row, e, kept); });
        add(p.dbias_partials, [&](Sums& kept) CUTLASS_LAMBDA_FUNC_INLINE { add_to_dbias(e, kept); });
        Engine::forget_derived(e.rX);
        Engine::forget_derived(e.rDY);
        store(p, row, e, sums, begin, columns, part.thread);
      });
    }
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_NORM_BACKWARD_ENTRY(NAME)                                                                      \
  extern "C" __global__ void __launch_bounds__(                                                            \
      ckl::parse_row_config(#NAME, ckl::norm_backward_inputs).threads(),                                   \
      ckl::norm_backward_blocks_per_sm(ckl::parse_row_config(#NAME, ckl::norm_backward_inputs)))           \
      ckl_norm_backward_##NAME(__grid_constant__ ckl::NormBackwardParams const params) {                   \
    ckl::device::NormBackwardKernel<ckl::parse_row_config(#NAME, ckl::norm_backward_inputs)>::run(params); \
  }
