// What the machine itself finds: addresses, convergence, resources, deadlocks.
#include "bugs.hpp"
#include "ptx.cuh"

namespace {

enum class MachineBug {
  none,
  out_of_bounds,
  shared_out_of_bounds,
  misaligned,
  uninitialized_global,
  diverged_barrier,
  too_many_bytes,
  register_pool,
};

template <MachineBug bug> __global__ void __launch_bounds__(256) mixed(Buffers buffers, const uint32_t* fresh) {
  __shared__ uint32_t tile[64];
  __shared__ uint64_t barrier;
  __shared__ alignas(16) uint32_t loaded[64];
  const int i = threadIdx.x;
  if (i < 64) tile[i] = buffers.in[i];
  if (i == 0) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
  }
  __syncthreads();
  if (bug == MachineBug::out_of_bounds && i == 5) buffers.out[1 << 16] = 1;  // @out_of_bounds
  if (bug == MachineBug::shared_out_of_bounds && i == 5) {
    asm volatile("st.shared.u32 [%0], 1;" ::"r"(shared_address(tile) + (1 << 17)) : "memory");  // @shared_out_of_bounds
  }
  if (bug == MachineBug::misaligned && i == 5) {
    asm volatile("st.shared.u32 [%0], 1;" ::"r"(shared_address(tile) + 2) : "memory");  // @misaligned
  }
  if (bug == MachineBug::uninitialized_global && i == 5) buffers.out[0] = fresh[3];  // @uninitialized_global
  if (bug == MachineBug::diverged_barrier) {
    if (i % 32 < 16) {
      asm volatile("bar.sync 0;" ::: "memory");  // @diverged_barrier
    }
  }
  if (bug == MachineBug::register_pool) {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 240;" ::: "memory");  // @register_pool
  }
  if (i == 0) {
    mbarrier_arrive_expect(&barrier, bug == MachineBug::too_many_bytes ? 512 : 256);
    bulk_load(loaded, buffers.in, 256, &barrier);
  }
  mbarrier_wait(&barrier, 0);  // @too_many_bytes
  if (i < 64) buffers.out[i] = loaded[i] + tile[63 - i];
}

template <MachineBug bug> void run_mixed(Buffers buffers) {
  uint32_t* fresh = nullptr;
  cudaMalloc(&fresh, 256);
  mixed<bug><<<2, 256>>>(buffers, fresh);
}

enum class WarpBug {
  none,
  member_missing,
  not_a_member,
  guarded,
  second_arrival,
  wait_without_arrival,
  partial_count,
  count_differs
};

/// What the threads of a warp, a CTA and a cluster do together.
template <WarpBug bug> __global__ void __cluster_dims__(2, 1, 1) together(Buffers buffers) {
  const int i = threadIdx.x;
  uint32_t value = buffers.in[i];
  // Tiles of 8 lanes add up their values, each with members of its own.
  uint32_t members = 0xffu << (i & 24);
  if (bug == WarpBug::not_a_member && i == 9) members = 0xff;
  value = __reduce_add_sync(members, value);  // @not_a_member
  if (bug == WarpBug::member_missing) {
    if (i % 32 != 3) value += __shfl_xor_sync(0xffffffff, value, 1);  // @member_missing
  } else {
    value += __shfl_xor_sync(0xffffffff, value, 1);
  }
  if (bug == WarpBug::guarded) {
    // @guarded
    asm volatile("{ .reg .pred p; setp.lt.u32 p, %0, 16; @p bar.warp.sync -1; }" ::"r"(i % 32) : "memory");
  }
  // Warp 0 hands over to warp 1, warps 2 and 3 do not take part.
  constexpr int arriving = bug == WarpBug::partial_count ? 96 : 64;
  constexpr int waiting = bug == WarpBug::count_differs ? 128 : arriving;
  if (i < 32) named_arrive(1, arriving);
  if (i >= 32 && i < 64) named_sync(1, waiting);  // @partial_count @count_differs
  if (bug != WarpBug::wait_without_arrival) asm volatile("barrier.cluster.arrive.aligned;" ::: "memory");
  if (bug == WarpBug::second_arrival) asm volatile("barrier.cluster.arrive.aligned;" ::: "memory");  // @second_arrival
  asm volatile("barrier.cluster.wait.aligned;" ::: "memory");  // @wait_without_arrival
  buffers.out[blockIdx.x * 128 + i] = value;
}

template <WarpBug bug> void run_together(Buffers buffers) { together<bug><<<2, 128>>>(buffers); }

}  // namespace

std::vector<Bug> machine_bugs() {
  return {
      {"none", "together", "", __FILE__, run_together<WarpBug::none>},
      {"member_missing", "together", "deadlock", __FILE__, run_together<WarpBug::member_missing>},
      {"not_a_member", "together", "do not belong", __FILE__, run_together<WarpBug::not_a_member>},
      {"guarded", "together", "guard is false", __FILE__, run_together<WarpBug::guarded>},
      {"second_arrival", "together", "a second time", __FILE__, run_together<WarpBug::second_arrival>},
      {"wait_without_arrival", "together", "have not arrived", __FILE__, run_together<WarpBug::wait_without_arrival>},
      {"partial_count", "together", "deadlock", __FILE__, run_together<WarpBug::partial_count>},
      {"count_differs", "together", "waits for 64 threads", __FILE__, run_together<WarpBug::count_differs>},
      {"none", "mixed", "", __FILE__, run_mixed<MachineBug::none>},
      {"out_of_bounds", "mixed", "bound", __FILE__, run_mixed<MachineBug::out_of_bounds>},
      {"shared_out_of_bounds", "mixed", "", __FILE__, run_mixed<MachineBug::shared_out_of_bounds>},
      {"misaligned", "mixed", "align", __FILE__, run_mixed<MachineBug::misaligned>},
      {"uninitialized_global", "mixed", "uninitialized", __FILE__, run_mixed<MachineBug::uninitialized_global>},
      {"diverged_barrier", "mixed", "", __FILE__, run_mixed<MachineBug::diverged_barrier>},
      {"too_many_bytes", "mixed", "eadlock", __FILE__, run_mixed<MachineBug::too_many_bytes>},
      {"register_pool", "mixed", "setmaxnreg", __FILE__, run_mixed<MachineBug::register_pool>},
  };
}
