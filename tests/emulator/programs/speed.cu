// How fast the emulator is, with all checks: the library's GEMM and addition, and CUB's reduction, against a loop of the host's that
// is timed in the same run. Times are those of the processor, the best of several, so others that keep the machine busy do not
// count. Each limit is two fifths of what was measured when it was written: hosts differ, and a change that costs more is seen.
#include <xmmintrin.h>

#include <algorithm>
#include <ckl/ckl.hpp>
#include <cstdint>
#include <ctime>
#include <cub/device/device_reduce.cuh>
#include <functional>
#include <vector>

#include "check.hpp"

namespace {

/// Seconds of the processor that `run` takes, the least of `times`.
double seconds_of(int times, const std::function<void()>& run) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  double best = 1e9;
  for (int i = 0; i < times; ++i) {
    const double begin = now();
    run();
    best = std::min(best, now() - begin);
  }
  return best;
}

/// Floating-point operations in a second of the host's loop: y = a * x + y in its L1 cache, four elements at a time.
double host_flops() {
  constexpr int n = 1024, rounds = 20000;
  alignas(16) static float x[n], y[n];
  const double seconds = seconds_of(9, [] {
    const __m128 a = _mm_set1_ps(0.5f);
    for (int round = 0; round < rounds; ++round) {
      for (int i = 0; i < n; i += 4)
        _mm_store_ps(y + i, _mm_add_ps(_mm_mul_ps(a, _mm_load_ps(x + i)), _mm_load_ps(y + i)));
      asm volatile("" ::: "memory");  // each round counts
    }
  });
  return 2.0 * n * rounds / seconds;
}

/// Memory of the device with the same value everywhere.
template <class T> T* filled(std::size_t count, T value) {
  T* memory = nullptr;
  CHECK_CUDA(cudaMalloc(&memory, count * sizeof(T)));
  const std::vector<T> host(count, value);
  CHECK_CUDA(cudaMemcpy(memory, host.data(), count * sizeof(T), cudaMemcpyHostToDevice));
  return memory;
}
template <class T> T last_of(const T* memory, std::size_t count) {
  T value{};
  CHECK_CUDA(cudaMemcpy(&value, memory + count - 1, sizeof(T), cudaMemcpyDeviceToHost));
  return value;
}

double gemm_flops() {
  const std::int64_t m = 1024, n = 1024, k = 512;
  constexpr std::uint16_t one = 0x3f80;  // in bf16
  auto *a = filled<std::uint16_t>(m * k, one), *b = filled<std::uint16_t>(n * k, one);
  auto* d = filled<std::uint16_t>(m * n, 0);
  const ckl::GemmArguments arguments{ckl::Tensor::row_major(a, ckl::DType::bf16, m, k),
                                     ckl::Tensor::column_major(b, ckl::DType::bf16, k, n),
                                     ckl::Tensor::row_major(d, ckl::DType::bf16, m, n)};
  const ckl::GemmPlan plan(ckl::gemm_problem(arguments));
  const double seconds = seconds_of(7, [&] { plan.run(a, b, nullptr, d); });
  CHECK(last_of(d, m * n) == 0x4400);  // 512
  return 2.0 * double(m) * double(n) * double(k) / seconds;
}

double add_flops() {
  const std::int64_t n = 16 << 20;
  auto *a = filled<float>(n, 1), *b = filled<float>(n, 2), *d = filled<float>(n, 0);
  const auto vector = [&](const float* data) { return ckl::Tensor::contiguous(data, ckl::DType::f32, {n}); };
  const double seconds = seconds_of(5, [&] { ckl::add(vector(a), vector(b), vector(d)); });
  CHECK(last_of(d, n) == 3);
  return double(n) / seconds;
}

double reduce_flops() {
  constexpr int n = 1 << 20;
  auto *in = filled<float>(n, 1), *out = filled<float>(1, 0);
  std::size_t scratch_bytes = 0;
  CHECK_CUDA(cub::DeviceReduce::Sum(nullptr, scratch_bytes, in, out, n));
  auto* scratch = filled<std::uint8_t>(scratch_bytes, 0);
  const double seconds = seconds_of(9, [&] { CHECK_CUDA(cub::DeviceReduce::Sum(scratch, scratch_bytes, in, out, n)); });
  CHECK(last_of(out, 1) == float(n));
  return double(n) / seconds;
}

bool is_slow = false;

void report(const char* what, double flops, double host, double least) {
  std::printf("%-32s %7.2f GFLOP/s, %.3g times the host's loop, at least %.3g is asked for\n", what, 1e-9 * flops,
              flops / host, least);
  is_slow = is_slow || !(flops >= least * host);
}

}  // namespace

int main() {
  const bool has_avx512 =
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::printf("The emulator's speed is not tested on a host without AVX2.\n");
    return 77;
  }
  const double host = host_flops();
  std::printf("%-32s %7.2f GFLOP/s\n", "y = a * x + y on the host", 1e-9 * host);
  report("gemm 1024x1024x512 bf16", gemm_flops(), host, has_avx512 ? 0.75 : 0.45);
  report("add of 16 Mi elements f32", add_flops(), host, 0.0044);
  report("cub::DeviceReduce of 1 Mi floats", reduce_flops(), host, 0.006);
  return is_slow;
}
