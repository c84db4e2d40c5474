#include "runtime/capture.hpp"

#include <algorithm>

#include "runtime/graph.hpp"
#include "runtime/stream.hpp"

namespace emu {

namespace {

thread_local cudaStreamCaptureMode thread_capture_mode = cudaStreamCaptureModeGlobal;

/// Whether every captured node reaches the origin's last ones.
bool all_joined(const Capture& capture) {
  std::unordered_set<const CUgraphNode_st*> reached;
  std::vector<const CUgraphNode_st*> open(capture.origin->dependencies.begin(), capture.origin->dependencies.end());
  while (!open.empty()) {
    const CUgraphNode_st* node = open.back();
    open.pop_back();
    if (!reached.insert(node).second) continue;
    open.insert(open.end(), node->dependencies.begin(), node->dependencies.end());
  }
  return std::all_of(capture.nodes.begin(), capture.nodes.end(), [&](auto* node) { return reached.contains(node); });
}

void begin_capture(cudaStream_t handle, CUgraph_st* graph, std::vector<CUgraphNode_st*> dependencies,
                   cudaStreamCaptureMode mode) {
  require_value(mode >= cudaStreamCaptureModeGlobal && mode <= cudaStreamCaptureModeRelaxed,
                "mode {} is not a cudaStreamCaptureMode", int(mode));
  CUstream_st& stream = resolve_stream(handle);
  require(!stream.is_legacy, cudaErrorStreamCaptureUnsupported, "the legacy default stream cannot be captured");
  if (stream.capture) {
    invalidate(*stream.capture);
    fail(cudaErrorIllegalState, "the stream is capturing already");
  }
  auto capture = std::make_shared<Capture>();
  capture->owns_graph = graph == nullptr;
  capture->graph = graph ? graph : context().graphs.add(std::make_unique<CUgraph_st>());
  capture->mode = mode;
  capture->origin = &stream;
  capture->thread = std::this_thread::get_id();
  capture->id = context().next_id++;
  context().captures.push_back(capture);
  join(stream, capture);
  stream.dependencies = std::move(dependencies);
}

cudaGraph_t end_capture(cudaStream_t handle) {
  CUstream_st& stream = resolve_stream(handle);
  std::shared_ptr<Capture> capture = stream.capture;
  require(capture != nullptr, cudaErrorIllegalState, "the stream is not capturing");
  require(capture->origin == &stream, cudaErrorStreamCaptureUnmatched, "the capture was begun in another stream");
  require(capture->mode == cudaStreamCaptureModeRelaxed || capture->thread == std::this_thread::get_id(),
          cudaErrorStreamCaptureWrongThread, "the capture was begun in another thread, and its mode is not relaxed");
  const bool joined = all_joined(*capture);
  leave(*capture);
  if (!capture->invalidated && joined) return capture->graph;
  if (capture->owns_graph) context().graphs.remove(capture->graph);
  capture->graph = nullptr;
  require(!capture->invalidated, cudaErrorStreamCaptureInvalidated, "the capture was invalidated by an earlier error");
  fail(cudaErrorStreamCaptureUnjoined, "work of another stream was captured that the origin stream does not wait for");
}

bool blocks_legacy_stream(const Capture& capture) { return !(capture.origin->flags & cudaStreamNonBlocking); }

/// The legacy default stream depends on every blocking stream, so it cannot even be asked about while one captures.
void require_not_implicit(const CUstream_st& stream) {
  if (!stream.is_legacy) return;
  for (const auto& capture : context().captures)
    require(!blocks_legacy_stream(*capture), cudaErrorStreamCaptureImplicit,
            "the legacy default stream would depend on a capturing stream");
}

cudaStreamCaptureStatus capture_status(const CUstream_st& stream) {
  if (!stream.capture) return cudaStreamCaptureStatusNone;
  return stream.capture->invalidated ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
}

}  // namespace

void invalidate(Capture& capture) { capture.invalidated = true; }

void require_valid(const CUstream_st& stream) {
  require(!stream.capture->invalidated, cudaErrorStreamCaptureInvalidated,
          "the capture was invalidated by an earlier error");
}

void join(CUstream_st& stream, const std::shared_ptr<Capture>& capture) {
  stream.capture = capture;
  capture->streams.push_back(&stream);
}

void add_dependencies(CUstream_st& stream, const std::vector<CUgraphNode_st*>& nodes) {
  for (CUgraphNode_st* node : nodes)
    if (std::find(stream.dependencies.begin(), stream.dependencies.end(), node) == stream.dependencies.end())
      stream.dependencies.push_back(node);
}

void leave(Capture& capture) {
  for (CUstream_st* stream : capture.streams) {
    stream->capture.reset();
    stream->dependencies.clear();
  }
  capture.ended = true;
  std::erase_if(context().captures, [&](const auto& other) { return other.get() == &capture; });
}

CUgraphNode_st* capture_node(CUstream_st& stream, Operation operation) {
  require_valid(stream);
  CUgraphNode_st* node = add_node(*stream.capture->graph, std::move(operation), stream.dependencies);
  stream.capture->nodes.push_back(node);
  stream.dependencies = {node};
  return node;
}

void forbid_unsafe_call_during_capture() {
  if (thread_capture_mode == cudaStreamCaptureModeRelaxed) return;
  for (const auto& capture : context().captures) {
    const bool mine = capture->thread == std::this_thread::get_id();
    const bool forbids =
        (mine && capture->mode != cudaStreamCaptureModeRelaxed) ||
        (thread_capture_mode == cudaStreamCaptureModeGlobal && capture->mode == cudaStreamCaptureModeGlobal);
    if (!forbids) continue;
    invalidate(*capture);
    fail(cudaErrorStreamCaptureUnsupported, "this call is not permitted while a stream is capturing");
  }
}

void forbid_waiting_for_capture(CUstream_st& stream) {
  if (stream.capture) {
    invalidate(*stream.capture);
    fail(cudaErrorStreamCaptureUnsupported, "a capturing stream cannot be waited for");
  }
  forbid_legacy_stream_during_capture(stream);
}

void forbid_legacy_stream_during_capture(const CUstream_st& stream) {
  try {
    require_not_implicit(stream);
  } catch (const ApiError&) {
    for (const auto& capture : context().captures)
      if (blocks_legacy_stream(*capture)) invalidate(*capture);
    throw;
  }
}

}  // namespace emu

