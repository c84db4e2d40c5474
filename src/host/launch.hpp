#pragma once

#include <cstddef>

#include <cuda_runtime_api.h>

#include "ckl/device.hpp"

namespace ckl::host {

/// How one kernel is launched. Made once a plan by prepare(); launch() only launches.
struct Launch {
  cudaKernel_t kernel = nullptr;
  unsigned grid = 0;     ///< Blocks.
  unsigned threads = 0;  ///< Threads a block.
  unsigned cluster = 1;  ///< Blocks a cluster, along x.
  std::size_t shared_bytes = 0;
  /// May start before the stream's preceding kernels end; the kernel itself waits for them (device/arch.cuh).
  bool overlaps_preceding = false;
  bool at_once = false;  ///< All blocks run at the same time, or none does (cooperative launch).
  /// Clusters start wherever there is room for one, so that more of them run at a time than where they are spread.
  bool load_balanced = false;
};

/// Allows `shared_bytes` of dynamic shared memory and `cluster` blocks a cluster for `kernel` on `device`. Legal while a stream captures.
void prepare(const Launch& launch, int device);

/// How many clusters of `launch` the current device, `device`, holds at a time. Legal while a stream captures.
int max_active_clusters(const Launch& launch, const DeviceInfo& device);

/// Launches with one parameter, the struct at `params`.
void launch(const Launch& launch, const void* params, Stream stream);

/// Lets the calling thread make calls that a stream capture of another kind would forbid (loading, attributes),
/// while it lives.
class RelaxedCapture {
 public:
  RelaxedCapture();
  ~RelaxedCapture();
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace ckl::host
