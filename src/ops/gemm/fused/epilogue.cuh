#pragma once

// The functors of a fused epilogue: NamedEpilogue for what GemmEpilogue names, UserEpilogue for one from outside of the library.
// Their protocol is that of FusedStore::store().

#include <type_traits>

#include "device/activation.cuh"
#include "device/fragment_store.cuh"
#include "device/fused_store.cuh"
#include "device/matrix_io.cuh"
#include "ops/gemm/fused/params.hpp"

namespace ckl::device {

namespace detail {

CUTE_DEVICE RuntimeMatrix matrix(EpilogueMatrix const& x, int batch) {
  return {x.at.data, batch * x.at.batch, x.at.row, x.at.column, x.dtype, x.by_vectors};
}
CUTE_DEVICE RuntimeVector vector(EpilogueVector const& x) { return {x.data, x.stride, x.dtype}; }

/// V neighbours of each of a few rows of a matrix, loaded ahead; with AHEAD 0, when they are asked for.
template <int V, int AHEAD> struct LoadedRows {
  RowVector<V> x[AHEAD == 0 ? 1 : AHEAD];

  /// The first `rows` rows from `row` on, where W neighbours may be moved whole.
  template <int W> CUTE_DEVICE void load(RuntimeMatrix const& from, int64_t row, int rows, int64_t column, int count) {
    if constexpr (AHEAD > 0)
      if (from.whole<W>(count)) from.load_whole<W>(x, row, rows, column);
  }
  /// Those of the first row, which is number `row`.
  template <int W>
  CUTE_DEVICE RowVector<W> first(RuntimeMatrix const& from, int64_t row, int64_t column, int count) const {
    RowVector<W> y;
    if (AHEAD == 0 || !from.whole<W>(count)) {
      y = from.load<W>(row, column, count);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int w = 0; w < W; ++w) y[w] = x[0][w];
    }
    return y;
  }
  /// Leaves the first row behind.
  CUTE_DEVICE void next() {
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i + 1 < AHEAD; ++i) x[i] = x[i + 1];
  }
};

/// What every functor does: C comes in, and D goes out, of type TD: float, or the bits of either 16-bit type.
template <class TD> class Destination {
 public:
  template <int V> struct Cursor {
    int64_t row, column;  // of the product
    int count;            // of V neighbours, how many are inside of it
    TD* d;                // the first of them
  };

  CUTE_DEVICE Destination(GemmParams const& p, int batch) : p_(p), batch_(batch) {}

 protected:
  /// Each `per_column` columns of the product become one of D.
  template <int V> CUTE_DEVICE void begin(Cursor<V>& at, int64_t row, int64_t column, int count, int per_column) const {
    at.row = row;
    at.column = column;
    at.count = count;
    at.d = static_cast<TD*>(p_.d.data) + batch_ * p_.d.batch + row * p_.d.row + column / per_column * p_.d.column;
  }
  /// z += beta * C
  template <int V> CUTE_DEVICE void add_c(RowVector<V>& z, Cursor<V> const& at) const {
    if (p_.epilogue.beta == 0.0f) return;
    MatrixParams const& m = p_.epilogue.c;  // of D's type
    RuntimeMatrix c{m.data, batch_ * m.batch, m.row, m.column, p_.d_dtype, p_.c_by_vectors};
    RowVector<V> x = c.load<V>(at.row, at.column, at.count);
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) z[v] = fmaf(p_.epilogue.beta, x[v], z[v]);
  }
  /// The first `count` of y become W neighbours of D.
  template <int W, int V> CUTE_DEVICE void store(RowVector<V> const& y, Cursor<V> const& at, int count) const {
    store_neighbours<W>(at.d, p_.d.column, p_.d_by_vectors && count == W, y, count, RuntimeFormat(p_.d_dtype));
  }
  template <int V> CUTE_DEVICE void next(Cursor<V>& at) const {
    ++at.row;
    at.d += p_.d.row;
  }

  GemmParams const& p_;
  int batch_;
};

}  // namespace detail

/// GemmEpilogue, on the rows and columns of the kernel's D.
struct NamedEpilogue {
  using Params = NamedEpilogueParams;
  template <class TD> class Functor;
  template <int PAIRS> class FragmentFunctor;

  CUTE_DEVICE static bool by_fragments(GemmParams const&, Params const& e) { return e.by_fragments; }
};

