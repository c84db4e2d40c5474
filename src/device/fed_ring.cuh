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
      : storage_(storage), group_(is_feeder() ? (int(threadIdx.x) - Config.threads()) / 32 : Engine::group()) {}

  /// Whether the calling thread's warp fills the ring of a group.
  CUTE_DEVICE static bool is_feeder() { return threadIdx.x >= Config.threads(); }
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
    warp_sync();
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
    auto from = make_smem_ptr(memory(k % STAGES, operand));
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
  CUTE_DEVICE unsigned first(RowGrid const& grid) const {
    return unsigned(blockIdx.x) / unsigned(Engine::blocks(grid)) + unsigned(group_) * unsigned(grid.clusters);
  }
  CUTE_DEVICE unsigned step(RowGrid const& grid) const { return unsigned(grid.clusters) * GROUPS; }

  CUTE_DEVICE T* memory(unsigned stage, int operand) const {
    extern __shared__ __align__(128) char row_memory[];  // (piece, operand, stage, group)
    return reinterpret_cast<T*>(row_memory) + ((group_ * STAGES + stage) * OPERANDS + operand) * Config.piece();
  }

  Storage& storage_;
  int group_;
};

}  // namespace ckl::device
