// The mean magnitude of a tensor's outliers, along rows, along columns and of all elements: a reduction that the library does not have.
#include <ckl/ckl.hpp>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "outliers.hpp"

extern const ckl::Module outliers_module;  // made by ckl_add_module

namespace {

/// Numbers between -8 and 8 that bf16 holds exactly.
float value(std::int64_t i) { return float(i * 7919 % 257 - 128) / 16; }

std::uint16_t bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return std::uint16_t(bits >> 16);
}

/// Reduces a rows x columns matrix, whose rows lie `stride` apart, along `axes`, and compares with double precision.
bool means_are_right(std::int64_t rows, std::int64_t columns, std::int64_t stride, std::vector<int> axes) {
  std::vector<std::uint16_t> host(rows * stride);
  for (std::int64_t i = 0; i < rows * stride; ++i) host[i] = bf16(value(i));
  const bool by_row = axes == std::vector<int>{1}, by_column = axes == std::vector<int>{0};
  const std::int64_t outputs = by_row ? rows : by_column ? columns : 1;
  void *x = nullptr, *y = nullptr, *workspace = nullptr;
  cudaMalloc(&x, host.size() * 2);
  cudaMalloc(&y, outputs * 4);
  cudaMemcpy(x, host.data(), host.size() * 2, cudaMemcpyHostToDevice);

  ckl::Tensor matrix = ckl::Tensor::row_major(x, ckl::DType::bf16, rows, columns);
  matrix.strides[0] = stride;
  const ckl::Tensor means = outputs == 1 ? ckl::Tensor::contiguous(y, ckl::DType::f32, {})
                                         : ckl::Tensor::contiguous(y, ckl::DType::f32, {outputs});
  const ckl::ReduceProblem problem = ckl::reduce_problem({ckl::ReduceOp::custom, matrix, means, axes});
  const OutliersParams params{4.0f};
  for (const std::string& config : ckl::reduce_candidates(problem, outliers_module, ckl::device_info(0))) {
    const ckl::ReduceModulePlan plan(problem, outliers_module, 0, config);
    cudaMalloc(&workspace, plan.workspace_bytes() + 1);
    cudaMemset(workspace, 0, plan.workspace_bytes());
    plan.run(x, y, params, workspace);
    std::vector<float> result(outputs);
    cudaMemcpy(result.data(), y, outputs * 4, cudaMemcpyDeviceToHost);
    cudaFree(workspace);

    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = 0, count = 0;
      for (std::int64_t i = by_row ? o : 0; i < (by_row ? o + 1 : rows); ++i)
        for (std::int64_t j = by_column ? o : 0; j < (by_column ? o + 1 : columns); ++j) {
          const double magnitude = std::abs(value(i * stride + j));
          if (magnitude > params.threshold) sum += magnitude, count += 1;
        }
      const double want = count > 0 ? sum / count : 0;
      if (std::abs(result[o] - want) <= 1e-6 * want) continue;
      std::fprintf(stderr, "output %d of %s is %g, not %g\n", int(o), config.c_str(), result[o], want);
      return false;
    }
    std::printf("%d x %d: the means are right, by %s\n", int(rows), int(columns), config.c_str());
  }
  cudaFree(x);
  cudaFree(y);
  return true;
}

}  // namespace

int main() {
  if (!ckl::supported(0)) {
    std::fprintf(stderr, "This example needs a Hopper GPU (H100, H200), or the emulator.\n");
    return 77;
  }
  try {
    return means_are_right(37, 264, 264, {1}) && means_are_right(9, 5000, 5000, {1}) &&
                   means_are_right(70, 64, 64, {0}) && means_are_right(300, 211, 211, {}) &&
                   means_are_right(33, 45, 48, {1}) && means_are_right(700, 5, 5, {0})
               ? 0
               : 1;
  } catch (const ckl::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
