// Generic accesses to shared memory, of a CTA and of a cluster.
#include "bugs.hpp"
#include "ptx.cuh"

namespace {

enum class GenericBug { none, no_barrier, no_second_barrier, uninitialized, wrong_named_barrier, flag_without_release };

constexpr int threads = 128;

template <GenericBug bug> __global__ void sums(Buffers buffers) {
  __shared__ uint32_t parts[threads], total, flag;
  __shared__ uint32_t handed_over[32];
  const int i = threadIdx.x, warp = i / 32;
  if (bug != GenericBug::uninitialized || i != 77) parts[i] = buffers.in[i];  // @no_barrier
  if (i == 0) flag = 0;
  if (bug != GenericBug::no_barrier) __syncthreads();
  if (i == 0) {
    uint32_t sum = 0;
    for (int j = 0; j < threads; ++j) sum += parts[j];  // @no_barrier @no_second_barrier @uninitialized
    total = sum;
  }
  if (bug != GenericBug::no_second_barrier) __syncthreads();
  parts[i] = i;  // @no_second_barrier
  __syncthreads();

  // Warp 1 hands 32 numbers to warp 2, by a named barrier.
  if (warp == 1) {
    if (bug == GenericBug::wrong_named_barrier) named_arrive(2, 64);
    handed_over[i % 32] = total + i;  // @wrong_named_barrier
    named_arrive(1, 64);
  } else if (warp == 2) {
    named_sync(bug == GenericBug::wrong_named_barrier ? 2 : 1, 64);
    buffers.out[i] = handed_over[i % 32];
  } else if (warp == 3 && bug == GenericBug::wrong_named_barrier) {
    named_sync(1, 64);
    buffers.out[i] = handed_over[i % 32];
  }
  __syncthreads();

  // Warp 0 hands a number to warp 3, by a flag.
  if (i == 0) {
    handed_over[0] = total;  // @flag_without_release
    if (bug != GenericBug::flag_without_release) __threadfence_block();
    *static_cast<volatile uint32_t*>(&flag) = 1;
  } else if (i == 96) {
    while (*static_cast<volatile uint32_t*>(&flag) == 0) {}
    if (bug != GenericBug::flag_without_release) __threadfence_block();
    buffers.out[200] = handed_over[0];  // @flag_without_release
  }
}

template <GenericBug bug> void run_sums(Buffers buffers) { sums<bug><<<2, threads>>>(buffers); }

enum class ClusterBug { none, no_cluster_barrier, starts_too_early, exits_too_early, remote_arrival_at_exit };

template <ClusterBug bug> __global__ void __cluster_dims__(2, 1, 1) exchange(Buffers buffers) {
  __shared__ uint32_t box[threads];
  __shared__ uint64_t barrier;
  const int i = threadIdx.x;
  const uint32_t rank = cluster_rank(), peer = rank ^ 1;
  if (i == 0) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
  }
  if (bug != ClusterBug::starts_too_early) cluster_sync();
  remote_store(&box[i], peer, buffers.in[i] + rank);  // @starts_too_early
  if (bug != ClusterBug::no_cluster_barrier) cluster_sync();
  uint32_t sum = box[(i + 32) % threads];  // @no_cluster_barrier
  sum += remote_load(&box[i], peer);       // @exits_too_early
  if (bug != ClusterBug::exits_too_early) cluster_sync();
  if (i == 0) mbarrier_arrive_remote(&barrier, peer);  // @remote_arrival_at_exit
  if (bug != ClusterBug::remote_arrival_at_exit) mbarrier_wait(&barrier, 0);
  buffers.out[rank * threads + i] = sum;
}

template <ClusterBug bug> void run_exchange(Buffers buffers) { exchange<bug><<<4, threads>>>(buffers); }

enum class RemoteBug {
  none,
  no_wait_for_store,
  too_few_bytes,
  stored_twice,
  wrong_fence,
  no_wait_for_copy,
};

