#pragma once

// How an operator that works on rows (softmax, norms) holds a row while it computes: one small value, named by one string such as
// bf16_t128_vec or f32_cluster_vec. The operators put their own name before it.

#include <cstdint>
#include <string_view>

#include "ckl/tensor.hpp"

namespace ckl {

/// Where a row lives between its loads and its stores.
enum class RowKind : std::uint8_t {
  registers,  ///< In the registers of `group` threads of one block.
  cluster,  ///< In the shared memory of a block, or of all blocks of a cluster, which exchange partial results through it.
  stream,  ///< Nowhere: a cluster reads it once for its statistics and once more, as far as it can from L2, for the result.
};

/// The config of one kernel entry of the row engine.
struct RowConfig {
  DType dtype = DType::f32;
  RowKind kind = RowKind::registers;
  int group = 0;        ///< Threads of a block that share a row; 0: not a config.
  bool vector = false;  ///< 16-byte loads and stores; else element by element, at any stride.
  int inputs = 1;       ///< Operands that are held: the operator's own number, not part of the name.

  friend constexpr bool operator==(const RowConfig&, const RowConfig&) = default;

  /// Elements that a thread moves at a time.
  constexpr int vector_elements() const { return vector ? 16 / int(size_of(dtype)) : 1; }
  /// Elements of each input that a thread holds: 64 bytes of them all, or 32 where it loads single elements, which takes more
  /// registers. In a stream 16 elements at most: its registers also hold sums in f64.
  constexpr int thread_elements() const {
    int elements = (vector ? 64 : 32) / inputs / int(size_of(dtype));
    return kind == RowKind::stream && elements > 16 ? 16 : elements;
  }
  /// Elements of a row that the group works on at a time.
  constexpr int piece() const { return group * thread_elements(); }
  /// Elements of each input that one block can hold.
  constexpr int capacity() const {
    return kind == RowKind::cluster ? cluster_bytes / inputs / int(size_of(dtype)) : piece();
  }
  /// Of dynamic shared memory.
  constexpr int shared_bytes() const { return kind == RowKind::cluster ? cluster_bytes : 0; }
  constexpr int threads() const { return group < min_threads ? min_threads : group; }
  /// Blocks that an SM shall hold at a time, to which the registers of a thread are limited, so that some blocks load while others
  /// compute, wait for each other or store: 1024 threads with 64 bytes under way each; 768 where rows are read in pieces, as many
  /// as shared memory has room for; 512 where single elements are loaded.
  constexpr int blocks_per_sm() const { return (!vector ? 512 : is_cluster() ? 768 : 1024) / threads(); }
  constexpr bool is_cluster() const { return kind != RowKind::registers; }
  constexpr int rows_per_block() const { return threads() / group; }

  static constexpr int min_threads = 128;
  static constexpr int max_cluster = 8;            ///< Blocks; larger clusters are not portable.
  static constexpr int cluster_group = 256;        ///< Threads of a block that reads a row in pieces.
  static constexpr int cluster_bytes = 64 * 1024;  ///< Of each block's shared memory.
};

namespace detail {

/// What comes after the dtype: "t128_vec", "cluster_vec", "stream_any".
constexpr RowConfig parse_row_shape(std::string_view text) {
  RowConfig config;
  const auto accept = [&text](std::string_view word) {
    if (text.substr(0, word.size()) != word) return false;
    text.remove_prefix(word.size());
    return true;
  };
  if (accept("cluster")) {
    config.kind = RowKind::cluster;
  } else if (accept("stream")) {
    config.kind = RowKind::stream;
  } else if (accept("t")) {
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9' && config.group < 1024; text.remove_prefix(1))
      config.group = config.group * 10 + (text[0] - '0');
  }
  if (config.is_cluster()) config.group = RowConfig::cluster_group;
  const bool is_group = config.group >= 4 && config.group <= 1024 && (config.group & (config.group - 1)) == 0;
  if (accept("_vec"))
    config.vector = true;
  else if (!accept("_any"))
    return {};
  return is_group && text.empty() ? config : RowConfig{};
}

}  // namespace detail

/// The config that `name` stands for, in an operator that holds `inputs` operands; its group is 0 if it is none's.
constexpr RowConfig parse_row_config(std::string_view name, int inputs = 1) {
  for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::string_view word = ckl::name(dtype);
    if (name.size() <= word.size() || name.substr(0, word.size()) != word || name[word.size()] != '_') continue;
    RowConfig config = detail::parse_row_shape(name.substr(word.size() + 1));
    if (config.group == 0) return {};
    config.dtype = dtype;
    config.inputs = inputs;
    return config;
  }
  return {};
}

}  // namespace ckl