template <class TD> class NamedEpilogue::Functor : detail::Destination<TD> {
  using Base = detail::Destination<TD>;
  using Base::p_;

 public:
  CUTE_DEVICE Functor(GemmParams const& p, Params const& e, int batch) : Base(p, batch), e_(e) {}

  template <int V> struct Columns { RowVector<V> scale, bias; };  // the scale includes alpha
  template <int V, int AHEAD> struct Cursor : Base::template Cursor<V> {
    Columns<V> columns;
    detail::LoadedRows<V, AHEAD> residual;
  };

  template <int V, int AHEAD> CUTE_DEVICE Cursor<V, AHEAD> begin(int64_t row, int64_t column, int count) const {
    Cursor<V, AHEAD> at;
    Base::begin(at, row, column, count, e_.gated ? 2 : 1);
    if constexpr (!is_tight<V>) at.columns = load_columns(at);
    return at;
  }

  template <int V, int AHEAD> CUTE_DEVICE void load(Cursor<V, AHEAD>& at, int rows) const {
    if (!e_.residual.at.data) return;
    if (e_.gated)
      at.residual.template load<V / 2>(residual(), at.row, rows, at.column / 2, at.count / 2);
    else
      at.residual.template load<V>(residual(), at.row, rows, at.column, at.count);
  }

  template <int V, int AHEAD> CUTE_DEVICE void operator()(RowVector<V> const& acc, Cursor<V, AHEAD> const& at) const {
    Columns<V> columns;
    if constexpr (is_tight<V>)
      columns = load_columns(at);
    else
      columns = at.columns;
    RowVector<V> z = columns.bias;
    float row_scale = detail::vector(e_.row_scale).load(at.row, 1.0f);
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) z[v] = fmaf(acc[v] * row_scale, columns.scale[v], z[v]);
    float row_bias = detail::vector(e_.row_bias).load(at.row, 0.0f);
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) z[v] += row_bias;
    Base::add_c(z, at);
    if (e_.aux.at.data) detail::matrix(e_.aux, this->batch_).template store<V>(z, at.row, at.column, at.count);

    with_activation(e_.activation, [&](auto f) CUTLASS_LAMBDA_FUNC_INLINE {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < V; ++v)
        if (v % 2 == 0 || !e_.gated) z[v] = f(z[v]);
    });
    if (e_.gated) {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < V; v += 2) z[v / 2] = z[v] * z[v + 1];
      finish<V / 2>(z, at, at.column / 2, at.count / 2);
    } else {
      finish<V>(z, at, at.column, at.count);
    }
  }

  template <int V, int AHEAD> CUTE_DEVICE void next(Cursor<V, AHEAD>& at) const {
    Base::next(at);
    if (e_.residual.at.data) at.residual.next();
  }

 private:
  /// There are 2 neighbours where registers are few (fused_neighbours()): then what belongs to columns is loaded again for each row.
  template <int V> static constexpr bool is_tight = V == 2;

  template <int V> CUTE_DEVICE Columns<V> load_columns(typename Base::template Cursor<V> const& at) const {
    Columns<V> columns{detail::vector(e_.column_scale).template load<V>(at.column, at.count, 1.0f),
                       detail::vector(e_.column_bias).template load<V>(at.column, at.count, 0.0f)};
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) columns.scale[v] *= p_.epilogue.alpha;
    return columns;
  }
  CUTE_DEVICE RuntimeMatrix residual() const { return detail::matrix(e_.residual, this->batch_); }

  /// What follows the activation, for W columns of D.
  template <int W, int V, int AHEAD>
  CUTE_DEVICE void finish(RowVector<V>& y, Cursor<V, AHEAD> const& at, int64_t column, int count) const {
    if (e_.residual.at.data) {
      RowVector<W> x = at.residual.template first<W>(residual(), at.row, column, count);
      CUTLASS_PRAGMA_UNROLL
      for (int w = 0; w < W; ++w) y[w] += x[w];
    }
    if (e_.d_scale.data) {
      float scale = detail::vector(e_.d_scale).load(0, 1.0f);
      CUTLASS_PRAGMA_UNROLL
      for (int w = 0; w < W; ++w) y[w] *= scale;
    }
    Base::template store<W>(y, at, count);
  }

  Params const& e_;
};

