#pragma once

// Reductions: threads that share an output load its elements in batches, several 16-byte loads in flight each, and fold what they have
// found; then lanes, warps and blocks do, each in a fixed order.

#include <cute/tensor.hpp>

#include "device/arch.cuh"
#include "device/coordinates.cuh"
#include "device/row_reduction.cuh"
#include "ops/reduce/monoid.cuh"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

template <ReduceConfig Config> struct ReduceKernel {
  using Monoid = device::Monoid<Config.family, Config.dtype>;
  using State = typename Monoid::State;
  using Pivot = typename Monoid::Pivot;
  using T = Element<Config.dtype>;
  static constexpr int VEC = Config.vector_elements(), LOADS = Config.loads(), ROWS = Config.rows_at_a_time,
                       THREADS = Config.threads();
  using Batch = decltype(make_tensor<T>(Shape<Int<VEC>, Int<LOADS>>{}));  // (VEC, LOADS)
  static_assert(Config.valid && sizeof(State) == Config.state_bytes());

  CUTE_DEVICE static void run(ReduceParams const& p) {
    allow_next_grid();
    if constexpr (Config.kind == ReduceKind::warp) warp(p);
    if constexpr (Config.kind == ReduceKind::block) block(p);
    if constexpr (Config.kind == ReduceKind::columns) columns(p);
  }

 private:
  /// RowReduction's view of the monoid.
  struct Fold {
    static constexpr State identity = Monoid::identity;
    Monoid const& monoid;
    CUTE_DEVICE State operator()(State x, State y) const { return monoid(x, y); }
  };

  // ---- where elements are ----------------------------------------------------------------------------------------------

  CUTE_DEVICE static int64_t offset(ReduceDimensions const& dimensions, int64_t const (&strides)[max_rank], int64_t i) {
    return strided_offset(dimensions.sizes, strides, dimensions.rank, dimensions.count, i);
  }

  CUTE_DEVICE static T const* row_of(ReduceParams const& p, int64_t row) {
    return static_cast<T const*>(p.x) + offset(p.kept, p.kept.strides, row);
  }

  /// All units of a row, one after another: vectors, or elements.
  CUTE_DEVICE static int64_t units(ReduceParams const& p) { return p.reduced.count * p.units.divisor; }

  /// From the row's first element to unit `i` of it.
  CUTE_DEVICE static int64_t unit_offset(ReduceParams const& p, int64_t i) {
    if (p.reduced.count == 1) return i * unit_step(p);
    int64_t outer = units(p) < int64_t(1) << 31 ? p.units.quotient(int32_t(i)) : p.units.quotient(i);
    return offset(p.reduced, p.reduced.strides, outer) + (i - outer * p.units.divisor) * unit_step(p);
  }
  CUTE_DEVICE static int64_t unit_step(ReduceParams const& p) {
    if constexpr (Config.vector)
      return VEC;
    else
      return p.inner_step;
  }

  template <class Registers> CUTE_DEVICE static void load(T const* data, Registers&& registers) {
    Tensor gX = make_tensor(make_gmem_ptr(data), Int<VEC>{});  // (VEC)
    copy(AutoVectorizingCopyWithAssumedAlignment<128>{}, gX, registers);
  }

  CUTE_DEVICE static void fill(Batch& batch, T filler) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VEC * LOADS; ++i) batch(i) = filler;
  }

  // ---- rows ------------------------------------------------------------------------------------------------------------

  /// Adds units begin + thread, begin + thread + threads and so on, up to `end`, of a row; a batch of loads is issued before the first is
  /// used.
  CUTE_DEVICE static void absorb_row(ReduceParams const& p, Monoid const& monoid, T const* row, Pivot pivot,
                                     int64_t begin, int64_t end, int thread, int threads, State& state) {
    int64_t first = begin + thread, batch_units = int64_t(threads) * LOADS;
    CUTLASS_PRAGMA_NO_UNROLL
    for (; first < end; first += batch_units) {
      Batch batch;
      if (p.reduced.count == 1 &&
          first + (batch_units - threads) < end) {  // no division, and addresses a constant apart
        T const* data = row + first * unit_step(p);
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < LOADS; ++i) load(data + i * threads * unit_step(p), batch(_, i));
      } else {
        fill(batch, monoid.filler(pivot));
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < LOADS; ++i)
          if (first + i * threads < end) load(row + unit_offset(p, first + i * threads), batch(_, i));
      }
      T values[VEC * LOADS];
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < VEC * LOADS; ++i) values[i] = batch(i);
      monoid.absorb(state, values, pivot, [&](int i) { return (first + int64_t(i / VEC) * threads) * VEC + i % VEC; });
    }
  }

  /// Adds the elements of a ragged row behind its last vector.
  CUTE_DEVICE static void absorb_tail(ReduceParams const& p, Monoid const& monoid, T const* row, Pivot pivot,
                                      int thread, int threads, State& state) {
    if constexpr (Config.vector) {
      CUTLASS_PRAGMA_NO_UNROLL
      for (int i = thread; i < p.tail; i += threads) {
        int64_t at = p.inner - p.tail + i;
        T value[1] = {row[at]};
        monoid.absorb(state, value, pivot, [&](int) { return at; });
      }
    }
  }

  CUTE_DEVICE static Pivot pivot_of(ReduceParams const& p, Monoid const& monoid, T const* row) {
    return monoid.pivot(p.count > 0 ? row : nullptr);
  }

  /// A part of a warp has an output; ROWS of them where a lane has no more than one unit of each.
  CUTE_DEVICE static void warp(ReduceParams const& p) {
    Monoid monoid{p};
    int width = 1 << p.width_log2, lane = int(threadIdx.x) % width, group = int(threadIdx.x) / width;
    int groups = THREADS / width;
    wait_for_preceding_grids();
    if (units(p) <= width) {
      several_rows(p, monoid, int64_t(blockIdx.x) * groups * ROWS + group, groups, lane, width);
      return;
    }
    int64_t row = int64_t(blockIdx.x) * groups + group;
    bool exists = row < p.kept.count;
    State state = Monoid::identity;
    if (exists) {
      T const* data = row_of(p, row);
      Pivot pivot = pivot_of(p, monoid, data);
      absorb_row(p, monoid, data, pivot, 0, units(p), lane, width, state);
      absorb_tail(p, monoid, data, pivot, lane, width, state);
    }
    State states[1] = {state};
    fold_lanes(monoid, states, width);
    if (exists && lane == 0) monoid.store(states[0], offset(p.kept, p.y_strides, row));
  }

  /// Rows `row`, row + step and so on, ROWS of them, so that as many loads are in flight.
  CUTE_DEVICE static void several_rows(ReduceParams const& p, Monoid const& monoid, int64_t row, int step, int lane,
                                       int width) {
    T const* data[ROWS];
    Pivot pivots[ROWS];
    Tensor batch = make_tensor<T>(Shape<Int<VEC>, Int<ROWS>>{});  // (VEC, ROWS)
    bool inside = lane < units(p);
    int64_t from = inside ? unit_offset(p, lane) : 0;
    CUTLASS_PRAGMA_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      bool exists = row + r * step < p.kept.count;
      data[r] = exists ? row_of(p, row + r * step) : nullptr;
      pivots[r] = exists ? pivot_of(p, monoid, data[r]) : Pivot{};
      T filler = monoid.filler(pivots[r]);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) batch(v, r) = filler;
      if (exists && inside) load(data[r] + from, batch(_, r));
    }
    State states[ROWS];
    CUTLASS_PRAGMA_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      T values[VEC];
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) values[v] = batch(v, r);
      states[r] = Monoid::identity;
      monoid.absorb(states[r], values, pivots[r], [&](int i) { return int64_t(lane) * VEC + i; });
      if (data[r]) absorb_tail(p, monoid, data[r], pivots[r], lane, width, states[r]);
    }
    fold_lanes(monoid, states, width);
    CUTLASS_PRAGMA_UNROLL
    for (int r = 0; r < ROWS; ++r)
      if (data[r] && lane == 0) monoid.store(states[r], offset(p.kept, p.y_strides, row + r * step));
  }

  /// Over `width` neighbouring lanes; the first of them has the result.
  template <int N> CUTE_DEVICE static void fold_lanes(Monoid const& monoid, State (&states)[N], int width) {
    CUTLASS_PRAGMA_NO_UNROLL
    for (int distance = 1; distance < width; distance *= 2) {
      CUTLASS_PRAGMA_UNROLL
      for (int n = 0; n < N; ++n) states[n] = monoid(states[n], from_lane_xor(states[n], distance));
    }
  }

  /// A block has an output, or a part of one: the others are those of its cluster, or as many blocks as there are, the last of which to
  /// finish adds up.
  CUTE_DEVICE static void block(ReduceParams const& p) {
    using Reduction = RowReduction<THREADS, false, State>;
    __shared__ typename Reduction::Storage storage;
    __shared__ State of_blocks[Config.max_cluster];
    if (p.clustered) cluster_arrive_relaxed();
    Monoid monoid{p};
    Fold fold{monoid};
    Reduction reduction(storage);
    int thread = int(threadIdx.x), splits = int(p.splits.divisor);
    int64_t row = p.splits.quotient(int32_t(blockIdx.x));
    int split = int(blockIdx.x) - int(row) * splits;
    T const* data = row_of(p, row);
    wait_for_preceding_grids();

    int64_t begin = split * p.part, end = begin + p.part < units(p) ? begin + p.part : units(p);
    Pivot pivot = pivot_of(p, monoid, data);
    State state = Monoid::identity;
    absorb_row(p, monoid, data, pivot, begin, end, thread, THREADS, state);
    if (split == splits - 1) absorb_tail(p, monoid, data, pivot, thread, THREADS, state);
    state = reduction(state, fold);

    if (p.clustered) {
      state = fold_cluster(monoid, of_blocks, state);
      if (split != 0) return;
    } else if (splits > 1) {
      State* partials = static_cast<State*>(p.partials) + row * splits;
      if (thread == 0) partials[split] = state;
      if (!is_last(p.tickets + row, splits)) return;
      state = Monoid::identity;
      for (int i = thread; i < splits; i += THREADS) state = monoid(state, partials[i]);
      state = reduction(state, fold);
    }
    if (thread == 0) monoid.store(state, offset(p.kept, p.y_strides, row));
  }

  /// Every block of the cluster leaves its state with the first one, which has the result.
  CUTE_DEVICE static State fold_cluster(Monoid const& monoid, State (&of_blocks)[Config.max_cluster], State state) {
    int blocks = int(cluster_shape().x), rank = int(block_rank_in_cluster());
    cluster_wait();  // before, the first one's shared memory is not its own
    if (threadIdx.x == 0) *cooperative_groups::this_cluster().map_shared_rank(&of_blocks[rank], 0) = state;
    cluster_sync();
    if (rank != 0) return state;
    state = of_blocks[0];
    for (int i = 1; i < blocks; ++i) state = monoid(state, of_blocks[i]);
    return state;
  }

  /// Whether this block is the last of `blocks` to come here; it then sees what all of them had written. All threads of the block get
  /// the answer, and the tickets are ready for the next launch.
  CUTE_DEVICE static bool is_last(int* tickets, int blocks) {
    __shared__ bool last;
    block_sync();
    if (threadIdx.x == 0) {
      last = draw_ticket(tickets) == blocks - 1;
      if (last) *tickets = 0;
    }
    block_sync();
    return last;
  }

  // ---- columns ---------------------------------------------------------------------------------------------------------

  /// Threads side by side have VEC columns each; threads above one another, and `splits` blocks, share them.
  CUTE_DEVICE static void columns(ReduceParams const& p) {
    __shared__ State storage[VEC][THREADS / 2];
    Monoid monoid{p};
    int width = 1 << p.width_log2, height = THREADS >> p.width_log2;
    int side = int(threadIdx.x) & (width - 1), above = int(threadIdx.x) >> p.width_log2, splits = int(p.splits.divisor);
    int group = p.splits.quotient(int32_t(blockIdx.x)), split = int(blockIdx.x) - group * splits;
    int slab = p.tiles.quotient(int32_t(group)), tile = group - slab * int(p.tiles.divisor);
    int64_t unit = int64_t(tile) * width + side;
    bool exists = unit < p.units.divisor;
    T const* data = row_of(p, slab) + unit * unit_step(p);
    wait_for_preceding_grids();

    State states[VEC];
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v) states[v] = Monoid::identity;
    int64_t begin = split * p.part, end = begin + p.part < p.reduced.count ? begin + p.part : p.reduced.count;
    if (exists) absorb_columns(p, monoid, data, begin, end, above, height, states);
    fold_above(monoid, storage, states, side, above, width, height);

    if (splits > 1) {
      State* partials = static_cast<State*>(p.partials) + (int64_t(group) * splits * width + side) * VEC;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        if (above == 0) partials[int64_t(split) * width * VEC + v] = states[v];
      if (!is_last(p.tickets + group, splits)) return;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) {
        states[v] = Monoid::identity;
        for (int i = above; i < splits; i += height)
          states[v] = monoid(states[v], partials[int64_t(i) * width * VEC + v]);
      }
      fold_above(monoid, storage, states, side, above, width, height);
    }
    if (!exists || above != 0) return;
    int64_t to = offset(p.kept, p.y_strides, slab) + unit * VEC * p.inner_y_step;
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v) monoid.store(states[v], to + v * p.inner_y_step);
  }

  /// Adds rows begin + above, begin + above + height and so on, up to `end`, of the thread's columns.
  CUTE_DEVICE static void absorb_columns(ReduceParams const& p, Monoid const& monoid, T const* data, int64_t begin,
                                         int64_t end, int above, int height, State (&states)[VEC]) {
    Pivot pivots[VEC];
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v) pivots[v] = pivot_of(p, monoid, data + v);
    int64_t first = begin + above, step = height * p.reduced.strides[0];
    CUTLASS_PRAGMA_NO_UNROLL
    for (; first < end; first += int64_t(height) * LOADS) {
      Batch batch;
      if (p.reduced.rank == 1 &&
          first + int64_t(height) * (LOADS - 1) < end) {  // no division, and addresses a constant apart
        T const* from = data + first * p.reduced.strides[0];
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < LOADS; ++i) load(from + i * step, batch(_, i));
      } else {
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < LOADS; ++i) {
          CUTLASS_PRAGMA_UNROLL
          for (int v = 0; v < VEC; ++v) batch(v, i) = monoid.filler(pivots[v]);
          if (first + i * height < end)
            load(data + offset(p.reduced, p.reduced.strides, first + i * height), batch(_, i));
        }
      }
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) {
        T values[LOADS];
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < LOADS; ++i) values[i] = batch(v, i);
        monoid.absorb(states[v], values, pivots[v], [&](int i) { return first + int64_t(i) * height; });
      }
    }
  }

  /// Over the threads above one another; the first of them have the results.
  CUTE_DEVICE static void fold_above(Monoid const& monoid, State (&storage)[VEC][THREADS / 2], State (&states)[VEC],
                                     int side, int above, int width, int height) {
    CUTLASS_PRAGMA_NO_UNROLL
    for (int half = height / 2; half > 0; half /= 2) {
      block_sync();  // the storage has been read
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        if (above >= half && above < 2 * half) storage[v][(above - half) * width + side] = states[v];
      block_sync();
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        if (above < half) states[v] = monoid(states[v], storage[v][above * width + side]);
    }
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_REDUCE_ENTRY(NAME)                                                                  \
  extern "C" __global__ void __launch_bounds__(ckl::parse_reduce_config(#NAME).threads(),       \
                                               ckl::parse_reduce_config(#NAME).blocks_per_sm()) \
      ckl_reduce_##NAME(__grid_constant__ ckl::ReduceParams const params) {                     \
    ckl::device::ReduceKernel<ckl::parse_reduce_config(#NAME)>::run(params);                    \
  }
