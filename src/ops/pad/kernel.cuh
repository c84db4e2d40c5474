#pragma once

// Copies of matrices with any strides and any alignment into rows that begin on 128 bytes, for kernels that load by TMA. Bound by
// bandwidth: a block copies a tile, of which every thread has all of its elements in flight before it stores the first.

#include <cute/tensor.hpp>

#include "device/arch.cuh"
#include "ops/pad/config.hpp"
#include "ops/pad/params.hpp"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

template <PadConfig Config> struct PadKernel {
  using T = uint_bit_t<Config.element_bits>;
  static constexpr int BLK_M = Config.tile_rows, BLK_N = Config.tile_columns;
  static constexpr int COLUMN_THREADS = PadConfig::threads / PadConfig::row_threads;
  using Threads =
      Layout<Shape<Int<COLUMN_THREADS>, Int<PadConfig::row_threads>>, Stride<Int<PadConfig::row_threads>, _1>>;
  static_assert(Config.element_bits > 0, "no config's name");
  static_assert(BLK_M % COLUMN_THREADS == 0 && BLK_N % PadConfig::row_threads == 0);

  CUTE_DEVICE static void run(PadParams const& p) {
    allow_next_grid();
    wait_for_preceding_grids();
    if (int(blockIdx.x) < p.first_tiles)
      copy_tile(p.matrix[0], int(blockIdx.x));
    else
      copy_tile(p.matrix[1], int(blockIdx.x) - p.first_tiles);
  }

 private:
  CUTE_DEVICE static void copy_tile(PadMatrix const& x, int tile) {
    int tile_m = x.column_tiles.quotient(tile), tile_n = tile - tile_m * int(x.column_tiles.divisor);
    int64_t row = int64_t(tile_m) * BLK_M, column = int64_t(tile_n) * BLK_N;
    if (x.column_stride == 1)  // the usual case, in which the offsets within a row are constants
      copy_tile(x, row, column, _1{});
    else
      copy_tile(x, row, column, x.column_stride);
  }

  template <class ColumnStride>
  CUTE_DEVICE static void copy_tile(PadMatrix const& x, int64_t row, int64_t column, ColumnStride column_stride) {
    using Tile = Shape<Int<BLK_M>, Int<BLK_N>>;
    T const* from = static_cast<T const*>(x.from) + row * x.row_stride + column * column_stride;
    T* to = static_cast<T*>(x.to) + row * x.pitch + column;
    Tensor gX = make_tensor(make_gmem_ptr(from), Tile{}, make_stride(x.row_stride, column_stride));  // (BLK_M, BLK_N)
    Tensor gY = make_tensor(make_gmem_ptr(to), Tile{}, make_stride(x.pitch, _1{}));                  // (BLK_M, BLK_N)
    Tensor tXgX = local_partition(gX, Threads{}, threadIdx.x);                                       // (ROWS, COLUMNS)
    Tensor tXgY = local_partition(gY, Threads{}, threadIdx.x);                                       // (ROWS, COLUMNS)
    Tensor tXcX = local_partition(make_identity_tensor(Tile{}), Threads{}, threadIdx.x);             // (ROWS, COLUMNS)
    Tensor rX = make_tensor<T>(shape(tXcX));                                                         // (ROWS, COLUMNS)
    auto inside =
        make_coord(int(cute::min(x.rows - row, int64_t(BLK_M))), int(cute::min(x.columns - column, int64_t(BLK_N))));
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < size(rX); ++i) rX(i) = elem_less(tXcX(i), inside) ? tXgX(i) : T(0);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < size(rX); ++i)
      if (elem_less(tXcX(i), inside)) tXgY(i) = rX(i);
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_PAD_ENTRY(NAME)                                             \
  extern "C" __global__ void __launch_bounds__(ckl::PadConfig::threads) \
      ckl_pad_##NAME(__grid_constant__ ckl::PadParams const params) {   \
    ckl::device::PadKernel<ckl::parse_pad_config(#NAME)>::run(params);  \
  }
