#pragma once

// The GEMM kernel: a persistent grid of clusters; in each CTA one producer warpgroup and two consumer warpgroups, or three.
//
//   producer   for each tile:  A, B tiles -> stages                          (mainloop: load or gather)
//   consumers  for each tile:  stages -> accumulators -> epilogue -> D       (mainloop: multiply; epilogue: store)
//
// Cooperative consumers share every tile; ping-pong consumers take turns, so that one's epilogue hides behind the
// other's products.

#include "device/arch.cuh"
#include "device/cluster_sum.cuh"
#include "device/consumer_order.cuh"
#include "device/epilogue.cuh"
#include "device/fixup.cuh"
#include "device/mainloop.cuh"
#include "device/transposed_epilogue.cuh"
#include "ops/gemm/config.hpp"
#include "ops/gemm/linear_combination.cuh"
#include "ops/gemm/params.hpp"

#include <cutlass/arch/reg_reconfig.h>

namespace ckl::device {

/// What becomes of the accumulators: D = alpha * acc + beta * C. Another output (ops/gemm/fused/) has Params of its own, which
/// follow GemmParams, and says by a class Part<Config> what becomes of a consumer's part of a tile.
struct LinearOutput {
  struct Params {};
};

template <GemmConfig Config, class Output = LinearOutput> struct GemmKernel {
  using OutputParams = typename Output::Params;
  static constexpr bool linear = is_same_v<Output, LinearOutput>;
  /// Split-K stores element by element, which is the linear output's alone.
  static constexpr bool can_split_k = linear && Config.can_split_k();
  using MainloopT = Mainloop<Config>;
  using EpilogueT = conditional_t<Config.swapped, TransposedEpilogue<Config>, Epilogue<Config>>;
  using FixupT = Fixup<Config>;
  using ClusterSumT = ClusterSum<Config>;
  using Pipeline = typename MainloopT::Pipeline;
  /// Whether the CTAs of a cluster share K, add up a share of each tile, and store it as split-K does.
  static constexpr bool sums_in_cluster = Config.cluster_k > 1;
  static constexpr bool pingpong = Config.schedule == Schedule::pingpong;
  /// Whether consumers find their next tile while the first products of this one run. It takes 800 clocks, which nobody has later where an
  /// epilogue hides behind three K tiles.
  static constexpr bool looks_ahead = Config.hides_little();
  using Order = conditional_t<pingpong, PingpongOrder<GemmConfig::warpgroup_threads>,
                              CooperativeOrder<GemmConfig::warpgroup_threads, Config.stages>>;
  /// Named barriers: 0 is the whole block's, then one of each consumer, then one of all consumers, and one for their order.
  static constexpr int first_consumer_barrier = 1, consumers_barrier = first_consumer_barrier + Config.consumers(),
                       order_barrier = consumers_barrier + 1;
  static constexpr int consumer_threads = Config.consumers() * GemmConfig::warpgroup_threads;

  struct Shared {
    typename MainloopT::Storage mainloop;
    conditional_t<sums_in_cluster, typename ClusterSumT::Storage, typename EpilogueT::Storage>
        epilogue[Config.consumers()];
    typename Pipeline::Storage pipeline;
    typename Order::Storage order;
    typename ClusterSumT::Barriers sums[Config.consumers()];
  };
  static_assert(sizeof(Shared) == Config.shared_bytes(), "config.hpp counts the bytes of Shared");
  static_assert(defect(Config) == nullptr, "the config cannot be compiled");
  static_assert(linear || !Config.swapped,
                "an epilogue of one's own is told rows and columns of D, not of its transpose");
  static_assert(linear || !Config.turns(), "an epilogue of one's own is told columns in their order");
  static_assert(linear || !sums_in_cluster, "sums of a cluster are stored by the linear output alone");

  /// What a CTA is to do: the segments of its cluster, and its place in the cluster.
  struct Work {
    GemmParams const& p;
    OutputParams const& output;
    int cluster, rank_m, rank_n, rank_k;

    CUTE_DEVICE Work(GemmParams const& params, OutputParams const& output_params) : p(params), output(output_params) {
      int rank = Config.cluster_size() == 1 ? 0 : int(block_rank_in_cluster());
      cluster = blockIdx.x / Config.cluster_size();
      rank_k = sums_in_cluster ? rank : 0;
      rank_m = sums_in_cluster ? 0 : rank % Config.cluster_m;
      rank_n = sums_in_cluster ? 0 : rank / Config.cluster_m;
    }
    CUTE_DEVICE auto segments() const {
      if constexpr (sums_in_cluster)
        return ShareWalk(p.split, cluster, rank_k, Config.cluster_k);
      else
        return SegmentWalk(p.split, cluster);
    }
    /// This CTA's tile of the cluster's tile `index`, in CTA tiles.
    CUTE_DEVICE TileIndex tile(int index) const {
      TileIndex t = tile_at(p.tiles, index);
      return {t.m * Config.cluster_m + rank_m, t.n * Config.cluster_n + rank_n, t.batch};
    }
    /// The CTA at this CTA's place in cluster `other`.
    CUTE_DEVICE int counterpart(int other) const { return int(blockIdx.x) + (other - cluster) * Config.cluster_size(); }
  };

  CUTE_DEVICE static void run(GemmParams const& p, OutputParams const& output = {}) {
    extern __shared__ __align__(1024) uint8_t shared_bytes[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_bytes);
    int warpgroup = cutlass::canonical_warp_group_idx();
    int thread = threadIdx.x % GemmConfig::warpgroup_threads;

    if (threadIdx.x == 0) {
      Pipeline::initialize(shared.pipeline, Config.load == Load::tma ? 1 : GemmConfig::warpgroup_threads,
                           Config.readers());
      if constexpr (sums_in_cluster)
        for (auto& barriers : shared.sums) ClusterSumT::initialize(barriers);
      prefetch_maps(p);
    }
    Order order(shared.order, warpgroup - 1, order_barrier);
    cutlass::arch::fence_barrier_init();
    if constexpr (Config.cluster_size() > 1)
      cluster_sync();
    else
      block_sync();
    allow_next_grid();
    wait_for_preceding_grids();

    Work work(p, output);
    Pipeline pipeline(shared.pipeline);
    if (warpgroup == 0) {
      cutlass::arch::warpgroup_reg_dealloc<Config.producer_registers()>();
      produce(work, thread, shared, pipeline);
    } else {
      cutlass::arch::warpgroup_reg_alloc<Config.consumer_registers()>();
      consume(work, warpgroup - 1, thread, shared, pipeline, order);
    }
  }

 private:
  CUTE_DEVICE static void prefetch_maps(GemmParams const& p) {
    if constexpr (Config.load == Load::tma) {
      prefetch_tma_descriptor(reinterpret_cast<TmaDescriptor const*>(&p.a_maps.whole));
      prefetch_tma_descriptor(reinterpret_cast<TmaDescriptor const*>(&p.b_maps.whole));
      if constexpr (MainloopT::OperandB::HAS_NARROW_BOX)
        prefetch_tma_descriptor(reinterpret_cast<TmaDescriptor const*>(&p.b_maps.last));
    }
    if (p.d_by_tma) prefetch_tma_descriptor(reinterpret_cast<TmaDescriptor const*>(&p.d_map));
  }

  CUTE_DEVICE static void produce(Work const& work, int thread, Shared& shared, Pipeline& pipeline) {
    GemmParams const& p = work.p;
    auto at = Pipeline::producer_start();
    auto segments = work.segments();
    Segment segment;
    if constexpr (Config.load == Load::tma) {
      if (cutlass::canonical_warp_idx_sync() == 0) {
        for (bool is_first = true; segments.next(segment); is_first = false)
          MainloopT::load(p.a_maps, p.b_maps, work.tile(segment.tile), segment.k_begin, segment.k_end, is_first,
                          work.rank_m, work.rank_n, shared.mainloop, pipeline, at);
        pipeline.drain(at);
      }
    } else {
      using T = typename MainloopT::T;
      while (segments.next(segment)) {
        TileIndex tile = work.tile(segment.tile);
        GatherSource<T> a{static_cast<T const*>(p.a.data) + tile.batch * p.a.batch, p.m, p.k, p.a.row, p.a.column};
        GatherSource<T> b{static_cast<T const*>(p.b.data) + tile.batch * p.b.batch, p.n, p.k, p.b.row, p.b.column};
        MainloopT::gather(a, b, tile, segment.k_begin, segment.k_end, thread, shared.mainloop, pipeline, at);
      }
    }
  }

  /// Whether each CTA stores a share of a tile.
  CUTE_DEVICE static bool stores_share(GemmParams const& p) {
    return sums_in_cluster || (can_split_k && p.split.splits > 1);
  }

  CUTE_DEVICE static void consume(Work const& work, int consumer, int thread, Shared& shared, Pipeline& pipeline,
                                  Order& order) {
    GemmParams const& p = work.p;
    typename MainloopT::State at;
    int part_m = Config.schedule == Schedule::cooperative_m ? consumer : 0;
    int part_n = Config.schedule == Schedule::cooperative_n ? consumer : 0;
    int part = pingpong ? 0 : consumer;
    int barrier = first_consumer_barrier + consumer;
    FixupWorkspace workspace{p.fixup_flags, p.fixup_slots};
    if (Config.load == Load::tma && (p.a_maps.last_tile != p.a_maps.no_tile || p.b_maps.last_tile != p.b_maps.no_tile))
      clear_rest(work, consumer * GemmConfig::warpgroup_threads + thread, shared);
    int next_buffer = 0;
    auto segments = work.segments();
    Segment segment, next;
    TileIndex tile, next_tile;
    auto find_next = [&]() CUTLASS_LAMBDA_FUNC_INLINE {  // once for each segment, early or late
      if (!segments.next(next)) return false;
      next_tile = work.tile(next.tile);
      return true;
    };
    bool found = false;
    for (int number = 0; looks_ahead && number > 0 ? found : find_next(); ++number) {
      segment = next, tile = next_tile;
      if constexpr (pingpong) {  // the consumers take turns
        if (number % Config.consumers() != consumer) {
          at.advance(segment.k_end - segment.k_begin);
          continue;
        }
      }
      // Else another cluster has this tile's last K tile.
      const bool stores = stores_share(p) || segment.k_end == p.split.k_tiles;
      if (stores) {
        if constexpr (linear)
          with_stored_element(p.d_dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
            EpilogueT::prefetch_c(LinearCombination(p.epilogue), target_of<decltype(element)>(p, tile, part_m, part_n),
                                  thread);
          });
        else
          typename Output::template Part<Config>(p, work.output, tile, part_m, part_n).prefetch(thread);
      }
      auto acc = MainloopT::make_accumulators();  // (MMA, MMA_M, MMA_N)
      if constexpr (sums_in_cluster) ClusterSumT::announce_empty(shared.sums[consumer], number, thread);
      MainloopT::multiply(acc, segment.k_end - segment.k_begin, part_m, part_n, thread, shared.mainloop, pipeline, at,
                          order, [&]() CUTLASS_LAMBDA_FUNC_INLINE {
                            if constexpr (looks_ahead) found = find_next();
                          });
      if (!stores) {
        FixupT::hand_over(acc, workspace, int(blockIdx.x), part, thread, barrier);
        continue;
      }
      if (!stores_share(p) && segment.k_begin > 0)
        add_other_parts(acc, work, segment, part, thread, barrier, workspace);
      if constexpr (!linear) {
        typename Output::template Part<Config> output(p, work.output, tile, part_m, part_n);
        output.store(acc, thread, shared.epilogue[consumer]);
      } else if constexpr (sums_in_cluster) {
        Tensor rSums = ClusterSumT::reduce(acc, number, work.rank_k, thread, barrier, shared.epilogue[consumer],
                                           shared.sums[consumer]);  // (SUMS)
        with_stored_element(p.d_dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
          auto target = target_of<decltype(element)>(p, tile, part_m, part_n);
          LinearCombination functor(p.epilogue);
          store_share(rSums, work.rank_k * Config.sums(), work, functor, target, part, thread, barrier, workspace);
        });
      } else {
        if constexpr (can_split_k) {
          if (stores_share(p)) {
            with_stored_element(p.d_dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
              auto target = target_of<decltype(element)>(p, tile, part_m, part_n);
              store_share(acc, 0, work, LinearCombination(p.epilogue), target, part, thread, barrier, workspace);
            });
            continue;
          }
        }
        with_output(p, [&](auto element, auto reads_c) CUTLASS_LAMBDA_FUNC_INLINE {
          auto target = target_of<decltype(element)>(p, tile, part_m, part_n);
          LinearCombination functor(p.epilogue);
          if constexpr (Config.swapped)
            EpilogueT::template store<reads_c>(acc, functor, target, thread, barrier, shared.epilogue[consumer],
                                               next_buffer);
          else
            EpilogueT::template store<reads_c>(acc, functor, target, thread, shared.epilogue[consumer], next_buffer);
        });
      }
    }
    EpilogueT::drain();
  }

  /// Calls f(element, reads_c) for the type of D's elements and for whether C is read. Stores of both 16-bit types share their code where C
  /// is read, and in small tiles: large ones would take 1 % longer, small ones start sooner the less code there is.
  template <class F> CUTE_DEVICE static void with_output(GemmParams const& p, F const& f) {
    constexpr bool small = Config.accumulators() <= 64;
    auto without_c = [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE { f(element, bool_constant<false>{}); };
    if (LinearCombination(p.epilogue).reads_c())
      with_stored_element(p.d_dtype,
                          [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE { f(element, bool_constant<true>{}); });
    else if constexpr (small)
      with_stored_element(p.d_dtype, without_c);
    else
      with_element(p.d_dtype, without_c);
  }

  /// Where a consumer's part of the tile goes.
  template <class TD>
  CUTE_DEVICE static EpilogueTarget<TD> target_of(GemmParams const& p, TileIndex tile, int part_m, int part_n) {
    return {p.d_map,
            {static_cast<TD*>(p.d.data) + tile.batch * p.d.batch, p.d.row, p.d.column},
            {static_cast<TD const*>(p.epilogue.c.data) + tile.batch * p.epilogue.c.batch, p.epilogue.c.row,
             p.epilogue.c.column},
            p.m,
            p.n,
            int64_t(tile.m) * Config.tile_m + part_m * Config.warpgroup_m(),
            int64_t(tile.n) * Config.tile_n + part_n * Config.warpgroup_n(),
            tile.batch,
            Config.turn(tile.n),
            p.d_by_tma,
            p.c_by_vectors,
            RuntimeFormat(p.d_dtype)};
  }

  /// Stores `values`, which are the accumulators from number `first` on, element by element: with split-K a share of what they sum up to
  /// over the clusters of the tile.
  template <class Values, class Functor, class TD>
  CUTE_DEVICE static void store_share(Values const& values, int first, Work const& work, Functor const& functor,
                                      EpilogueTarget<TD> const& target, int part, int thread, int barrier,
                                      FixupWorkspace const& workspace) {
    int splits = work.p.split.splits, split = work.cluster % splits;
    Tensor tCcD = MainloopT::coordinates(thread);  // (MMA, MMA_M, MMA_N)
    auto store = [&](int value, float sum) CUTLASS_LAMBDA_FUNC_INLINE {
      auto at = tCcD(first + value);
      EpilogueT::store_element(get<0>(at), get<1>(at), sum, functor, target);
    };
    if (sums_in_cluster && splits == 1) {
      CUTLASS_PRAGMA_UNROLL
      for (int value = 0; value < size(values); ++value) store(value, values(value));
      return;
    }
    FixupT::reduce(values, workspace, work.counterpart(work.cluster - split), Config.cluster_size(), split, splits,
                   part, thread, barrier, store);
  }

  /// Clears what the loads of the first tile leave out. Called by all consumers.
  CUTE_DEVICE static void clear_rest(Work const& work, int thread, Shared& shared) {
    auto segments = work.segments();
    Segment first;
    if (segments.next(first))
      MainloopT::clear_rest(work.p.a_maps, work.p.b_maps, work.tile(first.tile), first.k_end - first.k_begin, thread,
                            consumer_threads, shared.mainloop);
    cutlass::arch::NamedBarrier::sync(consumer_threads, consumers_barrier);
  }

  /// Adds what the clusters before this one have computed of the segment's tile: always in the same order.
  template <class Accumulators> CUTE_DEVICE static void add_other_parts(Accumulators& acc, Work const& work,
                                                                        Segment const& segment, int part, int thread,
                                                                        int barrier, FixupWorkspace const& workspace) {
    WorkSplit const& split = work.p.split;
    int tile_begin = segment.tile * split.k_tiles;
    CUTLASS_PRAGMA_NO_UNROLL
    for (int other = work.cluster - 1; split.run_begin(other + 1) > tile_begin; --other)
      if (split.run_begin(other + 1) > split.run_begin(other))
        FixupT::add(acc, workspace, work.counterpart(other), part, thread, barrier);
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_GEMM_ENTRY(NAME)                                                               \
  extern "C" __global__ void __launch_bounds__(ckl::parse_gemm_config(#NAME).threads(), 1) \
      ckl_gemm_##NAME(__grid_constant__ ckl::GemmParams const params) {                    \
    ckl::device::GemmKernel<ckl::parse_gemm_config(#NAME)>::run(params);                   \
  }
