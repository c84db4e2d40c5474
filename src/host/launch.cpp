#include "host/launch.hpp"

#include "host/require.hpp"

namespace ckl::host {

namespace {

constexpr unsigned portable_cluster = 8;  // blocks that every device with clusters holds

const void* as_function(cudaKernel_t kernel) { return reinterpret_cast<const void*>(kernel); }

/// The attributes of a launch, which its configuration points at.
struct Attributes {
  cudaLaunchAttribute list[4] = {};
  unsigned count = 0;

  explicit Attributes(const Launch& launch) {
    if (launch.cluster > 1) {
      list[count].id = cudaLaunchAttributeClusterDimension;
      list[count].val.clusterDim.x = launch.cluster;
      list[count].val.clusterDim.y = list[count].val.clusterDim.z = 1;
      ++count;
    }
    if (launch.load_balanced) {
      list[count].id = cudaLaunchAttributeClusterSchedulingPolicyPreference;
      list[count].val.clusterSchedulingPolicyPreference = cudaClusterSchedulingPolicyLoadBalancing;
      ++count;
    }
    if (launch.at_once) {
      list[count].id = cudaLaunchAttributeCooperative;
      list[count].val.cooperative = 1;
      ++count;
    }
    if (launch.overlaps_preceding) {
      list[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
      list[count].val.programmaticStreamSerializationAllowed = 1;
      ++count;
    }
  }
};

/// A launch configuration; `attributes` must outlive it.
cudaLaunchConfig_t configuration(const Launch& launch, Attributes& attributes, Stream stream) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(launch.grid);
  config.blockDim = dim3(launch.threads);
  config.dynamicSmemBytes = launch.shared_bytes;
  config.stream = stream;
  config.attrs = attributes.list;
  config.numAttrs = attributes.count;
  return config;
}

}  // namespace

void prepare(const Launch& launch, int device) {
  check(cudaKernelSetAttributeForDevice(launch.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        int(launch.shared_bytes), device),
        "cudaKernelSetAttributeForDevice");
  if (launch.cluster > portable_cluster)
    check(cudaKernelSetAttributeForDevice(launch.kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1, device),
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
    Attributes attributes(launch);
    cudaLaunchConfig_t config = configuration(launch, attributes, nullptr);
    config.gridDim = dim3(launch.cluster);
    check(cudaOccupancyMaxActiveClusters(&clusters, as_function(launch.kernel), &config),
          "cudaOccupancyMaxActiveClusters");
  }
  require_supported(clusters > 0, "the device must hold at least one cluster of ", launch.cluster, " blocks with ",
                    launch.shared_bytes, " bytes of shared memory, but holds none");
  return clusters;
}

void launch(const Launch& launch, const void* params, Stream stream) {
  Attributes attributes(launch);
  cudaLaunchConfig_t config = configuration(launch, attributes, stream);
  void* arguments[] = {const_cast<void*>(params)};
  check(cudaLaunchKernelExC(&config, as_function(launch.kernel), arguments), "cudaLaunchKernelExC");
}

RelaxedCapture::RelaxedCapture() {
  check(cudaThreadExchangeStreamCaptureMode(&mode_), "cudaThreadExchangeStreamCaptureMode");
}
RelaxedCapture::~RelaxedCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }

}  // namespace ckl::host
