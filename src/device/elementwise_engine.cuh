#pragma once

// The elementwise engine: every thread loads vectors of the inputs, converts them to the functor's type, applies the functor, converts
// its results to the outputs' types and stores vectors. All of a thread's loads are issued before the first is used.

#include <cute/tensor.hpp>

#include "device/arch.cuh"
#include "device/conversion.cuh"
#include "device/coordinates.cuh"
#include "device/elementwise_config.hpp"
#include "device/elementwise_params.hpp"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// The scalars of the parameters, as the functor's type.
template <class C> CUTE_DEVICE void read_scalars(ElementwiseParams const& p, C (&scalars)[max_elementwise_scalars]) {
  CUTLASS_PRAGMA_UNROLL
  for (int i = 0; i < max_elementwise_scalars; ++i) {
    if constexpr (is_same_v<C, float>)
      scalars[i] = p.f32_scalars[i];
    else
      scalars[i] = p.i64_scalars[i];
  }
}

/// `Functions` says what is computed: with_function<Config>(p, body) calls body(f) with the functor that the parameters stand for, and
/// f(x, s, y) computes the outputs y[] of one element from its inputs x[] and the scalars s[], all of type float or int64_t.
template <ElementwiseConfig Config, class Functions> struct ElementwiseEngine {
  using C = conditional_t<Config.compute == Compute::f32, float, int64_t>;
  static constexpr int INPUTS = Config.inputs, OUTPUTS = Config.outputs();
  static constexpr int VEC = Config.vector, UNROLL = Config.unroll(), THREADS = Config.threads();
  static constexpr int WIDEST = Config.widest();  // bytes of an element
  static_assert(Config.inputs > 0, "no config's name");

  /// A vector of an operand, as it lies in memory or as the functor's type.
  template <class T> using Vector = cutlass::Array<T, VEC>;
  /// Inputs wait for the functor in this type: elements of a byte are f16 exactly, which takes half of the registers.
  using Input = conditional_t<WIDEST == 1 && is_same_v<C, float>, cutlass::half_t, C>;

  /// The branches on what is known at run time only - dtypes, function, whether a vector is cut off - are taken once for all of a
  /// thread's vectors: a branch takes longer than the element's arithmetic.
  CUTE_DEVICE static void run(ElementwiseParams const& p) {
    allow_next_grid();
    if constexpr (Config.access == Access::rows)
      if (int(blockIdx.x) < p.whole_blocks) return run_whole_rows(p);
    int64_t first = int64_t(blockIdx.x) * Config.block_vectors() + threadIdx.x;
    Place place[UNROLL];
    place[0] = locate(p, first);
    CUTLASS_PRAGMA_UNROLL
    for (int u = 1; u < UNROLL; ++u)
      if (!follows(p, place[0], u * THREADS * VEC, place[u])) place[u] = locate(p, first + u * THREADS);
    prefetch_inputs(p, place);
    wait_for_preceding_grids();
    compute(p, place);
  }

  /// Computes a thread's vectors, all of which are whole and aligned. at(operand, u) says where vector u lies in an operand, in elements from
  /// its begin; of operands that are not all of one dtype, at_of_mixed() does. Both say the same together of all vectors of the grid.
  template <class At, class AtOfMixed>
  CUTE_DEVICE static void run_whole(ElementwiseParams const& p, At const& at, AtOfMixed const& at_of_mixed) {
    if (may_have_to_wait(p)) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < INPUTS; ++i)
        if (i == 0 || INPUTS == 2 || i < p.inputs) {
          auto from = static_cast<uint8_t const*>(p.in[i].data);
          CUTLASS_PRAGMA_UNROLL
          for (int u = 0; u < UNROLL; ++u) prefetch(from + at(p.in[i], u) * p.in[i].element_bytes);
        }
    }
    auto load_from = [&](auto const& at) CUTLASS_LAMBDA_FUNC_INLINE {
      return [&](int i, auto& x) CUTLASS_LAMBDA_FUNC_INLINE {
        using T = typename remove_cvref_t<decltype(x[0])>::value_type;
        CUTLASS_PRAGMA_UNROLL
        for (int u = 0; u < UNROLL; ++u) load_whole(static_cast<T const*>(p.in[i].data) + at(p.in[i], u), x[u]);
      };
    };
    auto store_to = [&](auto const& at) CUTLASS_LAMBDA_FUNC_INLINE {
      return [&](int i, auto const& y) CUTLASS_LAMBDA_FUNC_INLINE {
        using T = typename remove_cvref_t<decltype(y[0])>::value_type;
        CUTLASS_PRAGMA_UNROLL
        for (int u = 0; u < UNROLL; ++u) store_whole(y[u], static_cast<T*>(p.out[i].data) + at(p.out[i], u));
      };
    };
    if constexpr (Config.access == Access::flat && is_same_v<C, float> && VEC * WIDEST == 16 && WIDEST > 1) {
      if (p.all_alike && p.in[0].element_bytes == WIDEST) {
        auto load = load_from(at);
        auto store = store_to(at);
        if constexpr (WIDEST == 2) {
          if (p.in[0].dtype == int(DType::bf16)) return run_alike<cutlass::bfloat16_t>(p, load, store);
          return run_alike<cutlass::half_t>(p, load, store);
        } else if (p.in[0].dtype == int(DType::f32)) {
          return run_alike<float>(p, load, store);
        }
      }
    }
    wait_for_preceding_grids();
    compute<UNROLL>(p, load_from(at_of_mixed), store_to(at_of_mixed));
  }

  /// The same after the prefetch, where all operands have the dtype of T: what they are and what is computed is found before the wait, and
  /// each function goes straight on from there.
  template <class T, class Load, class Store>
  CUTE_DEVICE static void run_alike(ElementwiseParams const& p, Load const& load, Store const& store) {
    C scalars[max_elementwise_scalars];
    read_scalars(p, scalars);
    Functions::template with_function<Config>(p, [&](auto function) CUTLASS_LAMBDA_FUNC_INLINE {
      wait_for_preceding_grids();
      Vector<Input> x[INPUTS][UNROLL];
      Vector<C> y[OUTPUTS][UNROLL];
      load_as<T>(p, load, x);
      apply(function, scalars, x, y);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < OUTPUTS; ++i)
        if (i == 0 || i < p.outputs) store_as<T>(i, y[i], store);
    });
  }

  /// Where a vector lies: in elements from each operand's begin, and how many elements of its row there are from it on.
  struct Place {
    int64_t in[INPUTS], out[OUTPUTS];
    int64_t left;
  };

  /// Computes the vectors at some places.
  template <int COUNT> CUTE_DEVICE static void compute(ElementwiseParams const& p, Place const (&place)[COUNT]) {
    compute<COUNT>(
        p, [&](int i, auto& x) CUTLASS_LAMBDA_FUNC_INLINE { load_input(p, i, place, x); },
        [&](int i, auto const& y) CUTLASS_LAMBDA_FUNC_INLINE { store_output(p, i, place, y); });
  }

  /// Computes COUNT vectors. load(i, x) loads those of input i, and store(i, y) stores those of output i: arrays of so many Vector<T>, of
  /// that operand's T, or of an unsigned integer of its size.
  template <int COUNT, class Load, class Store>
  CUTE_DEVICE static void compute(ElementwiseParams const& p, Load const& load, Store const& store) {
    Vector<Input> x[INPUTS][COUNT];
    Vector<C> y[OUTPUTS][COUNT];
    load_inputs(p, load, x);
    apply<COUNT>(p, x, y);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < OUTPUTS; ++i)
      if (i == 0 || i < p.outputs)
        with_element<C, WIDEST>(p.out[i].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
          store_as<decltype(element)>(i, y[i], store);
        });
  }

  /// Converts results of output i to its type, and stores them.
  template <class T, int COUNT, class Store>
  CUTE_DEVICE static void store_as(int i, Vector<C> const (&y)[COUNT], Store const& store) {
    Vector<T> results[COUNT];
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < COUNT; ++u) results[u] = convert<T>(y[u]);
    store(i, results);
  }

  /// Outputs y of the functor on inputs x, for COUNT vectors of each.
  template <int COUNT> CUTE_DEVICE static void apply(ElementwiseParams const& p,
                                                     Vector<Input> const (&x)[INPUTS][COUNT],
                                                     Vector<C> (&y)[OUTPUTS][COUNT]) {
    C scalars[max_elementwise_scalars];
    read_scalars(p, scalars);
    Functions::template with_function<Config>(
        p, [&](auto function) CUTLASS_LAMBDA_FUNC_INLINE { apply(function, scalars, x, y); });
  }
  template <class Function, int COUNT>
  CUTE_DEVICE static void apply(Function const& function, C const (&scalars)[max_elementwise_scalars],
                                Vector<Input> const (&x)[INPUTS][COUNT], Vector<C> (&y)[OUTPUTS][COUNT]) {
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < COUNT; ++u) {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) {
        C in[INPUTS], out[OUTPUTS];
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < INPUTS; ++i) in[i] = C(x[i][u][v]);
        function(in, scalars, out);
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < OUTPUTS; ++i) y[i][u][v] = out[i];
      }
    }
  }

  /// Loads a vector that is aligned, all at once.
  template <class T> CUTE_DEVICE static void load_whole(T const* from, Vector<T>& x) {
    using Bits = uint_bit_t<sizeof_bits_v<T>>;
    Tensor gX = make_tensor(make_gmem_ptr(reinterpret_cast<Bits const*>(from)), Int<VEC>{});  // (VEC)
    Tensor rX = make_tensor(reinterpret_cast<Bits*>(&x), Int<VEC>{});                         // (VEC)
    copy(Copy_Atom<UniversalCopy<uint_bit_t<VEC * sizeof_bits_v<Bits>>>, Bits>{}, gX, rX);
  }

  /// Stores a vector in the same way.
  template <class T> CUTE_DEVICE static void store_whole(Vector<T> const& x, T* to) {
    using Bits = uint_bit_t<sizeof_bits_v<T>>;
    Tensor rD = make_tensor(reinterpret_cast<Bits const*>(&x), Int<VEC>{});           // (VEC)
    Tensor gD = make_tensor(make_gmem_ptr(reinterpret_cast<Bits*>(to)), Int<VEC>{});  // (VEC)
    copy(Copy_Atom<UniversalCopy<uint_bit_t<VEC * sizeof_bits_v<Bits>>>, Bits>{}, rD, gD);
  }

  /// Loads a vector, of which the first `left` elements are inside; `whole`: all of them, and aligned.
  template <class T> CUTE_DEVICE static void load(T const* from, int64_t left, bool whole, Vector<T>& x) {
    using Bits = uint_bit_t<sizeof_bits_v<T>>;
    Tensor gX = make_tensor(make_gmem_ptr(reinterpret_cast<Bits const*>(from)), Int<VEC>{});  // (VEC)
    Tensor rX = make_tensor(reinterpret_cast<Bits*>(&x), Int<VEC>{});                         // (VEC)
    if (whole) {
      load_whole(from, x);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        if (v < left) rX(v) = gX(v);
    }
  }

  /// Stores a vector in the same way.
  template <class T> CUTE_DEVICE static void store(Vector<T> const& x, T* to, int64_t left, bool whole) {
    using Bits = uint_bit_t<sizeof_bits_v<T>>;
    Tensor rD = make_tensor(reinterpret_cast<Bits const*>(&x), Int<VEC>{});           // (VEC)
    Tensor gD = make_tensor(make_gmem_ptr(reinterpret_cast<Bits*>(to)), Int<VEC>{});  // (VEC)
    if (whole) {
      store_whole(x, to);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        if (v < left) gD(v) = rD(v);
    }
  }

 private:
  /// Rows of two whole vectors or more, a stride below 2^32 apart in each operand, with fewer than 2^31 vectors in all: so what is divided and
  /// multiplied has 32 bits, and the divisor has a multiplier (see Divider).
  CUTE_DEVICE static void run_whole_rows(ElementwiseParams const& p) {
    uint32_t row[UNROLL], column[UNROLL];
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < UNROLL; ++u) {
      uint32_t number = blockIdx.x * uint32_t(Config.block_vectors()) + u * THREADS + threadIdx.x;
      row[u] = p.row_vectors.multiplied(number);
      column[u] = number - row[u] * uint32_t(p.row_vectors.divisor);
    }
    auto at = [&](ElementwiseOperand const& operand, int u) CUTLASS_LAMBDA_FUNC_INLINE {
      return uint64_t(uint32_t(operand.strides[max_rank - 2])) * row[u] + uint64_t(column[u]) * VEC;
    };
    run_whole(p, at, at);
  }

  /// Where paths meet, of vectors that are cut off and of whole ones or of elements of several sizes, the compiler would go on with single
  /// elements, or with copies, for which it waits.
  template <class T> CUTE_DEVICE static void keep_whole(Vector<T>& x) {
    using Bits = uint_bit_t<sizeof_bits_v<T>>;
    if constexpr (sizeof(T) < sizeof(uint32_t) && VEC * sizeof(T) % sizeof(uint32_t) == 0) {
      Tensor rX = make_tensor(reinterpret_cast<Bits*>(&x), Int<VEC>{});  // (VEC)
      Tensor words = recast<uint32_t>(rX);                               // (VEC * sizeof(T) / 4)
      warpgroup_fence_operand(words);
    }
  }

  /// From an index of the innermost dimension to elements.
  CUTE_DEVICE static int64_t along_row(ElementwiseOperand const& operand, int64_t index) {
    int64_t stride = operand.strides[max_rank - 1];
    if constexpr (Config.access == Access::rows) return stride == 0 ? 0 : index;
    return index * stride;
  }

  /// Where the vector `distance` elements after `from` lies, unless that is in another row.
  CUTE_DEVICE static bool follows(ElementwiseParams const& p, Place const& from, int64_t distance, Place& place) {
    if (from.left <= distance) return false;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i) place.in[i] = from.in[i] + along_row(p.in[i], distance);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < OUTPUTS; ++i) place.out[i] = from.out[i] + along_row(p.out[i], distance);
    place.left = from.left - distance;
    return true;
  }

  template <int COUNT> CUTE_DEVICE static bool all_whole(Place const (&place)[COUNT]) {
    bool whole = true;
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < COUNT; ++u) whole = whole && place[u].left >= VEC;
    return whole;
  }

  /// Takes vector `number` apart into coordinates.
  CUTE_DEVICE static Place locate(ElementwiseParams const& p, int64_t number) {
    Place place;
    bool inside = number < p.vectors;
    if (!inside) number = 0;
    if (p.vectors < int64_t(1) << 31)
      set_coordinates(p, int32_t(number), place);
    else
      set_coordinates(p, number, place);
    if (!inside) place.left = 0;
    return place;
  }

  template <class Index>
  CUTE_DEVICE static void set_coordinates(ElementwiseParams const& p, Index number, Place& place) {
    Index row = p.row_vectors.quotient(number);
    int64_t column = int64_t(number - row * Index(p.row_vectors.divisor)) * VEC;
    place.left = p.row - column;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i) place.in[i] = along_row(p.in[i], column);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < OUTPUTS; ++i) place.out[i] = along_row(p.out[i], column);
    auto add = [&](int d, int64_t coordinate) CUTLASS_LAMBDA_FUNC_INLINE {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < INPUTS; ++i) place.in[i] += coordinate * p.in[i].strides[d];
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < OUTPUTS; ++i) place.out[i] += coordinate * p.out[i].strides[d];
    };
    if (p.first_dimension < max_rank - 1) for_each_coordinate(p.sizes, p.first_dimension, max_rank - 2, row, add);
  }

  /// Whether the block is one of the first that have room, so that what it loads may as well be on its way to the L2 already.
  CUTE_DEVICE static bool may_have_to_wait(ElementwiseParams const& p) { return int(blockIdx.x) < p.waiting_blocks; }

  /// Has the L2 fetch what this thread will load. That may be done before the preceding grids have ended, since what they still write
  /// goes through the L2 as well.
  CUTE_DEVICE static void prefetch_inputs(ElementwiseParams const& p, Place const (&place)[UNROLL]) {
    if constexpr (Config.access != Access::strided) {
      if (!may_have_to_wait(p)) return;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < INPUTS; ++i)
        if (i < p.inputs) {
          auto from = static_cast<uint8_t const*>(p.in[i].data);
          CUTLASS_PRAGMA_UNROLL
          for (int u = 0; u < UNROLL; ++u)
            if (place[u].left > 0) prefetch(from + place[u].in[i] * p.in[i].element_bytes);
        }
    }
  }

  template <int COUNT, class Load>
  CUTE_DEVICE static void load_inputs(ElementwiseParams const& p, Load const& load, Vector<Input> (&x)[INPUTS][COUNT]) {
    if constexpr (INPUTS > 1)
      if (!p.inputs_alike) return load_mixed_inputs(p, load, x);
    with_element<C, WIDEST>(p.in[0].dtype,
                            [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE { load_as<decltype(element)>(p, load, x); });
  }

  /// Loads inputs that all have the type T, then converts them: all loads are under way together.
  template <class T, int COUNT, class Load>
  CUTE_DEVICE static void load_as(ElementwiseParams const& p, Load const& load, Vector<Input> (&x)[INPUTS][COUNT]) {
    Vector<T> loaded[INPUTS][COUNT];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i)
      if (is_there<T>(p, i)) load(i, loaded[i]);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i)
      if (is_there<T>(p, i)) convert_input(loaded[i], x[i]);
  }

  /// Whether there is an input i. Of none, the first one is said to be Boolean, so that the others need not ask.
  template <class T> CUTE_DEVICE static bool is_there(ElementwiseParams const& p, int i) {
    return INPUTS == 2 || (i == 0 && (INPUTS > 1 || !is_same_v<T, Boolean>)) || i < p.inputs;
  }

  /// Inputs of several dtypes: loaded by their elements' size, so that no load waits for another input's conversion.
  template <int COUNT, class Load> CUTE_DEVICE static void load_mixed_inputs(ElementwiseParams const& p,
                                                                             Load const& load,
                                                                             Vector<Input> (&x)[INPUTS][COUNT]) {
    struct {
      alignas(16) uint8_t bytes[COUNT][VEC * WIDEST];
    } loaded[INPUTS];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i)
      if (i < p.inputs)
        with_element_bits<WIDEST>(p.in[i].element_bytes, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
          auto& vectors = reinterpret_cast<Vector<decltype(element)>(&)[COUNT]>(loaded[i]);
          load(i, vectors);
          CUTLASS_PRAGMA_UNROLL
          for (int u = 0; u < COUNT; ++u) keep_whole(vectors[u]);
        });
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i)
      if (i < p.inputs)
        with_element<C, WIDEST>(p.in[i].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
          convert_input(reinterpret_cast<Vector<decltype(element)>(&)[COUNT]>(loaded[i]), x[i]);
        });
  }

  /// Issues the loads of input i, whose elements have the size of T's.
  template <class T, int COUNT> CUTE_DEVICE static void load_input(ElementwiseParams const& p, int i,
                                                                   Place const (&place)[COUNT], Vector<T> (&x)[COUNT]) {
    T const* from = static_cast<T const*>(p.in[i].data);
    bool whole = all_whole(place);
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < COUNT; ++u) {
      if (Config.access == Access::rows && p.in[i].strides[max_rank - 1] == 0) {
        if (place[u].left > 0) x[u].fill(from[place[u].in[i]]);
      } else {
        load(from + place[u].in[i], place[u].left, whole, x[u]);
      }
      keep_whole(x[u]);
    }
  }

  /// Stores output i.
  template <class T, int COUNT> CUTE_DEVICE static void store_output(ElementwiseParams const& p, int i,
                                                                     Place const (&place)[COUNT],
                                                                     Vector<T> const (&y)[COUNT]) {
    T* to = static_cast<T*>(p.out[i].data);
    bool whole = all_whole(place);
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < COUNT; ++u) {
      Vector<T> result = y[u];
      keep_whole(result);
      store(result, to + place[u].out[i], place[u].left, whole);
    }
  }

  template <class T, int COUNT>
  CUTE_DEVICE static void convert_input(Vector<T> const (&from)[COUNT], Vector<Input> (&to)[COUNT]) {
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < COUNT; ++u) to[u] = convert<Input>(from[u]);
  }
};

}  // namespace ckl::device
