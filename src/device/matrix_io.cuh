#pragma once

// A few neighbours of a row of a matrix whose type is known at run time, as f32: in one vector where it is aligned, else one by one.

#include <cute/tensor.hpp>
#include <cutlass/array.h>
#include <cutlass/numeric_conversion.h>

#include "device/numeric.cuh"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// Neighbours of a row.
template <int V> using RowVector = cutlass::Array<float, V>;

namespace detail {

template <class T, int W> CUTE_DEVICE constexpr auto vector_copy() {
  return AutoVectorizingCopyWithAssumedAlignment<8 * W* int(sizeof(T))>{};
}

}  // namespace detail

/// Stores the first `count` of x from `at` on, converted to f32 or to the bits of `format`: W of them in one vector, if they are `whole`.
template <int W, class T, int V> CUTE_DEVICE void store_neighbours(T* at, int64_t stride, bool whole,
                                                                   RowVector<V> const& x, int count,
                                                                   RuntimeFormat const& format) {
  Tensor rX = make_tensor<T>(Int<W>{});  // (W)
  CUTLASS_PRAGMA_UNROLL
  for (int w = 0; w < W; w += 2) {
    cutlass::Array<T, 2> pair = format.template from_floats<T>({x[w], x[w + 1 < W ? w + 1 : w]});
    rX(w) = pair[0];
    if (w + 1 < W) rX(w + 1) = pair[1];
  }
  if (whole) {
    Tensor gX = make_tensor(make_gmem_ptr(at), Int<W>{});  // (W)
    copy(detail::vector_copy<T, W>(), rX, gX);
  } else {
    Tensor gX = make_tensor(make_gmem_ptr(at), Int<W>{}, stride);  // (W)
    CUTLASS_PRAGMA_UNROLL
    for (int w = 0; w < W; ++w)
      if (w < count) gX(w) = rX(w);
  }
}

/// A matrix in global memory; strides in elements. `by_vectors` says that columns are contiguous and that rows begin at multiples of
/// 16 bytes.
struct RuntimeMatrix {
  void* data;
  int64_t origin;  // of element (0, 0), in elements from data
  int64_t row_stride, column_stride;
  DType dtype;
  bool by_vectors;

  /// Whether vectors of V elements may be moved whole, `count` of them counting.
  template <int V> CUTE_DEVICE bool whole(int count) const { return by_vectors && count == V; }

  template <class T> CUTE_DEVICE T* at(int64_t row, int64_t column) const {
    return static_cast<T*>(data) + origin + row * row_stride + column * column_stride;
  }

  /// The first `count` of V elements from (row, column) on; the others become 0.
  template <int V> CUTE_DEVICE RowVector<V> load(int64_t row, int64_t column, int count) const {
    RowVector<V> one[1];
    if (whole<V>(count))
      load_whole<V>(one, row, 1, column);
    else
      with_element(dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
        auto const* first = at<decltype(element) const>(row, column);
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < V; ++v) one[0][v] = v < count ? float(first[v * column_stride]) : 0.0f;
      });
    return one[0];
  }

  /// W elements at each of the first `rows` of ROWS rows, from (row, column) on; whole<W>() holds. The loads are in flight together.
  template <int W, int V, int ROWS>
  CUTE_DEVICE void load_whole(RowVector<V> (&x)[ROWS], int64_t row, int rows, int64_t column) const {
    with_element(dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      using T = decltype(element);
      Tensor gX = make_tensor(make_gmem_ptr(at<T const>(row, column)), Shape<Int<ROWS>, Int<W>>{},
                              make_stride(row_stride, _1{}));                        // (ROWS, W)
      Tensor rX = make_tensor<T>(Shape<Int<ROWS>, Int<W>>{}, Stride<Int<W>, _1>{});  // (ROWS, W)
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < ROWS; ++i)
        if (i < rows) copy(detail::vector_copy<T, W>(), gX(i, _), rX(i, _));
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < ROWS; ++i) {
        CUTLASS_PRAGMA_UNROLL
        for (int w = 0; w < W; ++w) x[i][w] = float(rX(i, w));
      }
    });
  }

  /// The first `count` of x to (row, column) and its neighbours, converted.
  template <int W, int V> CUTE_DEVICE void store(RowVector<V> const& x, int64_t row, int64_t column, int count) const {
    with_stored_element(dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      store_neighbours<W>(at<decltype(element)>(row, column), column_stride, whole<W>(count), x, count,
                          RuntimeFormat(dtype));
    });
  }
};

/// A vector in global memory, of a type that is known at run time; none if there is no data.
struct RuntimeVector {
  void const* data;
  int64_t stride;  // elements
  DType dtype;

  /// Element i, or `otherwise` where there is no vector.
  CUTE_DEVICE float load(int64_t i, float otherwise) const {
    float x = otherwise;
    if (data)
      with_element(dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
        x = float(static_cast<decltype(element) const*>(data)[i * stride]);
      });
    return x;
  }

  /// The first `count` of V elements from i on; the others, or all where there is no vector, are `otherwise`.
  template <int V> CUTE_DEVICE RowVector<V> load(int64_t i, int count, float otherwise) const {
    RowVector<V> x;
    x.fill(otherwise);
    if (data)
      with_element(dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
        auto const* first = static_cast<decltype(element) const*>(data) + i * stride;
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < V; ++v)
          if (v < count) x[v] = float(first[v * stride]);
      });
    return x;
  }
};

}  // namespace ckl::device
