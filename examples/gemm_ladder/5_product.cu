// Rung 5: the structure of the library's kernel, without its generality. One warp only loads, and gives its registers to the two
// warpgroups that multiply 64 x 256 each. The grid is persistent: while the consumers store a tile, the producer fills the stages
// for the next. D leaves through shared memory, by TMA.

#include <cute/tensor.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/atom/copy_traits_sm90.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/arch/reg_reconfig.h>
#include <cutlass/pipeline/sm90_pipeline.hpp>

#include "ladder.hpp"

using namespace cute;
using Element = cutlass::bfloat16_t;

constexpr ladder::Rung rung = ladder::rungs[4];
using BLK_M = Int<rung.tile_m>;
using BLK_N = Int<rung.tile_n>;
using BLK_K = Int<rung.tile_k>;
using BOX = Int<ladder::Rung::d_box>;
constexpr int PIPE = rung.stages, CLUSTER = rung.cluster, CONSUMERS = 2, WARPGROUP = 128;
constexpr int BOXES = rung.tile_n / BOX{}, BOX_V = 64 * BOX{} / WARPGROUP;  // boxes of D, values of one in a thread

using SmemA = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<BLK_M, BLK_K, Int<PIPE>>{}));
using SmemB = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<BLK_N, BLK_K, Int<PIPE>>{}));
using SmemD = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<BOX, BOX>{}));
using Mma = decltype(make_tiled_mma(
    SM90::GMMA::ss_op_selector<Element, Element, float, Shape<_64, BLK_N, BLK_K>, GMMA::Major::K, GMMA::Major::K>()));
using State = cutlass::PipelineState<PIPE>;

struct Shared {
  alignas(1024) Element a[cosize_v<SmemA>];
  alignas(1024) Element b[cosize_v<SmemB>];
  alignas(1024) Element d[CONSUMERS][cosize_v<SmemD>];
  cutlass::arch::ClusterTransactionBarrier full[PIPE];
  cutlass::arch::ClusterBarrier empty[PIPE];
};
static_assert(sizeof(Shared) <= rung.shared_bytes());

/// The tiles of this CTA: as many rows of tiles as are in flight at a time share their columns of B in L2.
struct Tiles {
  int rank = int(block_rank_in_cluster()), at = blockIdx.x / CLUSTER, rows, count;
  CUTE_DEVICE explicit Tiles(ladder::Params const& p)
      : rows(p.m / (rung.tile_m * CLUSTER)), count(rows * (p.n / rung.tile_n)) {}
  CUTE_DEVICE bool more() const { return at < count; }
  CUTE_DEVICE void next() { at += gridDim.x / CLUSTER; }
  CUTE_DEVICE int m() const { return (at % rows * CLUSTER + rank) * rung.tile_m; }
  CUTE_DEVICE int n() const { return at / rows * rung.tile_n; }
};

/// One warp.
CUTE_DEVICE void produce(ladder::Params const& p, Shared& shared) {
  Tensor sA = make_tensor(make_smem_ptr(shared.a), SmemA{});  // (BLK_M, BLK_K, PIPE)
  Tensor sB = make_tensor(make_smem_ptr(shared.b), SmemB{});  // (BLK_N, BLK_K, PIPE)
  constexpr auto hint = uint64_t(TMA::CacheHintSm90::EVICT_NORMAL);
  State at(0, 1, 0);  // a fresh producer finds every stage empty
  for (Tiles tile(p); tile.more(); tile.next()) {
    int half = tile.rank * rung.tile_n / CLUSTER;  // of B, multicast to both CTAs
    for (int k = 0; k < p.k; k += rung.tile_k, ++at) {
      shared.empty[at.index()].wait(at.phase());
      if (!elect_one_sync()) continue;
      auto* barrier = reinterpret_cast<uint64_t*>(&shared.full[at.index()]);
      shared.full[at.index()].arrive_and_expect_tx(rung.stage_bytes());
      SM90_TMA_LOAD_2D::copy(&p.a_map, barrier, hint, &sA(0, 0, at.index()), k, tile.m());
      SM90_TMA_LOAD_MULTICAST_2D::copy(&p.b_map, barrier, (1 << CLUSTER) - 1, hint, &sB(half, 0, at.index()), k,
                                       tile.n() + half);
    }
  }
  for (int stage = 0; stage < PIPE; ++stage, ++at)
    shared.empty[at.index()].wait(at.phase());  // nobody signals us any more
}

