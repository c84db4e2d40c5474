#pragma once

// From accumulators to a 16-bit D by way of a functor that knows where they lie and may read a matrix laid out as D. As the plain epilogue
// does it: in pieces of 64 rows through the staging buffers, which TMA stores while the next piece is computed. A piece is worked off in
// chunks of a few columns, so that the functor's code is there once, not once for each accumulator.

#include "device/epilogue.cuh"
#include "device/staged_rows.cuh"

namespace ckl::device {

/// x, of which the compiler does not know that it is: so what depends on it is computed from here on, instead of waiting in registers
/// that the mainloop does not have.
CUTE_DEVICE int computed_here(int x) {
  auto bits = uint32_t(x);
  warpgroup_fence_operand(bits);
  return int(bits);
}

/// Where a warpgroup's part of D begins.
struct FragmentTarget {
  TensorMap const& d_map;
  DType dtype;          // f16 or bf16
  int64_t row, column;  // first element of the part
  int batch;
  int rows,
      columns;  // how many of the part lie inside of D; maybe fewer than none. The columns of D are a multiple of 8
};

/// A matrix laid out as D, of 16-bit elements, whose rows begin at multiples of 16 bytes.
struct StagedMatrix {
  uint16_t const* data;
  int64_t row_stride;  // elements
};

/// Where a thread's pairs of neighbours lie, as wgmma deals out its accumulators: two rows in turn, then the next columns.
struct FragmentAt {
  static constexpr int down = 8, along = 8;  // rows from a pair to the next, columns to the one after it

  FragmentTarget const& to;
  int row, column;  // of the first, from the part's first

