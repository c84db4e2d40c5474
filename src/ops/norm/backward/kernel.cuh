#pragma once

// The gradients of LayerNorm and RMSNorm: dx = rstd * (g - mean(g) - x^ * mean(g * x^)), with g = dy * weight and x^ = (x - mean) * rstd.
// A block takes one row after another, and adds up dy * x^ and dy of its columns, which stay its own: what it has in the end are its
// partial sums of dweight and dbias.

#include <cutlass/arch/reg_reconfig.h>

#include "device/fed_ring.cuh"
#include "device/late_sums.cuh"
#include "device/row_engine.cuh"
#include "device/row_source.cuh"
#include "ops/norm/backward/params.hpp"

namespace ckl::device {

template <RowConfig Config> struct NormBackwardKernel {
  using Engine = RowEngine<Config>;
  using Reduction = typename Engine::Reduction;
  using Wide = typename Engine::Real;  // of sums over more than a thread holds
  using Real = cute::conditional_t<cute::is_same_v<typename Engine::T, float>, double, float>;
  using Part = typename Engine::Part;
  using Fragment = typename Engine::Fragment;
  using T = typename Engine::T;
  using Pair = cute::array<Real, 2>;
  static constexpr int VALUES = Engine::VALUES, VEC = Engine::VEC, VECTORS = Engine::VECTORS, GROUP = Engine::GROUP;
  static constexpr bool is_held = Config.kind != RowKind::stream;

  CUTE_DEVICE static void run(NormBackwardParams const& p) {
    allow_next_grid();  // which adds up the partial sums
    wait_for_preceding_grids();
    if constexpr (Config.is_fed()) {
      take_fed(p);
    } else {
      __shared__ typename Reduction::Storage storage;
      if constexpr (is_held)
        hold(p, storage);
      else
        stream(p, storage);
    }
  }

 protected:
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
    Fragment rX, rDY;             // (VEC, VECTORS)
    cute::array<Real, VALUES> w;  // what is beyond the row is 0

    CUTE_DEVICE Real gradient(int i) const { return Real(Engine::value(rDY, i)) * w[i]; }
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
        for (int v = 0; v < VEC; ++v) elements.w[i * VEC + v] = Real(float(rW(v)));
      }
    };
    if (p.weight_f32)
      load(float{});
    else
      load(T{});
  }

  /// The sums of g and of g * x^ of this thread's elements.
  CUTE_DEVICE static Pair moments(Row const& row, Elements const& e) {
    return Engine::template sums<2, Real>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      Real g = e.gradient(i);
      return Pair{{g, g * row.normalized(Engine::value(e.rX, i))}};
    });
  }

  /// dx of an element of a row, from its g and from the row's sums.
  CUTE_DEVICE static float gradient(NormBackwardParams const& p, Row const& row, Real g, float x, Pair const& sums) {
    Real rstd = row.rstd, scale = rstd * Real(p.reciprocal_columns);
    Real of_g = p.centered ? sums[0] * scale : Real(0), of_gx = sums[1] * scale;
    return float(rstd * g - of_g - row.normalized(x) * of_gx);
  }

  CUTE_DEVICE static void store(NormBackwardParams const& p, Row const& row, Elements& e, Pair sums, T* dx, int columns,
                                int thread) {
    auto result = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      return gradient(p, row, e.gradient(i), Engine::value(e.rX, i), sums);
    };
    if constexpr (Config.is_ring())
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
      auto load = [&](int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        rows.load(0, 0, columns, e.rX);
        rows.load(1, 0, columns, e.rDY);
      };
      if (keeps_weight && columns == Config.piece())  // no thread asks whether its elements are there
        load(Config.piece());
      else
        load(columns);
      if constexpr (!keeps_weight) load_weight(p, first.begin, int(first.columns), first.thread, e);
      Pair sums = reduction(moments(row, e), Sum());
      rows.advance(true);  // behind the sums' barrier: nobody else waits while a thread fills the stage
      auto forget = [&]() CUTLASS_LAMBDA_FUNC_INLINE {
        if constexpr (!keeps_weight) Engine::forget_derived(e.rX), Engine::forget_derived(e.rDY);
      };
      forget();
      add_to_dweight(row, e, dweight);
      if (p.dbias_partials) add_to_dbias(e, dbias);
      forget();
      store(p, row, e, sums, dx, columns, part.thread);
    });
    store_partials(p, p.dweight_partials, dweight, first);
    store_partials(p, p.dbias_partials, dbias, first);
  }

  /// What is told of a row beside its elements.
  struct RowInfo {
    Row row;
    int64_t dx;  // where its part of dx begins, from p.dx.data on
  };

  static constexpr unsigned LAG = norm_backward_lag(Config);

  /// The same, of rows that a warp of its own brings: their sums are on their way while the next rows are begun.
  CUTE_DEVICE static void take_fed(NormBackwardParams const& p) {
    using Ring = FedRing<Config, 2, RowInfo>;
    using LateSums = device::LateSums<GROUP / 32, Config.max_blocks(), Engine::is_team, LAG, Real>;
    __shared__ typename Ring::Storage ring_storage;
    __shared__ typename LateSums::Storage sums_storage[Engine::GROUPS];
    if (threadIdx.x == 0) {
      Ring::initialize(ring_storage);
      for (auto& storage : sums_storage) LateSums::initialize(storage);
      cutlass::arch::fence_barrier_init();
    }
    if constexpr (Config.is_cluster()) {
      cute::cluster_arrive_relaxed();
      cute::cluster_wait();
    }
    block_sync();
    Ring ring(ring_storage);
    int blocks = Engine::blocks(p.grid);
    LateSums late_sums(sums_storage[ring.group()], blocks, int(blockIdx.x) % blocks,
                       p.boxes + int64_t(blockIdx.x) / blocks * norm_backward_box_words(Config, blocks));
    Part part = Engine::part(p.grid, 0);  // every row's columns
    if (ring.is_helper()) {               // of 96 registers a thread
      static_assert(Config.threads() == 512 && 2 * Engine::GROUPS <= 4);
      cutlass::arch::warpgroup_reg_dealloc<64>();
      if (ring.duty() == 0)
        feed(p, ring);
      else if (ring.duty() == 1)
        late_sums.collect_all(ring.count(p.grid));
    } else {
      cutlass::arch::warpgroup_reg_alloc<104>();
      if (part.columns == Config.piece())
        compute<true>(p, ring, late_sums, part);
      else
        compute<false>(p, ring, late_sums, part);
    }
  }

  /// What the warp does that fills the ring.
  template <class Ring> CUTE_DEVICE static void feed(NormBackwardParams const& p, Ring& ring) {
    unsigned rows = ring.count(p.grid);
    auto part_of = [&](unsigned i) CUTLASS_LAMBDA_FUNC_INLINE { return Engine::part(p.grid, ring.row(p.grid, i)); };
    using Data = cute::array<T const*, 2>;
    auto data_of = [&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      return Data{{Engine::at(p.grid, p.x, part), Engine::at(p.grid, p.dy, part)}};
    };
    Row next;
    typename Ring::AllEnds ends;
    auto prepare = [&](unsigned i) CUTLASS_LAMBDA_FUNC_INLINE {  // what is under way until it is wanted
      if (i >= rows) return;
      Part part = part_of(i);
      next = Row::of(p, part.row);
      if constexpr (!Config.vector) {
        Data data = data_of(part);
        for (int operand = 0; operand < 2; ++operand)
          ends[operand] = typename Ring::Ends{data[operand], int(part.columns)}.load();
      }
    };
    auto start = [&](unsigned i) CUTLASS_LAMBDA_FUNC_INLINE {
      Part part = part_of(i);
      RowInfo info{next, Engine::offset(p.grid, p.dx, part.row) + part.begin};
      if constexpr (!Config.vector)
        ring.fill_anywhere(i, data_of(part), int(part.columns), info, ends);
      else if (threadIdx.x % 32 == 0)
        ring.fill(i, data_of(part), int(part.columns), info);
      prepare(i + 1);
    };
    prepare(0);
    CUTLASS_PRAGMA_NO_UNROLL
    for (unsigned i = 0; i < ring.STAGES && i < rows; ++i) start(i);
    CUTLASS_PRAGMA_NO_UNROLL
    for (unsigned i = ring.STAGES; i < rows; ++i) {
      ring.wait_left(i - ring.STAGES);
      start(i);
    }
  }

  /// What all others do.
  template <bool IS_WHOLE, class Ring, class LateSums>
  CUTE_DEVICE static void compute(NormBackwardParams const& p, Ring& ring, LateSums& late_sums, Part const& part) {
    unsigned rows = ring.count(p.grid);
    int columns = int(part.columns), warp = part.thread / 32;
    Sums dweight, dbias;
    clear(dweight), clear(dbias);
    Elements e;
    load_weight(p, part.begin, columns, part.thread, e);
    auto load = [&](unsigned i) CUTLASS_LAMBDA_FUNC_INLINE {
      ring.template load<IS_WHOLE>(i, 0, columns, e.rX);
      ring.template load<IS_WHOLE>(i, 1, columns, e.rDY);
    };
    CUTLASS_PRAGMA_NO_UNROLL
    for (unsigned i = 0; i < rows + LAG; ++i) {
      if (i < rows) {
        Row row = ring.wait(i).row;
        load(i);
        late_sums.give(i, warp, moments(row, e));
        Engine::forget_derived(e.rX), Engine::forget_derived(e.rDY);  // what has been made of them would be spilled
        add_to_dweight(row, e, dweight);
        if (p.dbias_partials) add_to_dbias(e, dbias);
      }
      if (i >= LAG) {
        unsigned before = i - LAG;
        RowInfo info = ring.info(before);
        load(before);
        ring.leave(before);
        store(p, info.row, e, late_sums.take(before), static_cast<T*>(p.dx.data) + info.dx, columns, part.thread);
      }
    }
    store_partials(p, p.dweight_partials, dweight, part);
    store_partials(p, p.dbias_partials, dbias, part);
  }

  /// Waits for the threads of the block that compute.
  CUTE_DEVICE static void meet() {
    if constexpr (Config.is_fed()) {
      warp_sync();
      cutlass::arch::NamedBarrier::sync(Config.threads(), static_cast<cutlass::arch::ReservedNamedBarriers>(1));
      warp_sync();
    } else {
      block_sync();
    }
  }

  /// Stores the sums over the block's rows, to which all of its groups contribute in order. `part`: of any row.
  CUTE_DEVICE static void store_partials(NormBackwardParams const& p, float* partials, Sums const& sums,
                                         Part const& part) {
    if (!partials) return;
    int columns = int(part.columns);
    float* to = partials + int64_t(blockIdx.x) / Engine::blocks(p.grid) * p.grid.columns + part.begin;
    if constexpr (Engine::GROUPS == 1) {
      store_sums(sums, make_gmem_ptr(to), columns, part.thread);
    } else {
      __shared__ __align__(16) float of_groups[Engine::GROUPS][Config.piece()];
      meet();  // nobody reads the sums before these any more
      store_sums(sums, make_smem_ptr(of_groups[Engine::group()]), columns, part.thread);
      meet();
      constexpr int WIDTH = VEC < 4 ? VEC : 4;
      auto vector_at = [&](auto data, int column)
                           CUTLASS_LAMBDA_FUNC_INLINE { return make_tensor(data + column, Shape<Int<WIDTH>>{}); };
      CUTLASS_PRAGMA_NO_UNROLL
      for (int column = int(threadIdx.x) * WIDTH; column < columns; column += Config.threads() * WIDTH) {
        Tensor rTotal = make_tensor<float>(Int<WIDTH>{});  // (WIDTH)
        fill(rTotal, 0.0f);
        CUTLASS_PRAGMA_UNROLL
        for (int group = 0; group < Engine::GROUPS; ++group) {
          Tensor rSums = make_tensor<float>(Int<WIDTH>{});  // (WIDTH)
          copy(typename Engine::Vectorized{}, vector_at(make_smem_ptr(of_groups[group]), column), rSums);
          CUTLASS_PRAGMA_UNROLL
          for (int i = 0; i < WIDTH; ++i) rTotal(i) += rSums(i);
        }
        copy(typename Engine::Vectorized{}, rTotal, vector_at(make_gmem_ptr(to), column));
      }
    }
  }

  /// The thread's vectors of the partial sums, which lie densely.
  template <class Pointer> CUTE_DEVICE static auto partial_vectors(Pointer sums, int thread) {
    return make_tensor(sums + thread * VEC, Shape<Int<VEC>, Int<VECTORS>>{}, Stride<_1, Int<GROUP * VEC>>{});
  }

  template <class Pointer> CUTE_DEVICE static void store_sums(Sums const& sums, Pointer to, int columns, int thread) {
    Tensor tSums = partial_vectors(to, thread);  // (VEC, VECTORS)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      Tensor rSums = make_tensor<float>(Int<VEC>{});  // (VEC)
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) rSums(v) = sums[i * VEC + v];
      if (Engine::has(i * VEC, columns, thread)) copy(typename Engine::Vectorized{}, rSums, tSums(_, i));
    }
  }

  CUTE_DEVICE static void load_sums(Sums& sums, float* from, int columns, int thread) {
    Tensor gSums = partial_vectors(make_gmem_ptr(from), thread);  // (VEC, VECTORS)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      Tensor rSums = make_tensor<float>(Int<VEC>{});  // (VEC)
      cute::fill(rSums, 0.0f);
      if (Engine::has(i * VEC, columns, thread)) copy(typename Engine::Vectorized{}, gSums(_, i), rSums);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) sums[i * VEC + v] = rSums(v);
    }
  }

  /// A cluster reads a batch of rows for their sums, then once more, columns by columns: of those each thread has some of its own, whose sums
  /// over the batch registers hold, and the workspace those over all batches.
  CUTE_DEVICE static void stream(NormBackwardParams const& p, typename Reduction::Storage& storage) {
    constexpr int BATCH = 64;
    __shared__ Pair sums_of_rows[BATCH];
    Reduction reduction(storage);
    Part part = Engine::part(p.grid);
    int64_t cluster = part.row, clusters = p.grid.clusters;
    CUTLASS_PRAGMA_NO_UNROLL
    for (int64_t first = cluster; first < p.grid.rows; first += BATCH * clusters) {
      int64_t left = (p.grid.rows - first + clusters - 1) / clusters;
      int rows = left < BATCH ? int(left) : BATCH;
      auto row_of = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return first + i * clusters; };
      block_sync();  // nobody reads the sums of the batch before any more
      CUTLASS_PRAGMA_NO_UNROLL
      for (int i = 0; i < rows; ++i) {
        cute::array<Wide, 2> sums = reduction(sums_of(p, part, row_of(i)), Sum());
        if (part.thread == 0) sums_of_rows[i] = Pair{{Real(sums[0]), Real(sums[1])}};
      }
      block_sync();
      Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        end_rows(p, part, begin, columns, rows, row_of, sums_of_rows, first != cluster);
      });
    }
  }

  /// Loads the thread's elements of x and dy, from column `begin` of the row's part on.
  CUTE_DEVICE static void load_row(NormBackwardParams const& p, Part part, int64_t row, int64_t begin, int columns,
                                   Elements& e) {
    part.row = row;
    auto load = [&](RowOperand const& operand, Fragment& rX) CUTLASS_LAMBDA_FUNC_INLINE {
      T const* data = Engine::at_column(Engine::at(p.grid, operand, part), operand.step, begin);
      Engine::load(data, operand.step, columns, part.thread, rX);
    };
    load(p.x, e.rX);
    load(p.dy, e.rDY);
  }

  /// The thread's share of the sums of a row.
  CUTE_DEVICE static cute::array<Wide, 2> sums_of(NormBackwardParams const& p, Part const& part, int64_t row) {
    Row statistics = Row::of(p, row);
    cute::array<Wide, 2> sums{{0, 0}};
    Engine::for_each_piece(part.columns, [&](int64_t begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
      Elements e;
      load_row(p, part, row, begin, columns, e);
      load_weight(p, part.begin + begin, columns, part.thread, e);
      Pair piece = moments(statistics, e);
      sums = {{sums[0] + Wide(piece[0]), sums[1] + Wide(piece[1])}};
    });
    return sums;
  }

  /// Stores dx of some columns of a batch's rows, and adds up their terms. `added`: to what the workspace holds.
  template <class RowOf> CUTE_DEVICE static void end_rows(NormBackwardParams const& p, Part const& part, int64_t begin,
                                                          int columns, int rows, RowOf const& row_of,
                                                          Pair const* sums_of_rows, bool added) {
    Elements now, next;
    load_weight(p, part.begin + begin, columns, part.thread, now);
    Sums dweight, dbias;
    clear(dweight), clear(dbias);
    load_row(p, part, row_of(0), begin, columns, next);
    CUTLASS_PRAGMA_NO_UNROLL
    for (int i = 0; i < rows; ++i) {
      copy(next.rX, now.rX), copy(next.rDY, now.rDY);
      if (i + 1 < rows) load_row(p, part, row_of(i + 1), begin, columns, next);
      Row row = Row::of(p, row_of(i));
      add_to_dweight(row, now, dweight);
      if (p.dbias_partials) add_to_dbias(now, dbias);
      Part of_row = part;
      of_row.row = row_of(i);
      T* dx = Engine::at_column(Engine::at(p.grid, p.dx, of_row), p.dx.step, begin);
      store(p, row, now, sums_of_rows[i], dx, columns, part.thread);
    }
    int64_t at = part.row * p.grid.columns + part.begin + begin;
    auto keep = [&](float* partials, Sums& sums) CUTLASS_LAMBDA_FUNC_INLINE {
      if (!partials) return;
      if (added) {
        Sums kept;
        load_sums(kept, partials + at, columns, part.thread);
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < VALUES; ++i) sums[i] += kept[i];
      }
      store_sums(sums, make_gmem_ptr(partials + at), columns, part.thread);
    };
    keep(p.dweight_partials, dweight);
    keep(p.dbias_partials, dbias);
  }
};

