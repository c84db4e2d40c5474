#include <algorithm>
#include <cstring>
#include <vector>

#include "runtime/device.hpp"
#include "runtime/objects.hpp"
#include "runtime/options.hpp"
#include "runtime/capture.hpp"
#include "runtime/stream.hpp"

using namespace emu;

namespace {

// Newer than 13.1: up to that one, programs work around a fault of the driver's tensor maps, which these do not have.
constexpr int driver_version = 13020;

constexpr const char* pci_bus_id = "0000:00:00.0";

std::size_t& limit_of(cudaLimit limit) {
  auto at = context().limits.find(limit);
  require(at != context().limits.end(), cudaErrorUnsupportedLimit, "limit {} is not supported", int(limit));
  return at->second;
}

}  // namespace

int emu::emulated_driver_version() { return driver_version; }

CKL_EMU_API cudaError_t cudaGetDeviceCount(int* count) {
  return api("cudaGetDeviceCount", [&] {
    require_value(count, "count must not be null");
    *count = 1;
  });
}

CKL_EMU_API cudaError_t cudaGetDevice(int* device) {
  return api(
      "cudaGetDevice",
      [&] {
        require_value(device, "device must not be null");
        *device = 0;
      },
      ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaSetDevice(int device) {
  return api("cudaSetDevice", [&] { require_device(device); });
}

CKL_EMU_API cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  return api("cudaInitDevice", [&] { require_device(device); });
}

CKL_EMU_API cudaError_t cudaSetValidDevices(int* devices, int count) {
  return api("cudaSetValidDevices", [&] {
    require_value(devices || count <= 0, "device_arr must not be null");
    for (int i = 0; i < count; ++i) require_device(devices[i]);
  });
}

CKL_EMU_API cudaError_t cudaChooseDevice(int* device, const cudaDeviceProp* wanted) {
  return api("cudaChooseDevice", [&] {
    require_value(device && wanted, "device and prop must not be null");
    *device = 0;
  });
}

CKL_EMU_API cudaError_t cudaSetDeviceFlags(unsigned flags) {
  return api("cudaSetDeviceFlags", [&] {
    require_value(!(flags & ~unsigned(cudaDeviceMask)), "flags {:#x} are not those of a device", flags);
    context().device_flags = flags;  // how to wait, and there is nothing to wait for
  });
}

CKL_EMU_API cudaError_t cudaGetDeviceFlags(unsigned* flags) {
  return api("cudaGetDeviceFlags", [&] {
    require_value(flags, "flags must not be null");
    *flags = context().device_flags | cudaDeviceMapHost;
  });
}

CKL_EMU_API cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return api("cudaGetDeviceProperties", [&] {
    require_value(properties, "prop must not be null");
    require_device(device);
    *properties = device_properties();
  });
}

CKL_EMU_API cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return api("cudaDeviceGetAttribute", [&] {
    require_value(value, "value must not be null");
    require_device(device);
    *value = device_attribute(attribute);
  });
}

CKL_EMU_API cudaError_t cudaDeviceReset() {
  return api(
      "cudaDeviceReset",
      [&] {
        forbid_unsafe_call_during_capture();
        Context& c = context();
        for (const auto& capture : std::vector(c.captures)) leave(*capture);
        c.graph_execs.clear();
        c.graphs.clear();
        c.streams.clear();
        c.events.clear();
        c.memory.release_all();
        status::set_fault(cudaSuccess);
      },
      ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaDeviceSetLimit(cudaLimit limit, std::size_t value) {
  return api("cudaDeviceSetLimit", [&] { limit_of(limit) = value; });
}

CKL_EMU_API cudaError_t cudaDeviceGetLimit(std::size_t* value, cudaLimit limit) {
  return api("cudaDeviceGetLimit", [&] {
    require_value(value, "pValue must not be null");
    *value = limit_of(limit);
  });
}

// Preferences between L1 cache and shared memory steer speed alone.

CKL_EMU_API cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) {
  return api("cudaDeviceSetCacheConfig", [] {});
}

CKL_EMU_API cudaError_t cudaDeviceGetCacheConfig(cudaFuncCache* config) {
  return api("cudaDeviceGetCacheConfig", [&] {
    require_value(config, "pCacheConfig must not be null");
    *config = cudaFuncCachePreferNone;
  });
}

CKL_EMU_API cudaError_t cudaDeviceSetSharedMemConfig(cudaSharedMemConfig) {
  return api("cudaDeviceSetSharedMemConfig", [] {});
}

CKL_EMU_API cudaError_t cudaDeviceGetSharedMemConfig(cudaSharedMemConfig* config) {
  return api("cudaDeviceGetSharedMemConfig", [&] {
    require_value(config, "pConfig must not be null");
    *config = cudaSharedMemBankSizeFourByte;
  });
}

CKL_EMU_API cudaError_t cudaCtxResetPersistingL2Cache() {
  return api("cudaCtxResetPersistingL2Cache", [] {});
}

CKL_EMU_API cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return api("cudaDeviceGetStreamPriorityRange", [&] {
    if (least) *least = limits::stream_priority_least;
    if (greatest) *greatest = limits::stream_priority_greatest;
  });
}

CKL_EMU_API cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  return api("cudaDeviceGetPCIBusId", [&] {
    require_device(device);
    require_value(text && length > int(std::strlen(pci_bus_id)), "the text needs room for {} characters",
                  std::strlen(pci_bus_id) + 1);
    std::strcpy(text, pci_bus_id);
  });
}

CKL_EMU_API cudaError_t cudaDeviceGetByPCIBusId(int* device, const char* text) {
  return api("cudaDeviceGetByPCIBusId", [&] {
    require_value(device && text, "device and pciBusId must not be null");
    require(!std::strcmp(text, pci_bus_id), cudaErrorInvalidDevice, "there is no device {}", text);
    *device = 0;
  });
}

// With one device there is no peer.

CKL_EMU_API cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return api("cudaDeviceCanAccessPeer", [&] {
    require_value(can, "canAccessPeer must not be null");
    require_device(device);
    require_device(peer);
    *can = 0;
  });
}

CKL_EMU_API cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  return api("cudaDeviceEnablePeerAccess", [&] { fail(cudaErrorInvalidDevice, "device {} is not a peer", peer); });
}

CKL_EMU_API cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  return api("cudaDeviceDisablePeerAccess", [&] { fail(cudaErrorInvalidDevice, "device {} is not a peer", peer); });
}

CKL_EMU_API cudaError_t cudaDriverGetVersion(int* version) {
  return api(
      "cudaDriverGetVersion",
      [&] {
        require_value(version, "driverVersion must not be null");
        *version = driver_version;
      },
      ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaRuntimeGetVersion(int* version) {
  return api(
      "cudaRuntimeGetVersion",
      [&] {
        require_value(version, "runtimeVersion must not be null");
        *version = CUDART_VERSION;
      },
      ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaGetLastError() { return status::take_last_error(); }
CKL_EMU_API cudaError_t cudaPeekAtLastError() { return status::last_error(); }

CKL_EMU_API cudaError_t cudaProfilerStart() {
  return api("cudaProfilerStart", [] {});  // there is no profiler
}
CKL_EMU_API cudaError_t cudaProfilerStop() {
  return api("cudaProfilerStop", [] {});
}

CKL_EMU_API cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w, cudaChannelFormatKind kind) {
  return {x, y, z, w, kind};
}
