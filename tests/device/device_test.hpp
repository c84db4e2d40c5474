#pragma once

/// @file
/// What every device test starts from: whether there is something to run on, and CUDA calls that must succeed.

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "ckl/device.hpp"

namespace ckl::test {

/// Throws, which fails the test, where a CUDA call that the test itself makes does not succeed.
inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}
#define CKL_CHECK_CUDA(call) ::ckl::test::check((call), #call)

/// Why the kernels cannot run here; empty where they can.
inline const std::string& missing_device() {
  static const std::string reason = [] {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) return std::string("no CUDA device: ") + cudaGetErrorString(status);
    if (count == 0) return std::string("no CUDA device");
    if (supported(0)) return std::string();
    const DeviceInfo& device = device_info(0);
    return device.name + " is compute capability " + std::to_string(device.compute_major) + "." +
           std::to_string(device.compute_minor) + ", the kernels need 9.0";
  }();
  return reason;
}

/// Whether CKL_TEST_LIST=short asks for the list of small cases that reaches every kind of kernel: under the
/// emulator and compute-sanitizer, where everything takes longer.
inline bool short_list() {
  const char* list = std::getenv("CKL_TEST_LIST");
  return list && std::string(list) == "short";
}

/// Whether `bytes` of device memory can be had, with some to spare for the library and the context.
inline bool memory_available(std::size_t bytes) {
  std::size_t free = 0, total = 0;
  CKL_CHECK_CUDA(cudaMemGetInfo(&free, &total));
  return free >= bytes + (std::size_t(1) << 30);
}

/// With CKL_TEST_DIGESTS=FILE, appends a line for this result to the file: the test, the result's number in it, a hash of the
/// bytes. Two runs of the same program, in other modes of the emulator or on a GPU, can be compared bit for bit by them.
inline void record_digest(const std::byte* bytes, std::size_t count) {
  static const char* file = std::getenv("CKL_TEST_DIGESTS");
  if (!file) return;
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (std::size_t i = 0; i < count; ++i) hash = (hash ^ std::uint64_t(bytes[i])) * 0x100000001b3;
  static std::string last;
  static int number = 0;
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string name = std::string(test->test_suite_name()) + "." + test->name();
  number = name == last ? number + 1 : 0;
  last = name;
  std::ofstream(file, std::ios::app) << name << ' ' << number << ' ' << std::hex << hash << '\n';
}

/// A test that launches kernels: skipped, with the reason, where there is nothing to launch them on.
class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!missing_device().empty()) GTEST_SKIP() << missing_device();
    CKL_CHECK_CUDA(cudaSetDevice(0));
  }

  /// An error that no call reported, such as a kernel's fault, belongs to the test that caused it.
  void TearDown() override {
    if (!missing_device().empty()) return;
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    const cudaError_t last = cudaGetLastError();
    EXPECT_EQ(last, cudaSuccess) << cudaGetErrorString(last);
  }
};

/// Calls `body(0)` to `body(count - 1)` on threads of their own. What one throws fails the test.
template <class Body> void on_threads(int count, const Body& body) {
  std::vector<std::string> errors(count);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      try {
        body(i);
      } catch (const std::exception& error) {
        errors[i] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < count; ++i) EXPECT_EQ(errors[i], "") << "thread " << i;
}

/// A stream for the length of a scope.
class ScopedStream {
 public:
  ScopedStream() { CKL_CHECK_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~ScopedStream() { cudaStreamDestroy(stream_); }
  ScopedStream(const ScopedStream&) = delete;
  ScopedStream& operator=(const ScopedStream&) = delete;

  operator cudaStream_t() const { return stream_; }
  void synchronize() const { CKL_CHECK_CUDA(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace ckl::test
