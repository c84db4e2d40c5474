// The workspaces that one-line calls take from their stream, or from the graph that is captured: shared by calls that want different parts of
// them, used again and again, by many streams and graphs at a time. The bits are those of plans with workspaces of their own.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "ckl/reduce.hpp"
#include "ckl/workspace.hpp"
#include "device_test.hpp"
#include "gemm_data.hpp"
#include "operand_buffer.hpp"
#include "workspace.hpp"

namespace ckl::test {
namespace {

/// Operators that have workspaces: boxes of one word and of several, few and many of them, and padded copies.
class Calls {
 public:
  explicit Calls(std::uint64_t seed)
      : x_(DType::f32, {640, 800}, {800, 1}),
        sum_(DType::f32, {1}, {1}),
        place_(DType::i64, {1}, {1}),
        columns_(DType::f32, {800}, {1}),
        product_(dense_gemm("odd", "", 131, 67, 135)) {
    x_.fill(seed);
    sums_ = {{ReduceOp::sum, x_.tensor(), sum_.tensor()},
             {ReduceOp::argmax, x_.tensor(), place_.tensor()},
             {ReduceOp::sum, x_.tensor(), columns_.tensor(), {0}}};
    for (ReduceArguments& all : sums_)
      if (all.axes.empty()) all.y.rank = 0;
    for (const ReduceArguments& reduction : sums_) {
      const ReducePlan plan(reduce_problem(reduction));
      EXPECT_GT(plan.workspace_bytes(), 0u) << plan.config();
      Workspace workspace(plan.workspace_bytes());
      plan.run(reduction.x.data, reduction.y.data, workspace.device());
    }
    const GemmPlan plan(product_.problem());
    EXPECT_GT(plan.workspace_bytes(), 0u) << plan.config();
    product_.run(plan);
    expected_ = results();
  }

  void launch(cudaStream_t stream) {
    for (const ReduceArguments& reduction : sums_) {
      reduce(reduction, stream);
      gemm(product_.arguments(), stream);
    }
  }

  /// Whether they are what they were at first; waits for everything, and makes them NaN.
  void check() {
    EXPECT_TRUE(results() == expected_);
    for (OperandBuffer* y : {&sum_, &place_, &columns_, &product_.d()}) y->upload();
  }

 private:
  std::vector<std::vector<std::byte>> results() const {
    return {sum_.download(), place_.download(), columns_.download(), product_.d().download()};
  }

