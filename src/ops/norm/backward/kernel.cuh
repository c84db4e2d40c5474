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
  static constexpr bool is_held = Config.kind != RowKind::stream;

  CUTE_DEVICE static void run(NormBackwardParams const& p) {
    allow_next_grid();  // which adds up the partial sums
    __shared__ typename Reduction::Storage storage;
    if constexpr (is_held)
      hold(p, storage);
    else
      stream(p, storage);
  }

 private:
  /// A row's statistics, as they are loaded: nothing waits for those of the next row.
  struct Row {
    float mean, rstd;

    CUTE_DEVICE static Row of(NormBackwardParams const& p, int64_t row) {
      auto statistic = [&](RowOperand const& operand) CUTLASS_LAMBDA_FUNC_INLINE {
        return static_cast<float const*>(operand.data)[Engine::offset(p.grid, operand, row)];
      };
      if (row >= p.grid.rows) return {0, 0};
      return {p.centered ? statistic(p.mean) : 0.0f, statistic(p.rstd)};
    }

    CUTE_DEVICE Real normalized(float value) const { return (Real(value) - Real(mean)) * Real(rstd); }
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

  CUTE_DEVICE static void store(NormBackwardParams const& p, Row const& row, Elements& e, Pair sums, T* dx, int columns,
                                int thread) {
    Real rstd = row.rstd, scale = rstd * Real(p.reciprocal_columns);
    Real of_g = p.centered ? sums[0] * scale : Real(0), of_gx = sums[1] * scale;
    auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      return float(rstd * e.gradient(i) - of_g - row.normalized(Engine::value(e.rX, i)) * of_gx);
    };
    if constexpr (Config.kind == RowKind::pipeline)
      Engine::store(result, dx, p.dx.step, columns, thread);
    else
      Engine::store(result, dx, p.dx.step, columns, thread, e.rX, e.rDY);
  }

  /// Adds a row's terms to the sums of the thread's columns; beyond the row, dy is 0.
  CUTE_DEVICE static void add_to_dweight(Row const& row, Elements const& e, Sums& sums) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i)
      sums[i] += Engine::value(e.rDY, i) * ((Engine::value(e.rX, i) - row.mean) * row.rstd);
  }
  CUTE_DEVICE static void add_to_dbias(Elements const& e, Sums& sums) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) sums[i] += Engine::value(e.rDY, i);
  }

  CUTE_DEVICE static void clear(Sums& sums) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) sums[i] = 0;
  }

  /// Registers hold a row, its columns' weights and the sums.
  CUTE_DEVICE static void hold(NormBackwardParams const& p, typename Reduction::Storage& storage) {
    auto spans = [&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      return RowSpans<T, 2>{
          {{Engine::at(p.grid, p.x, part), Engine::at(p.grid, p.dy, part)}}, {{p.x.step, p.dy.step}}, part.columns};
    };
    using Rows = cute::conditional_t<Config.kind == RowKind::pipeline, PipelinedRows<Config, 2, decltype(spans)>,
                                     PrefetchedRows<Config, 2, decltype(spans)>>;
    __shared__ typename Rows::Storage row_storage;
    Rows rows(row_storage, p.grid, spans);
    Reduction reduction(storage);
    Part first = Engine::part(p.grid, 0);  // every row's columns
    Sums dweight, dbias;
    clear(dweight), clear(dbias);
    Elements e;
    constexpr bool keeps_weight = Config.kind == RowKind::pipeline;  // elsewhere registers hold the next row
    if constexpr (keeps_weight) load_weight(p, first.begin, int(first.columns), first.thread, e);
    Row next = Row::of(p, Engine::part(p.grid).row);
    rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      Row row = next;
      next = Row::of(p, part.row + rows.step());
      int columns = int(part.columns);
      T* dx = Engine::at(p.grid, p.dx, part);
      rows.load(0, 0, columns, e.rX);
      rows.load(1, 0, columns, e.rDY);
      rows.advance();
      if constexpr (!keeps_weight) load_weight(p, first.begin, int(first.columns), first.thread, e);
      Pair sums = reduction(moments(row, e), Sum());
      auto forget = [&]() CUTLASS_LAMBDA_FUNC_INLINE {
        if constexpr (!keeps_weight) Engine::forget_derived(e.rX), Engine::forget_derived(e.rDY);
      };
      forget();
      add_to_dweight(row, e, dweight);
      add_to_dbias(e, dbias);
      forget();
      store(p, row, e, sums, dx, columns, part.thread);
    });
    store_partials(p, p.dweight_partials, dweight, first);
    store_partials(p, p.dbias_partials, dbias, first);
  }

  /// Stores the sums over the block's rows, to which all of its groups contribute in order. `part`: of any row.
  CUTE_DEVICE static void store_partials(NormBackwardParams const& p, float* partials, Sums const& sums,
                                         Part const& part) {
    if (!partials) return;
    int columns = int(part.columns), thread = part.thread;
    float* to = partials + int64_t(blockIdx.x) / Engine::blocks() * p.grid.columns + part.begin;
    if constexpr (Engine::GROUPS == 1) {
      store_sums(sums, to, columns, thread);
    } else {
      __shared__ float combined[Config.piece()];
      for (int turn = 0; turn < Engine::GROUPS; ++turn) {
        block_sync();  // what the group before has added is there; and nobody reads the sums before these any more
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < VALUES; ++i) {
          float& sum = combined[i * GROUP + thread];
          if (Engine::group() == turn) sum = turn == 0 ? sums[i] : sum + sums[i];
        }
      }
      if (Engine::group() != Engine::GROUPS - 1) return;
      Sums total;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VALUES; ++i) total[i] = combined[i * GROUP + thread];
      store_sums(total, to, columns, thread);
    }
  }

  /// The thread's vectors of the partial sums, which lie densely.
  CUTE_DEVICE static auto partial_vectors(float* sums, int thread) {
    return make_tensor(make_gmem_ptr(sums + thread * VEC), Shape<Int<VEC>, Int<VECTORS>>{},
                       Stride<_1, Int<GROUP * VEC>>{});
  }

  CUTE_DEVICE static void store_sums(Sums const& sums, float* to, int columns, int thread) {
    Tensor gSums = partial_vectors(to, thread);  // (VEC, VECTORS)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      Tensor rSums = make_tensor<float>(Int<VEC>{});  // (VEC)
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) rSums(v) = sums[i * VEC + v];
      if (Engine::has(i * VEC, columns, thread)) copy(typename Engine::Vectorized{}, rSums, gSums(_, i));
    }
  }

  CUTE_DEVICE static void load_sums(Sums& sums, float* from, int columns, int thread) {
    Tensor gSums = partial_vectors(from, thread);  // (VEC, VECTORS)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      Tensor rSums = make_tensor<float>(Int<VEC>{});  // (VEC)
      cute::fill(rSums, 0.0f);
      if (Engine::has(i * VEC, columns, thread)) copy(typename Engine::Vectorized{}, gSums(_, i), rSums);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) sums[i * VEC + v] = rSums(v);
    }
  }

  /// A cluster reads a row twice, and keeps its sums in the workspace: each thread has columns of its own there.
  CUTE_DEVICE static void stream(NormBackwardParams const& p, typename Reduction::Storage& storage) {
    Reduction reduction(storage);
    Part part = Engine::part(p.grid);
    int64_t cluster = part.row, clusters = p.grid.clusters;
    CUTLASS_PRAGMA_NO_UNROLL
    for (; part.row < p.grid.rows; part.row += clusters) {
      Row row = Row::of(p, part.row);
      T const *x = Engine::at(p.grid, p.x, part), *dy = Engine::at(p.grid, p.dy, part);
      T* dx = Engine::at(p.grid, p.dx, part);
      Elements e;
      auto load = [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        Engine::load(Engine::at_column(x, p.x.step, begin), p.x.step, columns, part.thread, e.rX);
        Engine::load(Engine::at_column(dy, p.dy.step, begin), p.dy.step, columns, part.thread, e.rDY);
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
        store(p, row, e, sums, Engine::at_column(dx, p.dx.step, begin), columns, part.thread);
      });
    }
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_NORM_BACKWARD_ENTRY(NAME)                                                                                  \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME, ckl::norm_backward_needs).threads(),       \
                                               ckl::parse_row_config(#NAME, ckl::norm_backward_needs).blocks_per_sm()) \
      ckl_norm_backward_##NAME(__grid_constant__ ckl::NormBackwardParams const params) {                               \
    ckl::device::NormBackwardKernel<ckl::parse_row_config(#NAME, ckl::norm_backward_needs)>::run(params);              \
  }
