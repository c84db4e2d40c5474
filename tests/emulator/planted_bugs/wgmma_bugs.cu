// wgmma: operands written by threads or loaded by bulk copies, accumulators in registers.
#include "bugs.hpp"
#include "ptx.cuh"

namespace {

enum class WgmmaBug {
  none,
  no_proxy_fence,
  operand_overwritten,
  accumulators_read,
  accumulators_written,
  a_written,
  no_fence,
  early_release,
  at_exit,
  operands_differ,
};

constexpr int a_bytes = 64 * 16 * 2, b_bytes = 8 * 16 * 2;

template <WgmmaBug bug> __global__ void multiply(Buffers buffers) {
  __shared__ alignas(128) uint32_t a[a_bytes / 4], b[b_bytes / 4];
  const int i = threadIdx.x;
  for (int j = i; j < a_bytes / 4; j += 128) a[j] = buffers.in[j];  // @no_proxy_fence
  if (i < b_bytes / 4) b[i] = buffers.in[i];
  if (bug != WgmmaBug::no_proxy_fence) fence_proxy_async();
  __syncthreads();

  float d[4] = {0, 0, 0, 0};
  if (bug != WgmmaBug::no_fence) wgmma_fence();
  const uint32_t* second = bug == WgmmaBug::operands_differ && i >= 96 ? a : b;
  wgmma(d, a, second);  // @no_proxy_fence @operand_overwritten @no_fence @at_exit
  wgmma_commit();       // @operands_differ
  if (bug == WgmmaBug::at_exit) return;
  if (bug == WgmmaBug::operand_overwritten) {
    __syncthreads();
    b[0] = 0;  // @operand_overwritten
  }
  if (bug == WgmmaBug::accumulators_read) {
    float early;
    asm volatile("mov.f32 %0, %1;" : "=f"(early) : "f"(d[1]) : "memory");  // @accumulators_read
    buffers.out[1000 + i] = __float_as_uint(early);
  }
  if (bug == WgmmaBug::accumulators_written) {
    asm volatile("mov.f32 %0, 0f00000000;" : "+f"(d[1])::"memory");  // @accumulators_written
  }
  wgmma_wait();

  uint32_t fragment[4] = {a[i], a[i + 128], a[i + 256], a[i + 384]};
  wgmma_fence();
  wgmma(d, fragment, b);
  wgmma_commit();
  if (bug == WgmmaBug::a_written) {
    asm volatile("mov.b32 %0, 0;" : "+r"(fragment[2])::"memory");  // @a_written
  }
  wgmma_wait();
  for (int j = 0; j < 4; ++j)
    buffers.out[4 * i + j] = __float_as_uint(d[j]) + (bug == WgmmaBug::a_written ? fragment[2] : 0);
}

template <WgmmaBug bug> void run_multiply(Buffers buffers) { multiply<bug><<<2, 128>>>(buffers); }

/// A warp loads, a warpgroup multiplies: one stage.
template <WgmmaBug bug> __global__ void multiply_loaded(Buffers buffers) {
  __shared__ alignas(128) uint32_t stage[(a_bytes + b_bytes) / 4];
  __shared__ uint64_t full, empty;
  constexpr int tiles = 4;
  if (threadIdx.x == 0) {
    mbarrier_init(&full, 1);
    mbarrier_init(&empty, 4);
    fence_mbarrier_init();
  }
  __syncthreads();
  if (threadIdx.x >= 128) {
    if (threadIdx.x == 128) {
      for (int t = 0; t < tiles; ++t) {
        if (t > 0) mbarrier_wait(&empty, (t - 1) & 1);
        mbarrier_arrive_expect(&full, a_bytes + b_bytes);
        bulk_load(stage, buffers.in + 64 * t, a_bytes + b_bytes, &full);  // @early_release
      }
    }
    return;
  }
  float d[4] = {0, 0, 0, 0};
  for (int t = 0; t < tiles; ++t) {
    mbarrier_wait(&full, t & 1);
    __syncwarp();
    wgmma_fence();
    wgmma(d, stage, stage + a_bytes / 4);  // @early_release
    wgmma_commit();
    if (bug != WgmmaBug::early_release) wgmma_wait();
    if (threadIdx.x % 32 == 0) mbarrier_arrive(&empty);
    if (bug == WgmmaBug::early_release) wgmma_wait();
  }
  for (int j = 0; j < 4; ++j) buffers.out[4 * threadIdx.x + j] = __float_as_uint(d[j]);
}

template <WgmmaBug bug> void run_multiply_loaded(Buffers buffers) { multiply_loaded<bug><<<2, 160>>>(buffers); }

}  // namespace

std::vector<Bug> wgmma_bugs() {
  return {
      {"none", "multiply", "", __FILE__, run_multiply<WgmmaBug::none>},
      {"no_proxy_fence", "multiply", "[missing proxy fence]", __FILE__, run_multiply<WgmmaBug::no_proxy_fence>},
      {"operand_overwritten", "multiply", "[stage overwritten]", __FILE__, run_multiply<WgmmaBug::operand_overwritten>},
      {"accumulators_read", "multiply", "[registers in flight]", __FILE__, run_multiply<WgmmaBug::accumulators_read>},
      {"accumulators_written", "multiply", "[registers in flight]", __FILE__,
       run_multiply<WgmmaBug::accumulators_written>},
      {"a_written", "multiply", "[registers in flight]", __FILE__, run_multiply<WgmmaBug::a_written>},
      {"no_fence", "multiply", "[missing wgmma.fence]", __FILE__, run_multiply<WgmmaBug::no_fence>},
      {"operands_differ", "multiply", "[wgmma mismatch]", __FILE__, run_multiply<WgmmaBug::operands_differ>},
      {"at_exit", "multiply", "[unfinished at exit]", __FILE__, run_multiply<WgmmaBug::at_exit>},
      {"none", "multiply_loaded", "", __FILE__, run_multiply_loaded<WgmmaBug::none>},
      {"early_release", "multiply_loaded", "[stage overwritten]", __FILE__,
       run_multiply_loaded<WgmmaBug::early_release>},
  };
}
