// Stream capture and graphs of the emulated runtime, through its API; kernels are not needed for it.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace {

#define ASSERT_OK(call) ASSERT_EQ(cudaSuccess, call)
#define EXPECT_OK(call) EXPECT_EQ(cudaSuccess, call)

struct Graphs : testing::Test {
  void SetUp() override {
    ASSERT_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    ASSERT_OK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
    ASSERT_OK(cudaEventCreate(&event));
    ASSERT_OK(cudaEventCreate(&second_event));
    ASSERT_OK(cudaMalloc(reinterpret_cast<void**>(&memory), 4));
    set(0);
  }
  void TearDown() override {
    EXPECT_OK(cudaFree(memory));
    EXPECT_OK(cudaEventDestroy(event));
    EXPECT_OK(cudaEventDestroy(second_event));
    EXPECT_OK(cudaStreamDestroy(stream));
    EXPECT_OK(cudaStreamDestroy(other));
    cudaGetLastError();
  }
  void set(int value) { EXPECT_OK(cudaMemcpy(memory, &value, 4, cudaMemcpyHostToDevice)); }
  int get() {
    int value = -1;
    EXPECT_OK(cudaMemcpy(&value, memory, 4, cudaMemcpyDeviceToHost));
    return value;
  }
  void begin(cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    ASSERT_OK(cudaStreamBeginCapture(stream, mode));
  }
  cudaError_t end() { return cudaStreamEndCapture(stream, &graph); }
  void fill(cudaStream_t in, int byte) { EXPECT_OK(cudaMemsetAsync(memory, byte, 4, in)); }
  std::size_t node_count(cudaGraph_t of) {
    std::size_t count = 0;
    EXPECT_OK(cudaGraphGetNodes(of, nullptr, &count));
    return count;
  }
  std::vector<cudaGraphNode_t> nodes(cudaGraph_t of) {
    std::size_t count = node_count(of);
    std::vector<cudaGraphNode_t> list(count);
    EXPECT_OK(cudaGraphGetNodes(of, list.data(), &count));
    return list;
  }

  cudaStream_t stream = nullptr, other = nullptr;
  cudaEvent_t event = nullptr, second_event = nullptr;
  cudaGraph_t graph = nullptr;
  int* memory = nullptr;
};

TEST_F(Graphs, CapturedWorkRunsAtEachLaunchAndNotBefore) {
  begin();
  fill(stream, 1);
  cudaStreamCaptureStatus status{};
  EXPECT_OK(cudaStreamIsCapturing(stream, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  ASSERT_OK(end());
  EXPECT_EQ(get(), 0);
  cudaGraphExec_t exec = nullptr;
  ASSERT_OK(cudaGraphInstantiate(&exec, graph, 0));
  EXPECT_OK(cudaGraphDestroy(graph));  // the executable graph stands alone
  for (int i = 0; i < 3; ++i) {
    set(0);
    EXPECT_OK(cudaGraphLaunch(exec, stream));
    EXPECT_EQ(get(), 0x01010101);
  }
  EXPECT_OK(cudaGraphExecDestroy(exec));
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaGraphLaunch(exec, stream));
}

TEST_F(Graphs, ForkAndJoin) {
  begin();
  fill(stream, 1);
  EXPECT_OK(cudaEventRecord(event, stream));
  EXPECT_OK(cudaStreamWaitEvent(other, event, 0));
  fill(other, 2);
  EXPECT_OK(cudaEventRecord(second_event, other));
  EXPECT_OK(cudaStreamWaitEvent(stream, second_event, 0));
  fill(stream, 3);
  ASSERT_OK(end());
  std::size_t edges = 0, dependencies = 0;
  EXPECT_OK(cudaGraphGetEdges(graph, nullptr, nullptr, nullptr, &edges));
  EXPECT_EQ(node_count(graph), 3u);
  EXPECT_EQ(edges, 3u);  // 1 -> 2, 1 -> 3 and 2 -> 3
  EXPECT_OK(cudaGraphNodeGetDependencies(nodes(graph)[2], nullptr, nullptr, &dependencies));
  EXPECT_EQ(dependencies, 2u);
  cudaStreamCaptureStatus status{};
  EXPECT_OK(cudaStreamIsCapturing(other, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusNone);
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST_F(Graphs, UnjoinedWorkIsRefused) {
  begin();
  EXPECT_OK(cudaEventRecord(event, stream));
  EXPECT_OK(cudaStreamWaitEvent(other, event, 0));
  fill(other, 2);
  EXPECT_EQ(cudaErrorStreamCaptureUnjoined, end());
  EXPECT_EQ(graph, nullptr);
}

TEST_F(Graphs, UnsafeCallsEndTheCapture) {
  void* pointer = nullptr;
  begin();
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaMalloc(&pointer, 4));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaMemsetAsync(memory, 0, 4, stream));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, end());
  begin();
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaStreamSynchronize(stream));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, end());
  begin();
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaDeviceSynchronize());
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, end());
}

