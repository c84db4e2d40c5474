#include "timer/cuda.hpp"

#include <dlfcn.h>

#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>

namespace ckl::bench {

void check(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  throw std::runtime_error(fmt::format("{} failed: {} ({})", call, cudaGetErrorString(code), cudaGetErrorName(code)));
}

double Event::microseconds_since(const Event& start) const {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "cudaEventElapsedTime");
  return double(milliseconds) * 1e3;
}

Buffer::Buffer(std::size_t bytes) : bytes_(bytes) {
  const cudaError_t code = cudaMalloc(&data_, bytes == 0 ? 1 : bytes);
  if (code == cudaSuccess) return;
  cudaGetLastError();  // an allocation that failed must not fail the next call as well
  throw std::runtime_error(
      fmt::format("{:.2f} GB of device memory could not be had: {}", double(bytes) / 1e9, cudaGetErrorString(code)));
}

std::string cuda_runtime_folder() {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<const void*>(&cudaGetDeviceCount), &info) || !info.dli_fname) return "";
  // Where the executable's own call stub is found instead, ask the loader for the library by name.
  if (std::string(info.dli_fname).find("libcudart") == std::string::npos) {
    void* symbol = dlsym(RTLD_DEFAULT, "cudaGetDeviceCount");
    if (!symbol || !dladdr(symbol, &info) || !info.dli_fname) return "";
  }
  return std::filesystem::path(info.dli_fname).parent_path().string();
}

namespace {

int attribute(cudaDeviceAttr what, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, what, device), "cudaDeviceGetAttribute");
  return value;
}

}  // namespace

Gpu open_gpu(int index) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess)
    throw std::runtime_error(fmt::format(
        "no GPU can be used here: {}; `--device emulator` runs the same kernels on the CPU", cudaGetErrorString(code)));
  if (index >= count)
    throw std::runtime_error(
        fmt::format("--device: must be an index below the number of GPUs, {}, got {}", count, index));
  check(cudaSetDevice(index), "cudaSetDevice");

  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  Gpu gpu;
  gpu.index = index;
  gpu.name = properties.name;
  gpu.l2_bytes = std::size_t(properties.l2CacheSize);
  gpu.memory_bytes = properties.totalGlobalMem;
  gpu.sm_count = properties.multiProcessorCount;
  gpu.emulated = std::filesystem::path(cuda_runtime_folder()).filename() == "emulator";
  if (gpu.emulated) return gpu;
  gpu.clock_khz = attribute(cudaDevAttrClockRate, index);
  char bus[32] = "";
  check(cudaDeviceGetPCIBusId(bus, sizeof(bus), index), "cudaDeviceGetPCIBusId");
  gpu.pci_bus_id = bus;
  return gpu;
}

}  // namespace ckl::bench
