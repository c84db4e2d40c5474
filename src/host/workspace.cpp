#include "host/workspace.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "ckl/workspace.hpp"
#include "host/device.hpp"
#include "host/launch.hpp"
#include "host/require.hpp"

namespace ckl {
namespace host {

void require_workspace(const void* workspace, std::size_t bytes) {
  if (bytes == 0) return;
  require(workspace != nullptr, "workspace must not be null, but of ", bytes, " bytes");
  require(reinterpret_cast<std::uintptr_t>(workspace) % 256 == 0, "workspace must be a multiple of 256 bytes, but is ",
          workspace);
}

void zero(void* data, std::size_t bytes, Stream stream) {
  check(cudaMemsetAsync(data, 0, bytes, stream), "cudaMemsetAsync");
}

namespace {

/// Device memory from the stream's pool, whose first `zeros` bytes are zeros.
void* allocate(std::size_t bytes, std::size_t zeros, Stream stream) {
  void* data = nullptr;
  check(cudaMallocAsync(&data, bytes, stream), "cudaMallocAsync");
  try {
    if (zeros > 0) zero(data, zeros, stream);
  } catch (...) {
    cudaFreeAsync(data, stream);
    throw;
  }
  return data;
}

/// Bytes that are zeros between launches, and others.
struct Sizes {
  std::size_t zeros = 0, others = 0;

  std::size_t all() const { return zeros + others; }
  bool hold(const Sizes& wanted) const { return zeros >= wanted.zeros && others >= wanted.others; }
  friend bool operator==(const Sizes&, const Sizes&) = default;
};

/// What is kept for launches that want that much, and have something already: larger than asked for, so that it seldom grows.
Sizes kept_for(const Sizes& wanted, const Sizes& before) {
  const auto larger = [](std::size_t bytes) {
    return bytes == 0 ? 0 : std::bit_ceil(std::max<std::size_t>(bytes, 8192));
  };
  return {std::max(larger(wanted.zeros), before.zeros), std::max(larger(wanted.others), before.others)};
}

/// Memory that launches share which come one after another. Each takes zeros up to where the other bytes begin, and those from there on: so
/// nobody leaves anything where another will look for zeros.
struct Memory {
  char* data = nullptr;
  Sizes sizes;

  void* for_launch(const Sizes& wanted) const { return data + (sizes.zeros - wanted.zeros); }
};

// ---- of streams --------------------------------------------------------------------------------------------------------

struct MemoryOfStream {
  std::mutex mutex;
  Memory memory;
};

/// What is kept of all streams. Nobody tells when a stream ends: its number, unlike its handle, is no other stream's then.
struct MemoryOfStreams {
  std::mutex mutex;
  std::map<int, std::map<unsigned long long, MemoryOfStream>> of_devices;  // by the stream's own number

  static MemoryOfStreams& instance() {
    static MemoryOfStreams& all = *new MemoryOfStreams;  // outlives whoever launches at exit
    return all;
  }

  /// What is kept of `stream`, which `device` has; null if it is one too many there.
  MemoryOfStream* find(int device, Stream stream) {
    unsigned long long id = 0;
    check(cudaStreamGetId(stream, &id), "cudaStreamGetId");
    const std::lock_guard lock(mutex);
    auto& of_streams = of_devices[device];
    const auto found = of_streams.find(id);
    if (found != of_streams.end()) return &found->second;
    return of_streams.size() < StreamWorkspace::most_streams ? &of_streams[id] : nullptr;
  }

  /// Forgets the streams of `device`, and returns their memory.
  std::vector<void*> take(int device) {
    const std::lock_guard lock(mutex);
    std::vector<void*> taken;
    for (const auto& [id, kept] : of_devices[device]) taken.push_back(kept.memory.data);
    of_devices.erase(device);
    return taken;
  }
};

/// Replaces the memory by larger one, in stream order.
void grow(Memory& memory, const Sizes& wanted, Stream stream) {
  const Sizes sizes = kept_for(wanted, memory.sizes);
  if (memory.data) check(cudaFreeAsync(memory.data, stream), "cudaFreeAsync");
  memory = {};
  memory = {static_cast<char*>(allocate(sizes.all(), sizes.zeros, stream)), sizes};
}

// ---- of graphs ---------------------------------------------------------------------------------------------------------

/// Memory that a graph holds, for what was captured in one of its streams, and whatever is instantiated from it; then others may have it.
struct MemoryOfGraph {
  Memory memory;
  int device;
  unsigned long long capture;  // a number that no other will have
  Stream stream;
  bool is_free;
};

class MemoryOfGraphs {
 public:
  static MemoryOfGraphs& instance() {
    static MemoryOfGraphs& all = *new MemoryOfGraphs;  // graphs may end after main
    return all;
  }

