// Rung 3: TMA. One thread asks for whole tiles of A and B; the hardware computes addresses, swizzles and reports the bytes that
// have arrived to an mbarrier. With three stages two K tiles are on their way while one is multiplied, and a wgmma is waited for
// only when the next one has been issued.

#include <cute/tensor.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/bfloat16.h>

#include "ladder.hpp"

using namespace cute;
using Element = cutlass::bfloat16_t;

constexpr ladder::Rung rung = ladder::rungs[2];
using BLK_M = Int<rung.tile_m>;
using BLK_N = Int<rung.tile_n>;
using BLK_K = Int<rung.tile_k>;
constexpr int PIPE = rung.stages;

using SmemA = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<BLK_M, BLK_K, Int<PIPE>>{}));
using SmemB = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<BLK_N, BLK_K, Int<PIPE>>{}));
using Mma = decltype(make_tiled_mma(
    SM90::GMMA::ss_op_selector<Element, Element, float, Shape<_64, BLK_N, BLK_K>, GMMA::Major::K, GMMA::Major::K>()));

struct Shared {
  alignas(1024) Element a[cosize_v<SmemA>];
  alignas(1024) Element b[cosize_v<SmemB>];
  cutlass::arch::ClusterTransactionBarrier full[PIPE];  // complete when a stage's bytes have landed
};
static_assert(sizeof(Shared) <= rung.shared_bytes());

extern "C" __global__ void __launch_bounds__(rung.threads) ladder_3_tma(__grid_constant__ ladder::Params const p) {
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  Shared& shared = *reinterpret_cast<Shared*>(shared_bytes);
  Tensor mD =
      make_tensor(make_gmem_ptr(static_cast<Element*>(p.d)), make_shape(p.m, p.n), make_stride(p.n, _1{}));  // (M, N)
  Tensor gD = local_tile(mD, Shape<BLK_M, BLK_N>{}, make_coord(int(blockIdx.x), int(blockIdx.y)));  // (BLK_M, BLK_N)
  Tensor sA = make_tensor(make_smem_ptr(shared.a), SmemA{});  // (BLK_M, BLK_K, PIPE)
  Tensor sB = make_tensor(make_smem_ptr(shared.b), SmemB{});  // (BLK_N, BLK_K, PIPE)
  int k_tiles = p.k / rung.tile_k;

  // Called by one thread: K tile `k_tile` into its stage.
  auto load = [&](int k_tile) {
    int stage = k_tile % PIPE;
    auto& full = shared.full[stage];
    auto* barrier = reinterpret_cast<uint64_t*>(&full);
    constexpr auto hint = uint64_t(TMA::CacheHintSm90::EVICT_NORMAL);
    full.arrive_and_expect_tx(rung.stage_bytes());
    SM90_TMA_LOAD_2D::copy(&p.a_map, barrier, hint, &sA(0, 0, stage), k_tile * rung.tile_k, blockIdx.x * rung.tile_m);
    SM90_TMA_LOAD_2D::copy(&p.b_map, barrier, hint, &sB(0, 0, stage), k_tile * rung.tile_k, blockIdx.y * rung.tile_n);
  };
  if (threadIdx.x == 0) {
    for (auto& full : shared.full) full.init(1);
    cutlass::arch::fence_barrier_init();  // TMA sees them
    for (int k_tile = 0; k_tile < min(PIPE, k_tiles); ++k_tile) load(k_tile);
  }
  __syncthreads();

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
      __syncthreads();  // ... in all warps, so that its stage may be filled again
      int next = k_tile - 1 + PIPE;
      if (threadIdx.x == 0 && next < k_tiles) load(next);
    } while (++k_tile < k_tiles);
    warpgroup_wait<0>();
    warpgroup_fence_operand(acc);
  }

  Tensor tCgD = slice.partition_C(gD);  // (MMA, MMA_M, MMA_N)
  CUTLASS_PRAGMA_UNROLL
  for (int i = 0; i < size(acc); ++i) tCgD(i) = Element(acc(i));
}
