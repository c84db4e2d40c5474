#pragma once

#include <cute/config.hpp>

namespace ckl::device {

/// The operation's result over values(0) to values(N - 1), N a power of two, as a balanced tree in a fixed order: the rounding errors of
/// a sum grow with log2(N).
template <int N, int FIRST = 0, class Values, class Operation>
CUTE_DEVICE auto reduce_tree_of(Values const& values, Operation const& operation) {
  static_assert(N > 0 && (N & (N - 1)) == 0);
  if constexpr (N == 1)
    return values(FIRST);
  else
    return operation(reduce_tree_of<N / 2, FIRST>(values, operation),
                     reduce_tree_of<N / 2, FIRST + N / 2>(values, operation));
}

/// The same over an array.
template <int N, class Value, class Operation>
CUTE_DEVICE Value reduce_tree(Value const (&values)[N], Operation const& operation) {
  return reduce_tree_of<N>([&](int i) CUTLASS_LAMBDA_FUNC_INLINE { return values[i]; }, operation);
}

}  // namespace ckl::device
