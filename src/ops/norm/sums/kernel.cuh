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
  static constexpr int COLUMNS = norm_sums_columns, WARPS = norm_sums_warps, BATCH = norm_sums_batch;

  CUTE_DEVICE static void run(NormSumsParams const& p) {
    __shared__ float of_warps[WARPS][COLUMNS];
    NormSum const& sum = p.sums[int(blockIdx.x) / p.blocks_each];
    int lane = int(threadIdx.x) % COLUMNS, warp = int(threadIdx.x) / COLUMNS;
    int64_t number = (int(blockIdx.x) % p.blocks_each * WARPS + warp) / p.warps_each;  // of neighbouring columns
    int64_t column = number * COLUMNS + lane;
    int share = warp % p.warps_each;
    allow_next_grid();
    wait_for_preceding_grids();
    if (column < p.columns) of_warps[warp][lane] = share_of(p, sum, column, share);
    block_sync();
    if (share != 0 || column >= p.columns) return;
    float total = 0;
    for (int i = 0; i < p.warps_each; ++i) total += of_warps[warp + i][lane];
    with_element(sum.dtype, [&](auto element) {
      using T = decltype(element);
      static_cast<T*>(sum.y)[column * sum.step] = T(total);
    });
  }

 private:
  /// The sum of a warp's share of the partial sums of a column, BATCH of them at a time.
  CUTE_DEVICE static float share_of(NormSumsParams const& p, NormSum const& sum, int64_t column, int share) {
    Tensor gP = make_tensor(make_gmem_ptr(sum.partials + column), make_shape(p.partitions),
                            make_stride(p.columns));  // (partitions)
    float total = 0;
    CUTLASS_PRAGMA_NO_UNROLL
    for (int64_t first = share; first < p.partitions; first += p.warps_each * BATCH) {
      float batch[BATCH];
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < BATCH; ++i) {
        int64_t partition = first + i * p.warps_each;
        batch[i] = partition < p.partitions ? gP(partition) : 0.0f;
      }
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
