// Bulk copies in a pipeline of two stages: one warp loads, one computes and stores.
#include "bugs.hpp"
#include "ptx.cuh"

namespace {

enum class CopyBug {
  none,
  no_wait_for_full,
  wrong_parity,
  too_few_bytes,
  no_wait_for_empty,
  early_release,
  no_init_fence,
  no_init_barrier,
  two_arrivals,
  no_proxy_fence,
  no_wait_for_store,
  store_at_exit,
  load_at_exit,
  barrier_overwritten,
  barrier_missing,
};

constexpr int stages = 2, tiles = 6, words = 256, bytes = words * 4;

template <CopyBug bug> __global__ void pipeline(Buffers buffers) {
  __shared__ alignas(128) uint32_t stage[stages][words];
  __shared__ alignas(128) uint32_t result[words];
  __shared__ uint64_t full[stages], empty[stages], unused;
  const int i = threadIdx.x % 32, warp = threadIdx.x / 32;
  if (threadIdx.x == 0) {
    for (int s = 0; s < stages; ++s) {
      mbarrier_init(&full[s], 1);   // @no_init_fence @no_init_barrier
      mbarrier_init(&empty[s], 1);  // @two_arrivals
    }
    if (bug != CopyBug::no_init_fence) fence_mbarrier_init();
  }
  if (bug != CopyBug::no_init_barrier) __syncthreads();

  if (warp == 1) {
    if (i == 0) {
      for (int t = 0; t < tiles; ++t) {
        const int s = t % stages;
        if (t >= stages && bug != CopyBug::no_wait_for_empty) mbarrier_wait(&empty[s], (t / stages - 1) & 1);
        // @no_init_barrier
        mbarrier_arrive_expect(&full[s], bug == CopyBug::too_few_bytes ? bytes / 2 : bytes);
        // @no_init_fence
        bulk_load(stage[s], buffers.in + t * words, bytes / 2, &full[s]);
        // @no_wait_for_full @wrong_parity @too_few_bytes @no_wait_for_empty @early_release
        bulk_load(stage[s] + words / 2, buffers.in + t * words + words / 2, bytes / 2, &full[s]);
      }
      if (bug == CopyBug::load_at_exit) {
        mbarrier_wait(&empty[0], (tiles / stages - 1) & 1);
        mbarrier_arrive_expect(&full[0], 16);
        bulk_load(stage[0], buffers.in, 16, &full[0]);  // @load_at_exit
      }
    }
  } else if (warp == 0) {
    for (int t = 0; t < tiles; ++t) {
      const int s = t % stages;
      const uint32_t parity = t / stages & 1;
      if (bug != CopyBug::no_wait_for_full) mbarrier_wait(&full[s], bug == CopyBug::wrong_parity ? parity ^ 1 : parity);
      if (t > 0 && bug != CopyBug::no_wait_for_store) {
        if (i == 0) bulk_wait_read();
        __syncwarp();
      }
      if (bug == CopyBug::early_release && i == 0) mbarrier_arrive(&empty[s]);
      for (int j = i; j < words; j += 32) {
        // @no_wait_for_full @wrong_parity @too_few_bytes @early_release
        const uint32_t value = stage[s][words - 1 - j];
        // @no_proxy_fence @no_wait_for_store
        result[j] = value + 1;
      }
      if (bug != CopyBug::no_proxy_fence) fence_proxy_async();
      __syncwarp();
      if (bug != CopyBug::early_release && i == 0) mbarrier_arrive(&empty[s]);
      if (bug == CopyBug::two_arrivals && i == 0 && t == tiles - 1) mbarrier_arrive_twice(&empty[0]);  // @two_arrivals
      if (bug == CopyBug::barrier_missing && i == 0) mbarrier_arrive(&unused);            // @barrier_missing
      if (bug == CopyBug::barrier_overwritten && i == 0 && t == tiles - 1) empty[1] = 0;  // @barrier_overwritten
      if (i == 0) {
        // @no_proxy_fence @no_wait_for_store @store_at_exit
        bulk_store(buffers.out + t * words, result, bytes);
        bulk_commit();
      }
    }
    if (bug != CopyBug::store_at_exit && i == 0) bulk_wait_read();
  }
}

template <CopyBug bug> void run_pipeline(Buffers buffers) { pipeline<bug><<<2, 64>>>(buffers); }

enum class CpAsyncBug { none, no_wait, no_barrier };

template <CpAsyncBug bug> __global__ void cp_async_tile(Buffers buffers) {
  __shared__ alignas(16) uint32_t tile[512];
  const int i = threadIdx.x;
  cp_async(tile + 4 * i, buffers.in + 4 * i);  // @no_wait @no_barrier
  if (bug != CpAsyncBug::no_wait) cp_async_wait();
  if (bug != CpAsyncBug::no_barrier) __syncthreads();
  buffers.out[i] = tile[511 - i];  // @no_wait @no_barrier
}

template <CpAsyncBug bug> void run_cp_async(Buffers buffers) { cp_async_tile<bug><<<1, 128>>>(buffers); }

// One piece of shared memory that takes the tiles one after another: read through the generic proxy, or changed in place and stored from
// there, then filled again by a copy.
enum class RefillBug { none, unfenced, unordered, store_reads };

template <RefillBug bug, bool in_place> __global__ void refill(Buffers buffers) {
  __shared__ alignas(128) uint32_t piece[words];
  __shared__ uint64_t full;
  const int i = threadIdx.x;
  const auto load = [&](int t) {
    mbarrier_arrive_expect(&full, bytes);
    bulk_load(piece, buffers.in + t * words, bytes, &full);  // @unfenced @unordered @store_reads
  };
  if (i == 0) {
    mbarrier_init(&full, 1);
    fence_mbarrier_init();
    load(0);
  }
  __syncthreads();
  for (int t = 0; t < tiles; ++t) {
    mbarrier_wait(&full, t & 1);
    const uint32_t value = piece[i];  // @unfenced @unordered
    if (in_place) piece[i] = value + 1;
    if (bug != RefillBug::unfenced) fence_proxy_async();
    if (bug != RefillBug::unordered) __syncthreads();
    if (i == 0) {
      if (in_place) {
        bulk_store(buffers.out + t * words, piece, bytes);  // @store_reads
        bulk_commit();
        if (bug != RefillBug::store_reads || t == tiles - 1) bulk_wait_read();
      }
      if (t < tiles - 1) load(t + 1);
    }
    if (!in_place) buffers.out[t * words + i] = value;
  }
}

template <RefillBug bug, bool in_place = false> void run_refill(Buffers buffers) {
  refill<bug, in_place><<<2, words>>>(buffers);
}

}  // namespace

