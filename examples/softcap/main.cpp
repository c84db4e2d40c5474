// Attention scores with a soft cap and a causal mask, fused into the product that computes them.
#include <ckl/ckl.hpp>
#include <ckl/gemm_module.hpp>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "softcap.hpp"

extern const ckl::GemmModule softcap_module;  // made by ckl_add_module

namespace {

/// Small numbers that bf16 holds exactly.
float value(std::int64_t i) { return float(i * 7919 % 17 - 8) / 8; }

std::uint16_t bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return std::uint16_t(bits >> 16);
}

float number(std::uint16_t bf16) {
  const std::uint32_t bits = std::uint32_t(bf16) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

void* to_device(std::int64_t count, std::int64_t first) {
  std::vector<std::uint16_t> values(count);
  for (std::int64_t i = 0; i < count; ++i) values[i] = bf16(value(first + i));
  void* data = nullptr;
  cudaMalloc(&data, count * 2);
  cudaMemcpy(data, values.data(), count * 2, cudaMemcpyHostToDevice);
  return data;
}

/// `count` numbers of type f32 or bf16.
std::vector<float> from_device(const void* data, ckl::DType type, std::int64_t count) {
  std::vector<float> values(count);
  std::vector<std::uint16_t> halves(count);
  const bool wide = type == ckl::DType::f32;
  cudaMemcpy(wide ? static_cast<void*>(values.data()) : halves.data(), data, count * (wide ? 4 : 2),
             cudaMemcpyDeviceToHost);
  for (std::int64_t i = 0; i < count && !wide; ++i) values[i] = number(halves[i]);
  return values;
}

/// Computes m x n scores of type f32 or bf16 and compares them with double precision.
bool scores_are_right(ckl::DType type, std::int64_t m, std::int64_t n, std::int64_t k) {
  void *q = to_device(m * k, 0), *key = to_device(n * k, 5), *d = nullptr;
  cudaMalloc(&d, m * n * 4);
  ckl::GemmProblem problem = ckl::gemm_problem({ckl::Tensor::row_major(q, ckl::DType::bf16, m, k),
                                                ckl::Tensor::column_major(key, ckl::DType::bf16, k, n),
                                                ckl::Tensor::row_major(d, type, m, n)});
  problem.alpha = 0.5f;
  const SoftcapParams params{2.0f, int(n - m) + 1};

  ckl::GemmModulePlan plan(problem, softcap_module);
  void* workspace = nullptr;
  cudaMalloc(&workspace, plan.workspace_bytes() + 1);
  cudaMemset(workspace, 0, plan.workspace_bytes());
  ckl::GemmPointers pointers;
  pointers.a = q, pointers.b = key, pointers.d = d;
  plan.run(pointers, params, workspace);

  const std::vector<float> result = from_device(d, type, m * n);
  const double rounding = type == ckl::DType::f32 ? 0 : 1.0 / 256;  // relative
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t l = 0; l < k; ++l) sum += double(value(i * k + l)) * value(5 + j * k + l);
      const double want = j < i + params.visible ? params.cap * std::tanh(0.5 * sum / params.cap)
                                                 : -std::numeric_limits<double>::infinity();
      const double got = result[i * n + j];
      if (got == want || std::abs(got - want) <= 1e-5 + rounding * std::abs(want)) continue;
      std::fprintf(stderr, "(%d, %d) is %g, not %g\n", int(i), int(j), got, want);
      return false;
    }
  std::printf("%d x %d scores are right, by %s\n", int(m), int(n), plan.config().c_str());
  return true;
}

}  // namespace

int main() {
  if (!ckl::supported(0)) {
    std::fprintf(stderr, "This example needs a Hopper GPU (H100, H200), or the emulator.\n");
    return 77;
  }
  try {
    for (const ckl::DType type : {ckl::DType::f32, ckl::DType::bf16})
      if (!scores_are_right(type, 72, 136, 64) || !scores_are_right(type, 67, 131, 33) ||
          !scores_are_right(type, 64, 72, 1000))
        return 1;
    return 0;
  } catch (const ckl::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
