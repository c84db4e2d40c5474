#pragma once

/// @file
/// The kernels of the memory ablation: what host and device share. Each moves the same bytes in another way, by blocks of the same size,
/// so many of which share an SM, so that what a block has under way is all that differs.

#include <cstdint>

namespace ckl::bench {

constexpr int kAblationThreads = 256;
/// Blocks that an SM holds at a time, no more, since each is given a quarter of the shared memory; and how many times as many are launched.
constexpr int kAblationBlocksPerSm = 4, kAblationWaves = 4;
constexpr int kAblationSharedBytes =
    55 << 10;  // the static shared memory of a block, and 1 KB of the system, come on top
/// Of a row that is shared by a cluster, what one block holds in its registers.
constexpr int kAblationPartBytes = 16 << 10;
/// All data are a multiple of what a cluster of 8 holds, which is one of every kernel's batches, too.
constexpr int kAblationUnitBytes = 8 * kAblationPartBytes;

/// How bytes come from memory.
enum class AblationWay {
  plain,  ///< Loads to registers.
  async,  ///< cp.async to shared memory, each thread for itself.
  bulk,   ///< Bulk copies to shared memory, one for all threads of a block.
};

/// The ways, bytes of a thread's vector, and vectors of a thread that are under way at a time.
#define CKL_ABLATION_LOADS(X, way, bytes) X(way, bytes, 1) X(way, bytes, 2) X(way, bytes, 4) X(way, bytes, 8)
#define CKL_ABLATION_MOVES(X)      \
  CKL_ABLATION_LOADS(X, plain, 4)  \
  CKL_ABLATION_LOADS(X, plain, 8)  \
  CKL_ABLATION_LOADS(X, plain, 16) \
  CKL_ABLATION_LOADS(X, async, 4)  \
  CKL_ABLATION_LOADS(X, async, 8)  \
  CKL_ABLATION_LOADS(X, async, 16) \
  CKL_ABLATION_LOADS(X, bulk, 16)

/// Moves `bytes` at x. Copies write them to y; reads write a word of each thread, the exclusive or of what it has read; rows write each f32
/// minus the largest of its row.
struct AblationParams {
  const void* x;
  void* y;
  std::int64_t bytes;
};

}  // namespace ckl::bench
