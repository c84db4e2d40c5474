// A fork and a join captured into a graph, replayed and updated.
#include "check.hpp"

__global__ void add(int* value, int term) { *value += term; }
__global__ void multiply(int* value, int factor) { *value *= factor; }
__global__ void sum(int* to, const int* a, const int* b) { *to = *a + *b; }

cudaGraph_t capture(cudaStream_t stream, cudaStream_t side, cudaEvent_t fork, cudaEvent_t join, int* memory, int term) {
  cudaGraph_t graph = nullptr;
  CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  CHECK_CUDA(cudaMemsetAsync(memory, 0, 3 * sizeof(int), stream));
  CHECK_CUDA(cudaEventRecord(fork, stream));
  CHECK_CUDA(cudaStreamWaitEvent(side, fork, 0));
  add<<<1, 1, 0, stream>>>(memory, term);
  multiply<<<1, 1, 0, stream>>>(memory, 10);
  add<<<1, 1, 0, side>>>(memory + 1, 5);
  CHECK_CUDA(cudaEventRecord(join, side));
  CHECK_CUDA(cudaStreamWaitEvent(stream, join, 0));
  sum<<<1, 1, 0, stream>>>(memory + 2, memory, memory + 1);
  CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  return graph;
}

int main() {
  cudaStream_t stream, side;
  cudaEvent_t fork, join;
  int* memory = nullptr;
  CHECK_CUDA(cudaStreamCreate(&stream));
  CHECK_CUDA(cudaStreamCreate(&side));
  CHECK_CUDA(cudaEventCreate(&fork));
  CHECK_CUDA(cudaEventCreate(&join));
  CHECK_CUDA(cudaMalloc(&memory, 3 * sizeof(int)));
  auto result = [&] {
    int value = 0;
    CHECK_CUDA(cudaStreamSynchronize(stream));
    CHECK_CUDA(cudaMemcpy(&value, memory + 2, sizeof value, cudaMemcpyDeviceToHost));
    return value;
  };
  cudaGraph_t graph = capture(stream, side, fork, join, memory, 3);
  cudaGraphExec_t exec = nullptr;
  CHECK_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  for (int i = 0; i < 3; ++i) {
    CHECK_CUDA(cudaGraphLaunch(exec, stream));
    CHECK(result() == 35);
  }
  cudaGraph_t changed = capture(stream, side, fork, join, memory, 4);
  cudaGraphExecUpdateResultInfo info;
  CHECK_CUDA(cudaGraphExecUpdate(exec, changed, &info));
  CHECK_CUDA(cudaGraphLaunch(exec, stream));
  CHECK(result() == 45);
  CHECK_CUDA(cudaGraphExecDestroy(exec));
  CHECK_CUDA(cudaGraphDestroy(graph));
  CHECK_CUDA(cudaGraphDestroy(changed));
}
