#pragma once

// From accumulators to a functor: the part of a tile passes through shared memory as f32, and each thread gets a few neighbours of a
// row at a time. So other matrices are read and written in vectors, and the functor's code is there once, not once for each
// accumulator.

#include "device/epilogue.cuh"
#include "device/fragment_store.cuh"

namespace ckl::device {

/// Where a warpgroup's part of the product begins.
struct EpiloguePart {
  int64_t m, n;         // extents of the product
  int64_t row, column;  // first element of the part
};

/// Gives each thread `VEC` neighbours of a row at a time.
template <auto Config, int VEC> class FusedStore : Epilogue<Config> {
  using Base = Epilogue<Config>;
  using P = typename Base::template Piece<float>;
  static constexpr int PIECE_M = Base::PIECE_M, WARP_M = Base::WARP_M, warp_threads = Base::warp_threads;

  /// How a warp shares its rows of a staged piece: `ACROSS` threads side by side, each with `ROWS` rows, one below the other.
  static constexpr int ACROSS = Config.piece_n(sizeof(float)) / VEC, ROWS = WARP_M * ACROSS / warp_threads;
  static_assert(warp_threads % ACROSS == 0 && WARP_M * ACROSS % warp_threads == 0);
  /// Rows whose operands are loaded together, before the accumulators are staged, where there are registers for them; 0: each row's
  /// when its turn comes.
  static constexpr int AHEAD = Config.consumer_registers() - Config.accumulators() >= 160 ? ROWS : 0;

 public:
  /// Hands all accumulators that lie inside of the product to the functor, which does with them what it likes:
  ///   cursor = functor.begin<VEC, AHEAD>(row, column, count)   what a thread needs of VEC columns, of which `count` are inside,
  ///                                                            from `row` on
  ///   functor.load(cursor, rows)                               loads what it needs of the first `rows` rows, at most AHEAD
  ///   functor(x, cursor)                                       x: VEC neighbours of the cursor's row
  ///   functor.next(cursor)                                     goes on to the next row
  template <class Accumulators, class Functor> CUTE_DEVICE static void store(Accumulators& acc, Functor const& functor,
                                                                             EpiloguePart const& to, int thread,
                                                                             typename Base::Storage& storage) {
    typename P::Mma mma;
    thread = computed_here(thread);
    int warp = thread / warp_threads, lane = thread % warp_threads;
    int across = lane % ACROSS, down = lane / ACROSS;
    float* buffer = reinterpret_cast<float*>(storage.staging[0]);
    Tensor sX = as_position_independent_swizzle_tensor(
        make_tensor(make_smem_ptr(buffer), typename P::SmemLayout{}));                    // (PIECE_M, PIECE_N)
    Tensor sW = local_tile(sX, Shape<Int<WARP_M>, Int<P::N>>{}, make_coord(warp, _0{}));  // (WARP_M, PIECE_N)
    Tensor sV = recast<cutlass::AlignedArray<float, VEC>>(sW);                            // (WARP_M, PIECE_N / VEC)

    CUTLASS_PRAGMA_NO_UNROLL
    for (int piece = 0; piece < P::count; ++piece) {
      if constexpr (VEC == 2) thread = computed_here(thread);
      int64_t row = to.row + piece / P::per_row * PIECE_M + warp * WARP_M + down * ROWS;
      int64_t column = to.column + piece % P::per_row * P::N + across * VEC;
      // Beyond the last columns of a tile nothing has been staged.
      int count = inside(cute::min(to.n - column, int64_t(P::columns(piece) - across * VEC)), VEC);
      int rows = count > 0 ? inside(to.m - row, ROWS) : 0;
      auto cursor = functor.template begin<VEC, AHEAD>(row, column, count);
      functor.load(cursor, rows);

      stage(acc, piece, sX, mma, thread);
      warp_sync();
      CUTLASS_PRAGMA_NO_UNROLL
      for (int r = 0; r < rows; ++r) {
        cutlass::AlignedArray<float, VEC> x = sV(r + down * ROWS, across);
        functor(x, cursor);
        functor.next(cursor);
      }
      warp_sync();
    }
  }

 private:
  /// How many of `most` lie inside, if `left` do of all.
  CUTE_DEVICE static int inside(int64_t left, int most) { return left < 0 ? 0 : left < most ? int(left) : most; }

  /// Accumulators -> staging buffer, for piece number `piece`.
  template <class Accumulators, class Smem, class Mma>
  CUTE_DEVICE static void stage(Accumulators& acc, int piece, Smem const& sX, Mma const& mma, int thread) {
    auto as_it_is = [](float x) CUTLASS_LAMBDA_FUNC_INLINE { return x; };
    warpgroup_fence_operand(acc);  // none of it may be hoisted out of the loop over the pieces
    for_each(make_seq<P::count>{}, [&](auto number) CUTLASS_LAMBDA_FUNC_INLINE {
      constexpr int p = decltype(number)::value, N = P::columns(p), begin = p % P::per_row * P::N;
      if (p == piece)
        Base::template stage<P, false, N / Base::GROUP_N, begin / Base::GROUP_N>(
            acc(_, Int<p / P::per_row>{}, _0{}), typename Base::NoC{}, as_it_is, RuntimeFormat(DType::f32), sX, mma,
            thread);
    });
  }
};

}  // namespace ckl::device