std::vector<Bug> copy_bugs() {
  return {
      {"none", "pipeline", "", __FILE__, run_pipeline<CopyBug::none>},
      {"no_wait_for_full", "pipeline", "[copy not awaited]", __FILE__, run_pipeline<CopyBug::no_wait_for_full>},
      {"wrong_parity", "pipeline", "[copy not awaited]", __FILE__, run_pipeline<CopyBug::wrong_parity>},
      {"too_few_bytes", "pipeline", "[copy not awaited]", __FILE__, run_pipeline<CopyBug::too_few_bytes>},
      {"no_wait_for_empty", "pipeline", "[stage overwritten]", __FILE__, run_pipeline<CopyBug::no_wait_for_empty>},
      {"early_release", "pipeline", "[stage overwritten]", __FILE__, run_pipeline<CopyBug::early_release>},
      {"no_init_fence", "pipeline", "[mbarrier not visible]", __FILE__, run_pipeline<CopyBug::no_init_fence>},
      {"no_init_barrier", "pipeline", "[mbarrier not visible]", __FILE__, run_pipeline<CopyBug::no_init_barrier>},
      {"two_arrivals", "pipeline", "[mbarrier arrivals]", __FILE__, run_pipeline<CopyBug::two_arrivals>},
      {"no_proxy_fence", "pipeline", "[missing proxy fence]", __FILE__, run_pipeline<CopyBug::no_proxy_fence>},
      {"no_wait_for_store", "pipeline", "[stage overwritten]", __FILE__, run_pipeline<CopyBug::no_wait_for_store>},
      {"store_at_exit", "pipeline", "[unfinished at exit]", __FILE__, run_pipeline<CopyBug::store_at_exit>},
      {"load_at_exit", "pipeline", "[unfinished at exit]", __FILE__, run_pipeline<CopyBug::load_at_exit>},
      {"barrier_overwritten", "pipeline", "[invalid mbarrier]", __FILE__, run_pipeline<CopyBug::barrier_overwritten>},
      {"barrier_missing", "pipeline", "[invalid mbarrier]", __FILE__, run_pipeline<CopyBug::barrier_missing>},
      {"none", "cp_async_tile", "", __FILE__, run_cp_async<CpAsyncBug::none>},
      {"no_wait", "cp_async_tile", "[copy not awaited]", __FILE__, run_cp_async<CpAsyncBug::no_wait>},
      {"no_barrier", "cp_async_tile", "[race]", __FILE__, run_cp_async<CpAsyncBug::no_barrier>},
      {"none", "refill", "", __FILE__, run_refill<RefillBug::none>},
      {"none", "refill_in_place", "", __FILE__, run_refill<RefillBug::none, true>},
      {"unfenced", "refill", "[missing proxy fence]", __FILE__, run_refill<RefillBug::unfenced>},
      {"unordered", "refill", "[stage overwritten]", __FILE__, run_refill<RefillBug::unordered>},
      {"store_reads", "refill_in_place", "[stage overwritten]", __FILE__, run_refill<RefillBug::store_reads, true>},
  };
}
