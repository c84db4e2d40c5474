#include "runtime/node_params.hpp"

#include <algorithm>

#include "runtime/device.hpp"
#include "runtime/graph.hpp"
#include "runtime/launch.hpp"

namespace emu {

namespace {

Region linear(const void* data) { return {static_cast<std::byte*>(const_cast<void*>(data)), 0, 0}; }

Region pitched(const cudaPitchedPtr& pointer, const cudaPos& position) {
  Region region{static_cast<std::byte*>(pointer.ptr), pointer.pitch, pointer.pitch * pointer.ysize};
  if (region.data) region.data = region.row(position.y, position.z) + position.x;
  return region;
}

}  // namespace

CopyOperation linear_copy(void* dst, const void* src, std::size_t bytes, cudaMemcpyKind kind) {
  return {linear(dst), linear(src), {bytes, 1, 1}, kind};
}

FillOperation linear_fill(void* dst, int value, std::size_t bytes) {
  return {linear(dst), {bytes, 1, 1}, unsigned(value) & 0xff, 1};
}

KernelOperation read_params(const cudaKernelNodeParams* params) {
  require_value(params, "the parameters must not be null");
  if (params->extra) fail_not_supported("a kernel node's arguments in the \"extra\" format");
  return make_launch(params->func, params->gridDim, params->blockDim, params->kernelParams, params->sharedMemBytes);
}

CopyOperation read_params(const cudaMemcpy3DParms* params) {
  require_value(params, "the parameters must not be null");
  if (params->srcArray || params->dstArray) fail_not_supported("a copy of a CUDA array");
  require_value(params->kind >= cudaMemcpyHostToHost && params->kind <= cudaMemcpyDefault,
                "kind {} is not a cudaMemcpyKind", int(params->kind));
  const Extent extent{params->extent.width, params->extent.height, params->extent.depth};
  for (const cudaPitchedPtr* side : {&params->srcPtr, &params->dstPtr}) {
    const cudaPos& position = side == &params->srcPtr ? params->srcPos : params->dstPos;
    require(extent.height * extent.depth <= 1 || position.x + extent.width <= side->pitch, cudaErrorInvalidPitchValue,
            "a pitch of {} bytes is too small for rows of {}", side->pitch, position.x + extent.width);
    require_value(extent.depth <= 1 || position.y + extent.height <= side->ysize,
                  "slices of {} rows are too small for {}", side->ysize, position.y + extent.height);
  }
  return {pitched(params->dstPtr, params->dstPos), pitched(params->srcPtr, params->srcPos), extent, params->kind};
}

FillOperation read_params(const cudaMemsetParams* params) {
  require_value(params, "the parameters must not be null");
  require_value(params->elementSize == 1 || params->elementSize == 2 || params->elementSize == 4,
                "elementSize must be 1, 2 or 4, but is {}", params->elementSize);
  FillOperation fill;
  fill.dst = {static_cast<std::byte*>(params->dst), params->pitch, 0};
  fill.extent = {params->width * params->elementSize, std::max<std::size_t>(params->height, 1), 1};
  fill.value = params->elementSize == 4 ? params->value : params->value & ((1u << 8 * params->elementSize) - 1);
  fill.element_bytes = params->elementSize;
  require(fill.extent.height <= 1 || params->pitch >= fill.extent.width, cudaErrorInvalidPitchValue,
          "a pitch of {} bytes is too small for rows of {}", params->pitch, fill.extent.width);
  return fill;
}

HostOperation read_params(const cudaHostNodeParams* params) {
  require_value(params, "the parameters must not be null");
  return {params->fn, params->userData};
}

Operation read_params(const cudaGraphNodeParams& params) {
  switch (params.type) {
    case cudaGraphNodeTypeKernel: {
      const auto& kernel = params.kernel;
      const cudaKernelNodeParams same{kernel.func,           kernel.gridDim,      kernel.blockDim,
                                      kernel.sharedMemBytes, kernel.kernelParams, kernel.extra};
      return read_params(&same);
    }
    case cudaGraphNodeTypeMemcpy: return read_params(&params.memcpy.copyParams);
    case cudaGraphNodeTypeMemset: {
      const auto& fill = params.memset;
      const cudaMemsetParams same{fill.dst, fill.pitch, fill.value, fill.elementSize, fill.width, fill.height};
      return read_params(&same);
    }
    case cudaGraphNodeTypeHost: return HostOperation{params.host.fn, params.host.userData};
    case cudaGraphNodeTypeGraph:
      if (params.graph.ownership == cudaGraphChildGraphOwnershipMove) fail_not_supported("moving a graph into a node");
      return ChildGraphOperation{clone(get_graph(params.graph.graph))};
    case cudaGraphNodeTypeEmpty: return EmptyOperation{};
    case cudaGraphNodeTypeWaitEvent: return EventWaitOperation{&context().events.get(params.eventWait.event)};
    case cudaGraphNodeTypeEventRecord: return EventRecordOperation{&context().events.get(params.eventRecord.event)};
    case cudaGraphNodeTypeMemAlloc: return AllocOperation{params.alloc.dptr, params.alloc.bytesize};
    case cudaGraphNodeTypeMemFree: return FreeOperation{params.free.dptr};
    case cudaGraphNodeTypeConditional: fail_not_supported("a conditional graph node");
    case cudaGraphNodeTypeExtSemaphoreSignal:
    case cudaGraphNodeTypeExtSemaphoreWait: fail_not_supported("an external semaphore's graph node");
    default: fail(cudaErrorInvalidValue, "{} is not a cudaGraphNodeType", int(params.type));
  }
}

cudaKernelNodeParams write_params(KernelOperation& operation) {
  operation.param_pointers.clear();
  for (const KernelParam& param : params_of(*operation.kernel))
    operation.param_pointers.push_back(operation.params.data() + param.offset);
  return {operation.kernel,
          operation.grid,
          operation.block,
          unsigned(operation.dynamic_shared),
          operation.param_pointers.data(),
          nullptr};
}

cudaMemcpy3DParms write_params(const CopyOperation& operation) {
  auto side = [&](const Region& region) {
    const std::size_t pitch = region.row_pitch ? region.row_pitch : operation.extent.width;
    return cudaPitchedPtr{region.data, pitch, operation.extent.width,
                          region.row_pitch ? region.slice_pitch / region.row_pitch : 1};
  };
  cudaMemcpy3DParms params{};
  params.srcPtr = side(operation.src);
  params.dstPtr = side(operation.dst);
  params.extent = {operation.extent.width, operation.extent.height, operation.extent.depth};
  params.kind = operation.kind;
  return params;
}

cudaMemsetParams write_params(const FillOperation& operation) {
  return {operation.dst.data,
          operation.dst.row_pitch,
          operation.value,
          operation.element_bytes,
          operation.extent.width / operation.element_bytes,
          operation.extent.height};
}

void apply_attribute(KernelOperation& operation, const cudaLaunchAttribute& attribute) {
  const cudaLaunchAttributeValue& value = attribute.val;
  switch (attribute.id) {
    case cudaLaunchAttributeClusterDimension:
      operation.cluster = dim3(value.clusterDim.x, value.clusterDim.y, value.clusterDim.z);
      return;
    case cudaLaunchAttributeCooperative: operation.cooperative = value.cooperative != 0; return;
    case cudaLaunchAttributeProgrammaticStreamSerialization:
      operation.programmatic = value.programmaticStreamSerializationAllowed != 0;
      return;
    case cudaLaunchAttributePriority:
      operation.priority = std::clamp(value.priority, limits::stream_priority_greatest, limits::stream_priority_least);
      return;
    // These steer scheduling, caches and the scope of fences between grids; none can change the result of a correct
    // program, and grids run one after the other here.
    case cudaLaunchAttributeIgnore:
    case cudaLaunchAttributeAccessPolicyWindow:
    case cudaLaunchAttributeSynchronizationPolicy:
    case cudaLaunchAttributeClusterSchedulingPolicyPreference:
    case cudaLaunchAttributeMemSyncDomainMap:
    case cudaLaunchAttributeMemSyncDomain:
    case cudaLaunchAttributePreferredSharedMemoryCarveout:
    case cudaLaunchAttributeNvlinkUtilCentricScheduling: return;
    // cudaLaunchKernelExC records these events.
    case cudaLaunchAttributeProgrammaticEvent:
    case cudaLaunchAttributeLaunchCompletionEvent: return;
    case cudaLaunchAttributePreferredClusterDimension:
      fail_not_supported("cudaLaunchAttributePreferredClusterDimension");
    case cudaLaunchAttributeDeviceUpdatableKernelNode:
      fail_not_supported("cudaLaunchAttributeDeviceUpdatableKernelNode");
    default: fail(cudaErrorInvalidValue, "{} is not a cudaLaunchAttributeID", int(attribute.id));
  }
}

cudaLaunchAttributeValue read_attribute(const KernelOperation& operation, cudaLaunchAttributeID id) {
  cudaLaunchAttributeValue value{};
  switch (id) {
    case cudaLaunchAttributeClusterDimension:
      value.clusterDim.x = operation.cluster.x;
      value.clusterDim.y = operation.cluster.y;
      value.clusterDim.z = operation.cluster.z;
      return value;
    case cudaLaunchAttributeCooperative: value.cooperative = operation.cooperative; return value;
    case cudaLaunchAttributePriority: value.priority = operation.priority; return value;
    default: fail_not_supported(fmt::format("asking a kernel node for attribute {}", int(id)));
  }
}

}  // namespace emu
