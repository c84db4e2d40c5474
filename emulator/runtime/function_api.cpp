// Attributes of kernels, and occupancy.

#include <algorithm>

#include "runtime/device.hpp"
#include "runtime/launch.hpp"
#include "runtime/node_params.hpp"

using namespace emu;

namespace {

void set_attribute(CUkern_st& kernel, cudaFuncAttribute attribute, int value) {
  const KernelFacts facts = facts_of(kernel);
  auto required_dimension = [&](unsigned compiled, unsigned& dimension) {
    require_value(value >= 0, "a required cluster dimension must not be negative, but is {}", value);
    require_value(compiled == 0, "{} was compiled with a cluster dimension, which cannot be changed", kernel.name);
    dimension = unsigned(value);
  };
  switch (attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize: {
      const int limit = limits::shared_per_block_optin - int(facts.static_shared);
      require_value(value >= 0 && value <= limit,
                    "{} can use at most {} bytes of dynamic shared memory, but {} are asked for", kernel.name, limit,
                    value);
      kernel.max_dynamic_shared = value;
      kernel.max_dynamic_shared_set = true;
      return;
    }
    case cudaFuncAttributePreferredSharedMemoryCarveout:
      require_value(value >= -1 && value <= 100, "a carveout must be -1 to 100 percent, but is {}", value);
      kernel.preferred_carveout = value;
      return;
    case cudaFuncAttributeRequiredClusterWidth:
      required_dimension(facts.required_cluster.x, kernel.required_cluster.x);
      return;
    case cudaFuncAttributeRequiredClusterHeight:
      required_dimension(facts.required_cluster.y, kernel.required_cluster.y);
      return;
    case cudaFuncAttributeRequiredClusterDepth:
      required_dimension(facts.required_cluster.z, kernel.required_cluster.z);
      return;
    case cudaFuncAttributeNonPortableClusterSizeAllowed: kernel.non_portable_cluster = value != 0; return;
    case cudaFuncAttributeClusterDimMustBeSet: kernel.cluster_must_be_set = value != 0; return;
    case cudaFuncAttributeClusterSchedulingPolicyPreference: kernel.scheduling_policy = value; return;
    default: fail(cudaErrorInvalidValue, "{} is not a cudaFuncAttribute that can be set", int(attribute));
  }
}

cudaFuncAttributes attributes_of(CUkern_st& kernel) {
  const KernelFacts facts = facts_of(kernel);
  cudaFuncAttributes a{};
  a.sharedSizeBytes = facts.static_shared;
  a.localSizeBytes = facts.local;
  a.maxThreadsPerBlock = facts.max_threads;
  a.numRegs = facts.registers;
  a.ptxVersion = a.binaryVersion = 90;
  a.maxDynamicSharedSizeBytes = int(max_dynamic_shared(kernel));
  a.preferredShmemCarveout = kernel.preferred_carveout;
  const dim3 cluster = facts.required_cluster.x ? facts.required_cluster : kernel.required_cluster;
  a.clusterDimMustBeSet = kernel.cluster_must_be_set;
  a.requiredClusterWidth = int(cluster.x);
  a.requiredClusterHeight = int(cluster.y);
  a.requiredClusterDepth = int(cluster.z);
  a.clusterSchedulingPolicyPreference = kernel.scheduling_policy;
  a.nonPortableClusterSizeAllowed = kernel.non_portable_cluster;
  return a;
}

KernelOperation launch_of(const void* function, const cudaLaunchConfig_t& config) {
  KernelOperation launch;
  launch.kernel = &resolve_function(function);
  launch.grid = config.gridDim;
  launch.block = config.blockDim;
  launch.dynamic_shared = config.dynamicSmemBytes;
  require_value(config.attrs || !config.numAttrs, "config->attrs is null, but config->numAttrs is {}", config.numAttrs);
  for (unsigned i = 0; i < config.numAttrs; ++i) apply_attribute(launch, config.attrs[i]);
  return launch;
}

int threads_of(dim3 block) { return int(block.x * block.y * block.z); }

}  // namespace

CKL_EMU_API cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return api("cudaFuncGetAttributes", [&] {
    require_value(attributes, "attr must not be null");
    *attributes = attributes_of(resolve_function(function));
  });
}

CKL_EMU_API cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return api("cudaFuncSetAttribute", [&] { set_attribute(resolve_function(function), attribute, value); });
}

CKL_EMU_API cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, cudaFuncAttribute attribute, int value,
                                                        int device) {
  return api("cudaKernelSetAttributeForDevice", [&] {
    require_device(device);
    set_attribute(resolve_function(kernel), attribute, value);
  });
}

CKL_EMU_API cudaError_t cudaFuncSetCacheConfig(const void* function, cudaFuncCache) {
  return api("cudaFuncSetCacheConfig", [&] { resolve_function(function); });  // steers speed alone
}

