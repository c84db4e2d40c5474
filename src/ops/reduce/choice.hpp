#pragma once

// A reduction as the kernels see it, and the ways to serve it. The host's alone: no kernel includes it.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ckl/device.hpp"
#include "ckl/reduce.hpp"
#include "ops/reduce/config.hpp"
#include "ops/reduce/params.hpp"

namespace ckl {

/// A kernel, and how the work is shared out among its threads: "sum_bf16_warp_vec_w8", "sum_bf16_warp_any_w2_staged",
/// "sum_bf16_block_vec_s264" (that many blocks an output, which meet in the workspace), "sum_bf16_block_vec_c8" (in a cluster),
/// "sum_bf16_block_vec_w64_s2" (64 threads a run of neighbours), "sum_bf16_columns_vec_w32_s4", "sum_bf16_columns_vec_w64_once_s1".
struct ReduceChoice {
  ReduceConfig config;
  int width = 1;            ///< As ReduceParams::width_log2 says. A power of two.
  std::int64_t splits = 1;  ///< block, columns: blocks that share outputs.
  bool clustered = false;   ///< block: they are a cluster.
  bool staged = false;      ///< warp: blocks bring their rows to shared memory.
  bool once = false;        ///< columns: a thread loads once.

  friend bool operator==(const ReduceChoice&, const ReduceChoice&) = default;
};

std::string to_string(const ReduceChoice& choice);

/// The name of its kernel's config, e.g. "sum_bf16_block_vec".
std::string entry_of(const ReduceConfig& config);

/// A problem whose dimensions are sorted, merged, and told apart by what they are for.
struct ReduceShape {
  /// One dimension: its size, and its strides in x and y.
  struct Dimension {
    std::int64_t size, x, y;
    bool reduced = false;
  };
  std::vector<Dimension> kept, reduced;  ///< Outermost first; those of x's smallest strides are innermost. Never empty.
  std::int64_t outputs = 1;              ///< Elements of y.
  std::int64_t count = 1;                ///< Elements of x that each of them is made of.
  bool whole_rows = false;               ///< Whether rows begin and end on 16 bytes.
  bool vector_rows = false;     ///< Whether reduced elements can be loaded by 16 bytes, but for some at a row's ends,
  bool vector_runs = false;     ///< or those of the last dimension, at each index of the others,
  bool vector_columns = false;  ///< or elements of neighbouring outputs.
  bool adjacent_rows = false;  ///< Whether each output's elements, in one dimension, lie right behind those of another.
  bool rows_first = false;     ///< Whether an output's elements lie closer together than those of different ones.

  static ReduceShape of(const ReduceProblem& problem);
};

/// Which kernels accumulate what `op` needs.
ReduceFamily family_of(ReduceOp op);

/// The ways to serve a problem that has outputs, best first. They do not depend on the number of outputs where the problem is
/// batch_invariant.
std::vector<ReduceChoice> rank_reduce_choices(const ReduceProblem& problem, const ReduceShape& shape,
                                              const DeviceInfo& device);

/// A choice made ready for a shape: what the kernel is told, without pointers, and how it is launched.
struct ReduceWork {
  ReduceParams params{};
  std::int64_t blocks = 0;
  std::size_t mailbox_bytes = 0;  ///< Of workspace; zero before each launch, and after it.

  static ReduceWork of(const ReduceProblem& problem, const ReduceShape& shape, const ReduceChoice& choice);
};

}  // namespace ckl
