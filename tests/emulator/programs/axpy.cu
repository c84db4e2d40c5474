// <<<>>>, a __constant__ and a __device__ variable.
#include <vector>

#include "check.hpp"

__constant__ float factor[2];
__device__ int runs = 40;

__global__ void axpy(float a, const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * factor[1] * x[i];
  if (i == 0) ++runs;
}

int main() {
  constexpr int n = 1000;
  std::vector<float> x(n), y(n, 1.0f);
  for (int i = 0; i < n; ++i) x[i] = float(i);
  float *device_x = nullptr, *device_y = nullptr;
  CHECK_CUDA(cudaMalloc(&device_x, n * sizeof(float)));
  CHECK_CUDA(cudaMalloc(&device_y, n * sizeof(float)));
  const float host_factor[2] = {-1.0f, 3.0f};
  CHECK_CUDA(cudaMemcpyToSymbol(factor, host_factor, sizeof host_factor));
  CHECK_CUDA(cudaMemcpy(device_x, x.data(), n * sizeof(float), cudaMemcpyHostToDevice));
  CHECK_CUDA(cudaMemcpy(device_y, y.data(), n * sizeof(float), cudaMemcpyHostToDevice));
  for (int i = 0; i < 2; ++i) axpy<<<(n + 127) / 128, 128>>>(2.0f, device_x, device_y, n);
  CHECK_CUDA(cudaGetLastError());
  CHECK_CUDA(cudaDeviceSynchronize());
  CHECK_CUDA(cudaMemcpy(y.data(), device_y, n * sizeof(float), cudaMemcpyDeviceToHost));
  for (int i = 0; i < n; ++i) CHECK(y[i] == 1.0f + 12.0f * float(i));
  int host_runs = 0;
  CHECK_CUDA(cudaMemcpyFromSymbol(&host_runs, runs, sizeof host_runs));
  CHECK(host_runs == 42);
  axpy<<<1, 2048>>>(2.0f, device_x, device_y, n);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK_CUDA(cudaFree(device_x));
  CHECK_CUDA(cudaFree(device_y));
}
