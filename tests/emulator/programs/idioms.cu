// Idioms of correct kernels, in none of which anything may be reported, in any mode: cooperative groups, a reduction over a cluster,
// counters that reset themselves, a barrier of the grid, spin locks, a cp.async pipeline, fix-ups in global memory, and what
// softmax, norms and elementwise functors are made of. Results are compared with the host's arithmetic.
#include <cmath>
#include <vector>

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cuda/atomic>
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_pipeline.h>

#include "check.hpp"

namespace cg = cooperative_groups;

constexpr int threads = 128, columns = 1000;

/// Rows of `columns` numbers: softmax, and the mean and the deviation, by a CTA each.
__global__ void softmax(const float* in, float* out, float* moments) {
  __shared__ float parts[threads / 32][3];
  const float* row = in + blockIdx.x * columns;
  const auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  float largest = -INFINITY, sum = 0, squares = 0;
  for (int i = threadIdx.x; i < columns; i += threads) {
    largest = fmaxf(largest, row[i]);
    sum += row[i];
    squares = fmaf(row[i], row[i], squares);
  }
  largest = cg::reduce(warp, largest, cg::greater<float>());
  sum = cg::reduce(warp, sum, cg::plus<float>());
  squares = cg::reduce(warp, squares, cg::plus<float>());
  if (warp.thread_rank() == 0) {
    parts[warp.meta_group_rank()][0] = largest;
    parts[warp.meta_group_rank()][1] = sum;
    parts[warp.meta_group_rank()][2] = squares;
  }
  __syncthreads();
  sum = squares = 0;
  for (int w = 0; w < threads / 32; ++w) {
    largest = fmaxf(largest, parts[w][0]);
    sum += parts[w][1];
    squares += parts[w][2];
  }
  if (threadIdx.x == 0) {
    const float mean = sum / columns;
    moments[2 * blockIdx.x] = mean;
    moments[2 * blockIdx.x + 1] = rsqrtf(squares / columns - mean * mean + 1e-5f);
  }
  float total = 0;
  for (int i = threadIdx.x; i < columns; i += threads) total += __expf(row[i] - largest);
  total = cg::reduce(warp, total, cg::plus<float>());
  __syncthreads();
  if (warp.thread_rank() == 0) parts[warp.meta_group_rank()][0] = total;
  __syncthreads();
  total = parts[0][0] + parts[1][0] + parts[2][0] + parts[3][0];
  for (int i = threadIdx.x; i < columns; i += threads) out[blockIdx.x * columns + i] = __expf(row[i] - largest) / total;
}

/// tanh, GELU, a sigmoid, and roundings to bf16 and fp8 and back.
__global__ void functors(const float* in, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float x = in[i];
  out[4 * i] = tanhf(x);
  out[4 * i + 1] = 0.5f * x * (1 + erff(x * 0.70710678f));
  out[4 * i + 2] = __fdividef(1, 1 + __expf(-x));
  out[4 * i + 3] = __bfloat162float(__float2bfloat16(x)) + float(__nv_fp8_e4m3(x));
}

/// The sum over a cluster through distributed shared memory; the last cluster adds up and resets the counter.
__global__ void __cluster_dims__(4, 1, 1) sum_up(const float* in, float* parts, unsigned* counter, float* out, int n) {
  __shared__ float mine;
  __shared__ bool is_last;
  const auto cluster = cg::this_cluster();
  const auto block = cg::this_thread_block();
  if (threadIdx.x == 0) mine = 0;
  block.sync();
  float sum = 0;
  for (int i = blockIdx.x * threads + threadIdx.x; i < n; i += gridDim.x * threads) sum += in[i];
  sum = cg::reduce(cg::tiled_partition<32>(block), sum, cg::plus<float>());
  if (threadIdx.x % 32 == 0) atomicAdd(&mine, sum);
  cluster.sync();
  if (cluster.block_rank() == 0 && threadIdx.x == 0) {
    float all = 0;
    for (unsigned r = 0; r < cluster.num_blocks(); ++r) all += *cluster.map_shared_rank(&mine, r);
    parts[blockIdx.x / 4] = all;
    cuda::atomic_ref<unsigned, cuda::thread_scope_device> count(*counter);
    is_last = count.fetch_add(1, cuda::memory_order_acq_rel) == gridDim.x / 4 - 1;
    if (is_last) {
      float total = 0;
      for (unsigned c = 0; c < gridDim.x / 4; ++c) total += parts[c];
      *out += total;
      count.store(0, cuda::memory_order_relaxed);
    }
  }
  cluster.sync();
}

