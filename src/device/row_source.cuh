#pragma once

// Where rows that are too long for registers are read from, piece by piece and several times: from global memory, or from shared
// memory, which bulk copies have brought them to.

#include <cute/arch/copy_sm90_desc.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/tensor.hpp>
#include <cutlass/arch/barrier.h>

#include "device/arch.cuh"
#include "device/row_engine.cuh"

namespace ckl::device {

/// An operand's row, or a block's part of one.
template <class T> struct RowSpan {
  T const* data;
  int64_t step;  // between elements
};

/// Every pass over the row reads it from global memory: the passes after the first find it in L2, if the rows under way fit there.
template <RowConfig Config, int OPERANDS> class GlobalRowSource {
 public:
  using Engine = RowEngine<Config>;
  using Span = RowSpan<typename Engine::T>;
  struct Storage {};

  CUTE_DEVICE GlobalRowSource(Storage&, cute::array<Span, OPERANDS> const& spans, int64_t) : spans_(spans) {}

  /// Piece of operand `operand` from column `begin` on.
  CUTE_DEVICE void load(int operand, int64_t begin, int columns, int thread, typename Engine::Fragment& rX) const {
    Span const& span = spans_[operand];
    Engine::load(Engine::at_column(span.data, span.step, begin), span.step, columns, thread, rX);
  }

 private:
  cute::array<Span, OPERANDS> spans_;
};

/// One read from global memory: one thread starts bulk copies of all pieces of all operands, and a barrier for each piece says when
/// they are there.
template <RowConfig Config, int OPERANDS> class SharedRowSource {
 public:
  using Engine = RowEngine<Config>;
  using T = typename Engine::T;
  using Span = RowSpan<T>;
  static constexpr int PIECES = Config.capacity() / Config.piece();
  static_assert(Config.inputs == OPERANDS && Config.capacity() % Config.piece() == 0);
  struct Storage {
    uint64_t arrived[PIECES];
  };

  CUTE_DEVICE SharedRowSource(Storage& storage, cute::array<Span, OPERANDS> const& spans, int64_t columns)
      : storage_(storage) {
    if (threadIdx.x == 0) {
      for (int piece = 0; piece < PIECES; ++piece) cute::initialize_barrier(storage.arrived[piece], 1);
      cutlass::arch::fence_barrier_init();
      Engine::for_each_piece(columns, [&](int64_t begin, int count) CUTLASS_LAMBDA_FUNC_INLINE {
        uint64_t& arrived = storage.arrived[begin / Config.piece()];
        int bytes = count * int(sizeof(T));
        cute::set_barrier_transaction_bytes(arrived, OPERANDS * bytes);
        for (int operand = 0; operand < OPERANDS; ++operand)
          cute::SM90_BULK_COPY_G2S::copy(spans[operand].data + begin, &arrived, memory(operand) + begin, bytes);
      });
    }
    block_sync();  // nobody waits at a barrier that is not one yet
  }

  /// Piece of operand `operand` from column `begin` on.
  CUTE_DEVICE void load(int operand, int64_t begin, int columns, int thread, typename Engine::Fragment& rX) const {
    cute::wait_barrier(storage_.arrived[begin / Config.piece()], 0);
    Engine::load(make_smem_ptr(memory(operand) + begin), 1, columns, thread, rX);
  }

  /// Replaces it: each thread its own elements, which no other reads.
  CUTE_DEVICE void put(int operand, int64_t begin, int columns, int thread, typename Engine::Fragment const& rX) const {
    Engine::store(rX, make_smem_ptr(memory(operand) + begin), 1, columns, thread);
  }

 private:
  CUTE_DEVICE static T* memory(int operand) {
    extern __shared__ __align__(128) char row_memory[];  // the operands' parts of a row, one after the other
    return reinterpret_cast<T*>(row_memory) + operand * Config.capacity();
  }

  Storage& storage_;
};

template <RowConfig Config, int OPERANDS> using RowSource =
    cute::conditional_t<Config.kind == RowKind::cluster, SharedRowSource<Config, OPERANDS>,
                        GlobalRowSource<Config, OPERANDS>>;

}  // namespace ckl::device