/// Data for the other CTA of the cluster, by st.async and by a bulk copy from shared memory to shared memory.
template <RemoteBug bug> __global__ void __cluster_dims__(2, 1, 1) mailbox(Buffers buffers) {
  __shared__ alignas(128) uint32_t box[threads], source[threads], copied[threads];
  __shared__ uint64_t stored, copy_done;
  const int i = threadIdx.x;
  const uint32_t peer = cluster_rank() ^ 1;
  if (i == 0) {
    mbarrier_init(&stored, 1);
    mbarrier_init(&copy_done, 1);
    fence_mbarrier_init();
    mbarrier_arrive_expect(&stored, bug == RemoteBug::too_few_bytes ? 2 * threads : 4 * threads);
    mbarrier_arrive_expect(&copy_done, 4 * threads);
  }
  source[i] = buffers.in[i];  // @wrong_fence
  if (bug == RemoteBug::wrong_fence)
    asm volatile("fence.proxy.async.global;" ::: "memory");
  else
    fence_proxy_async();
  cluster_sync();
  // @no_wait_for_store @too_few_bytes @stored_twice
  store_async(&box[i], peer, buffers.in[i] + 1, &stored);
  if (bug == RemoteBug::stored_twice && i == 7) remote_store(&box[i], peer, 0);  // @stored_twice
  // @wrong_fence @no_wait_for_copy
  if (i == 0) copy_to_peer(copied, peer, source, 4 * threads, &copy_done);
  if (bug != RemoteBug::no_wait_for_store) mbarrier_wait(&stored, 0);
  uint32_t sum = box[threads - 1 - i];  // @no_wait_for_store @too_few_bytes
  if (bug != RemoteBug::no_wait_for_copy) mbarrier_wait(&copy_done, 0);
  sum += copied[i];  // @no_wait_for_copy
  cluster_sync();
  buffers.out[blockIdx.x * threads + i] = sum;
}

template <RemoteBug bug> void run_mailbox(Buffers buffers) { mailbox<bug><<<2, threads>>>(buffers); }

}  // namespace

std::vector<Bug> generic_bugs() {
  return {
      {"none", "mailbox", "", __FILE__, run_mailbox<RemoteBug::none>},
      {"no_wait_for_store", "mailbox", "[copy not awaited]", __FILE__, run_mailbox<RemoteBug::no_wait_for_store>},
      {"too_few_bytes", "mailbox", "[copy not awaited]", __FILE__, run_mailbox<RemoteBug::too_few_bytes>},
      {"stored_twice", "mailbox", "[stage overwritten]", __FILE__, run_mailbox<RemoteBug::stored_twice>},
      {"wrong_fence", "mailbox", "[missing proxy fence]", __FILE__, run_mailbox<RemoteBug::wrong_fence>},
      {"no_wait_for_copy", "mailbox", "[copy not awaited]", __FILE__, run_mailbox<RemoteBug::no_wait_for_copy>},
      {"none", "sums", "", __FILE__, run_sums<GenericBug::none>},
      {"no_barrier", "sums", "[race]", __FILE__, run_sums<GenericBug::no_barrier>},
      {"no_second_barrier", "sums", "[race]", __FILE__, run_sums<GenericBug::no_second_barrier>},
      {"uninitialized", "sums", "[uninitialized read]", __FILE__, run_sums<GenericBug::uninitialized>},
      {"wrong_named_barrier", "sums", "[race]", __FILE__, run_sums<GenericBug::wrong_named_barrier>},
      {"flag_without_release", "sums", "[race]", __FILE__, run_sums<GenericBug::flag_without_release>},
      {"none", "exchange", "", __FILE__, run_exchange<ClusterBug::none>},
      {"no_cluster_barrier", "exchange", "[race]", __FILE__, run_exchange<ClusterBug::no_cluster_barrier>},
      {"starts_too_early", "exchange", "[remote CTA]", __FILE__, run_exchange<ClusterBug::starts_too_early>},
      {"exits_too_early", "exchange", "[remote CTA]", __FILE__, run_exchange<ClusterBug::exits_too_early>},
      {"remote_arrival_at_exit", "exchange", "[remote CTA]", __FILE__,
       run_exchange<ClusterBug::remote_arrival_at_exit>},
  };
}
