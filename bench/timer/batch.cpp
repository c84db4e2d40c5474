#include "timer/batch.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "timer/cuda.hpp"

namespace ckl::bench {
namespace {

/// A graph this long in time is replayed rather than made longer, which keeps its making short.
constexpr double graph_us = 1000;

std::size_t ceil_ratio(double x, double y) { return std::size_t(std::max(1.0, std::ceil(x / y))); }

/// The graph that `enqueue` describes.
template <class Enqueue> cudaGraphExec_t capture(cudaStream_t stream, const Enqueue& enqueue) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph = nullptr;
  try {
    enqueue();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);  // the stream must be usable again; the graph is lost anyway
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t code = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(code, "cudaGraphInstantiate");
  check(cudaGraphUpload(executable, stream), "cudaGraphUpload");
  return executable;
}

}  // namespace

Batch Batch::of_launches(const Launch& launch, std::size_t sets, double call_us, double sample_us) {
  Batch batch;
  batch.launch_ = launch;
  batch.sets_ = sets;
  batch.calls_ = ceil_ratio(sample_us, call_us);
  return batch;
}

Batch Batch::of_graph(const Launch& launch, std::size_t sets, double call_us, double sample_us, cudaStream_t stream) {
  Batch batch;
  batch.calls_ = sets * ceil_ratio(std::min(sample_us, graph_us), call_us * double(sets));
  batch.repeats_ = ceil_ratio(sample_us, call_us * double(batch.calls_));
  batch.graph_ = capture(stream, [&] {
    for (std::size_t call = 0; call < batch.calls_; ++call) launch(call % sets, stream);
  });
  return batch;
}

Batch::Batch(Batch&& other) noexcept
    : launch_(std::move(other.launch_)),
      sets_(other.sets_),
      next_set_(other.next_set_),
      calls_(other.calls_),
      repeats_(other.repeats_),
      graph_(std::exchange(other.graph_, nullptr)),
      duration_us_(other.duration_us_),
      enqueue_us_(other.enqueue_us_) {}

Batch::~Batch() {
  if (graph_) cudaGraphExecDestroy(graph_);
}

void Batch::enqueue(cudaStream_t stream) {
  if (graph_) {
    for (std::size_t i = 0; i < repeats_; ++i) check(cudaGraphLaunch(graph_, stream), "cudaGraphLaunch");
    return;
  }
  for (std::size_t call = 0; call < calls_; ++call) launch_(next_set_++ % sets_, stream);
}

void Batch::warm_up(cudaStream_t stream) {
  for (int i = 0; i < 2; ++i) {  // the first run of a graph also uploads it
    Event start, stop;
    start.record(stream);
    const auto before = std::chrono::steady_clock::now();
    enqueue(stream);
    enqueue_us_ = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - before).count();
    stop.record(stream);
    stop.synchronize();
    duration_us_ = stop.microseconds_since(start);
  }
}

}  // namespace ckl::bench
