#pragma once

// Sums over the rows of small matrices, those that the gradients' kernels leave: the last step of dweight and dbias, in one launch for
// both. It is bound by latency: each thread has many loads under way.

#include <cute/tensor.hpp>

#include "device/arch.cuh"
#include "device/numeric.cuh"
#include "device/tree.cuh"
#include "ops/norm/sums/params.hpp"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

struct NormSumsKernel {
  static constexpr int COLUMNS = norm_sums_columns, WARPS = norm_sums_warps, BATCH = 8;

  CUTE_DEVICE static void run(NormSumsParams const& p) {
    __shared__ float of_warps[WARPS][COLUMNS];
    NormSum const& sum = p.sums[int(blockIdx.x) / p.blocks_each];
    int lane = int(threadIdx.x) % COLUMNS, warp = int(threadIdx.x) / COLUMNS;
    int64_t column = int64_t(int(blockIdx.x) % p.blocks_each) * COLUMNS + lane;
    allow_next_grid();
    wait_for_preceding_grids();
    if (column < p.columns) of_warps[warp][lane] = share_of(sum, p.partitions, p.columns, column, warp);
    block_sync();
    if (warp != 0 || column >= p.columns) return;
    float total =
        reduce_tree_of<WARPS>([&](int i) { return of_warps[i][lane]; }, [](float x, float y) { return x + y; });
    with_element(sum.dtype, [&](auto element) {
      using T = decltype(element);
      static_cast<T*>(sum.y)[column * sum.step] = T(total);
    });
  }

 private:
  /// The sum of every WARPS-th partition's partial sum of a column, BATCH of them at a time.
  CUTE_DEVICE static float share_of(NormSum const& sum, int64_t partitions, int64_t columns, int64_t column, int warp) {
    Tensor gP = make_tensor(make_gmem_ptr(sum.partials + column), make_shape(partitions),
                            make_stride(columns));  // (partitions)
    float total = 0;
    CUTLASS_PRAGMA_NO_UNROLL
    for (int64_t first = warp; first < partitions; first += WARPS * BATCH) {
      float batch[BATCH];
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < BATCH; ++i) batch[i] = first + i * WARPS < partitions ? gP(first + i * WARPS) : 0.0f;
      total += reduce_tree(batch, [](float x, float y) { return x + y; });
    }
    return total;
  }
};

}  // namespace ckl::device

/// The entry of the module.
#define CKL_NORM_SUMS_ENTRY(NAME)                                                            \
  extern "C" __global__ void __launch_bounds__(ckl::norm_sums_columns* ckl::norm_sums_warps) \
      ckl_norm_sums_##NAME(__grid_constant__ ckl::NormSumsParams const params) {             \
    ckl::device::NormSumsKernel::run(params);                                                \
  }
