#pragma once

#include <cstddef>
#include <mutex>

#include "ckl/device.hpp"

namespace ckl::host {

/// Throws invalid_argument unless `workspace` can be one of `bytes` bytes: any pointer if that is 0, else one that is not null and a
/// multiple of 256.
void require_workspace(const void* workspace, std::size_t bytes);

/// Fills `bytes` of device memory with zeros, in stream order.
void zero(void* data, std::size_t bytes, Stream stream);

/// Device memory for one launch. A stream keeps what its launches need, since they come one after another: then nothing is allocated, and
/// nothing is filled with zeros, since each launch leaves those as it found them. Of a stream that captures, the graph keeps it, as long
/// as it can be launched. What would be too much to keep comes from the stream's pool, and goes back there.
class StreamWorkspace {
 public:
  static constexpr std::size_t most_kept = std::size_t(8)
                                           << 20;  ///< Bytes for a launch that a stream, or a graph, keeps.
  static constexpr std::size_t most_streams = 64;  ///< Of a device, that keep some; those that come later do not.

  /// Takes `bytes`, nothing if 0, the first `zeroed` of which are zeros and will be again when the launch has ended; those are all bytes, or
  /// a multiple of 256. `device` is the stream's, and the current one. Until it is gone, other threads that want some of this stream wait.
  StreamWorkspace(std::size_t bytes, std::size_t zeroed, int device, Stream stream);
  ~StreamWorkspace();
  StreamWorkspace(const StreamWorkspace&) = delete;
  StreamWorkspace& operator=(const StreamWorkspace&) = delete;

  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
  bool is_from_pool_ = false;
  Stream stream_;
  std::unique_lock<std::mutex> lock_;  // of what the stream keeps: larger memory may take its place
};

}  // namespace ckl::host
