#pragma once

// From accumulators to global memory: each consumer warpgroup converts its part of the tile in pieces of 64 rows, stages them
// in shared memory, and stores them with TMA, from registers in vectors, or element by element where D is not TMA's to write.
// Each of its warps does so with 16 of the rows, without waiting for the others.

#include <cute/tensor.hpp>
#include <cute/arch/copy_sm90.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/atom/copy_traits_sm90.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/arch/memory.h>

#include "device/arch.cuh"
#include "device/numeric.cuh"
#include "device/staged_rows.cuh"
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

/// Where a warpgroup's part of D begins, and how D and C lie in memory. TD is their element, or the bits of one of `format`.
template <class TD> struct EpilogueTarget {
  TensorMap const& d_map;     // D as (m, n, batch), for TMA
  StridedMatrix<TD> d;        // D for element-wise stores
  StridedMatrix<TD const> c;  // C
  int64_t m, n;               // extents of D
  int64_t row, column;        // first element of the warpgroup's part
  int batch;
  int turn;  // the columns of the accumulators begin with this one, and end with those before it
  bool by_tma;
  bool c_by_vectors;  // columns of C are contiguous, and its rows begin at multiples of 16 bytes
  RuntimeFormat format;

  /// Whether rows of C are whole vectors of V elements.
  template <int V> CUTE_DEVICE bool has_vectors_of_c() const { return c_by_vectors && n % V == 0; }
};

