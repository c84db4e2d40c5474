#pragma once

#include <cute/tensor.hpp>

#include "ops/gemm/params.hpp"

namespace ckl::device {

/// The epilogue functor of D = alpha * acc + beta * C. With beta 0 it never reads C, which may then be null.
template <class TC>
struct LinearCombination {
  LinearCombinationParams const& p;
  int64_t m, n;
  int batch;

  /// Replaces a piece's accumulators; value i belongs to D's element (row, column) + coords(i).
  template <class Values, class Coords>
  CUTE_DEVICE void operator()(Values& values, Coords const& coords, int64_t row, int64_t column) const {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < cute::size(values); ++i) values(i) *= p.alpha;
    if (p.beta == 0.0f) return;
    TC const* origin = static_cast<TC const*>(p.c.data) + batch * p.c.batch + row * p.c.row + column * p.c.column;
    int64_t rows = m - row, columns = n - column;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < cute::size(values); ++i) {
      int r = cute::get<0>(coords(i)), c = cute::get<1>(coords(i));
      if (r < rows && c < columns) values(i) += p.beta * float(origin[r * p.c.row + c * p.c.column]);
    }
  }
};

}  // namespace ckl::device
