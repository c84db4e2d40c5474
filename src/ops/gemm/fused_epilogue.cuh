#pragma once

// The functors of a GEMM's epilogue: Alpha for D = alpha * acc alone, FusedEpilogue for what GemmEpilogue names, UserEpilogue for
// one from outside of the library.

#include <type_traits>

#include "device/activation.hpp"
#include "device/arch.cuh"
#include "device/matrix_io.cuh"
#include "ops/gemm/params.hpp"

namespace ckl::device {

/// D = alpha * acc.
struct Alpha {
  float alpha;
  CUTE_DEVICE explicit Alpha(EpilogueParams const& p) : alpha(p.alpha) {}
  CUTE_DEVICE float operator()(float acc) const { return alpha * acc; }
};

namespace detail {

CUTE_DEVICE RuntimeMatrix matrix(EpilogueMatrix const& x, int batch) {
  return {x.at.data, batch * x.at.batch, x.at.row, x.at.column, x.dtype, x.by_vectors};
}
CUTE_DEVICE RuntimeVector vector(EpilogueVector const& x) { return {x.data, x.stride, x.dtype}; }

/// V neighbours of each of a few rows of a matrix, loaded ahead; with AHEAD 0, when they are asked for.
template <int V, int AHEAD> struct LoadedRows {
  RowVector<V> x[AHEAD == 0 ? 1 : AHEAD];

  /// Rows `row`, row + step, ..., of which the first `rows` exist, where W neighbours may be moved whole.
  template <int W>
  CUTE_DEVICE void load(RuntimeMatrix const& from, int64_t row, int step, int64_t rows, int64_t column, int count) {
    if constexpr (AHEAD > 0)
      if (from.whole<W>(count)) from.load_whole<W>(x, row, step, rows, column);
  }
  /// Those of the first row.
  template <int W>
  CUTE_DEVICE RowVector<W> first(RuntimeMatrix const& from, int64_t row, int64_t column, int count) const {
    RowVector<W> y;
    if (!from.whole<W>(count)) {
      y = from.load<W>(row, column, count);
    } else if constexpr (AHEAD > 0) {
      CUTLASS_PRAGMA_UNROLL
      for (int w = 0; w < W; ++w) y[w] = x[0][w];
    } else {
      RowVector<W> one[1];
      from.load_whole<W>(one, row, 0, row + 1, column);
      y = one[0];
    }
    return y;
  }
  CUTE_DEVICE void shift() {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i + 1 < AHEAD; ++i) x[i] = x[i + 1];
  }
};

}  // namespace detail

/// GemmEpilogue, on the rows and columns of the kernel's D. The protocol is that of Epilogue::store_fused().
class FusedEpilogue {
 public:
  struct Params {};

  CUTE_DEVICE FusedEpilogue(GemmParams const& p, Params const&, int batch) : p_(p), e_(p.epilogue), batch_(batch) {}

  template <int V> struct Columns { RowVector<V> scale, bias; };
  template <int V> CUTE_DEVICE Columns<V> columns(int64_t column, int count) const {
    return {detail::vector(e_.column_scale).template load<V>(column, count, 1.0f),
            detail::vector(e_.column_bias).template load<V>(column, count, 0.0f)};
  }

  template <int V, int AHEAD> struct Rows {
    detail::LoadedRows<V, AHEAD> c, residual;
    CUTE_DEVICE void shift() {
      c.shift();
      residual.shift();
    }
  };
  template <int V, int AHEAD>
  CUTE_DEVICE void load(Rows<V, AHEAD>& rows, int64_t row, int step, int64_t column, int count) const {
    if (e_.c.at.data) rows.c.template load<V>(c(), row, step, p_.m, column, count);
    if (!e_.residual.at.data) return;
    if (e_.gated)
      rows.residual.template load<V / 2>(residual(), row, step, p_.m, column / 2, count / 2);
    else
      rows.residual.template load<V>(residual(), row, step, p_.m, column, count);
  }

