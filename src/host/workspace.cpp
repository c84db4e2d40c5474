#include "host/workspace.hpp"

#include <cstdint>

#include "host/require.hpp"

namespace ckl::host {

void require_workspace(const void* workspace, std::size_t bytes) {
  if (bytes == 0) return;
  require(workspace != nullptr, "workspace must not be null, but of ", bytes, " bytes");
  require(reinterpret_cast<std::uintptr_t>(workspace) % 256 == 0, "workspace must be a multiple of 256 bytes, but is ",
          workspace);
}

void zero(void* data, std::size_t bytes, Stream stream) {
  check(cudaMemsetAsync(data, 0, bytes, stream), "cudaMemsetAsync");
}

StreamWorkspace::StreamWorkspace(std::size_t bytes, std::size_t zeroed, Stream stream) : stream_(stream) {
  if (bytes == 0) return;
  check(cudaMallocAsync(&data_, bytes, stream), "cudaMallocAsync");
  if (zeroed > 0) zero(data_, zeroed, stream);
}

StreamWorkspace::~StreamWorkspace() {
  if (data_) cudaFreeAsync(data_, stream_);
}

}  // namespace ckl::host
