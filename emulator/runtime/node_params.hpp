#pragma once

#include "runtime/objects.hpp"

namespace emu {

// Between the API's parameter structs and operations. Each fails with cudaErrorInvalidValue on what is malformed.

CopyOperation linear_copy(void* dst, const void* src, std::size_t bytes, cudaMemcpyKind kind);
FillOperation linear_fill(void* dst, int value, std::size_t bytes);

KernelOperation read_params(const cudaKernelNodeParams* params);
CopyOperation read_params(const cudaMemcpy3DParms* params);
FillOperation read_params(const cudaMemsetParams* params);
HostOperation read_params(const cudaHostNodeParams* params);
Operation read_params(const cudaGraphNodeParams& params);

/// The pointers in the result live as long as the operation.
cudaKernelNodeParams write_params(KernelOperation& operation);
cudaMemcpy3DParms write_params(const CopyOperation& operation);
cudaMemsetParams write_params(const FillOperation& operation);

void apply_attribute(KernelOperation& operation, const cudaLaunchAttribute& attribute);
cudaLaunchAttributeValue read_attribute(const KernelOperation& operation, cudaLaunchAttributeID id);

/// Allocates within the graph that `stream` captures.
void* allocate_in_capture(CUstream_st& stream, std::size_t bytes);

}  // namespace emu
