// Memory, pools and errors of the emulated runtime, through its API.
#include <atomic>
#include <cstring>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <numeric>
#include <thread>
#include <vector>

namespace {

/// Expects `call` to fail with `error`, and the error to be the thread's last one, once.
#define EXPECT_FAILS(error, call)               \
  do {                                          \
    EXPECT_EQ(error, call);                     \
    EXPECT_EQ(error, cudaPeekAtLastError());    \
    EXPECT_EQ(error, cudaGetLastError());       \
    EXPECT_EQ(cudaSuccess, cudaGetLastError()); \
  } while (0)
#define ASSERT_OK(call) ASSERT_EQ(cudaSuccess, call)
#define EXPECT_OK(call) EXPECT_EQ(cudaSuccess, call)

std::vector<int> numbers(std::size_t count) {
  std::vector<int> list(count);
  std::iota(list.begin(), list.end(), 1);
  return list;
}

TEST(Device, IsOneHopper) {
  int count = 0, device = -1, value = 0;
  ASSERT_OK(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 1);
  ASSERT_OK(cudaGetDevice(&device));
  EXPECT_EQ(device, 0);
  cudaDeviceProp properties;
  ASSERT_OK(cudaGetDeviceProperties(&properties, 0));
  EXPECT_EQ(properties.major, 9);
  EXPECT_EQ(properties.minor, 0);
  EXPECT_EQ(properties.sharedMemPerBlockOptin, 227u * 1024);
  ASSERT_OK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
  EXPECT_EQ(value, properties.multiProcessorCount);
  EXPECT_FAILS(cudaErrorInvalidDevice, cudaSetDevice(1));
  EXPECT_FAILS(cudaErrorInvalidDevice, cudaGetDeviceProperties(&properties, -1));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaDeviceGetAttribute(&value, cudaDeviceAttr(200), 0));
}

TEST(Device, EveryAttributeOfTheHeaderIsAnswered) {
  for (int attribute = 1; attribute < 150; ++attribute) {
    int value = 0;
    const cudaError_t status = cudaDeviceGetAttribute(&value, cudaDeviceAttr(attribute), 0);
    EXPECT_TRUE(status == cudaSuccess || status == cudaErrorInvalidValue) << attribute;
  }
  cudaGetLastError();
}

TEST(Errors, NamesAndTexts) {
  EXPECT_STREQ(cudaGetErrorName(cudaErrorInvalidValue), "cudaErrorInvalidValue");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorInvalidValue), "invalid argument");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorStreamCaptureUnjoined), "stream capture unjoined");
  EXPECT_STREQ(cudaGetErrorName(cudaError_t(12345)), "unrecognized error code");
}

TEST(Memory, CopiesGoThereAndBack) {
  const std::vector<int> sent = numbers(1000);
  std::vector<int> received(1000);
  int *a = nullptr, *b = nullptr;
  ASSERT_OK(cudaMalloc(reinterpret_cast<void**>(&a), 4000));
  ASSERT_OK(cudaMalloc(reinterpret_cast<void**>(&b), 4000));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a) % 256, 0u);
  EXPECT_OK(cudaMemcpy(a, sent.data(), 4000, cudaMemcpyHostToDevice));
  EXPECT_OK(cudaMemcpyAsync(b, a, 4000, cudaMemcpyDefault, nullptr));
  EXPECT_OK(cudaMemcpy(received.data(), b, 4000, cudaMemcpyDeviceToHost));
  EXPECT_EQ(received, sent);
  EXPECT_OK(cudaMemset(b, 0x11, 2000));
  EXPECT_OK(cudaMemcpy(received.data(), b, 4000, cudaMemcpyDefault));
  EXPECT_EQ(received[499], 0x11111111);
  EXPECT_EQ(received[500], sent[500]);
  EXPECT_OK(cudaFree(a));
  EXPECT_OK(cudaFree(b));
  EXPECT_OK(cudaFree(nullptr));
}