TEST_F(Graphs, RelaxedModeAllowsUnsafeCalls) {
  void* pointer = nullptr;
  begin(cudaStreamCaptureModeRelaxed);
  EXPECT_OK(cudaMalloc(&pointer, 4));
  EXPECT_OK(cudaFree(pointer));
  ASSERT_OK(end());
  EXPECT_OK(cudaGraphDestroy(graph));
  // The thread's own mode does the same for captures of any mode.
  begin();
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  EXPECT_OK(cudaThreadExchangeStreamCaptureMode(&mode));
  EXPECT_EQ(mode, cudaStreamCaptureModeGlobal);
  EXPECT_OK(cudaMalloc(&pointer, 4));
  EXPECT_OK(cudaFree(pointer));
  EXPECT_OK(cudaThreadExchangeStreamCaptureMode(&mode));
  EXPECT_EQ(mode, cudaStreamCaptureModeRelaxed);
  ASSERT_OK(end());
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST_F(Graphs, OtherThreadsAreBoundByGlobalModeOnly) {
  auto malloc_elsewhere = [] {
    cudaError_t status = cudaSuccess;
    std::thread([&] {
      void* pointer = nullptr;
      status = cudaMalloc(&pointer, 4);
      if (status == cudaSuccess) cudaFree(pointer);
    }).join();
    return status;
  };
  begin(cudaStreamCaptureModeThreadLocal);
  EXPECT_OK(malloc_elsewhere());
  ASSERT_OK(end());
  EXPECT_OK(cudaGraphDestroy(graph));
  begin(cudaStreamCaptureModeGlobal);
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, malloc_elsewhere());
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, end());
}

TEST_F(Graphs, CaptureEndsWhereItBegan) {
  begin();
  EXPECT_EQ(cudaErrorIllegalState, cudaStreamEndCapture(other, &graph));
  cudaError_t status = cudaSuccess;
  std::thread([&] { status = end(); }).join();
  EXPECT_EQ(status, cudaErrorStreamCaptureWrongThread);
  ASSERT_OK(end());
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST_F(Graphs, LegacyStreamDependsOnBlockingCaptures) {
  cudaStream_t blocking = nullptr;
  ASSERT_OK(cudaStreamCreate(&blocking));
  begin();
  EXPECT_OK(cudaMemsetAsync(memory, 0, 4, cudaStreamLegacy));  // `stream` does not block
  ASSERT_OK(end());
  EXPECT_OK(cudaGraphDestroy(graph));
  ASSERT_OK(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
  cudaStreamCaptureStatus status{};
  EXPECT_EQ(cudaErrorStreamCaptureImplicit, cudaStreamIsCapturing(cudaStreamLegacy, &status));  // asking does no harm
  EXPECT_OK(cudaStreamIsCapturing(blocking, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  EXPECT_EQ(cudaErrorStreamCaptureImplicit, cudaMemsetAsync(memory, 0, 4, cudaStreamLegacy));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(blocking, &graph));
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal));
  EXPECT_OK(cudaStreamDestroy(blocking));
}

TEST_F(Graphs, EventsFromOutsideCannotBeWaitedFor) {
  EXPECT_OK(cudaEventRecord(event, other));
  begin();
  EXPECT_EQ(cudaErrorStreamCaptureIsolation, cudaStreamWaitEvent(stream, event, 0));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, end());
  begin();
  EXPECT_OK(cudaEventRecord(event, stream));
  EXPECT_EQ(cudaErrorCapturedEvent, cudaEventQuery(event));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, end());
}

