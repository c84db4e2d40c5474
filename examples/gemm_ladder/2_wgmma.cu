// Rung 2: tensor cores. One warpgroup multiplies a tile of 128 x 128 with wgmma, whose operands lie in shared memory with the
// swizzle that it wants; the threads fill that memory with 16-byte asynchronous copies. Loads and products take turns in one CTA;
// the other CTAs of the SM fill the gaps.

#include <cute/tensor.hpp>
#include <cute/arch/copy_sm80.hpp>
#include <cute/atom/copy_traits_sm80.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/bfloat16.h>

#include "ladder.hpp"

using namespace cute;
using Element = cutlass::bfloat16_t;

constexpr ladder::Rung rung = ladder::rungs[1];
using BLK_M = Int<rung.tile_m>;
using BLK_N = Int<rung.tile_n>;
using BLK_K = Int<rung.tile_k>;

using SmemA = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<BLK_M, BLK_K>{}));
using SmemB = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<BLK_N, BLK_K>{}));
using Mma = decltype(make_tiled_mma(
    SM90::GMMA::ss_op_selector<Element, Element, float, Shape<_64, BLK_N, BLK_K>, GMMA::Major::K, GMMA::Major::K>()));

// 16 x 8 threads, each with 8 elements along K: 16 bytes. Eight neighbours read a row of 128 bytes.
using Copy = decltype(make_tiled_copy(Copy_Atom<SM80_CP_ASYNC_CACHEGLOBAL<uint128_t>, Element>{},
                                      Layout<Shape<_16, _8>, Stride<_8, _1>>{}, Layout<Shape<_1, _8>>{}));

struct Shared {
  alignas(1024) Element a[cosize_v<SmemA>];
  alignas(1024) Element b[cosize_v<SmemB>];
};
static_assert(sizeof(Shared) <= rung.shared_bytes());

extern "C" __global__ void __launch_bounds__(rung.threads) ladder_2_wgmma(__grid_constant__ ladder::Params const p) {
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  Shared& shared = *reinterpret_cast<Shared*>(shared_bytes);
  auto tile = make_coord(blockIdx.x, blockIdx.y, _);
  using Tile = Shape<BLK_M, BLK_N, BLK_K>;
  Tensor mA = make_tensor(make_gmem_ptr(static_cast<Element const*>(p.a)), make_shape(p.m, p.k),
                          make_stride(p.k, _1{}));  // (M, K)
  Tensor mB = make_tensor(make_gmem_ptr(static_cast<Element const*>(p.b)), make_shape(p.n, p.k),
                          make_stride(p.k, _1{}));  // (N, K)
  Tensor mD =
      make_tensor(make_gmem_ptr(static_cast<Element*>(p.d)), make_shape(p.m, p.n), make_stride(p.n, _1{}));  // (M, N)
  Tensor gA = local_tile(mA, Tile{}, tile, Step<_1, X, _1>{});  // (BLK_M, BLK_K, k)
  Tensor gB = local_tile(mB, Tile{}, tile, Step<X, _1, _1>{});  // (BLK_N, BLK_K, k)
  Tensor gD = local_tile(mD, Tile{}, tile, Step<_1, _1, X>{});  // (BLK_M, BLK_N)
  Tensor sA = make_tensor(make_smem_ptr(shared.a), SmemA{});    // (BLK_M, BLK_K)
  Tensor sB = make_tensor(make_smem_ptr(shared.b), SmemB{});    // (BLK_N, BLK_K)

  auto load = Copy{}.get_slice(threadIdx.x);
  Tensor tAgA = load.partition_S(gA);  // (8, BLK_M / 16, 1, k)
  Tensor tBgB = load.partition_S(gB);  // (8, BLK_N / 16, 1, k)
  Tensor tAsA = load.partition_D(sA);  // (8, BLK_M / 16, 1)
  Tensor tBsB = load.partition_D(sB);  // (8, BLK_N / 16, 1)

  Mma mma;
  auto slice = mma.get_slice(threadIdx.x);
  Tensor tCrA = slice.make_fragment_A(slice.partition_A(sA));     // (MMA, MMA_M, MMA_K): descriptors
  Tensor tCrB = slice.make_fragment_B(slice.partition_B(sB));     // (MMA, MMA_N, MMA_K)
  Tensor acc = partition_fragment_C(mma, Shape<BLK_M, BLK_N>{});  // (MMA, MMA_M, MMA_N)
  clear(acc);

  for (int k_tile = 0; k_tile < size<2>(gA); ++k_tile) {
    copy(Copy{}, tAgA(_, _, _, k_tile), tAsA);
    copy(Copy{}, tBgB(_, _, _, k_tile), tBsB);
    cp_async_fence();
    cp_async_wait<0>();
    cutlass::arch::fence_view_async_shared();  // the tensor cores read through the async proxy
    __syncthreads();
    warpgroup_fence_operand(acc);
    warpgroup_arrive();
    gemm(mma, tCrA, tCrB, acc);
    warpgroup_commit_batch();
    warpgroup_wait<0>();
    warpgroup_fence_operand(acc);
    __syncthreads();  // every warp's products are done: the tile may be overwritten
  }

  Tensor tCgD = slice.partition_C(gD);  // (MMA, MMA_M, MMA_N)
  CUTLASS_PRAGMA_UNROLL
  for (int i = 0; i < size(acc); ++i) tCgD(i) = Element(acc(i));
}
