#pragma once

// Where the rows that a group of threads works on come from: one of them from global memory, when it is wanted, or one after another from
// shared memory, to which bulk copies have brought them before. Operators are written for either.

#include <cute/arch/copy_sm90_desc.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/tensor.hpp>
#include <cutlass/arch/barrier.h>

#include "device/arch.cuh"
#include "device/row_engine.cuh"

namespace ckl::device {

/// What of a row's operands is read: from `data` on, `columns` of them. `steps`: between elements.
template <class T, int OPERANDS> struct RowSpans {
  cute::array<T const*, OPERANDS> data;
  cute::array<int64_t, OPERANDS> steps;
  int64_t columns;
};

/// One row, which is loaded from global memory when it is wanted, in pieces if need be, and again where it is wanted again.
/// `Spans` is called with a Part.
template <RowConfig Config, int OPERANDS, class Spans> class GlobalRows {
 public:
  using Engine = RowEngine<Config>;
  struct Storage {};

  CUTE_DEVICE GlobalRows(Storage&, RowGrid const& grid, Spans const& spans)
      : part_(Engine::part(grid)), spans_(spans(part_)) {}

  /// Calls f(part) for the row of the calling thread's group. Where there is none, it has no columns, and the group goes along.
  template <class F> CUTE_DEVICE void for_each(F const& f) { f(part_); }

  /// Loads the thread's elements of a piece of operand `operand`, from column `begin` on.
  CUTE_DEVICE void load(int operand, int64_t begin, int columns, typename Engine::Fragment& rX,
                        typename Engine::T filling = typename Engine::T(0)) const {
    int64_t step = spans_.steps[operand];
    Engine::load(Engine::at_column(spans_.data[operand], step, begin), step, columns, part_.thread, rX, filling);
  }

  /// The first element of the part of operand `operand`.
  CUTE_DEVICE float first(int operand) const { return float(*spans_.data[operand]); }

  CUTE_DEVICE void advance() const {}

 protected:
  typename Engine::Part part_;
  RowSpans<typename Engine::T, OPERANDS> spans_;
};

/// The same of a row that begins anywhere: its part is what vectors take of it, and each thread may have some of the elements before and
/// behind that. All operands lie alike.
template <RowConfig Config, int OPERANDS, class Spans> class RaggedRows : public GlobalRows<Config, OPERANDS, Spans> {
 public:
  using Base = GlobalRows<Config, OPERANDS, Spans>;
  using Engine = RowEngine<Config>;
  using T = typename Engine::T;

  CUTE_DEVICE RaggedRows(typename Base::Storage& storage, RowGrid const& grid, Spans const& spans)
      : Base(storage, grid, spans), row_(Engine::ShortRagged::of(spans_.data[0], int(part_.columns))) {
    part_.begin = row_.head;
    part_.columns = row_.body;
    CUTLASS_PRAGMA_UNROLL
    for (int operand = 0; operand < OPERANDS; ++operand) spans_.data[operand] += row_.head;
  }

  /// Whether the thread has an element `i` that is in no vector, and which column of the part it would be.
  CUTE_DEVICE bool has_end(int i) const { return number(i) < row_.ends(); }
  CUTE_DEVICE int end(int i) const { return row_.end(number(i)) - row_.head; }

  /// The first element of the row of operand `operand`.
  CUTE_DEVICE float first(int operand) const { return float(spans_.data[operand][-row_.head]); }

  CUTE_DEVICE void load_ends(int operand, typename Engine::template Ends<T>& ends) const {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < Engine::ENDS; ++i) ends[i] = has_end(i) ? spans_.data[operand][end(i)] : T(0);
  }

 private:
  using Base::part_, Base::spans_;

  CUTE_DEVICE int number(int i) const { return part_.thread + i * Engine::GROUP; }

  typename Engine::ShortRagged row_;
};

