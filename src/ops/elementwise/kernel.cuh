#pragma once

// Elementwise operators: every thread loads vectors of the inputs, applies the functor in f32, and stores a vector.

#include <cute/tensor.hpp>

#include "device/numeric.cuh"
#include "ops/elementwise/config.hpp"
#include "ops/elementwise/params.hpp"

namespace ckl::device {

using namespace cute;
using cute::Tensor;  // not ckl::Tensor

/// The functors: `operator()` on f32 values, and which inputs are read at all.
template <ElementwiseOp> struct ElementwiseFunctor;
template <> struct ElementwiseFunctor<ElementwiseOp::add> {
  CUTE_DEVICE explicit ElementwiseFunctor(ElementwiseParams const&) {}
  CUTE_DEVICE bool reads_inputs() const { return true; }
  CUTE_DEVICE float operator()(float const (&x)[max_elementwise_inputs]) const { return x[0] + x[1]; }
};
template <> struct ElementwiseFunctor<ElementwiseOp::scale> {
  float scalar;
  CUTE_DEVICE explicit ElementwiseFunctor(ElementwiseParams const& p) : scalar(p.scalar) {}
  CUTE_DEVICE bool reads_inputs() const { return scalar != 0.0f; }
  CUTE_DEVICE float operator()(float const (&x)[max_elementwise_inputs]) const {
    return reads_inputs() ? scalar * x[0] : 0.0f;
  }
};

template <ElementwiseConfig Config> struct ElementwiseKernel {
  using T = Element<Config.dtype>;
  using Functor = ElementwiseFunctor<Config.op>;
  static constexpr int inputs = input_count(Config.op);
  static constexpr int VEC = Config.vector(), UNROLL = ElementwiseConfig::unroll, THREADS = ElementwiseConfig::threads;
  using Vector = Copy_Atom<UniversalCopy<uint_bit_t<VEC * sizeof_bits_v<T>>>, T>;
  static_assert(Config.valid);

  CUTE_DEVICE static void run(ElementwiseParams const& p) {
    if constexpr (Config.access == Access::flat)
      run_flat(p);
    else if (p.vectors < int64_t(1) << 31)
      run_rows<int32_t>(p);
    else
      run_rows<int64_t>(p);
  }

 private:
  /// Applies the functor to vectors of the inputs.
  template <class Inputs, class Output>
  CUTE_DEVICE static void apply(Functor const& functor, Inputs const& rX, Output& rD) {
    CUTLASS_PRAGMA_UNROLL
    for (int v = 0; v < size(rD); ++v) {
      float x[max_elementwise_inputs] = {};
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < inputs; ++i) x[i] = float(rX(v, i));
      rD(v) = T(functor(x));
    }
  }

  /// One dense run: a block takes UNROLL vectors a thread, all loaded before the first is used.
  CUTE_DEVICE static void run_flat(ElementwiseParams const& p) {
    constexpr int BLK = THREADS * VEC * UNROLL;
    Functor functor(p);
    int64_t first = int64_t(blockIdx.x) * BLK;
    auto tiled = make_tiled_copy(Vector{}, Layout<Int<THREADS>>{}, Layout<Int<VEC>>{});
    auto slice = tiled.get_slice(threadIdx.x);
    Tensor gD = make_tensor(make_gmem_ptr(static_cast<T*>(p.out) + first), Int<BLK>{});  // (BLK)
    Tensor tDgD = slice.partition_D(gD);                                                 // (VEC, UNROLL)
    Tensor rX = make_tensor<T>(make_shape(Int<VEC>{}, Int<UNROLL>{}, Int<inputs>{}));    // (VEC, UNROLL, INPUT)
    Tensor rD = make_tensor<T>(make_shape(Int<VEC>{}, Int<UNROLL>{}));                   // (VEC, UNROLL)
    auto input = [&](int i) CUTLASS_LAMBDA_FUNC_INLINE {
      return make_tensor(make_gmem_ptr(static_cast<T const*>(p.in[i]) + first), Int<BLK>{});  // (BLK)
    };

    if (p.row - first >= BLK) {
      if (functor.reads_inputs()) {
        CUTLASS_PRAGMA_UNROLL
        for (int i = 0; i < inputs; ++i) copy(tiled, slice.partition_S(input(i)), rX(_, _, i));
      }
      CUTLASS_PRAGMA_UNROLL
      for (int u = 0; u < UNROLL; ++u) {
        Tensor rDu = rD(_, u);  // (VEC)
        apply(functor, rX(_, u, _), rDu);
      }
      copy(tiled, rD, tDgD);
      return;
    }
    // The last block: element by element.
    int left = int(p.row - first);
    for (int j = threadIdx.x; j < left; j += THREADS) {
      float x[max_elementwise_inputs] = {};
      if (functor.reads_inputs())
        for (int i = 0; i < inputs; ++i) x[i] = float(input(i)(j));
      gD(j) = T(functor(x));
    }
  }

