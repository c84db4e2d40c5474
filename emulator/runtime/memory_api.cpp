#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "runtime/device.hpp"
#include "runtime/library.hpp"
#include "runtime/node_params.hpp"
#include "runtime/options.hpp"
#include "runtime/capture.hpp"
#include "runtime/stream.hpp"

using namespace emu;

namespace {

constexpr std::size_t pitch_unit = 512;  // bytes, as the device's texture alignment

Memory& memory() { return context().memory; }

void require_kind(cudaMemcpyKind kind) {
  require(kind >= cudaMemcpyHostToHost && kind <= cudaMemcpyDefault, cudaErrorInvalidMemcpyDirection,
          "kind {} is not a cudaMemcpyKind", int(kind));
}

void require_pitch(std::size_t pitch, std::size_t width, std::size_t height, const char* name) {
  require(height <= 1 || pitch >= width, cudaErrorInvalidPitchValue, "{} must be {} bytes or more, but is {}", name,
          width, pitch);
}

CopyOperation copy_2d(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, std::size_t width,
                      std::size_t height, cudaMemcpyKind kind) {
  require_kind(kind);
  require_pitch(dst_pitch, width, height, "dpitch");
  require_pitch(src_pitch, width, height, "spitch");
  CopyOperation copy = linear_copy(dst, src, width, kind);
  copy.dst.row_pitch = dst_pitch;
  copy.src.row_pitch = src_pitch;
  copy.extent.height = height;
  return copy;
}

FillOperation fill_3d(const cudaPitchedPtr& dst, int value, const cudaExtent& extent) {
  require_pitch(dst.pitch, extent.width, extent.height * extent.depth, "pitch");
  require_value(extent.depth <= 1 || dst.ysize >= extent.height, "slices of {} rows are too small for {}", dst.ysize,
                extent.height);
  FillOperation fill = linear_fill(dst.ptr, value, extent.width);
  fill.dst.row_pitch = dst.pitch;
  fill.dst.slice_pitch = dst.pitch * dst.ysize;
  fill.extent = {extent.width, extent.height, extent.depth};
  return fill;
}

FillOperation fill_2d(void* dst, std::size_t pitch, int value, std::size_t width, std::size_t height) {
  require_pitch(pitch, width, height, "pitch");
  return fill_3d({dst, pitch, width, height}, value, {width, height, 1});
}

/// A copy that the call waits for: forbidden wherever a capture could be waited for.
void submit_and_wait(cudaStream_t stream, Operation operation) {
  forbid_unsafe_call_during_capture();
  forbid_waiting_for_capture(resolve_stream(stream));
  submit(stream, std::move(operation));
}

CopyOperation to_symbol(const void* symbol, const void* src, std::size_t count, std::size_t offset,
                        cudaMemcpyKind kind) {
  require(kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice || kind == cudaMemcpyDefault,
          cudaErrorInvalidMemcpyDirection, "kind {} does not lead to a symbol", int(kind));
  const GlobalVariable variable = resolve_symbol(symbol);
  require_value(offset <= variable.bytes && count <= variable.bytes - offset,
                "{} bytes at offset {} leave the symbol's {}", count, offset, variable.bytes);
  return linear_copy(variable.address + offset, src, count, kind);
}

CopyOperation from_symbol(void* dst, const void* symbol, std::size_t count, std::size_t offset, cudaMemcpyKind kind) {
  require(kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice || kind == cudaMemcpyDefault,
          cudaErrorInvalidMemcpyDirection, "kind {} does not lead from a symbol", int(kind));
  const GlobalVariable variable = resolve_symbol(symbol);
  require_value(offset <= variable.bytes && count <= variable.bytes - offset,
                "{} bytes at offset {} leave the symbol's {}", count, offset, variable.bytes);
  return linear_copy(dst, variable.address + offset, count, kind);
}

void* allocate_pinned(std::size_t size, unsigned flags) {
  forbid_unsafe_call_during_capture();
  return memory().allocate(size, MemoryKind::pinned, flags);
}

void release_checked(void* address, std::initializer_list<MemoryKind> kinds, const char* how) {
  if (!address) return;
  const Allocation* allocation = memory().find_start(address);
  if (allocation && allocation->kind == MemoryKind::graph)
    fail_not_supported("freeing a graph's memory outside of the graph");
  require_value(allocation && std::find(kinds.begin(), kinds.end(), allocation->kind) != kinds.end(),
                "{} was not allocated by {}", address, how);
  memory().release(*allocation);
}

}  // namespace

