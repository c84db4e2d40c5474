// The kernels of the memory ablation, in plain CuTe: a copy and a read, by each way of loading, width of vectors and number of them under
// way; and rows that the blocks of a cluster share, which go on when they have agreed on the row's largest element.

#include <cute/arch/copy_sm80.hpp>
#include <cute/arch/copy_sm90_desc.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/tensor.hpp>
#include <cutlass/arch/barrier.h>

#include "ablation.hpp"
#include "device/arch.cuh"
#include "device/row_reduction.cuh"

namespace {

using namespace cute;
using namespace ckl::bench;
using ckl::device::block_sync;
using ckl::device::warp_sync;

constexpr int THREADS = kAblationThreads;
using Threads = Int<THREADS>;

/// All data as vectors, those of a block's threads side by side.
template <class Vector> CUTE_DEVICE auto steps_of(Vector* data, int64_t bytes) {
  return make_tensor(make_gmem_ptr(data),
                     make_shape(Threads{}, bytes / int64_t(THREADS * sizeof(Vector))));  // (THREADS, STEPS)
}

/// The steps of the calling block: batches of LOADS of them, which the blocks take in turns.
template <int LOADS> struct BlockSteps {
  int64_t steps;  // of all blocks

  CUTE_DEVICE int count() const {
    int64_t batches = steps / LOADS - int64_t(blockIdx.x);
    return batches <= 0 ? 0 : int((batches + gridDim.x - 1) / gridDim.x) * LOADS;
  }
  CUTE_DEVICE int64_t operator[](int i) const {
    return (int64_t(blockIdx.x) + int64_t(i / LOADS) * gridDim.x) * LOADS + i % LOADS;
  }
};

/// Loads this thread's vectors, LOADS of which are under way at a time, and calls f(vector, step) for each of them.
template <AblationWay WAY, class Vector, int LOADS> struct Loader;

template <class Vector, int LOADS> struct Loader<AblationWay::plain, Vector, LOADS> {
  template <class F> CUTE_DEVICE static void for_each(Vector const* x, int64_t bytes, F const& f) {
    Tensor gX = steps_of(x, bytes);  // (THREADS, STEPS)
    BlockSteps<LOADS> steps{size<1>(gX)};
    Tensor rX = make_tensor<Vector>(Int<LOADS>{});  // (LOADS)
    CUTE_NO_UNROLL
    for (int i = 0; i < steps.count(); i += LOADS) {
      CUTE_UNROLL
      for (int l = 0; l < LOADS; ++l) rX(l) = gX(threadIdx.x, steps[i] + l);
      CUTE_UNROLL
      for (int l = 0; l < LOADS; ++l) f(rX(l), steps[i] + l);
    }
  }
};

/// Calls f(vector, step) for the vectors that come by a ring of LOADS stages: fill(stage, i) starts the load of step number i, take(stage, i)
/// waits for it and empties the stage.
template <int LOADS, class Fill, class Take, class F> CUTE_DEVICE void for_each_of_ring(BlockSteps<LOADS> const& steps,
                                                                                        int count, Fill const& fill,
                                                                                        Take const& take, F const& f) {
  CUTE_UNROLL
  for (int l = 0; l < LOADS; ++l) fill(l, l);
  CUTE_NO_UNROLL
  for (int i = 0; i < count; i += LOADS) {
    CUTE_UNROLL
    for (int l = 0; l < LOADS; ++l) {
      auto vector = take(l, i + l);
      fill(l, i + l + LOADS);
      f(vector, steps[i + l]);
    }
  }
}

template <class Vector, int LOADS> struct Loader<AblationWay::async, Vector, LOADS> {
  // 16 bytes go past the L1, as plain loads of data that are read once should; shorter ones cannot.
  using Copy =
      conditional_t<sizeof(Vector) == 16, SM80_CP_ASYNC_CACHEGLOBAL<Vector>, SM80_CP_ASYNC_CACHEALWAYS<Vector>>;

  template <class F> CUTE_DEVICE static void for_each(Vector const* x, int64_t bytes, F const& f) {
    extern __shared__ __align__(128) char memory[];
    Tensor gX = steps_of(x, bytes);  // (THREADS, STEPS)
    Tensor sX = make_tensor(make_smem_ptr(reinterpret_cast<Vector*>(memory)),
                            Shape<Threads, Int<LOADS>>{});  // (THREADS, LOADS)
    BlockSteps<LOADS> steps{size<1>(gX)};
    int count = steps.count();
    auto fill = [&](int stage, int i) {
      if (i < count) Copy::copy(gX(threadIdx.x, steps[i]), sX(threadIdx.x, stage));
      cp_async_fence();
    };
    auto take = [&](int stage, int) {
      cp_async_wait<LOADS - 1>();
      warp_sync();  // the compiler would load before the wait; a thread reads what it has copied itself
      Vector vector = sX(threadIdx.x, stage);
      warp_sync();  // and fill the stage before it is read
      return vector;
    };
    for_each_of_ring(steps, count, fill, take, f);
  }
};

template <class Vector, int LOADS> struct Loader<AblationWay::bulk, Vector, LOADS> {
  template <class F> CUTE_DEVICE static void for_each(Vector const* x, int64_t bytes, F const& f) {
    extern __shared__ __align__(128) char memory[];
    __shared__ uint64_t arrived[LOADS];
    Tensor gX = steps_of(x, bytes);  // (THREADS, STEPS)
    Tensor sX = make_tensor(make_smem_ptr(reinterpret_cast<Vector*>(memory)),
                            Shape<Threads, Int<LOADS>>{});  // (THREADS, LOADS)
    BlockSteps<LOADS> steps{size<1>(gX)};
    int count = steps.count();
    auto fill = [&](int stage, int i) {
      if (i >= count || threadIdx.x != 0) return;
      constexpr int step_bytes = THREADS * sizeof(Vector);
      cutlass::arch::fence_view_async_shared();  // a barrier does not wait for loads, which the copy could overtake
      set_barrier_transaction_bytes(arrived[stage], step_bytes);
      SM90_BULK_COPY_G2S::copy(&gX(0, steps[i]), &arrived[stage], &sX(0, stage), step_bytes);
    };
    if (threadIdx.x == 0) {
      for (uint64_t& barrier : arrived) initialize_barrier(barrier, 1);
      cutlass::arch::fence_barrier_init();
    }
    block_sync();
    auto take = [&](int stage, int i) {
      wait_barrier(arrived[stage], i / LOADS & 1);
      warp_sync();  // the compiler would load before the wait
      Vector vector = sX(threadIdx.x, stage);
      block_sync();  // all threads have read the stage
      return vector;
    };
    for_each_of_ring(steps, count, fill, take, f);
  }
};

template <AblationWay WAY, int BYTES, int LOADS> CUTE_DEVICE void copy_all(AblationParams const& p) {
  using Vector = uint_byte_t<BYTES>;
  Tensor gY = steps_of(static_cast<Vector*>(p.y), p.bytes);  // (THREADS, STEPS)
  Loader<WAY, Vector, LOADS>::for_each(static_cast<Vector const*>(p.x), p.bytes,
                                       [&](Vector vector, int64_t step) { gY(threadIdx.x, step) = vector; });
}

template <AblationWay WAY, int BYTES, int LOADS> CUTE_DEVICE void read_all(AblationParams const& p) {
  using Vector = uint_byte_t<BYTES>;
  uint32_t mixed = 0;
  Loader<WAY, Vector, LOADS>::for_each(static_cast<Vector const*>(p.x), p.bytes, [&](Vector vector, int64_t) {
    Tensor rWords = make_tensor<uint32_t>(Int<BYTES / 4>{});  // (WORDS)
    recast<Vector>(rWords)(0) = vector;
    CUTE_UNROLL
    for (int i = 0; i < size(rWords); ++i) mixed ^= rWords(i);
  });
  static_cast<uint32_t*>(p.y)[int64_t(blockIdx.x) * THREADS + threadIdx.x] = mixed;
}

/// A block holds a part of a row in its registers; the blocks of the cluster, of any size, have the others.
CUTE_DEVICE void rows(AblationParams const& p) {
  using Vector = uint_byte_t<16>;
  using Reduction = ckl::device::RowReduction<THREADS, 1, 8>;
  constexpr int VECTORS = kAblationPartBytes / (THREADS * int(sizeof(Vector)));
  __shared__ Reduction::Storage storage;
  Reduction reduction(storage);
  Tensor gX = steps_of(static_cast<Vector const*>(p.x), p.bytes);  // (THREADS, STEPS)
  Tensor gY = steps_of(static_cast<Vector*>(p.y), p.bytes);        // (THREADS, STEPS)
  Tensor rX = make_tensor<Vector>(Int<VECTORS>{});                 // (VECTORS)
  int64_t first = int64_t(blockIdx.x) * VECTORS;
  CUTE_UNROLL
  for (int v = 0; v < VECTORS; ++v) rX(v) = gX(threadIdx.x, first + v);
  Tensor rValues = recast<float>(rX);  // (VALUES)
  float largest = rValues(0);
  CUTE_UNROLL
  for (int i = 1; i < size(rValues); ++i) largest = fmaxf(largest, rValues(i));
  largest = reduction(largest, ckl::device::Max());
  CUTE_UNROLL
  for (int i = 0; i < size(rValues); ++i) rValues(i) -= largest;
  CUTE_UNROLL
  for (int v = 0; v < VECTORS; ++v) gY(threadIdx.x, first + v) = rX(v);
}

}  // namespace

#define ENTRY(name, call)                                                              \
  extern "C" __global__ void __launch_bounds__(kAblationThreads, kAblationBlocksPerSm) \
      name(const __grid_constant__ AblationParams p) {                                 \
    call(p);                                                                           \
  }
#define MOVE(way, bytes, loads)                                                                \
  ENTRY(ablation_copy_##way##_v##bytes##_l##loads, (copy_all<AblationWay::way, bytes, loads>)) \
  ENTRY(ablation_read_##way##_v##bytes##_l##loads, (read_all<AblationWay::way, bytes, loads>))

CKL_ABLATION_MOVES(MOVE)
ENTRY(ablation_rows, rows)
