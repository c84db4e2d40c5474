// Libraries, kernels and launches of the emulated runtime, through its API. The kernels are PTX text, so nvcc is not needed.
#include <cstring>
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {

#define ASSERT_OK(call) ASSERT_EQ(cudaSuccess, call)
#define EXPECT_OK(call) EXPECT_EQ(cudaSuccess, call)

// store_index: out[global index] = global index + bias, for as many threads as are launched.
constexpr const char* ptx = R"(
.version 8.7
.target sm_90a
.address_size 64

.visible .global .align 4 .u32 answer = 42;
.visible .const .align 4 .b8 table[16];

.visible .entry store_index(.param .u64 out, .param .u32 bias)
{
  .reg .b32 %r<8>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [out];
  ld.param.u32 %r1, [bias];
  cvta.to.global.u64 %rd2, %rd1;
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  mul.wide.u32 %rd3, %r5, 4;
  add.s64 %rd2, %rd2, %rd3;
  add.s32 %r6, %r5, %r1;
  st.global.u32 [%rd2], %r6;
  ret;
}

.visible .entry few_threads()
.maxntid 64, 1, 1
{
  ret;
}
)";

struct Launch : testing::Test {
  void SetUp() override {
    ASSERT_OK(cudaLibraryLoadData(&library, ptx, nullptr, nullptr, 0, nullptr, nullptr, 0));
    ASSERT_OK(cudaLibraryGetKernel(&kernel, library, "store_index"));
    ASSERT_OK(cudaMalloc(reinterpret_cast<void**>(&out), 4096 * 4));
    ASSERT_OK(cudaMemset(out, 0xff, 4096 * 4));
  }
  void TearDown() override {
    EXPECT_OK(cudaFree(out));
    EXPECT_OK(cudaLibraryUnload(library));
    cudaGetLastError();
  }
  cudaError_t launch(dim3 grid, dim3 block, std::size_t shared = 0, cudaStream_t stream = nullptr) {
    void* arguments[] = {&out, &bias};
    return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
  }
  cudaError_t launch_cluster(dim3 grid, dim3 block, dim3 cluster, std::size_t shared = 0) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = cluster.x;
    attribute.val.clusterDim.y = cluster.y;
    attribute.val.clusterDim.z = cluster.z;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.attrs = &attribute;
    config.numAttrs = 1;
    void* arguments[] = {&out, &bias};
    return cudaLaunchKernelExC(&config, kernel, arguments);
  }
  int at(int index) {
    int value = 0;
    EXPECT_OK(cudaMemcpy(&value, out + index, 4, cudaMemcpyDeviceToHost));
    return value;
  }

  cudaLibrary_t library = nullptr;
  cudaKernel_t kernel = nullptr;
  int* out = nullptr;
  int bias = 100;
};

TEST_F(Launch, ArgumentsAreThoseOfTheCall) {
  ASSERT_OK(launch(4, 96));
  bias = 7;  // after the launch
  ASSERT_OK(cudaDeviceSynchronize());
  EXPECT_EQ(at(0), 100);
  EXPECT_EQ(at(4 * 96 - 1), 100 + 4 * 96 - 1);
  EXPECT_EQ(at(4 * 96), -1);
}

