#pragma once

#include <cstddef>

#include "ckl/device.hpp"

namespace ckl::host {

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
