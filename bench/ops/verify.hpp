#pragma once

/// @file
/// How operators that the oracle in reference/ judges as a whole verify an implementation.

#include <cstddef>
#include <initializer_list>

#include "ops/memory.hpp"
#include "ops/operator.hpp"
#include "reference/reference.hpp"

namespace ckl::bench {

/// An output in device memory, null where the problem has none.
struct Output {
  void* data;
  std::size_t bytes;
};

/// Poisons the outputs with NaN, and runs the implementation on the first set of operands.
inline void run_poisoned(const Implementation& implementation, std::initializer_list<Output> outputs) {
  for (const Output& out : outputs)
    if (out.data) check(cudaMemset(out.data, 0xff, out.bytes), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaMemset");
  Stream stream;
  implementation.launch(0, stream);
  stream.synchronize();
}

inline Verdict verdict_of(const reference::Comparison& comparison) {
  return {comparison.passed(), comparison.error, comparison.bound, comparison.first_wrong};
}

/// What the arithmetic of `implementation` is granted: ours what the library documents, others what f32 gives, whatever the rows' type.
inline double tolerance_of(const Implementation& implementation, double documented) {
  return implementation.ours ? documented : reference::f32_tolerance;
}

}  // namespace ckl::bench