TEST(Memory, WrongPointersAndSizesAreRefused) {
  int host[8] = {};
  char* device = nullptr;
  ASSERT_OK(cudaMalloc(reinterpret_cast<void**>(&device), 32));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaMemcpy(device, host, 33, cudaMemcpyHostToDevice));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaMemcpy(device + 8, host, 25, cudaMemcpyHostToDevice));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaMemcpy(host, device, 8, cudaMemcpyHostToDevice));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaMemcpy(host, device, 8, cudaMemcpyHostToHost));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaMemset(host, 0, 4));
  EXPECT_FAILS(cudaErrorInvalidMemcpyDirection, cudaMemcpy(host, device, 8, cudaMemcpyKind(7)));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaFree(device + 1));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaFree(host));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaMalloc(nullptr, 4));
  void* too_large = nullptr;
  EXPECT_FAILS(cudaErrorMemoryAllocation, cudaMalloc(&too_large, std::size_t(1) << 50));
  EXPECT_OK(cudaFree(device));
  EXPECT_FAILS(cudaErrorInvalidValue, cudaFree(device));
}

TEST(Memory, TwoDimensions) {
  constexpr std::size_t width = 12, height = 5;
  const std::vector<int> sent = numbers(width / 4 * height);
  std::vector<int> received(sent.size());
  void* device = nullptr;
  std::size_t pitch = 0;
  ASSERT_OK(cudaMallocPitch(&device, &pitch, width, height));
  EXPECT_GE(pitch, width);
  EXPECT_OK(cudaMemset2D(device, pitch, 0, width, height));
  EXPECT_OK(cudaMemcpy2D(device, pitch, sent.data(), width, width, height, cudaMemcpyHostToDevice));
  EXPECT_OK(cudaMemcpy2D(received.data(), width, device, pitch, width, height, cudaMemcpyDeviceToHost));
  EXPECT_EQ(received, sent);
  EXPECT_FAILS(cudaErrorInvalidPitchValue,
               cudaMemcpy2D(device, width - 1, sent.data(), width, width, height, cudaMemcpyHostToDevice));
  EXPECT_FAILS(cudaErrorInvalidValue,
               cudaMemcpy2D(device, pitch, sent.data(), width, width, height + 1, cudaMemcpyHostToDevice));
  EXPECT_OK(cudaFree(device));
}

TEST(Memory, PointerAttributesTellTheKinds) {
  void *device = nullptr, *pinned = nullptr, *managed = nullptr;
  ASSERT_OK(cudaMalloc(&device, 64));
  ASSERT_OK(cudaHostAlloc(&pinned, 64, cudaHostAllocMapped));
  ASSERT_OK(cudaMallocManaged(&managed, 64, cudaMemAttachGlobal));
  int own = 0;
  auto kind = [](const void* pointer) {
    cudaPointerAttributes attributes;
    EXPECT_OK(cudaPointerGetAttributes(&attributes, pointer));
    return attributes.type;
  };
  EXPECT_EQ(kind(static_cast<char*>(device) + 63), cudaMemoryTypeDevice);
  EXPECT_EQ(kind(static_cast<char*>(device) + 64), cudaMemoryTypeUnregistered);
  EXPECT_EQ(kind(pinned), cudaMemoryTypeHost);
  EXPECT_EQ(kind(managed), cudaMemoryTypeManaged);
  EXPECT_EQ(kind(&own), cudaMemoryTypeUnregistered);
  EXPECT_OK(cudaHostRegister(&own, sizeof own, cudaHostRegisterDefault));
  EXPECT_EQ(kind(&own), cudaMemoryTypeHost);
  EXPECT_FAILS(cudaErrorHostMemoryAlreadyRegistered, cudaHostRegister(&own, sizeof own, cudaHostRegisterDefault));
  EXPECT_OK(cudaHostUnregister(&own));
  EXPECT_FAILS(cudaErrorHostMemoryNotRegistered, cudaHostUnregister(&own));
  EXPECT_OK(cudaFree(device));
  EXPECT_OK(cudaFreeHost(pinned));
  EXPECT_OK(cudaFree(managed));
}