/// A warpgroup: 64 rows of each tile.
CUTE_DEVICE void consume(ladder::Params const& p, Shared& shared, int consumer, int thread) {
  Mma mma;
  auto slice = mma.get_slice(thread);
  Tensor sA = local_tile(make_tensor(make_smem_ptr(shared.a), SmemA{}), Shape<_64, BLK_K>{},
                         make_coord(consumer, 0, _));         // (64, BLK_K, PIPE)
  Tensor sB = make_tensor(make_smem_ptr(shared.b), SmemB{});  // (BLK_N, BLK_K, PIPE)
  Tensor sD =
      as_position_independent_swizzle_tensor(make_tensor(make_smem_ptr(shared.d[consumer]), SmemD{}));  // (BOX, BOX)
  Tensor tCrA = slice.make_fragment_A(slice.partition_A(sA));  // (MMA, MMA_M, MMA_K, PIPE)
  Tensor tCrB = slice.make_fragment_B(slice.partition_B(sB));  // (MMA, MMA_N, MMA_K, PIPE)
  // An MMA of a box's columns has the accumulators of that box in the order of the whole tile.
  using BoxMma = decltype(make_tiled_mma(SM90::GMMA::ss_op_selector<Element, Element, float, Shape<_64, BOX, _64>>()));
  auto stage_d = make_tiled_copy_C(Copy_Atom<SM90_U32x4_STSM_N, Element>{}, BoxMma{});
  Tensor tDsD = stage_d.get_slice(thread).partition_D(sD);  // (STSM, 1, STSM_N)

  Tensor acc = partition_fragment_C(mma, Shape<_64, BLK_N>{});  // (MMA, MMA_M, MMA_N)

  auto multiply = [&](State const& at) CUTLASS_LAMBDA_FUNC_INLINE {
    shared.full[at.index()].wait(at.phase());
    warpgroup_fence_operand(acc);
    warpgroup_arrive();
    CUTLASS_PRAGMA_UNROLL
    for (int k_block = 0; k_block < size<2>(tCrA); ++k_block) {
      gemm(mma, tCrA(_, _, k_block, at.index()), tCrB(_, _, k_block, at.index()), acc);
      mma.accumulate_ = GMMA::ScaleOut::One;
    }
    warpgroup_commit_batch();
  };
  auto finish = [&]() CUTLASS_LAMBDA_FUNC_INLINE {
    warpgroup_wait<0>();
    warpgroup_fence_operand(acc);
  };
  auto release = [&](State const& at) { shared.empty[at.index()].arrive(thread, thread < CLUSTER); };

  State at;
  int k_tiles = p.k / rung.tile_k;
  for (Tiles tile(p); tile.more(); tile.next()) {
    State done = at;
    mma.accumulate_ = GMMA::ScaleOut::Zero;
    multiply(at);
    ++at;
    if (k_tiles == 1) {
      finish();
    } else {
      int k_tile = 1;
      CUTLASS_PRAGMA_NO_UNROLL
      do {
        multiply(at);
        warpgroup_wait<1>();
        warpgroup_fence_operand(acc);
        release(done);
        ++done, ++at;
      } while (++k_tile < k_tiles);
      finish();
    }
    release(done);

    CUTLASS_PRAGMA_UNROLL
    for (int box = 0; box < BOXES; ++box) {
      Tensor rD = make_tensor<Element>(shape(tDsD));  // (STSM, 1, STSM_N)
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < BOX_V; ++i) rD(i) = Element(acc(box * BOX_V + i));
      if (thread == 0) tma_store_wait<0>();  // the store before has read the buffer
      cutlass::arch::NamedBarrier::sync(WARPGROUP, 1 + consumer);
      copy(stage_d, rD, tDsD);
      cutlass::arch::fence_view_async_shared();
      cutlass::arch::NamedBarrier::sync(WARPGROUP, 1 + consumer);
      if (thread == 0) {
        SM90_TMA_STORE_2D::copy(&p.d_map, shared.d[consumer], tile.n() + box * BOX{}, tile.m() + consumer * 64);
        tma_store_arrive();
      }
    }
  }
  if (thread == 0) tma_store_wait<0>();
}

extern "C" __global__ void __launch_bounds__(rung.threads, 1)
    ladder_5_product(__grid_constant__ ladder::Params const p) {
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  Shared& shared = *reinterpret_cast<Shared*>(shared_bytes);
  if (threadIdx.x == 0) {
    for (auto& full : shared.full) full.init(1);
    for (auto& empty : shared.empty) empty.init(CONSUMERS * CLUSTER);
    cutlass::arch::fence_barrier_init();
  }
  cluster_sync();
  int warpgroup = cutlass::canonical_warp_group_idx();
  if (warpgroup == 0) {
    cutlass::arch::warpgroup_reg_dealloc<40>();
    if (cutlass::canonical_warp_idx_sync() == 0) produce(p, shared);
  } else {
    cutlass::arch::warpgroup_reg_alloc<232>();
    consume(p, shared, warpgroup - 1, threadIdx.x % WARPGROUP);
  }
}
