#pragma once

#include "ckl/device.hpp"

namespace ckl::host {

/// The calling thread's current CUDA device.
int current_device();

/// The facts of `device` (-1: the current one).
/// @throws Error (unsupported) unless it is of compute capability 9.0.
const DeviceInfo& require_device(int device);

/// Makes `device` the calling thread's current one while it lives.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_, device_;
};

/// Throws invalid_argument unless `stream` belongs to `device`; asks the driver only where there are several devices.
void require_stream_of(Stream stream, int device);

}  // namespace ckl::host
