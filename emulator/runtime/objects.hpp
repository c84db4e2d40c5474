#pragma once

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "runtime/cuda_api.hpp"
#include "runtime/handles.hpp"
#include "runtime/memory.hpp"
#include "runtime/operation.hpp"

// The types behind CUDA's opaque handles keep CUDA's names, so that handles need no casts.

namespace emu {

/// A capture in progress. It is shared by its streams and by the events that were recorded in it.
struct Capture {
  CUgraph_st* graph = nullptr;
  bool owns_graph = true;  // false: capture to a graph of the program's
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  CUstream_st* origin = nullptr;
  std::thread::id thread;
  unsigned long long id = 0;
  bool invalidated = false;
  bool ended = false;
  std::vector<CUstream_st*> streams;
  std::vector<CUgraphNode_st*> nodes;  // captured ones, to find work that was never joined
};

/// What a graph, or one that was made of it, holds of the program's own objects.
class UserReferences {
 public:
  UserReferences() = default;
  UserReferences(const UserReferences&) = delete;
  UserReferences& operator=(const UserReferences&) = delete;
  ~UserReferences();

  /// Takes over `count` references.
  void take(CUuserObject_st& object, unsigned count) { counts_[&object] += count; }
  /// Holds as much once more as another graph does.
  void add(const UserReferences& others);
  /// Holds as much as another graph does, and nothing else any more.
  void replace(const UserReferences& others);
  void remove(CUuserObject_st& object, unsigned count);

 private:
  std::map<CUuserObject_st*, unsigned> counts_;
};

using StreamAttributes = std::map<cudaLaunchAttributeID, cudaLaunchAttributeValue>;

}  // namespace emu

/// Something of the program's that lives as long as somebody refers to it.
struct CUuserObject_st {
  void* pointer = nullptr;
  cudaHostFn_t destroy = nullptr;
  unsigned references = 0;
};

struct CUstream_st {
  unsigned flags = cudaStreamDefault;
  int priority = 0;
  unsigned long long id = 0;
  bool is_legacy = false;
  emu::StreamAttributes attributes;
  std::shared_ptr<emu::Capture> capture;      // null when it is not capturing
  std::vector<CUgraphNode_st*> dependencies;  // what the next captured node depends on
};

struct CUevent_st {
  unsigned flags = cudaEventDefault;
  bool recorded = false;
  std::chrono::steady_clock::time_point time;
  std::shared_ptr<emu::Capture> capture;  // of its last record, if that was captured
  std::vector<CUgraphNode_st*> capture_nodes;
};

struct CUgraphNode_st {
  CUgraph_st* graph = nullptr;
  emu::Operation operation;
  std::vector<CUgraphNode_st*> dependencies;
  const CUgraphNode_st* original = nullptr;  // in a clone: the node that it copies
};

struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;  // in order of creation
  std::vector<std::shared_ptr<void>> allocations;      // of its allocation nodes; executable graphs share them
  emu::UserReferences user_references;
  const CUgraph_st* original = nullptr;  // in a clone

  ~CUgraph_st();
};

struct CUgraphExec_st {
  struct Step {
    const CUgraphNode_st* node;  // of the graph that was instantiated; only its address counts
    emu::Operation operation;
    std::vector<std::size_t> dependencies;  // indices of steps
    bool enabled = true;
  };
  std::vector<Step> steps;  // in an order that respects the dependencies
  std::vector<std::shared_ptr<void>> allocations;
  emu::UserReferences user_references;
  unsigned long long flags = 0;
};

struct CUmemPoolHandle_st {
  cudaMemPoolProps properties{};
  bool is_default = false;
  std::map<cudaMemPoolAttr, std::uint64_t> attributes;
  std::uint64_t used_high = 0;
};

namespace emu {

struct Library;

/// Everything that the device holds. One exists, and it is never destroyed: programs call the runtime from destructors
/// that run after main.
struct Context {
  Memory memory;
  HandleTable<CUstream_st> streams{"stream"};
  HandleTable<CUevent_st> events{"event"};
  HandleTable<CUgraph_st> graphs{"graph"};
  HandleTable<CUgraphExec_st> graph_execs{"executable graph"};
  HandleTable<CUmemPoolHandle_st> pools{"memory pool"};
  HandleTable<CUuserObject_st> user_objects{"user object"};
  std::unordered_set<const CUgraphNode_st*> nodes;     // of all graphs
  std::unordered_set<const CUgraph_st*> child_graphs;  // owned by nodes; programs may look at them
  CUstream_st legacy_stream;
  CUmemPoolHandle_st* default_pool = nullptr;
  CUmemPoolHandle_st* current_pool = nullptr;
  std::map<cudaLimit, std::size_t> limits;
  std::vector<std::shared_ptr<Capture>> captures;  // in progress
  unsigned long long next_id = 1;
  unsigned device_flags = cudaDeviceScheduleAuto;

  Context();
};

Context& context();

}  // namespace emu
