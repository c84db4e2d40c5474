// Gradient descent with momentum in one pass over bf16 weights and gradients and f32 velocities, in place: an elementwise function that the
// library does not have.
#include <ckl/ckl.hpp>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "momentum.hpp"

extern const ckl::Module momentum_module;  // made by ckl_add_module

namespace {

/// Numbers between -4 and 4 that bf16 holds exactly.
float value(std::int64_t i) { return float(i * 7919 % 129 - 64) / 16; }

std::uint16_t bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return std::uint16_t(bits >> 16);
}

float from_bf16(std::uint16_t bits) {
  const std::uint32_t wide = std::uint32_t(bits) << 16;
  float x;
  std::memcpy(&x, &wide, 4);
  return x;
}

/// Takes a step for rows x columns weights, whose rows lie `stride` apart, by each of the module's kernels, and compares with double precision.
bool steps_are_right(std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  const std::int64_t size = rows * stride;
  std::vector<std::uint16_t> weights(size), gradients(size);
  std::vector<float> velocities(size);
  for (std::int64_t i = 0; i < size; ++i) {
    weights[i] = bf16(value(i));
    gradients[i] = bf16(value(3 * i + 1));
    velocities[i] = value(5 * i + 2);
  }
  void *weight = nullptr, *gradient = nullptr, *velocity = nullptr;
  cudaMalloc(&weight, size * 2);
  cudaMalloc(&gradient, size * 2);
  cudaMalloc(&velocity, size * 4);
  cudaMemcpy(gradient, gradients.data(), size * 2, cudaMemcpyHostToDevice);

  const auto matrix = [&](void* data, ckl::DType dtype) {
    return ckl::Tensor::row_major(data, dtype, rows, columns, stride);
  };
  const ckl::Tensor w = matrix(weight, ckl::DType::bf16), g = matrix(gradient, ckl::DType::bf16),
                    v = matrix(velocity, ckl::DType::f32);
  const ckl::ElementwiseProblem problem = ckl::elementwise_problem({ckl::ElementwiseOp::custom, {w, g, v}, {w, v}, {}});
  const MomentumParams params{0.125f, 0.5f, 0.25f};
  for (const std::string& config : ckl::elementwise_candidates(problem, momentum_module)) {
    cudaMemcpy(weight, weights.data(), size * 2, cudaMemcpyHostToDevice);
    cudaMemcpy(velocity, velocities.data(), size * 4, cudaMemcpyHostToDevice);
    const ckl::ElementwiseModulePlan plan(problem, momentum_module, 0, config);
    const void* in[] = {weight, gradient, velocity};
    void* out[] = {weight, velocity};
    plan.run(in, out, params);
    std::vector<std::uint16_t> new_weights(size);
    std::vector<float> new_velocities(size);
    cudaMemcpy(new_weights.data(), weight, size * 2, cudaMemcpyDeviceToHost);
    cudaMemcpy(new_velocities.data(), velocity, size * 4, cudaMemcpyDeviceToHost);

    for (std::int64_t i = 0; i < size; ++i) {
      double want_v = velocities[i], want_w = from_bf16(weights[i]);
      if (i % stride < columns) {
        want_v = params.momentum * want_v + from_bf16(gradients[i]) + params.decay * want_w;
        want_w -= params.rate * want_v;
      }
      const bool right = std::abs(new_velocities[i] - want_v) <= 1e-6 * std::abs(want_v) &&
                         std::abs(from_bf16(new_weights[i]) - want_w) <= 4e-3 * std::abs(want_w);
      if (right) continue;
      std::fprintf(stderr, "element %d by %s: weight %g, not %g; velocity %g, not %g\n", int(i), config.c_str(),
                   from_bf16(new_weights[i]), want_w, new_velocities[i], want_v);
      return false;
    }
    std::printf("%d x %d: the steps are right, by %s\n", int(rows), int(columns), config.c_str());
  }
  cudaFree(weight);
  cudaFree(gradient);
  cudaFree(velocity);
  return true;
}

}  // namespace

int main() {
  if (!ckl::supported(0)) {
    std::fprintf(stderr, "This example needs a Hopper GPU (H100, H200), or the emulator.\n");
    return 77;
  }
  try {
    return steps_are_right(37, 264, 264) && steps_are_right(9, 500, 504) && steps_are_right(21, 45, 47) ? 0 : 1;
  } catch (const ckl::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
