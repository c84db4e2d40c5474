#pragma once

// The product of one output tile: the producer fills stages of A and B, the consumers multiply them.

#include <cute/tensor.hpp>
#include <cute/arch/cluster_sm90.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>

#include "device/numeric.cuh"
#include "device/pipeline.cuh"
#include "device/tensor_map.hpp"
#include "device/tile_grid.hpp"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// One operand of the mainloop, A or B: a tile of (BLK_MN, BLK_K), K-major or MN-major, in `Stages` stages, of
/// which each of `Sharers` CTAs loads its share and multicasts it to all of them. A TMA box has the swizzle's 128 bytes of the
/// contiguous mode, or what is left of an MN-major tile: then its rows in shared memory are filled in part.
template <class T, bool KMajor, int BlkMN, int BlkK, int Stages, int Sharers> struct StagedOperand {
  static constexpr int BOX_CONTIGUOUS = 128 / sizeof(T);
  /// Rows or columns that a stage has room for.
  static constexpr int ROOM_MN = KMajor ? BlkMN : ceil_div(BlkMN, BOX_CONTIGUOUS) * BOX_CONTIGUOUS;
  using Atom = conditional_t<KMajor, GMMA::Layout_K_SW128_Atom<T>, GMMA::Layout_MN_SW128_Atom<T>>;
  using Order = conditional_t<KMajor, Step<_1, _2, _3>, Step<_2, _1, _3>>;
  using SmemLayout = decltype(tile_to_shape(Atom{}, Shape<Int<ROOM_MN>, Int<BlkK>, Int<Stages>>{}, Order{}));
  static constexpr GMMA::Major major = KMajor ? GMMA::Major::K : GMMA::Major::MN;
  static constexpr int stage_bytes = ROOM_MN * BlkK * sizeof(T);

  /// Where stage `index` of `stages` begins.
  CUTE_DEVICE static T* stage(T* stages, int index) { return stages + index * (ROOM_MN * BlkK); }
  static_assert(Stages == 1 || SmemLayout{}(0, 0, 1) == ROOM_MN * BlkK, "stage() says where the layout has it");

  // A TMA box has this CTA's share of the other mode.
  static constexpr int CONTIGUOUS = KMajor ? BlkK : BlkMN, OTHER = KMajor ? BlkMN : BlkK;
  static constexpr int BOX_OTHER = OTHER / Sharers;
  /// Whether the last box of a tile is narrower than the others.
  static constexpr bool HAS_NARROW_BOX = CONTIGUOUS % BOX_CONTIGUOUS != 0;

  static_assert(uint64_t(CacheHint::normal) == uint64_t(TMA::CacheHintSm90::EVICT_NORMAL) &&
                uint64_t(CacheHint::evict_first) == uint64_t(TMA::CacheHintSm90::EVICT_FIRST) &&
                uint64_t(CacheHint::evict_last) == uint64_t(TMA::CacheHintSm90::EVICT_LAST));

  /// The boxes of one tile.
  struct Boxes {
    TensorMap const& map;
    TensorMap const& left;  // for what is left of the contiguous mode behind whole boxes
    int other;              // extent along the other mode
    CacheHint hint;

    /// Bytes that come into a stage, the other CTAs' shares included.
    CUTE_DEVICE uint32_t bytes() const { return Sharers * other * CONTIGUOUS * sizeof(T); }
  };
  /// Boxes that end with the matrix leave rows of the stage as they are: they may be `trimmed` to that where something has been written
  /// to those rows before.
  CUTE_DEVICE static Boxes boxes(OperandMaps const& maps, int tile, bool trimmed) {
    bool last = KMajor && trimmed && tile >= maps.last_tile;
    return {last ? maps.last : maps.whole, maps.last, last ? maps.last_rows : BOX_OTHER, maps.hint};
  }

  /// Loads this CTA's share, number `share`, of the tile at (mn, k) of matrix `batch` into the stage that begins at `stage`,
  /// of every CTA in `mask`. The stage begins with number `turn` of the contiguous mode. Called by one thread.
  CUTE_DEVICE static void load(Boxes const& boxes, uint64_t& full, uint16_t mask, int mn, int k, int batch, int share,
                               T* stage, int turn = 0) {
    int contiguous = KMajor ? k : mn, other = (KMajor ? mn : k) + share * boxes.other;
    auto hint = uint64_t(boxes.hint);
    CUTLASS_PRAGMA_UNROLL
    for (int c = 0; c < CONTIGUOUS; c += BOX_CONTIGUOUS) {
      T* box = stage + c * OTHER + share * boxes.other * BOX_CONTIGUOUS;
      const bool whole = c + BOX_CONTIGUOUS <= CONTIGUOUS;
      TensorMap const& map = whole ? boxes.map : boxes.left;
      const int first = contiguous + (whole ? c + turn : turn > 0 ? 0 : c);
      if constexpr (Sharers > 1)
        SM90_TMA_LOAD_MULTICAST_3D::copy(&map, &full, mask, hint, box, first, other, batch);
      else
        SM90_TMA_LOAD_3D::copy(&map, &full, hint, box, first, other, batch);
    }
  }

  /// Clears the rows that the trimmed boxes of `tile` leave out of the first `count` of `stages`.
  CUTE_DEVICE static void clear_rest(OperandMaps const& maps, int tile, int count, int thread, int threads, T* stages) {
    constexpr int row_vectors = BOX_CONTIGUOUS * sizeof(T) / sizeof(uint128_t), columns = CONTIGUOUS / BOX_CONTIGUOUS;
    Tensor sX = make_tensor(make_smem_ptr(reinterpret_cast<uint128_t*>(stages)),
                            Shape<Int<OTHER * row_vectors>, Int<columns * Stages>>{});  // (VECTORS, COLUMNS)
    for (int v = Sharers * boxes(maps, tile, true).other * row_vectors + thread; v < size<0>(sX); v += threads)
      for (int c = 0; c < columns * count; ++c) sX(v, c) = uint128_t{};
  }
};

