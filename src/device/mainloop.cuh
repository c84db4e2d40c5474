#pragma once

// The product of one output tile: the producer fills stages of A and B, the consumers multiply them.

#include <cute/tensor.hpp>
#include <cute/arch/cluster_sm90.hpp>
#include <cute/atom/copy_traits_sm90_tma.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>

#include "device/numeric.cuh"
#include "device/pipeline.cuh"
#include "device/tensor_map.hpp"
#include "device/tile_grid.hpp"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// One operand of the mainloop, A or B: a tile of (BLK_MN, BLK_K), K-major or MN-major, in `Stages` stages, of
/// which each of `Sharers` CTAs loads its share and multicasts it to all of them.
template <class T, bool KMajor, int BlkMN, int BlkK, int Stages, int Sharers> struct StagedOperand {
  using Atom = conditional_t<KMajor, GMMA::Layout_K_SW128_Atom<T>, GMMA::Layout_MN_SW128_Atom<T>>;
  using Order = conditional_t<KMajor, Step<_1, _2, _3>, Step<_2, _1, _3>>;
  using SmemLayout = decltype(tile_to_shape(Atom{}, Shape<Int<BlkMN>, Int<BlkK>, Int<Stages>>{}, Order{}));
  static constexpr GMMA::Major major = KMajor ? GMMA::Major::K : GMMA::Major::MN;
  static constexpr int stage_bytes = BlkMN * BlkK * sizeof(T);

  using Stride = conditional_t<KMajor, cute::Stride<int64_t, _1, int64_t>, cute::Stride<_1, int64_t, int64_t>>;
  using Gmem = decltype(make_tensor(make_gmem_ptr((T const*)nullptr), Shape<int, int, int>{}, Stride{}));
  using TmaOp = conditional_t<(Sharers > 1), SM90_TMA_LOAD_MULTICAST, SM90_TMA_LOAD>;
  using Tma = decltype(make_tma_copy(TmaOp{}, Gmem{}, SmemLayout{}(_, _, _0{}), Shape<Int<BlkMN>, Int<BlkK>>{},
                                     Int<Sharers>{}));

  /// Elements that one TMA instruction moves (NumValSrc counts those of all sharers); the host's boxes must agree.
  static constexpr int box_elements = Tma::NumValSrc / Sharers;
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
  using Mma = decltype(make_tiled_mma(
      SM90::GMMA::ss_op_selector<T, T, float, Shape<_64, Int<WG_N>, Int<BLK_K>>, OperandA::major, OperandB::major>(),
      Layout<Shape<_1, _1, _1>>{}));
  using Pipeline = StagePipeline<PIPE, CLUSTER_M, CLUSTER_N>;
  using State = typename Pipeline::State;
  static constexpr uint32_t stage_bytes = OperandA::stage_bytes + OperandB::stage_bytes;

  static_assert(OperandA::stage_bytes == Config.a_stage_bytes() && OperandB::stage_bytes == Config.b_stage_bytes());
  static_assert(OperandA::box_elements == Config.box_contiguous() * Config.a_box_other(), "TMA box of A");
  static_assert(OperandB::box_elements == Config.box_contiguous() * Config.b_box_other(), "TMA box of B");

  struct Storage {
    alignas(1024) array_aligned<T, cosize_v<typename OperandA::SmemLayout>, 1024> a;
    alignas(1024) array_aligned<T, cosize_v<typename OperandB::SmemLayout>, 1024> b;
  };

  CUTE_DEVICE static auto smem_a(Storage& s) {
    return make_tensor(make_smem_ptr(s.a.data()), typename OperandA::SmemLayout{});  // (BLK_M, BLK_K, PIPE)
  }
  CUTE_DEVICE static auto smem_b(Storage& s) {
    return make_tensor(make_smem_ptr(s.b.data()), typename OperandB::SmemLayout{});  // (BLK_N, BLK_K, PIPE)
  }

  // ---- Producer, TMA: one thread -------------------------------------------------------------------------------

  /// Loads K tiles k_begin to k_end - 1 of the tile, one after another. `tile` counts CTA tiles; `rank_m`, `rank_n` say
  /// where in the cluster this CTA is.
  CUTE_DEVICE static void load(TensorMap const& a_map, TensorMap const& b_map, int m, int n, int k, int batch,
                               TileIndex tile, int k_begin, int k_end, int rank_m, int rank_n, Storage& storage,
                               Pipeline& pipeline, State& at) {
    typename OperandA::Tma tma_a;
    typename OperandB::Tma tma_b;
    Tensor mA = tma_a.get_tma_tensor(make_shape(m, k, batch));  // (M, K, L)
    Tensor mB = tma_b.get_tma_tensor(make_shape(n, k, batch));  // (N, K, L)
    Tensor gA = local_tile(mA(_, _, tile.batch), Shape<Int<BLK_M>, Int<BLK_K>>{},
                           make_coord(tile.m, _));  // (BLK_M, BLK_K, k_tiles)
    Tensor gB = local_tile(mB(_, _, tile.batch), Shape<Int<BLK_N>, Int<BLK_K>>{},
                           make_coord(tile.n, _));  // (BLK_N, BLK_K, k_tiles)
    auto slice_a = tma_a.get_slice(rank_n);
    auto slice_b = tma_b.get_slice(rank_m);
    Tensor tAgA = slice_a.partition_S(gA);               // (TMA, TMA_M, TMA_K, k_tiles)
    Tensor tAsA = slice_a.partition_D(smem_a(storage));  // (TMA, TMA_M, TMA_K, PIPE)
    Tensor tBgB = slice_b.partition_S(gB);               // (TMA, TMA_N, TMA_K, k_tiles)
    Tensor tBsB = slice_b.partition_D(smem_b(storage));  // (TMA, TMA_N, TMA_K, PIPE)

    // A goes to the CTAs of this rank_m, B to those of this rank_n; ranks are rank_m + CLUSTER_M * rank_n.
    constexpr uint16_t column = (uint16_t(1) << CLUSTER_M) - 1;
    uint16_t mask_a = 0;
    for (int y = 0; y < CLUSTER_N; ++y) mask_a |= uint16_t(1) << (rank_m + CLUSTER_M * y);
    uint16_t mask_b = column << (CLUSTER_M * rank_n);

    CUTLASS_PRAGMA_NO_UNROLL
    for (int k_tile = k_begin; k_tile < k_end; ++k_tile, ++at) {
      pipeline.wait_empty(at);
      uint64_t& full = pipeline.arrive_and_expect(at, stage_bytes);
      copy(tma_a.with(reinterpret_cast<TmaDescriptor const*>(&a_map), full, mask_a), tAgA(_, _, _, k_tile),
           tAsA(_, _, _, at.index()));
      copy(tma_b.with(reinterpret_cast<TmaDescriptor const*>(&b_map), full, mask_b), tBgB(_, _, _, k_tile),
           tBsB(_, _, _, at.index()));
    }
  }

  // ---- Producer, gather: a warpgroup ---------------------------------------------------------------------------

  /// As load(), but copies element by element; what lies outside of the matrices is zero.
  CUTE_DEVICE static void gather(GatherSource<T> const& a, GatherSource<T> const& b, TileIndex tile, int k_begin,
                                 int k_end, int thread, Storage& storage, Pipeline& pipeline, State& at) {
    Tensor sA = smem_a(storage);  // (BLK_M, BLK_K, PIPE)
    Tensor sB = smem_b(storage);  // (BLK_N, BLK_K, PIPE)
    CUTLASS_PRAGMA_NO_UNROLL
    for (int k_tile = k_begin; k_tile < k_end; ++k_tile, ++at) {
      pipeline.wait_empty(at);
      gather_tile<OperandA, BLK_M>(a, tile.m, k_tile, thread, sA(_, _, at.index()));
      gather_tile<OperandB, BLK_N>(b, tile.n, k_tile, thread, sB(_, _, at.index()));
      cutlass::arch::fence_view_async_shared();  // the tensor cores read through the async proxy
      pipeline.arrive_full(at);
    }
  }

  // ---- Consumer: a warpgroup -----------------------------------------------------------------------------------

  CUTE_DEVICE static auto make_accumulators() {
    return partition_fragment_C(Mma{}, Shape<Int<WG_M>, Int<WG_N>>{});  // (MMA, MMA_M, MMA_N)
  }

  /// acc = A * B over `k_tiles` >= 1 stages, for part (part_m, part_n) of the tile.
  template <class Accumulators> CUTE_DEVICE static void multiply(Accumulators& acc, int k_tiles, int part_m, int part_n,
                                                                 int thread, Storage& storage, Pipeline& pipeline,
                                                                 State& at) {
    Mma mma;
    auto slice = mma.get_slice(thread);
    Tensor sA = local_tile(smem_a(storage), Shape<Int<WG_M>, Int<BLK_K>>{},
                           make_coord(part_m, _0{}, _));  // (WG_M, BLK_K, PIPE)
    Tensor sB = local_tile(smem_b(storage), Shape<Int<WG_N>, Int<BLK_K>>{},
                           make_coord(part_n, _0{}, _));         // (WG_N, BLK_K, PIPE)
    Tensor tCrA = slice.make_fragment_A(slice.partition_A(sA));  // (MMA, MMA_M, MMA_K, PIPE)
    Tensor tCrB = slice.make_fragment_B(slice.partition_B(sB));  // (MMA, MMA_N, MMA_K, PIPE)

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
    State done = at;
    mma.accumulate_ = GMMA::ScaleOut::Zero;
    pipeline.wait_full(at);
    warpgroup_fence_operand(acc);
    multiply_stage(at.index());
    ++at;
    if (k_tiles == 1) {
      warpgroup_wait<0>();
      warpgroup_fence_operand(acc);
    } else {
      int k_tile = 1;
      CUTLASS_PRAGMA_NO_UNROLL
      do {
        pipeline.wait_full(at);
        warpgroup_fence_operand(acc);
        multiply_stage(at.index());
        warpgroup_wait<1>();
        warpgroup_fence_operand(acc);
        pipeline.release(done, thread);
        ++done;
        ++at;
      } while (++k_tile < k_tiles);
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
