#pragma once

#include <cstddef>

#include "ckl/device.hpp"

namespace ckl::host {

/// Throws invalid_argument unless `workspace` can be one of `bytes` bytes: any pointer if that is 0, else one that is not null and a
/// multiple of 256.
void require_workspace(const void* workspace, std::size_t bytes);

/// Fills `bytes` of device memory with zeros, in stream order.
void zero(void* data, std::size_t bytes, Stream stream);

/// Device memory from the stream's pool, for one launch: taken and given back in stream order.
class StreamWorkspace {
 public:
  /// Takes `bytes`, nothing if 0, and fills the first `zeroed` of them with zeros.
  StreamWorkspace(std::size_t bytes, std::size_t zeroed, Stream stream);
  ~StreamWorkspace();
  StreamWorkspace(const StreamWorkspace&) = delete;
  StreamWorkspace& operator=(const StreamWorkspace&) = delete;

  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  Stream stream_;
};

}  // namespace ckl::host
