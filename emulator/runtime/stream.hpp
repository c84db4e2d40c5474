#pragma once

#include "runtime/objects.hpp"

namespace emu {

/// The stream behind a handle: null and cudaStreamLegacy are the legacy default stream, cudaStreamPerThread the thread's.
CUstream_st& resolve_stream(cudaStream_t handle);

/// A null stream as programs mean it that were compiled for per-thread default streams.
inline cudaStream_t per_thread(cudaStream_t stream) { return stream ? stream : cudaStreamPerThread; }

/// Work is executed when it is submitted, before the call returns. That is one of the orders that streams permit: what a
/// stream holds runs in order, what another waits for has ended. While `stream` captures, the work becomes a node instead.
/// Returns the node, or null.
CUgraphNode_st* submit(cudaStream_t stream, Operation operation);

void record_event(cudaEvent_t event, cudaStream_t stream, unsigned flags);
void wait_event(cudaStream_t stream, cudaEvent_t event, unsigned flags);
void mark_recorded(CUevent_st& event);

}  // namespace emu