  template <int V, int AHEAD> CUTE_DEVICE void operator()(RowVector<V> const& acc, Columns<V> const& columns,
                                                          Rows<V, AHEAD> const& rows, int64_t row, int64_t column,
                                                          int count) const {
    float scale = e_.alpha * detail::vector(e_.row_scale).load(row, 1.0f);
    float bias = detail::vector(e_.row_bias).load(row, 0.0f);
    RowVector<V> z;
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) z[v] = bias + columns.bias[v];
    if (e_.c.at.data) {
      RowVector<V> c_row = rows.c.template first<V>(c(), row, column, count);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < V; ++v) z[v] = fmaf(e_.beta, c_row[v], z[v]);
    }
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) z[v] = fmaf(acc[v], scale * columns.scale[v], z[v]);
    if (e_.aux.at.data) detail::matrix(e_.aux, batch_).template store<V>(z, row, column, count);

    with_activation(e_.activation, [&](auto f) CUTLASS_LAMBDA_FUNC_INLINE {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < V; ++v)
        if (v % 2 == 0 || !e_.gated) z[v] = f(z[v]);
    });
    if (e_.gated) {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < V; v += 2) z[v / 2] = z[v] * z[v + 1];
      finish<V / 2>(z, rows, row, column / 2, count / 2);
    } else {
      finish<V>(z, rows, row, column, count);
    }
  }

 private:
  CUTE_DEVICE RuntimeMatrix c() const { return detail::matrix(e_.c, batch_); }
  CUTE_DEVICE RuntimeMatrix residual() const { return detail::matrix(e_.residual, batch_); }

  /// What follows the activation, for W columns of D.
  template <int W, int V, int AHEAD>
  CUTE_DEVICE void finish(RowVector<V>& y, Rows<V, AHEAD> const& rows, int64_t row, int64_t column, int count) const {
    if (e_.residual.at.data) {
      RowVector<W> x = rows.residual.template first<W>(residual(), row, column, count);
      CUTLASS_PRAGMA_UNROLL
      for (int w = 0; w < W; ++w) y[w] += x[w];
    }
    float scale = detail::vector(e_.d_scale).load(0, 1.0f);
    CUTLASS_PRAGMA_UNROLL
    for (int w = 0; w < W; ++w) y[w] *= scale;
    detail::matrix(e_.d, batch_).template store<W>(y, row, column, count);
  }

  GemmParams const& p_;
  EpilogueParams const& e_;
  int batch_;
};

/// Where in the product a few neighbours of a row lie.
struct GemmCoordinates {
  int64_t row, column;  ///< Of the first of them.
  int count;            ///< How many of them are inside of the product; the others' values mean nothing.
  int batch;
};

/// alpha * acc + beta * C, handed to a functor from outside of the library, then converted to D:
///   struct Functor {
///     struct Params { ... };                      // trivially copyable, at most 256 bytes
///     CUTE_DEVICE explicit Functor(Params const&);
///     template <int V> CUTE_DEVICE void operator()(RowVector<V>& x, GemmCoordinates const& at) const;  // changes x
///   };
template <class Functor> class UserEpilogue {
 public:
  using Params = typename Functor::Params;
  static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= max_user_params,
                "an epilogue's Params must be trivially copyable and have at most 256 bytes");

  CUTE_DEVICE UserEpilogue(GemmParams const& p, Params const& user, int batch)
      : p_(p), e_(p.epilogue), functor_(user), batch_(batch) {}

  template <int V> struct Columns {};
  template <int V> CUTE_DEVICE Columns<V> columns(int64_t, int) const { return {}; }

  template <int V, int AHEAD> struct Rows {
    detail::LoadedRows<V, AHEAD> c;
    CUTE_DEVICE void shift() { c.shift(); }
  };
  template <int V, int AHEAD>
  CUTE_DEVICE void load(Rows<V, AHEAD>& rows, int64_t row, int step, int64_t column, int count) const {
    if (e_.c.at.data) rows.c.template load<V>(c(), row, step, p_.m, column, count);
  }

  template <int V, int AHEAD> CUTE_DEVICE void operator()(RowVector<V> const& acc, Columns<V> const&,
                                                          Rows<V, AHEAD> const& rows, int64_t row, int64_t column,
                                                          int count) const {
    RowVector<V> x;
    x.fill(0.0f);
    if (e_.c.at.data) {
      RowVector<V> c_row = rows.c.template first<V>(c(), row, column, count);
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < V; ++v) x[v] = e_.beta * c_row[v];
    }
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) x[v] = fmaf(acc[v], e_.alpha, x[v]);
    functor_(x, GemmCoordinates{row, column, count, batch_});
    detail::matrix(e_.d, batch_).template store<V>(x, row, column, count);
  }

 private:
  CUTE_DEVICE RuntimeMatrix c() const { return detail::matrix(e_.c, batch_); }

  GemmParams const& p_;
  EpilogueParams const& e_;
  Functor functor_;
  int batch_;
};

}  // namespace ckl::device
