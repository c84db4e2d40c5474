#pragma once

#include <cstddef>

#include "runtime/device.hpp"
#include "runtime/library.hpp"

namespace emu {

/// What launch checks and occupancy need to know of a kernel, and cudaFuncGetAttributes reports.
struct KernelFacts {
  std::size_t static_shared = 0, local = 0, params = 0;
  int registers = 0;  // for each thread, an estimate from the PTX
  int max_threads = limits::threads_per_block;
  dim3 required_block{0, 0, 0}, required_cluster{0, 0, 0};  // {0, 0, 0}: any
};
KernelFacts facts_of(CUkern_st& kernel);

struct KernelParam {
  std::size_t offset, bytes;
};
std::vector<KernelParam> params_of(CUkern_st& kernel);

/// The most dynamic shared memory that a launch of `kernel` may ask for, in bytes.
std::size_t max_dynamic_shared(CUkern_st& kernel);

/// The launch of `function` that an API call describes; `arguments` are copied.
KernelOperation make_launch(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared);

/// The cluster that a launch runs with; {1, 1, 1} for none.
dim3 effective_cluster(const KernelOperation& launch);

/// Fails as cudaLaunchKernel documents if the device cannot run `launch`.
void validate_launch(const KernelOperation& launch);

/// Runs the grid to its end. A hazard or a fault goes to stderr and becomes the device's fault.
void run_launch(const KernelOperation& launch);

/// Blocks of `threads` threads that fit one SM at a time.
int max_blocks_per_sm(CUkern_st& kernel, int threads, std::size_t dynamic_shared);
/// Clusters of `size` such blocks that fit the device at a time: the blocks of one lie in one GPC, and may share an SM.
int max_clusters(CUkern_st& kernel, int threads, std::size_t dynamic_shared, int size);

}  // namespace emu
