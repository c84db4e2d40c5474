#pragma once

// The row engine: threads that share a row load it, reduce over it, and store a row of results. Operators are thin functors on top.

#include <cute/tensor.hpp>

#include "device/numeric.cuh"
#include "device/row_config.hpp"
#include "device/row_params.hpp"
#include "device/row_reduction.cuh"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

template <RowConfig Config> struct RowEngine {
  using T = Element<Config.dtype>;
  static constexpr int VEC = Config.vector_elements(), VALUES = Config.thread_elements(), VECTORS = VALUES / VEC;
  static constexpr int GROUP = Config.group;
  static constexpr bool is_cluster = Config.kind == RowKind::cluster;
  /// What sums are formed in. f64 where f32's rounding errors would show: in f32 results, and where a thread sums up more than it
  /// holds.
  using Real = cute::conditional_t<Config.dtype == DType::f32 || Config.kind == RowKind::stream, double, float>;
  using Reduction = RowReduction<GROUP, is_cluster, Real>;
  using Vectorized = AutoVectorizingCopyWithAssumedAlignment<128>;  // 16 bytes at a time, or an element
  static_assert(Config.group != 0 && VALUES % VEC == 0);

  /// The part of a row that this block's group of threads works on.
  struct Part {
    int64_t row, begin;  // begin: its first column
    int columns;         // 0 where there is no such row
    int thread;          // in the group
  };

  /// The row, or for a cluster the part of it, of the calling thread.
  CUTE_DEVICE static Part part(RowGrid const& grid) {
    int thread = int(threadIdx.x) % GROUP;
    if constexpr (is_cluster) {
      int blocks = int(cluster_shape().x), rank = int(block_rank_in_cluster());
      int64_t begin = rank * grid.part, left = grid.columns - begin;
      return {int64_t(blockIdx.x) / blocks, begin, int(left < 0 ? 0 : left < grid.part ? left : grid.part), thread};
    } else {
      int64_t row = int64_t(blockIdx.x) * Config.rows_per_block() + threadIdx.x / GROUP;
      return {row, 0, row < grid.rows ? int(grid.columns) : 0, thread};
    }
  }

  /// Elements from an operand's first one to the first one of row `row`.
  CUTE_DEVICE static int64_t offset(RowGrid const& grid, RowOperand const& x, int64_t row) {
    return grid.rows < int64_t(1) << 31 ? offset_of(grid, x, int32_t(row)) : offset_of(grid, x, row);
  }

  /// The vectors of a row (or of a part of it) that lies at `data`.
  template <class U> CUTE_DEVICE static auto vectors(U* data, int64_t step) {
    if constexpr (Config.vector)
      return make_tensor(make_gmem_ptr(data), make_shape(Int<VEC>{}, int(1)), make_stride(_1{}, Int<VEC>{}));
    else
      return make_tensor(make_gmem_ptr(data), make_shape(Int<VEC>{}, int(1)), make_stride(_1{}, step));
  }

  /// Loads the thread's elements of `columns` columns at `data`; what is beyond them becomes `filling`. All loads are issued before
  /// the first is used.
  template <class U> CUTE_DEVICE static void load(U const* data, int64_t step, int columns, int thread, float filling,
                                                  float (&values)[VALUES]) {
    Tensor gX = vectors(data, step);                              // (VEC, vectors)
    Tensor rX = make_tensor<U>(Shape<Int<VEC>, Int<VECTORS>>{});  // (VEC, VECTORS)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i)
      if (column(i, thread) < columns) copy(Vectorized{}, gX(_, i * GROUP + thread), rX(_, i));
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) values[i] = column(i / VEC, thread) < columns ? float(rX(i)) : filling;
  }

  /// Loads one of the thread's vectors, number `i`: for operands that are used up as they come.
  template <class U> CUTE_DEVICE static void load_vector(U const* data, int64_t step, int columns, int thread, int i,
                                                         float (&values)[VEC]) {
    Tensor gX = vectors(data, step);         // (VEC, vectors)
    Tensor rX = make_tensor<U>(Int<VEC>{});  // (VEC)
    if (column(i, thread) >= columns) return;
    copy(Vectorized{}, gX(_, i * GROUP + thread), rX);
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v) values[v] = float(rX(v));
  }

  /// Stores vector `i` of a thread, converted to T.
  CUTE_DEVICE static void store_vector(float const* values, T* data, int64_t step, int columns, int thread, int i) {
    Tensor gY = vectors(data, step);         // (VEC, vectors)
    Tensor rY = make_tensor<T>(Int<VEC>{});  // (VEC)
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < VEC; ++v) rY(v) = T(values[v]);
    if (column(i, thread) < columns) copy(Vectorized{}, rY, gY(_, i * GROUP + thread));
  }

  /// Stores all of them.
  CUTE_DEVICE static void store(float const (&values)[VALUES], T* data, int64_t step, int columns, int thread) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) store_vector(values + i * VEC, data, step, columns, thread, i);
  }

  /// The operation's result over this thread's elements.
  template <class Operation> CUTE_DEVICE static float reduce(float const (&values)[VALUES], Operation operation) {
    // A tree: its error grows with the logarithm of the number of elements.
    float partial[VALUES];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) partial[i] = values[i];
    CUTLASS_PRAGMA_UNROLL
    for (int distance = 1; distance < VALUES; distance *= 2) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i + distance < VALUES; i += 2 * distance)
        partial[i] = operation(partial[i], partial[i + distance]);
    }
    return partial[0];
  }

  /// The sum of term(i) over this thread's elements, in a few chains: few registers, and an error of a few units.
  template <class Term> CUTE_DEVICE static Real sum(Term const& term) {
    constexpr int CHAINS = sizeof(Real) == 4 ? 4 : 2;  // f64 needs no short chains
    Real partial[CHAINS] = {};
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VALUES; ++i) partial[i % CHAINS] += term(i);
    Real total = partial[0] + partial[1];
    for (int c = 2; c < CHAINS; c += 2) total += partial[c] + partial[c + 1];
    return total;
  }

  /// Calls f(first column, columns) for the pieces of a row that the group holds at a time: for rows that it cannot hold whole.
  template <class F> CUTE_DEVICE static void for_each_piece(int64_t columns, F const& f) {
    CUTLASS_PRAGMA_NO_UNROLL
    for (int64_t begin = 0; begin < columns; begin += Config.capacity()) {
      int64_t left = columns - begin;
      f(begin, int(left < Config.capacity() ? left : Config.capacity()));
    }
  }

  /// The column of value `i` of a thread.
  CUTE_DEVICE static int column_of(int i, int thread) { return column(i / VEC, thread) + i % VEC; }

  /// How many of `columns` columns are a thread's.
  CUTE_DEVICE static int columns_of(int columns, int thread) {
    int vectors = columns / VEC;  // whole ones: with vectors, a row has no other
    return vectors > thread ? (vectors - thread + GROUP - 1) / GROUP * VEC : 0;
  }

 private:
  /// The first column of vector `i` of a thread.
  CUTE_DEVICE static int column(int i, int thread) { return (i * GROUP + thread) * VEC; }

  template <class Index> CUTE_DEVICE static int64_t offset_of(RowGrid const& grid, RowOperand const& x, Index row) {
    int64_t offset = 0;
    CUTLASS_PRAGMA_UNROLL
    for (int d = max_row_dimensions - 1; d >= 0; --d) {
      Index outer = grid.sizes[d].quotient(row);
      offset += int64_t(row - outer * Index(grid.sizes[d].divisor)) * x.strides[d];
      row = outer;
    }
    return offset;
  }
};

}  // namespace ckl::device
