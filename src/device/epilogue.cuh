#pragma once

// From accumulators to global memory: each consumer warpgroup takes its part of the tile in pieces of 64 rows through shared
// memory. Each of its warps does so with 16 of the rows, without waiting for the others.
//
// store() converts a piece and stores it with TMA, or element by element where D is not TMA's to write. store_fused() stages the
// accumulators as they are, and hands them to a functor as a few neighbours of a row a thread: other matrices are read and written
// in vectors, and the functor's code is there once, not once for each accumulator.

#include <cute/tensor.hpp>
#include <cute/arch/copy_sm90.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/atom/copy_traits_sm90.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/numeric_conversion.h>

#include "device/arch.cuh"
#include "device/numeric.cuh"
#include "device/tensor_map.hpp"
#include "device/tile_grid.hpp"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// A matrix of one batch in global memory, with any strides (elements).
template <class T> struct StridedMatrix {
  T* data;
  int64_t row_stride, column_stride;
};

/// Where a warpgroup's part of the product begins.
struct EpiloguePart {
  int64_t m, n;         // extents of the product
  int64_t row, column;  // first element of the part
};

/// The same, and how D lies in memory.
template <class TD> struct EpilogueTarget : EpiloguePart {
  TensorMap const& d_map;  // D as (m, n, batch), for TMA
  StridedMatrix<TD> d;     // D for element-wise stores
  int batch;
  bool by_tma;
};

