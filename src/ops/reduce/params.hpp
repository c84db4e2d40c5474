#pragma once

// What the host hands to a reduction kernel.

#include <cstdint>

#include "ckl/reduce.hpp"
#include "device/divider.hpp"

namespace ckl {

/// Some dimensions of x, the outermost first; at least one.
struct ReduceDimensions {
  std::int64_t count;  ///< The product of the sizes.
  int rank;
  Divider sizes[max_rank];
  std::int64_t strides[max_rank];  ///< Of x, in elements.
};

/// The inner dimension is the one that is loaded along: of the reduced ones where a row is reduced, of the others where columns are.
struct ReduceParams {
  const void* x;
  void* y;
  ReduceDimensions kept, reduced;                ///< Without the inner dimension.
  std::int64_t y_strides[max_rank];              ///< Of y along the kept dimensions, in elements.
  std::int64_t inner, inner_step, inner_y_step;  ///< Its size, and its strides in x and, where it is kept, in y.
  Divider units;                                 ///< Whole vectors (or elements) of the inner dimension.
  std::int64_t count;                            ///< Elements that are reduced into one output.

  // How the work is shared out.
  int width_log2;  ///< warp: threads of an output; block: threads of a run, if they take turns at those; columns: threads of a block side by side.
  int loads_log2;  ///< warp: loads that a lane has of a row, if it takes several rows at once; else -1. block: loads of a thread in a batch, by vectors.
  bool staged;     ///< warp: blocks bring their rows to shared memory.
  bool invariant;  ///< columns: they are added up as by vectors, whatever is loaded at a time.
  bool once;       ///< columns: a thread loads once, ReduceConfig::loads_once rows at most.
  Divider splits;  ///< Blocks that share outputs.
  Divider tiles;   ///< columns: blocks side by side along the inner dimension.
  bool clustered;  ///< Those that share outputs are a cluster, and meet in distributed shared memory.
  void* mailbox;   ///< The workspace, where the others leave what they have found for the last of them.

  // The operation within the family.
  ReduceOp op;
  DType y_dtype;
  double divisor;  ///< mean: the number of elements; variance and deviation: that less the correction.
};

/// The most that a monoid of the user's own may add, in bytes, and what its parameters are aligned to.
constexpr int max_monoid_params = 256, monoid_params_align = 64;

/// The parameter of a kernel with such a monoid.
template <class Params> struct ReduceCustomParams {
  alignas(monoid_params_align) ReduceParams reduce;
  alignas(monoid_params_align) Params monoid;
};

}  // namespace ckl