TEST_F(Graphs, HostFunctionsRunInOrder) {
  std::vector<int> order;
  auto push = [](void* data) {
    auto* list = static_cast<std::vector<int>*>(data);
    list->push_back(int(list->size()));
  };
  begin();
  for (int i = 0; i < 3; ++i) EXPECT_OK(cudaLaunchHostFunc(stream, push, &order));
  ASSERT_OK(end());
  EXPECT_TRUE(order.empty());
  cudaGraphExec_t exec = nullptr;
  ASSERT_OK(cudaGraphInstantiate(&exec, graph, 0));
  EXPECT_OK(cudaGraphLaunch(exec, stream));
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
  EXPECT_OK(cudaGraphExecDestroy(exec));
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST_F(Graphs, BuiltByHandAndChanged) {
  ASSERT_OK(cudaGraphCreate(&graph, 0));
  cudaMemsetParams params{};
  params.dst = memory;
  params.elementSize = 4;
  params.value = 7;
  params.width = params.height = 1;
  cudaGraphNode_t first = nullptr, second = nullptr;
  ASSERT_OK(cudaGraphAddMemsetNode(&first, graph, nullptr, 0, &params));
  params.value = 8;
  ASSERT_OK(cudaGraphAddMemsetNode(&second, graph, &first, 1, &params));
  EXPECT_EQ(cudaErrorInvalidValue, cudaGraphAddDependencies(graph, &second, &first, nullptr, 1));  // a cycle
  cudaGraphNodeType type{};
  EXPECT_OK(cudaGraphNodeGetType(second, &type));
  EXPECT_EQ(type, cudaGraphNodeTypeMemset);

  cudaGraphExec_t exec = nullptr;
  ASSERT_OK(cudaGraphInstantiate(&exec, graph, 0));
  EXPECT_OK(cudaGraphLaunch(exec, stream));
  EXPECT_EQ(get(), 8);
  params.value = 9;
  EXPECT_OK(cudaGraphExecMemsetNodeSetParams(exec, second, &params));
  EXPECT_OK(cudaGraphLaunch(exec, stream));
  EXPECT_EQ(get(), 9);
  EXPECT_OK(cudaGraphMemsetNodeGetParams(second, &params));
  EXPECT_EQ(params.value, 8u);  // the graph itself was not changed
  EXPECT_OK(cudaGraphNodeSetEnabled(exec, second, 0));
  EXPECT_OK(cudaGraphLaunch(exec, stream));
  EXPECT_EQ(get(), 7);
  params.elementSize = 3;
  EXPECT_EQ(cudaErrorInvalidValue, cudaGraphExecMemsetNodeSetParams(exec, second, &params));
  EXPECT_OK(cudaGraphExecDestroy(exec));
  EXPECT_OK(cudaGraphDestroyNode(first));
  EXPECT_EQ(node_count(graph), 1u);
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaGraphNodeGetType(first, &type));
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST_F(Graphs, UpdateTakesNewParametersAndRefusesNewShapes) {
  auto capture = [&](std::vector<int> bytes) {
    begin();
    for (int byte : bytes) fill(stream, byte);
    EXPECT_OK(end());
    return graph;
  };
  cudaGraph_t one = capture({1}), two = capture({2}), longer = capture({3, 4});
  cudaGraphExec_t exec = nullptr;
  ASSERT_OK(cudaGraphInstantiate(&exec, one, 0));
  cudaGraphExecUpdateResultInfo info{};
  EXPECT_OK(cudaGraphExecUpdate(exec, two, &info));
  EXPECT_EQ(info.result, cudaGraphExecUpdateSuccess);
  EXPECT_OK(cudaGraphLaunch(exec, stream));
  EXPECT_EQ(get(), 0x02020202);
  EXPECT_EQ(cudaErrorGraphExecUpdateFailure, cudaGraphExecUpdate(exec, longer, &info));
  EXPECT_EQ(info.result, cudaGraphExecUpdateErrorTopologyChanged);
  for (cudaGraph_t g : {one, two, longer}) EXPECT_OK(cudaGraphDestroy(g));
  EXPECT_OK(cudaGraphExecDestroy(exec));
}

TEST_F(Graphs, ClonesAndChildrenStandAlone) {
  begin();
  fill(stream, 5);
  ASSERT_OK(end());
  cudaGraph_t copy = nullptr, parent = nullptr, child = nullptr;
  ASSERT_OK(cudaGraphClone(&copy, graph));
  cudaGraphNode_t found = nullptr, node = nullptr;
  EXPECT_OK(cudaGraphNodeFindInClone(&found, nodes(graph)[0], copy));
  EXPECT_EQ(found, nodes(copy)[0]);
  ASSERT_OK(cudaGraphCreate(&parent, 0));
  ASSERT_OK(cudaGraphAddChildGraphNode(&node, parent, nullptr, 0, copy));
  EXPECT_OK(cudaGraphDestroy(graph));
  EXPECT_OK(cudaGraphDestroy(copy));
  EXPECT_OK(cudaGraphChildGraphNodeGetGraph(node, &child));
  EXPECT_EQ(node_count(child), 1u);
  cudaGraphExec_t exec = nullptr;
  ASSERT_OK(cudaGraphInstantiate(&exec, parent, 0));
  EXPECT_OK(cudaGraphLaunch(exec, stream));
  EXPECT_EQ(get(), 0x05050505);
  EXPECT_OK(cudaGraphDestroy(parent));
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaGraphGetNodes(child, nullptr, nullptr));
  EXPECT_OK(cudaGraphExecDestroy(exec));
}

