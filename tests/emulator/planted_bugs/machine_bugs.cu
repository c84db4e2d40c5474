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

}  // namespace

std::vector<Bug> machine_bugs() {
  return {
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
