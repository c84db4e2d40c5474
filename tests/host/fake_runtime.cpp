#include "fake_runtime.hpp"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

namespace ckl::test {

bool counting_fake_calls = false;
int fake_devices = 1;
unsigned long long fake_capture = 0;
std::string fake_failure;

std::map<std::string, int>& fake_calls() {
  static std::map<std::string, int> calls;
  return calls;
}

std::set<const void*>& fake_streams() {
  static std::set<const void*> streams;
  return streams;
}

namespace {

std::vector<std::pair<cudaHostFn_t, void*>> objects;

/// Memory that nobody touches, each time another.
void* memory() {
  static std::uintptr_t next = std::uintptr_t(1) << 40;
  return reinterpret_cast<void*>(next += std::uintptr_t(1) << 32);
}

void count(const char* name) {
  if (counting_fake_calls) ++fake_calls()[name];
}

cudaError_t count(const char* name, cudaStream_t stream) {
  if (counting_fake_calls) fake_streams().insert(stream);
  return count(name), cudaSuccess;
}

/// Counts the call, and fails if it is the one that is to.
cudaError_t result(const char* name) {
  return count(name), fake_failure == name ? cudaErrorMemoryAllocation : cudaSuccess;
}

CUresult encode(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                CUtensorMapFloatOOBfill) {
  count("cuTensorMapEncodeTiled");
  return CUDA_SUCCESS;
}

CUresult replace_address(CUtensorMap*, void*) {
  count("cuTensorMapReplaceAddress");
  return CUDA_SUCCESS;
}

}  // namespace

void end_fake_graphs() {
  for (const auto& [destroy, object] : std::exchange(objects, {})) destroy(object);
}

}  // namespace ckl::test

using ckl::test::count;
using ckl::test::result;

extern "C" {

cudaError_t cudaGetDeviceCount(int* number) { return count(__func__), *number = ckl::test::fake_devices, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return count(__func__), *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int) { return count(__func__), cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::memset(properties, 0, sizeof *properties);
  std::strcpy(properties->name, "NVIDIA H100");
  properties->major = 9;
  properties->multiProcessorCount = 132;
  properties->l2CacheSize = 50 << 20;
  properties->totalGlobalMem = std::size_t(80) << 30;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) { return *value = 232448, cudaSuccess; }
cudaError_t cudaLibraryLoadFromFile(cudaLibrary_t* library, const char*, cudaJitOption*, void**, unsigned,
                                    cudaLibraryOption*, void**, unsigned) {
  return *library = nullptr, cudaSuccess;
}
cudaError_t cudaLibraryLoadData(cudaLibrary_t* library, const void*, cudaJitOption*, void**, unsigned,
                                cudaLibraryOption*, void**, unsigned) {
  return *library = nullptr, cudaSuccess;
}
cudaError_t cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t, const char*) {
  return *kernel = nullptr, cudaSuccess;
}
cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t, cudaFuncAttribute, int, int) { return cudaSuccess; }
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int, std::size_t) {
  return *blocks = 1, cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void*, const cudaLaunchConfig_t* config) {
  return *clusters = 132 / int(config->gridDim.x), cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  return count(__func__), *status = cudaStreamCaptureStatusNone, cudaSuccess;
}
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t*, const cudaGraphNode_t**, const cudaGraphEdgeData**, std::size_t*) {
  const bool captures = ckl::test::fake_capture != 0;
  if (captures) *id = ckl::test::fake_capture;
  return count(__func__), *status = captures ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone, cudaSuccess;
}
cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  return count(__func__), *id = reinterpret_cast<std::uintptr_t>(stream), cudaSuccess;
}
cudaError_t cudaUserObjectCreate(cudaUserObject_t* object, void* pointer, cudaHostFn_t destroy, unsigned, unsigned) {
  if (result(__func__) != cudaSuccess) return cudaErrorMemoryAllocation;
  ckl::test::objects.emplace_back(destroy, pointer);
  return *object = reinterpret_cast<cudaUserObject_t>(ckl::test::objects.size()), cudaSuccess;
}
cudaError_t cudaUserObjectRelease(cudaUserObject_t object, unsigned) {  // it is the last one made, and nobody else's
  const auto [destroy, pointer] = ckl::test::objects.at(reinterpret_cast<std::uintptr_t>(object) - 1);
  ckl::test::objects.pop_back();
  return destroy(pointer), result(__func__);
}
cudaError_t cudaGraphRetainUserObject(cudaGraph_t, cudaUserObject_t, unsigned, unsigned) { return result(__func__); }
cudaError_t cudaStreamGetDevice(cudaStream_t, int* device) { return count(__func__), *device = 0, cudaSuccess; }
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  *function = std::strcmp(name, "cuTensorMapEncodeTiled") ? reinterpret_cast<void*>(&ckl::test::replace_address)
                                                          : reinterpret_cast<void*>(&ckl::test::encode);
  return *found = cudaDriverEntryPointSuccess, cudaSuccess;
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t*, const void*, void**) { return count(__func__), cudaSuccess; }
cudaError_t cudaMalloc(void** data, std::size_t) { return count(__func__), *data = ckl::test::memory(), cudaSuccess; }
cudaError_t cudaMallocAsync(void** data, std::size_t, cudaStream_t stream) {
  return *data = ckl::test::memory(), count(__func__, stream);
}
cudaError_t cudaFree(void*) { return count(__func__), cudaSuccess; }
cudaError_t cudaFreeAsync(void*, cudaStream_t stream) { return count(__func__, stream); }
cudaError_t cudaMemsetAsync(void*, int, std::size_t, cudaStream_t stream) { return count(__func__, stream); }
cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return ""; }
const char* cudaGetErrorName(cudaError_t) { return ""; }

}  // extern "C"