/// The same of rows that begin anywhere between boundaries of 16 bytes, at equal distances, which registers hold. All rows of a group lie alike: it takes
/// every so many-th of them, a multiple of what lies between boundaries. So its threads keep their columns here as well, and each may have some of the elements
/// before and behind the vectors.
template <RowConfig Config> struct RaggedNormBackwardKernel : NormBackwardKernel<Config> {
  using Kernel = NormBackwardKernel<Config>;
  using typename Kernel::Elements, typename Kernel::Engine, typename Kernel::Pair, typename Kernel::Part;
  using typename Kernel::Real, typename Kernel::Reduction, typename Kernel::Row, typename Kernel::Sums;
  using typename Kernel::T;
  template <class U> using Ends = typename Engine::template Ends<U>;
  static constexpr int GROUP = Engine::GROUP, GROUPS = Engine::GROUPS, VEC = Engine::VEC, ENDS = Engine::ENDS;
  /// Where a group has more than one row, there is a multiple of so many blocks (partitions_of() in backward.cpp).
  static_assert(GROUPS * ragged_partitions % VEC == 0 && GROUPS > 1);

  CUTE_DEVICE static void run(NormBackwardParams const& p) {
    allow_next_grid();  // which adds up the partial sums
    wait_for_preceding_grids();
    __shared__ typename Reduction::Storage storage;
    Reduction reduction(storage);
    take(p, reduction);
  }

 private:
  using Lie = typename Engine::ShortRagged;

  /// The columns of the thread's elements that are in no vector.
  struct Place {
    Lie lie;
    int thread;

    CUTE_DEVICE bool has(int i) const { return thread + i * GROUP < lie.ends(); }
    CUTE_DEVICE int column(int i) const { return lie.end(thread + i * GROUP); }
  };

  /// The first element of an operand's row; of the first row where there is no such row.
  CUTE_DEVICE static T* at(NormBackwardParams const& p, RowOperand const& x, int64_t row) {
    return static_cast<T*>(x.data) + (row < p.grid.rows ? row : 0) * x.strides[0];
  }

  CUTE_DEVICE static T weight_at(NormBackwardParams const& p, int column) {
    return p.weight.data ? static_cast<T const*>(p.weight.data)[column * p.weight.step] : T(1);
  }

  /// Those elements of a row; what there is not, is 0.
  CUTE_DEVICE static Ends<T> load_ends(NormBackwardParams const& p, RowOperand const& x, Place const& place,
                                       int64_t row) {
    Ends<T> ends;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < ENDS; ++i) ends[i] = row < p.grid.rows && place.has(i) ? at(p, x, row)[place.column(i)] : T(0);
    return ends;
  }

  CUTE_DEVICE static void take(NormBackwardParams const& p, Reduction& reduction) {
    const int64_t first = Engine::part(p.grid).row;
    const Place place{Lie::of(at(p, p.x, first), int(p.grid.columns)), Engine::thread()};
    const int head = place.lie.head, body = place.lie.body;
    auto spans = [&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      return RowSpans<T, 2>{
          {{at(p, p.x, part.row) + head, at(p, p.dy, part.row) + head}}, {{1, 1}}, part.columns ? body : 0};
    };
    using Rows = PrefetchedRows<Config, 2, decltype(spans)>;
    typename Rows::Storage row_storage;
    Rows rows(row_storage, p.grid, spans);
    Ends<T> next_x = load_ends(p, p.x, place, first), next_dy = load_ends(p, p.dy, place, first);
    Row next = Row::of(p, first);
    typename Engine::Fragment rW;  // (VEC, VECTORS)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VALUES; ++i)
      rW(i) = Engine::has(i, body, place.thread) ? weight_at(p, head + Engine::column_of(i, place.thread)) : T(0);
    Ends<T> w;
    Elements e;
    Sums dweight, dbias;
    Kernel::clear(dweight), Kernel::clear(dbias);
    Ends<float> dweight_ends, dbias_ends;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < ENDS; ++i) {
      w[i] = place.has(i) ? weight_at(p, place.column(i)) : T(0);
      dweight_ends[i] = dbias_ends[i] = 0;
    }
    rows.for_each([&](Part const& part) CUTLASS_LAMBDA_FUNC_INLINE {
      Row row = next;
      Ends<T> x = next_x, dy = next_dy;
      next = Row::of(p, part.row + rows.step());
      int columns = part.columns ? body : 0;
      rows.load(0, 0, columns, e.rX);
      rows.load(1, 0, columns, e.rDY);
      next_x = load_ends(p, p.x, place, part.row + rows.step());
      next_dy = load_ends(p, p.dy, place, part.row + rows.step());
      Engine::forget_derived(rW);  // packed, the weights take few registers
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < Engine::VALUES; ++i) e.w[i] = Real(Engine::value(rW, i));
      Pair sums = Kernel::moments(row, e);
      auto gradient_of_end = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return Real(float(dy[i])) * Real(float(w[i])); };
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < ENDS; ++i) {
        Real g = gradient_of_end(i);
        sums = {{sums[0] + g, sums[1] + g * row.normalized(float(x[i]))}};
        dweight_ends[i] += float(dy[i]) * ((float(x[i]) - row.mean) * row.rstd);
        dbias_ends[i] += float(dy[i]);
      }
      sums = reduction(sums, Sum());
      Engine::forget_derived(e.rX), Engine::forget_derived(e.rDY);
      Kernel::add_to_dweight(row, e, dweight);
      if (p.dbias_partials) Kernel::add_to_dbias(e, dbias);
      Engine::forget_derived(e.rX), Engine::forget_derived(e.rDY);
      T* dx = at(p, p.dx, part.row);
      Kernel::store(p, row, e, sums, dx + head, columns, part.thread);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < ENDS; ++i)
        if (part.columns && place.has(i))
          dx[place.column(i)] = T(Kernel::gradient(p, row, gradient_of_end(i), float(x[i]), sums));
    });
    store_partials(p, p.dweight_partials, dweight, dweight_ends, place);
    store_partials(p, p.dbias_partials, dbias, dbias_ends, place);
  }

  /// Stores the sums over the block's rows, to which all of its groups contribute in order. Where its columns lie, each group knows for itself.
  CUTE_DEVICE static void store_partials(NormBackwardParams const& p, float* partials, Sums const& sums,
                                         Ends<float> const& ends, Place const& place) {
    if (!partials) return;
    __shared__ float of_groups[GROUPS][Config.max_columns()];
    float* own = of_groups[Engine::group()];
    block_sync();  // nobody reads the sums before these any more
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::VALUES; ++i)
      if (Engine::has(i, place.lie.body, place.thread))
        own[place.lie.head + Engine::column_of(i, place.thread)] = sums[i];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < ENDS; ++i)
      if (place.has(i)) own[place.column(i)] = ends[i];
    block_sync();
    CUTLASS_PRAGMA_NO_UNROLL
    for (int column = int(threadIdx.x); column < p.grid.columns; column += Config.threads()) {
      float total = 0;
      CUTLASS_PRAGMA_UNROLL
      for (int group = 0; group < GROUPS; ++group) total += of_groups[group][column];
      partials[int64_t(blockIdx.x) * p.grid.columns + column] = total;
    }
  }
};

/// The kernel for a config.
template <RowConfig Config> using NormBackwardKernelFor =
    cute::conditional_t<Config.ragged, RaggedNormBackwardKernel<Config>, NormBackwardKernel<Config>>;

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_NORM_BACKWARD_ENTRY(NAME)                                                                        \
  extern "C" __global__ void __launch_bounds__(                                                              \
      ckl::norm_backward_threads(ckl::parse_row_config(#NAME, ckl::norm_backward_needs)),                    \
      ckl::parse_row_config(#NAME, ckl::norm_backward_needs).blocks_per_sm())                                \
      ckl_norm_backward_##NAME(__grid_constant__ ckl::NormBackwardParams const params) {                     \
    ckl::device::NormBackwardKernelFor<ckl::parse_row_config(#NAME, ckl::norm_backward_needs)>::run(params); \
  }
