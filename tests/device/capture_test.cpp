// Stream capture: plans and one-line calls become nodes of a graph, which then works on whatever the buffers hold.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cases/gemm_cases.hpp"
#include "ckl/norm.hpp"
#include "ckl/softmax.hpp"
#include "device_test.hpp"
#include "gemm_data.hpp"

namespace ckl::test {
namespace {

/// What `work(stream)` launches, as a graph that can be launched.
class Graph {
 public:
  explicit Graph(const std::function<void(cudaStream_t)>& work) {
    CKL_CHECK_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal));
    work(stream_);
    cudaGraph_t graph = nullptr;
    CKL_CHECK_CUDA(cudaStreamEndCapture(stream_, &graph));
    CKL_CHECK_CUDA(cudaGraphInstantiate(&executable_, graph, 0));
    CKL_CHECK_CUDA(cudaGraphDestroy(graph));
  }
  ~Graph() { cudaGraphExecDestroy(executable_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch() {
    CKL_CHECK_CUDA(cudaGraphLaunch(executable_, stream_));
    stream_.synchronize();
  }

 private:
  ScopedStream stream_;
  cudaGraphExec_t executable_ = nullptr;
};

class Capture : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    const ScopedStream stream;
    const cudaError_t status = cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    if (status == cudaErrorNotSupported) GTEST_SKIP() << "this CUDA runtime does not capture streams";
    cudaGraph_t graph = nullptr;
    CKL_CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
    CKL_CHECK_CUDA(cudaGraphDestroy(graph));
  }
};

/// A product and then a sum that needs it: sum = D + D.
struct Chain {
  GemmData gemm;
  OperandBuffer sum;

  explicit Chain(const GemmCase& problem) : gemm(problem), sum(problem.out, {problem.m, problem.n}, {problem.n, 1}) {}

  void check() {
    gemm.check();
    sum.receive("the sum");
    const void* in[] = {gemm.d().host(), gemm.d().host()};
    const void* out = sum.host();
    const reference::Comparison comparison = reference::compare_elementwise(addition(), in, &out);
    EXPECT_TRUE(comparison.passed()) << comparison.first_wrong;
  }

  ElementwiseProblem addition() {
    return elementwise_problem({ElementwiseOp::add, {gemm.d().tensor(), gemm.d().tensor()}, {sum.tensor()}, {}});
  }

  /// Other inputs; nothing has run on them yet.
  void change(std::uint64_t seed) {
    gemm.a().fill(seed);
    gemm.b().fill(seed + 1);
    gemm.reset();
    gemm.expect();
  }
};

TEST_F(Capture, PlansAreReplayedOnNewInputs) {
  for (const GemmCase& problem : {dense_gemm("aligned", "", 200, 264, 136), dense_gemm("odd", "", 131, 67, 35)}) {
    SCOPED_TRACE(problem.name);
    Chain chain(problem);
    const GemmPlan gemm_plan(chain.gemm.problem());
    const ElementwisePlan add_plan(chain.addition());
    const void* in[] = {chain.gemm.d().device(), chain.gemm.d().device()};
    void* out = chain.sum.device();
    Workspace workspace(gemm_plan.workspace_bytes());
    Graph graph([&](cudaStream_t stream) {
      gemm_plan.run(chain.gemm.a().device(), chain.gemm.b().device(), nullptr, chain.gemm.d().device(),
                    workspace.device(), stream);
      add_plan.run(in, &out, stream);
    });
    for (const std::uint64_t seed : {100, 200, 300}) {
      chain.change(seed);
      graph.launch();
      chain.check();
    }
  }
}

// Rows in registers are launched before the preceding kernels have ended, in a stream and in a graph: each kernel reads what the one before
// it has written, some of them in place, and more blocks than have room at a time. The bits are those of kernels that are launched when the
// others have ended.
TEST_F(Capture, RowsInRegistersWaitForEachOther) {
  for (const std::int64_t columns : {128, 100}) {
    SCOPED_TRACE(columns);
    OperandBuffer x(DType::bf16, {3001, columns}, {columns, 1}), y(DType::bf16, {3001, columns}, {columns, 1});
    const NormProblem norm = norm_problem({NormKind::rms, x.tensor(), y.tensor()});
    const SoftmaxProblem softmax = softmax_problem({y.tensor(), y.tensor()});
    const NormPlan norm_plan(norm);
    const SoftmaxPlan softmax_plan(softmax);
    const auto run = [&](cudaStream_t stream, const std::function<void()>& after_each) {
      for (int i = 0; i < 3; ++i) {
        norm_plan.run({x.device(), y.device()}, stream);
        after_each();
        softmax_plan.run(y.device(), y.device(), stream);
        after_each();
        norm_plan.run({y.device(), x.device()}, stream);
        after_each();
      }
    };
    const auto bits_of = [&](const std::function<void()>& work) {
      x.fill(5);
      y.fill_with(std::nan(""));
      work();
      CKL_CHECK_CUDA(cudaDeviceSynchronize());
      return std::pair(x.download(), y.download());
    };
    const ScopedStream stream;
    const auto expected = bits_of([&] { run(stream, [&] { stream.synchronize(); }); });
    EXPECT_TRUE(bits_of([&] { run(stream, [] {}); }) == expected);
    Graph graph([&](cudaStream_t captured) { run(captured, [] {}); });
    EXPECT_TRUE(bits_of([&] { graph.launch(); }) == expected);
  }
}

// Shapes that no other test uses, so that their plans are made, and maybe kernels loaded, while the stream captures.
TEST_F(Capture, OneLineCallsMayPlanWhileTheStreamCaptures) {
  for (const GemmCase& problem : {dense_gemm("aligned", "", 104, 184, 88), dense_gemm("odd", "", 37, 41, 43)}) {
    SCOPED_TRACE(problem.name);
    Chain chain(problem);
    Graph graph([&](cudaStream_t stream) {
      ckl::gemm(chain.gemm.arguments(), stream);
      ckl::add(chain.gemm.d().tensor(), chain.gemm.d().tensor(), chain.sum.tensor(), stream);
    });
    for (const std::uint64_t seed : {100, 200}) {
      chain.change(seed);
      graph.launch();
      chain.check();
    }
  }
}

// A graph of nothing: empty problems launch nothing and disturb no capture.
TEST_F(Capture, EmptyProblemsAddNothing) {
  GemmData data(dense_gemm("", "", 0, 64, 64));
  const GemmPlan plan(data.problem());
  Graph graph([&](cudaStream_t stream) {
    plan.run(data.a().device(), data.b().device(), nullptr, data.d().device(), nullptr, stream);
  });
  graph.launch();
}

}  // namespace
}  // namespace ckl::test