CKL_EMU_API cudaError_t cudaFuncSetSharedMemConfig(const void* function, cudaSharedMemConfig) {
  return api("cudaFuncSetSharedMemConfig", [&] { resolve_function(function); });
}

CKL_EMU_API cudaError_t cudaFuncGetName(const char** name, const void* function) {
  return api("cudaFuncGetName", [&] {
    require_value(name, "name must not be null");
    *name = resolve_function(function).name.c_str();
  });
}

CKL_EMU_API cudaError_t cudaFuncGetParamInfo(const void* function, std::size_t index, std::size_t* offset,
                                             std::size_t* size) {
  return api("cudaFuncGetParamInfo", [&] {
    const std::vector<KernelParam> params = params_of(resolve_function(function));
    require_value(index < params.size() && offset, "paramIndex must be below {}, and paramOffset not null",
                  params.size());
    *offset = params[index].offset;
    if (size) *size = params[index].bytes;
  });
}

CKL_EMU_API cudaError_t cudaGetFuncBySymbol(cudaFunction_t* function, const void* symbol) {
  return api("cudaGetFuncBySymbol", [&] {
    require_value(function, "functionPtr must not be null");
    *function = reinterpret_cast<cudaFunction_t>(&resolve_function(symbol));
  });
}

CKL_EMU_API cudaError_t cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  return api("cudaGetKernel", [&] {
    require_value(kernel, "kernelPtr must not be null");
    *kernel = &resolve_function(function);
  });
}

CKL_EMU_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function,
                                                                               int threads, std::size_t shared,
                                                                               unsigned flags) {
  return api("cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", [&] {
    require_value(blocks, "numBlocks must not be null");
    require_value(threads > 0, "blockSize must be 1 or more, but is {}", threads);
    require_value(flags <= cudaOccupancyDisableCachingOverride, "flags {} are not those of an occupancy query", flags);
    *blocks = max_blocks_per_sm(resolve_function(function), threads, shared);
  });
}

CKL_EMU_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int threads,
                                                                      std::size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, shared,
                                                                cudaOccupancyDefault);
}

CKL_EMU_API cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(std::size_t* bytes, const void* function, int blocks,
                                                                  int threads) {
  return api("cudaOccupancyAvailableDynamicSMemPerBlock", [&] {
    require_value(bytes && blocks > 0 && threads > 0,
                  "dynamicSmemSize must not be null, numBlocks and blockSize not 0");
    CUkern_st& kernel = resolve_function(function);
    require_value(max_blocks_per_sm(kernel, threads, 0) >= blocks, "{} blocks of {} threads do not fit one SM", blocks,
                  threads);
    const std::size_t fixed = facts_of(kernel).static_shared + limits::shared_reserved_per_block;
    const std::size_t share = std::size_t(limits::shared_per_sm / blocks) / limits::shared_unit * limits::shared_unit;
    *bytes =
        std::min(share > fixed ? share - fixed : 0, limits::shared_per_block_optin - facts_of(kernel).static_shared);
  });
}

CKL_EMU_API cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* function,
                                                       const cudaLaunchConfig_t* config) {
  return api("cudaOccupancyMaxActiveClusters", [&] {
    require_value(clusters && config, "numClusters and launchConfig must not be null");
    const KernelOperation launch = launch_of(function, *config);
    const int size = threads_of(effective_cluster(launch));
    const int limit = launch.kernel->non_portable_cluster ? limits::max_cluster_size : limits::portable_cluster_size;
    require(size >= 1 && size <= limit, cudaErrorInvalidClusterSize, "a cluster must have 1 to {} blocks, but has {}",
            limit, size);
    // Without a cluster there are none: an H100 answers 0 to a configuration that has no cluster attribute.
    *clusters = size == 1 && !launch.cluster.x
                    ? 0
                    : max_clusters(*launch.kernel, threads_of(config->blockDim), config->dynamicSmemBytes, size);
  });
}

CKL_EMU_API cudaError_t cudaOccupancyMaxPotentialClusterSize(int* size, const void* function,
                                                             const cudaLaunchConfig_t* config) {
  return api("cudaOccupancyMaxPotentialClusterSize", [&] {
    require_value(size && config, "clusterSize and launchConfig must not be null");
    const KernelOperation launch = launch_of(function, *config);
    *size = 0;
    const int limit = launch.kernel->non_portable_cluster ? limits::max_cluster_size : limits::portable_cluster_size;
    for (int candidate = 1; candidate <= limit; candidate *= 2)
      if (max_clusters(*launch.kernel, threads_of(config->blockDim), config->dynamicSmemBytes, candidate) > 0)
        *size = candidate;
  });
}