TEST_F(Launch, CapturedLaunchesReplayTheirArguments) {
  cudaStream_t stream = nullptr;
  ASSERT_OK(cudaStreamCreate(&stream));
  ASSERT_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  ASSERT_OK(launch(1, 32, 0, stream));
  cudaGraph_t graph = nullptr;
  ASSERT_OK(cudaStreamEndCapture(stream, &graph));
  bias = 0;
  EXPECT_EQ(at(5), -1);
  cudaGraphNode_t node = nullptr;
  std::size_t count = 1;
  EXPECT_OK(cudaGraphGetNodes(graph, &node, &count));
  cudaKernelNodeParams params{};
  EXPECT_OK(cudaGraphKernelNodeGetParams(node, &params));
  EXPECT_EQ(params.blockDim.x, 32u);
  EXPECT_EQ(*static_cast<int*>(params.kernelParams[1]), 100);
  cudaGraphExec_t exec = nullptr;
  ASSERT_OK(cudaGraphInstantiate(&exec, graph, 0));
  EXPECT_OK(cudaGraphLaunch(exec, stream));
  EXPECT_OK(cudaStreamSynchronize(stream));
  EXPECT_EQ(at(5), 105);
  int changed = 200;
  void* arguments[] = {&out, &changed};
  params.kernelParams = arguments;
  EXPECT_OK(cudaGraphExecKernelNodeSetParams(exec, node, &params));
  EXPECT_OK(cudaGraphLaunch(exec, stream));
  EXPECT_EQ(at(5), 205);
  EXPECT_OK(cudaGraphExecDestroy(exec));
  EXPECT_OK(cudaGraphDestroy(graph));
  EXPECT_OK(cudaStreamDestroy(stream));
}

TEST_F(Launch, GraphsOfAnUnloadedLibraryFail) {
  cudaLibrary_t unloaded = nullptr;
  ASSERT_OK(cudaLibraryLoadData(&unloaded, ptx, nullptr, nullptr, 0, nullptr, nullptr, 0));
  cudaKernelNodeParams params{};
  cudaKernel_t few = nullptr;
  ASSERT_OK(cudaLibraryGetKernel(&few, unloaded, "few_threads"));
  params.func = few;
  params.gridDim = params.blockDim = 1;
  cudaGraph_t graph = nullptr;
  cudaGraphNode_t node = nullptr;
  cudaGraphExec_t exec = nullptr;
  ASSERT_OK(cudaGraphCreate(&graph, 0));
  ASSERT_OK(cudaGraphAddKernelNode(&node, graph, nullptr, 0, &params));
  ASSERT_OK(cudaGraphInstantiate(&exec, graph, 0));
  EXPECT_OK(cudaLibraryUnload(unloaded));
  EXPECT_EQ(cudaErrorInvalidDeviceFunction, cudaGraphLaunch(exec, nullptr));
  EXPECT_OK(cudaGraphExecDestroy(exec));
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST_F(Launch, LimitsOfTheDeviceAreChecked) {
  EXPECT_EQ(cudaErrorInvalidConfiguration, launch(0, 32));
  EXPECT_EQ(cudaErrorInvalidConfiguration, launch(1, 0));
  EXPECT_EQ(cudaErrorInvalidConfiguration, launch(1, 1025));
  EXPECT_EQ(cudaErrorInvalidConfiguration, launch(1, dim3(32, 33)));
  EXPECT_EQ(cudaErrorInvalidConfiguration, launch(dim3(1, 65536), 32));
  EXPECT_EQ(cudaErrorInvalidConfiguration, launch(1, dim3(1, 1, 65)));
  EXPECT_EQ(at(0), -1);
  cudaKernel_t few = nullptr;
  ASSERT_OK(cudaLibraryGetKernel(&few, library, "few_threads"));
  EXPECT_EQ(cudaErrorInvalidValue, cudaLaunchKernel(few, 1, 65, nullptr, 0, nullptr));
  EXPECT_OK(cudaLaunchKernel(few, 1, 64, nullptr, 0, nullptr));
  EXPECT_EQ(cudaErrorInvalidDeviceFunction, cudaLaunchKernel(ptx, 1, 32, nullptr, 0, nullptr));
}

TEST_F(Launch, SharedMemoryNeedsTheOptIn) {
  EXPECT_OK(launch(1, 32, 48 * 1024));
  EXPECT_EQ(cudaErrorInvalidValue, launch(1, 32, 48 * 1024 + 1));
  EXPECT_EQ(cudaErrorInvalidValue,
            cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024 + 1, 0));
  EXPECT_OK(cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024, 0));
  EXPECT_OK(launch(1, 32, 227 * 1024));
  EXPECT_EQ(cudaErrorInvalidDevice,
            cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 0, 1));
  cudaFuncAttributes attributes;
  EXPECT_OK(cudaFuncGetAttributes(&attributes, kernel));
  EXPECT_EQ(attributes.maxDynamicSharedSizeBytes, 227 * 1024);
}

