#pragma once

#include <cute/config.hpp>

namespace ckl::device {

/// The operation's result over N values as a balanced tree, in a fixed order: the rounding errors of a sum grow with log2(N).
template <int N, class Value, class Operation>
CUTE_DEVICE Value reduce_tree(Value const (&values)[N], Operation const& operation) {
  Value partial[N];
  CUTLASS_PRAGMA_UNROLL
  for (int i = 0; i < N; ++i) partial[i] = values[i];
  CUTLASS_PRAGMA_UNROLL
  for (int distance = 1; distance < N; distance *= 2) {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i + distance < N; i += 2 * distance) partial[i] = operation(partial[i], partial[i + distance]);
  }
  return partial[0];
}

}  // namespace ckl::device