template <auto Config> struct Epilogue {
  static constexpr int WG_M = Config.warpgroup_m(), WG_N = Config.warpgroup_n();
  static constexpr int PIECE_M = Config.piece_m, BUFFERS = Config.staging_buffers();
  static constexpr int GROUP_N = 16;  // columns that are converted and staged at a time
  static constexpr int GROUP_V = PIECE_M * GROUP_N / Config.warpgroup_threads;  // their values in one thread
  static constexpr int WARP_M = Config.d_box_m;                                 // rows of one warp
  static constexpr int warp_threads = 32;

  /// The staging buffers of one warpgroup.
  struct Storage {
    alignas(1024) uint8_t staging[BUFFERS][Config.staging_bytes()];
  };

  /// A piece of D of type TD in a staging buffer: boxes side by side, whose rows of one warp one TMA
  /// instruction stores. The last
  /// piece of a row may have fewer boxes.
  template <class TD> struct Piece {
    static constexpr int N = Config.piece_n(sizeof(TD)), BOX_N = Config.d_box_n(sizeof(TD));
    static constexpr int per_row = (WG_N + N - 1) / N, count = WG_M / PIECE_M * per_row;
    static constexpr int box_bytes = BOX_N * sizeof(TD);
    using Atom =
        conditional_t<box_bytes == 128, GMMA::Layout_K_SW128_Atom<TD>,
                      conditional_t<box_bytes == 64, GMMA::Layout_K_SW64_Atom<TD>, GMMA::Layout_K_SW32_Atom<TD>>>;
    using SmemLayout = decltype(tile_to_shape(Atom{}, Shape<Int<PIECE_M>, Int<N>>{}));
    // An MMA whose accumulators are those of one group, in the same order as in the whole tile.
    using Mma = decltype(make_tiled_mma(
        SM90::GMMA::ss_op_selector<cutlass::bfloat16_t, cutlass::bfloat16_t, float, Shape<_64, Int<GROUP_N>, _64>>()));
    using StoreAtom =
        conditional_t<sizeof(TD) == 2, Copy_Atom<SM90_U32x4_STSM_N, TD>, Copy_Atom<AutoVectorizingCopy, TD>>;
    static_assert(cosize_v<SmemLayout> * sizeof(TD) <= Config.staging_bytes());

    CUTE_HOST_DEVICE static constexpr int columns(int piece) {
      int left = WG_N - piece % per_row * N;
      return left < N ? left : N;
    }
  };

  /// D = functor(acc); leaves `acc` as it was. `next` counts pieces, so that buffers alternate from tile to tile. The loop
  /// over the pieces is not unrolled, but for the few instructions that name accumulators: the code of a tile then fits the
  /// instruction cache.
  template <class TD, class Accumulators, class Functor>
  CUTE_DEVICE static void store(Accumulators& acc, Functor const& functor, EpilogueTarget<TD> const& to, int thread,
                                Storage& storage, int& next) {
    using P = Piece<TD>;
    typename P::Mma mma;
    int warp = cutlass::canonical_warp_idx_sync() % (PIECE_M / WARP_M), lane = thread % warp_threads;

    CUTLASS_PRAGMA_NO_UNROLL
    for (int piece = 0; piece < P::count; ++piece) {
      int64_t row = to.row + piece / P::per_row * PIECE_M + warp * WARP_M;
      int64_t column = to.column + piece % P::per_row * P::N;
      TD* buffer = reinterpret_cast<TD*>(storage.staging[next]);
      next = next + 1 == BUFFERS ? 0 : next + 1;
      Tensor sD = as_position_independent_swizzle_tensor(
          make_tensor(make_smem_ptr(buffer), typename P::SmemLayout{}));                    // (PIECE_M, PIECE_N)
      Tensor sW = local_tile(sD, Shape<Int<WARP_M>, Int<P::N>>{}, make_coord(warp, _0{}));  // (WARP_M, PIECE_N)

      if (elect_one_sync()) tma_store_wait<BUFFERS - 1>();  // the bulk store that last read this buffer has done so
      warp_sync();
      stage_piece<TD>(acc, piece, functor, sD, mma, thread);
      if (to.by_tma) {
        cutlass::arch::fence_view_async_shared();
        warp_sync();
        if (elect_one_sync())
          store_rows_by_tma(to, int(row), int(column), P::columns(piece), buffer + warp * WARP_M * P::BOX_N);
      } else {
        warp_sync();
        store_rows(to, row, column, P::columns(piece), sW, lane);
      }
    }
  }

  /// How a warp's threads share its rows of a staged piece of f32: `VEC` neighbours a thread, in `STEPS` steps.
  /// Registers beside the accumulators; where they are few, so is what a step holds.
  static constexpr int spare = Config.consumer_registers() - Config.accumulators();
  static constexpr bool roomy = spare >= 128;
  static constexpr int VEC = roomy ? 4 : 2, ACROSS = Config.piece_n(4) / VEC, ROWS_A_STEP = warp_threads / ACROSS;
  static constexpr int STEPS = WARP_M / ROWS_A_STEP;
  /// Steps whose operands are loaded together, so that all are in flight at once; 0: where they are used.
  static constexpr int AHEAD = roomy ? STEPS : spare >= 100 ? 4 : 0;

  /// Hands all accumulators that lie inside of the product to the functor, which does with them what it likes:
  ///   columns = functor.columns<VEC>(column, count)   what it needs of VEC columns, of which `count` are inside
  ///   functor.load(rows, row, step, column, count)    loads what it needs of AHEAD rows `row`, row + step, ...
  ///   functor(x, columns, rows, row, column, count)   x: VEC neighbours of one row; `rows` begins with what was loaded for it
  ///   rows.shift()                                    leaves behind the first of rows
  template <class Accumulators, class Functor>
  CUTE_DEVICE static void store_fused(Accumulators& acc, Functor const& functor, EpiloguePart const& to, int thread,
                                      Storage& storage) {
    using P = Piece<float>;
    typename P::Mma mma;
    int warp = thread / warp_threads, lane = thread % warp_threads;
    int across = lane % ACROSS, down = lane / ACROSS;
    float* buffer = reinterpret_cast<float*>(storage.staging[0]);
    Tensor sX = as_position_independent_swizzle_tensor(
        make_tensor(make_smem_ptr(buffer), typename P::SmemLayout{}));                    // (PIECE_M, PIECE_N)
    Tensor sW = local_tile(sX, Shape<Int<WARP_M>, Int<P::N>>{}, make_coord(warp, _0{}));  // (WARP_M, PIECE_N)
    Tensor sV = recast<cutlass::AlignedArray<float, VEC>>(sW);                            // (WARP_M, PIECE_N / VEC)

    CUTLASS_PRAGMA_NO_UNROLL
    for (int piece = 0; piece < P::count; ++piece) {
      int64_t row = to.row + piece / P::per_row * PIECE_M + warp * WARP_M + down;
      int64_t column = to.column + piece % P::per_row * P::N + across * VEC;
      int64_t inside = cute::min(to.n - column, int64_t(P::columns(piece) - across * VEC));
      int count = inside < 0 ? 0 : inside < VEC ? int(inside) : VEC;
      auto columns = functor.template columns<VEC>(column, count);
      typename Functor::template Rows<VEC, AHEAD> rows;

      stage_piece<float>(
          acc, piece, [](float x) CUTLASS_LAMBDA_FUNC_INLINE { return x; }, sX, mma, thread);
      warp_sync();
      CUTLASS_PRAGMA_NO_UNROLL
      for (int step = 0; step < STEPS; ++step, row += ROWS_A_STEP) {
        if constexpr (AHEAD > 0)
          if (step % AHEAD == 0) functor.load(rows, row, ROWS_A_STEP, column, count);
        if constexpr (!roomy) columns = functor.template columns<VEC>(column, count);
        if (row < to.m && count > 0) {  // beyond the last columns of a tile nothing has been staged
          cutlass::AlignedArray<float, VEC> x = sV(down + step * ROWS_A_STEP, across);
          functor(x, columns, rows, row, column, count);
        }
        rows.shift();
      }
      warp_sync();
    }
  }

  /// Two neighbours of a row straight to the functor, `row` and `column` from the part's first.
  template <class Functor> CUTE_DEVICE static void store_pair_fused(int row, int column,
                                                                    cutlass::AlignedArray<float, 2> const& x,
                                                                    Functor const& functor, EpiloguePart const& to) {
    int64_t r = to.row + row, c = to.column + column;
    if (r >= to.m || c >= to.n) return;
    int count = c + 1 < to.n ? 2 : 1;
    functor(x, functor.template columns<2>(c, count), typename Functor::template Rows<2, 0>(), r, c, count);
  }

  /// Waits until the bulk stores of this warp have read the staging buffers.
  CUTE_DEVICE static void drain() {
    if (elect_one_sync()) tma_store_wait<0>();
  }

 private:
  /// functor(acc) -> staging buffer, for one piece.
  template <class TD, class Accumulators, class Functor, class Smem, class Mma>
  CUTE_DEVICE static void stage_piece(Accumulators& acc, int piece, Functor const& functor, Smem const& sD,
                                      Mma const& mma, int thread) {
    using P = Piece<TD>;
    warpgroup_fence_operand(acc);  // no conversion may be hoisted out of the loop: its results would be spilled
    for_each(make_seq<P::count>{}, [&](auto number) CUTLASS_LAMBDA_FUNC_INLINE {
      constexpr int p = decltype(number)::value;
      if (p == piece)
        stage<TD, P::columns(p) / GROUP_N, p % P::per_row * P::N / GROUP_N>(acc(_, Int<p / P::per_row>{}, _0{}),
                                                                            functor, sD, mma, thread);
    });
  }

  /// The same for groups `First` to `First + Groups - 1` of the accumulators of 64 rows.
  template <class TD, int Groups, int First, class Accumulators, class Functor, class Smem, class Mma>
  CUTE_DEVICE static void stage(Accumulators const& acc, Functor const& functor, Smem const& sD, Mma const& mma,
                                int thread) {
    Tensor rD = make_tensor<TD>(Shape<Int<GROUP_V>, _1, Int<Groups>>{});  // (GROUP_V, 1, GROUPS)
    constexpr cutlass::NumericArrayConverter<TD, float, 2> converter;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < size(rD); i += 2) {
      cutlass::Array<float, 2> pair;
      CUTLASS_PRAGMA_UNROLL
      for (int j = 0; j < 2; ++j) pair[j] = functor(acc(First * GROUP_V + i + j));
      cutlass::Array<TD, 2> converted = converter(pair);
      rD(i) = converted[0];
      rD(i + 1) = converted[1];
    }
    auto to_smem = make_tiled_copy_C(typename Piece<TD>::StoreAtom{}, mma);
    auto slice = to_smem.get_slice(thread);
    Tensor tDsD = slice.partition_D(sD);  // (CPY, 1, GROUPS of the whole piece)
    Tensor tDrD = slice.retile_S(rD);     // (CPY, 1, GROUPS)
    CUTLASS_PRAGMA_UNROLL
    for (int g = 0; g < Groups; ++g) copy(to_smem, tDrD(_, _, g), tDsD(_, _, g));
  }

  /// Stores one warp's rows of a piece, which begin at `staging`, to D at (row, column). Called by one thread.
  template <class TD> CUTE_DEVICE static void store_rows_by_tma(EpilogueTarget<TD> const& to, int row, int column,
                                                                int columns, TD const* staging) {
    using P = Piece<TD>;
    CUTLASS_PRAGMA_UNROLL
    for (int c = 0; c < P::N; c += P::BOX_N)
      if (c < columns) SM90_TMA_STORE_3D::copy(&to.d_map, staging + c * PIECE_M, column + c, row, to.batch);
    tma_store_arrive();
  }

  /// Stores a warp's rows of a piece, of which `width` columns count, row by row, each thread with its columns of it. Neighbouring
  /// threads have neighbouring columns, whatever the strides and the alignment of D.
  template <class TD, class Smem> CUTE_DEVICE static void store_rows(EpilogueTarget<TD> const& to, int64_t row,
                                                                     int64_t column, int width, Smem const& sW,
                                                                     int lane) {
    constexpr int N = Piece<TD>::N;
    // 32 columns of one row, or 16 of two where the piece is no multiple of 32.
    using Lanes = conditional_t<N % warp_threads == 0, Layout<Shape<_1, Int<warp_threads>>>,
                                Layout<Shape<_2, Int<warp_threads / 2>>, Stride<Int<warp_threads / 2>, _1>>>;
    TD* origin = to.d.data + row * to.d.row_stride + column * to.d.column_stride;
    Tensor gD = make_tensor(make_gmem_ptr(origin), Shape<Int<WARP_M>, Int<N>>{},
                            make_stride(to.d.row_stride, to.d.column_stride));      // (WARP_M, PIECE_N)
    Tensor tDsW = local_partition(sW, Lanes{}, lane);                               // (ROWS, COLUMNS)
    Tensor tDgD = local_partition(gD, Lanes{}, lane);                               // (ROWS, COLUMNS)
    Tensor tDcD = local_partition(make_identity_tensor(shape(gD)), Lanes{}, lane);  // (ROWS, COLUMNS)
    int rows = int(cute::min(to.m - row, int64_t(WARP_M))), columns = int(cute::min(to.n - column, int64_t(width)));
    // The pointer moves from row to row: of an index the compiler would multiply out the strides for each element.
    Tensor tDgR = tDgD(_0{}, _);  // (COLUMNS)
    CUTLASS_PRAGMA_NO_UNROLL
    for (int r = 0; r < size<0>(tDsW); ++r, tDgR.data() = tDgR.data() + size<0>(Lanes{}) * to.d.row_stride) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < size(tDgR); ++i)  // beyond the last columns of a tile nothing has been staged
        if (elem_less(tDcD(r, i), make_coord(rows, columns))) tDgR(i) = tDsW(r, i);
    }
  }
};

}  // namespace ckl::device
