#include "host/launch.hpp"

#include "host/require.hpp"

namespace ckl::host {

namespace {

const void* as_function(cudaKernel_t kernel) { return reinterpret_cast<const void*>(kernel); }

/// A launch configuration; `attribute` must outlive it.
cudaLaunchConfig_t configuration(const Launch& launch, cudaLaunchAttribute& attribute, Stream stream) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(launch.grid);
  config.blockDim = dim3(launch.threads);
  config.dynamicSmemBytes = launch.shared_bytes;
  config.stream = stream;
  if (launch.cluster > 1) {
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = launch.cluster;
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    config.attrs = &attribute;
    config.numAttrs = 1;
  }
  return config;
}

}  // namespace

void prepare(const Launch& launch, int device) {
  check(cudaKernelSetAttributeForDevice(launch.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        int(launch.shared_bytes), device),
        "cudaKernelSetAttributeForDevice");
}

int max_active_clusters(const Launch& launch, const DeviceInfo& device) {
  int clusters = 0;
  if (launch.cluster == 1) {  // cudaOccupancyMaxActiveClusters knows no clusters of one block
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&clusters, as_function(launch.kernel), int(launch.threads),
                                                        launch.shared_bytes),
          "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
    clusters *= device.sm_count;
  } else {
    cudaLaunchAttribute attribute{};
    cudaLaunchConfig_t config = configuration(launch, attribute, nullptr);
    config.gridDim = dim3(launch.cluster);
    check(cudaOccupancyMaxActiveClusters(&clusters, as_function(launch.kernel), &config),
          "cudaOccupancyMaxActiveClusters");
  }
  require_supported(clusters > 0, "the device must hold at least one cluster of ", launch.cluster, " blocks with ",
                    launch.shared_bytes, " bytes of shared memory, but holds none");
  return clusters;
}

void launch(const Launch& launch, const void* params, Stream stream) {
  cudaLaunchAttribute attribute{};
  cudaLaunchConfig_t config = configuration(launch, attribute, stream);
  void* arguments[] = {const_cast<void*>(params)};
  check(cudaLaunchKernelExC(&config, as_function(launch.kernel), arguments), "cudaLaunchKernelExC");
}

RelaxedCapture::RelaxedCapture() {
  check(cudaThreadExchangeStreamCaptureMode(&mode_), "cudaThreadExchangeStreamCaptureMode");
}
RelaxedCapture::~RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }

}  // namespace ckl::host
