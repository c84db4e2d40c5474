// Rung 4: clusters. Two CTAs with the same columns of D need the same tile of B: each loads one half and multicasts it to both,
// so that L2 delivers a quarter less. A stage may then be filled again only when both CTAs are done with it: each says so on a
// barrier of the other, in distributed shared memory.

#include <cute/tensor.hpp>
#include <cute/arch/cluster_sm90.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/bfloat16.h>

#include "ladder.hpp"

using namespace cute;
using Element = cutlass::bfloat16_t;

constexpr ladder::Rung rung = ladder::rungs[3];
using BLK_M = Int<rung.tile_m>;
using BLK_N = Int<rung.tile_n>;
using BLK_K = Int<rung.tile_k>;
constexpr int PIPE = rung.stages, CLUSTER = rung.cluster;

using SmemA = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<BLK_M, BLK_K, Int<PIPE>>{}));
using SmemB = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<BLK_N, BLK_K, Int<PIPE>>{}));
using Mma = decltype(make_tiled_mma(
    SM90::GMMA::ss_op_selector<Element, Element, float, Shape<_64, BLK_N, BLK_K>, GMMA::Major::K, GMMA::Major::K>()));

struct Shared {
  alignas(1024) Element a[cosize_v<SmemA>];
  alignas(1024) Element b[cosize_v<SmemB>];
  cutlass::arch::ClusterTransactionBarrier full[PIPE];  // complete when a stage's bytes have landed
  cutlass::arch::ClusterBarrier empty[PIPE];            // complete when both CTAs have read it
};
static_assert(sizeof(Shared) <= rung.shared_bytes());

extern "C" __global__ void __launch_bounds__(rung.threads) ladder_4_cluster(__grid_constant__ ladder::Params const p) {
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  Shared& shared = *reinterpret_cast<Shared*>(shared_bytes);
  Tensor mD =
      make_tensor(make_gmem_ptr(static_cast<Element*>(p.d)), make_shape(p.m, p.n), make_stride(p.n, _1{}));  // (M, N)
  Tensor gD = local_tile(mD, Shape<BLK_M, BLK_N>{}, make_coord(int(blockIdx.x), int(blockIdx.y)));  // (BLK_M, BLK_N)
  Tensor sA = make_tensor(make_smem_ptr(shared.a), SmemA{});  // (BLK_M, BLK_K, PIPE)
  Tensor sB = make_tensor(make_smem_ptr(shared.b), SmemB{});  // (BLK_N, BLK_K, PIPE)
  int k_tiles = p.k / rung.tile_k;
  int rank = int(block_rank_in_cluster());

  // Called by one thread of each CTA: K tile `k_tile` into its stage. The halves of B arrive in both CTAs, where the barriers at
  // the same place count their bytes.
  auto load = [&](int k_tile) {
    int stage = k_tile % PIPE, k = k_tile * rung.tile_k;
    auto& full = shared.full[stage];
    auto* barrier = reinterpret_cast<uint64_t*>(&full);
    constexpr auto hint = uint64_t(TMA::CacheHintSm90::EVICT_NORMAL);
    constexpr uint16_t everybody = (1 << CLUSTER) - 1;
    int half = rank * rung.tile_n / CLUSTER;
    full.arrive_and_expect_tx(rung.stage_bytes());
    SM90_TMA_LOAD_2D::copy(&p.a_map, barrier, hint, &sA(0, 0, stage), k, blockIdx.x * rung.tile_m);
    SM90_TMA_LOAD_MULTICAST_2D::copy(&p.b_map, barrier, everybody, hint, &sB(half, 0, stage), k,
                                     blockIdx.y * rung.tile_n + half);
  };
  if (threadIdx.x == 0) {
    for (auto& full : shared.full) full.init(1);
    for (auto& empty : shared.empty) empty.init(CLUSTER);
    cutlass::arch::fence_barrier_init();
  }
  cluster_sync();  // every CTA's barriers are there before anybody's bytes or signals are
  if (threadIdx.x == 0)
    for (int k_tile = 0; k_tile < min(PIPE, k_tiles); ++k_tile) load(k_tile);

  Mma mma;
  auto slice = mma.get_slice(threadIdx.x);
  Tensor tCrA = slice.make_fragment_A(slice.partition_A(sA));     // (MMA, MMA_M, MMA_K, PIPE): descriptors
  Tensor tCrB = slice.make_fragment_B(slice.partition_B(sB));     // (MMA, MMA_N, MMA_K, PIPE)
  Tensor acc = partition_fragment_C(mma, Shape<BLK_M, BLK_N>{});  // (MMA, MMA_M, MMA_N)
  auto multiply = [&](int k_tile) {
    int stage = k_tile % PIPE;
    shared.full[stage].wait(k_tile / PIPE % 2);
    warpgroup_fence_operand(acc);
    warpgroup_arrive();
    CUTLASS_PRAGMA_UNROLL
    for (int k_block = 0; k_block < size<2>(tCrA); ++k_block) {
      gemm(mma, tCrA(_, _, k_block, stage), tCrB(_, _, k_block, stage), acc);
      mma.accumulate_ = GMMA::ScaleOut::One;
    }
    warpgroup_commit_batch();
  };
  // The first product overwrites the accumulators. Each way out has a wait of its own: with one that both shared, ptxas would
  // serialize the wgmmas (C7514).
  mma.accumulate_ = GMMA::ScaleOut::Zero;
  multiply(0);
  if (k_tiles == 1) {
    warpgroup_wait<0>();
    warpgroup_fence_operand(acc);
  } else {
    int k_tile = 1;
    CUTLASS_PRAGMA_NO_UNROLL
    do {
      multiply(k_tile);
      warpgroup_wait<1>();  // the products of the K tile before this one are done ...
      warpgroup_fence_operand(acc);
      __syncthreads();  // ... in all warps of this CTA: it tells both
      int done = k_tile - 1, next = done + PIPE;
      auto& empty = shared.empty[done % PIPE];
      empty.arrive(threadIdx.x, threadIdx.x < CLUSTER);
      if (threadIdx.x == 0 && next < k_tiles) {
        empty.wait(done / PIPE % 2);
        load(next);
      }
    } while (++k_tile < k_tiles);
    warpgroup_wait<0>();
    warpgroup_fence_operand(acc);
  }

  Tensor tCgD = slice.partition_C(gD);  // (MMA, MMA_M, MMA_N)
  CUTLASS_PRAGMA_UNROLL
  for (int i = 0; i < size(acc); ++i) tCgD(i) = Element(acc(i));
  cluster_sync();  // nobody leaves while the other may still signal it
}
