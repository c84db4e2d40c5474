#pragma once

// The epilogue of a swapped kernel: what it has computed is D transposed, and leaves as D lies in memory.
//
// A piece of 64 rows of the accumulators is 64 columns of D, of which each warp holds 16. Rows of D that one warp stored on its own would be
// 32 bytes long, so the warps stage a piece together, by transposing stores to shared memory, and each then stores whole 128-byte rows.

#include "device/epilogue.cuh"

namespace ckl::device {

template <auto Config> class TransposedEpilogue : public Epilogue<Config> {
  using Base = Epilogue<Config>;
  static constexpr int PIECE_M = Base::PIECE_M, BUFFERS = Base::BUFFERS;

  /// A piece of the accumulators in a staging buffer: N rows of PIECE_M elements of D, as boxes that one TMA instruction stores, one a warp.
  template <class TD> struct Piece : Base::template Piece<TD> {
    using SmemLayout =
        decltype(tile_to_shape(GMMA::Layout_MN_SW128_Atom<TD>{}, Shape<Int<PIECE_M>, Int<Piece::N>>{}, Step<_2, _1>{}));
    // The same bytes as D has them.
    using SmemRows = decltype(tile_to_shape(GMMA::Layout_K_SW128_Atom<TD>{}, Shape<Int<Piece::N>, Int<PIECE_M>>{}));
    using StoreAtom =
        conditional_t<sizeof(TD) == 2, Copy_Atom<SM90_U16x8_STSM_T, TD>, Copy_Atom<AutoVectorizingCopy, TD>>;
    using LoadAtom =
        conditional_t<sizeof(TD) == 2, Copy_Atom<SM75_U16x8_LDSM_T, TD>, Copy_Atom<AutoVectorizingCopy, TD>>;
    // Of D: of a box, and the number of boxes side by side in a piece.
    static constexpr int ROWS = Config.d_box_m, COLUMNS = Config.d_box_columns(sizeof(TD)), ACROSS = PIECE_M / COLUMNS;
    static_assert(cosize_v<SmemLayout> * sizeof(TD) <= Config.staging_bytes());
  };

 public:
  /// As Epilogue::store(), by all threads of a consumer, who meet at `barrier`.
  template <bool ReadsC, class TD, class Accumulators, class Functor>
  CUTE_DEVICE static void store(Accumulators& acc, Functor const& functor, EpilogueTarget<TD> const& to, int thread,
                                int barrier, typename Base::Storage& storage, int& next) {
    using P = Piece<TD>;
    typename P::Mma mma;
    int warp = cutlass::canonical_warp_idx_sync() % (Config.warpgroup_threads / Base::warp_threads);
    int lane = thread % Base::warp_threads, box_row = warp / P::ACROSS, box_column = warp % P::ACROSS;
    EpilogueTarget<TD> by_rows = transposed(to);
    const bool c_by_vectors = ReadsC && by_rows.template has_vectors_of_c<Base::template vector_of<TD>>();

    CUTLASS_PRAGMA_NO_UNROLL
    for (int piece = 0; piece < P::count; ++piece) {
      // The first element of D in this warp's box. The last piece of a row of tiles may have fewer boxes.
      int64_t row = by_rows.row + Base::turned(piece % P::per_row * P::N, to.turn) + box_row * P::ROWS;
      int64_t column = by_rows.column + piece / P::per_row * PIECE_M + box_column * P::COLUMNS;
      bool has_box = box_row * P::ROWS < P::columns(piece);
      TD* buffer = reinterpret_cast<TD*>(storage.staging[next]);
      next = next + 1 == BUFFERS ? 0 : next + 1;
      Tensor sD = as_position_independent_swizzle_tensor(
          make_tensor(make_smem_ptr(buffer), typename P::SmemLayout{}));  // (PIECE_M, PIECE_N)
      Tensor sRows = as_position_independent_swizzle_tensor(
          make_tensor(make_smem_ptr(buffer), typename P::SmemRows{}));  // (PIECE_N, PIECE_M)
      Tensor sBox = local_tile(sRows, Shape<Int<P::ROWS>, Int<P::COLUMNS>>{},
                               make_coord(box_row, box_column));                                // (ROWS, COLUMNS)
      Tensor rC = make_tensor<TD>(Shape<Int<Base::GROUP_V>, _1, Int<P::N / Base::GROUP_N>>{});  // (GROUP_V, 1, GROUPS)

      // The buffer is free when all warps' bulk stores that read it have done so. With two buffers that has been waited for with the
      // piece before.
      if constexpr (BUFFERS == 1) {
        Base::drain();
        meet(barrier);
      }
      if constexpr (ReadsC) {  // C passes through the buffer that D is going to leave by
        if (has_box) {
          if (c_by_vectors) {
            typename Base::RowsOfC rows;
            rows.load(Base::vectors_of_c(by_rows, row, column, P::ROWS, P::COLUMNS), lane);
            rows.put(sBox, lane);
          } else {
            Base::load_elements(by_rows, row, column, P::COLUMNS, sBox, lane);
          }
        }
        meet(barrier);
        auto from_smem = make_tiled_copy_C(typename P::LoadAtom{}, mma);
        auto slice = from_smem.get_slice(thread);
        Tensor tCsC = slice.partition_S(sD);  // (CPY, 1, GROUPS)
        Tensor tCrC = slice.retile_D(rC);     // (CPY, 1, GROUPS)
        CUTLASS_PRAGMA_UNROLL
        for (int g = 0; g < size<2>(tCsC); ++g)
          if (g * Base::GROUP_N < P::columns(piece)) copy(from_smem, tCsC(_, _, g), tCrC(_, _, g));
        meet(barrier);
      }
      warpgroup_fence_operand(acc);  // as in Epilogue
      for_each(make_seq<P::count>{}, [&](auto number) CUTLASS_LAMBDA_FUNC_INLINE {
        constexpr int p = decltype(number)::value;
        if (p == piece)
          Base::template stage<P, ReadsC, P::columns(p) / Base::GROUP_N, p % P::per_row * P::N / Base::GROUP_N>(
              acc(_, Int<p / P::per_row>{}, _0{}), recast<typename Base::template Pair<TD>>(rC), functor, to.format, sD,
              mma, thread);
      });
      if (to.by_tma) cutlass::arch::fence_view_async_shared();
      if constexpr (BUFFERS == 2)
        Base::drain();  // the piece before, by this warp; with the others', its buffer is free
      meet(barrier);
      if (!has_box) continue;
      if (!to.by_tma)
        Base::store_rows(by_rows, row, column, P::COLUMNS, sBox, lane);
      else if (elect_one_sync())
        store_box_by_tma(by_rows, int(row), int(column), buffer + (box_column * P::N + box_row * P::ROWS) * P::COLUMNS);
    }
  }

  /// As Epilogue::prefetch_c().
  template <class TD, class Functor>
  CUTE_DEVICE static void prefetch_c(Functor const& functor, EpilogueTarget<TD> const& to, int thread) {
    if (Base::PREFETCHES && functor.reads_c())
      Base::template prefetch_rows<Base::WG_N, Base::WG_M>(transposed(to), thread);
  }

 private:
  CUTE_DEVICE static void meet(int barrier) { cutlass::arch::NamedBarrier::sync(Config.warpgroup_threads, barrier); }

  /// The target as D and C lie in memory.
  template <class TD> CUTE_DEVICE static EpilogueTarget<TD> transposed(EpilogueTarget<TD> const& to) {
    return {to.d_map,
            {to.d.data, to.d.column_stride, to.d.row_stride},
            {to.c.data, to.c.column_stride, to.c.row_stride},
            to.n,
            to.m,
            to.column,
            to.row,
            to.batch,
            to.turn,
            to.by_tma,
            to.c_by_vectors,
            to.format};
  }

  /// Called by one thread.
  template <class TD>
  CUTE_DEVICE static void store_box_by_tma(EpilogueTarget<TD> const& by_rows, int row, int column, TD const* box) {
    SM90_TMA_STORE_3D::copy(&by_rows.d_map, box, column, row, by_rows.batch);
    tma_store_arrive();
  }
};

}  // namespace ckl::device
