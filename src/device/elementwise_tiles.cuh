#pragma once

// Elementwise functions of an input that is dense along another dimension than the output, such as a transposed view. A block moves a tile
// through shared memory, so that it reads and writes 128 contiguous bytes and more: M counts along the input's dense dimension, N
// along the output's.

#include <cute/tensor.hpp>

#include "device/arch.cuh"
#include "device/elementwise_engine.cuh"

namespace ckl::device {

template <ElementwiseConfig Config, class Functions> struct ElementwiseTiles {
  using Engine = ElementwiseEngine<Config, Functions>;
  static constexpr int VEC = Config.vector, UNROLL = Config.unroll(), THREADS = ElementwiseConfig::threads;
  static constexpr int BLK_M = Config.tile_m(), BLK_N = Config.tile_n(), WORDS = Engine::WORDS;
  static constexpr int LOG_VEC = log_2(uint32_t(VEC));
  /// Rows of M. A row's 8 vectors are exchanged with each other, by the number of its vector of N: the 8 elements that lanes read at a
  /// time for 8 vectors of N then lie in different banks, as do the 8 vectors that lanes write.
  using SmemLayout = decltype(composition(Swizzle<3, LOG_VEC, LOG_VEC + 3>{},
                                          Layout<Shape<Int<BLK_M>, Int<BLK_N>>, Stride<_1, Int<BLK_M>>>{}));
  struct Smem {
    alignas(16) uint8_t bytes[cosize_v<SmemLayout> * Config.widest()];
  };
  static_assert(BLK_M * BLK_N == THREADS * UNROLL * VEC && BLK_N % (8 * VEC) == 0);

  CUTE_DEVICE static void run(ElementwiseParams const& p) {
    __shared__ Smem smem;
    Tile tile = locate(p);
    with_element_bits<Config.widest()>(p.in[0].dtype, [&](auto element) { load(element, p, tile, smem); });
    block_sync();
    with_element_bits<Config.widest()>(p.in[0].dtype, [&](auto element) { store(element, p, tile, smem); });
  }

 private:
  /// Where the block's tile begins, in elements from the operands' begins, and how much of it there is.
  struct Tile {
    int64_t in, out;
    int m, n;
  };

  CUTE_DEVICE static Tile locate(ElementwiseParams const& p) {
    int rest = p.row_vectors.quotient(int(blockIdx.x));
    int64_t n = int64_t(int(blockIdx.x) - rest * int(p.row_vectors.divisor)) * BLK_N, m = 0;
    Tile tile{n * p.in[0].strides[max_rank - 1], n, 0, 0};
    auto add = [&](int d, int64_t coordinate) CUTLASS_LAMBDA_FUNC_INLINE {
      if (d == p.tile_dimension) m = coordinate *= BLK_M;
      tile.in += coordinate * p.in[0].strides[d];
      tile.out += coordinate * p.out[0].strides[d];
    };
    for_each_coordinate(p.sizes, p.first_dimension, max_rank - 2, rest, add);  // tiles have two dimensions at least
    tile.m = int(cute::min(p.tile_rows - m, int64_t(BLK_M)));
    tile.n = int(cute::min(p.row - n, int64_t(BLK_N)));
    return tile;
  }

  template <class Bits> CUTE_DEVICE static auto smem_tensor(Smem& smem) {
    return make_tensor(make_smem_ptr(reinterpret_cast<Bits*>(smem.bytes)), SmemLayout{});  // (BLK_M, BLK_N)
  }

  /// Brings the tile into shared memory; neighbouring lanes take the vectors of a row.
  template <class Bits>
  CUTE_DEVICE static void load(Bits element, ElementwiseParams const& p, Tile const& tile, Smem& smem) {
    Tensor sX = smem_tensor<Bits>(smem);                                  // (BLK_M, BLK_N)
    Tensor rX = make_tensor<uint32_t>(Shape<Int<WORDS>, Int<UNROLL>>{});  // (WORDS, UNROLL)
    auto vectors = Layout<Shape<_8, Int<BLK_N>>>{};
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < UNROLL; ++u) {
      auto [vector, n] = idx2crd(int(threadIdx.x) + u * THREADS, vectors.shape());
      int m = vector * VEC;
      int count = n < tile.n ? cute::min(tile.m - m, int(VEC)) : 0;
      Engine::load(element, p.in[0], tile.in + m + n * p.in[0].strides[max_rank - 1], count, rX(_, u));
    }
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < UNROLL; ++u) {
      auto [vector, n] = idx2crd(int(threadIdx.x) + u * THREADS, vectors.shape());
      Tensor rXu = make_tensor(recast_ptr<Bits>(rX(_, u).data()), Int<VEC>{});  // (VEC)
      Tensor sXu = make_tensor(&sX(vector * VEC, n), Int<VEC>{});               // (VEC)
      copy(Copy_Atom<UniversalCopy<uint_bit_t<VEC * sizeof_bits_v<Bits>>>, Bits>{}, rXu, sXu);
    }
  }

  /// Takes vectors of N out of shared memory to the output: 8 lanes side by side along N, then 4 along M.
  template <class Bits> CUTE_DEVICE static void store(Bits, ElementwiseParams const& p, Tile const& tile, Smem& smem) {
    Tensor sX = smem_tensor<Bits>(smem);  // (BLK_M, BLK_N)
    auto vectors = Layout<Shape<_8, Int<BLK_M>, Int<BLK_N / (8 * VEC)>>>{};
    // Not unrolled: nothing waits for global memory here, and the loop has the code of all functions.
    CUTLASS_PRAGMA_NO_UNROLL
    for (int u = 0; u < UNROLL; ++u) {
      auto [lane, m, part] = idx2crd(int(threadIdx.x) + u * THREADS, vectors.shape());
      int n = (part * 8 + lane) * VEC;
      Tensor rX = make_tensor<uint32_t>(Shape<Int<WORDS>, _1>{});         // (WORDS, INPUT)
      Tensor rXv = make_tensor(recast_ptr<Bits>(rX.data()), Int<VEC>{});  // (VEC)
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) rXv(v) = sX(m, n + v);
      typename Engine::Place place;
      place.out[0] = tile.out + m * p.out[0].strides[p.tile_dimension] + n;
      place.count = m < tile.m ? cute::min(tile.n - n, int(VEC)) : 0;
      Engine::compute(p, place, rX);
    }
  }
};

}  // namespace ckl::device