TEST(Memory, FreeMemoryIsAccountedFor) {
  std::size_t free_before = 0, free_after = 0, total = 0;
  ASSERT_OK(cudaMemGetInfo(&free_before, &total));
  void* device = nullptr;
  ASSERT_OK(cudaMalloc(&device, 1 << 20));
  ASSERT_OK(cudaMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_before - free_after, std::size_t(1) << 20);
  EXPECT_OK(cudaFree(device));
}

TEST(Pool, AllocatesInStreamOrder) {
  cudaStream_t stream = nullptr;
  ASSERT_OK(cudaStreamCreate(&stream));
  void* memory = nullptr;
  ASSERT_OK(cudaMallocAsync(&memory, 1000, stream));
  EXPECT_OK(cudaMemsetAsync(memory, 0, 1000, stream));
  cudaMemPool_t pool = nullptr;
  ASSERT_OK(cudaDeviceGetDefaultMemPool(&pool, 0));
  std::uint64_t used = 0;
  EXPECT_OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
  EXPECT_EQ(used, 1000u);
  EXPECT_OK(cudaFreeAsync(memory, stream));
  EXPECT_OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
  EXPECT_EQ(used, 0u);
  EXPECT_FAILS(cudaErrorInvalidValue, cudaMemPoolDestroy(pool));
  EXPECT_OK(cudaStreamDestroy(stream));
}

TEST(Stream, DeadHandlesAreRefused) {
  cudaStream_t stream = nullptr;
  cudaEvent_t event = nullptr;
  ASSERT_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  ASSERT_OK(cudaEventCreate(&event));
  EXPECT_OK(cudaStreamDestroy(stream));
  EXPECT_OK(cudaEventDestroy(event));
  EXPECT_FAILS(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(stream));
  EXPECT_FAILS(cudaErrorInvalidResourceHandle, cudaStreamDestroy(stream));
  EXPECT_FAILS(cudaErrorInvalidResourceHandle, cudaEventRecord(event, nullptr));
  EXPECT_FAILS(cudaErrorInvalidResourceHandle, cudaStreamDestroy(nullptr));
}

TEST(Stream, PrioritiesAreClamped) {
  int least = 0, greatest = 0, priority = 0;
  ASSERT_OK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  EXPECT_LT(greatest, least);
  cudaStream_t stream = nullptr;
  ASSERT_OK(cudaStreamCreateWithPriority(&stream, cudaStreamDefault, -1000));
  EXPECT_OK(cudaStreamGetPriority(stream, &priority));
  EXPECT_EQ(priority, greatest);
  int device = -1;
  EXPECT_OK(cudaStreamGetDevice(stream, &device));
  EXPECT_EQ(device, 0);
  EXPECT_OK(cudaStreamDestroy(stream));
}

TEST(Event, MeasuresTime) {
  cudaEvent_t start = nullptr, end = nullptr, silent = nullptr;
  ASSERT_OK(cudaEventCreate(&start));
  ASSERT_OK(cudaEventCreate(&end));
  ASSERT_OK(cudaEventCreateWithFlags(&silent, cudaEventDisableTiming));
  float milliseconds = -1;
  EXPECT_FAILS(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&milliseconds, start, end));
  EXPECT_OK(cudaEventRecord(start, nullptr));
  EXPECT_OK(cudaEventRecord(end, cudaStreamPerThread));
  EXPECT_OK(cudaEventRecord(silent, nullptr));
  EXPECT_OK(cudaEventSynchronize(end));
  EXPECT_OK(cudaEventQuery(end));
  EXPECT_OK(cudaEventElapsedTime(&milliseconds, start, end));
  EXPECT_GE(milliseconds, 0);
  EXPECT_FAILS(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&milliseconds, start, silent));
  for (cudaEvent_t event : {start, end, silent}) EXPECT_OK(cudaEventDestroy(event));
}

