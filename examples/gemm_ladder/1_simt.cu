// Rung 1: no tensor cores. A CTA copies a tile of A and of B to shared memory, as f32; each of its 256 threads then
// multiplies 8 x 8 elements of D with fused multiply-adds.

#include <cute/tensor.hpp>
#include <cutlass/bfloat16.h>

#include "ladder.hpp"

using namespace cute;
using Element = cutlass::bfloat16_t;

constexpr ladder::Rung rung = ladder::rungs[0];
using BLK_M = Int<rung.tile_m>;
using BLK_N = Int<rung.tile_n>;
using BLK_K = Int<rung.tile_k>;

// Shared memory is M-major (N-major), so that neighbours in M lie in neighbouring banks; 4 more elements a column keep the
// writes, which come along K, apart.
using SmemA = Layout<Shape<BLK_M, BLK_K>, Stride<_1, Int<rung.tile_m + 4>>>;
using SmemB = Layout<Shape<BLK_N, BLK_K>, Stride<_1, Int<rung.tile_n + 4>>>;

// 16 x 16 threads, each with every 16th row and column of the tile.
using Mma = decltype(make_tiled_mma(UniversalFMA<float>{}, Layout<Shape<_16, _16, _1>>{}));

// 128 x 2 threads, each with a vector of 8 elements along K: 16 bytes.
using Copy = decltype(make_tiled_copy(Copy_Atom<UniversalCopy<uint128_t>, Element>{},
                                      Layout<Shape<_128, _2>, Stride<_2, _1>>{}, Layout<Shape<_1, _8>>{}));

extern "C" __global__ void __launch_bounds__(rung.threads) ladder_1_simt(__grid_constant__ ladder::Params const p) {
  __shared__ float a[cosize_v<SmemA>], b[cosize_v<SmemB>];
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
  Tensor sA = make_tensor(make_smem_ptr(a), SmemA{});           // (BLK_M, BLK_K)
  Tensor sB = make_tensor(make_smem_ptr(b), SmemB{});           // (BLK_N, BLK_K)

  auto load = Copy{}.get_slice(threadIdx.x);
  Tensor tAgA = load.partition_S(gA);                  // (8, 1, 1, k)
  Tensor tBgB = load.partition_S(gB);                  // (8, 1, 1, k)
  Tensor tAsA = load.partition_D(sA);                  // (8, 1, 1)
  Tensor tBsB = load.partition_D(sB);                  // (8, 1, 1)
  Tensor tArA = make_fragment_like(tAgA(_, _, _, 0));  // (8, 1, 1)
  Tensor tBrB = make_fragment_like(tBgB(_, _, _, 0));  // (8, 1, 1)

  Mma mma;
  auto slice = mma.get_slice(threadIdx.x);
  Tensor tCsA = slice.partition_A(sA);  // (1, MMA_M, BLK_K)
  Tensor tCsB = slice.partition_B(sB);  // (1, MMA_N, BLK_K)
  Tensor tCgD = slice.partition_C(gD);  // (1, MMA_M, MMA_N)
  Tensor acc = slice.make_fragment_C(tCgD.compose(make_layout(shape(tCgD))));
  clear(acc);

  int k_tiles = size<2>(gA);
  copy(Copy{}, tAgA(_, _, _, 0), tArA);
  copy(Copy{}, tBgB(_, _, _, 0), tBrB);
  for (int k_tile = 0; k_tile < k_tiles; ++k_tile) {
    __syncthreads();  // everybody has read the tile before
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < size(tArA); ++i) {
      tAsA(i) = float(tArA(i));
      tBsB(i) = float(tBrB(i));
    }
    __syncthreads();
    if (k_tile + 1 < k_tiles) {  // on its way while this tile is multiplied
      copy(Copy{}, tAgA(_, _, _, k_tile + 1), tArA);
      copy(Copy{}, tBgB(_, _, _, k_tile + 1), tBrB);
    }
    gemm(mma, tCsA, tCsB, acc);
  }

  CUTLASS_PRAGMA_UNROLL
  for (int i = 0; i < size(acc); ++i) tCgD(i) = Element(acc(i));
}