  OperandBuffer x_, sum_, place_, columns_;
  mutable GemmData product_;
  std::vector<ReduceArguments> sums_;
  std::vector<std::vector<std::byte>> expected_;
};

using Graph = std::unique_ptr<CUgraphExec_st, decltype(&cudaGraphExecDestroy)>;

/// What `work` launches in `stream`.
Graph captured(cudaStream_t stream, const std::function<void()>& work) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CKL_CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  work();
  CKL_CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  CKL_CHECK_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  CKL_CHECK_CUDA(cudaGraphDestroy(graph));
  return {executable, &cudaGraphExecDestroy};
}

std::vector<std::unique_ptr<Calls>> calls_of(int count) {
  std::vector<std::unique_ptr<Calls>> all;
  for (int i = 0; i < count; ++i) all.push_back(std::make_unique<Calls>(std::uint64_t(i + 1)));
  return all;
}

class StreamWorkspaces : public DeviceTest {
 protected:
  const int few = short_list() ? 2 : 4, turns = short_list() ? 2 : 50;
};

TEST_F(StreamWorkspaces, StreamsAndThreadsOfTheirOwn) {
  const auto calls = calls_of(few);
  on_threads(few, [&](int i) {
    const ScopedStream stream;
    for (int turn = 0; turn < turns; ++turn) calls[i]->launch(stream);
    stream.synchronize();
  });
  for (const auto& each : calls) each->check();
}

TEST_F(StreamWorkspaces, ManyThreadsShareAStream) {
  for (const bool is_default : {false, true}) {
    const auto calls = calls_of(few);
    const ScopedStream stream;
    on_threads(few, [&](int i) {
      for (int turn = 0; turn < turns; ++turn) calls[i]->launch(is_default ? nullptr : cudaStream_t(stream));
    });
    for (const auto& each : calls) each->check();
  }
}

// More streams than are kept anything of, one after another: some get the handles of those before.
TEST_F(StreamWorkspaces, StreamsComeAndGo) {
  Calls calls(1);
  for (int i = 0; i < (short_list() ? 3 : 100); ++i) {
    const ScopedStream stream;
    calls.launch(stream);
  }
  calls.check();
}

// Of streams and graphs that are there, that are gone, and that can run again.
TEST_F(StreamWorkspaces, AreTakenAnewWhenReleased) {
  const auto calls = calls_of(3);
  const ScopedStream stream;
  const Graph graph = captured(stream, [&] { calls[0]->launch(stream); });
  for (int turn = 0; turn < turns; ++turn) {
    {
      const ScopedStream other;
      calls[1]->launch(stream);
      calls[2]->launch(other);
      captured(other, [&] { calls[2]->launch(other); });
      CKL_CHECK_CUDA(cudaDeviceSynchronize());
    }
    release_workspaces();
    CKL_CHECK_CUDA(cudaGraphLaunch(graph.get(), stream));
    calls[1]->launch(stream);
  }
  for (const auto& each : calls) each->check();
}

// Two branches of each graph, two graphs, and the stream that they were captured in, all at the same time.
TEST_F(StreamWorkspaces, GraphsBesideTheirStream) {
  const auto calls = calls_of(5);
  const ScopedStream stream, fork, first, second;
  cudaEvent_t forked = nullptr, joined = nullptr;
  CKL_CHECK_CUDA(cudaEventCreate(&forked));
  CKL_CHECK_CUDA(cudaEventCreate(&joined));
  std::vector<Graph> graphs;
  for (int i = 0; i < 2; ++i)
    graphs.push_back(captured(stream, [&] {
      CKL_CHECK_CUDA(cudaEventRecord(forked, stream));
      CKL_CHECK_CUDA(cudaStreamWaitEvent(fork, forked));
      for (int twice = 0; twice < 2; ++twice) {
        calls[2 * i]->launch(stream);
        calls[2 * i + 1]->launch(fork);
      }
      CKL_CHECK_CUDA(cudaEventRecord(joined, fork));
      CKL_CHECK_CUDA(cudaStreamWaitEvent(stream, joined));
    }));
  for (int turn = 0; turn < turns; ++turn) {
    CKL_CHECK_CUDA(cudaGraphLaunch(graphs[0].get(), first));
    CKL_CHECK_CUDA(cudaGraphLaunch(graphs[1].get(), second));
    calls[4]->launch(stream);
  }
  for (const auto& each : calls) each->check();
  CKL_CHECK_CUDA(cudaEventDestroy(forked));
  CKL_CHECK_CUDA(cudaEventDestroy(joined));
}

// A graph's workspace is another's only when nothing that was made of the graph can run any more, be it updated from another graph.
TEST_F(StreamWorkspaces, GraphsComeAndGo) {
  const auto calls = calls_of(2);
  const ScopedStream stream, other;
  Graph first = captured(stream, [&] { calls[0]->launch(stream); });
  for (int turn = 0; turn < turns; ++turn) {
    {
      const Graph second = captured(stream, [&] { calls[1]->launch(stream); });
      CKL_CHECK_CUDA(cudaGraphLaunch(first.get(), stream));
      CKL_CHECK_CUDA(cudaGraphLaunch(second.get(), other));
    }
    cudaGraph_t graph = nullptr;
    CKL_CHECK_CUDA(cudaStreamBeginCapture(other, cudaStreamCaptureModeThreadLocal));
    calls[0]->launch(other);
    CKL_CHECK_CUDA(cudaStreamEndCapture(other, &graph));
    cudaGraphExecUpdateResultInfo result{};
    CKL_CHECK_CUDA(cudaGraphExecUpdate(first.get(), graph, &result));
    CKL_CHECK_CUDA(cudaGraphDestroy(graph));
  }
  for (const auto& each : calls) each->check();
}

}  // namespace
}  // namespace ckl::test
