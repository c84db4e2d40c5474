#pragma once

#include "runtime/objects.hpp"

namespace emu {

/// Ends a capture in effect: what follows in its streams fails, and so does cudaStreamEndCapture.
void invalidate(Capture& capture);

/// Fails if the capture of `stream`, which is capturing, was invalidated.
void require_valid(const CUstream_st& stream);

/// Makes `stream` part of `capture`.
void join(CUstream_st& stream, const std::shared_ptr<Capture>& capture);

/// Makes what `stream` captures next depend on `nodes` too.
void add_dependencies(CUstream_st& stream, const std::vector<CUgraphNode_st*>& nodes);

/// Takes `capture` away from all of its streams.
void leave(Capture& capture);

/// Adds a node that depends on what `stream` has captured so far.
CUgraphNode_st* capture_node(CUstream_st& stream, Operation operation);

/// Fails, and invalidates the capture, where a capture in progress forbids a call that could synchronize or allocate
/// (CUDA Runtime API, cudaThreadExchangeStreamCaptureMode).
void forbid_unsafe_call_during_capture();
/// The same for calls that wait for `stream`.
void forbid_waiting_for_capture(CUstream_st& stream);
/// For calls that use the legacy default stream, on which every blocking stream's capture would depend.
void forbid_legacy_stream_during_capture(const CUstream_st& stream);

}  // namespace emu