namespace detail {

/// C or, with `beta` 1, a residual that is added as it is.
template <int V> CUTE_DEVICE void add_staged(cutlass::Array<float, V>& z, float beta,
                                             cutlass::Array<uint16_t, V> const& x, DType dtype) {
  auto add = [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
    using T = decltype(element);
    Tensor elements = make_tensor(reinterpret_cast<T const*>(x.data()), Int<V>{});  // (V)
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) z[v] = fmaf(beta, float(elements(v)), z[v]);
  };
  if (dtype == DType::bf16)
    add(cutlass::bfloat16_t{});
  else
    add(cutlass::half_t{});
}

CUTE_DEVICE StagedMatrix staged(MatrixParams const& x, int batch) {
  return {static_cast<uint16_t const*>(x.data) + batch * x.batch, x.row};
}

}  // namespace detail

/// The same on fragments, where moves_by_fragments().
template <int PAIRS> class NamedEpilogue::FragmentFunctor {
  static constexpr int V = 2 * PAIRS, STEPS = PAIRS / 2;
  using Values = cutlass::Array<float, V>;
  /// Pairs of elements of the chunk's columns as they lie in memory; 16-bit ones are in the first word. They are converted when they are
  /// needed, so that nothing waits for loads that are ahead.
  struct Columns {
    uint32_t words[STEPS][2];
  };
  using ColumnValues = cutlass::Array<float, 2 * STEPS>;

 public:
  CUTE_DEVICE FragmentFunctor(GemmParams const& p, Params const& e, int batch)
      : p_(p),
        e_(e),
        batch_(batch),
        scales_(e.row_scale.data || e.column_scale.data),
        adds_bias_(e.column_bias.data && !scales_),
        before_(scales_ || e.row_bias.data || e.aux.at.data || p.epilogue.beta != 0.0f),
        after_(e.residual.at.data || e.d_scale.data) {}

  /// Calls f(functor) with one that does the same, but knows what there is to do; false where there is none: those of an activation after
  /// a bias, and of a bias and a matrix.
  template <class F> CUTE_DEVICE bool with_shortcut(F const& f) const {
    if (!before_ && !after_) {
      with_activation(e_.activation, [&](auto activation) CUTLASS_LAMBDA_FUNC_INLINE {
        auto apply = [=](Values& z, auto const&) CUTLASS_LAMBDA_FUNC_INLINE { activate(z, activation); };
        f(Shortcut<false, decltype(apply)>{*this, apply});
      });
      return true;
    }
    if (stages() && e_.activation == Activation::none && !has_other_operands()) {
      auto add = [this](Values& z, auto const& staged) CUTLASS_LAMBDA_FUNC_INLINE { add_staged(z, staged); };
      f(Shortcut<true, decltype(add)>{*this, add});
      return true;
    }
    return false;
  }

  CUTE_DEVICE bool stages() const { return e_.residual.at.data || p_.epilogue.beta != 0.0f; }
  CUTE_DEVICE StagedMatrix staged() const {
    return detail::staged(e_.residual.at.data ? e_.residual.at : p_.epilogue.c, batch_);
  }
  /// The bias; zeros where scales come before it.
  CUTE_DEVICE Columns load_columns(FragmentAt const& at) const {
    if (adds_bias_) return load(e_.column_bias, at);
    return Columns{};
  }

  /// alpha * acc + bias
  CUTE_DEVICE auto first(Columns const& bias) const {
    ColumnValues addend = as_floats(bias, e_.column_bias.dtype);
    return [alpha = p_.epilogue.alpha, addend](float acc, int v)
               CUTLASS_LAMBDA_FUNC_INLINE { return fmaf(alpha, acc, addend[column_of(v)]); };
  }

  template <class Staged> CUTE_DEVICE void operator()(Values& z, FragmentAt const& at, Staged const& staged) const {
    if (before_) {
      if (scales_) scale(z, at);
      if (e_.row_bias.data)
        for_rows(
            e_.row_bias, at, [](float& x, float b) { x += b; }, z);
      if (p_.epilogue.beta != 0.0f) add_staged(z, staged);
      if (e_.aux.at.data) store_aux(z, at);
    }
    with_activation(e_.activation, [&](auto f) CUTLASS_LAMBDA_FUNC_INLINE { activate(z, f); });
    if (after_) {
      if (e_.residual.at.data) add_staged(z, staged);
      if (e_.d_scale.data) {
        float scale = detail::vector(e_.d_scale).load(0, 1.0f);
        CUTLASS_PRAGMA_UNROLL
        for (int v = 0; v < V; ++v) z[v] *= scale;
      }
    }
  }

 private:
  /// alpha * acc + bias, then apply(values, staged).
  template <bool Stages, class Apply> struct Shortcut {
    FragmentFunctor const& whole;
    Apply const& apply;

    CUTE_DEVICE static constexpr bool stages() { return Stages; }
    CUTE_DEVICE StagedMatrix staged() const { return whole.staged(); }
    CUTE_DEVICE Columns load_columns(FragmentAt const& at) const { return whole.load_columns(at); }
    CUTE_DEVICE auto first(Columns const& bias) const { return whole.first(bias); }
    template <class Staged> CUTE_DEVICE void operator()(Values& z, FragmentAt const&, Staged const& staged) const {
      apply(z, staged);
    }
  };
  /// Whether there is more than a bias, an activation, and C or a residual.
  CUTE_DEVICE bool has_other_operands() const {
    return scales_ || e_.row_bias.data || e_.aux.at.data || e_.d_scale.data;
  }

  template <class Activation> CUTE_DEVICE static void activate(Values& z, Activation const& f) {
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) z[v] = f(z[v]);
  }
  /// The residual, or C.
  template <class Staged> CUTE_DEVICE void add_staged(Values& z, Staged const& staged) const {
    if (e_.residual.at.data)
      detail::add_staged(z, 1.0f, staged(), e_.residual.dtype);
    else
      detail::add_staged(z, p_.epilogue.beta, staged(), p_.d_dtype);
  }

  /// The column of value v, as it counts in ColumnValues.
  CUTE_DEVICE static constexpr int column_of(int v) { return v / 4 * 2 + v % 2; }

  CUTE_DEVICE static Columns load(EpilogueVector const& x, FragmentAt const& at) {
    if (x.dtype == DType::f32) return load_as<uint64_t>(x.data, at);
    return load_as<uint32_t>(x.data, at);
  }
  template <class Pair> CUTE_DEVICE static Columns load_as(void const* data, FragmentAt const& at) {
    Pair const* first = static_cast<Pair const*>(data) + at.to.column / 2 + at.column / 2;
    Columns columns{};
    auto load = [&](int s) CUTLASS_LAMBDA_FUNC_INLINE {
      Pair words = first[s * at.along / 2];
      columns.words[s][0] = uint32_t(words);
      if constexpr (sizeof(Pair) == 8) columns.words[s][1] = uint32_t(words >> 32);
    };
    if (at.column_inside(PAIRS - 1)) {
      CUTLASS_PRAGMA_UNROLL
      for (int s = 0; s < STEPS; ++s) load(s);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int s = 0; s < STEPS; ++s)
        if (at.column_inside(2 * s)) load(s);
    }
    return columns;
  }
  CUTE_DEVICE static ColumnValues as_floats(Columns const& columns, DType dtype) {
    ColumnValues x;
    auto convert = [&](auto const& to_pair) CUTLASS_LAMBDA_FUNC_INLINE {
      CUTLASS_PRAGMA_UNROLL
      for (int s = 0; s < STEPS; ++s) to_pair(columns.words[s], x[2 * s], x[2 * s + 1]);
    };
    using cutlass::platform::bit_cast;
    if (dtype == DType::bf16)
      convert([](uint32_t const(&words)[2], float& even, float& odd) CUTLASS_LAMBDA_FUNC_INLINE {
        even = bit_cast<float>(words[0] << 16);
        odd = bit_cast<float>(words[0] & 0xffff0000u);
      });
    else if (dtype == DType::f16)
      convert([](uint32_t const(&words)[2], float& even, float& odd) CUTLASS_LAMBDA_FUNC_INLINE {
        auto pair = bit_cast<cutlass::AlignedArray<cutlass::half_t, 2>>(words[0]);
        even = float(cutlass::half_t(pair[0]));
        odd = float(cutlass::half_t(pair[1]));
      });
    else
      convert([](uint32_t const(&words)[2], float& even, float& odd) CUTLASS_LAMBDA_FUNC_INLINE {
        even = bit_cast<float>(words[0]);
        odd = bit_cast<float>(words[1]);
      });
    return x;
  }

  /// f(value, element of the vector that belongs to its row) for all values.
  template <class F>
  CUTE_DEVICE static void for_rows(EpilogueVector const& x, FragmentAt const& at, F const& f, Values& z) {
    CUTLASS_PRAGMA_UNROLL
    for (int r = 0; r < 2; ++r) {
      float element = at.row_inside(r) ? detail::vector(x).load(at.row_of(r), 0.0f) : 0.0f;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < V; ++v)
        if (v / 2 % 2 == r) f(z[v], element);
    }
  }
  /// The scales, and the bias that follows them.
  CUTE_DEVICE void scale(Values& z, FragmentAt const& at) const {
    if (e_.row_scale.data)
      for_rows(
          e_.row_scale, at, [](float& x, float scale) { x *= scale; }, z);
    ColumnValues factor;
    factor.fill(1.0f);
    if (e_.column_scale.data && e_.column_scale.stride == 0)
      factor.fill(detail::vector(e_.column_scale).load(0, 1.0f));
    else if (e_.column_scale.data)
      factor = as_floats(load(e_.column_scale, at), e_.column_scale.dtype);
    ColumnValues addend;
    addend.clear();
    if (e_.column_bias.data) addend = as_floats(load(e_.column_bias, at), e_.column_bias.dtype);
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < V; ++v) z[v] = fmaf(factor[column_of(v)], z[v], addend[column_of(v)]);
  }
  CUTE_DEVICE void store_aux(Values const& z, FragmentAt const& at) const {
    MatrixParams const& x = e_.aux.at;
    auto* first = static_cast<uint16_t*>(x.data) + batch_ * x.batch + at.row_of(0) * x.row + at.column_of(0);
    auto store = [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      using T = decltype(element);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < PAIRS; ++i) {
        cutlass::Array<float, 2> pair;
        pair[0] = z[2 * i];
        pair[1] = z[2 * i + 1];
        if (at.row_inside(i) && at.column_inside(i))
          *reinterpret_cast<uint32_t*>(first + i % 2 * at.down * x.row + i / 2 * at.along) =
              cutlass::platform::bit_cast<uint32_t>(cutlass::NumericArrayConverter<T, float, 2>::convert(pair));
      }
    };
    if (e_.aux.dtype == DType::bf16)
      store(cutlass::bfloat16_t{});
    else
      store(cutlass::half_t{});
  }

  GemmParams const& p_;
  Params const& e_;
  int batch_;
  bool scales_, adds_bias_, before_, after_;  // a few tests for each chunk, not one for each piece of the epilogue
};

