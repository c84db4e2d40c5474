#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "timer/cuda.hpp"

namespace ckl::bench {

/// `bytes`, rounded up so that what follows is aligned as memory from cudaMalloc is.
constexpr std::size_t align(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

/// A copy of device memory on the host. Its memory is kept for copies to come, up to a few gigabytes in all: fresh pages, cleared first, take
/// several times as long as the copy itself.
class HostCopy {
 public:
  HostCopy() = default;
  HostCopy(const void* data, std::size_t bytes);
  ~HostCopy() { give_back(); }
  HostCopy(HostCopy&& other) noexcept
      : memory_(std::move(other.memory_)),
        capacity_(std::exchange(other.capacity_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  HostCopy& operator=(HostCopy&& other) noexcept {
    std::swap(memory_, other.memory_), std::swap(capacity_, other.capacity_), std::swap(size_, other.size_);
    return *this;
  }

  char* data() { return memory_.get(); }
  const char* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  void give_back() noexcept;

  std::unique_ptr<char[]> memory_;
  std::size_t capacity_ = 0, size_ = 0;
};

/// A copy of device memory.
inline HostCopy download(const void* data, std::size_t bytes) { return HostCopy(data, bytes); }

}  // namespace ckl::bench