/// One row, of which each block of a cluster holds a part in shared memory: one thread starts the bulk copies of all its pieces, and a
/// barrier for each says when it is there. What is beyond its memory a block loads when it is wanted, and again from L2.
/// `Spans` is called with a Part.
template <RowConfig Config, int OPERANDS, class Spans> class SharedRows {
 public:
  using Engine = RowEngine<Config>;
  using T = typename Engine::T;
  static constexpr int PIECES = Config.capacity() / Config.piece();
  static constexpr bool holds_a_part = Config.max_columns() > int64_t(Config.capacity()) * Config.max_blocks();
  static_assert(Config.needs.inputs == OPERANDS && Config.capacity() % Config.piece() == 0 && Engine::GROUPS == 1);
  struct Storage {
    uint64_t arrived[PIECES];
  };

  CUTE_DEVICE SharedRows(Storage& storage, RowGrid const& grid, Spans const& spans)
      : storage_(storage), part_(Engine::part(grid)), spans_(spans(part_)) {
    if (part_.thread == 0) {
      for (uint64_t& arrived : storage.arrived) cute::initialize_barrier(arrived, 1);
      cutlass::arch::fence_barrier_init();
      int held = cute::min(int(spans_.columns), Config.capacity());
      Engine::for_each_piece(held, [&](int begin, int columns) CUTLASS_LAMBDA_FUNC_INLINE {
        int bytes = columns * int(sizeof(T));
        cute::set_barrier_transaction_bytes(arrived(begin), OPERANDS * bytes);
        CUTLASS_PRAGMA_UNROLL
        for (int operand = 0; operand < OPERANDS; ++operand)
          cute::SM90_BULK_COPY_G2S::copy(spans_.data[operand] + begin, &arrived(begin), memory(operand) + begin, bytes);
      });
    }
    block_sync();  // nobody waits at a barrier that is not one yet
  }

  /// Calls f(part) for the row.
  template <class F> CUTE_DEVICE void for_each(F const& f) { f(part_); }

  /// Loads the thread's elements of a piece of operand `operand`, from column `begin` on.
  CUTE_DEVICE void load(int operand, int begin, int columns, typename Engine::Fragment& rX, T filling = T(0)) const {
    if (holds_a_part && begin >= Config.capacity())
      return Engine::load(spans_.data[operand] + begin, 1, columns, part_.thread, rX, filling);
    wait(begin);
    Engine::load(make_smem_ptr(memory(operand) + begin), 1, columns, part_.thread, rX, filling);
  }

  /// Where a piece of operand `operand` lies, after it has been loaded once.
  CUTE_DEVICE static auto piece(int operand, int begin) {
    static_assert(!holds_a_part, "of such a row, some pieces lie nowhere");
    return make_smem_ptr(memory(operand) + begin);
  }

  /// The first element of the part of operand `operand`, which has some.
  CUTE_DEVICE float first(int operand) const {
    wait(0);
    return float(*memory(operand));
  }

  CUTE_DEVICE void advance() const {}

 private:
  CUTE_DEVICE uint64_t& arrived(int begin) const { return storage_.arrived[begin / Config.piece()]; }

  CUTE_DEVICE void wait(int begin) const {
    cute::wait_barrier(arrived(begin), 0);
    warp_sync();  // the compiler would load before the wait
  }

  CUTE_DEVICE static T* memory(int operand) {
    extern __shared__ __align__(128) char row_memory[];  // (capacity, operand)
    return reinterpret_cast<T*>(row_memory) + operand * Config.capacity();
  }

  Storage& storage_;
  typename Engine::Part part_;
  RowSpans<T, OPERANDS> spans_;
};

/// One row after another, in blocks of one row a group each: registers hold the next one, which is under way meanwhile.
template <RowConfig Config, int OPERANDS, class Spans> class PrefetchedRows {
 public:
  using Engine = RowEngine<Config>;
  using T = typename Engine::T;
  static_assert(Config.kind == RowKind::registers);
  struct Storage {};

  CUTE_DEVICE PrefetchedRows(Storage&, RowGrid const& grid, Spans const& spans)
      : grid_(grid), spans_(spans), part_(Engine::part(grid)) {
    CUTLASS_PRAGMA_UNROLL
    for (int operand = 0; operand < OPERANDS; ++operand) prefetch(operand, part_);
  }

  CUTE_DEVICE int64_t step() const { return int64_t(grid_.clusters) * Engine::GROUPS; }

  /// Calls f(part) for the rows of the calling thread's group. The groups of a block go along until all are done: then the rows of some
  /// have no columns.
  template <class F> CUTE_DEVICE void for_each(F const& f) {
    int64_t rows = grid_.rows - int64_t(blockIdx.x) * Engine::GROUPS;
    CUTLASS_PRAGMA_NO_UNROLL
    for (int64_t done = 0; done < rows; done += step()) {
      f(part_);
      part_ = next();
    }
  }

  /// Takes the thread's elements of operand `operand`, and starts to load those of the next row.
  CUTE_DEVICE void load(int operand, int64_t, int, typename Engine::Fragment& rX) {
    copy(next_[operand], rX);
    prefetch(operand, next());
  }

  CUTE_DEVICE void advance(bool = false) const {}

 private:
  CUTE_DEVICE typename Engine::Part next() const {
    typename Engine::Part part = part_;
    part.row += step();
    part.columns = part.row < grid_.rows ? grid_.columns : 0;
    return part;
  }

  CUTE_DEVICE void prefetch(int operand, typename Engine::Part const& part) {
    RowSpans<T, OPERANDS> spans = spans_(part);
    Engine::load(spans.data[operand], spans.steps[operand], int(spans.columns), part.thread, next_[operand]);
  }

  RowGrid const& grid_;
  Spans spans_;
  typename Engine::Part part_;
  typename Engine::Fragment next_[OPERANDS];  // (VEC, VECTORS) each
};