using namespace emu;

CKL_EMU_API cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return api("cudaStreamBeginCapture", [&] { begin_capture(stream, nullptr, {}, mode); });
}

CKL_EMU_API cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph,
                                                      const cudaGraphNode_t* dependencies,
                                                      const cudaGraphEdgeData* edges, std::size_t count,
                                                      cudaStreamCaptureMode mode) {
  return api("cudaStreamBeginCaptureToGraph", [&] {
    begin_capture(stream, &get_graph(graph), read_dependencies(graph, dependencies, edges, count), mode);
  });
}

CKL_EMU_API cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return api("cudaStreamEndCapture", [&] {
    require_value(graph, "pGraph must not be null");
    *graph = nullptr;
    *graph = end_capture(stream);
  });
}

CKL_EMU_API cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return api("cudaStreamIsCapturing", [&] {
    require_value(status, "pCaptureStatus must not be null");
    CUstream_st& stream = resolve_stream(handle);
    require_not_implicit(stream);
    *status = capture_status(stream);
  });
}

CKL_EMU_API cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status,
                                                 unsigned long long* id, cudaGraph_t* graph,
                                                 const cudaGraphNode_t** dependencies, const cudaGraphEdgeData** edges,
                                                 std::size_t* count) {
  return api("cudaStreamGetCaptureInfo", [&] {
    require_value(status, "captureStatus_out must not be null");
    CUstream_st& stream = resolve_stream(handle);
    require_not_implicit(stream);
    *status = capture_status(stream);
    if (*status != cudaStreamCaptureStatusActive) return;
    if (id) *id = stream.capture->id;
    if (graph) *graph = stream.capture->graph;
    if (dependencies) *dependencies = stream.dependencies.data();
    if (edges) *edges = nullptr;  // all edges are plain
    if (count) *count = stream.dependencies.size();
  });
}

CKL_EMU_API cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t handle, cudaGraphNode_t* dependencies,
                                                            const cudaGraphEdgeData* edges, std::size_t count,
                                                            unsigned flags) {
  return api("cudaStreamUpdateCaptureDependencies", [&] {
    CUstream_st& stream = resolve_stream(handle);
    require(stream.capture != nullptr, cudaErrorIllegalState, "the stream is not capturing");
    require_valid(stream);
    require_value(flags == cudaStreamAddCaptureDependencies || flags == cudaStreamSetCaptureDependencies,
                  "flags {} are not a cudaStreamUpdateCaptureDependenciesFlags", flags);
    auto nodes = read_dependencies(stream.capture->graph, dependencies, edges, count);
    if (flags == cudaStreamSetCaptureDependencies) stream.dependencies.clear();
    add_dependencies(stream, nodes);
  });
}

CKL_EMU_API cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return api(
      "cudaThreadExchangeStreamCaptureMode",
      [&] {
        require_value(mode, "mode must not be null");
        require_value(*mode >= cudaStreamCaptureModeGlobal && *mode <= cudaStreamCaptureModeRelaxed,
                      "mode {} is not a cudaStreamCaptureMode", int(*mode));
        std::swap(*mode, thread_capture_mode);
      },
      ApiKind::harmless);
}
