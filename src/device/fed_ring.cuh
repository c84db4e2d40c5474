#pragma once

// A ring of stages in shared memory that a warp of its own keeps filled: whoever computes waits neither for the others before a stage is
// filled again, nor for the one that fills it.

#include <cute/arch/copy_sm90_desc.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/tensor.hpp>
#include <cutlass/arch/barrier.h>

#include "device/arch.cuh"
#include "device/row_engine.cuh"

namespace ckl::device {

/// The ring of a group of threads, and an Info beside what each stage has. What the stages take in turn, rows or pieces of them, is numbered.
template <RowConfig Config, int OPERANDS, class Info> class FedRing {
 public:
  using Engine = RowEngine<Config>;
  using T = typename Engine::T;
  static constexpr unsigned STAGES = Config.stages();
  static constexpr int GROUPS = Engine::GROUPS, WARPS = Engine::GROUP / 32;
  static_assert(Config.is_fed() && Config.needs.inputs == OPERANDS);
  struct Storage {
    Info info[GROUPS][STAGES];
    int shift[Config.vector ? 1 : GROUPS][STAGES][OPERANDS];  // elements before a row that is not aligned
    uint64_t arrived[GROUPS][STAGES], left[GROUPS][STAGES];
  };

  /// Called by one thread, before a synchronization of the block.
  CUTE_DEVICE static void initialize(Storage& storage) {
    for (int group = 0; group < GROUPS; ++group)
      for (unsigned stage = 0; stage < STAGES; ++stage) {
        cute::initialize_barrier(storage.arrived[group][stage], 1);
        cute::initialize_barrier(storage.left[group][stage], WARPS);
      }
  }

  CUTE_DEVICE explicit FedRing(Storage& storage)
      : storage_(storage), group_(is_helper() ? helper() % GROUPS : Engine::group()) {}

  /// Whether the calling thread's warp does not compute but helps a group, as its helper number `duty()`; number 0 fills the ring.
  CUTE_DEVICE static bool is_helper() { return threadIdx.x >= Config.threads(); }
  CUTE_DEVICE static int duty() { return helper() / GROUPS; }
  CUTE_DEVICE int group() const { return group_; }

  /// The group's rows: number `i` of them, which takes them in turns with all others.
  CUTE_DEVICE unsigned count(RowGrid const& grid) const {
    unsigned rows = unsigned(grid.rows), first = this->first(grid), step = this->step(grid);
    return first < rows ? (rows - first + step - 1) / step : 0;
  }
  CUTE_DEVICE int64_t row(RowGrid const& grid, unsigned i) const { return first(grid) + int64_t(i) * step(grid); }

  // The warp that fills
  /// Called by the warp: waits until all have left number `k`, whose stage is to be filled again.
  CUTE_DEVICE void wait_left(unsigned k) const {
    cute::wait_barrier(storage_.left[group_][k % STAGES], k / STAGES & 1);
    cutlass::arch::fence_view_async_shared();  // an arrival does not wait for loads, which a copy could overtake
    warp_sync();
  }
  /// Of an operand that lies anywhere: its elements before the first boundary of 16 bytes and behind the last one, one a lane.
  struct Ends {
    T const* data;
    int columns;

    CUTE_DEVICE int head() const {
      int head = int((16 - reinterpret_cast<uint64_t>(data) % 16) % 16 / sizeof(T));
      return head < columns ? head : columns;
    }
    CUTE_DEVICE int tail() const { return (columns - head()) * int(sizeof(T)) % 16 / int(sizeof(T)); }
    CUTE_DEVICE int body() const { return columns - head() - tail(); }
    /// The column that lane `lane` has, or -1.
    CUTE_DEVICE int column(int lane) const {
      return lane < head() ? lane : lane < head() + tail() ? lane + body() : -1;
    }
    CUTE_DEVICE T load() const {
      int column = this->column(int(threadIdx.x) % 32);
      return column < 0 ? T(0) : data[column];
    }
  };
  using AllEnds = cute::array<T, OPERANDS>;

  /// Called by the warp: the same as fill() of rows that lie anywhere. `ends`: what Ends::load() had loaded of them.
  CUTE_DEVICE void fill_anywhere(unsigned k, cute::array<T const*, OPERANDS> const& data, int columns, Info const& info,
                                 AllEnds const& ends) const {
    unsigned stage = k % STAGES, bytes = 0;
    int lane = int(threadIdx.x) % 32;
    uint64_t& arrived = storage_.arrived[group_][stage];
    CUTLASS_PRAGMA_UNROLL
    for (int operand = 0; operand < OPERANDS; ++operand) {
      Ends row{data[operand], columns};
      int column = row.column(lane);
      if (column >= 0) memory(stage, operand)[place(data[operand], column)] = ends[operand];
      bytes += unsigned(row.body()) * sizeof(T);
    }
    warp_sync();
    if (lane != 0) return;
    storage_.info[group_][stage] = info;
    CUTLASS_PRAGMA_UNROLL
    for (int operand = 0; operand < OPERANDS; ++operand)
      storage_.shift[group_][stage][operand] = place(data[operand], 0);
    cute::set_barrier_transaction_bytes(arrived, bytes);
    CUTLASS_PRAGMA_UNROLL
    for (int operand = 0; operand < OPERANDS; ++operand) {
      Ends row{data[operand], columns};
      if (row.body() > 0)
        cute::SM90_BULK_COPY_G2S::copy(data[operand] + row.head(), &arrived,
                                       memory(stage, operand) + place(data[operand], row.head()),
                                       row.body() * int(sizeof(T)));
    }
  }

  /// Called by one thread: starts to fill the stage of number `k`, of which `columns` columns come from `data`, one place an operand.
  CUTE_DEVICE void fill(unsigned k, cute::array<T const*, OPERANDS> const& data, int columns, Info const& info) const {
    unsigned stage = k % STAGES, bytes = unsigned(columns) * sizeof(T);
    uint64_t& arrived = storage_.arrived[group_][stage];
    storage_.info[group_][stage] = info;
    cute::set_barrier_transaction_bytes(arrived, OPERANDS * bytes);
    if (bytes == 0) return;
    CUTLASS_PRAGMA_UNROLL
    for (int operand = 0; operand < OPERANDS; ++operand)
      cute::SM90_BULK_COPY_G2S::copy(data[operand], &arrived, memory(stage, operand), int(bytes));
  }

  // Those who compute
  /// Waits until number `k` is there.
  CUTE_DEVICE Info const& wait(unsigned k) const {
    cute::wait_barrier(storage_.arrived[group_][k % STAGES], k / STAGES & 1);
    warp_sync();  // the compiler would load before the wait
    return info(k);
  }
  CUTE_DEVICE Info const& info(unsigned k) const { return storage_.info[group_][k % STAGES]; }

  /// Loads the thread's elements of operand `operand` of number `k`, behind wait(k). IS_WHOLE: the stage is full.
  template <bool IS_WHOLE>
  CUTE_DEVICE void load(unsigned k, int operand, int columns, typename Engine::Fragment& rX) const {
    auto from =
        make_smem_ptr(memory(k % STAGES, operand) + (Config.vector ? 0 : storage_.shift[group_][k % STAGES][operand]));
    if constexpr (IS_WHOLE) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < Engine::VECTORS; ++i)
        copy(typename Engine::Vectorized{}, Engine::vector_at(from, 1, Engine::thread(), i), rX(_, i));
    } else {
      Engine::load(from, 1, columns, Engine::thread(), rX);
    }
  }

  /// The calling thread's warp has loaded all that it wants of number `k`.
  CUTE_DEVICE void leave(unsigned k) const {
    warp_sync();
    if (threadIdx.x % 32 == 0) cute::arrive_barrier(storage_.left[group_][k % STAGES]);
  }

 private:
  /// Where column `column` of a row at `data` lies in its stage, which begins with a unit of 16 bytes of which the row may have a part.
  CUTE_DEVICE static int place(T const* data, int column) {
    return int(reinterpret_cast<uint64_t>(data) % 16 / sizeof(T)) + column;
  }

  CUTE_DEVICE static int helper() { return (int(threadIdx.x) - Config.threads()) / 32; }

  CUTE_DEVICE unsigned first(RowGrid const& grid) const {
    return unsigned(blockIdx.x) / unsigned(Engine::blocks(grid)) + unsigned(group_) * unsigned(grid.clusters);
  }
  CUTE_DEVICE unsigned step(RowGrid const& grid) const { return unsigned(grid.clusters) * GROUPS; }

  CUTE_DEVICE T* memory(unsigned stage, int operand) const {
    extern __shared__ __align__(128) char row_memory[];  // (piece, operand, stage, group)
    constexpr int PIECE = Config.piece() + Config.margin();
    return reinterpret_cast<T*>(row_memory) + ((group_ * STAGES + stage) * OPERANDS + operand) * PIECE;
  }

  Storage& storage_;
  int group_;
};

}  // namespace ckl::device
