// The variants of functions that programs call which were compiled with per-thread default streams
// (nvcc --default-stream per-thread): in these a null stream is the thread's own.

#include "runtime/stream.hpp"

using emu::per_thread;

// Asynchronous: the same function with the stream spelled out.
#define CKL_EMU_PTSZ(name, parameters, arguments) \
  CKL_EMU_API cudaError_t name##_ptsz parameters { return name arguments; }

CKL_EMU_PTSZ(cudaStreamAddCallback, (cudaStream_t s, cudaStreamCallback_t callback, void* data, unsigned flags),
             (per_thread(s), callback, data, flags))
CKL_EMU_PTSZ(cudaStreamAttachMemAsync, (cudaStream_t s, void* address, size_t bytes, unsigned flags),
             (per_thread(s), address, bytes, flags))
CKL_EMU_PTSZ(cudaStreamBeginCapture, (cudaStream_t s, cudaStreamCaptureMode mode), (per_thread(s), mode))
CKL_EMU_PTSZ(cudaStreamBeginCaptureToGraph,
             (cudaStream_t s, cudaGraph_t graph, const cudaGraphNode_t* nodes, const cudaGraphEdgeData* edges,
              size_t count, cudaStreamCaptureMode mode),
             (per_thread(s), graph, nodes, edges, count, mode))
CKL_EMU_PTSZ(cudaStreamCopyAttributes, (cudaStream_t dst, cudaStream_t src), (per_thread(dst), per_thread(src)))
CKL_EMU_PTSZ(cudaStreamEndCapture, (cudaStream_t s, cudaGraph_t* graph), (per_thread(s), graph))
CKL_EMU_PTSZ(cudaStreamGetAttribute, (cudaStream_t s, cudaLaunchAttributeID id, cudaLaunchAttributeValue* value),
             (per_thread(s), id, value))
CKL_EMU_PTSZ(cudaStreamGetCaptureInfo,
             (cudaStream_t s, cudaStreamCaptureStatus* status, unsigned long long* id, cudaGraph_t* graph,
              const cudaGraphNode_t** nodes, const cudaGraphEdgeData** edges, size_t* count),
             (per_thread(s), status, id, graph, nodes, edges, count))
CKL_EMU_PTSZ(cudaStreamGetDevice, (cudaStream_t s, int* device), (per_thread(s), device))
CKL_EMU_PTSZ(cudaStreamGetFlags, (cudaStream_t s, unsigned* flags), (per_thread(s), flags))
CKL_EMU_PTSZ(cudaStreamGetId, (cudaStream_t s, unsigned long long* id), (per_thread(s), id))
CKL_EMU_PTSZ(cudaStreamGetPriority, (cudaStream_t s, int* priority), (per_thread(s), priority))
CKL_EMU_PTSZ(cudaStreamIsCapturing, (cudaStream_t s, cudaStreamCaptureStatus* status), (per_thread(s), status))
CKL_EMU_PTSZ(cudaStreamQuery, (cudaStream_t s), (per_thread(s)))
CKL_EMU_PTSZ(cudaStreamSetAttribute, (cudaStream_t s, cudaLaunchAttributeID id, const cudaLaunchAttributeValue* value),
             (per_thread(s), id, value))
CKL_EMU_PTSZ(cudaStreamSynchronize, (cudaStream_t s), (per_thread(s)))
CKL_EMU_PTSZ(cudaStreamUpdateCaptureDependencies,
             (cudaStream_t s, cudaGraphNode_t* nodes, const cudaGraphEdgeData* edges, size_t count, unsigned flags),
             (per_thread(s), nodes, edges, count, flags))
CKL_EMU_PTSZ(cudaStreamWaitEvent, (cudaStream_t s, cudaEvent_t event, unsigned flags), (per_thread(s), event, flags))
CKL_EMU_PTSZ(cudaEventRecord, (cudaEvent_t event, cudaStream_t s), (event, per_thread(s)))
CKL_EMU_PTSZ(cudaEventRecordWithFlags, (cudaEvent_t event, cudaStream_t s, unsigned flags),
             (event, per_thread(s), flags))

CKL_EMU_PTSZ(cudaGraphInstantiateWithParams,
             (cudaGraphExec_t * exec, cudaGraph_t graph, cudaGraphInstantiateParams* params), (exec, graph, params))
CKL_EMU_PTSZ(cudaGraphLaunch, (cudaGraphExec_t exec, cudaStream_t s), (exec, per_thread(s)))
CKL_EMU_PTSZ(cudaGraphUpload, (cudaGraphExec_t exec, cudaStream_t s), (exec, per_thread(s)))

CKL_EMU_PTSZ(cudaLaunchKernel,
             (const void* function, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t s),
             (function, grid, block, arguments, shared, per_thread(s)))
CKL_EMU_PTSZ(cudaLaunchCooperativeKernel,
             (const void* function, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t s),
             (function, grid, block, arguments, shared, per_thread(s)))
CKL_EMU_PTSZ(cudaLaunchHostFunc, (cudaStream_t s, cudaHostFn_t function, void* data), (per_thread(s), function, data))

CKL_EMU_API cudaError_t cudaLaunchKernelExC_ptsz(const cudaLaunchConfig_t* config, const void* function,
                                                 void** arguments) {
  if (!config) return cudaLaunchKernelExC(config, function, arguments);
  cudaLaunchConfig_t own = *config;
  own.stream = per_thread(own.stream);
  return cudaLaunchKernelExC(&own, function, arguments);
}

