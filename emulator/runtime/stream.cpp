#include "runtime/stream.hpp"

#include "runtime/capture.hpp"

namespace emu {

namespace {

CUstream_st& per_thread_stream() {
  // Not destroyed with the thread: another may still hold events recorded in it.
  thread_local CUstream_st* stream = [] {
    auto* created = new CUstream_st;
    created->id = context().next_id++;
    return created;
  }();
  return *stream;
}

}  // namespace

CUstream_st& resolve_stream(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return context().legacy_stream;
  if (handle == cudaStreamPerThread) return per_thread_stream();
  return context().streams.get(handle);
}

CUgraphNode_st* submit(cudaStream_t handle, Operation operation) {
  CUstream_st& stream = resolve_stream(handle);
  if (stream.capture) {
    require_valid(stream);
    try {
      validate(operation);
    } catch (...) {
      invalidate(*stream.capture);
      throw;
    }
    return capture_node(stream, std::move(operation));
  }
  forbid_legacy_stream_during_capture(stream);
  validate(operation);
  execute(operation);
  return nullptr;
}

}  // namespace emu
