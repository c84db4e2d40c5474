#pragma once

// Elementwise functions from outside of the library: what their source includes, and what they have to look like.
//
//   struct MomentumParams {                       // plain C++, which the host sees too: trivially copyable, at most 256 bytes
//     static constexpr int inputs = 3, outputs = 2;  // 1 to 4, 1 or 2
//     float rate, momentum;
//   };
//   struct Momentum {
//     using Params = MomentumParams;              // each run of a plan hands them over
//     CUTE_DEVICE explicit Momentum(Params const&);
//     CUTE_DEVICE void operator()(float const (&x)[3], float (&y)[2]) const;  // the outputs of one element
//   };
//
// Elements come as float, whatever the tensors' dtypes are, and are rounded once to those of the outputs.

#include <type_traits>

#include "ops/elementwise/kernel.cuh"

namespace ckl::device {

/// The user's function as the engine sees it.
template <class User> struct CustomFunction {
  using Params = typename User::Params;
  static constexpr int inputs = Params::inputs, outputs = Params::outputs;
  static_assert(inputs >= 1 && inputs <= max_elementwise_inputs && outputs >= 1 && outputs <= max_elementwise_outputs,
                "a function must have 1 to 4 inputs and 1 or 2 outputs");
  static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= max_elementwise_user_params &&
                    alignof(Params) <= elementwise_user_params_align,
                "a function's Params must be trivially copyable and have at most 256 bytes, aligned to at most 64");

  template <ElementwiseConfig Config, class Body>
  CUTE_DEVICE static void with_function(ElementwiseParams const& p, Body&& body) {
    static_assert(
        Config.compute == Compute::f32 && Config.inputs == elementwise_group(inputs, outputs),
        "a function's configs are named n1_f32_... with 1 input, n2_f32_... with 2, else or with 2 outputs n4_f32_...");
    // The parameters begin with the engine's.
    body(CustomFunction{User(reinterpret_cast<ElementwiseCustomParams<Params> const&>(p).user)});
  }

  template <int INPUTS, int SCALARS, int OUTPUTS>
  CUTE_DEVICE void operator()(float const (&x)[INPUTS], float const (&)[SCALARS], float (&y)[OUTPUTS]) const {
    float in[inputs], out[outputs];
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < inputs; ++i) in[i] = x[i];
    user(in, out);
    CUTLASS_PRAGMA_UNROLL
    for (int i = 0; i < outputs; ++i) y[i] = out[i];
  }

  User user;
};

}  // namespace ckl::device

/// One entry of a module of the user's own. Its function may take more registers than the library's.
#define CKL_ELEMENTWISE_ENTRY_WITH(NAME, FUNCTION)                            \
  CKL_ELEMENTWISE_KERNEL(                                                     \
      ckl_elementwise_##NAME, ckl::parse_elementwise_config(#NAME).threads(), \
      cute::min(ckl::parse_elementwise_config(#NAME).min_blocks(), 4),        \
      ckl::ElementwiseCustomParams<typename FUNCTION::Params>,                \
      (ckl::device::ElementwiseKernel<ckl::parse_elementwise_config(#NAME),   \
                                      ckl::device::CustomFunction<FUNCTION>>::run(params.elementwise)))
