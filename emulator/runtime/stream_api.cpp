#include <algorithm>

#include "runtime/capture.hpp"
#include "runtime/device.hpp"
#include "runtime/stream.hpp"

using namespace emu;

CKL_EMU_API cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithPriority(stream, cudaStreamDefault, 0);
}

CKL_EMU_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

CKL_EMU_API cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return api("cudaStreamCreateWithPriority", [&] {
    require_value(stream, "pStream must not be null");
    require_value(flags <= cudaStreamNonBlocking,
                  "flags must be cudaStreamDefault or cudaStreamNonBlocking, but are {}", flags);
    auto created = std::make_unique<CUstream_st>();
    created->flags = flags;
    // A priority beyond the range is moved into it, as the API promises.
    created->priority = std::clamp(priority, limits::stream_priority_greatest, limits::stream_priority_least);
    created->id = context().next_id++;
    *stream = context().streams.add(std::move(created));
  });
}

CKL_EMU_API cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return api(
      "cudaStreamDestroy",
      [&] {
        require(handle != cudaStreamLegacy && handle != cudaStreamPerThread && handle, cudaErrorInvalidResourceHandle,
                "the default streams cannot be destroyed");
        std::unique_ptr<CUstream_st> stream = context().streams.remove(handle);
        if (!stream->capture) return;
        std::shared_ptr<Capture> capture = stream->capture;
        invalidate(*capture);
        std::erase(capture->streams, stream.get());
        if (capture->origin != stream.get()) return;
        leave(*capture);  // nobody can end it any more
        if (capture->owns_graph) context().graphs.remove(capture->graph);
      },
      ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return api("cudaStreamGetPriority", [&] {
    require_value(priority, "priority must not be null");
    *priority = resolve_stream(stream).priority;
  });
}

CKL_EMU_API cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  return api("cudaStreamGetFlags", [&] {
    require_value(flags, "flags must not be null");
    *flags = resolve_stream(stream).flags;
  });
}

CKL_EMU_API cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  return api("cudaStreamGetId", [&] {
    require_value(id, "streamId must not be null");
    CUstream_st& asked = resolve_stream(stream);
    forbid_waiting_for_capture(asked);  // as on an H200, with the driver of CUDA 13.0
    *id = asked.id;
  });
}

CKL_EMU_API cudaError_t cudaStreamGetDevice(cudaStream_t stream, int* device) {
  return api("cudaStreamGetDevice", [&] {
    require_value(device, "device must not be null");
    resolve_stream(stream);
    *device = 0;
  });
}

namespace {

void require_stream_attribute(cudaLaunchAttributeID id) {
  require_value(id == cudaLaunchAttributeAccessPolicyWindow || id == cudaLaunchAttributeSynchronizationPolicy ||
                    id == cudaLaunchAttributePriority || id == cudaLaunchAttributeMemSyncDomainMap ||
                    id == cudaLaunchAttributeMemSyncDomain,
                "attribute {} is not one of streams", int(id));
}

}  // namespace

CKL_EMU_API cudaError_t cudaStreamGetAttribute(cudaStream_t handle, cudaLaunchAttributeID id,
                                               cudaLaunchAttributeValue* value) {
  return api("cudaStreamGetAttribute", [&] {
    require_value(value, "value_out must not be null");
    require_stream_attribute(id);
    CUstream_st& stream = resolve_stream(handle);
    *value = {};
    if (id == cudaLaunchAttributePriority)
      value->priority = stream.priority;
    else if (auto at = stream.attributes.find(id); at != stream.attributes.end())
      *value = at->second;
  });
}

CKL_EMU_API cudaError_t cudaStreamSetAttribute(cudaStream_t handle, cudaLaunchAttributeID id,
                                               const cudaLaunchAttributeValue* value) {
  return api("cudaStreamSetAttribute", [&] {
    require_value(value, "value must not be null");
    require_stream_attribute(id);
    CUstream_st& stream = resolve_stream(handle);
    // These steer caches and scheduling; none changes a result.
    if (id == cudaLaunchAttributePriority)
      stream.priority = std::clamp(value->priority, limits::stream_priority_greatest, limits::stream_priority_least);
    else
      stream.attributes[id] = *value;
  });
}

CKL_EMU_API cudaError_t cudaStreamCopyAttributes(cudaStream_t dst, cudaStream_t src) {
  return api("cudaStreamCopyAttributes", [&] {
    CUstream_st& from = resolve_stream(src);
    CUstream_st& to = resolve_stream(dst);
    to.attributes = from.attributes;
  });
}

CKL_EMU_API cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return api("cudaStreamSynchronize", [&] { forbid_waiting_for_capture(resolve_stream(handle)); });
}

CKL_EMU_API cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return api("cudaStreamQuery", [&] { forbid_waiting_for_capture(resolve_stream(handle)); });
}

CKL_EMU_API cudaError_t cudaDeviceSynchronize() {
  return api("cudaDeviceSynchronize", [&] {
    if (context().captures.empty()) return;
    for (const auto& capture : context().captures) invalidate(*capture);
    fail(cudaErrorStreamCaptureUnsupported, "the device cannot be waited for while a stream is capturing");
  });
}

CKL_EMU_API cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return api("cudaLaunchHostFunc", [&] { submit(stream, HostOperation{function, data}); });
}

CKL_EMU_API cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t callback, void* data,
                                              unsigned flags) {
  return api("cudaStreamAddCallback", [&] {
    require_value(callback, "callback must not be null");
    require_value(flags == 0, "flags must be 0, but are {}", flags);
    require(!resolve_stream(stream).capture, cudaErrorStreamCaptureUnsupported,
            "callbacks cannot be captured; use cudaLaunchHostFunc");
    struct Call {
      cudaStream_t stream;
      cudaStreamCallback_t callback;
      void* data;
    } call{stream, callback, data};
    submit(stream, HostOperation{[](void* raw) {
                                   auto* c = static_cast<Call*>(raw);
                                   c->callback(c->stream, cudaSuccess, c->data);
                                 },
                                 &call});
  });
}

CKL_EMU_API cudaError_t cudaStreamAttachMemAsync(cudaStream_t handle, void* address, std::size_t, unsigned flags) {
  return api("cudaStreamAttachMemAsync", [&] {
    resolve_stream(handle);
    const Allocation* allocation = context().memory.find(address);
    require_value(allocation && allocation->kind == MemoryKind::managed, "devPtr must be managed memory");
    require_value(flags == cudaMemAttachGlobal || flags == cudaMemAttachHost || flags == cudaMemAttachSingle,
                  "flags {} are not those of an attachment", flags);
  });
}
