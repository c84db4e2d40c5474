#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <utility>

namespace ckl::bench {

/// Throws std::runtime_error with the call's name and CUDA's words if `code` is an error.
void check(cudaError_t code, const char* call);

/// A stream of its own, which does not wait for the legacy default stream.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  operator cudaStream_t() const { return stream_; }
  void synchronize() const { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

 private:
  cudaStream_t stream_ = nullptr;
};

/// A point in time on a stream.
class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "cudaEventCreate"); }
  ~Event() {
    if (event_) cudaEventDestroy(event_);
  }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&&) = delete;

  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  void synchronize() const { check(cudaEventSynchronize(event_), "cudaEventSynchronize"); }

  /// Microseconds from `start` to this event; both must have happened.
  double microseconds_since(const Event& start) const;

 private:
  cudaEvent_t event_ = nullptr;
};

/// Device memory.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes);
  ~Buffer() {
    if (data_) cudaFree(data_);
  }
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  void* data() const { return data_; }
  char* at(std::size_t byte) const { return static_cast<char*>(data_) + byte; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// What the bench has to know of the GPU.
struct Gpu {
  int index = 0;
  std::string name;
  std::string pci_bus_id;
  std::size_t l2_bytes = 0;
  std::size_t memory_bytes = 0;
  int sm_count = 0;
  int clock_khz = 0;      ///< Highest SM clock.
  bool emulated = false;  ///< The CUDA runtime that is loaded executes kernels on the CPU.
};

/// Facts of CUDA device `index`, which becomes the current one. Throws std::runtime_error where there is none.
Gpu open_gpu(int index);

/// The folder of the libcudart that is loaded, empty if it cannot be told.
std::string cuda_runtime_folder();

}  // namespace ckl::bench
