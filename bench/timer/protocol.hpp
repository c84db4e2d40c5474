#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "timer/statistics.hpp"

namespace ckl::bench {

class Kernels;

/// The state in which a GPU is measured; results of different regimes are never mixed.
enum class Regime {
  cold,       ///< One sample at a time with a rest after it; operands are not in the L2.
  sustained,  ///< Back to back until the power limit governs the clock.
};

const char* name(Regime regime);

/// How much GPU time a row may take.
enum class Effort {
  selection,  ///< Enough to rank algorithms.
  quick,
  full,
};

/// Enqueues one call of an implementation on buffers number `set`.
using Launch = std::function<void(std::size_t set, cudaStream_t stream)>;

/// The samples of one implementation. Sample i of every implementation of a row was taken in round i.
struct Samples {
  std::vector<double> all_us;    ///< Time per call, every sample.
  std::vector<double> round_us;  ///< Time per call, mean of the two samples of each round.
  double host_us = 0;            ///< Host time of one call, median.
};

/// Times `launches` against each other: in each round every implementation once in order and once in reverse order
/// (A B B A), so that drift cancels. Buffers `0 .. sets - 1` are used in turn; together they must be at least four
/// times as large as the L2. Every launch must have run once before.
std::vector<Samples> time_interleaved(const std::vector<Launch>& launches, std::size_t sets, Regime regime,
                                      Effort effort, const Kernels& kernels);

/// Host time of one call of `launch`, which takes the GPU about `call_us`: median of a few calls that do not wait for the GPU.
double host_time_us(const Launch& launch, std::size_t sets, double call_us);

/// The index of the fastest of `launches`.
std::size_t fastest(const std::vector<Launch>& launches, std::size_t sets, const Kernels& kernels);

}  // namespace ckl::bench
