// Memory pools and stream-ordered allocation. Work runs when it is submitted, so memory is free for others at once.

#include <algorithm>

#include "runtime/device.hpp"
#include "runtime/node_params.hpp"
#include "runtime/capture.hpp"
#include "runtime/stream.hpp"

using namespace emu;

namespace {

void* allocate_in_pool(CUmemPoolHandle_st& pool, std::size_t size, cudaStream_t handle) {
  require_value(size > 0, "size must not be 0");
  CUstream_st& stream = resolve_stream(handle);
  if (stream.capture) return allocate_in_capture(stream, size);
  forbid_legacy_stream_during_capture(stream);
  const auto max_size = pool.properties.maxSize;
  require(!max_size || context().memory.pool_bytes(&pool) + size <= max_size, cudaErrorMemoryAllocation,
          "the pool is limited to {} bytes", max_size);
  void* address = context().memory.allocate(size, MemoryKind::pool, 0, &pool);
  pool.used_high = std::max<std::uint64_t>(pool.used_high, context().memory.pool_bytes(&pool));
  return address;
}

void require_on_device(const cudaMemLocation& location) {
  require_value(location.type == cudaMemLocationTypeDevice, "the location must be a device");
  require_device(location.id);
}

}  // namespace

CKL_EMU_API cudaError_t cudaMallocAsync(void** address, std::size_t size, cudaStream_t stream) {
  return api("cudaMallocAsync", [&] {
    require_value(address, "devPtr must not be null");
    *address = allocate_in_pool(*context().current_pool, size, stream);
  });
}

CKL_EMU_API cudaError_t cudaMallocFromPoolAsync(void** address, std::size_t size, cudaMemPool_t pool,
                                                cudaStream_t stream) {
  return api("cudaMallocFromPoolAsync", [&] {
    require_value(address, "ptr must not be null");
    *address = allocate_in_pool(context().pools.get(pool), size, stream);
  });
}

CKL_EMU_API cudaError_t cudaFreeAsync(void* address, cudaStream_t handle) {
  return api("cudaFreeAsync", [&] {
    if (!address) return;
    CUstream_st& stream = resolve_stream(handle);
    if (stream.capture) {
      submit(handle, FreeOperation{address});
      return;
    }
    forbid_legacy_stream_during_capture(stream);
    const Allocation* allocation = context().memory.find_start(address);
    if (allocation && allocation->kind == MemoryKind::graph)
      fail_not_supported("freeing a graph's memory outside of the graph");
    require_value(allocation && (allocation->kind == MemoryKind::pool || allocation->kind == MemoryKind::device),
                  "{} was not allocated by cudaMallocAsync", address);
    context().memory.release(*allocation);
  });
}

CKL_EMU_API cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return api("cudaDeviceGetDefaultMemPool", [&] {
    require_value(pool, "memPool must not be null");
    require_device(device);
    *pool = context().default_pool;
  });
}

CKL_EMU_API cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int device) {
  return api("cudaDeviceGetMemPool", [&] {
    require_value(pool, "memPool must not be null");
    require_device(device);
    *pool = context().current_pool;
  });
}

CKL_EMU_API cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool) {
  return api("cudaDeviceSetMemPool", [&] {
    require_device(device);
    context().current_pool = &context().pools.get(pool);
  });
}

CKL_EMU_API cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  return api("cudaMemPoolCreate", [&] {
    require_value(pool && properties, "memPool and poolProps must not be null");
    require_value(properties->allocType == cudaMemAllocationTypePinned,
                  "allocType must be cudaMemAllocationTypePinned");
    if (properties->handleTypes != cudaMemHandleTypeNone) fail_not_supported("a memory pool shared between processes");
    require_on_device(properties->location);
    auto created = std::make_unique<CUmemPoolHandle_st>();
    created->properties = *properties;
    *pool = context().pools.add(std::move(created));
  });
}

CKL_EMU_API cudaError_t cudaMemPoolDestroy(cudaMemPool_t handle) {
  return api(
      "cudaMemPoolDestroy",
      [&] {
        CUmemPoolHandle_st& pool = context().pools.get(handle);
        require_value(!pool.is_default, "the default pool cannot be destroyed");
        // What is still allocated lives on, as the API says; it belongs to no pool then.
        context().memory.detach(&pool);
        if (context().current_pool == &pool) context().current_pool = context().default_pool;
        context().pools.remove(handle);
      },
      ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, std::size_t) {
  return api("cudaMemPoolTrimTo", [&] { context().pools.get(pool); });  // nothing is held back
}

CKL_EMU_API cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return api("cudaMemPoolSetAttribute", [&] {
    require_value(value, "value must not be null");
    CUmemPoolHandle_st& pool = context().pools.get(handle);
    switch (attribute) {
      case cudaMemPoolReuseFollowEventDependencies:
      case cudaMemPoolReuseAllowOpportunistic:
      case cudaMemPoolReuseAllowInternalDependencies:
        pool.attributes[attribute] = std::uint64_t(*static_cast<int*>(value));
        return;
      case cudaMemPoolAttrReleaseThreshold: pool.attributes[attribute] = *static_cast<std::uint64_t*>(value); return;
      case cudaMemPoolAttrReservedMemHigh:
      case cudaMemPoolAttrUsedMemHigh:
        require_value(*static_cast<std::uint64_t*>(value) == 0, "a high watermark can only be set to 0");
        pool.used_high = 0;
        return;
      default: fail(cudaErrorInvalidValue, "{} is not a cudaMemPoolAttr that can be set", int(attribute));
    }
  });
}

CKL_EMU_API cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return api("cudaMemPoolGetAttribute", [&] {
    require_value(value, "value must not be null");
    CUmemPoolHandle_st& pool = context().pools.get(handle);
    auto set = [&](cudaMemPoolAttr key, std::uint64_t otherwise) {
      return pool.attributes.contains(key) ? pool.attributes[key] : otherwise;
    };
    switch (attribute) {
      case cudaMemPoolReuseFollowEventDependencies:
      case cudaMemPoolReuseAllowOpportunistic:
      case cudaMemPoolReuseAllowInternalDependencies: *static_cast<int*>(value) = int(set(attribute, 1)); return;
      case cudaMemPoolAttrReleaseThreshold: *static_cast<std::uint64_t*>(value) = set(attribute, 0); return;
      case cudaMemPoolAttrReservedMemCurrent:
      case cudaMemPoolAttrUsedMemCurrent:
        *static_cast<std::uint64_t*>(value) = context().memory.pool_bytes(&pool);
        return;
      case cudaMemPoolAttrReservedMemHigh:
      case cudaMemPoolAttrUsedMemHigh: *static_cast<std::uint64_t*>(value) = pool.used_high; return;
      default: fail(cudaErrorInvalidValue, "{} is not a cudaMemPoolAttr", int(attribute));
    }
  });
}

CKL_EMU_API cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const cudaMemAccessDesc* list, std::size_t count) {
  return api("cudaMemPoolSetAccess", [&] {
    context().pools.get(pool);
    require_value(list || !count, "descList must not be null");
    for (std::size_t i = 0; i < count; ++i) require_on_device(list[i].location);
  });
}

CKL_EMU_API cudaError_t cudaMemPoolGetAccess(cudaMemAccessFlags* flags, cudaMemPool_t pool, cudaMemLocation* location) {
  return api("cudaMemPoolGetAccess", [&] {
    require_value(flags && location, "flags and location must not be null");
    context().pools.get(pool);
    require_on_device(*location);
    *flags = cudaMemAccessFlagsProtReadWrite;
  });
}