// Allocation.

CKL_EMU_API cudaError_t cudaMalloc(void** address, std::size_t size) {
  return api("cudaMalloc", [&] {
    require_value(address, "devPtr must not be null");
    forbid_unsafe_call_during_capture();
    *address = memory().allocate(size, MemoryKind::device);
  });
}

CKL_EMU_API cudaError_t cudaFree(void* address) {
  return api("cudaFree", [&] {
    forbid_unsafe_call_during_capture();
    release_checked(address, {MemoryKind::device, MemoryKind::pool, MemoryKind::managed},
                    "cudaMalloc, cudaMallocAsync or cudaMallocManaged");
  });
}

CKL_EMU_API cudaError_t cudaMallocPitch(void** address, std::size_t* pitch, std::size_t width, std::size_t height) {
  return api("cudaMallocPitch", [&] {
    require_value(address && pitch, "devPtr and pitch must not be null");
    forbid_unsafe_call_during_capture();
    *pitch = (width + pitch_unit - 1) / pitch_unit * pitch_unit;
    *address = memory().allocate(*pitch * height, MemoryKind::device);
  });
}

CKL_EMU_API cudaError_t cudaMalloc3D(cudaPitchedPtr* pointer, cudaExtent extent) {
  return api("cudaMalloc3D", [&] {
    require_value(pointer, "pitchedDevPtr must not be null");
    forbid_unsafe_call_during_capture();
    const std::size_t pitch = (extent.width + pitch_unit - 1) / pitch_unit * pitch_unit;
    *pointer = {memory().allocate(pitch * extent.height * extent.depth, MemoryKind::device), pitch, extent.width,
                extent.height};
  });
}

CKL_EMU_API cudaError_t cudaMallocManaged(void** address, std::size_t size, unsigned flags) {
  return api("cudaMallocManaged", [&] {
    require_value(address && size, "devPtr must not be null, and size not 0");
    require_value(flags == cudaMemAttachGlobal || flags == cudaMemAttachHost, "flags {} are not those of an attachment",
                  flags);
    forbid_unsafe_call_during_capture();
    *address = memory().allocate(size, MemoryKind::managed, flags);
  });
}

CKL_EMU_API cudaError_t cudaMallocHost(void** address, std::size_t size) {
  return api("cudaMallocHost", [&] {
    require_value(address, "ptr must not be null");
    *address = allocate_pinned(size, cudaHostAllocDefault);
  });
}

CKL_EMU_API cudaError_t cudaHostAlloc(void** address, std::size_t size, unsigned flags) {
  return api("cudaHostAlloc", [&] {
    require_value(address, "pHost must not be null");
    require_value(!(flags & ~(cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined)),
                  "flags {} are not those of cudaHostAlloc", flags);
    *address = allocate_pinned(size, flags);
  });
}

CKL_EMU_API cudaError_t cudaFreeHost(void* address) {
  return api("cudaFreeHost", [&] {
    forbid_unsafe_call_during_capture();
    release_checked(address, {MemoryKind::pinned}, "cudaMallocHost or cudaHostAlloc");
  });
}

CKL_EMU_API cudaError_t cudaHostRegister(void* address, std::size_t size, unsigned flags) {
  return api("cudaHostRegister", [&] {
    require_value(address && size, "ptr must not be null, and size not 0");
    require_value(!(flags & ~(cudaHostRegisterPortable | cudaHostRegisterMapped | cudaHostRegisterReadOnly |
                              cudaHostRegisterIoMemory)),
                  "flags {} are not those of cudaHostRegister", flags);
    if (flags & (cudaHostRegisterReadOnly | cudaHostRegisterIoMemory))
      fail_not_supported("cudaHostRegister of read-only or IO memory");
    forbid_unsafe_call_during_capture();
    memory().adopt(address, size, flags);
  });
}

