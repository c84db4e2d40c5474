#pragma once

// From accumulators to global memory: each consumer warpgroup converts its part of the tile in pieces, stages
// them in shared memory, and stores them with TMA, or element by element where D is not TMA's to write.

#include <cute/tensor.hpp>
#include <cute/arch/copy_sm90.hpp>
#include <cute/atom/copy_traits_sm90_tma.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/numeric_conversion.h>

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

/// Where a warpgroup's part of D begins, and how D and C lie in memory.
template <class TD> struct EpilogueTarget {
  TensorMap const& d_map;     // D as (m, n, batch), for TMA
  StridedMatrix<TD> d;        // D for element-wise stores
  StridedMatrix<TD const> c;  // C
  int64_t m, n;               // extents of D
  int64_t row, column;        // first element of the warpgroup's part
  int batch;
  bool by_tma;
};

template <auto Config> struct Epilogue {
  static constexpr int WG_M = Config.warpgroup_m(), WG_N = Config.warpgroup_n();
  static constexpr int PIECE_M = Config.piece_m, BUFFERS = Config.staging_buffers;
  static constexpr int threads = Config.warpgroup_threads;

  /// The staging buffers of one warpgroup, and how a piece of D's type TD lies in one of them.
  struct Storage {
    alignas(1024) uint8_t staging[BUFFERS][Config.staging_bytes()];
  };

  template <class TD> struct Piece {
    static constexpr int N = Config.piece_n(sizeof(TD));
    static constexpr int row_bytes = N * sizeof(TD);
    using Atom =
        conditional_t<row_bytes == 128, GMMA::Layout_K_SW128_Atom<TD>,
                      conditional_t<row_bytes == 64, GMMA::Layout_K_SW64_Atom<TD>, GMMA::Layout_K_SW32_Atom<TD>>>;
    using SmemLayout = decltype(tile_to_shape(Atom{}, Shape<Int<PIECE_M>, Int<N>>{}));
    // An MMA whose accumulators are those of one piece, in the same order as in the whole tile.
    using Mma = decltype(make_tiled_mma(
        SM90::GMMA::ss_op_selector<cutlass::bfloat16_t, cutlass::bfloat16_t, float, Shape<_64, Int<N>, _64>>()));
    using StoreAtom =
        conditional_t<sizeof(TD) == 2, Copy_Atom<SM90_U32x4_STSM_N, TD>, Copy_Atom<AutoVectorizingCopy, TD>>;
    using Gmem =
        decltype(make_tensor(make_gmem_ptr((TD*)nullptr), Shape<int, int, int>{}, Stride<int64_t, _1, int64_t>{}));
    using Tma = decltype(make_tma_copy(SM90_TMA_STORE{}, Gmem{}, SmemLayout{}, Shape<Int<PIECE_M>, Int<N>>{}, _1{}));
    static_assert(Tma::NumValSrc == PIECE_M * N, "TMA box of D");
  };

  /// D = functor(acc, C). `next` counts pieces, so that buffers alternate from tile to tile.
  template <class TD, class Accumulators, class Functor>
  CUTE_DEVICE static void store(Accumulators const& acc, Functor const& functor, EpilogueTarget<TD> const& to,
                                int thread, int barrier, Storage& storage, int& next) {
    using P = Piece<TD>;
    auto sync = [&] { cutlass::arch::NamedBarrier::sync(threads, barrier); };
    typename P::Mma mma;
    auto to_smem = make_tiled_copy_C(typename P::StoreAtom{}, mma);
    auto slice = to_smem.get_slice(thread);

    CUTLASS_PRAGMA_UNROLL
    for (int m = 0; m < WG_M / PIECE_M; ++m) {
      Tensor acc_m = acc(_, m, _0{});  // (MMA)
      CUTLASS_PRAGMA_UNROLL
      for (int piece = 0; piece < WG_N / P::N; ++piece) {
        int64_t row = to.row + m * PIECE_M, column = to.column + piece * P::N;
        Tensor sD = as_position_independent_swizzle_tensor(
            make_tensor(make_smem_ptr(reinterpret_cast<TD*>(storage.staging[next])),
                        typename P::SmemLayout{}));           // (PIECE_M, PIECE_N)
        Tensor tCsD = mma.get_slice(thread).partition_C(sD);  // (MMA, 1, 1)
        Tensor rD = make_tensor<TD>(shape(tCsD));             // (MMA, 1, 1)
        clear(rD);

        if (thread == 0) tma_store_wait<BUFFERS - 1>();  // the bulk store that last read this buffer has done so
        sync();
        if (functor.reads_c()) {  // C passes through the buffer that D is going to leave by
          load_piece(to, row, column, sD, thread);
          sync();
          copy(tCsD, rD);
          sync();
        }
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < size(rD); i += 2) {
          constexpr cutlass::NumericArrayConverter<TD, float, 2> convert;
          cutlass::Array<float, 2> pair{functor(acc_m(piece * size(rD) + i), float(rD(i))),
                                        functor(acc_m(piece * size(rD) + i + 1), float(rD(i + 1)))};
          cutlass::Array<TD, 2> converted = convert(pair);
          rD(i) = converted[0];
          rD(i + 1) = converted[1];
        }
        copy(to_smem, slice.retile_S(rD), slice.partition_D(sD));
        if (to.by_tma) {
          cutlass::arch::fence_view_async_shared();
          sync();
          if (thread == 0) store_piece_by_tma(to, int(row), int(column), storage.staging[next]);
        } else {
          sync();
          store_piece(to, row, column, sD, thread);
        }
        next = next + 1 == BUFFERS ? 0 : next + 1;
      }
    }
  }

  /// Waits until the bulk stores of this warpgroup have read the staging buffers.
  CUTE_DEVICE static void drain(int thread) {
    if (thread == 0) tma_store_wait<0>();
  }

 private:
  template <class TD>
  CUTE_DEVICE static void store_piece_by_tma(EpilogueTarget<TD> const& to, int row, int column, uint8_t* staging) {
    typename Piece<TD>::Tma tma;
    Tensor sD = make_tensor(make_smem_ptr(reinterpret_cast<TD*>(staging)),
                            typename Piece<TD>::SmemLayout{});                       // (PIECE_M, PIECE_N)
    Tensor mD = tma.get_tma_tensor(make_shape(int(to.m), int(to.n), to.batch + 1));  // (M, N, L)
    Tensor gD = local_tile(domain_offset(make_coord(row, column), mD(_, _, to.batch)),
                           Shape<Int<PIECE_M>, Int<Piece<TD>::N>>{}, make_coord(_0{}, _0{}));  // (PIECE_M, PIECE_N)
    auto slice = tma.get_slice(_0{});
    copy(tma.with(reinterpret_cast<TmaDescriptor const*>(&to.d_map)), slice.partition_S(sD), slice.partition_D(gD));
    tma_store_arrive();
  }

  /// Calls f(piece element, matrix element) for those of a piece that lie inside of the matrix. Consecutive threads take
  /// consecutive columns, whatever the strides and the alignment of the matrix.
  template <class TD, class T, class Smem, class F>
  CUTE_DEVICE static void for_each_element(EpilogueTarget<TD> const& to, StridedMatrix<T> const& matrix, int64_t row,
                                           int64_t column, Smem const& sD, int thread, F const& f) {
    constexpr int N = Piece<TD>::N;
    T* origin = matrix.data + row * matrix.row_stride + column * matrix.column_stride;
    Tensor gD = make_tensor(make_gmem_ptr(origin), Shape<Int<PIECE_M>, Int<N>>{},
                            make_stride(matrix.row_stride, matrix.column_stride));  // (PIECE_M, PIECE_N)
    int rows = int(cute::min(to.m - row, int64_t(PIECE_M))), columns = int(cute::min(to.n - column, int64_t(N)));
    CUTLASS_PRAGMA_NO_UNROLL
    for (int i = thread; i < PIECE_M * N; i += threads) {
      int r = i / N, c = i % N;
      if (r < rows && c < columns) f(sD(r, c), gD(r, c));
    }
  }

  template <class TD, class Smem> CUTE_DEVICE static void load_piece(EpilogueTarget<TD> const& to, int64_t row,
                                                                     int64_t column, Smem const& sD, int thread) {
    for_each_element(to, to.c, row, column, sD, thread, [](TD& staged, TD const& c) { staged = c; });
  }

  template <class TD, class Smem> CUTE_DEVICE static void store_piece(EpilogueTarget<TD> const& to, int64_t row,
                                                                      int64_t column, Smem const& sD, int thread) {
    for_each_element(to, to.d, row, column, sD, thread, [](TD const& staged, TD& d) { d = staged; });
  }
};

}  // namespace ckl::device