/// Where in the product a few neighbours of a row lie.
struct GemmCoordinates {
  int64_t row, column;  ///< Of the first of them.
  int count;            ///< How many of them are inside of the product; the others' values mean nothing.
  int batch;
};

/// alpha * acc + beta * C, handed to a functor from outside of the library, then converted to D:
///   struct Epilogue {
///     struct Params { ... };                      // trivially copyable, at most 256 bytes
///     CUTE_DEVICE explicit Epilogue(Params const&);
///     template <int V> CUTE_DEVICE void operator()(RowVector<V>& x, GemmCoordinates const& at) const;  // changes x
///   };
template <class Epilogue> struct UserEpilogue {
  using Params = typename Epilogue::Params;
  static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= max_epilogue_params &&
                    alignof(Params) <= max_epilogue_align,
                "an epilogue's Params must be trivially copyable and have at most 256 bytes, aligned to at most 64");

  CUTE_DEVICE static bool by_fragments(GemmParams const& p, Params const&) {
    return p.d_by_tma && size_of(p.d_dtype) == 2 && p.n % 8 == 0 && (p.epilogue.beta == 0.0f || p.c_by_vectors);
  }

  template <int PAIRS> class FragmentFunctor {
    struct Nothing {};

   public:
    CUTE_DEVICE FragmentFunctor(GemmParams const& p, Params const& params, int batch)
        : p_(p), epilogue_(params), batch_(batch) {}

    template <class F> CUTE_DEVICE static bool with_shortcut(F const&) { return false; }
    CUTE_DEVICE bool stages() const { return p_.epilogue.beta != 0.0f; }
    CUTE_DEVICE StagedMatrix staged() const { return detail::staged(p_.epilogue.c, batch_); }
    CUTE_DEVICE Nothing load_columns(FragmentAt const&) const { return {}; }
    CUTE_DEVICE auto first(Nothing) const {
      return [alpha = p_.epilogue.alpha](float acc, int) CUTLASS_LAMBDA_FUNC_INLINE { return alpha * acc; };
    }
    template <class Staged>
    CUTE_DEVICE void operator()(cutlass::Array<float, 2 * PAIRS>& x, FragmentAt const& at, Staged const& staged) const {
      if (p_.epilogue.beta != 0.0f) detail::add_staged(x, p_.epilogue.beta, staged(), p_.d_dtype);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < PAIRS; ++i) {
        if (!at.row_inside(i) || !at.column_inside(i)) continue;
        RowVector<2> pair;
        pair[0] = x[2 * i];
        pair[1] = x[2 * i + 1];
        epilogue_(pair, GemmCoordinates{at.row_of(i), at.column_of(i), 2, batch_});
        x[2 * i] = pair[0];
        x[2 * i + 1] = pair[1];
      }
    }

   private:
    GemmParams const& p_;
    Epilogue epilogue_;
    int batch_;
  };

  template <class TD> class Functor : detail::Destination<TD> {
    using Base = detail::Destination<TD>;

   public:
    CUTE_DEVICE Functor(GemmParams const& p, Params const& params, int batch) : Base(p, batch), epilogue_(params) {}

    template <int V, int AHEAD> CUTE_DEVICE auto begin(int64_t row, int64_t column, int count) const {
      typename Base::template Cursor<V> at;
      Base::begin(at, row, column, count, 1);
      return at;
    }
    template <class Cursor> CUTE_DEVICE void load(Cursor&, int) const {}
    template <int V, class Cursor> CUTE_DEVICE void operator()(RowVector<V> const& acc, Cursor const& at) const {
      RowVector<V> x;
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < V; ++v) x[v] = this->p_.epilogue.alpha * acc[v];
      Base::add_c(x, at);
      epilogue_(x, GemmCoordinates{at.row, at.column, at.count, this->batch_});
      Base::template store<V>(x, at, at.count);
    }
    template <class Cursor> CUTE_DEVICE void next(Cursor& at) const { Base::next(at); }

   private:
    Epilogue epilogue_;
  };
};

