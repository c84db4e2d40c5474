#include "runtime/launch.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/node_params.hpp"
#include "runtime/stream.hpp"

namespace emu {

namespace {

std::uint64_t volume(dim3 size) { return std::uint64_t(size.x) * size.y * size.z; }
bool is_set(dim3 size) { return size.x || size.y || size.z; }
bool same(dim3 a, dim3 b) { return a.x == b.x && a.y == b.y && a.z == b.z; }
std::string text(dim3 size) { return fmt::format("{}x{}x{}", size.x, size.y, size.z); }

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

int clusters_of(const KernelOperation& launch) {
  return max_clusters(*launch.kernel, int(volume(launch.block)), launch.dynamic_shared,
                      int(volume(effective_cluster(launch))));
}

void validate_cluster(const KernelOperation& launch, const KernelFacts& facts) {
  const CUkern_st& kernel = *launch.kernel;
  const dim3 required = is_set(facts.required_cluster) ? facts.required_cluster : kernel.required_cluster;
  require(!is_set(launch.cluster) || !is_set(required) || same(launch.cluster, required), cudaErrorInvalidClusterSize,
          "{} requires clusters of {}, but the launch asks for {}", kernel.name, text(required), text(launch.cluster));
  require(!kernel.cluster_must_be_set || is_set(launch.cluster) || is_set(required), cudaErrorInvalidClusterSize,
          "{} must be launched with a cluster dimension", kernel.name);
  const dim3 cluster = effective_cluster(launch);
  const std::uint64_t size = volume(cluster);
  require(size > 0, cudaErrorInvalidClusterSize, "each dimension of a cluster must be 1 or more, but it is {}",
          text(cluster));
  const int limit = kernel.non_portable_cluster ? limits::max_cluster_size : limits::portable_cluster_size;
  require(size <= std::uint64_t(limit), cudaErrorInvalidClusterSize,
          "a cluster must have at most {} blocks{}, but {} has {}", limit,
          kernel.non_portable_cluster ? "" : " (16 with cudaFuncAttributeNonPortableClusterSizeAllowed)", text(cluster),
          size);
  require(launch.grid.x % cluster.x == 0 && launch.grid.y % cluster.y == 0 && launch.grid.z % cluster.z == 0,
          cudaErrorInvalidClusterSize, "the grid, {}, must be a multiple of the cluster, {}, in each dimension",
          text(launch.grid), text(cluster));
  require(size == 1 || clusters_of(launch) > 0, cudaErrorInvalidClusterSize,
          "no GPC has room for a cluster of {} with these blocks", text(cluster));
}

}  // namespace

std::size_t max_dynamic_shared(CUkern_st& kernel) {
  const std::size_t used = facts_of(kernel).static_shared;
  if (kernel.max_dynamic_shared_set) return std::size_t(kernel.max_dynamic_shared);
  return used < limits::shared_per_block ? limits::shared_per_block - used : 0;
}

KernelOperation make_launch(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared) {
  CUkern_st& kernel = resolve_function(function);
  KernelOperation launch;
  launch.kernel = &kernel;
  launch.grid = grid;
  launch.block = block;
  launch.dynamic_shared = shared;
  launch.params.resize(facts_of(kernel).params);
  const std::vector<KernelParam> params = params_of(kernel);
  require_value(arguments || params.empty(), "{} has {} parameters, but args is null", kernel.name, params.size());
  for (std::size_t i = 0; i < params.size(); ++i) {
    require_value(arguments[i], "argument {} of {} is null", i, kernel.name);
    std::memcpy(launch.params.data() + params[i].offset, arguments[i], params[i].bytes);
  }
  return launch;
}

dim3 effective_cluster(const KernelOperation& launch) {
  if (is_set(launch.cluster)) return launch.cluster;
  const dim3 required = facts_of(*launch.kernel).required_cluster;
  if (is_set(required)) return required;
  return is_set(launch.kernel->required_cluster) ? launch.kernel->required_cluster : dim3(1, 1, 1);
}

void validate_launch(const KernelOperation& launch) {
  CUkern_st& kernel = resolve_function(launch.kernel);  // a graph may outlive the library of its kernels
  const KernelFacts facts = facts_of(kernel);
  const unsigned grid[] = {launch.grid.x, launch.grid.y, launch.grid.z};
  const unsigned block[] = {launch.block.x, launch.block.y, launch.block.z};
  for (int i = 0; i < 3; ++i) {
    require(grid[i] >= 1 && grid[i] <= limits::grid_dims[i], cudaErrorInvalidConfiguration,
            "dimension {} of the grid must be 1 to {}, but is {}", i, limits::grid_dims[i], grid[i]);
    require(block[i] >= 1 && block[i] <= unsigned(limits::block_dims[i]), cudaErrorInvalidConfiguration,
            "dimension {} of the block must be 1 to {}, but is {}", i, limits::block_dims[i], block[i]);
  }
  const std::uint64_t threads = volume(launch.block);
  require(threads <= std::uint64_t(limits::threads_per_block), cudaErrorInvalidConfiguration,
          "a block must have at most {} threads, but has {}", limits::threads_per_block, threads);
  require_value(threads <= std::uint64_t(facts.max_threads),
                "{} is compiled for at most {} threads a block, but is launched with {}", kernel.name,
                facts.max_threads, threads);
  require_value(!is_set(facts.required_block) || same(facts.required_block, launch.block),
                "{} is compiled for blocks of {}, but is launched with {}", kernel.name, text(facts.required_block),
                text(launch.block));

  require_value(launch.dynamic_shared <= max_dynamic_shared(kernel),
                "{} may use {} bytes of dynamic shared memory, but the launch asks for {}; "
                "cudaFuncAttributeMaxDynamicSharedMemorySize raises the limit",
                kernel.name, max_dynamic_shared(kernel), launch.dynamic_shared);
  require_value(launch.dynamic_shared + facts.static_shared <= std::size_t(limits::shared_per_block_optin),
                "a block may use {} bytes of shared memory, but {} uses {}", limits::shared_per_block_optin,
                kernel.name, launch.dynamic_shared + facts.static_shared);
  validate_cluster(launch, facts);
  if (launch.cooperative)
    require(volume(launch.grid) <= std::uint64_t(clusters_of(launch)) * volume(effective_cluster(launch)),
            cudaErrorCooperativeLaunchTooLarge, "a cooperative grid must be resident at once, but {} blocks are not",
            volume(launch.grid));
}

int max_blocks_per_sm(CUkern_st& kernel, int threads, std::size_t dynamic_shared) {
  const KernelFacts facts = facts_of(kernel);
  if (threads < 1 || threads > facts.max_threads) return 0;
  if (dynamic_shared > max_dynamic_shared(kernel) ||
      dynamic_shared + facts.static_shared > std::size_t(limits::shared_per_block_optin))
    return 0;
  const int warps = (threads + limits::warp_size - 1) / limits::warp_size;
  const auto shared =
      int(round_up(facts.static_shared + dynamic_shared + limits::shared_reserved_per_block, limits::shared_unit));
  const auto registers =
      int(round_up(std::uint64_t(facts.registers) * limits::warp_size, limits::register_unit_per_warp)) * warps;
  return std::min({limits::blocks_per_sm, limits::threads_per_sm / (warps * limits::warp_size),
                   limits::shared_per_sm / shared, limits::registers_per_sm / std::max(registers, 1)});
}

int max_clusters(CUkern_st& kernel, int threads, std::size_t dynamic_shared, int size) {
  const int per_sm = max_blocks_per_sm(kernel, threads, dynamic_shared);
  int clusters = 0;
  for (int gpc = 0; gpc < gpc_count(); ++gpc) clusters += sms_of_gpc(gpc) * per_sm / size;
  return clusters;
}

}  // namespace emu

