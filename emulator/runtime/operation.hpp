#pragma once

#include <cstddef>
#include <memory>
#include <variant>
#include <vector>

#include "runtime/cuda_api.hpp"

namespace emu {

/// Bytes in up to three dimensions: `width` contiguous ones, `height` rows, `depth` slices.
struct Extent {
  std::size_t width = 0, height = 1, depth = 1;
  bool empty() const { return !width || !height || !depth; }
};

/// One side of a copy or fill.
struct Region {
  std::byte* data = nullptr;
  std::size_t row_pitch = 0, slice_pitch = 0;  // bytes

  std::byte* row(std::size_t y, std::size_t z) const { return data + z * slice_pitch + y * row_pitch; }
};

struct KernelOperation {
  CUkern_st* kernel = nullptr;
  dim3 grid, block;
  dim3 cluster{0, 0, 0};  // so: what the kernel itself requires, or none
  std::size_t dynamic_shared = 0;
  bool cooperative = false;
  bool programmatic = false;  // may start before the work in front of it has ended
  int priority = 0;
  std::vector<std::byte> params;
  std::vector<void*> param_pointers;  // into `params`; made when a program asks a graph's node for them
};

struct CopyOperation {
  Region dst, src;
  Extent extent;
  cudaMemcpyKind kind = cudaMemcpyDefault;
};

struct FillOperation {
  Region dst;
  Extent extent;
  unsigned value = 0;
  unsigned element_bytes = 1;
};

struct HostOperation {
  cudaHostFn_t function = nullptr;
  void* data = nullptr;
};

struct EventRecordOperation {
  CUevent_st* event = nullptr;
};
struct EventWaitOperation {
  CUevent_st* event = nullptr;
};

/// Memory that a graph allocates has its address from the node's creation on; each launch makes it uninitialized anew.
struct AllocOperation {
  void* address = nullptr;
  std::size_t bytes = 0;
};
struct FreeOperation {
  void* address = nullptr;
};

struct ChildGraphOperation {
  std::shared_ptr<CUgraph_st> graph;  // owned by the node alone; shared only so that operations can be copied
};

struct EmptyOperation {};

using Operation = std::variant<KernelOperation, CopyOperation, FillOperation, HostOperation, ChildGraphOperation,
                               EmptyOperation, EventWaitOperation, EventRecordOperation, AllocOperation, FreeOperation>;

cudaGraphNodeType node_type(const Operation& operation);

/// Fails if `operation` could not run as it stands: arguments out of range, pointers that fit no allocation.
void validate(const Operation& operation);

/// Runs `operation` to its end. A fault of a kernel becomes the device's fault.
void execute(const Operation& operation);

}  // namespace emu