TEST_F(Graphs, MemoryOfAGraphLivesAsLongAsItsExecutable) {
  begin();
  int* scratch = nullptr;
  ASSERT_OK(cudaMallocAsync(reinterpret_cast<void**>(&scratch), 4, stream));
  EXPECT_OK(cudaMemsetAsync(scratch, 6, 4, stream));
  EXPECT_OK(cudaMemcpyAsync(memory, scratch, 4, cudaMemcpyDeviceToDevice, stream));
  EXPECT_OK(cudaFreeAsync(scratch, stream));
  ASSERT_OK(end());
  cudaGraph_t copy = nullptr;
  EXPECT_EQ(cudaErrorNotSupported, cudaGraphClone(&copy, graph));
  cudaGraphExec_t exec = nullptr;
  ASSERT_OK(cudaGraphInstantiate(&exec, graph, 0));
  EXPECT_OK(cudaGraphDestroy(graph));
  for (int i = 0; i < 2; ++i) {
    set(0);
    EXPECT_OK(cudaGraphLaunch(exec, stream));
    EXPECT_EQ(get(), 0x06060606);
  }
  EXPECT_OK(cudaGraphExecDestroy(exec));
}

TEST_F(Graphs, KeepTheProgramsObjectsAlive) {
  int destroyed = 0;
  const auto destroy = [](void* count) { ++*static_cast<int*>(count); };
  cudaUserObject_t object = nullptr;
  begin();
  fill(stream, 1);
  cudaGraph_t captured = nullptr;
  cudaStreamCaptureStatus status{};
  ASSERT_OK(cudaStreamGetCaptureInfo(stream, &status, nullptr, &captured));
  ASSERT_OK(cudaUserObjectCreate(&object, &destroyed, destroy, 1, cudaUserObjectNoDestructorSync));
  EXPECT_EQ(cudaErrorInvalidValue, cudaGraphRetainUserObject(captured, object, 2, cudaGraphUserObjectMove));
  EXPECT_OK(cudaGraphRetainUserObject(captured, object, 1, cudaGraphUserObjectMove));
  ASSERT_OK(end());
  ASSERT_EQ(graph, captured);
  cudaGraph_t copy = nullptr;
  cudaGraphExec_t exec = nullptr, outer = nullptr;
  ASSERT_OK(cudaGraphClone(&copy, graph));
  EXPECT_OK(cudaGraphDestroy(graph));
  ASSERT_OK(cudaGraphInstantiate(&exec, copy, 0));
  EXPECT_OK(cudaGraphDestroy(copy));
  EXPECT_EQ(0, destroyed);
  begin();
  EXPECT_OK(cudaGraphLaunch(exec, stream));
  ASSERT_OK(end());
  EXPECT_OK(cudaGraphExecDestroy(exec));
  ASSERT_OK(cudaGraphInstantiate(&outer, graph, 0));
  EXPECT_OK(cudaGraphDestroy(graph));
  EXPECT_EQ(0, destroyed);
  EXPECT_OK(cudaGraphExecDestroy(outer));
  EXPECT_EQ(1, destroyed);
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaUserObjectRelease(object, 1));

  ASSERT_OK(cudaUserObjectCreate(&object, &destroyed, destroy, 1, cudaUserObjectNoDestructorSync));
  ASSERT_OK(cudaGraphCreate(&graph, 0));
  EXPECT_OK(cudaGraphRetainUserObject(graph, object, 1, 0));
  EXPECT_OK(cudaUserObjectRetain(object, 1));
  EXPECT_OK(cudaUserObjectRelease(object, 2));
  EXPECT_EQ(cudaErrorInvalidValue, cudaGraphReleaseUserObject(graph, object, 2));
  EXPECT_EQ(1, destroyed);
  EXPECT_OK(cudaGraphReleaseUserObject(graph, object, 1));
  EXPECT_EQ(2, destroyed);

  // An executable graph that is updated holds what the other graph holds instead.
  int destroyed_second = 0;
  ASSERT_OK(cudaUserObjectCreate(&object, &destroyed, destroy, 1, cudaUserObjectNoDestructorSync));
  EXPECT_OK(cudaGraphRetainUserObject(graph, object, 1, cudaGraphUserObjectMove));
  ASSERT_OK(cudaGraphInstantiate(&exec, graph, 0));
  EXPECT_OK(cudaGraphDestroy(graph));
  ASSERT_OK(cudaGraphCreate(&graph, 0));
  ASSERT_OK(cudaUserObjectCreate(&object, &destroyed_second, destroy, 1, cudaUserObjectNoDestructorSync));
  EXPECT_OK(cudaGraphRetainUserObject(graph, object, 1, cudaGraphUserObjectMove));
  EXPECT_EQ(2, destroyed);
  EXPECT_OK(cudaGraphExecUpdate(exec, graph, nullptr));
  EXPECT_EQ(3, destroyed);
  EXPECT_OK(cudaGraphDestroy(graph));
  EXPECT_EQ(0, destroyed_second);
  EXPECT_OK(cudaGraphExecDestroy(exec));
  EXPECT_EQ(1, destroyed_second);
}

