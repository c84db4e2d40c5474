#pragma once

// The row engine: threads that share a row load it, reduce over it, and store a row of results. Operators are thin functors on top.

#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cute/tensor.hpp>
#include <cutlass/numeric_conversion.h>

#include "device/coordinates.cuh"
#include "device/numeric.cuh"
#include "device/packed.cuh"
#include "device/row_config.hpp"
#include "device/row_params.hpp"
#include "device/row_reduction.cuh"
#include "device/tree.cuh"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

template <RowConfig Config> struct RowEngine {
  using T = Element<Config.dtype>;
  static constexpr int VEC = Config.vector_elements(), VALUES = Config.thread_elements(), VECTORS = VALUES / VEC;
  static constexpr int GROUP = Config.group, GROUPS = Config.rows_per_block();
  /// Of a ragged row, elements that are in no vector, of each thread at most.
  static constexpr int ENDS = Config.ends();
  template <class U> using Ends = cute::array<U, ENDS == 0 ? 1 : ENDS>;
  static constexpr bool is_cluster = Config.is_cluster(), is_team = Config.kind == RowKind::team;
  /// What sums are formed in. f64 where f32's rounding errors would show: in f32 results, and where a thread sums up more than it
  /// holds.
  using Real = cute::conditional_t<Config.dtype == DType::f32 || Config.kind == RowKind::stream, double, float>;
  using Reduction = RowReduction<GROUP, GROUPS, Config.max_cluster(), Real>;
  /// A thread's elements of a row as they lie in memory: a row that waits for its statistics takes few registers.
  using Fragment = decltype(make_tensor<T>(Shape<Int<VEC>, Int<VECTORS>>{}));  // (VEC, VECTORS)
  using Vectorized = AutoVectorizingCopyWithAssumedAlignment<128>;             // 16 bytes at a time, or an element
  static_assert(Config.group != 0 && VALUES % VEC == 0);

  /// Whether rows come from shared memory, which bulk copies have brought them to.
  static constexpr bool is_copied = Config.is_ring() || Config.kind == RowKind::shared;
  /// Whether the numbers of rows are known to have 32 bits: where a block has one row at a time, or a ring (prepare_rows() in host/rows.cpp). Rings
  /// whose offsets are in place want the registers as they are.
  static constexpr bool has_few_rows = Config.is_ring() ? Config.needs.offsets_aside : GROUPS == 1;
  /// Columns: of what is copied, 32 bits are enough.
  using Column = cute::conditional_t<is_copied, int, int64_t>;

  /// The part of a row that this block's group of threads works on.
  struct Part {
    int64_t row;
    Column begin;  // its first column
    Column
        columns;  // 0 where there is no such row; no more than the capacity, but in a stream or where nothing is held
    int thread;   // in the group
  };

  /// The calling thread's number in its group, and the group's in the block.
  CUTE_DEVICE static int thread() { return GROUPS > 1 ? int(threadIdx.x) % GROUP : int(threadIdx.x); }
  CUTE_DEVICE static int group() { return GROUPS > 1 ? int(threadIdx.x) / GROUP : 0; }

  /// The group's first row, or for a cluster the part of it that is this block's. Where a block takes several rows, one after another,
  /// neighbours go to different blocks.
  CUTE_DEVICE static Part part(RowGrid const& grid) {
    if constexpr (Config.kind == RowKind::pipeline)
      return part(grid, int(blockIdx.x) / blocks() + group() * grid.clusters);
    int64_t row = blockIdx.x;  // the same for the whole block, which the compiler can make use of
    if constexpr (Config.plain && is_cluster) return part(grid, int64_t(cute::cluster_id_in_grid().x));  // no division
    if constexpr (is_cluster) return part(grid, row / blocks());
    if constexpr (GROUPS > 1) row = row * GROUPS + group();
    return {row, 0, Column(row < grid.rows ? grid.columns : 0), thread()};
  }
  /// The same of row `row`, which there is.
  CUTE_DEVICE static Part part(RowGrid const& grid, int64_t row) {
    if constexpr (!Config.is_shared()) return {row, 0, Column(grid.columns), thread()};
    int rank = is_team ? int(blockIdx.x) % blocks(grid) : int(block_rank_in_cluster());
    return {row, rank * Column(grid.part), columns_of_block(grid, rank), thread()};
  }

  /// Blocks that share a row.
  CUTE_DEVICE static int blocks() { return Reduction::blocks(); }
  CUTE_DEVICE static int blocks(RowGrid const& grid) { return is_team ? int(gridDim.x) / grid.clusters : blocks(); }

  /// Columns of block `block` of a cluster.
  CUTE_DEVICE static Column columns_of_block(RowGrid const& grid, int block) {
    Column part = Column(grid.part), left = Column(grid.columns) - block * part;
    return left < 0 ? 0 : left < part ? left : part;
  }

  /// Elements from an operand's first one to the first one of row `row`.
  CUTE_DEVICE static int64_t offset(RowGrid const& grid, RowOperand const& x, int64_t row) {
    if constexpr (Config.plain) return row * x.strides[0];
    if constexpr (!has_few_rows || !Config.needs.offsets_aside)
      return strided_offset(grid.sizes, x.strides, grid.dimensions, has_few_rows ? 0 : grid.rows, row);
    else if (grid.dimensions == 1)
      return row * x.strides[0];
    else
      return strided_offset_aside(grid.sizes, x.strides, grid.dimensions, int32_t(row));
  }

  /// The first element of a part of an operand's row; of the first row where there is no such row.
  template <class U = T> CUTE_DEVICE static U* at(RowGrid const& grid, RowOperand const& x, Part const& part) {
    U* row = static_cast<U*>(x.data) + offset(grid, x, part.row < grid.rows ? part.row : 0);
    return at_column(row, x.step, part.begin);
  }

  /// Where column `begin` of a row that starts at `data` lies.
  template <class U> CUTE_DEVICE static U* at_column(U* data, int64_t step, int64_t begin) {
    return data + (Config.vector ? begin : begin * step);
  }

  /// Vector `i` of a thread, of a row (or of a part of it) that lies at `data`: in global memory, or where a CuTe pointer says. Of
  /// what is copied the vectors lie at constant distances, which the compiler then finds in the addresses.
  template <class Pointer> CUTE_DEVICE static auto vector_at(Pointer data, int64_t step, int thread, int i) {
    if constexpr (cute::is_pointer_v<Pointer>) {
      return vector_at(make_gmem_ptr(data), step, thread, i);
    } else if constexpr (is_copied || Config.ragged) {
      return make_tensor(data + thread * VEC, Shape<Int<VEC>, Int<VECTORS>>{}, Stride<_1, Int<GROUP * VEC>>{})(_, i);
    } else if constexpr (Config.vector) {
      return make_tensor(data, make_shape(Int<VEC>{}, int(1)), make_stride(_1{}, Int<VEC>{}))(_, i * GROUP + thread);
    } else {
      return make_tensor(data, make_shape(Int<VEC>{}, int(1)), make_stride(_1{}, step))(_, i * GROUP + thread);
    }
  }

  /// A row as vectors can take it: the elements before the first boundary of 16 bytes, or of ALIGNMENT, whole vectors, and the elements
  /// behind them. Element by element, there is nothing but the body.
  template <class Column> struct RaggedRow {
    int head, tail;
    Column body;

    template <int ALIGNMENT = 16> CUTE_DEVICE static RaggedRow of(T const* data, Column columns) {
      if constexpr (!Config.vector) return {0, 0, columns};
      Column head = (ALIGNMENT - reinterpret_cast<uint64_t>(data) % ALIGNMENT) % ALIGNMENT / sizeof(T);
      if (head > columns) head = columns;
      Column body = (columns - head - Config.tail()) / VEC * VEC;  // 0 of less than a vector
      return {int(head), int(columns - head - body), body};
    }

    CUTE_DEVICE int ends() const { return head + tail; }
    /// The column of end `i`, in their order.
    CUTE_DEVICE Column end(int i) const { return i < head ? Column(i) : i + body; }

    /// Calls f(column) for the thread's share of the elements that are in no vector.
    template <class F> CUTE_DEVICE void for_each_end(int thread, F const& f) const {
      CUTLASS_PRAGMA_NO_UNROLL
      for (int i = thread; i < ends(); i += GROUP) f(end(i));
    }
  };
  using Ragged = RaggedRow<Column>;
  using ShortRagged = RaggedRow<int>;  // of a row that registers hold

  /// Loads the thread's elements of `columns` columns at `data`; what is beyond them becomes `filling`. All loads are issued before the
  /// first is used.
  template <class Pointer>
  CUTE_DEVICE static void load(Pointer data, int64_t step, int columns, int thread, Fragment& rX, T filling = T(0)) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) load_vector(data, step, columns, thread, i, rX(_, i), filling);
  }

  /// The same of a whole piece that is copied, of which no thread asks whether its elements are there: as words, since pairs of them would
  /// be copied before they are taken apart.
  template <class Pointer> CUTE_DEVICE static void load_piece(Pointer data, int thread, Fragment& rX) {
    static_assert(is_copied && Config.vector);
    using Words = cutlass::AlignedArray<uint32_t, 4>;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i)
      recast<Words>(rX(_, i))(0) = recast<Words const>(vector_at(data, 1, thread, i))(0);
  }

  /// Loads one of the thread's vectors, number `i`; what is beyond the row becomes `filling`.
  template <class Pointer, class Vector, class U> CUTE_DEVICE static void load_vector(Pointer data, int64_t step,
                                                                                      int columns, int thread, int i,
                                                                                      Vector&& rX, U filling) {
    Tensor gX = vector_at(data, step, thread, i);  // (VEC)
    if (column(i, thread) < columns)
      copy(Vectorized{}, gX, rX);
    else
      fill(rX, filling);
  }

  /// Makes the compiler forget what it has computed from the elements: kept until it is wanted again, it would take more registers
  /// than the elements do.
  CUTE_DEVICE static void forget_derived(Fragment& rX) {
    if constexpr (Config.vector) {
      Tensor rRaw = recast<uint32_t>(rX);  // (VEC * sizeof(T) / 4, VECTORS)
      warpgroup_fence_operand(rRaw);
    }
  }

  /// The same where the assembler would keep it, too: `zero` is one, which it cannot know.
  CUTE_DEVICE static void renew(Fragment& rX, uint32_t zero) {
    if constexpr (Config.vector) {
      Tensor rRaw = recast<uint32_t>(rX);  // (VEC * sizeof(T) / 4, VECTORS)
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < size(rRaw); ++i) rRaw(i) ^= zero;
    }
  }

  /// Stores vector `i` of a thread: values(j) for each of its elements, converted to T.
  template <class Values, class Pointer> CUTE_DEVICE static void store_vector(Values const& values, Pointer data,
                                                                              int64_t step, int columns, int thread,
                                                                              int i) {
    Tensor gY = vector_at(data, step, thread, i);  // (VEC)
    Tensor rY = make_tensor<T>(Int<VEC>{});        // (VEC)
    convert_vector(values, i, rY);
    if (column(i, thread) < columns) copy(Vectorized{}, rY, gY);
  }

  /// The same in registers.
  template <class Values, class Vector>
  CUTE_DEVICE static void convert_vector(Values const& values, int i, Vector&& rY) {
    if constexpr (VEC == 1) {
      rY(0) = T(values(i));
    } else {  // two at a time, as the hardware converts
      using Pair = cutlass::Array<T, 2>;
      Tensor rPairs = recast<Pair>(rY);  // (VEC / 2)
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC / 2; ++v) {
        cutlass::Array<float, 2> pair{values(i * VEC + 2 * v), values(i * VEC + 2 * v + 1)};
        rPairs(v) = cutlass::NumericArrayConverter<T, float, 2>{}(pair);
      }
    }
  }

  /// Stores all of them, computed from elements that wait in `inputs` one vector after another.
  template <class Values, class Pointer, class... Fragments>
  CUTE_DEVICE static void store(Values const& values, Pointer data, int64_t step, int columns, int thread,
                                Fragments&... inputs) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      store_vector(values, data, step, columns, thread, i);
      (forget_derived(inputs), ...);
    }
  }

  /// The operation's result over values(i) of this thread's elements. A tree: its error grows with the logarithm of their number.
  template <class Operation, class Values> CUTE_DEVICE static float reduce(Values const& values, Operation operation) {
    return reduce_tree_of<VALUES>(values, operation);
  }

  /// The sums of terms(i), an array of N, over those of this thread's elements that are among the `columns`, in a few chains: few registers,
  /// and an error of a few units.
  template <size_t N, class Value = Real, class Terms>
  CUTE_DEVICE static cute::array<Value, N> sums(Terms const& terms, int columns = Config.piece(), int thread = 0) {
    constexpr int CHAINS = sizeof(Value) == 4 ? 4 : 2;  // f64 needs no short chains
    Value partial[N][CHAINS] = {};
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < VECTORS; ++i) {
      if (column(i, thread) >= columns) continue;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) {
        cute::array<Value, N> term = terms(i * VEC + v);
        CUTLASS_PRAGMA_UNROLL
        for (size_t n = 0; n < N; ++n) partial[n][(i * VEC + v) % CHAINS] += term[n];
      }
    }
    cute::array<Value, N> total;
    CUTLASS_PRAGMA_UNROLL
    for (size_t n = 0; n < N; ++n) {
      total[n] = partial[n][0] + partial[n][1];
      for (int c = 2; c < CHAINS; c += 2) total[n] += partial[n][c] + partial[n][c + 1];
    }
    return total;
  }

  /// The sum of term(i).
  template <class Term> CUTE_DEVICE static Real sum(Term const& term) {
    return sums<1>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return cute::array<Real, 1>{{term(i)}}; })[0];
  }

  /// Calls f(first column, columns) for the pieces of a row that the group works on at a time.
  template <class F> CUTE_DEVICE static void for_each_piece(Column columns, F const& f) {
    CUTLASS_PRAGMA_NO_UNROLL
    for (Column begin = 0; begin < columns; begin += Config.piece()) {
      Column left = columns - begin;
      f(begin, int(left < Config.piece() ? left : Config.piece()));
    }
  }

  /// Whether element `i` of a thread is one of the `columns`: with vectors, a row has whole ones.
  CUTE_DEVICE static bool has(int i, int columns, int thread) { return column(i / VEC, thread) < columns; }

  /// The column of element `i` of a thread, in its piece.
  CUTE_DEVICE static int column_of(int i, int thread) { return column(i / VEC, thread) + i % VEC; }

  /// Which of the thread's elements is column `column` of a piece; -1 if none is.
  CUTE_DEVICE static int element_at(int64_t column, int thread) {
    if (column < 0 || column >= Config.piece()) return -1;
    int vector = int(column) / VEC;
    return vector % GROUP == thread ? vector / GROUP * VEC + int(column) % VEC : -1;
  }

  /// Element `i` of a thread.
  CUTE_DEVICE static float value(Fragment const& rX, int i) {
    if constexpr (Config.vector)
      return unpacked(rX, i);
    else
      return float(rX(i));
  }

 private:
  /// The first column of vector `i` of a thread.
  CUTE_DEVICE static int column(int i, int thread) { return (i * GROUP + thread) * VEC; }
};

}  // namespace ckl::device
