#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

namespace ckl::bench {

/// A fixed number of calls over rotated buffers, enqueued as a whole: what one sample times. Either plain launches
/// or, for short kernels, a CUDA graph of them.
class Batch {
 public:
  using Launch = std::function<void(std::size_t set, cudaStream_t stream)>;

  /// At least `sample_us` of calls that take about `call_us` each, launched one by one.
  static Batch of_launches(const Launch& launch, std::size_t sets, double call_us, double sample_us);

  /// The same as a graph. It holds every buffer set equally often, so that each replay finds its first operands
  /// evicted by its last ones.
  static Batch of_graph(const Launch& launch, std::size_t sets, double call_us, double sample_us, cudaStream_t stream);

  ~Batch();
  Batch(Batch&&) noexcept;
  Batch& operator=(Batch&&) = delete;

  /// Puts all calls on `stream`.
  void enqueue(cudaStream_t stream);

  /// Runs it once, and learns how long it takes and how long enqueuing it takes.
  void warm_up(cudaStream_t stream);

  std::size_t calls() const { return calls_ * repeats_; }
  double duration_us() const { return duration_us_; }  ///< As warm_up() saw it.
  double enqueue_us() const { return enqueue_us_; }    ///< As warm_up() saw it.

 private:
  Batch() = default;

  Launch launch_;
  std::size_t sets_ = 1;
  std::size_t next_set_ = 0;
  std::size_t calls_ = 1;    ///< In the graph, or launched one by one.
  std::size_t repeats_ = 1;  ///< Of the graph.
  cudaGraphExec_t graph_ = nullptr;
  double duration_us_ = 0;
  double enqueue_us_ = 0;
};

}  // namespace ckl::bench
