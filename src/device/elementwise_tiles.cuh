#pragma once

// Elementwise functions of an input that is dense along another dimension than the output, such as a transposed view. M counts along the
// input's dense dimension, N along the output's. Each thread loads vectors of M of neighbouring N, turns them in registers into vectors of
// N, and exchanges those with its block through shared memory, so that a warp stores whole rows of the tile.

#include <cute/tensor.hpp>

#include "device/arch.cuh"
#include "device/elementwise_engine.cuh"
#include "device/packed.cuh"

namespace ckl::device {

template <ElementwiseConfig Config, class Functions> struct ElementwiseTiles {
  using Engine = ElementwiseEngine<Config, Functions>;
  using C = typename Engine::C;
  template <class T> using Vector = typename Engine::template Vector<T>;
  static constexpr int VEC = Config.vector, THREADS = ElementwiseConfig::threads, WIDEST = Config.widest();
  static constexpr int BLK_M = Config.tile_m(), BLK_N = Config.tile_n();
  static constexpr int SQUARES = Config.unroll() / VEC;  // VEC x VEC elements each that a thread turns
  static constexpr int LOG_VEC = log_2(uint32_t(VEC)), LOG_N = log_2(uint32_t(BLK_N));
  /// Rows of N. The vectors of a row are exchanged with each other by the number of its vector of M: so 8 lanes with 8 vectors of M write
  /// to different banks.
  using SmemLayout = decltype(composition(Swizzle<3, LOG_VEC, LOG_N>{},
                                          Layout<Shape<Int<BLK_M>, Int<BLK_N>>, Stride<Int<BLK_N>, _1>>{}));
  struct Smem {
    alignas(16) uint8_t bytes[cosize_v<SmemLayout> * WIDEST];
  };
  static_assert(BLK_M * BLK_N == THREADS * SQUARES * VEC * VEC && Config.unroll() % VEC == 0 &&
                sizeof(Smem) <= 48 * 1024);

  CUTE_DEVICE static void run(ElementwiseParams const& p) {
    __shared__ Smem smem;
    allow_next_grid();
    Tile tile = locate(p);
    wait_for_preceding_grids();
    with_element_bits<WIDEST>(p.in[0].dtype,
                              [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE { load(element, p, tile, smem); });
    block_sync();
    with_element_bits<WIDEST>(p.in[0].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      using Bits = decltype(element);
      if (p.moves)
        for_each_vector<Bits>(p, tile, smem, [&](Vector<Bits> const& x, int64_t offset, int count, bool whole) {
          Engine::store(x, static_cast<Bits*>(p.out[0].data) + offset, count, whole);
        });
      else
        for_each_vector<Bits>(p, tile, smem, [&](Vector<Bits> const& x, int64_t offset, int count, bool whole) {
          compute(p, x, offset, count, whole);
        });
    });
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

  /// A vector of N at (m, n), n a multiple of VEC.
  template <class SmemTensor> CUTE_DEVICE static auto smem_vector(SmemTensor const& sX, int m, int n) {
    return make_tensor(&sX(m, n), Int<VEC>{});  // (VEC)
  }
  template <class Bits> using SmemAtom = Copy_Atom<UniversalCopy<uint_bit_t<VEC * sizeof_bits_v<Bits>>>, Bits>;

  /// Brings the tile into shared memory. Lanes: 8 vectors of M side by side, so that they load a whole line; the rest along N.
  template <class Bits> CUTE_DEVICE static void load(Bits, ElementwiseParams const& p, Tile const& tile, Smem& smem) {
    constexpr int ACROSS = 8, DOWN = THREADS / ACROSS;
    Tensor sX = smem_tensor<Bits>(smem);  // (BLK_M, BLK_N)
    int m = int(threadIdx.x) % ACROSS * VEC;
    int64_t stride = p.in[0].strides[max_rank - 1];
    Vector<Bits> x[SQUARES][VEC];  // [..][n][m]
    CUTLASS_PRAGMA_UNROLL
    for (int s = 0; s < SQUARES; ++s) {
      int n = (int(threadIdx.x) / ACROSS + s * DOWN) * VEC;
      Bits const* from = static_cast<Bits const*>(p.in[0].data) + tile.in + m + n * stride;
      int count = cute::min(tile.m - m, int(VEC));
      bool whole = count == VEC && p.in[0].aligned;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        if (n + v < tile.n) Engine::load(from + v * stride, count, whole, x[s][v]);
    }
    CUTLASS_PRAGMA_UNROLL
    for (int s = 0; s < SQUARES; ++s) {
      int n = (int(threadIdx.x) / ACROSS + s * DOWN) * VEC;
      transpose(x[s]);  // [..][m][n]
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) {
        Tensor rX = make_tensor(reinterpret_cast<Bits const*>(&x[s][v]), Int<VEC>{});  // (VEC)
        copy(SmemAtom<Bits>{}, rX, smem_vector(sX, m + v, n));
      }
    }
  }

  /// Takes vectors of N out of shared memory and calls f(x, offset from the output's begin, elements inside, whether they can be stored
  /// whole); a warp's lanes lie side by side along N.
  template <class Bits, class F>
  CUTE_DEVICE static void for_each_vector(ElementwiseParams const& p, Tile const& tile, Smem& smem, F const& f) {
    constexpr int ACROSS = BLK_N / VEC, DOWN = THREADS / ACROSS;
    static_assert(THREADS % ACROSS == 0);
    Tensor sX = smem_tensor<Bits>(smem);  // (BLK_M, BLK_N)
    int n = int(threadIdx.x) % ACROSS * VEC, m = int(threadIdx.x) / ACROSS;
    int64_t stride = p.out[0].strides[p.tile_dimension], offset = tile.out + m * stride + n;
    int count = cute::min(tile.n - n, int(VEC));
    bool whole = count == VEC && p.out[0].aligned;
    // Not unrolled: nothing waits for global memory here, and the loop may have the code of all functions.
    CUTLASS_PRAGMA_NO_UNROLL
    for (; m < tile.m; m += DOWN, offset += DOWN * stride) {
      Vector<Bits> x;
      Tensor rX = make_tensor(reinterpret_cast<Bits*>(&x), Int<VEC>{});  // (VEC)
      copy(SmemAtom<Bits>{}, smem_vector(sX, m, n), rX);
      f(x, offset, count, whole);
    }
  }

  /// Applies the functor to a vector, and stores the result.
  template <class Bits> CUTE_DEVICE static void compute(ElementwiseParams const& p, Vector<Bits> const& bits,
                                                        int64_t offset, int count, bool whole) {
    Vector<C> x[1][1], y[1][1];
    with_element<C, WIDEST>(p.in[0].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      using T = decltype(element);
      if constexpr (sizeof(T) == sizeof(Bits)) x[0][0] = convert<C>(reinterpret_cast<Vector<T> const&>(bits));
    });
    Engine::template apply<1>(p, x, y);
    with_element<C, WIDEST>(p.out[0].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      using T = decltype(element);
      Engine::store(convert<T>(y[0][0]), static_cast<T*>(p.out[0].data) + offset, count, whole);
    });
  }
};

}  // namespace ckl::device
