#pragma once

// Reductions by a monoid from outside of the library: what its source includes, and what it has to look like.
//
//   struct Outliers {
//     using Params = OutliersParams;              // trivially copyable, at most 256 bytes; each run of a plan hands them over
//     struct State { double sum; int count; };    // what crosses threads and blocks: trivially copyable, at most 16 bytes, 4 at a time
//     static constexpr State identity{0, 0};      // of the operator below
//     static constexpr float neutral = 0;         // an element that changes nothing, for places beyond the end
//
//     CUTE_DEVICE explicit Outliers(Params const&);
//     CUTE_DEVICE State of(float x, int64_t place) const;         // of one element, number `place` of its output's in C order
//     CUTE_DEVICE State operator()(State a, State b) const;       // both together; associative and commutative, up to rounding
//     CUTE_DEVICE float result(State state, int64_t count) const; // the output, of `count` elements; it is rounded to y's type
//   };
//
// Elements come as float (of f32, f16 and bf16), double, int32_t or int64_t. They are combined pairwise in a fixed order.

#include <type_traits>

#include "ops/reduce/kernel.cuh"

namespace ckl::device {

/// The user's monoid as the kernels see it.
template <class User, DType D> struct CustomMonoid : WithoutPivot {
  using T = Element<D>;
  using Exact = typename Arithmetic<D>::Exact;
  using State = typename User::State;
  using Params = typename User::Params;
  static_assert(std::is_trivially_copyable_v<State> && sizeof(State) <= 16 && sizeof(State) % 4 == 0,
                "a monoid's State must be trivially copyable and have 4, 8, 12 or 16 bytes");
  static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= max_monoid_params &&
                    alignof(Params) <= monoid_params_align,
                "a monoid's Params must be trivially copyable and have at most 256 bytes, aligned to at most 64");
  static constexpr State identity = User::identity;

  User user;

  CUTE_DEVICE static T filler(Pivot) { return T(User::neutral); }
  CUTE_DEVICE State operator()(State x, State y) const { return user(x, y); }
  template <int N, class Place> CUTE_DEVICE State of(T const (&x)[N], Pivot, Place const& place) const {
    return reduce_tree_of<N>(
        [&](int i) CUTLASS_LAMBDA_FUNC_INLINE -> State { return user.of(Exact(x[i]), int64_t(place(i))); }, user);
  }
  CUTE_DEVICE auto result(State state) const { return user.result(state, p.count); }
};

template <ReduceConfig Config, class User>
CUTE_DEVICE void run_custom_reduction(ReduceCustomParams<typename User::Params> const& p) {
  static_assert(Config.family == ReduceFamily::custom, "a monoid's configs are named custom_...");
  using Monoid = CustomMonoid<User, Config.dtype>;
  ReduceKernel<Config, Monoid>::run(p.reduce, Monoid{{p.reduce}, User(p.monoid)});
}

}  // namespace ckl::device

/// One entry of a module of the user's own.
#define CKL_REDUCE_ENTRY_WITH(NAME, MONOID)                                                    \
  CKL_REDUCE_KERNEL(ckl_reduce_##NAME, NAME, ckl::ReduceCustomParams<typename MONOID::Params>, \
                    (ckl::device::run_custom_reduction<ckl::parse_reduce_config(#NAME), MONOID>(params)))
