#pragma once

// Which of several blocks is the last to finish. Raw CUDA, as in arch.cuh; apart from it, so that what GEMM's modules are made of does
// not change with it.

#include <cute/config.hpp>

namespace ckl::device {

/// Draws a number from *tickets, 0 for the first. What the calling thread wrote before, whoever draws a later number sees after
/// (fence.acq_rel.gpu before and after atom.relaxed.gpu).
CUTE_DEVICE int draw_ticket(int* tickets) {
  __threadfence();
  int number = atomicAdd(tickets, 1);
  __threadfence();
  return number;
}

}  // namespace ckl::device
