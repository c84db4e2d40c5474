#pragma once

#include <cstddef>
#include <string>

#include "ckl/export.hpp"

struct CUstream_st;

namespace ckl {

/// A CUDA stream; the same type as `cudaStream_t`. nullptr is the legacy default stream.
using Stream = ::CUstream_st*;

/// What the library knows of a GPU; read once per device and process.
struct DeviceInfo {
  int index = 0;                 ///< CUDA device index in this process.
  std::string name;              ///< E.g. "NVIDIA H200".
  int compute_major = 0;         ///< Compute capability, major.
  int compute_minor = 0;         ///< Compute capability, minor.
  int sm_count = 0;              ///< Streaming multiprocessors.
  std::size_t l2_bytes = 0;      ///< L2 cache, in bytes.
  std::size_t shared_bytes = 0;  ///< Shared memory one block may use (opt-in limit), in bytes.
  std::size_t memory_bytes = 0;  ///< Device memory, in bytes.
  /// Clusters of 2 blocks that run at a time where each block fills a multiprocessor; 0 where the library's kernels do not run. A
  /// cluster lies within one group of multiprocessors (GPC), and groups differ from one GPU to the next: 132 multiprocessors hold 14 to 16
  /// clusters of 8.
  int clusters_of_2 = 0;
  int clusters_of_4 = 0;  ///< The same of 4 blocks.
  int clusters_of_8 = 0;  ///< The same of 8 blocks.
};

/// Facts of CUDA device `device`. The first call makes its primary context, if it is one that the library's kernels run on.
/// @throws Error (cuda) if there is no such device or no driver; (invalid_argument) if `device` < 0.
CKL_API const DeviceInfo& device_info(int device);

/// Whether the library's kernels run on CUDA device `device`: true for compute capability 9.0, false
/// otherwise and where there is no such device. Never throws.
CKL_API bool supported(int device) noexcept;

}  // namespace ckl
