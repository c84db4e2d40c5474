#include "runtime/device.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "runtime/options.hpp"
#include "runtime/status.hpp"

namespace emu {

namespace {

constexpr GpuModel models[] = {
    {"h100", "NVIDIA H100 80GB HBM3 (emulated)", 132, std::size_t(81079) << 20, 50 << 20, 1980000, 2619000, 5120},
    {"h200", "NVIDIA H200 (emulated)", 132, std::size_t(143156) << 20, 60 << 20, 1980000, 3201000, 6144},
};

}  // namespace

const GpuModel* find_gpu_model(const std::string& key) {
  auto at = std::find_if(std::begin(models), std::end(models), [&](const GpuModel& model) { return key == model.key; });
  return at == std::end(models) ? nullptr : at;
}

void require_device(int device) {
  require(device == 0, cudaErrorInvalidDevice, "the emulator has one device, 0, but device is {}", device);
}

int gpc_count() { return (options().sm_count + limits::max_sms_per_gpc - 1) / limits::max_sms_per_gpc; }

int sms_of_gpc(int gpc) {
  const int sms = options().sm_count, pairs = sms / 2, gpcs = gpc_count();
  const int own_pairs = pairs / gpcs + (gpc < pairs % gpcs ? 1 : 0);
  return own_pairs * 2 + (gpc == gpcs - 1 ? sms % 2 : 0);  // an odd SM count leaves one over
}

int device_attribute(cudaDeviceAttr attribute) {
  const GpuModel& model = *options().gpu;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: return limits::threads_per_block;
    case cudaDevAttrMaxBlockDimX: return limits::block_dims[0];
    case cudaDevAttrMaxBlockDimY: return limits::block_dims[1];
    case cudaDevAttrMaxBlockDimZ: return limits::block_dims[2];
    case cudaDevAttrMaxGridDimX: return int(limits::grid_dims[0]);
    case cudaDevAttrMaxGridDimY: return int(limits::grid_dims[1]);
    case cudaDevAttrMaxGridDimZ: return int(limits::grid_dims[2]);
    case cudaDevAttrMaxSharedMemoryPerBlock: return limits::shared_per_block;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: return limits::shared_per_block_optin;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: return limits::shared_per_sm;
    case cudaDevAttrReservedSharedMemoryPerBlock: return limits::shared_reserved_per_block;
    case cudaDevAttrTotalConstantMemory: return limits::constant_bytes;
    case cudaDevAttrWarpSize: return limits::warp_size;
    case cudaDevAttrMaxPitch: return std::numeric_limits<int>::max();
    case cudaDevAttrMaxRegistersPerBlock: return limits::registers_per_block;
    case cudaDevAttrMaxRegistersPerMultiprocessor: return limits::registers_per_sm;
    case cudaDevAttrMaxThreadsPerMultiProcessor: return limits::threads_per_sm;
    case cudaDevAttrMaxBlocksPerMultiprocessor: return limits::blocks_per_sm;
    case cudaDevAttrMultiProcessorCount: return options().sm_count;
    case cudaDevAttrClockRate: return model.clock_khz;
    case cudaDevAttrMemoryClockRate: return model.memory_clock_khz;
    case cudaDevAttrGlobalMemoryBusWidth: return model.memory_bus_bits;
    case cudaDevAttrL2CacheSize: return model.l2_bytes;
    case cudaDevAttrMaxPersistingL2CacheSize: return model.l2_bytes / 8 * 5;
    case cudaDevAttrMaxAccessPolicyWindowSize: return 128 << 20;
    case cudaDevAttrComputeCapabilityMajor: return 9;
    case cudaDevAttrComputeCapabilityMinor: return 0;
    case cudaDevAttrTextureAlignment:
    case cudaDevAttrSurfaceAlignment: return 512;
    case cudaDevAttrTexturePitchAlignment: return 32;
    case cudaDevAttrAsyncEngineCount: return 3;
    case cudaDevAttrSingleToDoublePrecisionPerfRatio: return 2;
    case cudaDevAttrMemSyncDomainCount: return 4;
    case cudaDevAttrMultiGpuBoardGroupID: return 0;
    case cudaDevAttrHostNumaId: return -1;
    case cudaDevAttrNumaId: return -1;
    case cudaDevAttrComputeMode: return cudaComputeModeDefault;

    case cudaDevAttrGpuOverlap:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrEccEnabled:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrStreamPrioritiesSupported:
    case cudaDevAttrGlobalL1CacheSupported:
    case cudaDevAttrLocalL1CacheSupported:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrConcurrentManagedAccess:
    case cudaDevAttrComputePreemptionSupported:
    case cudaDevAttrCanUseHostPointerForRegisteredMem:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrHostRegisterSupported:
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrClusterLaunch: return 1;

    // What the emulator does not offer: textures, interoperation, several GPUs, processes that share memory.
    case cudaDevAttrKernelExecTimeout:
    case cudaDevAttrIntegrated:
    case cudaDevAttrPciBusId:
    case cudaDevAttrPciDeviceId:
    case cudaDevAttrPciDomainId:
    case cudaDevAttrTccDriver:
    case cudaDevAttrIsMultiGpuBoard:
    case cudaDevAttrHostNativeAtomicSupported:
    case cudaDevAttrPageableMemoryAccess:
    case cudaDevAttrPageableMemoryAccessUsesHostPageTables:
    case cudaDevAttrDirectManagedMemAccessFromHost:
    case cudaDevAttrCanFlushRemoteWrites:
    case cudaDevAttrSparseCudaArraySupported:
    case cudaDevAttrHostRegisterReadOnlySupported:
    case cudaDevAttrTimelineSemaphoreInteropSupported:
    case cudaDevAttrGPUDirectRDMASupported:
    case cudaDevAttrGPUDirectRDMAFlushWritesOptions:
    case cudaDevAttrGPUDirectRDMAWritesOrdering:
    case cudaDevAttrMemoryPoolSupportedHandleTypes:
    case cudaDevAttrDeferredMappingCudaArraySupported:
    case cudaDevAttrIpcEventSupport:
    case cudaDevAttrNumaConfig:
    case cudaDevAttrMpsEnabled:
    case cudaDevAttrD3D12CigSupported:
    case cudaDevAttrVulkanCigSupported:
    case cudaDevAttrGpuPciDeviceId:
    case cudaDevAttrGpuPciSubsystemId:
    case cudaDevAttrHostNumaMemoryPoolsSupported:
    case cudaDevAttrHostNumaMultinodeIpcSupported:
    case cudaDevAttrHostMemoryPoolsSupported:
    case cudaDevAttrOnlyPartialHostNativeAtomicSupported: return 0;
    default: break;
  }
  // Sizes of textures and surfaces: there are none.
  const bool texture =
      (attribute >= cudaDevAttrMaxTexture1DWidth && attribute <= cudaDevAttrMaxTexture2DLayeredLayers) ||
      (attribute >= cudaDevAttrMaxTexture1DLayeredWidth && attribute <= cudaDevAttrMaxTexture3DDepthAlt) ||
      (attribute >= cudaDevAttrMaxTextureCubemapWidth && attribute <= cudaDevAttrMaxTexture2DMipmappedHeight) ||
      attribute == cudaDevAttrMaxTexture1DMipmappedWidth;
  require_value(texture, "{} is not a cudaDeviceAttr", int(attribute));
  return 0;
}