/// One row after another: each group of threads has a ring of stages, and its first thread starts the bulk copies of what is to come. A
/// stage takes a row, which the group holds, or with IN_PIECES a piece of one.
template <RowConfig Config, int OPERANDS, class Spans, bool IN_PIECES = false> class PipelinedRows {
 public:
  using Engine = RowEngine<Config>;
  using T = typename Engine::T;
  using Part = typename Engine::Part;
  static constexpr int STAGES = Config.needs.stages;
  /// Whether stages are filled again. Elsewhere a group has no more rows than stages (pipeline_clusters() in host/rows.cpp).
  static constexpr bool refills = IN_PIECES || Config.needs.persistent;
  static_assert(Config.needs.inputs == OPERANDS && Config.vector && (STAGES & (STAGES - 1)) == 0);
  struct Storage {
    uint64_t arrived[Engine::GROUPS][STAGES];
  };

  CUTE_DEVICE PipelinedRows(Storage& storage, RowGrid const& grid, Spans const& spans)
      : storage_(storage), grid_(grid), spans_(spans), row_(unsigned(Engine::part(grid).row)), next_{row_} {
    if (Engine::thread() == 0) {
      for (int stage = 0; stage < STAGES; ++stage) cute::initialize_barrier(arrived(stage), 1);
      cutlass::arch::fence_barrier_init();
      CUTLASS_PRAGMA_NO_UNROLL
      for (int stage = 0; stage < STAGES; ++stage) fill(stage, stage);
    }
    Engine::Reduction::sync();  // nobody waits at a barrier that is not one yet
  }

  /// Has the L2 fetch what the group's first stages take. That may be done before the preceding grids have ended, since what they still
  /// write goes through the L2 as well.
  CUTE_DEVICE static void prefetch(RowGrid const& grid, Spans const& spans) {
    Part part = Engine::part(grid);
    if (Engine::thread() != 0 || part.row >= grid.rows) return;
    RowSpans<T, OPERANDS> row = spans(part);
    int columns = cute::min(int(row.columns), IN_PIECES ? at_once : Config.piece());
    if (columns == 0) return;
    CUTLASS_PRAGMA_UNROLL
    for (int operand = 0; operand < OPERANDS; ++operand)
      cute::SM90_BULK_COPY_G2S::PREFETCH::copy(row.data[operand], columns * int(sizeof(T)));
  }

  /// With IN_PIECES, the columns of a row that are loaded before anybody asks spans.is_wanted(part); those behind them only if it is.
  static constexpr int at_once = STAGES * Config.piece();

  CUTE_DEVICE unsigned step() const { return unsigned(grid_.clusters) * Engine::GROUPS; }

  /// Calls f(part) for the rows of the calling thread's group.
  template <class F> CUTE_DEVICE void for_each(F const& f) {
    CUTLASS_PRAGMA_NO_UNROLL
    for (; row_ < grid_.rows; row_ += step()) f(Engine::part(grid_, row_));
  }

  /// Loads the thread's elements of operand `operand`, of the next piece in IN_PIECES, after those of the operands before it.
  CUTE_DEVICE void load(int operand, int64_t, int columns, typename Engine::Fragment& rX, T filling = T(0)) const {
    if (operand == 0) wait();
    Engine::load(make_smem_ptr(memory(stage(), operand)), 1, columns, Engine::thread(), rX, filling);
  }

  /// The same of a whole piece.
  CUTE_DEVICE void load_piece(int operand, int64_t, typename Engine::Fragment& rX) const {
    if (operand == 0) wait();
    Engine::load_piece(make_smem_ptr(memory(stage(), operand)), Engine::thread(), rX);
  }

  /// The first element of the part of operand `operand`, after load() and before advance().
  CUTE_DEVICE float first(int operand) const { return float(*memory(stage(), operand)); }

  /// Goes on to the next row or piece: when the group's threads have loaded all that they want of this one, its stage is filled again.
  /// `have_met`: they have all waited for each other since.
  CUTE_DEVICE void advance(bool have_met = false) {
    if constexpr (refills) {
      if (!have_met) Engine::Reduction::sync();
      if (Engine::thread() == 0) {
        cutlass::arch::fence_view_async_shared();  // a barrier does not wait for loads, which a copy could overtake
        fill(stage(), STAGES);
      }
    }
    ++used_;
  }

 private:
  CUTE_DEVICE int stage() const { return used_ % STAGES; }

  CUTE_DEVICE void wait() const {
    cute::wait_barrier(arrived(stage()), used_ / STAGES & 1);
    warp_sync();  // the compiler would load before the wait
  }

  /// Starts the bulk copies of what comes `ahead` stages after the row that is worked on, or in IN_PIECES of what has not been started.
  CUTE_DEVICE void fill(int stage, int ahead) {
    if constexpr (IN_PIECES) {
      if (next_.begin == at_once && !spans_.is_wanted(Engine::part(grid_, int64_t(next_.row))))
        next_.begin = 0, next_.row += step();
      if (next_.row >= grid_.rows) return;
      if (next_.begin == 0) next_.spans = spans_(Engine::part(grid_, int64_t(next_.row)));
      int left = int(next_.spans.columns) - next_.begin;
      start(stage, next_.spans, next_.begin, left < Config.piece() ? left : Config.piece());
      next_.begin = left > Config.piece() ? next_.begin + Config.piece() : 0;
      if (next_.begin == 0) next_.row += step();
    } else {
      int64_t row = row_ + int64_t(ahead) * step();
      if (row >= grid_.rows) return;
      RowSpans<T, OPERANDS> spans = spans_(Engine::part(grid_, row));
      start(stage, spans, 0, int(spans.columns));
    }
  }

  /// Starts the bulk copies of `columns` columns, from `begin` on.
  CUTE_DEVICE void start(int stage, RowSpans<T, OPERANDS> const& spans, int begin, int columns) {
    int bytes = columns * int(sizeof(T));
    cute::set_barrier_transaction_bytes(arrived(stage), OPERANDS * bytes);
    if (bytes == 0) return;
    CUTLASS_PRAGMA_UNROLL
    for (int operand = 0; operand < OPERANDS; ++operand)
      cute::SM90_BULK_COPY_G2S::copy(spans.data[operand] + begin, &arrived(stage), memory(stage, operand), bytes);
  }

  CUTE_DEVICE uint64_t& arrived(int stage) const { return storage_.arrived[Engine::group()][stage]; }

  /// A stage of the calling thread's group.
  CUTE_DEVICE static T* memory(int stage, int operand) {
    extern __shared__ __align__(128) char row_memory[];  // (piece, operand, stage, group)
    return reinterpret_cast<T*>(row_memory) +
           ((Engine::group() * STAGES + stage) * OPERANDS + operand) * Config.piece();
  }

  Storage& storage_;
  RowGrid const& grid_;
  Spans spans_;
  unsigned row_;  // of fewer than 2^31
  struct {
    unsigned row;
    int begin = 0;
    RowSpans<T, OPERANDS> spans{};  // of that row, once it has begun
  } next_;             // with IN_PIECES: the first piece that is not under way, as the first thread knows it
  unsigned used_ = 0;  // stages, one after another
};

template <RowConfig Config, int OPERANDS, class Spans> using Rows =
    cute::conditional_t<Config.kind == RowKind::pipeline, PipelinedRows<Config, OPERANDS, Spans>,
                        cute::conditional_t<Config.kind == RowKind::shared, SharedRows<Config, OPERANDS, Spans>,
                                            cute::conditional_t<Config.ragged, RaggedRows<Config, OPERANDS, Spans>,
                                                                GlobalRows<Config, OPERANDS, Spans>>>>;

}  // namespace ckl::device