CKL_EMU_API cudaError_t cudaHostUnregister(void* address) {
  return api("cudaHostUnregister", [&] {
    forbid_unsafe_call_during_capture();
    const Allocation* allocation = memory().find_start(address);
    require(allocation && allocation->kind == MemoryKind::registered, cudaErrorHostMemoryNotRegistered,
            "{} is not registered", address);
    memory().release(*allocation);
  });
}

CKL_EMU_API cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags) {
  return api("cudaHostGetDevicePointer", [&] {
    require_value(device && host, "pDevice and pHost must not be null");
    require_value(flags == 0, "flags must be 0, but are {}", flags);
    const Allocation* allocation = memory().find(host);
    require_value(allocation && allocation->host_visible(), "{} is not mapped host memory", host);
    *device = host;
  });
}

CKL_EMU_API cudaError_t cudaHostGetFlags(unsigned* flags, void* host) {
  return api("cudaHostGetFlags", [&] {
    require_value(flags, "pFlags must not be null");
    const Allocation* allocation = memory().find(host);
    require_value(allocation && allocation->kind == MemoryKind::pinned, "{} was not allocated by cudaHostAlloc", host);
    *flags = allocation->flags | cudaHostAllocMapped;
  });
}

CKL_EMU_API cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return api("cudaMemGetInfo", [&] {
    require_value(free && total, "free and total must not be null");
    *total = options().gpu->memory_bytes;
    *free = *total - memory().device_bytes();
  });
}

CKL_EMU_API cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return api("cudaPointerGetAttributes", [&] {
    require_value(attributes, "attributes must not be null");
    *attributes = {};
    attributes->device = cudaInvalidDeviceId;
    attributes->hostPointer = const_cast<void*>(pointer);
    const Allocation* allocation = memory().find(pointer);
    if (!allocation) return;
    attributes->device = 0;
    attributes->devicePointer = const_cast<void*>(pointer);
    if (allocation->kind == MemoryKind::managed)
      attributes->type = cudaMemoryTypeManaged;
    else if (allocation->host_visible())
      attributes->type = cudaMemoryTypeHost;
    else
      attributes->type = cudaMemoryTypeDevice;
    if (!allocation->host_visible()) attributes->hostPointer = nullptr;
  });
}

// Copies.

CKL_EMU_API cudaError_t cudaMemcpyAsync(void* dst, const void* src, std::size_t count, cudaMemcpyKind kind,
                                        cudaStream_t stream) {
  return api("cudaMemcpyAsync", [&] {
    require_kind(kind);
    submit(stream, linear_copy(dst, src, count, kind));
  });
}

CKL_EMU_API cudaError_t cudaMemcpy(void* dst, const void* src, std::size_t count, cudaMemcpyKind kind) {
  return api("cudaMemcpy", [&] {
    require_kind(kind);
    submit_and_wait(cudaStreamLegacy, linear_copy(dst, src, count, kind));
  });
}

CKL_EMU_API cudaError_t cudaMemcpyPeerAsync(void* dst, int dst_device, const void* src, int src_device,
                                            std::size_t count, cudaStream_t stream) {
  return api("cudaMemcpyPeerAsync", [&] {
    require_device(dst_device);
    require_device(src_device);
    submit(stream, linear_copy(dst, src, count, cudaMemcpyDeviceToDevice));
  });
}

CKL_EMU_API cudaError_t cudaMemcpyPeer(void* dst, int dst_device, const void* src, int src_device, std::size_t count) {
  return cudaMemcpyPeerAsync(dst, dst_device, src, src_device, count, cudaStreamLegacy);
}

CKL_EMU_API cudaError_t cudaMemcpy2DAsync(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch,
                                          std::size_t width, std::size_t height, cudaMemcpyKind kind,
                                          cudaStream_t stream) {
  return api("cudaMemcpy2DAsync",
             [&] { submit(stream, copy_2d(dst, dst_pitch, src, src_pitch, width, height, kind)); });
}

CKL_EMU_API cudaError_t cudaMemcpy2D(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch,
                                     std::size_t width, std::size_t height, cudaMemcpyKind kind) {
  return api("cudaMemcpy2D",
             [&] { submit_and_wait(cudaStreamLegacy, copy_2d(dst, dst_pitch, src, src_pitch, width, height, kind)); });
}