// Programs compiled with nvcc --default-stream per-thread call these.
extern "C" {
cudaError_t cudaMemcpy_ptds(void* dst, const void* src, std::size_t count, cudaMemcpyKind kind);
cudaError_t cudaMemsetAsync_ptsz(void* address, int value, std::size_t count, cudaStream_t stream);
cudaError_t cudaStreamBeginCapture_ptsz(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture_ptsz(cudaStream_t stream, cudaGraph_t* graph);
}

TEST(PerThreadStream, IsWhatANullStreamMeans) {
  int *device = nullptr, value = 0;
  ASSERT_OK(cudaMalloc(reinterpret_cast<void**>(&device), 4));
  EXPECT_OK(cudaMemsetAsync_ptsz(device, 1, 4, nullptr));
  EXPECT_OK(cudaMemcpy_ptds(&value, device, 4, cudaMemcpyDeviceToHost));
  EXPECT_EQ(value, 0x01010101);
  // Unlike the legacy default stream it can be captured, and then it cannot be waited for.
  ASSERT_OK(cudaStreamBeginCapture_ptsz(nullptr, cudaStreamCaptureModeRelaxed));
  EXPECT_OK(cudaMemsetAsync_ptsz(device, 2, 4, nullptr));
  cudaGraph_t graph = nullptr;
  ASSERT_OK(cudaStreamEndCapture_ptsz(nullptr, &graph));
  EXPECT_OK(cudaGraphDestroy(graph));
  ASSERT_OK(cudaStreamBeginCapture_ptsz(nullptr, cudaStreamCaptureModeRelaxed));
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaMemcpy_ptds(&value, device, 4, cudaMemcpyDeviceToHost));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture_ptsz(nullptr, &graph));
  EXPECT_OK(cudaFree(device));
  cudaGetLastError();
}

TEST(Threads, UseTheDeviceAtOnceAndKeepTheirOwnErrors) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t, &wrong] {
      cudaStream_t stream = nullptr;
      if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess) ++wrong;
      for (int i = 0; i < 200; ++i) {
        unsigned char* memory = nullptr;
        std::vector<unsigned char> bytes(1000);
        if (cudaMallocAsync(reinterpret_cast<void**>(&memory), bytes.size(), stream) != cudaSuccess) ++wrong;
        if (cudaMemsetAsync(memory, t + 1, bytes.size(), stream) != cudaSuccess) ++wrong;
        if (cudaMemcpyAsync(bytes.data(), memory, bytes.size(), cudaMemcpyDeviceToHost, stream) != cudaSuccess) ++wrong;
        if (bytes != std::vector<unsigned char>(1000, static_cast<unsigned char>(t + 1))) ++wrong;
        if (cudaFreeAsync(memory, stream) != cudaSuccess) ++wrong;
        if (t == 0 && (cudaSetDevice(7) != cudaErrorInvalidDevice || cudaGetLastError() != cudaErrorInvalidDevice))
          ++wrong;
        if (t != 0 && cudaPeekAtLastError() != cudaSuccess) ++wrong;
      }
      if (cudaStreamDestroy(stream) != cudaSuccess) ++wrong;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Unsupported, NamesItselfAndFails) {
  testing::internal::CaptureStderr();
  cudaArray_t array = nullptr;
  EXPECT_EQ(cudaErrorNotSupported, cudaMallocArray(&array, nullptr, 4, 4, 0));
  EXPECT_EQ(cudaErrorNotSupported, cudaGetLastError());
  EXPECT_NE(testing::internal::GetCapturedStderr().find("cudaMallocArray is not supported by the emulator"),
            std::string::npos);
}

}  // namespace