TEST_F(Launch, ClustersMustDivideTheGrid) {
  EXPECT_OK(launch_cluster(4, 32, 2));
  EXPECT_EQ(cudaErrorInvalidClusterSize, launch_cluster(5, 32, 2));
  EXPECT_EQ(cudaErrorInvalidClusterSize, launch_cluster(dim3(4, 3), 32, dim3(2, 2)));
  EXPECT_EQ(cudaErrorInvalidClusterSize, launch_cluster(16, 32, 16));
  EXPECT_OK(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  EXPECT_OK(launch_cluster(16, 32, 16));
  EXPECT_EQ(cudaErrorInvalidClusterSize, launch_cluster(32, 32, 32));
}

TEST_F(Launch, OccupancyFollowsTheLimits) {
  int blocks = 0;
  EXPECT_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 1024, 0));
  EXPECT_EQ(blocks, 2);  // 2048 threads
  EXPECT_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 32, 0));
  EXPECT_EQ(blocks, 32);
  EXPECT_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 128, 40 * 1024));
  EXPECT_EQ(blocks, 5);  // 41 KiB each, of 228
  EXPECT_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 128, 60 * 1024));
  EXPECT_EQ(blocks, 0);  // without the opt-in
  EXPECT_OK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 * 1024));
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = 2;
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = 2;
  config.blockDim = 384;
  config.dynamicSmemBytes = 200 * 1024;
  config.attrs = &attribute;
  config.numAttrs = 1;
  int clusters = 0, sms = 0;
  EXPECT_OK(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, 0));
  EXPECT_OK(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config));
  EXPECT_EQ(clusters, sms / 2);
  config.numAttrs = 0;
  EXPECT_OK(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config));
  EXPECT_EQ(clusters, 0);  // as measured on an H100: no cluster attribute, no clusters
}

TEST_F(Launch, CooperativeGridsMustBeResident) {
  int sms = 0;
  EXPECT_OK(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, 0));
  void* arguments[] = {&out, &bias};
  EXPECT_OK(cudaLaunchCooperativeKernel(kernel, 2, 1024, arguments, 0, nullptr));
  EXPECT_EQ(cudaErrorCooperativeLaunchTooLarge,
            cudaLaunchCooperativeKernel(kernel, 2 * sms + 1, 1024, arguments, 0, nullptr));
}

TEST_F(Launch, LibrariesListTheirKernelsAndVariables) {
  unsigned count = 0;
  EXPECT_OK(cudaLibraryGetKernelCount(&count, library));
  ASSERT_EQ(count, 2u);
  std::vector<cudaKernel_t> kernels(count);
  EXPECT_OK(cudaLibraryEnumerateKernels(kernels.data(), count, library));
  const char* name = nullptr;
  EXPECT_OK(cudaFuncGetName(&name, kernels[0]));
  EXPECT_STREQ(name, "store_index");
  EXPECT_EQ(cudaErrorSymbolNotFound, cudaLibraryGetKernel(&kernel, library, "nothing"));
  std::size_t offset = 99, bytes = 0;
  EXPECT_OK(cudaFuncGetParamInfo(kernel, 1, &offset, &bytes));
  EXPECT_EQ(offset, 8u);
  EXPECT_EQ(bytes, 4u);
  EXPECT_EQ(cudaErrorInvalidValue, cudaFuncGetParamInfo(kernel, 2, &offset, &bytes));

  void* address = nullptr;
  ASSERT_OK(cudaLibraryGetGlobal(&address, &bytes, library, "answer"));
  EXPECT_EQ(bytes, 4u);
  int answer = 0;
  EXPECT_OK(cudaMemcpy(&answer, address, 4, cudaMemcpyDeviceToHost));
  EXPECT_EQ(answer, 42);
  ASSERT_OK(cudaLibraryGetGlobal(&address, &bytes, library, "table"));
  EXPECT_EQ(bytes, 16u);
  EXPECT_EQ(cudaErrorSymbolNotFound, cudaLibraryGetGlobal(&address, &bytes, library, "nothing"));
}