  /// The first that `is_wanted`, which `take` then changes; null if there is none.
  template <class IsWanted, class Take> MemoryOfGraph* find(const IsWanted& is_wanted, const Take& take) {
    const std::lock_guard lock(mutex_);
    for (const auto& one : all_)
      if (is_wanted(*one)) return take(*one), one.get();
    return nullptr;
  }
  MemoryOfGraph* add(const MemoryOfGraph& one) {
    const std::lock_guard lock(mutex_);
    return all_.emplace_back(std::make_unique<MemoryOfGraph>(one)).get();
  }
  /// Forgets what no graph of `device` holds any more, and returns it.
  std::vector<void*> take_free(int device) {
    const std::lock_guard lock(mutex_);
    std::vector<void*> taken;
    std::erase_if(all_, [&](const auto& one) {
      const bool is_mine = one->is_free && one->device == device;
      if (is_mine) taken.push_back(one->memory.data);
      return is_mine;
    });
    return taken;
  }
  /// The driver calls it when the last of what holds the memory has ended. It must not call CUDA.
  static void CUDART_CB give_back(void* one) {
    const std::lock_guard lock(instance().mutex_);
    static_cast<MemoryOfGraph*>(one)->is_free = true;
  }

 private:
  std::mutex mutex_;  // held during no call of CUDA, which may itself wait for give_back()
  std::vector<std::unique_ptr<MemoryOfGraph>> all_;
};

/// Memory of the graph `graph` that `stream` captures in capture number `capture`. What it has of zeros is filled with them where it is taken first.
void* in_graph(cudaGraph_t graph, unsigned long long capture, const Sizes& wanted, int device, Stream stream) {
  MemoryOfGraphs& all = MemoryOfGraphs::instance();
  const auto is_this_streams = [&](const MemoryOfGraph& one) {
    return !one.is_free && one.capture == capture && one.stream == stream && one.memory.sizes.hold(wanted);
  };
  const Sizes sizes = kept_for(wanted, {});
  const auto is_at_hand = [&](const MemoryOfGraph& one) {  // no larger: equal calls are to make equal graphs
    return one.is_free && one.device == device && one.memory.sizes == sizes;
  };
  const MemoryOfGraph* const taken = all.find(is_this_streams, [](MemoryOfGraph&) {});
  if (taken) return taken->memory.for_launch(wanted);

  MemoryOfGraph* one = all.find(is_at_hand, [&](MemoryOfGraph& free) {
    free.capture = capture;
    free.stream = stream;
    free.is_free = false;
  });
  if (!one) {
    Memory memory{nullptr, sizes};
    const RelaxedCapture relaxed;
    check(cudaMalloc(reinterpret_cast<void**>(&memory.data), sizes.all()), "cudaMalloc");
    one = all.add({memory, device, capture, stream, false});
  }
  cudaUserObject_t object = nullptr;
  try {
    check(cudaUserObjectCreate(&object, one, &MemoryOfGraphs::give_back, 1, cudaUserObjectNoDestructorSync),
          "cudaUserObjectCreate");
    if (sizes.zeros > 0) zero(one->memory.data, sizes.zeros, stream);
    check(cudaGraphRetainUserObject(graph, object, 1, cudaGraphUserObjectMove), "cudaGraphRetainUserObject");
  } catch (...) {  // the graph does not hold it
    if (object)
      cudaUserObjectRelease(object, 1);
    else
      MemoryOfGraphs::give_back(one);
    throw;
  }
  return one->memory.for_launch(wanted);
}

}  // namespace

StreamWorkspace::StreamWorkspace(std::size_t bytes, std::size_t zeroed, int device, Stream stream) : stream_(stream) {
  if (bytes == 0) return;
  const auto whole = [](std::size_t size) { return (size + 255) / 256 * 256; };
  const Sizes wanted{whole(zeroed), whole(bytes - zeroed)};
  if (wanted.all() <= most_kept) {
    cudaStreamCaptureStatus status{};
    unsigned long long capture = 0;
    cudaGraph_t graph = nullptr;
    check(cudaStreamGetCaptureInfo(stream, &status, &capture, &graph), "cudaStreamGetCaptureInfo");
    if (status == cudaStreamCaptureStatusActive) {
      data_ = in_graph(graph, capture, wanted, device, stream);
      return;
    }
    MemoryOfStream* kept = nullptr;
    if (status == cudaStreamCaptureStatusNone) kept = MemoryOfStreams::instance().find(device, stream);
    if (kept) {
      lock_ = std::unique_lock(kept->mutex);
      if (!kept->memory.sizes.hold(wanted)) grow(kept->memory, wanted, stream);
      data_ = kept->memory.for_launch(wanted);
      return;
    }
  }
  data_ = allocate(wanted.all(), zeroed, stream);
  is_from_pool_ = true;
}

StreamWorkspace::~StreamWorkspace() {
  if (is_from_pool_) cudaFreeAsync(data_, stream_);
}

}  // namespace host

void release_workspaces(int device) {
  host::require(device >= -1, "device must be a CUDA device index, or -1 for the current device, but is ", device);
  const int index = device_info(device == -1 ? host::current_device() : device).index;
  std::vector<void*> all = host::MemoryOfStreams::instance().take(index);
  for (void* data : host::MemoryOfGraphs::instance().take_free(index)) all.push_back(data);
  cudaError_t status = cudaSuccess;
  for (void* data : all)
    if (const cudaError_t freed = cudaFree(data); status == cudaSuccess) status = freed;
  host::check(status, "cudaFree");
}

}  // namespace ckl
