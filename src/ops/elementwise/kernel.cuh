#pragma once

// The kernels of the library's elementwise operations: each computes all of those that take its number of operands.

#include "device/elementwise_engine.cuh"
#include "device/elementwise_tiles.cuh"
#include "ops/elementwise/functions.cuh"

namespace ckl::device {

/// What serves `Config`.
template <ElementwiseConfig Config> using ElementwiseKernel =
    conditional_t<Config.access == Access::tiles, ElementwiseTiles<Config, ElementwiseFunctions>,
                  ElementwiseEngine<Config, ElementwiseFunctions>>;

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_ELEMENTWISE_ENTRY(NAME)                                                               \
  extern "C" __global__ void __launch_bounds__(ckl::ElementwiseConfig::threads,                   \
                                               ckl::parse_elementwise_config(#NAME).min_blocks()) \
      ckl_elementwise_##NAME(__grid_constant__ ckl::ElementwiseParams const params) {             \
    ckl::device::ElementwiseKernel<ckl::parse_elementwise_config(#NAME)>::run(params);            \
  }