CKL_EMU_PTSZ(cudaMallocAsync, (void** address, size_t bytes, cudaStream_t s), (address, bytes, per_thread(s)))
CKL_EMU_PTSZ(cudaMallocFromPoolAsync, (void** address, size_t bytes, cudaMemPool_t pool, cudaStream_t s),
             (address, bytes, pool, per_thread(s)))
CKL_EMU_PTSZ(cudaFreeAsync, (void* address, cudaStream_t s), (address, per_thread(s)))
CKL_EMU_PTSZ(cudaMemPrefetchAsync,
             (const void* address, size_t bytes, cudaMemLocation location, unsigned flags, cudaStream_t s),
             (address, bytes, location, flags, per_thread(s)))
CKL_EMU_PTSZ(cudaMemcpyAsync, (void* dst, const void* src, size_t count, cudaMemcpyKind kind, cudaStream_t s),
             (dst, src, count, kind, per_thread(s)))
CKL_EMU_PTSZ(cudaMemcpy2DAsync,
             (void* dst, size_t dst_pitch, const void* src, size_t src_pitch, size_t width, size_t height,
              cudaMemcpyKind kind, cudaStream_t s),
             (dst, dst_pitch, src, src_pitch, width, height, kind, per_thread(s)))
CKL_EMU_PTSZ(cudaMemcpy3DAsync, (const cudaMemcpy3DParms* params, cudaStream_t s), (params, per_thread(s)))
CKL_EMU_PTSZ(cudaMemcpyToSymbolAsync,
             (const void* symbol, const void* src, size_t count, size_t offset, cudaMemcpyKind kind, cudaStream_t s),
             (symbol, src, count, offset, kind, per_thread(s)))
CKL_EMU_PTSZ(cudaMemcpyFromSymbolAsync,
             (void* dst, const void* symbol, size_t count, size_t offset, cudaMemcpyKind kind, cudaStream_t s),
             (dst, symbol, count, offset, kind, per_thread(s)))
CKL_EMU_PTSZ(cudaMemsetAsync, (void* address, int value, size_t count, cudaStream_t s),
             (address, value, count, per_thread(s)))
CKL_EMU_PTSZ(cudaMemset2DAsync, (void* address, size_t pitch, int value, size_t width, size_t height, cudaStream_t s),
             (address, pitch, value, width, height, per_thread(s)))
CKL_EMU_PTSZ(cudaMemset3DAsync, (cudaPitchedPtr pointer, int value, cudaExtent extent, cudaStream_t s),
             (pointer, value, extent, per_thread(s)))

CKL_EMU_API cudaError_t cudaGetDriverEntryPoint_ptsz(const char* symbol, void** function, unsigned long long flags,
                                                     cudaDriverEntryPointQueryResult* result) {
  return cudaGetDriverEntryPointByVersion(symbol, function, CUDART_VERSION, flags, result);
}
CKL_EMU_PTSZ(cudaGetDriverEntryPointByVersion,
             (const char* symbol, void** function, unsigned version, unsigned long long flags,
              cudaDriverEntryPointQueryResult* result),
             (symbol, function, version, flags, result))

// Synchronous: the asynchronous function on the thread's stream, which may not be capturing.
#define CKL_EMU_PTDS(name, parameters, call)                         \
  CKL_EMU_API cudaError_t name##_ptds parameters {                   \
    cudaError_t status = cudaStreamSynchronize(cudaStreamPerThread); \
    return status == cudaSuccess ? call : status;                    \
  }

CKL_EMU_PTDS(cudaMemcpy, (void* dst, const void* src, size_t count, cudaMemcpyKind kind),
             cudaMemcpyAsync(dst, src, count, kind, cudaStreamPerThread))
CKL_EMU_PTDS(cudaMemcpy2D,
             (void* dst, size_t dst_pitch, const void* src, size_t src_pitch, size_t width, size_t height,
              cudaMemcpyKind kind),
             cudaMemcpy2DAsync(dst, dst_pitch, src, src_pitch, width, height, kind, cudaStreamPerThread))
CKL_EMU_PTDS(cudaMemcpy3D, (const cudaMemcpy3DParms* params), cudaMemcpy3DAsync(params, cudaStreamPerThread))
CKL_EMU_PTDS(cudaMemcpyToSymbol,
             (const void* symbol, const void* src, size_t count, size_t offset, cudaMemcpyKind kind),
             cudaMemcpyToSymbolAsync(symbol, src, count, offset, kind, cudaStreamPerThread))
CKL_EMU_PTDS(cudaMemcpyFromSymbol, (void* dst, const void* symbol, size_t count, size_t offset, cudaMemcpyKind kind),
             cudaMemcpyFromSymbolAsync(dst, symbol, count, offset, kind, cudaStreamPerThread))
CKL_EMU_PTDS(cudaMemset, (void* address, int value, size_t count),
             cudaMemsetAsync(address, value, count, cudaStreamPerThread))
CKL_EMU_PTDS(cudaMemset2D, (void* address, size_t pitch, int value, size_t width, size_t height),
             cudaMemset2DAsync(address, pitch, value, width, height, cudaStreamPerThread))
CKL_EMU_PTDS(cudaMemset3D, (cudaPitchedPtr pointer, int value, cudaExtent extent),
             cudaMemset3DAsync(pointer, value, extent, cudaStreamPerThread))