CKL_EMU_API cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms* params, cudaStream_t stream) {
  return api("cudaMemcpy3DAsync", [&] { submit(stream, read_params(params)); });
}

CKL_EMU_API cudaError_t cudaMemcpy3D(const cudaMemcpy3DParms* params) {
  return api("cudaMemcpy3D", [&] { submit_and_wait(cudaStreamLegacy, read_params(params)); });
}

CKL_EMU_API cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* src, std::size_t count,
                                                std::size_t offset, cudaMemcpyKind kind, cudaStream_t stream) {
  return api("cudaMemcpyToSymbolAsync", [&] { submit(stream, to_symbol(symbol, src, count, offset, kind)); });
}

CKL_EMU_API cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* src, std::size_t count, std::size_t offset,
                                           cudaMemcpyKind kind) {
  return api("cudaMemcpyToSymbol",
             [&] { submit_and_wait(cudaStreamLegacy, to_symbol(symbol, src, count, offset, kind)); });
}

CKL_EMU_API cudaError_t cudaMemcpyFromSymbolAsync(void* dst, const void* symbol, std::size_t count, std::size_t offset,
                                                  cudaMemcpyKind kind, cudaStream_t stream) {
  return api("cudaMemcpyFromSymbolAsync", [&] { submit(stream, from_symbol(dst, symbol, count, offset, kind)); });
}

CKL_EMU_API cudaError_t cudaMemcpyFromSymbol(void* dst, const void* symbol, std::size_t count, std::size_t offset,
                                             cudaMemcpyKind kind) {
  return api("cudaMemcpyFromSymbol",
             [&] { submit_and_wait(cudaStreamLegacy, from_symbol(dst, symbol, count, offset, kind)); });
}

// Fills. On device memory cudaMemset too is asynchronous, so it may be captured.

CKL_EMU_API cudaError_t cudaMemsetAsync(void* address, int value, std::size_t count, cudaStream_t stream) {
  return api("cudaMemsetAsync", [&] { submit(stream, linear_fill(address, value, count)); });
}

CKL_EMU_API cudaError_t cudaMemset(void* address, int value, std::size_t count) {
  return api("cudaMemset", [&] { submit(cudaStreamLegacy, linear_fill(address, value, count)); });
}

CKL_EMU_API cudaError_t cudaMemset2DAsync(void* address, std::size_t pitch, int value, std::size_t width,
                                          std::size_t height, cudaStream_t stream) {
  return api("cudaMemset2DAsync", [&] { submit(stream, fill_2d(address, pitch, value, width, height)); });
}

CKL_EMU_API cudaError_t cudaMemset2D(void* address, std::size_t pitch, int value, std::size_t width,
                                     std::size_t height) {
  return api("cudaMemset2D", [&] { submit(cudaStreamLegacy, fill_2d(address, pitch, value, width, height)); });
}

CKL_EMU_API cudaError_t cudaMemset3DAsync(cudaPitchedPtr pointer, int value, cudaExtent extent, cudaStream_t stream) {
  return api("cudaMemset3DAsync", [&] { submit(stream, fill_3d(pointer, value, extent)); });
}

CKL_EMU_API cudaError_t cudaMemset3D(cudaPitchedPtr pointer, int value, cudaExtent extent) {
  return api("cudaMemset3D", [&] { submit(cudaStreamLegacy, fill_3d(pointer, value, extent)); });
}

// Advice for managed memory: it all lies in one place here.

CKL_EMU_API cudaError_t cudaMemAdvise(const void* address, std::size_t, cudaMemoryAdvise, cudaMemLocation) {
  return api("cudaMemAdvise", [&] {
    const Allocation* allocation = memory().find(address);
    require_value(allocation && allocation->kind == MemoryKind::managed, "devPtr must be managed memory");
  });
}

CKL_EMU_API cudaError_t cudaMemPrefetchAsync(const void* address, std::size_t, cudaMemLocation, unsigned,
                                             cudaStream_t stream) {
  return api("cudaMemPrefetchAsync", [&] {
    const Allocation* allocation = memory().find(address);
    require_value(allocation && allocation->kind == MemoryKind::managed, "devPtr must be managed memory");
    resolve_stream(stream);
  });
}