/// The output of a GemmKernel: what Epilogue makes of the accumulators.
template <class Epilogue> struct FusedOutput {
  using Params = typename Epilogue::Params;

  /// Part (part_m, part_n) of a tile: what one consumer stores.
  template <GemmConfig Config> class Part {
    using Fragments = FragmentStore<Config>;
    using Pieces = FragmentStore<Config, Fragments::HAS_SHORTCUTS>;  // for the functor's shortcuts
    template <class Store> using FunctorOf = typename Epilogue::template FragmentFunctor<Store::PAIRS>;

   public:
    CUTE_DEVICE Part(GemmParams const& p, Params const& params, TileIndex const& tile, int part_m, int part_n)
        : p_(p), params_(params), tile_(tile), part_m_(part_m), part_n_(part_n) {}

    /// Called before the products are computed.
    CUTE_DEVICE void prefetch(int thread) const {
      if (Epilogue::by_fragments(p_, params_)) Fragments::prefetch(functor<Fragments>(), target(), thread);
    }

    template <class Accumulators, class Storage>
    CUTE_DEVICE void store(Accumulators& acc, int thread, Storage& storage) const {
      if (Epilogue::by_fragments(p_, params_)) {
        if constexpr (Fragments::HAS_SHORTCUTS) {
          if (functor<Pieces>().with_shortcut([&](auto const& shortcut) CUTLASS_LAMBDA_FUNC_INLINE {
                Pieces::store(acc, shortcut, target(), thread, storage);
              }))
            return;
        }
        Fragments::store(acc, functor<Fragments>(), target(), thread, storage);
        return;
      }
      EpiloguePart to{p_.m, p_.n, row(), column()};
      with_stored_element(p_.d_dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
        typename Epilogue::template Functor<decltype(element)> functor(p_, params_, tile_.batch);
        FusedStore<Config, fused_neighbours(Config)>::store(acc, functor, to, thread, storage);
      });
    }

   private:
    CUTE_DEVICE int64_t row() const { return int64_t(tile_.m) * Config.tile_m + part_m_ * Config.warpgroup_m(); }
    CUTE_DEVICE int64_t column() const { return int64_t(tile_.n) * Config.tile_n + part_n_ * Config.warpgroup_n(); }
    template <class Store> CUTE_DEVICE FunctorOf<Store> functor() const { return {p_, params_, tile_.batch}; }
    CUTE_DEVICE FragmentTarget target() const {
      int64_t rows = p_.m - row(), columns = p_.n - column();
      return {p_.d_map,
              p_.d_dtype,
              row(),
              column(),
              tile_.batch,
              int(cute::min(rows, int64_t(Config.warpgroup_m()))),
              int(cute::min(columns, int64_t(Config.warpgroup_n())))};
    }

    GemmParams const& p_;
    Params const& params_;
    TileIndex const& tile_;
    int part_m_, part_n_;
  };
};

}  // namespace ckl::device
