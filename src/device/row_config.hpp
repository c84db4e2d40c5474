#pragma once

// How an operator that works on rows (softmax, norms) holds a row while it computes: one small value, named by one string such as
// bf16_t16_vec or f32_p512_vec. The operators put their own name before it.

#include <cstdint>
#include <string_view>

#include "ckl/tensor.hpp"

namespace ckl {

/// Where a row lives between its loads and its stores: in the registers of a group of threads, in shared memory, or nowhere.
enum class RowKind : std::uint8_t {
  registers,  ///< A group loads one row from global memory.
  pipeline,  ///< The groups of a block that has an SM to itself take row after row from a ring of stages in shared memory, which bulk
             ///< copies fill meanwhile. Large groups share long rows with those of other blocks, as a cluster.
  shared,  ///< A block, or all blocks of a cluster, hold it in shared memory, each a part that is larger than registers would hold: more is
           ///< under way at a time, and each pass over the row unpacks it again.
  team,  ///< As in a pipeline; blocks that have an SM each and run at once share rows as those of a cluster do, but more of them, and tell
         ///< each other in global memory.
  stream,  ///< Nowhere: a cluster reads it once for its statistics and once more, as far as it can from L2, for the result.
};

/// Which kernels of an operator wait for the preceding grids, and are launched before those end (programmatic launch).
enum class RowWaits : std::uint8_t {
  none,
  registers,  ///< Those of rows in registers: short ones, of whose time a launch is a part that counts.
  all,
};

/// What an operator asks of its kernels: the same for all of its configs, and no part of their names.
struct RowNeeds {
  int inputs = 1;                ///< Operands whose rows are held.
  int sm_threads = 1024;         ///< Threads of an SM at most, which is what limits the registers of each.
  int ragged_sm_threads = 1024;  ///< The same where rows begin anywhere.
  int ragged_tail = 0;           ///< Of such a row, bytes at the end that no vector takes, at least.
  bool offsets_aside =
      false;  ///< Where rows lie in several dimensions is computed out of line: less code, but for registers.
  bool small_blocks =
      false;  ///< Groups of 64 threads that move vectors have a block each, of whose launch others hide the time.
  bool persistent = false;  ///< A pipeline's block has an SM to itself, and takes as many rows as there are.
  int stages = 2;           ///< Of each ring of a pipeline. A row in registers has left its stage.
  int fed_stages = 0;       ///< Not 0: a large group's ring has as many, and is filled by a warp of its own.
  RowWaits waits = RowWaits::none;

  friend constexpr bool operator==(const RowNeeds&, const RowNeeds&) = default;
};

/// The config of one kernel entry of the row engine.
struct RowConfig {
  DType dtype = DType::f32;
  RowKind kind = RowKind::registers;
  int group = 0;       ///< Threads of a block that share a row; 0: not a config.
  bool twice = false;  ///< In registers, 128 bytes a thread, and three quarters of the threads.
  /// 16-byte loads and stores; else element by element: at any stride, or in a ring of dense rows, however they are aligned.
  bool vector = false;
  bool ragged = false;  ///< By vectors, but for the ends of rows, which begin anywhere.
  bool plain = false;   ///< By vectors, for what an operator calls plain alone: little code.
  RowNeeds needs{};

  friend constexpr bool operator==(const RowConfig&, const RowConfig&) = default;