  /// One vector a thread, anywhere: the linear vector number is taken apart into coordinates.
  template <class Index> CUTE_DEVICE static void run_rows(ElementwiseParams const& p) {
    int64_t number = int64_t(blockIdx.x) * THREADS + threadIdx.x;
    if (number >= p.vectors) return;
    Functor functor(p);

    Index rest = p.row_vectors.quotient(Index(number));
    int64_t column = (number - int64_t(rest) * p.row_vectors.divisor) * VEC;
    int64_t out_offset = column * p.out_strides[max_rank - 1];
    int64_t in_offset[inputs];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < inputs; ++i) in_offset[i] = column * p.in_strides[i][max_rank - 1];
    CUTLASS_PRAGMA_UNROLL
    for (int d = max_rank - 2; d >= 0; --d) {
      Index outer = p.sizes[d].quotient(rest);
      int64_t coordinate = rest - outer * Index(p.sizes[d].divisor);
      rest = outer;
      out_offset += coordinate * p.out_strides[d];
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < inputs; ++i) in_offset[i] += coordinate * p.in_strides[i][d];
    }

    Tensor rX = make_tensor<T>(make_shape(Int<VEC>{}, Int<inputs>{}));                        // (VEC, INPUT)
    Tensor rD = make_tensor<T>(Int<VEC>{});                                                   // (VEC)
    Tensor gD = make_tensor(make_gmem_ptr(static_cast<T*>(p.out) + out_offset), Int<VEC>{});  // (VEC)
    bool whole = column + VEC <= p.row;
    if (functor.reads_inputs()) {
      CUTLASS_PRAGMA_UNROLL
      for (int i = 0; i < inputs; ++i) {
        T const* from = static_cast<T const*>(p.in[i]) + in_offset[i];
        int64_t step = p.in_strides[i][max_rank - 1];
        Tensor gX = make_tensor(make_gmem_ptr(from), Int<VEC>{});  // (VEC)
        Tensor rXi = rX(_, i);                                     // (VEC)
        if (VEC > 1 && step == 0)
          fill(rXi, *from);
        else if (whole)
          copy(Vector{}, gX, rXi);
        else
          for (int v = 0; v < VEC; ++v)
            if (column + v < p.row) rXi(v) = gX(v);
      }
    }
    apply(functor, rX, rD);
    if (whole)
      copy(Vector{}, rD, gD);
    else
      for (int v = 0; v < VEC; ++v)
        if (column + v < p.row) gD(v) = rD(v);
  }
};

}  // namespace ckl::device

/// One entry of a module: the kernel for the config that NAME spells.
#define CKL_ELEMENTWISE_ENTRY(NAME)                                                    \
  extern "C" __global__ void __launch_bounds__(ckl::ElementwiseConfig::threads)        \
      ckl_elementwise_##NAME(__grid_constant__ ckl::ElementwiseParams const params) {  \
    ckl::device::ElementwiseKernel<ckl::parse_elementwise_config(#NAME)>::run(params); \
  }
