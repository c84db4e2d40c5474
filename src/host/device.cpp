#include "host/device.hpp"

#include <array>
#include <mutex>

#include "host/launch.hpp"
#include "host/module.hpp"
#include "host/require.hpp"

namespace ckl {

namespace {

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  host::check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

/// Throws unless `status`, of the first call that needs a driver and a device, is success.
void require_usable(cudaError_t status) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  host::fail(ErrorCode::cuda, "no CUDA device can be used: ", cudaGetErrorString(status), " (",
             cudaGetErrorName(status), ")");
}

bool runs_kernels(int major, int minor) { return major == 9 && minor == 0; }

/// Clusters of `size` blocks of more than half of a multiprocessor's shared memory that run at a time.
int clusters_at_a_time(const DeviceInfo& info, unsigned size) {
  host::Launch launch{.kernel = host::any_kernel(), .threads = 32, .cluster = size};
  launch.shared_bytes = info.shared_bytes / 2 + 1024;
  host::prepare(launch, info.index);
  return host::max_active_clusters(launch, info);
}

DeviceInfo read_device_info(int device) {
  cudaDeviceProp properties{};
  host::check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  DeviceInfo info;
  info.index = device;
  info.name = properties.name;
  info.compute_major = properties.major;
  info.compute_minor = properties.minor;
  info.sm_count = properties.multiProcessorCount;
  info.l2_bytes = std::size_t(properties.l2CacheSize);
  info.shared_bytes = std::size_t(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  info.memory_bytes = properties.totalGlobalMem;
  if (runs_kernels(info.compute_major, info.compute_minor)) {
    host::RelaxedCapture relaxed;
    host::DeviceGuard guard(device);
    info.clusters_of_2 = clusters_at_a_time(info, 2);
    info.clusters_of_4 = clusters_at_a_time(info, 4);
    info.clusters_of_8 = clusters_at_a_time(info, 8);
  }
  return info;
}

constexpr int max_devices = 64;

/// The number of CUDA devices, asked for once: where there is one, nothing needs to ask which it is.
int device_count() {
  static const int count = [] {
    int value = 0;
    require_usable(cudaGetDeviceCount(&value));
    return value;
  }();
  return count;
}

void require_device_index(int device) {
  host::require(device >= 0, "device must be 0 or more, but is ", device);
  const int count = device_count();
  host::require(device < count && device < max_devices, "device must be below the number of CUDA devices, ", count,
                ", but is ", device);
}

}  // namespace

const DeviceInfo& device_info(int device) {
  require_device_index(device);
  static std::array<DeviceInfo, max_devices> infos;
  static std::array<std::once_flag, max_devices> once;
  std::call_once(once[device], [device] { infos[device] = read_device_info(device); });
  return infos[device];
}

bool supported(int device) noexcept {
  try {
    require_device_index(device);
    return runs_kernels(attribute(cudaDevAttrComputeCapabilityMajor, device),
                        attribute(cudaDevAttrComputeCapabilityMinor, device));
  } catch (...) {
    return false;
  }
}

namespace host {

int current_device() {
  if (device_count() == 1) return 0;
  int device = 0;
  require_usable(cudaGetDevice(&device));
  return device;
}

const DeviceInfo& require_device(int device) {
  require(device >= -1, "device must be a CUDA device index, or -1 for the current device, but is ", device);
  const DeviceInfo& info = device_info(device == -1 ? current_device() : device);
  require_supported(runs_kernels(info.compute_major, info.compute_minor),
                    "the kernels need a GPU of compute capability 9.0 (H100, H200), but device ", info.index, ", ",
                    info.name, ", has ", info.compute_major, ".", info.compute_minor);
  return info;
}

DeviceGuard::DeviceGuard(int device) : previous_(current_device()), device_(device) {
  if (previous_ != device_) check(cudaSetDevice(device_), "cudaSetDevice");
}
DeviceGuard::~DeviceGuard() {
  if (previous_ != device_) cudaSetDevice(previous_);
}

void require_stream_of(Stream stream, int device) {
  if (device_count() == 1) return;
  int actual = device;
  if (stream == nullptr) {
    check(cudaGetDevice(&actual), "cudaGetDevice");
  } else {
    // A capturing stream does not tell its device; there the launch itself refuses a stream of another one.
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(stream, &capture), "cudaStreamIsCapturing");
    if (capture == cudaStreamCaptureStatusNone) check(cudaStreamGetDevice(stream, &actual), "cudaStreamGetDevice");
  }
  require(actual == device, "stream must belong to the plan's device, ", device, ", but belongs to device ", actual);
}

}  // namespace host
}  // namespace ckl
