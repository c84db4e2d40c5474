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
  static constexpr int VEC = Config.vector, THREADS = Config.threads(), WIDEST = Config.widest();
  static constexpr int BLK_M = Config.tile_m(false), BLK_N = Config.tile_n(false);
  static constexpr int ROWS = cute::min(VEC, Config.unroll());  // vectors that a thread turns together
  static constexpr int PATCHES = Config.unroll() / ROWS;        // of them, ROWS x VEC elements each
  static constexpr int LOG_VEC = log_2(uint32_t(VEC)), LOG_N = log_2(uint32_t(BLK_N));
  /// Rows of N. The vectors of a row are exchanged with each other by the number of its vector of M: so 8 lanes with 8 vectors of M write
  /// to different banks.
  using SmemLayout = decltype(composition(Swizzle<3, LOG_VEC, LOG_N>{},
                                          Layout<Shape<Int<BLK_M>, Int<BLK_N>>, Stride<Int<BLK_N>, _1>>{}));
  struct Smem {
    alignas(16) uint8_t bytes[cosize_v<SmemLayout> * WIDEST];
  };
  /// Vectors that a thread moves or computes with at a time: a single one would leave it waiting for each step.
  static constexpr int MOVED_AT_A_TIME = 2, COMPUTED_AT_A_TIME = VEC > 8 ? 1 : 2;
  static_assert(BLK_M * BLK_N == THREADS * PATCHES * ROWS * VEC && Config.unroll() % ROWS == 0 &&
                sizeof(Smem) <= 48 * 1024);

  CUTE_DEVICE static void run(ElementwiseParams const& p) {
    __shared__ Smem smem;
    allow_next_grid();
    Tile tile = locate(p);
    wait_for_preceding_grids();
    with_element_bits<WIDEST>(p.in[0].element_bytes,
                              [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE { load(element, p, tile, smem); });
    block_sync();
    with_element_bits<WIDEST>(p.in[0].element_bytes, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      using Bits = decltype(element);
      if (p.moves)
        for_each_vector<MOVED_AT_A_TIME, Bits>(p, tile, smem,
                                               [&](auto const& x, Places const& places) CUTLASS_LAMBDA_FUNC_INLINE {
                                                 store(p, x, places, static_cast<Bits*>(p.out[0].data));
                                               });
      else if (p.casts && tile.whole)
        cast<Bits>(p, tile, smem);
      else
        for_each_vector<COMPUTED_AT_A_TIME, Bits>(p, tile, smem,
                                                  [&](auto const& x, Places const& places)
                                                      CUTLASS_LAMBDA_FUNC_INLINE { compute<Bits>(p, x, places); });
    });
  }

 private:
  /// Where the block's tile begins, in elements from the operands' begins, and how much of it there is.
  struct Tile {
    int64_t in, out;
    int m, n;
    bool whole;  // all of it is, and its vectors are aligned
    int log_m;  // its elements along M are 2^log_m. A narrow tile has half of BLK_M, and its second half along N lies below the first
        // one in shared memory.
  };

  CUTE_DEVICE static Tile locate(ElementwiseParams const& p) {
    int log_m = log_2(uint32_t(BLK_M)) - p.narrow_tiles, blk_n = BLK_N << int(p.narrow_tiles);
    int rest = p.row_vectors.quotient(int(blockIdx.x));
    int64_t n = int64_t(int(blockIdx.x) - rest * int(p.row_vectors.divisor)) * blk_n, m = 0;
    Tile tile{n * p.in[0].strides[max_rank - 1], n, 0, 0, false, log_m};
    auto add = [&](int d, int64_t coordinate) CUTLASS_LAMBDA_FUNC_INLINE {
      if (d == p.outer_dimension) m = (coordinate <<= log_m - p.log_row) << p.log_row;
      tile.in += coordinate * p.in[0].strides[d];
      tile.out += coordinate * p.out[0].strides[d];
    };
    for_each_coordinate(p.sizes, p.first_dimension, max_rank - 2, rest, add);  // tiles have two dimensions at least
    tile.m = int(cute::min(p.tile_rows - m, int64_t(1) << log_m));
    tile.n = int(cute::min(p.row - n, int64_t(blk_n)));
    tile.whole = tile.m == 1 << log_m && tile.n == blk_n && p.in[0].aligned && p.out[0].aligned;
    return tile;
  }

  template <class Bits> CUTE_DEVICE static auto smem_tensor(Smem& smem) {
    return make_tensor(make_smem_ptr(reinterpret_cast<Bits*>(smem.bytes)), SmemLayout{});  // (BLK_M, BLK_N)
  }

  /// COUNT neighbours along N from (m, n) on, n a multiple of COUNT; they are copied at once.
  template <int COUNT, class SmemTensor> CUTE_DEVICE static auto smem_vector(SmemTensor const& sX, int m, int n) {
    return make_tensor(&sX(m, n), Int<COUNT>{});  // (COUNT)
  }
  template <int COUNT, class Bits> using SmemAtom =
      Copy_Atom<UniversalCopy<uint_bit_t<COUNT * sizeof_bits_v<Bits>>>, Bits>;

  /// Brings the tile into shared memory. Lanes: the tile's vectors of M side by side, so that they load whole lines; the rest along N.
  template <class Bits> CUTE_DEVICE static void load(Bits, ElementwiseParams const& p, Tile const& tile, Smem& smem) {
    Tensor sX = smem_tensor<Bits>(smem);  // (BLK_M, BLK_N)
    int log_across = tile.log_m - LOG_VEC, down = THREADS >> log_across;
    int m = (int(threadIdx.x) & ((1 << log_across) - 1)) * VEC;
    int64_t stride = p.in[0].strides[max_rank - 1];
    auto n_of = [&](int s) CUTLASS_LAMBDA_FUNC_INLINE { return ((int(threadIdx.x) >> log_across) + s * down) * ROWS; };
    Vector<Bits> x[PATCHES][ROWS];  // [..][n][m]
    CUTLASS_PRAGMA_UNROLL
    for (int s = 0; s < PATCHES; ++s) {
      int n = n_of(s);
      Bits const* from = static_cast<Bits const*>(p.in[0].data) + tile.in + m + n * stride;
      if (tile.whole) {
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < ROWS; ++v) Engine::load_whole(from + v * stride, x[s][v]);
        continue;
      }
      int count = cute::min(tile.m - m, int(VEC));
      bool whole = count == VEC && p.in[0].aligned;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < ROWS; ++v)
        if (n + v < tile.n) Engine::load(from + v * stride, count, whole, x[s][v]);
    }
    CUTLASS_PRAGMA_UNROLL
    for (int s = 0; s < PATCHES; ++s) {
      int below = n_of(s) / BLK_N << tile.log_m, n = n_of(s) % BLK_N;
      CUTLASS_PRAGMA_UNROLL
      for (int first = 0; first < VEC; first += ROWS) {  // a square of the vectors, where they are longer than ROWS
        cutlass::Array<Bits, ROWS> square[ROWS];
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < ROWS; ++v)
          square[v] = reinterpret_cast<cutlass::Array<Bits, ROWS> const*>(&x[s][v])[first / ROWS];
        transpose(square);  // [m][n]
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < ROWS; ++v) {
          Tensor rX = make_tensor(reinterpret_cast<Bits const*>(&square[v]), Int<ROWS>{});  // (ROWS)
          copy(SmemAtom<ROWS, Bits>{}, rX, smem_vector<ROWS>(sX, m + below + first + v, n));
        }
      }
    }
  }

  /// Where vectors of neighbouring N lie in the output, and how much of them is inside of it.
  struct Places {
    int64_t row;         // where one of the tile's row 0 would, from the output's begin
    int m, step;         // of the first, from each to the next
    int vectors, count;  // so many, of so many elements each

    /// Where vector v begins, from the output's begin.
    CUTE_DEVICE int64_t offset(ElementwiseParams const& p, int v) const {
      uint32_t at = m + v * step, outer = at >> p.log_row, inner = at - (outer << p.log_row);
      return row + int64_t(outer) * p.out[0].strides[p.outer_dimension] +
             int64_t(inner) * p.out[0].strides[p.tile_dimension];
    }
  };

  /// Takes vectors of N out of shared memory, and calls f(x, places) with COUNT of them; a warp's lanes lie side by side along N.
  template <int COUNT, class Bits, class F>
  CUTE_DEVICE static void for_each_vector(ElementwiseParams const& p, Tile const& tile, Smem& smem, F const& f) {
    Tensor sX = smem_tensor<Bits>(smem);  // (BLK_M, BLK_N)
    int blk_m = 1 << tile.log_m, log_across = LOG_N - LOG_VEC + (blk_m < BLK_M), down = THREADS >> log_across;
    static_assert(BLK_M * BLK_N / VEC % (THREADS * COUNT) == 0);
    int n = (int(threadIdx.x) & ((1 << log_across) - 1)) * VEC, m = int(threadIdx.x) >> log_across;
    int below = n < BLK_N ? 0 : blk_m, count = cute::min(tile.n - n, int(VEC));
    Places places{tile.out + n, m, down, 0, count};
    // Not unrolled: the loop may have the code of all functions.
    CUTLASS_PRAGMA_NO_UNROLL
    for (; places.m < tile.m; places.m += down * COUNT) {
      Vector<Bits> x[COUNT];
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < COUNT; ++v) {
        Tensor rX = make_tensor(reinterpret_cast<Bits*>(&x[v]), Int<VEC>{});  // (VEC)
        copy(SmemAtom<VEC, Bits>{}, smem_vector<VEC>(sX, below + places.m + v * down, n % BLK_N), rX);
      }
      places.vectors = (tile.m - places.m + down - 1) / down;
      f(x, places);
    }
  }

  template <class T, int COUNT>
  CUTE_DEVICE static void store(ElementwiseParams const& p, Vector<T> const (&x)[COUNT], Places const& places, T* to) {
    bool whole = places.count == VEC && p.out[0].aligned;
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < COUNT; ++v)
      if (v < places.vectors) Engine::store(x[v], to + places.offset(p, v), places.count, whole);
  }

  /// Converts a whole tile and stores it. Its dtypes are found once, not for each of the vectors.
  template <class Bits> CUTE_DEVICE static void cast(ElementwiseParams const& p, Tile const& tile, Smem& smem) {
    with_element<C, WIDEST>(p.in[0].dtype, [&](auto from) CUTLASS_LAMBDA_FUNC_INLINE {
      using From = decltype(from);
      if constexpr (sizeof(From) == sizeof(Bits))
        with_element<C, WIDEST>(p.out[0].dtype, [&](auto to) CUTLASS_LAMBDA_FUNC_INLINE {
          using To = decltype(to);
          for_each_vector<MOVED_AT_A_TIME, Bits>(
              p, tile, smem, [&](auto const& x, Places const& places) CUTLASS_LAMBDA_FUNC_INLINE {
                CUTLASS_PRAGMA_UNROLL
                for (int v = 0; v < MOVED_AT_A_TIME; ++v)
                  Engine::store_whole(convert<To>(convert<C>(reinterpret_cast<Vector<From> const&>(x[v]))),
                                      static_cast<To*>(p.out[0].data) + places.offset(p, v));
              });
        });
    });
  }

  /// Applies the functor to vectors, and stores the results.
  template <class Bits, int COUNT>
  CUTE_DEVICE static void compute(ElementwiseParams const& p, Vector<Bits> const (&bits)[COUNT], Places const& places) {
    Vector<typename Engine::Input> x[1][COUNT];
    Vector<C> y[1][COUNT];
    with_element<C, WIDEST>(p.in[0].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      using T = decltype(element);
      if constexpr (sizeof(T) == sizeof(Bits)) {
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < COUNT; ++v)
          x[0][v] = convert<typename Engine::Input>(reinterpret_cast<Vector<T> const&>(bits[v]));
      }
    });
    Engine::template apply<COUNT>(p, x, y);
    with_element<C, WIDEST>(p.out[0].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      using T = decltype(element);
      Vector<T> results[COUNT];
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < COUNT; ++v) results[v] = convert<T>(y[0][v]);
      store(p, results, places, static_cast<T*>(p.out[0].data));
    });
  }
};

}  // namespace ckl::device
