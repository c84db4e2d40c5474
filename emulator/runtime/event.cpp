#include "runtime/capture.hpp"
#include "runtime/stream.hpp"

namespace emu {

void mark_recorded(CUevent_st& event) {
  event.recorded = true;
  event.time = std::chrono::steady_clock::now();
  event.capture.reset();
  event.capture_nodes.clear();
}

void record_event(cudaEvent_t handle, cudaStream_t stream_handle, unsigned flags) {
  require_value(flags <= cudaEventRecordExternal, "flags {} are not those of an event record", flags);
  CUevent_st& event = context().events.get(handle);
  CUstream_st& stream = resolve_stream(stream_handle);
  if (!stream.capture) {
    require_value(flags == cudaEventRecordDefault, "cudaEventRecordExternal needs a capturing stream");
    forbid_legacy_stream_during_capture(stream);
    mark_recorded(event);
    return;
  }
  require_valid(stream);
  if (flags == cudaEventRecordExternal) {
    capture_node(stream, EventRecordOperation{&event});
    return;
  }
  event.recorded = false;
  event.capture = stream.capture;
  event.capture_nodes = stream.dependencies;
}

void wait_event(cudaStream_t stream_handle, cudaEvent_t handle, unsigned flags) {
  require_value(flags <= cudaEventWaitExternal, "flags {} are not those of an event wait", flags);
  CUevent_st& event = context().events.get(handle);
  CUstream_st& stream = resolve_stream(stream_handle);
  if (flags == cudaEventWaitExternal) {
    require_value(stream.capture != nullptr, "cudaEventWaitExternal needs a capturing stream");
    capture_node(stream, EventWaitOperation{&event});
    return;
  }
  const bool event_is_captured = event.capture && !event.capture->ended;
  if (!event_is_captured) {
    // What was recorded outside has been executed already, but a captured stream may not depend on it.
    if (stream.capture) {
      invalidate(*stream.capture);
      fail(cudaErrorStreamCaptureIsolation,
           "a capturing stream cannot wait for an event that was not recorded in the capture");
    }
    require_value(!event.capture, "the event was last recorded in a capture that has ended");
    forbid_legacy_stream_during_capture(stream);
    return;
  }
  require(!event.capture->invalidated, cudaErrorStreamCaptureInvalidated,
          "the capture was invalidated by an earlier error");
  if (stream.capture && stream.capture != event.capture) {
    invalidate(*stream.capture);
    invalidate(*event.capture);
    fail(cudaErrorStreamCaptureMerge, "the event belongs to another capture than the stream");
  }
  if (stream.is_legacy) {
    invalidate(*event.capture);
    fail(cudaErrorStreamCaptureImplicit, "the legacy default stream cannot join a capture");
  }
  if (!stream.capture) join(stream, event.capture);
  add_dependencies(stream, event.capture_nodes);
}

}  // namespace emu

using namespace emu;

CKL_EMU_API cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

CKL_EMU_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api("cudaEventCreateWithFlags", [&] {
    require_value(event, "event must not be null");
    require_value(!(flags & ~(cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess)),
                  "flags {} are not those of an event", flags);
    if (flags & cudaEventInterprocess) fail_not_supported("an event shared between processes");
    auto created = std::make_unique<CUevent_st>();
    created->flags = flags;
    *event = context().events.add(std::move(created));
  });
}

CKL_EMU_API cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return api(
      "cudaEventDestroy", [&] { context().events.remove(event); }, ApiKind::harmless);
}

CKL_EMU_API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return api("cudaEventRecord", [&] { record_event(event, stream, cudaEventRecordDefault); });
}

CKL_EMU_API cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  return api("cudaEventRecordWithFlags", [&] { record_event(event, stream, flags); });
}

CKL_EMU_API cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return api("cudaStreamWaitEvent", [&] { wait_event(stream, event, flags); });
}

namespace {

/// An event that lies in a capture cannot be asked for: it happens when the graph runs.
CUevent_st& get_event_to_ask(cudaEvent_t handle) {
  CUevent_st& event = context().events.get(handle);
  if (event.capture && !event.capture->ended) {
    invalidate(*event.capture);
    fail(cudaErrorCapturedEvent, "the event was last recorded in a capturing stream");
  }
  return event;
}

}  // namespace

CKL_EMU_API cudaError_t cudaEventQuery(cudaEvent_t event) {
  return api("cudaEventQuery", [&] { get_event_to_ask(event); });
}

CKL_EMU_API cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return api("cudaEventSynchronize", [&] { get_event_to_ask(event); });
}

CKL_EMU_API cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return api("cudaEventElapsedTime", [&] {
    require_value(milliseconds, "ms must not be null");
    CUevent_st& first = get_event_to_ask(start);
    CUevent_st& last = get_event_to_ask(end);
    require(!((first.flags | last.flags) & cudaEventDisableTiming), cudaErrorInvalidResourceHandle,
            "an event with cudaEventDisableTiming has no time");
    require(first.recorded && last.recorded, cudaErrorInvalidResourceHandle, "both events must have been recorded");
    *milliseconds = std::chrono::duration<float, std::milli>(last.time - first.time).count();
  });
}