/// Four stages of cp.async; then each CTA but the first adds its part to what the one before it has left, as stream-K does.
__global__ void pipeline_and_fixup(const float4* in, float* partial, unsigned* flags, float* out, int tiles) {
  constexpr int stages = 4;
  __shared__ float4 stage[stages][threads];
  const int i = threadIdx.x, first = blockIdx.x * tiles;
  const auto load = [&](int t) {
    if (t < tiles) __pipeline_memcpy_async(&stage[t % stages][i], in + (first + t) * threads + i, 16);
    __pipeline_commit();
  };
  for (int t = 0; t < stages - 1; ++t) load(t);
  float sum = 0;
  for (int t = 0; t < tiles; ++t) {
    __pipeline_wait_prior(stages - 2);
    __syncthreads();
    const float4 value = stage[t % stages][threads - 1 - i];
    sum += value.x + value.y + value.z + value.w;
    load(t + stages - 1);
  }
  if (blockIdx.x > 0) {
    if (i == 0)
      while (cuda::atomic_ref<unsigned, cuda::thread_scope_device>(flags[blockIdx.x - 1])
                 .load(cuda::memory_order_acquire) == 0) {}
    __syncthreads();
    sum += partial[(blockIdx.x - 1) * threads + i];
  }
  if (blockIdx.x == gridDim.x - 1) {
    out[i] = sum;
    return;
  }
  partial[blockIdx.x * threads + i] = sum;
  __threadfence();
  __syncthreads();
  if (i == 0)
    cuda::atomic_ref<unsigned, cuda::thread_scope_device>(flags[blockIdx.x]).store(1, cuda::memory_order_release);
}

/// All CTAs meet twice; between, lanes of one warp take a lock one after the other, and go round as often as their number says.
__global__ void meet(unsigned* arrived, unsigned* lock, unsigned* count, unsigned* out) {
  const auto barrier = [&](unsigned phase) {
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();
      atomicAdd(arrived, 1);
      while (*static_cast<volatile unsigned*>(arrived) < phase * gridDim.x) {}
      __threadfence();
    }
    __syncthreads();
  };
  barrier(1);
  for (bool done = false; !done;) {
    if (atomicCAS(lock, 0, 1) == 0) {
      __threadfence();
      *static_cast<volatile unsigned*>(count) += threadIdx.x;
      __threadfence();
      atomicExch(lock, 0);
      done = true;
    }
  }
  unsigned rounds = 0;
  for (unsigned n = threadIdx.x; n > 1; n = n % 2 ? 3 * n + 1 : n / 2) ++rounds;
  barrier(2);
  out[blockIdx.x * blockDim.x + threadIdx.x] = *static_cast<volatile unsigned*>(count) + rounds;
}

bool is_close(double found, double expected, double tolerance, const char* what) {
  if (std::fabs(found - expected) <= tolerance * (1 + std::fabs(expected))) return true;
  std::printf("%s: %g, not %g\n", what, found, expected);
  return false;
}

