// What nvcc makes of the language's features; features.ptx is its output (CUDA 13.0):
//   nvcc -arch=sm_90a -lineinfo -ptx features.cu
// with the paths of headers cut to their names.
#include <cassert>
#include <cstdio>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

__constant__ int table[4] = {1, 2, 3, 4};
__constant__ float factors[3] = {1.f, 2.5f, -3.f};
__device__ int counter = 5;
__device__ const char* names[3] = {"a", "bb", "ccc"};
__managed__ int managed = 7;

typedef int (*Function)(int);
__device__ __noinline__ int plus_one(int a) { return a + 1; }
__device__ __noinline__ int triple(int a) { return a * 3; }
__device__ Function functions[2] = {plus_one, triple};
struct Mixed {
  char c;
  Function function;
};
__device__ Mixed mixed[2] = {{1, plus_one}, {2, triple}};

struct Large {
  int a[10];
  double d;
};
__device__ __noinline__ Large by_value(Large b, int i) {
  b.a[i] = 7;
  b.d *= 2;
  return b;
}

struct Base {
  __device__ virtual int f(int) { return 1; }
  int z;
};
struct Derived : Base {
  __device__ int f(int a) override { return a * z; }
};

__device__ __noinline__ int fibonacci(int n) { return n < 2 ? 1 : fibonacci(n - 1) + fibonacci(n - 2); }

__global__ void calls(int* out, int n, Large large) {
  Derived derived;
  derived.z = n;
  Base* base = n > 3 ? &derived : new Base;
  out[0] = functions[n & 1](n) + base->f(n) + fibonacci(n) + mixed[n & 1].function(n) + managed;
  const Large result = by_value(large, n);
  out[1] = result.a[3];
  printf("n %d d %f %s\n", n, result.d, names[n % 3]);
  assert(n < 100);
}

__global__ void __launch_bounds__(128, 2) memory(int* out, int n) {
  int a[64];
  for (int i = 0; i < 64; i++) a[i] = out[i];
  for (int i = 0; i < n; i++) a[a[i] & 63] += i;
  __shared__ int s[32];
  extern __shared__ double dynamic[];
  s[threadIdx.x] = n + counter + table[n & 3];
  __syncthreads();
  dynamic[n] = s[n] * factors[n % 3];
  out[3] = a[n] + int(dynamic[n - 1]);
  if (n == 77) __trap();
}

__global__ void __cluster_dims__(2, 1, 1)
    conversions(__nv_fp8_e4m3* o, float* f, __half2* h, __nv_bfloat16* b, unsigned __int128* wide) {
  o[0] = __nv_fp8_e4m3(f[0]);
  f[1] = float(o[1]);
  h[0] = __hfma2(h[1], h[2], h[3]);
  b[0] = b[1] * b[2] + b[3];
  *reinterpret_cast<__nv_fp8x2_e5m2*>(o + 4) = __nv_fp8x2_e5m2(make_float2(f[0], f[1]));
  wide[0] = wide[1] * wide[2] + (wide[3] >> 7);
}

__device__ void wait(unsigned barrier, unsigned parity) {
  asm volatile(
      "{\n"
      ".reg .pred P1;\n"
      "LAB_WAIT:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 P1, [%0], %1;\n"
      "@P1 bra DONE;\n"
      "bra LAB_WAIT;\n"
      "DONE:\n"
      "}" ::"r"(barrier),
      "r"(parity));
}

__global__ void inline_assembly(unsigned* o, const void* map, unsigned long long policy) {
  wait(o[0], 0);
  wait(o[1], 1);
  unsigned leader;
  asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p; }" : "=r"(leader));
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
      " [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(o[2]),
      "l"(map), "r"(o[3]), "r"(o[4]), "r"(o[5]), "l"(policy)
      : "memory");
  asm volatile(
      "mbarrier.arrive\n"
      "  .shared::cta\n"
      "  .b64 _, [%0];" ::"r"(o[6]));
  o[7] = leader;
}

__global__ void warps(int* o) {
  int v = o[threadIdx.x], p;
  v += __shfl_xor_sync(~0u, v, 1) + int(__ballot_sync(~0u, v > 3)) + __reduce_add_sync(~0u, v);
  v += int(__match_any_sync(~0u, v)) + int(__match_all_sync(~0u, v, &p));
  v += __popc(v) + __clz(v) + __ffs(v) + int(__brev(v)) + int(__byte_perm(v, p, 0x3210)) + __dp4a(v, p, 3);
  v += atomicCAS(o, v, p);
  __nanosleep(100);
  __threadfence();
  if (v == 3) return;
  o[threadIdx.x] = v + int(__activemask()) + int(clock());
}
