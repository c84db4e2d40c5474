#pragma once

// The GEMM kernel: a persistent grid of clusters; in each CTA one producer warpgroup and two consumer warpgroups.
//
//   producer   for each tile:  A, B tiles -> stages                          (mainloop: load or gather)
//   consumers  for each tile:  stages -> accumulators -> epilogue -> D       (mainloop: multiply; epilogue: store)
//
// Cooperative consumers share every tile; ping-pong consumers take turns, so that one's epilogue hides behind the
// other's products.

#include "device/arch.cuh"
#include "device/epilogue.cuh"
#include "device/fixup.cuh"
#include "device/mainloop.cuh"
#include "ops/gemm/config.hpp"
#include "ops/gemm/fused_epilogue.cuh"
#include "ops/gemm/params.hpp"

#include <cutlass/arch/reg_reconfig.h>

namespace ckl::device {

/// Functor is the library's own, which needs no parameters but GemmParams, or UserEpilogue.
template <GemmConfig Config, class Functor = FusedEpilogue> struct GemmKernel {
  using MainloopT = Mainloop<Config>;
  using EpilogueT = Epilogue<Config>;
  using FixupT = Fixup<Config>;
  using Pipeline = typename MainloopT::Pipeline;
  using FunctorParams = typename Functor::Params;
  /// Only the library's own functor has something to leave out.
  static constexpr bool always_fused = !is_same_v<Functor, FusedEpilogue>;
  static constexpr bool pingpong = Config.schedule == Schedule::pingpong;
  /// Ping-pong turns: who may issue products.
  using Turns = cutlass::OrderedSequenceBarrier<1, GemmConfig::consumers>;
  static constexpr int first_fixup_barrier = 1;  // named barrier of consumer 0; barrier 0 is the whole block's

  struct Shared {
    typename MainloopT::Storage mainloop;
    typename EpilogueT::Storage epilogue[GemmConfig::consumers];
    typename Pipeline::Storage pipeline;
    typename Turns::SharedStorage turns;
  };
  static_assert(sizeof(Shared) == Config.shared_bytes(), "config.hpp counts the bytes of Shared");
  static_assert(defect(Config) == nullptr, "the config cannot be compiled");

  /// What a CTA is to do: the segments of its cluster, and its place in the cluster.
  struct Work {
    GemmParams const& p;
    FunctorParams const& functor;
    int cluster, rank_m, rank_n;

    CUTE_DEVICE Work(GemmParams const& params, FunctorParams const& functor_params)
        : p(params), functor(functor_params) {
      int rank = Config.cluster_size() == 1 ? 0 : int(block_rank_in_cluster());
      cluster = opaque(int(blockIdx.x) /
                       Config.cluster_size());  // else ptxas keeps it in memory, for want of uniform registers
      rank_m = rank % Config.cluster_m;
      rank_n = rank / Config.cluster_m;
    }
    CUTE_DEVICE SegmentWalk segments() const { return SegmentWalk(p.split, cluster); }
    /// This CTA's tile of the cluster's tile `index`, in CTA tiles.
    CUTE_DEVICE TileIndex tile(int index) const {
      TileIndex t = tile_at(p.tiles, index);
      return {t.m * Config.cluster_m + rank_m, t.n * Config.cluster_n + rank_n, t.batch};
    }
    /// The CTA at this CTA's place in cluster `other`.
    CUTE_DEVICE int counterpart(int other) const { return int(blockIdx.x) + (other - cluster) * Config.cluster_size(); }
  };

  CUTE_DEVICE static void run(GemmParams const& p, FunctorParams const& functor) {
    extern __shared__ __align__(1024) uint8_t shared_bytes[];
    Shared& shared = *reinterpret_cast<Shared*>(shared_bytes);
    int warpgroup = cutlass::canonical_warp_group_idx();
    int thread = threadIdx.x % GemmConfig::warpgroup_threads;

    if (threadIdx.x == 0) {
      Pipeline::initialize(shared.pipeline, Config.load == Load::tma ? 1 : GemmConfig::warpgroup_threads,
                           Config.readers());
      prefetch_maps(p);
    }
    Turns turns(shared.turns, {uint32_t(warpgroup - 1), GemmConfig::warpgroup_threads});
    cutlass::arch::fence_barrier_init();
    if constexpr (Config.cluster_size() > 1)
      cluster_sync();
    else
      block_sync();
    allow_next_grid();
    wait_for_preceding_grids();

    Work work(p, functor);
    Pipeline pipeline(shared.pipeline);
    if (warpgroup == 0) {
      cutlass::arch::warpgroup_reg_dealloc<Config.producer_registers()>();
      produce(work, thread, shared, pipeline);
    } else {
      cutlass::arch::warpgroup_reg_alloc<Config.consumer_registers()>();
      consume(work, warpgroup - 1, thread, shared, pipeline, turns);
    }
  }

 private:
  CUTE_DEVICE static void prefetch_maps(GemmParams const& p) {
    if constexpr (Config.load == Load::tma) {
      prefetch_tma_descriptor(reinterpret_cast<TmaDescriptor const*>(&p.a_map));
      prefetch_tma_descriptor(reinterpret_cast<TmaDescriptor const*>(&p.b_map));
    }
    if (p.d_by_tma) prefetch_tma_descriptor(reinterpret_cast<TmaDescriptor const*>(&p.d_map));
  }

  CUTE_DEVICE static void produce(Work const& work, int thread, Shared& shared, Pipeline& pipeline) {
    GemmParams const& p = work.p;
    auto at = Pipeline::producer_start();
    SegmentWalk segments = work.segments();
    Segment segment;
    if constexpr (Config.load == Load::tma) {
      if (cutlass::canonical_warp_idx_sync() == 0) {
        while (segments.next(segment))
          MainloopT::load(p.a_map, p.b_map, work.tile(segment.tile), segment.k_begin, segment.k_end, work.rank_m,
                          work.rank_n, shared.mainloop, pipeline, at);
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

  CUTE_DEVICE static void consume(Work const& work, int consumer, int thread, Shared& shared, Pipeline& pipeline,
                                  Turns& turns) {
    GemmParams const& p = work.p;
    typename MainloopT::State at;
    int part_m = Config.schedule == Schedule::cooperative_m ? consumer : 0;
    int part_n = Config.schedule == Schedule::cooperative_n ? consumer : 0;
    int part = pingpong ? 0 : consumer;
    int barrier = first_fixup_barrier + consumer;
    FixupWorkspace workspace{p.fixup_flags, p.fixup_slots};
    SegmentWalk segments = work.segments();
    Segment segment;
    int next_buffer = 0;
    for (int number = 0; segments.next(segment); ++number) {
      if constexpr (pingpong) {  // the consumers take turns
        if (number % GemmConfig::consumers != consumer) {
          at.advance(segment.k_end - segment.k_begin);
          continue;
        }
      }
      TileIndex tile = work.tile(segment.tile);
      auto acc = MainloopT::make_accumulators();  // (MMA, MMA_M, MMA_N)
      if constexpr (pingpong) turns.wait();
      MainloopT::multiply(acc, segment.k_end - segment.k_begin, part_m, part_n, thread, shared.mainloop, pipeline, at,
                          [&]() CUTLASS_LAMBDA_FUNC_INLINE {
                            if constexpr (pingpong) turns.arrive();
                          });
      bool split_k = Config.can_split_k() && p.split.splits > 1;
      if (!split_k && segment.k_end < p.split.k_tiles) {  // another cluster has this tile's last K tile
        FixupT::hand_over(acc, workspace, int(blockIdx.x), part, thread, barrier);
        continue;
      }
      if (!split_k && segment.k_begin > 0) add_other_parts(acc, work, segment, part, thread, barrier, workspace);
      EpiloguePart to{p.m, p.n, int64_t(tile.m) * Config.tile_m + part_m * Config.warpgroup_m(),
                      int64_t(tile.n) * Config.tile_n + part_n * Config.warpgroup_n()};
      if (always_fused || split_k || p.epilogue.fused)
        finish(acc, work, to, tile.batch, split_k, part, thread, barrier, workspace, shared.epilogue[consumer]);
      else
        store_scaled(acc, p, to, tile.batch, thread, shared.epilogue[consumer], next_buffer);
    }
    EpilogueT::drain();
  }

  /// D = alpha * acc, for a part of the tile.
  template <class Accumulators>
  CUTE_DEVICE static void store_scaled(Accumulators& acc, GemmParams const& p, EpiloguePart const& to, int batch,
                                       int thread, typename EpilogueT::Storage& storage, int& next_buffer) {
    if constexpr (!always_fused)
      with_element(p.d_dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
        using TD = decltype(element);
        StridedMatrix<TD> d{static_cast<TD*>(p.d.data) + batch * p.d.batch, p.d.row, p.d.column};
        EpilogueT::store(acc, Alpha(p.epilogue), EpilogueTarget<TD>{to, p.d_map, d, batch, p.d_by_tma}, thread, storage,
                         next_buffer);
      });
  }

  /// Everything else, for a part of the tile or, with split-K, for this CTA's share of it: Functor stores D.
  template <class Accumulators>
  CUTE_DEVICE static void finish(Accumulators& acc, Work const& work, EpiloguePart const& to, int batch, bool split_k,
                                 int part, int thread, int barrier, FixupWorkspace const& workspace,
                                 typename EpilogueT::Storage& storage) {
    thread = opaque(thread);  // addresses are computed here, tile by tile: the mainloop has no registers for them
    Functor functor(work.p, work.functor, batch);
    if constexpr (Config.can_split_k()) {
      if (split_k) {
        Tensor tCcD = MainloopT::coordinates(thread);  // (MMA, MMA_M, MMA_N)
        int splits = work.p.split.splits, split = work.cluster % splits;
        FixupT::reduce(acc, workspace, work.counterpart(work.cluster - split), Config.cluster_size(), split, splits,
                       part, thread, barrier, [&](int value, float x, float y) CUTLASS_LAMBDA_FUNC_INLINE {
                         EpilogueT::store_pair_fused(get<0>(tCcD(value)), get<1>(tCcD(value)), {x, y}, functor, to);
                       });
        return;
      }
    }
    EpilogueT::store_fused(acc, functor, to, thread, storage);
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
#define CKL_GEMM_ENTRY(NAME)                                                 \
  extern "C" __global__ void __launch_bounds__(ckl::GemmConfig::threads, 1)  \
      ckl_gemm_##NAME(__grid_constant__ ckl::GemmParams const params) {      \
    ckl::device::GemmKernel<ckl::parse_gemm_config(#NAME)>::run(params, {}); \
  }

/// One entry of a module from outside of the library: the kernel for the config that NAME spells, with the functor EPILOGUE (see
/// device::UserEpilogue).
#define CKL_GEMM_ENTRY_WITH(NAME, EPILOGUE)                                                                        \
  extern "C" __global__ void __launch_bounds__(ckl::GemmConfig::threads, 1)                                        \
      ckl_gemm_##NAME(__grid_constant__ ckl::GemmParamsWith<EPILOGUE::Params> const params) {                      \
    ckl::device::GemmKernel<ckl::parse_gemm_config(#NAME), ckl::device::UserEpilogue<EPILOGUE>>::run(params.gemm,  \
                                                                                                     params.user); \
  }