  /// Elements that a thread moves at a time.
  constexpr int vector_elements() const { return vector ? 16 / int(size_of(dtype)) : 1; }
  /// Elements of each input that a thread holds: 64 bytes of them all, 128 if it is to have twice as many, or 32 where it loads single elements,
  /// which takes more registers. In a stream 16 elements at most, since its registers also hold sums in f64, and where blocks of many threads fill an SM.
  constexpr int thread_elements() const {
    const bool whole = vector || is_ring();
    const int bytes = twice ? 2 * thread_bytes : whole ? thread_bytes : thread_bytes / 2;
    int elements = bytes / needs.inputs / int(size_of(dtype));
    return (kind == RowKind::stream || reads_again()) && elements > 16 ? 16 : elements;
  }
  /// Elements of a ragged row that are in no vector, of each thread at most.
  constexpr int ends() const { return ragged ? (2 * (vector_elements() - 1) + tail() + group - 1) / group : 0; }
  /// Elements at its end that are in none, at least.
  constexpr int tail() const { return needs.ragged_tail / int(size_of(dtype)); }
  /// Elements of a row that the group works on at a time.
  constexpr int piece() const { return group * thread_elements(); }
  /// Elements of a row that the group holds.
  constexpr int capacity() const {
    return kind == RowKind::shared ? shared_part() / needs.inputs / int(size_of(dtype)) : piece();
  }
  constexpr int threads() const {
    if (needs.small_blocks && kind == RowKind::registers && vector && !ragged && group == 64) return group;
    int least = !is_ring() ? min_threads : needs.persistent ? needs.sm_threads : pipeline_threads;
    return group < least ? least : group;
  }
  constexpr int rows_per_block() const { return threads() / group; }
  /// Whether beside each group of threads a warp fills its ring.
  constexpr bool is_fed() const { return needs.fed_stages != 0 && is_ring() && group >= fed_group; }
  /// Threads of a block, with those that fill rings, which come last.
  constexpr int block_threads() const { return threads() + (is_fed() ? 32 * rows_per_block() : 0); }
  /// Blocks that an SM shall hold at a time, to which the registers of a thread are limited, so that some blocks load while others
  /// compute, wait for each other or store: 1024 threads with 64 bytes under way each; 768 in a stream; as many as have room for
  /// their parts in shared memory; 512 where blocks load single elements of one row; as the operator says where rows begin anywhere.
  constexpr int blocks_per_sm() const {
    int wanted = kind == RowKind::stream ? 768 : 1024;
    if (!vector && !is_ring() && group >= min_threads) wanted = 512;
    if (ragged) wanted = needs.ragged_sm_threads;
    if (kind == RowKind::shared) wanted = sm_shared / shared_part() * threads();
    if (twice) return sm_threads_of_twice / threads();
    return (needs.sm_threads < wanted ? needs.sm_threads : wanted) / threads();
  }
  /// Whether bulk copies fill a ring of stages.
  constexpr bool is_ring() const { return kind == RowKind::pipeline || kind == RowKind::team; }
  constexpr int stages() const { return is_fed() ? needs.fed_stages : needs.stages; }
  /// Whether every pass over a row loads it again, piece by piece.
  constexpr bool in_pieces() const { return kind == RowKind::shared || kind == RowKind::stream; }
  /// Whether it is launched before the preceding grids end (programmatic launch): the kernel waits for them, and lets the next one start.
  constexpr bool is_ahead() const {
    if (kind == RowKind::team) return false;  // its blocks run at once
    return needs.waits == RowWaits::all || (needs.waits == RowWaits::registers && kind == RowKind::registers);
  }
  /// Whether the blocks of a cluster may share a row.
  constexpr bool is_cluster() const { return in_pieces() || (kind == RowKind::pipeline && group >= cluster_group); }
  /// The same, or those of a team.
  constexpr bool is_shared() const { return is_cluster() || kind == RowKind::team; }
  constexpr int max_blocks() const { return kind == RowKind::team ? largest_team : max_cluster(); }
  constexpr int max_cluster() const {
    return !is_cluster() ? 1 : kind != RowKind::stream && group >= cluster_group ? largest_cluster : 8;
  }
  /// Whether rows in shared memory may be longer than what it holds of them: the rest is read again, from L2.
  constexpr bool reads_again() const { return kind == RowKind::shared && group >= cluster_group; }
  /// Columns of the longest row that it takes: what it holds, or twice that.
  constexpr std::int64_t max_columns() const {
    if (ragged) return capacity() + vector_elements() - 1 + tail();
    return kind == RowKind::stream ? INT64_MAX : std::int64_t(capacity()) * max_blocks() * (reads_again() ? 2 : 1);
  }
  /// Elements of a stage beyond a piece of each input: of a row that is not aligned.
  constexpr int margin() const { return is_ring() && !vector ? 16 / int(size_of(dtype)) : 0; }
  /// Of dynamic shared memory: a pipeline's stages, or a part of a row.
  constexpr int shared_bytes() const {
    return is_ring() ? stages() *
                           (threads() * thread_bytes + rows_per_block() * needs.inputs * margin() * int(size_of(dtype)))
           : kind == RowKind::shared ? shared_part()
                                     : 0;
  }

