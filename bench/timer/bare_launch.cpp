#include "timer/bare_launch.hpp"

#include <cuda.h>

#include <memory>
#include <vector>

#include "timer/cuda.hpp"

namespace ckl::bench {
namespace {

/// What the node launches, as the driver knows it. The runtime does not know kernels of a library (CUDA 13.0), and memcheck reports a
/// question that it refuses; the emulator has no driver, and its runtime knows all kernels.
bool read_params(cudaGraphNode_t node, cudaKernelNodeParams& params) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  if (cudaGetDriverEntryPointByVersion("cuGraphKernelNodeGetParams", &function, 12000, cudaEnableDefault, &found) !=
          cudaSuccess ||
      !function)
    return cudaGraphKernelNodeGetParams(node, &params) == cudaSuccess && params.kernelParams != nullptr;
  CUDA_KERNEL_NODE_PARAMS known{};
  const auto get_params = reinterpret_cast<CUresult (*)(CUgraphNode, CUDA_KERNEL_NODE_PARAMS*)>(function);
  if (get_params(node, &known) != CUDA_SUCCESS || !known.kern || !known.kernelParams) return false;
  params.func = known.kern;
  params.gridDim = dim3(known.gridDimX, known.gridDimY, known.gridDimZ);
  params.blockDim = dim3(known.blockDimX, known.blockDimY, known.blockDimZ);
  params.sharedMemBytes = known.sharedMemBytes;
  params.kernelParams = known.kernelParams;
  return true;
}

/// Kernels as a captured graph tells them; the graph keeps their params.
class BareLaunches {
 public:
  explicit BareLaunches(const Launch& launch) {
    Stream stream;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
      launch(0, stream);
    } catch (...) {
      cudaStreamEndCapture(stream, &graph_);
      if (graph_) cudaGraphDestroy(graph_);
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph_), "cudaStreamEndCapture");
    std::size_t count = 0;
    complete_ = cudaGraphGetNodes(graph_, nullptr, &count) == cudaSuccess && count > 0;
    std::vector<cudaGraphNode_t> nodes(count);
    complete_ = complete_ && cudaGraphGetNodes(graph_, nodes.data(), &count) == cudaSuccess;
    for (cudaGraphNode_t node : nodes) complete_ = complete_ && add(node);
    cudaGetLastError();  // of what CUDA would not tell
  }
  ~BareLaunches() { cudaGraphDestroy(graph_); }
  BareLaunches(const BareLaunches&) = delete;
  BareLaunches& operator=(const BareLaunches&) = delete;

  bool complete() const { return complete_; }

  void run(cudaStream_t stream) const {
    for (const Kernel& kernel : kernels_) {
      cudaLaunchConfig_t config{};
      config.gridDim = kernel.params.gridDim;
      config.blockDim = kernel.params.blockDim;
      config.dynamicSmemBytes = kernel.params.sharedMemBytes;
      config.stream = stream;
      config.attrs = const_cast<cudaLaunchAttribute*>(kernel.attributes);
      config.numAttrs = kernel.attribute_count;
      check(cudaLaunchKernelExC(&config, kernel.params.func, kernel.params.kernelParams), "cudaLaunchKernelExC");
    }
  }

 private:
  struct Kernel {
    cudaKernelNodeParams params{};
    cudaLaunchAttribute attributes[2] = {};
    unsigned attribute_count = 0;
  };

  bool add(cudaGraphNode_t node) {
    cudaGraphNodeType type{};
    if (cudaGraphNodeGetType(node, &type) != cudaSuccess || type != cudaGraphNodeTypeKernel) return false;
    Kernel kernel;
    if (!read_params(node, kernel.params)) return false;
    cudaLaunchAttributeValue cluster{};
    if (cudaGraphKernelNodeGetAttribute(node, cudaLaunchAttributeClusterDimension, &cluster) != cudaSuccess)
      return false;
    if (cluster.clusterDim.x > 1) {
      kernel.attributes[kernel.attribute_count].id = cudaLaunchAttributeClusterDimension;
      kernel.attributes[kernel.attribute_count++].val = cluster;
    }
    // A graph has edges where a stream has this attribute; all kernels of the library are launched with it.
    kernel.attributes[kernel.attribute_count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    kernel.attributes[kernel.attribute_count++].val.programmaticStreamSerializationAllowed = 1;
    kernels_.push_back(kernel);
    return true;
  }

  cudaGraph_t graph_ = nullptr;
  bool complete_ = false;
  std::vector<Kernel> kernels_;
};

}  // namespace

Launch bare_launch_of(const Launch& launch) {
  const auto bare = std::make_shared<const BareLaunches>(launch);
  if (!bare->complete()) return {};
  return [bare](std::size_t, cudaStream_t stream) { bare->run(stream); };
}

}  // namespace ckl::bench
