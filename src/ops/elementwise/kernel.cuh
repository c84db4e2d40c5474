#pragma once

// The kernels of the library's elementwise operations: each computes all of those that take its number of operands.

#include "device/elementwise_engine.cuh"
#include "ops/elementwise/functions.cuh"

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_ELEMENTWISE_ENTRY(NAME)                                                                               \
  extern "C" __global__ void __launch_bounds__(ckl::ElementwiseConfig::threads,                                   \
                                               ckl::parse_elementwise_config(#NAME).min_blocks())                 \
      ckl_elementwise_##NAME(__grid_constant__ ckl::ElementwiseParams const params) {                             \
    ckl::device::ElementwiseEngine<ckl::parse_elementwise_config(#NAME), ckl::device::ElementwiseFunctions>::run( \
        params);                                                                                                  \
  }