template <class T> T* device_copy(const std::vector<T>& values) {
  T* at = nullptr;
  CHECK_CUDA(cudaMalloc(&at, values.size() * sizeof(T)));
  CHECK_CUDA(cudaMemcpy(at, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return at;
}
template <class T> std::vector<T> host_copy(const T* at, size_t n) {
  std::vector<T> values(n);
  CHECK_CUDA(cudaMemcpy(values.data(), at, n * sizeof(T), cudaMemcpyDeviceToHost));
  return values;
}

int main() {
  constexpr int rows = 8, n = rows * columns;
  std::vector<float> numbers(n);
  for (int i = 0; i < n; ++i) numbers[i] = static_cast<float>((i * 7919 % 2003) - 1001) / 300;
  const float* in = device_copy(numbers);
  float* out = device_copy(std::vector<float>(4 * n));
  float* moments = device_copy(std::vector<float>(2 * rows));

  softmax<<<rows, threads>>>(in, out, moments);
  const auto soft = host_copy(out, n), moment = host_copy(moments, 2 * rows);
  for (int r = 0; r < rows; ++r) {
    double total = 0, sum = 0, squares = 0;
    for (int i = 0; i < columns; ++i) {
      const double x = numbers[r * columns + i];
      total += std::exp(x), sum += x, squares += x * x;
    }
    const double mean = sum / columns;
    CHECK(is_close(moment[2 * r], mean, 1e-5, "mean"));
    CHECK(is_close(moment[2 * r + 1], 1 / std::sqrt(squares / columns - mean * mean + 1e-5), 1e-4, "deviation"));
    for (int i = 0; i < columns; ++i)
      CHECK(is_close(soft[r * columns + i] * 1000, 1000 * std::exp(double{numbers[r * columns + i]}) / total, 1e-4,
                     "softmax"));
  }

  functors<<<(n + 255) / 256, 256>>>(in, out, n);
  const auto results = host_copy(out, 4 * n);
  for (int i = 0; i < n; ++i) {
    const double x = numbers[i];
    CHECK(is_close(results[4 * i], std::tanh(x), 1e-5, "tanh"));
    CHECK(is_close(results[4 * i + 1], 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))), 1e-5, "GELU"));
    CHECK(is_close(results[4 * i + 2], 1 / (1 + std::exp(-x)), 1e-5, "sigmoid"));
    CHECK(is_close(results[4 * i + 3], 2 * x, 0.05, "roundings"));
  }

  float* parts = device_copy(std::vector<float>(4));
  float* total = device_copy(std::vector<float>(1));
  unsigned* counter = device_copy(std::vector<unsigned>(1));
  for (int launch = 0; launch < 2; ++launch) sum_up<<<16, threads>>>(in, parts, counter, total, n);
  double sum = 0;
  for (const float x : numbers) sum += x;
  CHECK(is_close(host_copy(total, 1)[0], 2 * sum, 1e-3, "sum over clusters"));

  constexpr int blocks = 5, tiles = 3;
  std::vector<float> wide(blocks * tiles * threads * 4);
  std::vector<double> expected(threads);
  for (size_t i = 0; i < wide.size(); ++i) {
    wide[i] = static_cast<float>(i % 251);
    expected[threads - 1 - i / 4 % threads] += wide[i];
  }
  float* partial = device_copy(std::vector<float>(blocks * threads));
  unsigned* flags = device_copy(std::vector<unsigned>(blocks));
  pipeline_and_fixup<<<blocks, threads>>>(reinterpret_cast<const float4*>(device_copy(wide)), partial, flags, out,
                                          tiles);
  const auto sums = host_copy(out, threads);
  for (int i = 0; i < threads; ++i) CHECK(is_close(sums[i], expected[i], 0, "pipeline"));

  unsigned* words = device_copy(std::vector<unsigned>(3));
  unsigned* met = device_copy(std::vector<unsigned>(6 * 40));
  meet<<<6, 40>>>(words, words + 1, words + 2, met);
  const auto counts = host_copy(met, 6 * 40);
  for (int i = 0; i < 6 * 40; ++i) {
    unsigned rounds = 0;
    for (unsigned k = i % 40; k > 1; k = k % 2 ? 3 * k + 1 : k / 2) ++rounds;
    CHECK(counts[i] == 6 * 780 + rounds);
  }

  // Programmatic launch: the second kernel may start before the first one ends.
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(rows);
  config.blockDim = dim3(threads);
  config.attrs = &attribute;
  config.numAttrs = 1;
  CHECK_CUDA(cudaLaunchKernelEx(&config, softmax, in, out, moments));
  CHECK_CUDA(cudaDeviceSynchronize());
  return 0;
}
