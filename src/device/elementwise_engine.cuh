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
  static constexpr int VEC = Config.vector, UNROLL = Config.unroll(), THREADS = ElementwiseConfig::threads;
  static constexpr int WIDEST = Config.widest();  // bytes of an element
  static constexpr bool FLAT = Config.access == Access::flat;
  static_assert(Config.inputs > 0, "no config's name");

  /// A vector of an operand, as it lies in memory or as the functor's type.
  template <class T> using Vector = cutlass::Array<T, VEC>;
  /// Inputs wait for the functor in this type: elements of a byte are f16 exactly, which takes half of the registers.
  using Input = conditional_t<WIDEST == 1 && is_same_v<C, float>, cutlass::half_t, C>;

  /// The branches on what is known at run time only - dtypes, function, whether a vector is cut off - are taken once for all of a
  /// thread's vectors: a branch takes longer than the element's arithmetic.
  CUTE_DEVICE static void run(ElementwiseParams const& p) {
    allow_next_grid();
    // From one of a thread's vectors to the next. Those of a dense run lie a grid apart: each of its parts is read in order then.
    int64_t step = FLAT ? int64_t(gridDim.x) * THREADS : THREADS;
    int64_t first = int64_t(blockIdx.x) * (FLAT ? THREADS : Config.block_vectors()) + threadIdx.x;
    Place place[UNROLL];
    place[0] = locate(p, first);
    CUTLASS_PRAGMA_UNROLL
    for (int u = 1; u < UNROLL; ++u)
      if (!follows(p, place[0], u * step * VEC, place[u])) place[u] = locate(p, first + u * step);
    prefetch_inputs(p, place);
    wait_for_preceding_grids();
    Vector<Input> x[INPUTS][UNROLL];
    Vector<C> y[OUTPUTS][UNROLL];
    load_inputs(p, place, x);
    apply<UNROLL>(p, x, y);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < OUTPUTS; ++i)
      if (i < p.outputs)
        with_element<C, WIDEST>(p.out[i].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
          using T = decltype(element);
          T* to = static_cast<T*>(p.out[i].data);
          bool whole = all_whole(place);
          CUTLASS_PRAGMA_UNROLL
          for (int u = 0; u < UNROLL; ++u) {
            Vector<T> result = convert<T>(y[i][u]);
            keep_whole(result);
            store(result, to + place[u].out[i], place[u].left, whole);
          }
        });
  }

  /// Outputs y of the functor on inputs x, for COUNT vectors of each.
  template <int COUNT> CUTE_DEVICE static void apply(ElementwiseParams const& p,
                                                     Vector<Input> const (&x)[INPUTS][COUNT],
                                                     Vector<C> (&y)[OUTPUTS][COUNT]) {
    C scalars[max_elementwise_scalars];
    read_scalars(p, scalars);
    Functions::template with_function<Config>(p, [&](auto function) CUTLASS_LAMBDA_FUNC_INLINE {
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
    });
  }

  /// Loads a vector, of which the first `left` elements are inside; `whole`: all of them, and aligned.
  template <class T> CUTE_DEVICE static void load(T const* from, int64_t left, bool whole, Vector<T>& x) {
    using Bits = uint_bit_t<sizeof_bits_v<T>>;
    Tensor gX = make_tensor(make_gmem_ptr(reinterpret_cast<Bits const*>(from)), Int<VEC>{});  // (VEC)
    Tensor rX = make_tensor(reinterpret_cast<Bits*>(&x), Int<VEC>{});                         // (VEC)
    if (whole) {
      copy(Copy_Atom<UniversalCopy<uint_bit_t<VEC * sizeof_bits_v<Bits>>>, Bits>{}, gX, rX);
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
      copy(Copy_Atom<UniversalCopy<uint_bit_t<VEC * sizeof_bits_v<Bits>>>, Bits>{}, rD, gD);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        if (v < left) gD(v) = rD(v);
    }
  }

 private:
  /// Where a vector lies: in elements from each operand's begin, and how many elements of its row there are from it on; of a dense run
  /// at most its own.
  struct Place {
    int64_t in[INPUTS], out[OUTPUTS];
    conditional_t<FLAT, int, int64_t> left;
  };

  CUTE_DEVICE static int left_of_run(ElementwiseParams const& p, int64_t at) {
    return int(cute::min(p.row - at, int64_t(VEC)));
  }

  /// Where the paths of vectors that are cut off and of whole ones meet, the compiler would go on with single elements.
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
    if (!FLAT && from.left <= distance) return false;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i) place.in[i] = from.in[i] + (FLAT ? distance : along_row(p.in[i], distance));
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < OUTPUTS; ++i) place.out[i] = from.out[i] + (FLAT ? distance : along_row(p.out[i], distance));
    if constexpr (FLAT)
      place.left = left_of_run(p, place.out[0]);
    else
      place.left = from.left - distance;
    return true;
  }

  CUTE_DEVICE static bool all_whole(Place const (&place)[UNROLL]) {
    bool whole = true;
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < UNROLL; ++u) whole = whole && place[u].left >= VEC;
    return whole;
  }

  /// Takes vector `number` apart into coordinates.
  CUTE_DEVICE static Place locate(ElementwiseParams const& p, int64_t number) {
    Place place;
    if constexpr (FLAT) {
      int64_t at = number * VEC;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < INPUTS; ++i) place.in[i] = at;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < OUTPUTS; ++i) place.out[i] = at;
      place.left = left_of_run(p, at);
      return place;
    }
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

  /// Has the L2 fetch what this thread will load. That may be done before the preceding grids have ended, since what they still write
  /// goes through the L2 as well.
  CUTE_DEVICE static void prefetch_inputs(ElementwiseParams const& p, Place const (&place)[UNROLL]) {
    if constexpr (Config.access != Access::strided) {
      if (int(blockIdx.x) >= p.waiting_blocks) return;
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

  CUTE_DEVICE static void load_inputs(ElementwiseParams const& p, Place const (&place)[UNROLL],
                                      Vector<Input> (&x)[INPUTS][UNROLL]) {
    if constexpr (INPUTS > 1)
      if (!p.inputs_alike) return load_mixed_inputs(p, place, x);
    with_element<C, WIDEST>(p.in[0].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
      Vector<decltype(element)> loaded[INPUTS][UNROLL];
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < INPUTS; ++i)
        if (i < p.inputs) load_input(p, i, place, loaded[i]);
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < INPUTS; ++i)
        if (i < p.inputs) convert_input(loaded[i], x[i]);
    });
  }

  /// Inputs of several dtypes: loaded by their elements' size, so that no load waits for another input's conversion.
  CUTE_DEVICE static void load_mixed_inputs(ElementwiseParams const& p, Place const (&place)[UNROLL],
                                            Vector<Input> (&x)[INPUTS][UNROLL]) {
    struct {
      alignas(16) uint8_t bytes[UNROLL][VEC * WIDEST];
    } loaded[INPUTS];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i)
      if (i < p.inputs)
        with_element_bits<WIDEST>(p.in[i].element_bytes, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
          load_input(p, i, place, reinterpret_cast<Vector<decltype(element)>(&)[UNROLL]>(loaded[i]));
        });
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i)
      if (i < p.inputs)
        with_element<C, WIDEST>(p.in[i].dtype, [&](auto element) CUTLASS_LAMBDA_FUNC_INLINE {
          convert_input(reinterpret_cast<Vector<decltype(element)>(&)[UNROLL]>(loaded[i]), x[i]);
        });
  }

  /// Issues the loads of input i, whose elements have the size of T's.
  template <class T> CUTE_DEVICE static void load_input(ElementwiseParams const& p, int i, Place const (&place)[UNROLL],
                                                        Vector<T> (&x)[UNROLL]) {
    T const* from = static_cast<T const*>(p.in[i].data);
    bool whole = all_whole(place);
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < UNROLL; ++u) {
      if (Config.access == Access::rows && p.in[i].strides[max_rank - 1] == 0) {
        if (place[u].left > 0) x[u].fill(from[place[u].in[i]]);
      } else {
        load(from + place[u].in[i], place[u].left, whole, x[u]);
      }
    }
  }

  template <class T> CUTE_DEVICE static void convert_input(Vector<T> (&from)[UNROLL], Vector<Input> (&to)[UNROLL]) {
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < UNROLL; ++u) {
      keep_whole(from[u]);
      to[u] = convert<Input>(from[u]);
    }
  }
};

}  // namespace ckl::device