cudaDeviceProp device_properties() {
  cudaDeviceProp p{};
  std::strncpy(p.name, options().gpu->name, sizeof p.name - 1);
  std::memcpy(p.uuid.bytes, "ckl-emulated-gpu", sizeof p.uuid.bytes);
  p.totalGlobalMem = options().gpu->memory_bytes;
  p.sharedMemPerBlock = limits::shared_per_block;
  p.sharedMemPerBlockOptin = limits::shared_per_block_optin;
  p.sharedMemPerMultiprocessor = limits::shared_per_sm;
  p.reservedSharedMemPerBlock = limits::shared_reserved_per_block;
  p.totalConstMem = limits::constant_bytes;
  for (int i = 0; i < 3; ++i) {
    p.maxThreadsDim[i] = limits::block_dims[i];
    p.maxGridSize[i] = int(limits::grid_dims[i]);
  }
  // Every other field that has an attribute has that attribute's value.
  auto set = [](auto& field, cudaDeviceAttr attribute) { field = device_attribute(attribute); };
  set(p.regsPerBlock, cudaDevAttrMaxRegistersPerBlock);
  set(p.warpSize, cudaDevAttrWarpSize);
  set(p.memPitch, cudaDevAttrMaxPitch);
  set(p.maxThreadsPerBlock, cudaDevAttrMaxThreadsPerBlock);
  set(p.major, cudaDevAttrComputeCapabilityMajor);
  set(p.minor, cudaDevAttrComputeCapabilityMinor);
  set(p.textureAlignment, cudaDevAttrTextureAlignment);
  set(p.texturePitchAlignment, cudaDevAttrTexturePitchAlignment);
  set(p.surfaceAlignment, cudaDevAttrSurfaceAlignment);
  set(p.multiProcessorCount, cudaDevAttrMultiProcessorCount);
  set(p.canMapHostMemory, cudaDevAttrCanMapHostMemory);
  set(p.concurrentKernels, cudaDevAttrConcurrentKernels);
  set(p.ECCEnabled, cudaDevAttrEccEnabled);
  set(p.asyncEngineCount, cudaDevAttrAsyncEngineCount);
  set(p.unifiedAddressing, cudaDevAttrUnifiedAddressing);
  set(p.memoryBusWidth, cudaDevAttrGlobalMemoryBusWidth);
  set(p.l2CacheSize, cudaDevAttrL2CacheSize);
  set(p.persistingL2CacheMaxSize, cudaDevAttrMaxPersistingL2CacheSize);
  set(p.accessPolicyMaxWindowSize, cudaDevAttrMaxAccessPolicyWindowSize);
  set(p.maxThreadsPerMultiProcessor, cudaDevAttrMaxThreadsPerMultiProcessor);
  set(p.streamPrioritiesSupported, cudaDevAttrStreamPrioritiesSupported);
  set(p.globalL1CacheSupported, cudaDevAttrGlobalL1CacheSupported);
  set(p.localL1CacheSupported, cudaDevAttrLocalL1CacheSupported);
  set(p.regsPerMultiprocessor, cudaDevAttrMaxRegistersPerMultiprocessor);
  set(p.managedMemory, cudaDevAttrManagedMemory);
  set(p.concurrentManagedAccess, cudaDevAttrConcurrentManagedAccess);
  set(p.computePreemptionSupported, cudaDevAttrComputePreemptionSupported);
  set(p.canUseHostPointerForRegisteredMem, cudaDevAttrCanUseHostPointerForRegisteredMem);
  set(p.cooperativeLaunch, cudaDevAttrCooperativeLaunch);
  set(p.maxBlocksPerMultiProcessor, cudaDevAttrMaxBlocksPerMultiprocessor);
  set(p.hostRegisterSupported, cudaDevAttrHostRegisterSupported);
  set(p.memoryPoolsSupported, cudaDevAttrMemoryPoolsSupported);
  set(p.clusterLaunch, cudaDevAttrClusterLaunch);
  set(p.deviceNumaId, cudaDevAttrNumaId);
  set(p.hostNumaId, cudaDevAttrHostNumaId);
  return p;
}

}  // namespace emu