TEST_F(Graphs, ACapturingStreamDoesNotTellItsNumber) {
  unsigned long long number = 0;
  EXPECT_OK(cudaStreamGetId(stream, &number));
  begin();
  EXPECT_EQ(cudaErrorStreamCaptureUnsupported, cudaStreamGetId(stream, &number));
  EXPECT_EQ(cudaErrorStreamCaptureInvalidated, end());
}

TEST_F(Graphs, LaunchingWithinACaptureMakesAChild) {
  begin();
  fill(stream, 1);
  ASSERT_OK(end());
  cudaGraphExec_t inner = nullptr, outer = nullptr;
  ASSERT_OK(cudaGraphInstantiate(&inner, graph, 0));
  EXPECT_OK(cudaGraphDestroy(graph));
  begin();
  EXPECT_OK(cudaGraphLaunch(inner, stream));
  ASSERT_OK(end());
  EXPECT_EQ(get(), 0);
  ASSERT_OK(cudaGraphInstantiate(&outer, graph, 0));
  EXPECT_OK(cudaGraphLaunch(outer, stream));
  EXPECT_EQ(get(), 0x01010101);
  EXPECT_OK(cudaGraphExecDestroy(inner));
  EXPECT_OK(cudaGraphExecDestroy(outer));
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST_F(Graphs, DestroyingTheOriginEndsItsCapture) {
  cudaStream_t origin = nullptr;
  ASSERT_OK(cudaStreamCreate(&origin));
  ASSERT_OK(cudaStreamBeginCapture(origin, cudaStreamCaptureModeGlobal));
  fill(origin, 1);
  EXPECT_OK(cudaStreamDestroy(origin));
  EXPECT_OK(cudaDeviceSynchronize());
}

TEST(Reset, EndsCapturesAndFreesEverything) {
  cudaStream_t stream = nullptr;
  void* memory = nullptr;
  ASSERT_OK(cudaStreamCreate(&stream));
  ASSERT_OK(cudaMalloc(&memory, 1 << 20));
  ASSERT_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  ASSERT_OK(cudaMemsetAsync(memory, 0, 4, stream));
  ASSERT_OK(cudaDeviceReset());
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(stream));
  EXPECT_EQ(cudaErrorInvalidValue, cudaFree(memory));
  EXPECT_OK(cudaDeviceSynchronize());
  cudaGetLastError();
}

}  // namespace