  CUTE_DEVICE int64_t row_of(int pair) const { return to.row + row + pair % 2 * down; }
  CUTE_DEVICE int64_t column_of(int pair) const { return to.column + column + pair / 2 * along; }
  CUTE_DEVICE bool row_inside(int pair) const { return row + pair % 2 * down < to.rows; }
  CUTE_DEVICE bool column_inside(int pair) const { return column + pair / 2 * along < to.columns; }
};

/// With WholePieces a chunk is a piece, for functors that leave registers for it: the choice of accumulators and the rest of what is done
/// once a chunk then counts for less.
template <auto Config, bool WholePieces = false> class FragmentStore : Epilogue<Config> {
  using Base = Epilogue<Config>;
  using Bits = uint16_t;
  using Piece = typename Base::template Piece<Bits>;
  static constexpr int WG_M = Base::WG_M, WG_N = Base::WG_N, PIECE_M = Base::PIECE_M, WARP_M = Base::WARP_M;
  static constexpr int N = Piece::N, BUFFERS = Base::BUFFERS, warp_threads = Base::warp_threads;

  /// Whether there are registers for loading ahead, and for much independent work. Who gathers has other worries.
  static constexpr bool ROOMY =
      Config.consumer_registers() - Config.accumulators() >= 64 && Config.consumer_registers() >= 232;
  static constexpr int CHUNK_N = WholePieces ? N : ROOMY && WG_N % 32 == 0 ? 32 : 16, per_row = WG_N / CHUNK_N;
  static constexpr int chunks = WG_M / PIECE_M * per_row, GROUPS = CHUNK_N / Base::GROUP_N;

 public:
  /// Whether functors have shortcuts, which take whole pieces: in the layout of most problems, for some 18 KB of the library for each kernel.
  /// The smallest tiles gain nothing by them; ping-pong with 128 accumulators lacks a register, and hides the longer way.
  static constexpr bool HAS_SHORTCUTS =
      ROOMY && WG_N % N == 0 && Config.a_major == decltype(Config.a_major)::k &&
      Config.b_major == decltype(Config.b_major)::k && Config.accumulators() >= 64 &&
      (Config.accumulators() < 128 || Config.schedule != decltype(Config.schedule)::pingpong);
  static constexpr int VALUES = GROUPS * Base::GROUP_V, PAIRS = VALUES / 2;  // of a chunk, in one thread
  using Values = cutlass::Array<float, VALUES>;
  /// Values as they lie in D or in the staged matrix.
  using Packed = cutlass::Array<Bits, VALUES>;

  /// Brings the functor's staged matrix to L2, if that pays.
  template <class Functor>
  CUTE_DEVICE static void prefetch(Functor const& functor, FragmentTarget const& to, int thread) {
    constexpr int ACROSS = WG_N * sizeof(Bits) / sizeof(uint128_t);
    if (Base::PREFETCHES && functor.stages())
      staged_at(functor.staged(), to, 0, 0).template prefetch<WG_M, ACROSS, Config.warpgroup_threads>(thread);
  }

  /// Hands all accumulators, chunk by chunk, to the functor, which makes elements of D of them:
  ///   functor.stages()                     whether a matrix passes through shared memory, so that it is read in vectors
  ///   matrix = functor.staged()            which one
  ///   columns = functor.load_columns(at)   loads what it needs of a chunk's columns; called a chunk ahead, if registers allow
  ///   first = functor.first(columns)       x = first(acc, v) makes value v of a chunk of its accumulator
  ///   functor(x, at, staged)               changes x to elements of D; staged() reads its elements of the staged matrix
  template <class Accumulators, class Functor> CUTE_DEVICE static void store(Accumulators& acc, Functor const& functor,
                                                                             FragmentTarget const& to, int thread,
                                                                             typename Base::Storage& storage) {
    typename Piece::Mma mma;
    thread = computed_here(thread);
    Rows rows;
    auto columns = functor.load_columns(chunk_at(to, 0, thread));
    if (ROOMY && functor.stages()) load(functor.staged(), to, 0, thread, rows);

    CUTLASS_PRAGMA_NO_UNROLL
    for (int piece = 0; piece < Piece::count; ++piece) {
      thread = computed_here(thread);
      uint32_t warp = uint32_t(thread) / warp_threads, lane = uint32_t(thread) % warp_threads;
      Bits* buffer = reinterpret_cast<Bits*>(storage.staging[piece % BUFFERS]);
      Tensor sD = as_position_independent_swizzle_tensor(
          make_tensor(make_smem_ptr(buffer), typename Piece::SmemLayout{}));             // (PIECE_M, PIECE_N)
      Tensor sW = local_tile(sD, Shape<Int<WARP_M>, Int<N>>{}, make_coord(warp, _0{}));  // (WARP_M, PIECE_N)

      // The bulk store that last read this buffer has done so; of the last tile, all have, long ago.
      if (elect_one_sync()) {
        if (piece == 0)
          tma_store_wait<0>();
        else
          tma_store_wait<BUFFERS - 1>();
      }
      warp_sync();
      if (functor.stages()) {
        if constexpr (!ROOMY) load(functor.staged(), to, piece, thread, rows);
        rows.put(sW, lane);
        // After the last one nothing; but a way around would meet this one in moves, which wait for what has been loaded.
        if (ROOMY && (HAS_SHORTCUTS || piece + 1 < Piece::count)) load(functor.staged(), to, piece + 1, thread, rows);
        warp_sync();
      }
      uint32_t number = piece / Piece::per_row * per_row + piece % Piece::per_row * (N / CHUNK_N);
      CUTLASS_PRAGMA_NO_UNROLL
      for (int c = 0; c < Piece::columns(piece) / CHUNK_N; ++c, ++number) {
        FragmentAt at = chunk_at(to, number, thread);
        if constexpr (!ROOMY) columns = functor.load_columns(at);
        Values x = first_values(acc, number, functor.first(columns));
        if constexpr (ROOMY) columns = functor.load_columns(chunk_at(to, number + 1 < chunks ? number + 1 : 0, thread));
        functor(x, at, [&]() CUTLASS_LAMBDA_FUNC_INLINE { return read(sD, mma, c, thread); });
        write(converted(x, to.dtype), sD, mma, c, thread);
      }
      cutlass::arch::fence_view_async_shared();
      warp_sync();
      if (elect_one_sync()) store_by_tma(to, piece, warp, buffer + warp * WARP_M * Piece::BOX_N);
    }
  }

 private:
  /// A warp's rows of a piece of the staged matrix.
  using Rows = StagedRows<WARP_M, N * sizeof(Bits) / sizeof(uint128_t)>;

  /// The staged matrix from (row, column) of the part on.
  CUTE_DEVICE static VectorRows staged_at(StagedMatrix const& from, FragmentTarget const& to, int row, int column) {
    return VectorRows::at(from.data + (to.row + row) * from.row_stride + to.column + column, from.row_stride,
                          to.rows - row, to.columns - column);
  }
  /// Piece `piece`, if there is one.
  CUTE_DEVICE static void load(StagedMatrix const& from, FragmentTarget const& to, int piece, uint32_t thread,
                               Rows& rows) {
    int row = piece / Piece::per_row * PIECE_M + thread / warp_threads * WARP_M, column = piece % Piece::per_row * N;
    VectorRows there = staged_at(from, to, row, column);
    if (piece >= Piece::count) there.rows = 0;
    rows.load(there, thread % warp_threads);
  }

  CUTE_DEVICE static FragmentAt chunk_at(FragmentTarget const& to, uint32_t chunk, uint32_t thread) {
    int row = thread / warp_threads * WARP_M + thread % warp_threads / 4, column = thread % 4 * 2;
    return {to, int(chunk / per_row * PIECE_M) + row, int(chunk % per_row * CHUNK_N) + column};
  }

  /// Calls f(Int<x>{}) for First <= x < Last.
  template <int First, int Last, class F> CUTE_DEVICE static void with_constant(uint32_t x, F const& f) {
    constexpr int middle = (First + Last) / 2;
    if constexpr (Last - First == 1)
      f(Int<First>{});
    else if (x < middle)
      with_constant<First, middle>(x, f);
    else
      with_constant<middle, Last>(x, f);
  }

  /// first(accumulator, v) for the values of a chunk.
  template <class Accumulators, class First>
  CUTE_DEVICE static Values first_values(Accumulators& acc, uint32_t number, First const& first) {
    Values x;
    warpgroup_fence_operand(acc);  // none of it may be hoisted out of the loops: its results would be spilled
    with_constant<0, chunks>(number, [&](auto constant) CUTLASS_LAMBDA_FUNC_INLINE {
      constexpr int c = decltype(constant)::value;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VALUES; ++v) {
        x[v] = first(acc(c % per_row * VALUES + v, Int<c / per_row>{}, _0{}), v);
        warpgroup_fence_operand(x[v]);  // here, in one instruction, and not after the branches have met
      }
    });
    return x;
  }