  /// Bytes that a block of rows in shared memory holds of one.
  constexpr int shared_part() const { return (group < cluster_group ? 4 : 3) * group * thread_bytes; }
  static constexpr int sm_shared = 192 * 1024;  ///< Bytes of such parts in an SM.

  static constexpr int min_threads = 128;
  static constexpr int pipeline_threads = 256;
  static constexpr int stream_group = 256;  ///< Threads of a block that reads a row in pieces.
  static constexpr int cluster_group =
      512;  ///< Threads of a group that shares its row with other blocks where it is too long.
  static constexpr int fed_group = 256;
  static constexpr int largest_cluster = 16;  ///< Blocks; more than 8 are not portable.
  static constexpr int largest_team = 256;    ///< Blocks; the device has to have as many SMs.
  static constexpr int thread_bytes = 64;     ///< That a thread holds.
  static constexpr int sm_threads_of_twice = 768;
};

namespace detail {

/// What comes after the dtype: "t16_vec", "d16_ragged", "p512_vec", "s256_vec", "stream_any".
constexpr RowConfig parse_row_shape(std::string_view text) {
  RowConfig config;
  const std::string_view whole = text;
  const auto accept = [&text](std::string_view word) {
    if (text.substr(0, word.size()) != word) return false;
    text.remove_prefix(word.size());
    return true;
  };
  if (accept("stream")) {
    config.kind = RowKind::stream;
    config.group = RowConfig::stream_group;
  } else if (accept("t") || accept("d") || accept("p") || accept("s") || accept("g")) {
    config.twice = whole[0] == 'd';
    if (whole[0] == 'p') config.kind = RowKind::pipeline;
    if (whole[0] == 's') config.kind = RowKind::shared;
    if (whole[0] == 'g') config.kind = RowKind::team;
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9' && config.group < 1024; text.remove_prefix(1))
      config.group = config.group * 10 + (text[0] - '0');
  }
  const bool copied = config.is_ring() || config.kind == RowKind::shared;
  const int least = copied ? 64 : 4;  // a stage of one warp would be small
  const bool is_group = config.group >= least && config.group <= 1024 && (config.group & (config.group - 1)) == 0;
  const bool may_be_plain = config.kind == RowKind::shared || config.kind == RowKind::registers;
  if (accept("_vec") || (may_be_plain && accept("_plain")))
    config.vector = true, config.plain = whole.back() == 'n';
  else if (config.kind == RowKind::registers && accept("_ragged"))
    config.vector = config.ragged = true;
  else if (config.is_ring() && accept("_dense"))
    config.vector = false;
  else if (copied || config.twice || !accept("_any"))  // bulk copies move 16-byte units
    return {};
  return is_group && text.empty() ? config : RowConfig{};
}

}  // namespace detail

/// The config that `name` stands for, in an operator with these needs; its group is 0 if it is none's.
constexpr RowConfig parse_row_config(std::string_view name, RowNeeds needs = {}) {
  for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::string_view word = ckl::name(dtype);
    if (name.size() <= word.size() || name.substr(0, word.size()) != word || name[word.size()] != '_') continue;
    RowConfig config = detail::parse_row_shape(name.substr(word.size() + 1));
    if (config.group == 0) return {};
    config.dtype = dtype;
    config.needs = needs;
    return config;
  }
  return {};
}

}  // namespace ckl