using namespace emu;

CKL_EMU_API cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                                         std::size_t shared, cudaStream_t stream) {
  return api("cudaLaunchKernel", [&] { submit(stream, make_launch(function, grid, block, arguments, shared)); });
}

CKL_EMU_API cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                                                    std::size_t shared, cudaStream_t stream) {
  return api("cudaLaunchCooperativeKernel", [&] {
    KernelOperation launch = make_launch(function, grid, block, arguments, shared);
    launch.cooperative = true;
    submit(stream, std::move(launch));
  });
}

CKL_EMU_API cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  return api("cudaLaunchKernelExC", [&] {
    require_value(config, "config must not be null");
    require_value(config->attrs || !config->numAttrs, "config->attrs is null, but config->numAttrs is {}",
                  config->numAttrs);
    KernelOperation launch =
        make_launch(function, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes);
    for (unsigned i = 0; i < config->numAttrs; ++i) apply_attribute(launch, config->attrs[i]);
    // Events that the launch itself records, which with programmatic launch may happen before it ends.
    for (unsigned i = 0; i < config->numAttrs; ++i) {
      const cudaLaunchAttribute& attribute = config->attrs[i];
      if (attribute.id == cudaLaunchAttributeProgrammaticEvent)
        context().events.get(attribute.val.programmaticEvent.event);
      if (attribute.id == cudaLaunchAttributeLaunchCompletionEvent)
        context().events.get(attribute.val.launchCompletionEvent.event);
    }
    submit(config->stream, std::move(launch));
    for (unsigned i = 0; i < config->numAttrs; ++i) {
      const cudaLaunchAttribute& attribute = config->attrs[i];
      if (attribute.id == cudaLaunchAttributeProgrammaticEvent)
        record_event(attribute.val.programmaticEvent.event, config->stream, cudaEventRecordDefault);
      if (attribute.id == cudaLaunchAttributeLaunchCompletionEvent)
        record_event(attribute.val.launchCompletionEvent.event, config->stream, cudaEventRecordDefault);
    }
  });
}
