#pragma once

// The kernels of the library's elementwise operations: each computes all of those that take its number of operands.

#include "device/elementwise_engine.cuh"
#include "device/elementwise_flat.cuh"
#include "device/elementwise_tiles.cuh"
#include "ops/elementwise/functions.cuh"

namespace ckl::device {

/// What serves `Config`.
template <ElementwiseConfig Config, class Functions> using ElementwiseKernel =
    conditional_t<Config.access == Access::tiles, ElementwiseTiles<Config, Functions>,
                  conditional_t<Config.access == Access::flat, ElementwiseFlat<Config, Functions>,
                                ElementwiseEngine<Config, Functions>>>;

}  // namespace ckl::device

/// A kernel called SYMBOL, of which an SM holds BLOCKS blocks at least, with PARAMS as `params`.
#define CKL_ELEMENTWISE_KERNEL(SYMBOL, THREADS, BLOCKS, PARAMS, ...)                                            \
  extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) SYMBOL(__grid_constant__ PARAMS const params) { \
    __VA_ARGS__;                                                                                                \
  }

/// One entry of a module of the library's.
#define CKL_ELEMENTWISE_ENTRY(NAME)                                                                                  \
  CKL_ELEMENTWISE_KERNEL(                                                                                            \
      ckl_elementwise_##NAME, ckl::parse_elementwise_config(#NAME).threads(),                                        \
      ckl::parse_elementwise_config(#NAME).min_blocks(), ckl::ElementwiseParams,                                     \
      (ckl::device::ElementwiseKernel<ckl::parse_elementwise_config(#NAME), ckl::device::ElementwiseFunctions>::run( \
          params)))
