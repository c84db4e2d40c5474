// CUB's DeviceReduce of a million floats and of a million integers: a sum whose every partial sum is exact, and a maximum.
#include <cub/device/device_reduce.cuh>
#include <vector>

#include "check.hpp"

template <class T, class Reduce> T reduce(const std::vector<T>& values, Reduce call) {
  T *in = nullptr, *out = nullptr, result{};
  void* scratch = nullptr;
  std::size_t scratch_bytes = 0;
  CHECK_CUDA(cudaMalloc(&in, values.size() * sizeof(T)));
  CHECK_CUDA(cudaMalloc(&out, sizeof(T)));
  CHECK_CUDA(cudaMemcpy(in, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  CHECK_CUDA(call(nullptr, scratch_bytes, in, out));
  CHECK_CUDA(cudaMalloc(&scratch, scratch_bytes));
  CHECK_CUDA(call(scratch, scratch_bytes, in, out));
  CHECK_CUDA(cudaDeviceSynchronize());
  CHECK_CUDA(cudaMemcpy(&result, out, sizeof(T), cudaMemcpyDeviceToHost));
  for (void* pointer : {static_cast<void*>(in), static_cast<void*>(out), scratch}) CHECK_CUDA(cudaFree(pointer));
  return result;
}

int main() {
  constexpr int n = 1 << 20;
  std::vector<float> floats(n);
  std::vector<int> integers(n);
  double sum = 0;
  int largest = 0;
  for (int i = 0; i < n; ++i) {
    floats[i] = float(i % 17 - 8);  // sums stay below 2^24, so order does not matter
    integers[i] = int(unsigned(i) * 2654435761u >> 8);
    sum += floats[i];
    if (integers[i] > largest) largest = integers[i];
  }
  CHECK(reduce(floats, [](void* scratch, std::size_t& bytes, float* in, float* out) {
          return cub::DeviceReduce::Sum(scratch, bytes, in, out, n);
        }) == float(sum));
  CHECK(reduce(integers, [](void* scratch, std::size_t& bytes, int* in, int* out) {
          return cub::DeviceReduce::Max(scratch, bytes, in, out, n);
        }) == largest);
}
