#pragma once

// The elementwise engine: every thread loads vectors of the inputs, converts them to the functor's type, applies the functor, converts
// its results to the outputs' types and stores vectors. All of a thread's loads are issued before the first is used.

#include <cute/tensor.hpp>

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

/// `Functions` says what is computed: with_function<Config>(function, body) calls body(f) with the functor that the number stands for, and
/// f(x, s, y) computes the outputs y[] of one element from its inputs x[] and the scalars s[], all of type float or int64_t.
template <ElementwiseConfig Config, class Functions> struct ElementwiseEngine {
  using C = conditional_t<Config.compute == Compute::f32, float, int64_t>;
  static constexpr int INPUTS = Config.inputs, OUTPUTS = Config.outputs();
  static constexpr int VEC = Config.vector, UNROLL = Config.unroll(), THREADS = ElementwiseConfig::threads;
  static constexpr int WIDEST = Config.widest();               // bytes of an element
  static constexpr int WORDS = cute::max(1, VEC* WIDEST / 4);  // of 4 bytes, for a vector of any dtype
  static constexpr bool FLAT = Config.access == Access::flat;
  static_assert(Config.inputs > 0, "no config's name");

  CUTE_DEVICE static void run(ElementwiseParams const& p) {
    if (FLAT || p.vectors >= int64_t(1) << 31)
      run<int64_t>(p);
    else
      run<int32_t>(p);
  }

  /// Where a vector lies: in elements from each operand's begin, and how many of its elements there are.
  struct Place {
    int64_t in[INPUTS], out[OUTPUTS];
    int count;
  };

  template <class Index> CUTE_DEVICE static void run(ElementwiseParams const& p) {
    int64_t first = int64_t(blockIdx.x) * Config.block_vectors() + threadIdx.x;
    Place place[UNROLL];
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < UNROLL; ++u) place[u] = locate<Index>(p, first + u * THREADS);

    Tensor rX = make_tensor<uint32_t>(Shape<Int<WORDS>, Int<UNROLL>, Int<INPUTS>>{});  // (WORDS, UNROLL, INPUT)
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i)
      if (i < p.inputs)
        with_element_bits<WIDEST>(p.in[i].dtype, [&](auto element) {
          CUTLASS_PRAGMA_UNROLL
          for (int u = 0; u < UNROLL; ++u) load(element, p.in[i], place[u].in[i], place[u].count, rX(_, u, i));
        });
    CUTLASS_PRAGMA_UNROLL
    for (int u = 0; u < UNROLL; ++u) compute(p, place[u], rX(_, u, _));
  }

  /// Takes vector `number` apart into coordinates.
  template <class Index> CUTE_DEVICE static Place locate(ElementwiseParams const& p, int64_t number) {
    Place place;
    if constexpr (FLAT) {
      int64_t at = number * VEC;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < INPUTS; ++i) place.in[i] = at;
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < OUTPUTS; ++i) place.out[i] = at;
      place.count = int(cute::max(int64_t(0), cute::min(p.row - at, int64_t(VEC))));
      return place;
    }
    bool inside = number < p.vectors;
    Index rest = p.row_vectors.quotient(Index(inside ? number : 0));
    int64_t column = ((inside ? number : 0) - int64_t(rest) * p.row_vectors.divisor) * VEC;
    place.count = inside ? int(cute::min(p.row - column, int64_t(VEC))) : 0;
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i) place.in[i] = column * p.in[i].strides[max_rank - 1];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < OUTPUTS; ++i) place.out[i] = column * p.out[i].strides[max_rank - 1];
    auto add = [&](int d, int64_t coordinate) CUTLASS_LAMBDA_FUNC_INLINE {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < INPUTS; ++i) place.in[i] += coordinate * p.in[i].strides[d];
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < OUTPUTS; ++i) place.out[i] += coordinate * p.out[i].strides[d];
    };
    if (p.first_dimension < max_rank - 1) for_each_coordinate(p.sizes, p.first_dimension, max_rank - 2, rest, add);
    return place;
  }

  /// Only tiles are used where vectors are not aligned.
  CUTE_DEVICE static bool may_use_vectors(ElementwiseOperand const& operand) {
    return Config.access != Access::tiles || operand.aligned;
  }

  /// Loads a vector of elements of the size of `Bits`, as they are.
  template <class Bits, class Words>
  CUTE_DEVICE static void load(Bits, ElementwiseOperand const& operand, int64_t offset, int count, Words&& words) {
    Bits const* from = static_cast<Bits const*>(operand.data) + offset;
    Tensor gX = make_tensor(make_gmem_ptr(from), Int<VEC>{});             // (VEC)
    Tensor rX = make_tensor(recast_ptr<Bits>(words.data()), Int<VEC>{});  // (VEC)
    if (Config.access == Access::rows && operand.strides[max_rank - 1] == 0) {
      if (count > 0) fill(rX, *from);
    } else if (count == VEC && may_use_vectors(operand)) {
      copy(Copy_Atom<UniversalCopy<uint_bit_t<VEC * sizeof_bits_v<Bits>>>, Bits>{}, gX, rX);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        if (v < count) rX(v) = gX(v);
    }
  }

  /// Applies the functor to one vector of each input, and stores one of each output.
  template <class Words>
  CUTE_DEVICE static void compute(ElementwiseParams const& p, Place const& place, Words const& rX) {
    cutlass::Array<C, VEC> x[INPUTS], y[OUTPUTS];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < INPUTS; ++i)
      if (i < p.inputs)
        with_element<C, WIDEST>(p.in[i].dtype, [&](auto element) {
          using T = decltype(element);
          x[i] = convert<C>(*reinterpret_cast<cutlass::Array<T, VEC> const*>(rX(_, i).data()));
        });
    C scalars[max_elementwise_scalars];
    read_scalars(p, scalars);
    Functions::template with_function<Config>(p.function, [&](auto function) {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v) {
        C in[INPUTS], out[OUTPUTS];
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < INPUTS; ++i) in[i] = x[i][v];
        function(in, scalars, out);
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < OUTPUTS; ++i) y[i][v] = out[i];
      }
    });
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < OUTPUTS; ++i)
      if (i < p.outputs)
        with_element<C, WIDEST>(p.out[i].dtype, [&](auto element) {
          using T = decltype(element);
          store(convert<T>(y[i]), static_cast<T*>(p.out[i].data) + place.out[i], place.count,
                may_use_vectors(p.out[i]));
        });
  }

  template <class T>
  CUTE_DEVICE static void store(cutlass::Array<T, VEC> const& values, T* to, int count, bool vectors) {
    using Bits = uint_bit_t<sizeof_bits_v<T>>;
    Tensor rD = make_tensor(reinterpret_cast<Bits const*>(&values), Int<VEC>{});      // (VEC)
    Tensor gD = make_tensor(make_gmem_ptr(reinterpret_cast<Bits*>(to)), Int<VEC>{});  // (VEC)
    if (count == VEC && vectors) {
      copy(Copy_Atom<UniversalCopy<uint_bit_t<VEC * sizeof_bits_v<Bits>>>, Bits>{}, rD, gD);
    } else {
      CUTLASS_PRAGMA_UNROLL
      for (int v = 0; v < VEC; ++v)
        if (v < count) gD(v) = rD(v);
    }
  }
};

}  // namespace ckl::device
