// What the code that nvcc puts into programs calls before main and for <<<>>>. These functions are declared in no public
// header; their signatures are those of crt/host_runtime.h.

#include <vector>

#include "runtime/launch.hpp"
#include "runtime/library.hpp"
#include "runtime/stream.hpp"

using namespace emu;

namespace {

struct CallConfiguration {
  dim3 grid, block;
  std::size_t shared;
  cudaStream_t stream;
};

std::vector<CallConfiguration>& call_configurations() {
  thread_local std::vector<CallConfiguration> stack;
  return stack;
}

CUlib_st* library_of(void** handle) { return reinterpret_cast<CUlib_st*>(handle); }

}  // namespace

CKL_EMU_API void** __cudaRegisterFatBinary(void* wrapper) {
  CUlib_st* library = nullptr;
  // A damaged fat binary has been reported; what it holds is missing, and is named when it is used.
  api(
      "__cudaRegisterFatBinary", [&] { library = register_library(wrapper); }, ApiKind::harmless);
  return reinterpret_cast<void**>(library);
}

CKL_EMU_API void __cudaRegisterFatBinaryEnd(void**) {}

CKL_EMU_API void __cudaUnregisterFatBinary(void** handle) {
  api(
      "__cudaUnregisterFatBinary", [&] { unregister_library(library_of(handle)); }, ApiKind::harmless);
}

CKL_EMU_API char __cudaInitModule(void**) { return 1; }

CKL_EMU_API void __cudaRegisterFunction(void** handle, const char* stub, char*, const char* name, int, uint3*, uint3*,
                                        dim3*, dim3*, int*) {
  api(
      "__cudaRegisterFunction", [&] { register_function(library_of(handle), stub, name); }, ApiKind::harmless);
}

CKL_EMU_API void __cudaRegisterVar(void** handle, char* shadow, char*, const char* name, int, std::size_t, int, int) {
  api(
      "__cudaRegisterVar", [&] { register_variable(library_of(handle), shadow, name); }, ApiKind::harmless);
}

CKL_EMU_API void __cudaRegisterManagedVar(void**, void**, char*, const char* name, int, std::size_t, int, int) {
  not_supported(fmt::format("the __managed__ variable {}", name).c_str());
  status::set_fault(cudaErrorNotSupported);  // the program would write through a null pointer
}

CKL_EMU_API void __cudaRegisterHostVar(void**, const char* name, char*, std::size_t) {
  not_supported(fmt::format("the device's view of the host variable {}", name).c_str());
}

CKL_EMU_API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared, CUstream_st* stream) {
  call_configurations().push_back({grid, block, shared, stream});
  return 0;
}

CKL_EMU_API cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared, void* stream) {
  auto& stack = call_configurations();
  if (stack.empty())
    return status::finish("__cudaPopCallConfiguration", cudaErrorMissingConfiguration, "<<<>>> was not seen");
  CallConfiguration top = stack.back();
  stack.pop_back();
  *grid = top.grid;
  *block = top.block;
  *shared = top.shared;
  *static_cast<cudaStream_t*>(stream) = top.stream;
  return cudaSuccess;
}

CKL_EMU_API cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* stub) {
  return api(
      "__cudaGetKernel", [&] { *kernel = &resolve_function(stub); }, ApiKind::harmless);
}

CKL_EMU_API cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                                           std::size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}

CKL_EMU_API cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                                                std::size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared, per_thread(stream));
}
