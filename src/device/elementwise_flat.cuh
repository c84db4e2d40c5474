#pragma once

// Elementwise functions of dense runs of elements. All threads of a block take whole vectors, or one each of the few elements that are
// left over.

#include <cute/tensor.hpp>

#include "device/arch.cuh"
#include "device/elementwise_engine.cuh"

namespace ckl::device {

template <ElementwiseConfig Config, class Functions> struct ElementwiseFlat {
  static constexpr int VEC = Config.vector, THREADS = Config.threads();

  CUTE_DEVICE static void run(ElementwiseParams const& p) {
    allow_next_grid();
    if (int(blockIdx.x) < p.whole_blocks)
      run_whole(p);
    else
      run_rest(p);
  }

 private:
  /// A thread's vectors lie a part of the operands apart: each part is read in order then. Where those of the one input have fewer than 16 bytes,
  /// a warp's lie side by side, so that it reads whole lines. Numbers of vectors have 32 bits.
  CUTE_DEVICE static void run_whole(ElementwiseParams const& p) {
    auto parts = [&](ElementwiseOperand const&, int u) CUTLASS_LAMBDA_FUNC_INLINE {
      return uint64_t((blockIdx.x + uint32_t(u * p.whole_blocks)) * THREADS + threadIdx.x) * VEC;
    };
    auto of_mixed = [&](ElementwiseOperand const& operand, int u) CUTLASS_LAMBDA_FUNC_INLINE {
      if (Config.inputs > 1 || p.in[0].element_bytes == Config.widest()) return parts(operand, u);
      uint32_t warp = 32, lane = threadIdx.x % warp;
      return uint64_t((blockIdx.x * THREADS + threadIdx.x - lane) * Config.unroll() + u * warp + lane) * VEC;
    };
    ElementwiseEngine<Config, Functions>::run_whole(p, parts, of_mixed);
  }

  /// One of the elements that are left over.
  CUTE_DEVICE static void run_rest(ElementwiseParams const& p) {
    using Single = ElementwiseEngine<ElementwiseConfig{Config.inputs, Config.compute, 1, Access::strided}, Functions>;
    int64_t at = int64_t(p.whole_blocks) * (Config.block_vectors() * VEC) +
                 (int(blockIdx.x) - p.whole_blocks) * THREADS + int(threadIdx.x);
    wait_for_preceding_grids();
    if (at >= p.row) return;
    typename Single::Place place[1];
    CUTLASS_PRAGMA_UNROLL
    for (int64_t& in : place[0].in) in = at;
    CUTLASS_PRAGMA_UNROLL
    for (int64_t& out : place[0].out) out = at;
    place[0].left = 1;
    Single::compute(p, place);
  }
};

}  // namespace ckl::device