TEST_F(Launch, LibrariesLoadFromFiles) {
  const std::string path = testing::TempDir() + "ckl_emulator_kernel.ptx";
  std::ofstream(path) << ptx;
  cudaLibrary_t from_file = nullptr;
  ASSERT_OK(cudaLibraryLoadFromFile(&from_file, path.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0));
  EXPECT_OK(cudaLibraryUnload(from_file));
  EXPECT_EQ(cudaErrorInvalidResourceHandle, cudaLibraryUnload(from_file));
  EXPECT_EQ(cudaErrorFileNotFound,
            cudaLibraryLoadFromFile(&from_file, (path + ".no").c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0));
  std::remove(path.c_str());
}

TEST_F(Launch, BadImagesAreRefused) {
  testing::internal::CaptureStderr();
  cudaLibrary_t bad = nullptr;
  auto load = [&](const void* image) {
    return cudaLibraryLoadData(&bad, image, nullptr, nullptr, 0, nullptr, nullptr, 0);
  };
  EXPECT_EQ(cudaErrorInvalidKernelImage, load("\177ELF is not PTX text"));
  EXPECT_EQ(cudaErrorInvalidPtx, load(".version 8.7\n.target sm_90a\n.address_size 64\n.entry broken() { ret }\n"));
  // What an opcode means is found when its kernel is asked for.
  ASSERT_OK(load(".version 8.7\n.target sm_90a\n.address_size 64\n.entry broken() { not.an.instruction; }\n"));
  EXPECT_EQ(cudaErrorInvalidPtx, cudaLibraryGetKernel(&kernel, bad, "broken"));
  EXPECT_OK(cudaLibraryUnload(bad));
  EXPECT_EQ(cudaErrorInvalidValue, load(nullptr));
  EXPECT_NE(testing::internal::GetCapturedStderr().find("not.an.instruction"), std::string::npos);
}

// The driver's functions, as the library reaches them.

template <class F> F driver_function(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  EXPECT_OK(cudaGetDriverEntryPointByVersion(name, &function, 12000, cudaEnableDefault, &found));
  EXPECT_EQ(found, cudaDriverEntryPointSuccess);
  return reinterpret_cast<F>(function);
}