template <auto Config> struct Epilogue {
  static constexpr int WG_M = Config.warpgroup_m(), WG_N = Config.warpgroup_n();
  static constexpr int PIECE_M = Config.piece_m, BUFFERS = Config.staging_buffers();
  static constexpr int GROUP_N = 16;  // columns that are converted and staged at a time
  static constexpr int GROUP_V = PIECE_M * GROUP_N / Config.warpgroup_threads;  // their values in one thread
  static constexpr int WARP_M = Config.d_box_m;                                 // rows of one warp
  static constexpr int warp_threads = 32;
  template <class TD> static constexpr int vector_of = 16 / sizeof(TD);  // elements of 16 bytes
  /// Whether each thread stores vectors of a 16-bit D where TMA could. (Those of 128 rows each became slower by it; smaller tiles gain little
  /// for 6 KB each.)
  static constexpr bool STORES_VECTORS = Config.hides_little();
  /// Whether what is read beside the products comes to L2 before they are computed. In small tiles, which are soon done, it would come too
  /// late otherwise; large ones go on computing while they wait for it, and their operands would wait for all of it.
  static constexpr bool PREFETCHES = Config.accumulators() <= 64;
  /// Whether there are registers for a piece of C beside the accumulators. Cooperative consumers keep more of their mainloop.
  static constexpr bool HAS_ROOM = Config.consumer_registers() - Config.accumulators() >=
                                   (Config.schedule == decltype(Config.schedule)::pingpong ? 100 : 128);

  /// Two neighbours of a row, which one thread holds.
  template <class TD> using Pair = cutlass::AlignedArray<TD, 2>;

  /// The staging buffers of one warpgroup.
  struct Storage {
    alignas(1024) uint8_t staging[BUFFERS][Config.staging_bytes()];
  };

  /// A piece of D of type TD in a staging buffer: boxes side by side, of each of which one TMA
  /// instruction stores the rows of one warp.
  /// The last piece of a row may have fewer boxes.
  template <class TD> struct Piece {
    using Element = TD;
    static constexpr int N = Config.piece_n(sizeof(TD)), BOX_N = Config.d_box_n(sizeof(TD));
    static constexpr int per_row = (WG_N + N - 1) / N, count = WG_M / PIECE_M * per_row;
    static constexpr int pairs = N / GROUP_N * GROUP_V / 2;  // of neighbours in a row, in one thread
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

  /// No elements of C.
  struct NoC {};

  /// A warp's rows of a piece of C, as long as those of the staging buffer.
  using RowsOfC = StagedRows<WARP_M, 128 / sizeof(uint128_t)>;

  /// D = functor(acc, C), or functor(acc) where C is not read; leaves `acc` as it was. `next` counts pieces, so that buffers alternate from
  /// tile to tile. The loop over the pieces is not unrolled, but for the few instructions that name accumulators: the code of a tile then
  /// fits the instruction cache.
  template <bool ReadsC, class TD, class Accumulators, class Functor>
  CUTE_DEVICE static void store(Accumulators& acc, Functor const& functor, EpilogueTarget<TD> const& to, int thread,
                                Storage& storage, int& next) {
    constexpr bool in_vectors = STORES_VECTORS && !ReadsC && sizeof(TD) == 2;
    if (in_vectors && to.by_tma) {
      store_vectors(acc, functor, to, thread, storage);
      return;
    }
    using P = Piece<TD>;
    typename P::Mma mma;
    int warp = cutlass::canonical_warp_idx_sync() % (PIECE_M / WARP_M), lane = thread % warp_threads;

    // C of the next piece is under way while this one is converted, where there are registers for it.
    RowsOfC rows;
    const bool c_by_vectors = ReadsC && to.template has_vectors_of_c<vector_of<TD>>();
    if (HAS_ROOM && c_by_vectors) rows.load(piece_of_c(to, 0, thread), lane);

    CUTLASS_PRAGMA_NO_UNROLL
    for (int piece = 0; piece < P::count; ++piece) {
      int64_t row = row_of<P>(to, piece, warp), column = column_of<P>(to, piece);
      TD* buffer = reinterpret_cast<TD*>(storage.staging[next]);
      next = next + 1 == BUFFERS ? 0 : next + 1;
      Tensor sD = as_position_independent_swizzle_tensor(
          make_tensor(make_smem_ptr(buffer), typename P::SmemLayout{}));                    // (PIECE_M, PIECE_N)
      Tensor sW = local_tile(sD, Shape<Int<WARP_M>, Int<P::N>>{}, make_coord(warp, _0{}));  // (WARP_M, PIECE_N)
      Tensor tCsC = mma.get_slice(thread).partition_C(sD);                                  // (GROUP_V, 1, GROUPS)
      Tensor rC = make_tensor<Pair<TD>>(Int<P::pairs>{});                                   // (PAIRS)

      if (elect_one_sync()) tma_store_wait<BUFFERS - 1>();  // the bulk store that last read this buffer has done so
      warp_sync();
      if constexpr (ReadsC) {  // C passes through the buffer that D is going to leave by
        if (c_by_vectors) {
          if constexpr (!HAS_ROOM) rows.load(piece_of_c(to, piece, thread), lane);
          rows.put(sW, lane);
        } else {
          load_elements(to, row, column, P::columns(piece), sW, lane);
        }
        warp_sync();
        copy(recast<Pair<TD>>(tCsC), rC);
        warp_sync();
        if (HAS_ROOM && c_by_vectors && piece + 1 < P::count) rows.load(piece_of_c(to, piece + 1, thread), lane);
      }
      warpgroup_fence_operand(acc);  // no conversion may be hoisted out of the loop: its results would be spilled
      for_each(make_seq<P::count>{}, [&](auto number) CUTLASS_LAMBDA_FUNC_INLINE {
        constexpr int p = decltype(number)::value;
        if (p == piece)
          stage<P, ReadsC, P::columns(p) / GROUP_N, p % P::per_row * P::N / GROUP_N>(
              acc(_, Int<p / P::per_row>{}, _0{}), rC, functor, to.format, sD, mma, thread);
      });
      if (!in_vectors && to.by_tma) {
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

  /// One element of D, `row` and `column` from the part's first, straight to global memory.
  template <class TD, class Functor> CUTE_DEVICE static void store_element(int row, int column, float acc,
                                                                           Functor const& functor,
                                                                           EpilogueTarget<TD> const& to) {
    int64_t r = to.row + row, c = to.column + turned(column, to.turn);
    if (r >= to.m || c >= to.n) return;
    float x =
        functor.reads_c()
            ? functor(acc, to.format.template to_float<TD>(to.c.data[r * to.c.row_stride + c * to.c.column_stride]))
            : functor(acc);
    to.d.data[r * to.d.row_stride + c * to.d.column_stride] = to.format.template from_floats<TD>({x, x})[0];
  }

  /// Which column of the part the accumulators' column `column` is. (A swapped kernel may turn as well; none that is shipped does.)
  CUTE_DEVICE static int turned(int column, int turn) {
    if constexpr (!Config.turns()) return column;
    return column + turn < WG_N ? column + turn : column + turn - WG_N;
  }

  /// Brings C, where it is read, to L2, if that pays.
  template <class TD, class Functor>
  CUTE_DEVICE static void prefetch_c(Functor const& functor, EpilogueTarget<TD> const& to, int thread) {
    if (PREFETCHES && functor.reads_c()) prefetch_rows<WG_M, WG_N>(to, thread);
  }

  /// Waits until the bulk stores of this warp have read the staging buffers.
  CUTE_DEVICE static void drain() {
    if (elect_one_sync()) tma_store_wait<0>();
  }

 private:
  /// First row and column of D that a warp has of piece `piece`.
  template <class P, class TD> CUTE_DEVICE static int64_t row_of(EpilogueTarget<TD> const& to, int piece, int warp) {
    return to.row + piece / P::per_row * PIECE_M + warp * WARP_M;
  }
  template <class P, class TD> CUTE_DEVICE static int64_t column_of(EpilogueTarget<TD> const& to, int piece) {
    return to.column + turned(piece % P::per_row * P::N, to.turn);
  }

  /// A warp's rows of piece `piece` of C.
  template <class TD> CUTE_DEVICE static VectorRows piece_of_c(EpilogueTarget<TD> const& to, int piece, int thread) {
    using P = Piece<TD>;
    return vectors_of_c(to, row_of<P>(to, piece, thread / warp_threads), column_of<P>(to, piece), WARP_M,
                        P::columns(piece));
  }

  /// 16-bit D with rows of whole vectors, and no C: each warp stages its 16 rows of a piece and stores them itself, a row's vectors side by
  /// side. TMA would read the staging buffers behind the next tiles' loads, and the next pieces would wait for that.
  template <class TD, class Accumulators, class Functor>
  CUTE_DEVICE static void store_vectors(Accumulators& acc, Functor const& functor, EpilogueTarget<TD> const& to,
                                        int thread, Storage& storage) {
    using P = Piece<TD>;
    constexpr int ACROSS = P::N / vector_of<TD>, COUNT = WARP_M * ACROSS / warp_threads;
    typename P::Mma mma;
    int warp = thread / warp_threads, lane = thread % warp_threads;
    int64_t row = to.row + warp * WARP_M;
    int rows = int(cute::min(to.m - row, int64_t(WG_M))), columns = int(cute::min(to.n - to.column, int64_t(WG_N)));
    TD* origin = to.d.data + row * to.d.row_stride + to.column;
    for_each(make_seq<P::count>{}, [&](auto number) CUTLASS_LAMBDA_FUNC_INLINE {
      constexpr int p = decltype(number)::value, down = p / P::per_row * PIECE_M, along = p % P::per_row * P::N;
      TD* buffer = reinterpret_cast<TD*>(storage.staging[p % BUFFERS]);
      Tensor sD = as_position_independent_swizzle_tensor(
          make_tensor(make_smem_ptr(buffer), typename P::SmemLayout{}));                    // (PIECE_M, PIECE_N)
      Tensor sW = local_tile(sD, Shape<Int<WARP_M>, Int<P::N>>{}, make_coord(warp, _0{}));  // (WARP_M, PIECE_N)
      Tensor sV = recast<uint128_t>(sW);                                                    // (WARP_M, ACROSS)
      if (p == 0 || BUFFERS == 1) warp_sync();  // what was there has been read
      stage<P, false, P::columns(p) / GROUP_N, along / GROUP_N>(acc(_, Int<p / P::per_row>{}, _0{}), NoC{}, functor,
                                                                to.format, sD, mma, thread);
      warp_sync();  // the piece before has been read, too
      uint128_t vectors[COUNT];
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < COUNT; ++i) {
        int v = i * warp_threads + lane;
        vectors[i] = sV(v / ACROSS, v % ACROSS);
      }
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < COUNT; ++i) {
        int v = i * warp_threads + lane, r = down + v / ACROSS, c = along + v % ACROSS * vector_of<TD>;
        cutlass::arch::global_store<uint128_t, 16>(vectors[i], origin + r * to.d.row_stride + c,
                                                   r < rows && c < columns);
      }
    });
  }

 protected:
  /// functor(acc, C) -> staging buffer, for groups `First` to `First + Groups - 1` of the accumulators of 64 rows.
  template <class P, bool ReadsC, int Groups, int First, class Accumulators, class FragmentC, class Functor, class Smem,
            class Mma>
  CUTE_DEVICE static void stage(Accumulators const& acc, FragmentC const& rC, Functor const& functor,
                                RuntimeFormat const& format, Smem const& sD, Mma const& mma, int thread) {
    using TD = typename P::Element;
    Tensor rD = make_tensor<TD>(Shape<Int<GROUP_V>, _1, Int<Groups>>{});  // (GROUP_V, 1, GROUPS)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < size(rD); i += 2) {
      cutlass::Array<float, 2> pair;
      CUTLASS_PRAGMA_UNROLL
      for (int j = 0; j < 2; ++j) {
        float x = acc(First * GROUP_V + i + j);
        if constexpr (ReadsC)
          pair[j] = functor(x, format.template to_float<TD>(rC(i / 2)[j]));
        else
          pair[j] = functor(x);
      }
      cutlass::Array<TD, 2> converted = format.template from_floats<TD>(pair);
      rD(i) = converted[0];
      rD(i + 1) = converted[1];
    }
    auto to_smem = make_tiled_copy_C(typename P::StoreAtom{}, mma);
    auto slice = to_smem.get_slice(thread);
    Tensor tDsD = slice.partition_D(sD);  // (CPY, 1, GROUPS of the whole piece)
    Tensor tDrD = slice.retile_S(rD);     // (CPY, 1, GROUPS)
    CUTLASS_PRAGMA_UNROLL
    for (int g = 0; g < Groups; ++g) copy(to_smem, tDrD(_, _, g), tDsD(_, _, g));
  }

 private:
  /// Stores one warp's rows of a piece, which begin at `staging`, to D at (row, column). Called by one thread.
  template <class TD> CUTE_DEVICE static void store_rows_by_tma(EpilogueTarget<TD> const& to, int row, int column,
                                                                int columns, TD const* staging) {
    using P = Piece<TD>;
    CUTLASS_PRAGMA_UNROLL
    for (int c = 0; c < P::N; c += P::BOX_N)
      if (c < columns) SM90_TMA_STORE_3D::copy(&to.d_map, staging + c * PIECE_M, column + c, row, to.batch);
    tma_store_arrive();
  }

 protected:
  /// Calls f(staged elements, matrix elements, which of them lie inside of the matrix) for a warp's rows sW of a piece, of which `width`
  /// columns count: row by row, each thread with its columns of it. Neighbouring threads have neighbouring columns, whatever the
  /// strides and the alignment of the matrix.
  template <class TD, class T, class Smem, class F>
  CUTE_DEVICE static void for_rows(EpilogueTarget<TD> const& to, StridedMatrix<T> const& matrix, int64_t row,
                                   int64_t column, int width, Smem const& sW, int lane, F const& f) {
    constexpr int ROWS = decltype(size<0>(sW))::value, N = decltype(size<1>(sW))::value;
    // 32 columns of one row, or 16 of two where the piece is no multiple of 32.
    using Lanes = conditional_t<N % warp_threads == 0, Layout<Shape<_1, Int<warp_threads>>>,
                                Layout<Shape<_2, Int<warp_threads / 2>>, Stride<Int<warp_threads / 2>, _1>>>;
    T* origin = matrix.data + row * matrix.row_stride + column * matrix.column_stride;
    Tensor gD = make_tensor(make_gmem_ptr(origin), Shape<Int<ROWS>, Int<N>>{},
                            make_stride(matrix.row_stride, matrix.column_stride));  // (ROWS, N)
    Tensor tDsW = local_partition(sW, Lanes{}, lane);                               // (REST_ROWS, COLUMNS)
    Tensor tDgD = local_partition(gD, Lanes{}, lane);                               // (REST_ROWS, COLUMNS)
    Tensor tDcD = local_partition(make_identity_tensor(shape(gD)), Lanes{}, lane);  // (REST_ROWS, COLUMNS)
    int rows = int(cute::min(to.m - row, int64_t(ROWS))), columns = int(cute::min(to.n - column, int64_t(width)));
    // The pointer moves from row to row: of an index the compiler would multiply out the strides for each element.
    Tensor tDgR = tDgD(_0{}, _);  // (COLUMNS)
    CUTLASS_PRAGMA_NO_UNROLL
    for (int r = 0; r < size<0>(tDsW); ++r, tDgR.data() = tDgR.data() + size<0>(Lanes{}) * matrix.row_stride)
      f(tDsW(r, _), tDgR,
        [&](int c) CUTLASS_LAMBDA_FUNC_INLINE { return elem_less(tDcD(r, c), make_coord(rows, columns)); });
  }

  /// The vectors of C that belong to D from (row, column) on, in at most `height` rows and `width` columns.
  template <class TD> CUTE_DEVICE static VectorRows vectors_of_c(EpilogueTarget<TD> const& to, int64_t row,
                                                                 int64_t column, int height, int width) {
    return VectorRows::at(to.c.data + row * to.c.row_stride + column, to.c.row_stride,
                          int(cute::min(to.m - row, int64_t(height))), int(cute::min(to.n - column, int64_t(width))));
  }

  /// The rows of C that belong to a part of ROWS x COLUMNS of D.
  template <int ROWS, int COLUMNS, class TD>
  CUTE_DEVICE static void prefetch_rows(EpilogueTarget<TD> const& to, int thread) {
    constexpr int ACROSS = COLUMNS / vector_of<TD>;
    if (to.template has_vectors_of_c<vector_of<TD>>())
      vectors_of_c(to, to.row, to.column, ROWS, COLUMNS)
          .template prefetch<ROWS, ACROSS, Config.warpgroup_threads>(thread);
  }

  /// A warp's rows of C, element by element, into the staging buffer.
  template <class TD, class Smem> CUTE_DEVICE static void load_elements(EpilogueTarget<TD> const& to, int64_t row,
                                                                        int64_t column, int width, Smem const& sW,
                                                                        int lane) {
    for_rows(to, to.c, row, column, width, sW, lane, [](auto&& staged, auto const& c, auto const& inside) {
      Tensor rC = make_fragment_like(staged);  // (COLUMNS)
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < size(rC); ++i) rC(i) = inside(i) ? c(i) : TD(0);
      copy(rC, staged);
    });
  }

  template <class TD, class Smem> CUTE_DEVICE static void store_rows(EpilogueTarget<TD> const& to, int64_t row,
                                                                     int64_t column, int width, Smem const& sW,
                                                                     int lane) {
    for_rows(to, to.d, row, column, width, sW, lane, [](auto const& staged, auto&& d, auto const& inside) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < size(d); ++i)
        if (inside(i)) d(i) = staged(i);  // beyond the last columns of a tile nothing has been staged
    });
  }
};

}  // namespace ckl::device