  CUTE_DEVICE static Packed converted(Values const& x, DType dtype) {
    if (dtype == DType::bf16)
      return cutlass::platform::bit_cast<Packed>(
          cutlass::NumericArrayConverter<cutlass::bfloat16_t, float, VALUES>::convert(x));
    return cutlass::platform::bit_cast<Packed>(
        cutlass::NumericArrayConverter<cutlass::half_t, float, VALUES>::convert(x));
  }

  /// Chunk c of a piece, from the staging buffer and to it.
  template <class Smem, class Mma> CUTE_DEVICE static Packed read(Smem const& sD, Mma const& mma, int c, int thread) {
    auto copier = make_tiled_copy_C(Copy_Atom<SM75_U32x4_LDSM_N, Bits>{}, mma);
    auto slice = copier.get_slice(thread);
    Tensor rX = make_tensor<Bits>(Shape<Int<Base::GROUP_V>, _1, Int<GROUPS>>{});  // (GROUP_V, 1, GROUPS)
    Tensor tXsX = slice.partition_S(sD);                                          // (CPY, 1, GROUPS of the whole piece)
    Tensor tXrX = slice.retile_D(rX);                                             // (CPY, 1, GROUPS)
    CUTLASS_PRAGMA_UNROLL
    for (int g = 0; g < GROUPS; ++g) copy(copier, tXsX(_, _, c * GROUPS + g), tXrX(_, _, g));
    Packed x;
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VALUES; ++v) x[v] = rX(v);
    return x;
  }
  template <class Smem, class Mma>
  CUTE_DEVICE static void write(Packed const& x, Smem const& sD, Mma const& mma, int c, int thread) {
    auto copier = make_tiled_copy_C(typename Piece::StoreAtom{}, mma);
    auto slice = copier.get_slice(thread);
    Tensor rX = make_tensor<Bits>(Shape<Int<Base::GROUP_V>, _1, Int<GROUPS>>{});  // (GROUP_V, 1, GROUPS)
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VALUES; ++v) rX(v) = x[v];
    Tensor tXsX = slice.partition_D(sD);  // (CPY, 1, GROUPS of the whole piece)
    Tensor tXrX = slice.retile_S(rX);     // (CPY, 1, GROUPS)
    CUTLASS_PRAGMA_UNROLL
    for (int g = 0; g < GROUPS; ++g) copy(copier, tXrX(_, _, g), tXsX(_, _, c * GROUPS + g));
  }

  /// Stores one warp's rows of a piece, which begin at `staging`. Called by one thread.
  CUTE_DEVICE static void store_by_tma(FragmentTarget const& to, int piece, int warp, Bits const* staging) {
    int row = int(to.row) + piece / Piece::per_row * PIECE_M + warp * WARP_M;
    int column = int(to.column) + piece % Piece::per_row * N;
    CUTLASS_PRAGMA_UNROLL
    for (int c = 0; c < N; c += Piece::BOX_N)
      if (c < Piece::columns(piece))
        SM90_TMA_STORE_3D::copy(&to.d_map, staging + c * PIECE_M, column + c, row, to.batch);
    tma_store_arrive();
  }
};

}  // namespace ckl::device