TEST(Driver, EncodesAndReplaces) {
  auto encode = driver_function<decltype(&cuTensorMapEncodeTiled)>("cuTensorMapEncodeTiled");
  auto replace = driver_function<decltype(&cuTensorMapReplaceAddress)>("cuTensorMapReplaceAddress");
  alignas(64) CUtensorMap map, other;
  alignas(64) char data[64];
  const cuuint64_t sizes[] = {64, 32}, strides[] = {128}, bad_strides[] = {120};
  const cuuint32_t box[] = {64, 32}, steps[] = {1, 1};
  auto run = [&](CUtensorMap* to, void* address, const cuuint64_t* stride, const cuuint32_t* boxes) {
    return encode(to, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, address, sizes, stride, boxes, steps,
                  CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  };
  EXPECT_EQ(run(&map, data, strides, box), CUDA_SUCCESS);
  EXPECT_EQ(run(&other, data + 16, strides, box), CUDA_SUCCESS);
  EXPECT_NE(std::memcmp(&map, &other, sizeof map), 0);
  EXPECT_EQ(replace(&map, data + 16), CUDA_SUCCESS);
  EXPECT_EQ(std::memcmp(&map, &other, sizeof map), 0);
  EXPECT_EQ(replace(&map, data + 8), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(run(&map, data, bad_strides, box), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(run(&map, nullptr, strides, box), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(run(&map, data, nullptr, box), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(run(nullptr, data, strides, box), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(run(reinterpret_cast<CUtensorMap*>(reinterpret_cast<char*>(&map) + 8), data, strides, box),
            CUDA_ERROR_INVALID_VALUE);
  std::memset(&map, 0, sizeof map);
  EXPECT_EQ(replace(&map, data), CUDA_ERROR_INVALID_VALUE);
  EXPECT_OK(cudaPeekAtLastError());  // driver functions leave the runtime's errors alone
}

TEST(Driver, NamesErrorsAndVersion) {
  auto error_name = driver_function<decltype(&cuGetErrorName)>("cuGetErrorName");
  const char* name = nullptr;
  EXPECT_EQ(error_name(CUDA_ERROR_INVALID_VALUE, &name), CUDA_SUCCESS);
  EXPECT_STREQ(name, "CUDA_ERROR_INVALID_VALUE");
  EXPECT_EQ(error_name(CUresult(1000), &name), CUDA_ERROR_INVALID_VALUE);
  int version = 0;
  EXPECT_OK(cudaDriverGetVersion(&version));
  EXPECT_GT(version, 13010);  // up to it, programs clear a bit of tensor maps
}

TEST(Driver, UnknownFunctionsAreNotFound) {
  testing::internal::CaptureStderr();
  void* function = &function;
  cudaDriverEntryPointQueryResult found{};
  EXPECT_OK(cudaGetDriverEntryPointByVersion("cuNothing", &function, 12000, cudaEnableDefault, &found));
  EXPECT_EQ(found, cudaDriverEntryPointSymbolNotFound);
  EXPECT_EQ(function, nullptr);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("cuNothing"), std::string::npos);
}

/// What is not modelled is refused when the kernel is loaded, with its text, the kernel and the line of the source.
TEST(RuntimeLaunch, WhatIsNotKnownIsNamed) {
  const struct {
    const char *text, *reason;
  } unknown[] = {
      {"frobnicate.b32 %r, %r", "not known"},
      {"add.odd.u32 %r, %r, %r", "modifier .odd"},
      {"tensormap.replace.tile.global_address.global.b1024.b64 [%a], %a", "not known"},
      {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f, %f, %f, %f}, {%r, %r, %r, %r}, {%r, %r}, {%f, %f, %f, "
       "%f}",
       "not known"},
      {"cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%r], [%a, {%r, %r, %r, "
       "%r}], [%r], {%h, %h}",
       "not known"},
      {"multimem.ld_reduce.relaxed.sys.global.add.f32 %f, [%a]", "not known"},
      {"isspacep.const %p, %a", "not known"},
      {"shfl.idx.b32 %r, %r, 0, 31", "not known"},
  };
  for (const auto& each : unknown) {
    const std::string module = std::string(".version 8.6\n.target sm_90a\n.address_size 64\n.file 1 \"odd.cu\"\n") +
                               ".visible .entry kernel_of_that()\n{\n.reg .b32 %r; .reg .b64 %a; .reg .f32 %f; .reg "
                               ".b16 %h; .reg .pred %p;\n" +
                               ".loc 1 77 3\n" + each.text + ";\nret;\n}\n";
    cudaLibrary_t library = nullptr;
    cudaKernel_t kernel = nullptr;
    testing::internal::CaptureStderr();
    cudaError_t error = cudaLibraryLoadData(&library, module.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0);
    if (error == cudaSuccess) error = cudaLibraryGetKernel(&kernel, library, "kernel_of_that");
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(error, cudaErrorInvalidPtx) << each.text;
    const std::string opcode = std::string(each.text).substr(0, std::string(each.text).find(' '));
    for (const std::string& part :
         {opcode, std::string("kernel_of_that"), std::string("odd.cu:77"), std::string(each.reason)})
      EXPECT_NE(said.find(part), std::string::npos) << each.text << " gives: " << said;
    cudaGetLastError();
  }
}

}  // namespace
