#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "machine/memory.hpp"
#include "runtime/cuda_api.hpp"
#include "runtime/operation.hpp"

namespace emu {

enum class MemoryKind {
  device,      // cudaMalloc
  pool,        // cudaMallocAsync
  managed,     // cudaMallocManaged
  pinned,      // cudaHostAlloc, cudaMallocHost
  registered,  // cudaHostRegister: the program's own
  graph,       // an allocation node's, owned by its graph
  variable,    // a device variable, owned by its module
};

struct Allocation {
  std::uintptr_t address = 0;
  std::size_t bytes = 0;
  MemoryKind kind = MemoryKind::device;
  unsigned flags = 0;  // of cudaHostAlloc and cudaHostRegister
  CUmemPoolHandle_st* pool = nullptr;

  bool host_visible() const {
    return kind == MemoryKind::managed || kind == MemoryKind::pinned || kind == MemoryKind::registered;
  }
};

/// What programs have allocated, and the copies between it and the host's own memory.
class Memory {
 public:
  GlobalMemory& global() { return global_; }

  /// Fails with cudaErrorMemoryAllocation beyond the device's size. A size of 0 gives null.
  void* allocate(std::size_t bytes, MemoryKind kind, unsigned flags = 0, CUmemPoolHandle_st* pool = nullptr);
  void adopt(void* host, std::size_t bytes, unsigned flags);
  void release(Allocation allocation);
  /// Device variables, which a module has allocated and will release.
  void add_variable(std::byte* address, std::size_t bytes);
  void remove_variable(std::byte* address);

  /// The allocation that holds `address`, or null.
  const Allocation* find(const void* address) const;
  /// The allocation that starts at `address`, or null.
  const Allocation* find_start(const void* address) const;

  std::size_t device_bytes() const { return device_bytes_; }
  std::size_t pool_bytes(const CUmemPoolHandle_st* pool) const;
  /// Makes what was allocated from `pool` belong to none.
  void detach(const CUmemPoolHandle_st* pool);

  /// Fails with cudaErrorInvalidValue if a side lies in no allocation where `kind` wants one, or leaves its allocation.
  void validate(const CopyOperation& copy) const;
  void validate(const FillOperation& fill) const;
  void run(const CopyOperation& copy);
  void run(const FillOperation& fill);
  /// Makes the allocation's content uninitialized.
  void invalidate(void* address, std::size_t bytes);

  /// Releases everything but variables.
  void release_all();

 private:
  GlobalMemory global_;
  std::map<std::uintptr_t, Allocation> allocations_;
  std::size_t device_bytes_ = 0;
};

}  // namespace emu
