#include "host/workspace.hpp"

#include "host/require.hpp"

namespace ckl::host {

StreamWorkspace::StreamWorkspace(std::size_t bytes, std::size_t zeroed, Stream stream) : stream_(stream) {
  if (bytes == 0) return;
  check(cudaMallocAsync(&data_, bytes, stream), "cudaMallocAsync");
  if (zeroed > 0) check(cudaMemsetAsync(data_, 0, zeroed, stream), "cudaMemsetAsync");
}

StreamWorkspace::~StreamWorkspace() {
  if (data_) cudaFreeAsync(data_, stream_);
}

}  // namespace ckl::host
