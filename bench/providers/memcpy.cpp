#include <memory>

#include "providers/providers.hpp"

namespace ckl::bench {

Launch copy_of(double bytes, std::size_t sets, const Session& session) {
  const std::size_t half = std::size_t(bytes / 2) / 16 * 16;  // half is read, half is written
  const auto memory = std::make_shared<const Buffer>(2 * half * sets);
  session.kernels.fill_normal(memory->data(), DType::f32, std::int64_t(memory->bytes() / 4), 99);
  check(cudaDeviceSynchronize(), "filling the source of the copy");
  return [memory, half](std::size_t set, cudaStream_t stream) {
    char* source = memory->at(2 * half * set);
    check(cudaMemcpyAsync(source + half, source, half, cudaMemcpyDeviceToDevice, stream), "cudaMemcpyAsync");
  };
}

Launch read_of(const std::vector<const void*>& sources, std::size_t bytes, const Session& session) {
  return [sources, bytes, &session](std::size_t set, cudaStream_t stream) {
    session.kernels.read(sources[set], bytes, stream);
  };
}

}  // namespace ckl::bench