/// A matrix operand that a gathering producer reads: (mn, k) with any strides.
template <class T> struct GatherSource {
  T const* data;
  int64_t mn, k;                // extents
  int64_t mn_stride, k_stride;  // elements
};

template <auto Config> struct Mainloop {
  using T = Element<Config.dtype>;
  static constexpr int BLK_M = Config.tile_m, BLK_N = Config.tile_n, BLK_K = Config.tile_k, PIPE = Config.stages;
  static constexpr int WG_M = Config.warpgroup_m(), WG_N = Config.warpgroup_n();
  static constexpr int CLUSTER_M = Config.cluster_m, CLUSTER_N = Config.cluster_n;

  using OperandA = StagedOperand<T, Config.a_major == decltype(Config.a_major)::k, BLK_M, BLK_K, PIPE, CLUSTER_N>;
  using OperandB = StagedOperand<T, Config.b_major == decltype(Config.b_major)::k, BLK_N, BLK_K, PIPE, CLUSTER_M>;
  template <int Columns> using MmaOf = decltype(make_tiled_mma(
      SM90::GMMA::ss_op_selector<T, T, float, Shape<_64, Int<Columns>, Int<BLK_K>>, OperandA::major, OperandB::major>(),
      Layout<Shape<_1, _1, _1>>{}));
  using Mma = MmaOf<WG_N>;
  /// A product of all columns that there is room for begins where one of WG_N columns does.
  static constexpr int WG_ROOM_N = BLK_N == WG_N ? OperandB::ROOM_MN : WG_N;
  /// Whether what the loop over K tiles computes beside its products, descriptors above all, is to lie in uniform registers. It is a third
  /// fewer instructions, hence less power, but takes some clocks at a tile's beginning, and ping-pong tiles gained nothing by it.
  static constexpr bool in_uniform_registers = Config.schedule != decltype(Config.schedule)::pingpong;
  using Pipeline = StagePipeline<PIPE, CLUSTER_M, CLUSTER_N, in_uniform_registers>;
  using State = typename Pipeline::State;

  static_assert(OperandA::stage_bytes == Config.a_stage_bytes() && OperandB::stage_bytes == Config.b_stage_bytes());

  struct Storage {
    alignas(1024) array_aligned<T, cosize_v<typename OperandA::SmemLayout>, 1024> a;
    alignas(1024) array_aligned<T, cosize_v<typename OperandB::SmemLayout>, 1024> b;
  };

  CUTE_DEVICE static auto smem_a(Storage& s) {
    return make_tensor(make_smem_ptr(s.a.data()), typename OperandA::SmemLayout{});  // (BLK_M, BLK_K, PIPE)
  }
  CUTE_DEVICE static auto smem_b(Storage& s) {
    return make_tensor(make_smem_ptr(s.b.data()), typename OperandB::SmemLayout{});  // (ROOM_N, BLK_K, PIPE)
  }

  // ---- Producer, TMA: one warp ---------------------------------------------------------------------------------

  /// Loads K tiles k_begin to k_end - 1 of the tile, one after another. `tile` counts CTA tiles; `rank_m`, `rank_n` say
  /// where in the cluster this CTA is; is_first: nothing has been loaded before, and the consumers call clear_rest().
  CUTE_DEVICE static void load(OperandMaps const& a_maps, OperandMaps const& b_maps, TileIndex tile, int k_begin,
                               int k_end, bool is_first, int rank_m, int rank_n, Storage& storage, Pipeline& pipeline,
                               State& at) {
    // A goes to the CTAs of this rank_m, B to those of this rank_n; ranks are rank_m + CLUSTER_M * rank_n.
    constexpr uint16_t column = (uint16_t(1) << CLUSTER_M) - 1;
    uint16_t mask_a = 0;
    for (int y = 0; y < CLUSTER_N; ++y) mask_a |= uint16_t(1) << (rank_m + CLUSTER_M * y);
    uint16_t mask_b = column << (CLUSTER_M * rank_n);
    const bool trimmed = is_first || at.count() >= PIPE;
    const auto a = OperandA::boxes(a_maps, tile.m, trimmed);
    const auto b = OperandB::boxes(b_maps, tile.n, trimmed);
    const uint32_t bytes = a.bytes() + b.bytes();
    CUTLASS_PRAGMA_NO_UNROLL
    for (int k_tile = k_begin; k_tile < k_end; ++k_tile, ++at) {
      pipeline.wait_empty(at);
      if (elect_one_sync()) {
        uint64_t& full = pipeline.arrive_and_expect(at, bytes);
        OperandA::load(a, full, mask_a, tile.m * BLK_M, k_tile * BLK_K, tile.batch, rank_n,
                       OperandA::stage(storage.a.data(), at.index()));
        OperandB::load(b, full, mask_b, tile.n * BLK_N, k_tile * BLK_K, tile.batch, rank_m,
                       OperandB::stage(storage.b.data(), at.index()), Config.turn(tile.n));
      }
    }
  }

  // ---- Producer, gather: a warpgroup ---------------------------------------------------------------------------

  /// As load(), but copies element by element; what lies outside of the matrices is zero.
  CUTE_DEVICE static void gather(GatherSource<T> const& a, GatherSource<T> const& b, TileIndex tile, int k_begin,
                                 int k_end, int thread, Storage& storage, Pipeline& pipeline, State& at) {
    Tensor sA = smem_a(storage);  // (BLK_M, BLK_K, PIPE)
    Tensor sB = smem_b(storage);  // (ROOM_N, BLK_K, PIPE)
    CUTLASS_PRAGMA_NO_UNROLL
    for (int k_tile = k_begin; k_tile < k_end; ++k_tile, ++at) {
      pipeline.wait_empty(at);
      gather_tile<OperandA, BLK_M>(a, tile.m, k_tile, thread, sA(_, _, at.index()));
      gather_tile<OperandB, BLK_N>(b, tile.n, k_tile, thread, sB(_, _, at.index()));
      cutlass::arch::fence_view_async_shared();  // the tensor cores read through the async proxy
      pipeline.arrive_full(at);
    }
  }

  // ---- Consumers, all together ---------------------------------------------------------------------------------

  /// Clears what load() of the first tile leaves out of its stages, while that is on its way, so that nothing undefined is multiplied.
  CUTE_DEVICE static void clear_rest(OperandMaps const& a_maps, OperandMaps const& b_maps, TileIndex tile, int k_tiles,
                                     int thread, int threads, Storage& storage) {
    int stages = k_tiles < PIPE ? k_tiles : PIPE;
    OperandA::clear_rest(a_maps, tile.m, stages, thread, threads, storage.a.data());
    OperandB::clear_rest(b_maps, tile.n, stages, thread, threads, storage.b.data());
    cutlass::arch::fence_view_async_shared();
  }

  // ---- Consumer: a warpgroup -----------------------------------------------------------------------------------

  CUTE_DEVICE static auto make_accumulators() {
    return partition_fragment_C(Mma{}, Shape<Int<WG_M>, Int<WG_N>>{});  // (MMA, MMA_M, MMA_N)
  }

  /// Where in the warpgroup's part of the tile the accumulators of `thread` lie.
  CUTE_DEVICE static auto coordinates(int thread) {
    Mma mma;
    return mma.get_slice(thread).partition_C(
        make_identity_tensor(Shape<Int<WG_M>, Int<WG_N>>{}));  // (MMA, MMA_M, MMA_N)
  }

  /// acc = A * B over `k_tiles` >= 1 stages, for part (part_m, part_n) of the tile, in turn with the other consumers: the order's tile ends
  /// when the last product has been issued, and what the tensor cores are to do next may queue up behind it. `meanwhile` is called
  /// when the first products have been issued.
  template <class Accumulators, class Order, class Meanwhile>
  CUTE_DEVICE static void multiply(Accumulators& acc, int k_tiles, int part_m, int part_n, int thread, Storage& storage,
                                   Pipeline& pipeline, State& at, Order& order, Meanwhile const& meanwhile) {
    if constexpr (in_uniform_registers) {
      part_m = uniform(part_m), part_n = uniform(part_n);
      at = State(uniform(at.index()), at.phase(), at.count());
    }
    order.begin_tile(k_tiles);
    Mma mma;
    auto slice = mma.get_slice(thread);
    Tensor sA = local_tile(smem_a(storage), Shape<Int<WG_M>, Int<BLK_K>>{},
                           make_coord(part_m, _0{}, _));  // (WG_M, BLK_K, PIPE)
    Tensor sB = local_tile(smem_b(storage), Shape<Int<WG_ROOM_N>, Int<BLK_K>>{},
                           make_coord(part_n, _0{}, _));  // (WG_ROOM_N, BLK_K, PIPE)
    auto slice_b = MmaOf<WG_ROOM_N>{}.get_slice(thread);
    Tensor tCrA = slice.make_fragment_A(slice.partition_A(sA));      // (MMA, MMA_M, MMA_K, PIPE)
    Tensor tCrB = slice_b.make_fragment_B(slice_b.partition_B(sB));  // (MMA, MMA_N, MMA_K, PIPE)

    auto multiply_stage = [&](int stage) CUTLASS_LAMBDA_FUNC_INLINE {
      warpgroup_arrive();
      CUTLASS_PRAGMA_UNROLL
      for (int k_block = 0; k_block < size<2>(tCrA); ++k_block) {
        cute::gemm(mma, tCrA(_, _, k_block, stage), tCrB(_, _, k_block, stage), acc);
        mma.accumulate_ = GMMA::ScaleOut::One;
      }
      warpgroup_commit_batch();
    };

    // The first K tile overwrites the accumulators. A stage is released when the products of the *next* one have
    // been issued. Both ways out have a wait of their own: one that they shared would make ptxas serialize the
    // wgmmas (C7514).
    int done = at.index();
    mma.accumulate_ = GMMA::ScaleOut::Zero;
    pipeline.wait_full(at);
    warpgroup_fence_operand(acc);
    multiply_stage(at.index());
    ++at;
    meanwhile();
    if (k_tiles == 1) {
      order.end_tile();
      warpgroup_wait<0>();
      warpgroup_fence_operand(acc);
    } else {
      int left = k_tiles - 1;
      CUTLASS_PRAGMA_NO_UNROLL
      do {
        order.begin_k_tile(left);
        pipeline.wait_full(at);
        warpgroup_fence_operand(acc);
        multiply_stage(at.index());
        warpgroup_wait<1>();
        warpgroup_fence_operand(acc);
        pipeline.release(done, thread);
        done = at.index();
        ++at;
      } while (--left > 0);
      order.end_tile();
      warpgroup_wait<0>();
      warpgroup_fence_operand(acc);
    }
    pipeline.release(done, thread);
  }

 private:
  /// Copies tile (mn_tile, k_tile) of `source` to `smem`: each thread vectors of 8 elements along the major mode.
  template <class Operand, int BLK_MN, class Smem> CUTE_DEVICE static void gather_tile(GatherSource<T> const& source,
                                                                                       int mn_tile, int k_tile,
                                                                                       int thread, Smem const& smem) {
    constexpr bool k_major = Operand::major == GMMA::Major::K;
    using Threads = conditional_t<k_major, Layout<Shape<_16, _8>, Stride<_8, _1>>, Layout<Shape<_8, _16>>>;
    using Values = conditional_t<k_major, Layout<Shape<_1, _8>>, Layout<Shape<_8, _1>>>;
    auto tiled = make_tiled_copy(Copy_Atom<UniversalCopy<uint128_t>, T>{}, Threads{}, Values{});
    auto slice = tiled.get_slice(thread);

    int64_t mn0 = int64_t(mn_tile) * BLK_MN, k0 = int64_t(k_tile) * BLK_K;
    T const* origin = source.data + mn0 * source.mn_stride + k0 * source.k_stride;
    Tensor gX = make_tensor(make_gmem_ptr(origin), Shape<Int<BLK_MN>, Int<BLK_K>>{},
                            make_stride(source.mn_stride, source.k_stride));  // (BLK_MN, BLK_K)
    Tensor cX = make_identity_tensor(Shape<Int<BLK_MN>, Int<BLK_K>>{});       // (BLK_MN, BLK_K)
    auto inside =
        make_coord(int(cute::min(source.mn - mn0, int64_t(BLK_MN))), int(cute::min(source.k - k0, int64_t(BLK_K))));
    Tensor tXgX = slice.partition_S(gX);                                // (VEC, REST_MN, REST_K)
    Tensor tXcX = slice.partition_S(cX);                                // (VEC, REST_MN, REST_K)
    Tensor tXsX = slice.partition_D(smem);                              // (VEC, REST_MN, REST_K)
    auto rest = make_layout(make_shape(size<1>(tXsX), size<2>(tXsX)));  // (REST_MN, REST_K)
#pragma unroll 4                                                        // 32 elements of each thread in flight
    for (int r = 0; r < size(rest); ++r) {
      auto [i, j] = rest.get_flat_coord(r);
      Tensor rX = make_tensor<T>(Int<8>{});  // (VEC)
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < size(rX); ++v) rX(v) = elem_less(tXcX(v, i, j), inside) ? tXgX(v, i, j) : T(0);
      copy(tiled, rX, tXsX(_, i, j));
    }
  }
};

}  // namespace ckl::device
