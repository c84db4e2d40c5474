#pragma once

// Reductions: threads that share an output load its elements in batches, several 16-byte loads in flight each, and fold what they have
// found; then lanes, warps and blocks do, each in a fixed order.

#include <cute/tensor.hpp>

#include "device/arch.cuh"
#include "device/coordinates.cuh"
#include "device/mailbox.cuh"
#include "device/row_reduction.cuh"
#include "ops/reduce/monoid.cuh"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

template <ReduceConfig Config, class MonoidOfConfig = device::Monoid<Config.family, Config.dtype>> struct ReduceKernel {
  using Monoid = MonoidOfConfig;
  using State = typename Monoid::State;
  using Pivot = typename Monoid::Pivot;
  using T = Element<Config.dtype>;
  static constexpr int VEC = Config.vector_elements(), LOADS = Config.loads(), THREADS = Config.threads(),
                       WARPS = THREADS / Config.warp;
  template <int N> using Loads = decltype(make_tensor<T>(Shape<Int<VEC>, Int<N>>{}));  // (VEC, N)
  using Batch = Loads<LOADS>;
  /// What the kernel with vectors has of them, and of threads that fold what others have found of a column.
  static constexpr int LOADS_BY_VECTORS = Config.by_vectors().loads(),
                       VEC_BY_VECTORS = Config.by_vectors().vector_elements();
  static_assert(Config.valid && sizeof(State) <= Config.state_bytes());
  /// Whether the kernel has a ShortSum too.
  static constexpr bool has_short_sums = Config.vector && sizeof(T) == 2 && Config.kind == ReduceKind::warp &&
                                         cute::is_same_v<Monoid, device::Monoid<ReduceFamily::sum, Config.dtype>>;

  CUTE_DEVICE static void run(ReduceParams const& p, Monoid const& monoid) {
    allow_next_grid();
    if constexpr (has_short_sums) {
      using Short = ShortSum<Config.dtype>;
      if (p.loads_log2 >= 0 && p.count <= Short::most) return ReduceKernel<Config, Short>::several_rows(p, Short{{p}});
    }
    if constexpr (Config.kind == ReduceKind::warp) warp(p, monoid);
    if constexpr (Config.kind == ReduceKind::block) block(p, monoid);
    if constexpr (Config.kind == ReduceKind::columns) columns(p, monoid);
  }

  /// All of the kernel, where lanes take several rows at once.
  CUTE_DEVICE static void several_rows(ReduceParams const& p, Monoid const& monoid) {
    int width = 1 << p.width_log2, lane = int(threadIdx.x) & (width - 1);
    wait_for_preceding_grids();
    several_rows(p, monoid, lane, width);
  }

 private:
  // ---- where elements are ----------------------------------------------------------------------------------------------

  CUTE_DEVICE static int64_t offset(ReduceDimensions const& dimensions, int64_t const (&strides)[max_rank], int64_t i) {
    return strided_offset(dimensions.sizes, strides, dimensions.rank, dimensions.count, i);
  }

  CUTE_DEVICE static T const* elements(ReduceParams const& p, int64_t begin) {
    return static_cast<T const*>(p.x) + begin;
  }
  CUTE_DEVICE static int64_t begin_of(ReduceParams const& p, int64_t row) {
    return offset(p.kept, p.kept.strides, row);
  }

  /// All units of a row that begins and ends on one, one after another: vectors, or elements.
  CUTE_DEVICE static int64_t units(ReduceParams const& p) { return p.reduced.count * p.units.divisor; }

  /// What threads add up together: a row, or a run of neighbours in it.
  struct Row {
    int64_t begin;         // in x: of a pointer the compiler would forget that it is to global memory
    int64_t place, units;  // of the first element among those of the output; vectors or elements from element `head` on
    int head, ends;        // elements before the units, and those together with the ones behind
    bool dense;            // the units have one distance
  };

  /// p.inner neighbours, which may begin anywhere.
  CUTE_DEVICE static Row run_at(ReduceParams const& p, int64_t begin, int64_t place) {
    int head = -int(reinterpret_cast<uintptr_t>(elements(p, begin)) / sizeof(T)) & (VEC - 1);
    int64_t units = (p.inner - head) / VEC;
    return {begin, place, units, head, int(p.inner - units * VEC), true};
  }

  CUTE_DEVICE static Row row_at(ReduceParams const& p, int64_t number) {
    int64_t begin = begin_of(p, number);
    bool dense = p.reduced.count == 1;
    if (Config.vector && dense) return run_at(p, begin, 0);
    return {begin, 0, units(p), 0, 0, dense};
  }

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

  template <class Registers, class Filler> CUTE_DEVICE static void fill(Registers& batch, Filler const& filler) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < size(batch); ++i) batch(i) = filler(i % VEC);
  }

  /// Issues those loads of a batch that are there, `space` elements apart; the last one is, if all are. Element v of the others is filler(v).
  template <class Registers, class Exists, class Filler>
  CUTE_DEVICE static void load_spaced(Registers& batch, T const* data, int64_t space, Exists const& exists,
                                      Filler const& filler) {
    constexpr int N = size<1>(Registers{});
    if (exists(N - 1)) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < N; ++i) load(data + i * space, batch(_, i));
    } else {
      fill(batch, filler);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < N; ++i)
        if (exists(i)) load(data + i * space, batch(_, i));
    }
  }

  /// Issues those loads of a batch that are there, load i at `place(i)` if `exists(i)`, and fills in filler(v) for element v of the others.
  /// Where and whether is in the code once, since it may take a division for each dimension.
  template <class Registers, class Exists, class Place, class Filler>
  CUTE_DEVICE static void load_scattered(Registers& batch, T const* x, Exists const& exists, Place const& place,
                                         Filler const& filler) {
    constexpr int N = size<1>(Registers{});
    int64_t places[N] = {};
    uint32_t existing = 0;
    CUTLASS_PRAGMA_NO_UNROLL
    for (int i = 0; i < N; ++i) {
      CUTLASS_PRAGMA_UNROLL
      for (int j = 0; j + 1 < N; ++j) places[j] = places[j + 1];
      if (!exists(i)) continue;
      places[N - 1] = place(i);
      existing |= 1u << i;
    }
    fill(batch, filler);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < N; ++i)
      if (existing >> i & 1) load(x + places[i], batch(_, i));
  }

  template <int N, class Registers> CUTE_DEVICE static void unpack(Registers const& registers, T (&values)[N]) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < N; ++i) values[i] = registers(i);
  }

  /// The same of neighbours: pairs that share a register stay together for who looks at them so.
  template <int N, class Registers> CUTE_DEVICE static void unpack_row(Registers const& registers, T (&values)[N]) {
    if constexpr (Monoid::packed && N % 2 == 0) {
      Tensor to = recast<uint32_t>(make_tensor(make_rmem_ptr(&values[0]), Int<N>{}));  // (N / 2)
      Tensor from = recast<uint32_t const>(registers);                                 // (N / 2)
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < N / 2; ++i) to(i) = from(i);
    } else {
      unpack(registers, values);
    }
  }

  CUTE_DEVICE static void store(ReduceParams const& p, Monoid const& monoid, State state, int64_t to) {
    auto value = monoid.result(state);
    with_output(p.y_dtype, p.y,
                [&](auto* y) CUTLASS_LAMBDA_FUNC_INLINE { y[to] = rounded<remove_pointer_t<decltype(y)>>(value); });
  }

  CUTE_DEVICE static Pivot pivot_of(ReduceParams const& p, Monoid const& monoid, T const* row) {
    return monoid.pivot(p.count > 0 ? *row : T(0));
  }

  /// Has the L2 fetch vector `first` of a row and those that a thread of the block loads with it. That may be done before the preceding grids
  /// have ended, since what they still write goes through the L2 as well.
  CUTE_DEVICE static void prefetch_batch(ReduceParams const& p, Row const& row, int64_t first, int loads) {
    if constexpr (Config.vector) {
      if (!row.dense) return;
      T const* data = elements(p, row.begin + row.head + first * VEC);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < LOADS; ++i)
        if (i < loads && first + i * THREADS < row.units) prefetch(data + i * THREADS * VEC);
    }
  }

  // ---- rows ------------------------------------------------------------------------------------------------------------

  /// Adds what `threads` threads, of which this is number `thread`, load of a row in batches that begin at unit `first` and lie `step`
  /// units apart; a batch of loads, `loads` of a thread at most, is issued before the first is used.
  CUTE_DEVICE static void absorb_row(ReduceParams const& p, Monoid const& monoid, Row const& row, Pivot pivot,
                                     int64_t first, int64_t step, int thread, int threads, State& state,
                                     int loads = LOADS) {
    CUTLASS_PRAGMA_NO_UNROLL
    for (first += thread; first < row.units; first += step) {
      Batch batch;
      auto exists = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return i < loads && first + i * threads < row.units; };
      auto filler = [&](int) CUTLASS_LAMBDA_FUNC_INLINE { return monoid.filler(pivot); };
      if (row.dense) {
        load_spaced(batch, elements(p, row.begin + row.head + first * unit_step(p)), threads * unit_step(p), exists,
                    filler);
      } else {
        auto place = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return unit_offset(p, first + i * threads); };
        load_scattered(batch, elements(p, row.begin), exists, place, filler);
      }
      alignas(16) T values[VEC * LOADS];
      unpack_row(batch, values);
      auto place = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
        return row.place + row.head + (first + int64_t(i / VEC) * threads) * VEC + i % VEC;
      };
      state = monoid(state, monoid.of(values, pivot, place));
    }
  }

  /// Adds the elements before and behind a row's vectors.
  CUTE_DEVICE static void absorb_ends(ReduceParams const& p, Monoid const& monoid, Row const& row, Pivot pivot,
                                      int thread, int threads, State& state) {
    if constexpr (Config.vector) {
      CUTLASS_PRAGMA_NO_UNROLL
      for (int i = thread; i < row.ends; i += threads) {
        int64_t at = i < row.head ? i : i + row.units * VEC;
        T value[1] = {*elements(p, row.begin + at)};
        state = monoid(state, monoid.of(value, pivot, [&](int) { return row.place + at; }));
      }
    }
  }

  /// Adds the runs of neighbours that a row consists of: teams of threads take turns at them.
  CUTE_DEVICE static void absorb_runs(ReduceParams const& p, Monoid const& monoid, int64_t begin, Pivot pivot,
                                      int split, int splits, int thread, State& state) {
    int team = 1 << p.width_log2, teams = THREADS >> p.width_log2, member = thread & (team - 1);
    CUTLASS_PRAGMA_NO_UNROLL
    for (int64_t i = split * teams + (thread >> p.width_log2); i < p.reduced.count; i += splits * teams) {
      Row run = run_at(p, begin + offset(p.reduced, p.reduced.strides, i), i * p.inner);
      absorb_row(p, monoid, run, pivot, 0, team * LOADS, member, team, state);
      absorb_ends(p, monoid, run, pivot, member, team, state);
    }
  }

  /// A part of a warp has an output, or several of them; or several warps have one.
  CUTE_DEVICE static void warp(ReduceParams const& p, Monoid const& monoid) {
    int width = 1 << p.width_log2, lane = int(threadIdx.x) & (width - 1);
    wait_for_preceding_grids();
    if (p.loads_log2 >= 0) return several_rows(p, monoid, lane, width);
    if constexpr (!Config.vector)
      if (p.staged) return staged_rows(p, monoid, lane, width);

    int64_t number = (int64_t(blockIdx.x) * THREADS + threadIdx.x) >> p.width_log2;
    bool exists = number < p.kept.count;
    State state = Monoid::identity;
    if (exists) {
      Row row = row_at(p, number);
      Pivot pivot = pivot_of(p, monoid, elements(p, row.begin));
      absorb_row(p, monoid, row, pivot, 0, width * LOADS, lane, width, state);
      absorb_ends(p, monoid, row, pivot, lane, width, state);
    }
    state = fold_lanes(monoid, state, 1, cute::min(width, int{Config.warp}));
    if (width > Config.warp) {  // they are several warps
      __shared__ State of_warps[WARPS];
      int warp = int(threadIdx.x) / Config.warp, warps = width / Config.warp;
      if (lane % Config.warp == 0) of_warps[warp] = state;
      block_sync();
      if (lane < Config.warp) {
        state = Monoid::identity;
        if (lane < warps) state = of_warps[warp + lane];
        state = fold_lanes(monoid, state, 1, warps);
      }
    }
    if (exists && lane == 0) store(p, monoid, state, offset(p.kept, p.y_strides, number));
  }

  /// Short rows, one right behind the other. A block brings as many as it has groups of lanes to shared memory by vectors of 16 bytes,
  /// whatever rows those are of, and takes their elements one by one there.
  CUTE_DEVICE static void staged_rows(ReduceParams const& p, Monoid const& monoid, int lane, int width) {
    constexpr int PACKED = 16 / int(sizeof(T)), BATCH = 8;
    __shared__ alignas(16) uint8_t stage[Config.stage_bytes];
    T* sX = reinterpret_cast<T*>(stage);
    int row = int(threadIdx.x) >> p.width_log2, rows = THREADS >> p.width_log2, length = int(p.inner);
    int64_t first = int64_t(blockIdx.x) * rows, left = p.kept.count - first;
    int elements = int(cute::min(int64_t(rows), left)) * length;
    T const* x = static_cast<T const*>(p.x) + first * length;
    CUTLASS_PRAGMA_NO_UNROLL
    for (int i = int(threadIdx.x) * PACKED; i + PACKED <= elements; i += THREADS * PACKED)
      copy(Copy_Atom<SM80_CP_ASYNC_CACHEGLOBAL<uint128_t>, T>{}, make_tensor(make_gmem_ptr(x + i), Int<PACKED>{}),
           make_tensor(make_smem_ptr(sX + i), Int<PACKED>{}));  // (PACKED)
    int rest = elements % PACKED;
    if (int(threadIdx.x) < rest) sX[elements - rest + threadIdx.x] = x[elements - rest + threadIdx.x];
    cp_async_fence();
    cp_async_wait<0>();
    block_sync();

    State state = Monoid::identity;
    if (row < left) {
      T const* data = sX + row * length;
      Pivot pivot = monoid.pivot(*data);
      int at = lane;
      CUTLASS_PRAGMA_NO_UNROLL
      for (; at + (BATCH - 1) * width < length; at += BATCH * width)
        absorb_spaced<BATCH>(monoid, data, pivot, at, width, state);
      CUTLASS_PRAGMA_NO_UNROLL
      for (; at < length; at += width) absorb_spaced<1>(monoid, data, pivot, at, width, state);
    }
    state = fold_lanes(monoid, state, 1, width);
    if (row < left && lane == 0) store(p, monoid, state, offset(p.kept, p.y_strides, first + row));
  }

  /// Adds N elements of a row, `space` apart.
  template <int N> CUTE_DEVICE static void absorb_spaced(Monoid const& monoid, T const* row, Pivot pivot, int first,
                                                         int space, State& state) {
    T values[N];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < N; ++i) values[i] = row[first + i * space];
    auto place = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return int64_t(first + i * space); };
    state = monoid(state, monoid.of(values, pivot, place));
  }

  /// Lanes that share outputs take as many rows at a time as make LOADS loads a lane, all of which are issued before the first is used.
  CUTE_DEVICE static void several_rows(ReduceParams const& p, Monoid const& monoid, int lane, int width) {
    // Rows beside each other belong to lanes beside each other, so that a load of the warp is of neighbours.
    int rows_log2 = log_2(unsigned(LOADS)) - p.loads_log2, rows = 1 << rows_log2, groups = Config.warp >> p.width_log2;
    int64_t warp = (int64_t(blockIdx.x) * THREADS + threadIdx.x) / Config.warp;
    int64_t first = warp * rows * groups + (int(threadIdx.x) % Config.warp >> p.width_log2),
            left = p.kept.count - first;
    int units_of_a_row = int(units(p));
    auto row = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return (i & (rows - 1)) * groups; };
    auto unit = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return lane + (i >> rows_log2) * width; };
    auto exists = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return row(i) < left && unit(i) < units_of_a_row; };

    Batch batch;
    T const* x = static_cast<T const*>(p.x);
    Pivot none = monoid.pivot(T(0));
    auto filler = [&](int) CUTLASS_LAMBDA_FUNC_INLINE { return monoid.filler(none); };
    if (p.kept.rank == 1 && p.reduced.count == 1 && exists(LOADS - 1)) {  // then all of them do
      T const* data[LOADS] = {x + first * p.kept.strides[0] + lane * unit_step(p)};
      CUTLASS_PRAGMA_UNROLL
      for (int half = 1; half < LOADS; half *= 2) {
        int64_t step = half < rows ? p.kept.strides[0] * row(half) : unit_step(p) * (unit(half) - lane);
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < half; ++i) data[half + i] = data[i] + step;
      }
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < LOADS; ++i) load(data[i], batch(_, i));
    } else {
      auto place = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
        return offset(p.kept, p.kept.strides, first + row(i)) + unit_offset(p, unit(i));
      };
      load_scattered(batch, x, exists, place, filler);
    }

    Pivot pivots[LOADS];  // of the row that a load is of, whose first element is in the first lane's first load of it
    if constexpr (!is_empty<Pivot>::value) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < LOADS; ++i) pivots[i] = monoid.pivot(from_first_lane(batch(0, i), width));
      CUTLASS_PRAGMA_UNROLL
      for (int half = 1; half < LOADS; half *= 2) {
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < LOADS; ++i)
          if (half >= rows && (i & half)) pivots[i] = pivots[i - half];
      }
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < LOADS; ++i)
        if (!exists(i)) pivots[i] = none;
    }
    State states[LOADS];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < LOADS; ++i) {
      alignas(16) T values[VEC];
      unpack_row(batch(_, i), values);
      auto place = [&](int v) CUTLASS_LAMBDA_FUNC_INLINE { return int64_t(unit(i)) * VEC + v; };
      states[i] = monoid.of(values, pivots[i], place);
    }

    Folded folded = fold_rows<LOADS>(monoid, states, 1 << p.loads_log2, lane, width);
    CUTLASS_PRAGMA_NO_UNROLL
    for (int r = folded.first; r < folded.first + folded.rows; ++r) {
      if (lane < folded.holders && row(r) < left)
        store(p, monoid, states[0], offset(p.kept, p.y_strides, first + row(r)));
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i + 1 < LOADS; ++i) states[i] = states[i + 1];
    }
  }

  /// What is left to a lane: the states of `rows` rows from row `first` of its group on, if its number is below `holders`.
  struct Folded {
    int first, rows, holders;
  };

  /// Folds the states of the loads that each row has, and then those of the lanes that share rows. As long as a lane has several states,
  /// each step halves their number: two of a row become one, or each of two lanes leaves half of the rows to the other.
  template <int N> CUTE_DEVICE static Folded fold_rows(Monoid const& monoid, State (&states)[LOADS], int loads,
                                                       int lane, int width, int distance = 1, int first = 0) {
    if constexpr (N == 1) {
      states[0] = fold_lanes(monoid, states[0], distance, width);
      return {first, N, distance};
    } else {
      constexpr int half = N / 2;
      if (loads > 1) {
        loads /= 2;
      } else if (distance < width) {
        bool upper = lane & distance;
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < half; ++i) {
          State left = upper ? states[i] : states[i + half];
          states[i] = upper ? states[i + half] : states[i];
          states[i + half] = from_lane_xor(left, distance);
        }
        first += upper ? half : 0;
        distance *= 2;
      } else {
        return {first, N, distance};
      }
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < half; ++i) states[i] = monoid(states[i], states[i + half]);
      return fold_rows<half>(monoid, states, loads, lane, width, distance, first);
    }
  }

  /// The value of `x` in the first of `width` neighbouring lanes.
  CUTE_DEVICE static T from_first_lane(T x, int width) {
    namespace cg = cooperative_groups;
    return cg::tiled_partition<Config.warp>(cg::this_thread_block()).shfl(x, int(threadIdx.x) % Config.warp & -width);
  }

  /// Over `width` neighbouring lanes, from those that are `distance` apart on.
  CUTE_DEVICE static State fold_lanes(Monoid const& monoid, State state, int distance, int width) {
    if constexpr (Monoid::has_levels) {  // the steps have no exponentials then
      auto level = monoid.level(state);
      CUTLASS_PRAGMA_NO_UNROLL
      for (int d = distance; d < width; d *= 2) level = monoid.higher(level, from_lane_xor(level, d));
      state = monoid.at_level(state, level);
      CUTLASS_PRAGMA_NO_UNROLL
      for (; distance < width; distance *= 2) state = monoid.plus(state, from_lane_xor(state, distance));
    } else {
      CUTLASS_PRAGMA_NO_UNROLL
      for (; distance < width; distance *= 2) state = monoid(state, from_lane_xor(state, distance));
    }
    return state;
  }

  /// Over each WIDTH lanes, by vectors in code without a loop: nothing hides what a block does after its last load.
  template <int WIDTH, int DISTANCE = 1> CUTE_DEVICE static State fold_all_lanes(Monoid const& monoid, State state) {
    if constexpr (!Config.vector || Monoid::has_levels)
      return fold_lanes(monoid, state, DISTANCE, WIDTH);
    else if constexpr (DISTANCE < WIDTH)
      return fold_all_lanes<WIDTH, 2 * DISTANCE>(monoid, monoid(state, from_lane_xor(state, DISTANCE)));
    else
      return state;
  }

  /// Leaves the warp's state, for all to see; a lane gets that of the warp whose number it has, over and over.
  CUTE_DEVICE static State exchange_with_warps(State (&of_warps)[WARPS], State state) {
    int lane = int(threadIdx.x) % Config.warp;
    if (lane == 0) of_warps[threadIdx.x / Config.warp] = state;
    block_sync();
    return of_warps[lane % WARPS];
  }

  /// A block has an output, or a part of one: the others are those of its cluster, or as many blocks as there are, the last of which to
  /// finish adds up.
  CUTE_DEVICE static void block(ReduceParams const& p, Monoid const& monoid) {
    __shared__ State of_warps[2][WARPS], of_blocks[Config.largest_cluster];
    if (p.clustered) cluster_arrive_relaxed();
    int thread = int(threadIdx.x), splits = int(p.splits.divisor);
    int64_t number = p.splits.quotient(int32_t(blockIdx.x));
    int split = int(blockIdx.x) - int(number) * splits;
    Row row = row_at(p, number);
    int loads = Config.vector ? 1 << p.loads_log2 : LOADS, batch = THREADS * loads;
    if (p.width_log2 == 0) prefetch_batch(p, row, int64_t(split) * batch + thread, loads);
    wait_for_preceding_grids();

    Pivot pivot = pivot_of(p, monoid, elements(p, row.begin));
    State state = Monoid::identity;
    if (p.width_log2 > 0) {
      absorb_runs(p, monoid, row.begin, pivot, split, splits, thread, state);
    } else {
      absorb_row(p, monoid, row, pivot, int64_t(split) * batch, int64_t(splits) * batch, thread, THREADS, state, loads);
      if (split == splits - 1) absorb_ends(p, monoid, row, pivot, thread, THREADS, state);
    }
    state = fold_all_lanes<Config.warp>(monoid, state);
    state = fold_all_lanes<WARPS>(monoid, exchange_with_warps(of_warps[0], state));

    if (p.clustered) {
      state = fold_cluster(monoid, of_blocks, state);
      if (split != 0) return;
    } else if (splits > 1) {
      Mailbox<State, Config.adds_f64()> mailbox(p.mailbox);
      int64_t first = number * splits;
      if (split < splits - 1) {
        if (thread == 0) mailbox.leave(first + split, state);
        return;
      }
      // One warp empties few boxes, as many at a time as leave it its registers, and needs no other then.
      constexpr int AT_A_TIME = sizeof(State) <= 8 ? 4 : 2;
      bool is_one_warp = splits - 1 <= AT_A_TIME * Config.warp;
      if (is_one_warp && thread >= Config.warp) return;
      State others = Monoid::identity;
      mailbox.template take<AT_A_TIME>(
          thread, is_one_warp ? int{Config.warp} : THREADS, splits - 1,
          [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return first + i; },
          [&](State taken) CUTLASS_LAMBDA_FUNC_INLINE { others = monoid(others, taken); });
      others = fold_all_lanes<Config.warp>(monoid, others);
      if (!is_one_warp) others = fold_lanes(monoid, exchange_with_warps(of_warps[1], others), 1, WARPS);
      state = monoid(others, state);
    }
    if (thread == 0) store(p, monoid, state, offset(p.kept, p.y_strides, number));
  }

  /// Every block of the cluster leaves its state with the first one, which has the result.
  CUTE_DEVICE static State fold_cluster(Monoid const& monoid, State (&of_blocks)[Config.largest_cluster], State state) {
    int blocks = int(cluster_shape().x), rank = int(block_rank_in_cluster());
    cluster_wait();  // before, the first one's shared memory is not its own
    if (threadIdx.x == 0) *cooperative_groups::this_cluster().map_shared_rank(&of_blocks[rank], 0) = state;
    cluster_sync();
    if (rank != 0) return state;
    state = of_blocks[0];
    for (int i = 1; i < blocks; ++i) state = monoid(state, of_blocks[i]);
    return state;
  }

  // ---- columns ---------------------------------------------------------------------------------------------------------

  /// Which columns a thread has, and which of the blocks that share them its own is.
  struct Share {
    int slab, split, tile;
    int64_t unit;

    /// Blocks that run at the same time read neighbours: first along the rows.
    CUTE_DEVICE Share(ReduceParams const& p, int block, int side) {
      int row = p.tiles.quotient(int32_t(block));
      tile = block - row * int(p.tiles.divisor);
      slab = p.splits.quotient(int32_t(row));
      split = row - slab * int(p.splits.divisor);
      unit = (int64_t(tile) << p.width_log2) + side;
    }
  };

  struct ColumnStorage {
    static constexpr int pad = VEC > 1 ? 4 : 0;  // rows of states begin in other banks
    State of_threads[VEC][THREADS + pad];
    State of_rows[THREADS];
  };

  /// Threads side by side have VEC columns each; threads above one another, and `splits` blocks, share them.
  CUTE_DEVICE static void columns(ReduceParams const& p, Monoid const& monoid) {
    __shared__ ColumnStorage storage;
    if constexpr (Config.has_once())
      if (p.once) return columns_once(p, monoid, storage);
    int width = 1 << p.width_log2, height = THREADS >> p.width_log2, splits = int(p.splits.divisor);
    int side = int(threadIdx.x) & (width - 1), above = int(threadIdx.x) >> p.width_log2;
    uint32_t block = blockIdx.x;
    auto share_again = [&]() CUTLASS_LAMBDA_FUNC_INLINE {
      warpgroup_fence_operand(block);  // the compiler forgets it rather than keep it in registers that loads need
      return Share(p, int(block), side);
    };
    Share share = share_again();
    T const* data = elements(p, begin_of(p, share.slab) + share.unit * unit_step(p));
    wait_for_preceding_grids();

    State states[VEC];
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v) states[v] = Monoid::identity;
    if (share.unit < p.units.divisor) {
      if (LOADS != LOADS_BY_VECTORS && p.invariant)
        absorb_columns<LOADS_BY_VECTORS>(p, monoid, data, share.split, splits, above, height, states);
      else
        absorb_columns<LOADS>(p, monoid, data, share.split, splits, above, height, states);
    }
    int columns = VEC << p.width_log2;
    if (columns >
        THREADS) {  // few threads above one another, and no block beside: the first ones have vectors of results
      fold_above(monoid, storage, states, side, above, width, height);
      if (above == 0) store_vector(p, monoid, share_again(), states);
      return;
    }
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v) storage.of_threads[v][threadIdx.x] = states[v];
    block_sync();
    finish_column(p, monoid, storage, share_again(), height);
  }

  /// Columns of few rows: each thread loads once, whatever it has of them, and then has the results of single columns.
  CUTE_DEVICE static void columns_once(ReduceParams const& p, Monoid const& monoid, ColumnStorage& storage) {
    int width = 1 << p.width_log2, height = THREADS >> p.width_log2;
    int side = int(threadIdx.x) & (width - 1), above = int(threadIdx.x) >> p.width_log2;
    Share share(p, int(blockIdx.x), side);
    T const* data = elements(p, begin_of(p, share.slab) + share.unit * unit_step(p));
    wait_for_preceding_grids();
    if (share.unit < p.units.divisor) {
      Pivot pivots[VEC];
      find_pivots(p, monoid, data, pivots);
      Loads<Config.loads_once> batch;
      load_rows(p, monoid, batch, data, above, height, pivots);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        storage.of_threads[v][threadIdx.x] = of_column(monoid, batch, v, pivots[v], above, height);
    }
    block_sync();
    int64_t tile = int64_t(share.tile) * VEC << p.width_log2;
    int columns = int(cute::min(p.inner - tile, int64_t(VEC) << p.width_log2));
    CUTLASS_PRAGMA_NO_UNROLL
    for (int column = int(threadIdx.x); column < columns; column += THREADS) {
      State state = storage.of_threads[column % VEC][column / VEC];
      CUTLASS_PRAGMA_NO_UNROLL
      for (int other = 1; other < height; ++other)
        state = monoid(state, storage.of_threads[column % VEC][other * width + column / VEC]);
      store(p, monoid, state, offset(p.kept, p.y_strides, share.slab) + (tile + column) * p.inner_y_step);
    }
  }

  /// Folds what `height` threads above one another, and the blocks that share the tile, have found. A thread has no vector of columns now but
  /// one of them, or a part of one: as many threads as there are columns lie between those that share one.
  CUTE_DEVICE static void finish_column(ReduceParams const& p, Monoid const& monoid, ColumnStorage& storage,
                                        Share const& share, int height) {
    int columns_log2 = p.width_log2 + log_2(unsigned(VEC)), splits = int(p.splits.divisor);
    int rows = THREADS >> columns_log2, row = int(threadIdx.x) >> columns_log2;  // of such threads
    if (!Config.vector && p.invariant) rows /= VEC_BY_VECTORS;                   // the others are idle
    int column = int(threadIdx.x) & ((1 << columns_log2) - 1);
    auto found = [&](int above) CUTLASS_LAMBDA_FUNC_INLINE {
      return storage.of_threads[column % VEC][(above << p.width_log2) + column / VEC];
    };
    State state = found(row);
    CUTLASS_PRAGMA_NO_UNROLL
    for (int above = row + rows; above < height; above += rows) state = monoid(state, found(above));

    // Blocks that share columns meet in groups, whose last ones meet in turn, so that a thread has a few boxes to empty each time.
    Mailbox<State, Config.adds_f64()> mailbox(p.mailbox);
    // Where they meet twice, each has four boxes rather than eight, if that will do.
    bool eight = splits <= 8 * rows || splits > 16 * rows * rows;
    int reach_log2 = log_2(unsigned(rows)) + (eight ? 3 : 2);
    int group = share.slab * int(p.tiles.divisor) + share.tile;
    auto box = [&](int split)
                   CUTLASS_LAMBDA_FUNC_INLINE { return ((int64_t(group) * splits + split) << columns_log2) + column; };
    CUTLASS_PRAGMA_NO_UNROLL
    for (int stride_log2 = 0;; stride_log2 += reach_log2) {
      fold_rows_above(monoid, storage, state, rows, columns_log2);
      int stride = 1 << stride_log2, reached = stride << reach_log2;
      if (stride >= splits) break;
      int begin = share.split & -reached, last = cute::min(begin + reached, splits) - 1;
      if (share.split < last) {
        if (row == 0) mailbox.leave(box(share.split), state);
        return;
      }
      if (row > 0) state = Monoid::identity;  // the first one has what this block has found
      int others = Config.vector || row < rows ? (last - begin) >> stride_log2 : 0;
      mailbox.template take<sizeof(State) <= 8 ? 4 : 1>(
          row, rows, others, [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return box(begin + (i + 1) * stride - 1); },
          [&](State taken) CUTLASS_LAMBDA_FUNC_INLINE { state = monoid(state, taken); });
    }
    int64_t place = (int64_t(share.tile) << columns_log2) + column;
    if (row == 0 && place < p.units.divisor * VEC)
      store(p, monoid, state, offset(p.kept, p.y_strides, share.slab) + place * p.inner_y_step);
  }

  /// Over the threads above one another; the first of them have the results.
  CUTE_DEVICE static void fold_above(Monoid const& monoid, ColumnStorage& storage, State (&states)[VEC], int side,
                                     int above, int width, int height) {
    if (height == 1) return;
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v)
      if (above > 0) storage.of_threads[v][threadIdx.x] = states[v];
    block_sync();
    CUTLASS_PRAGMA_NO_UNROLL
    for (int other = 1; other < height && above == 0; ++other) {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) states[v] = monoid(states[v], storage.of_threads[v][other * width + side]);
    }
  }

  /// Over `rows` rows of threads, of which the first ones have the results.
  CUTE_DEVICE static void fold_rows_above(Monoid const& monoid, ColumnStorage& storage, State& state, int rows,
                                          int columns_log2) {
    int thread = int(threadIdx.x), row = thread >> columns_log2;
    CUTLASS_PRAGMA_NO_UNROLL
    for (int left = rows, next; left > 1; left = next) {
      next = cute::max(left / 8, 1);
      block_sync();  // the storage has been read
      if (row < left) storage.of_rows[thread] = state;
      block_sync();
      if (row >= next) continue;
      CUTLASS_PRAGMA_NO_UNROLL
      for (int other = row + next; other < left; other += next)
        state = monoid(state, storage.of_rows[((other - row) << columns_log2) + thread]);
    }
  }

  CUTE_DEVICE static void store_vector(ReduceParams const& p, Monoid const& monoid, Share const& share,
                                       State const (&states)[VEC]) {
    if (share.unit >= p.units.divisor) return;
    int64_t to = offset(p.kept, p.y_strides, share.slab) + share.unit * VEC * p.inner_y_step;
    with_output(p.y_dtype, p.y, [&](auto* y) CUTLASS_LAMBDA_FUNC_INLINE {
      using Y = remove_pointer_t<decltype(y)>;
      cutlass::AlignedArray<Y, VEC, cute::min(16, VEC * int(sizeof(Y)))> rY;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) rY[v] = rounded<Y>(monoid.result(states[v]));
      store_columns(rY, y + to, p.inner_y_step);
    });
  }

  /// By vectors where y has them: stores of single elements, far apart from those of the next lane, take as long as many loads.
  template <class Registers, class Y> CUTE_DEVICE static void store_columns(Registers const& rY, Y* y, int64_t step) {
    if (step == 1 && reinterpret_cast<uintptr_t>(y) % alignof(Registers) == 0) {
      *reinterpret_cast<Registers*>(y) = rY;
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) y[v * step] = rY[v];
    }
  }

  /// Adds rows of the thread's columns: of batches of height * N rows every `splits`th, from number `split` on.
  template <int N> CUTE_DEVICE static void absorb_columns(ReduceParams const& p, Monoid const& monoid, T const* data,
                                                          int split, int splits, int above, int height,
                                                          State (&states)[VEC]) {
    Pivot pivots[VEC];
    find_pivots(p, monoid, data, pivots);
    int64_t batch_rows = int64_t(height) * N;
    CUTLASS_PRAGMA_NO_UNROLL
    for (int64_t first = split * batch_rows + above; first < p.reduced.count; first += splits * batch_rows) {
      Loads<N> batch;
      load_rows(p, monoid, batch, data, first, height, pivots);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        states[v] = monoid(states[v], of_column(monoid, batch, v, pivots[v], first, height));
    }
  }

  CUTE_DEVICE static void find_pivots(ReduceParams const& p, Monoid const& monoid, T const* data,
                                      Pivot (&pivots)[VEC]) {
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v) pivots[v] = pivot_of(p, monoid, data + v);
  }

  /// Issues the loads of rows first, first + height, ... of the columns at `data`.
  template <class Registers> CUTE_DEVICE static void load_rows(ReduceParams const& p, Monoid const& monoid,
                                                               Registers& batch, T const* data, int64_t first,
                                                               int height, Pivot const (&pivots)[VEC]) {
    auto exists = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return first + i * height < p.reduced.count; };
    auto filler = [&](int v) CUTLASS_LAMBDA_FUNC_INLINE { return monoid.filler(pivots[v]); };
    if (p.reduced.rank == 1) {
      load_spaced(batch, data + first * p.reduced.strides[0], height * p.reduced.strides[0], exists, filler);
    } else {
      auto place = [&](int i)
                       CUTLASS_LAMBDA_FUNC_INLINE { return offset(p.reduced, p.reduced.strides, first + i * height); };
      load_scattered(batch, data, exists, place, filler);
    }
  }

  /// The state of what they loaded of column v.
  template <class Registers> CUTE_DEVICE static State of_column(Monoid const& monoid, Registers const& batch, int v,
                                                                Pivot pivot, int64_t first, int height) {
    T values[size<1>(Registers{})];
    unpack(batch(v, _), values);
    return monoid.of(values, pivot, [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return first + int64_t(i) * height; });
  }
};

/// The library's reductions.
template <ReduceConfig Config> CUTE_DEVICE void run_reduction(ReduceParams const& p) {
  using Kernel = ReduceKernel<Config>;
  Kernel::run(p, typename Kernel::Monoid{p});
}

}  // namespace ckl::device

/// A kernel named SYMBOL for the config that NAME spells, whose parameter is a PARAMS named params and which BODY runs.
#define CKL_REDUCE_KERNEL(SYMBOL, NAME, PARAMS, BODY)                                           \
  extern "C" __global__ void __launch_bounds__(ckl::parse_reduce_config(#NAME).threads(),       \
                                               ckl::parse_reduce_config(#NAME).blocks_per_sm()) \
      SYMBOL(__grid_constant__ PARAMS const params) {                                           \
    BODY;                                                                                       \
  }

/// One entry of the library's modules.
#define CKL_REDUCE_ENTRY(NAME)                                  \
  CKL_REDUCE_KERNEL(ckl_reduce_##NAME, NAME, ckl::ReduceParams, \
                    ckl::device::run_reduction<ckl::parse_reduce_config(#NAME)>(params))
