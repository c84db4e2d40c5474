#pragma once

// The GEMM kernel with another output: an epilogue that GemmEpilogue names, or one from outside of the library. In modules of their
// own, so that the plain product pays nothing for them.

#include "ops/gemm/fused/epilogue.cuh"
#include "ops/gemm/kernel.cuh"

/// One kernel: the config that NAME spells, with the functor FUNCTOR.
#define CKL_GEMM_FUSED_KERNEL(SYMBOL, NAME, FUNCTOR)                                                                 \
  extern "C" __global__ void __launch_bounds__(ckl::parse_gemm_config(#NAME).threads(), 1)                           \
      SYMBOL(__grid_constant__ ckl::GemmFusedParams<FUNCTOR::Params> const params) {                                 \
    ckl::device::GemmKernel<ckl::parse_gemm_config(#NAME), ckl::device::FusedOutput<FUNCTOR>>::run(params.gemm,      \
                                                                                                   params.epilogue); \
  }

/// One entry of a module: what GemmEpilogue names.
#define CKL_GEMM_FUSED_ENTRY(NAME) CKL_GEMM_FUSED_KERNEL(ckl_gemm_fused_##NAME, NAME, ckl::device::NamedEpilogue)

/// One entry of a module from outside of the library, with the functor EPILOGUE (see device::UserEpilogue).
#define CKL_GEMM_ENTRY_WITH(NAME, EPILOGUE) \
  CKL_GEMM_FUSED_KERNEL(ckl_gemm_##NAME, NAME, ckl::device::UserEpilogue<EPILOGUE>)
