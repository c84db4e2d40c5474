#pragma once

// Normalizations whose result is fp8, with a scale a row: kernels of their own, so that the others pay nothing for it.

#include "ops/norm/kernel.cuh"

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_NORM_QUANTIZED_ENTRY(NAME)                                                                        \
  extern "C" __global__ void __launch_bounds__(ckl::parse_row_config(#NAME, ckl::norm_needs).threads(),       \
                                               ckl::parse_row_config(#NAME, ckl::norm_needs).blocks_per_sm()) \
      ckl_norm_quantized_##NAME(__grid_constant__ ckl::NormParams const params) {                             \
    ckl::device::NormKernel<ckl::parse_row_config(#NAME, ckl::norm_needs), true>::run(params);                \
  }
