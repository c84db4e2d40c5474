#include "runtime/objects.hpp"

#include "runtime/device.hpp"

namespace emu {

Context::Context() {
  legacy_stream.is_legacy = true;
  legacy_stream.id = next_id++;
  auto pool = std::make_unique<CUmemPoolHandle_st>();
  pool->is_default = true;
  pool->properties.allocType = cudaMemAllocationTypePinned;
  pool->properties.location = {cudaMemLocationTypeDevice, {0}};
  default_pool = current_pool = pools.add(std::move(pool));
  limits = {{cudaLimitStackSize, 1024},
            {cudaLimitPrintfFifoSize, 1 << 20},
            {cudaLimitMallocHeapSize, 8 << 20},
            {cudaLimitMaxL2FetchGranularity, 64},
            {cudaLimitPersistingL2CacheSize, 0}};
}

Context& context() {
  static auto* all = new Context;
  return *all;
}

}  // namespace emu
