#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace ckl::bench {

/// Device memory between two guard bands, and the image on the host of what it should hold.
///
/// Everything starts as bytes 0xff, which is NaN in every floating-point type: an element that a kernel should not
/// have read shows in its results, one that it should not have written differs from the image, and one that it
/// forgot to write is NaN. CUDA calls that fail throw std::runtime_error.
class GuardedMemory {
 public:
  /// @param bytes   Size of the payload.
  /// @param offset  Bytes from a 256-byte boundary to the payload, to misalign it.
  explicit GuardedMemory(std::size_t bytes, std::size_t offset = 0)
      : bytes_(bytes), begin_(guard_bytes() + offset), image_(begin_ + bytes + guard_bytes(), std::byte(0xff)) {
    require(cudaMalloc(&allocation_, image_.empty() ? 1 : image_.size()), "cudaMalloc");
    upload();
  }
  ~GuardedMemory() { cudaFree(allocation_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::size_t bytes() const { return bytes_; }

  /// The payload on the device.
  std::byte* device() const { return static_cast<std::byte*>(allocation_) + begin_; }

  /// The payload in the image: what upload() sends and what the memory is compared with.
  std::byte* host() { return image_.data() + begin_; }
  const std::byte* host() const { return image_.data() + begin_; }

  /// Makes the device memory, guard bands included, equal to the image: also for streams that do not wait for the default one, since the copy
  /// of pageable memory may return before its end has arrived.
  void upload() {
    require(cudaMemcpy(allocation_, image_.data(), image_.size(), cudaMemcpyHostToDevice), "cudaMemcpy to the device");
    require(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  }

  /// The payload as it is on the device now. Waits for all work of the device.
  std::vector<std::byte> download() const {
    std::vector<std::byte> payload(bytes_);
    receive(payload.data(), device(), bytes_);
    return payload;
  }

  /// Compares device memory, guard bands included, with the image: of inputs, and of outputs once the results that a kernel
  /// had to write have been copied into the image. Empty if they are equal, else the first byte that is not.
  std::string difference() const {
    std::vector<std::byte> now(image_.size());
    receive(now.data(), allocation_, now.size());
    if (std::memcmp(now.data(), image_.data(), now.size()) == 0) return "";
    std::size_t at = 0;
    while (now[at] == image_[at]) ++at;
    return "byte " + std::to_string(std::int64_t(at) - std::int64_t(begin_)) + " of its " + std::to_string(bytes_) +
           " bytes was overwritten";
  }

 private:
  static void require(cudaError_t status, const char* what) {
    if (status != cudaSuccess) throw std::runtime_error(std::string(what) + " failed: " + cudaGetErrorString(status));
  }
  static void receive(void* to, const void* from, std::size_t bytes) {
    require(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    require(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy from the device");
  }
  /// CKL_TEST_GUARDS=off leaves the bands out, for tools that check the bounds of allocations themselves.
  static std::size_t guard_bytes() {
    const char* guards = std::getenv("CKL_TEST_GUARDS");
    return guards && std::string(guards) == "off" ? 0 : 4096;
  }

  std::size_t bytes_;
  std::size_t begin_;             ///< Of the payload in the allocation, in bytes.
  std::vector<std::byte> image_;  ///< Guard, payload, guard.
  void* allocation_ = nullptr;
};

}  // namespace ckl::bench
