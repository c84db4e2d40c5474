#include "gemm_ladder/host.hpp"

#include <cuda.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

// The modules, which the build embeds into the program.
#define LADDER_MODULE(NAME) extern "C" const unsigned char ckl_module_gemm_ladder_##NAME##_begin[];
LADDER_MODULE(1_simt)
LADDER_MODULE(2_wgmma)
LADDER_MODULE(3_tma)
LADDER_MODULE(4_cluster)
LADDER_MODULE(5_product)

namespace ladder {

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw std::runtime_error(std::string(what) + " failed: " + cudaGetErrorString(status));
}

namespace {

const unsigned char* module_of(const Rung& rung) {
  static const std::map<std::string, const unsigned char*> modules = {
      {"1_simt", ckl_module_gemm_ladder_1_simt_begin},       {"2_wgmma", ckl_module_gemm_ladder_2_wgmma_begin},
      {"3_tma", ckl_module_gemm_ladder_3_tma_begin},         {"4_cluster", ckl_module_gemm_ladder_4_cluster_begin},
      {"5_product", ckl_module_gemm_ladder_5_product_begin},
  };
  return modules.at(rung.name);
}

/// A row-major bf16 matrix for TMA, moved in boxes of 64 columns (128 bytes, swizzled) and `box_rows` rows.
TensorMap tensor_map(const void* data, int rows, int columns, int box_rows) {
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found{};
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found),
          "cudaGetDriverEntryPointByVersion");
    if (found != cudaDriverEntryPointSuccess) throw std::runtime_error("the CUDA driver must be of CUDA 12.0 or newer");
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  const cuuint64_t sizes[] = {cuuint64_t(columns), cuuint64_t(rows)}, strides[] = {cuuint64_t(columns) * 2};
  const cuuint32_t box[] = {64, cuuint32_t(box_rows)}, step[] = {1, 1};
  CUtensorMap encoded;
  CUresult status = encode(&encoded, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(data), sizes, strides, box,
                           step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                           CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw std::runtime_error("cuTensorMapEncodeTiled failed: error " + std::to_string(status));
  TensorMap map;
  static_assert(sizeof map == sizeof encoded);
  std::memcpy(&map, &encoded, sizeof map);
  return map;
}

void require_multiple(const char* name, int value, int of, const Rung& rung) {
  if (value <= 0 || value % of)
    throw std::invalid_argument(std::string(name) + " must be a positive multiple of " + std::to_string(of) + " for " +
                                rung.name + ", but is " + std::to_string(value));
}

cudaLaunchConfig_t launch_config(const Rung& rung, dim3 grid, cudaLaunchAttribute& cluster, cudaStream_t stream) {
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {unsigned(rung.cluster), 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(unsigned(rung.threads));
  config.dynamicSmemBytes = std::size_t(rung.shared_bytes());
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = 1;
  return config;
}

}  // namespace

Product::Product(const Rung& rung, int m, int n, int k) : rung_(rung), m_(m), n_(n), k_(k) {
  require_multiple("M", m, rung.tile_m * rung.cluster, rung);
  require_multiple("N", n, rung.tile_n, rung);
  require_multiple("K", k, rung.tile_k, rung);
  cudaLibrary_t library = nullptr;
  check(cudaLibraryLoadData(&library, module_of(rung), nullptr, nullptr, 0, nullptr, nullptr, 0),
        "cudaLibraryLoadData");
  check(cudaLibraryGetKernel(&kernel_, library, (std::string("ladder_") + rung.name).c_str()), "cudaLibraryGetKernel");
  check(cudaFuncSetAttribute(kernel_, cudaFuncAttributeMaxDynamicSharedMemorySize, rung.shared_bytes()),
        "cudaFuncSetAttribute");
  cudaLaunchAttribute cluster{};
  cudaLaunchConfig_t config = launch_config(rung, dim3(unsigned(rung.cluster)), cluster, nullptr);
  int clusters = 0;
  check(cudaOccupancyMaxActiveClusters(&clusters, reinterpret_cast<const void*>(kernel_), &config),
        "cudaOccupancyMaxActiveClusters");
  resident_ = unsigned(clusters);
}

void Product::run(const void* a, const void* b, void* d, cudaStream_t stream) const {
  Params params{};
  params.a = a, params.b = b, params.d = d;
  params.m = m_, params.n = n_, params.k = k_;
  if (rung_.stages > 1) {  // by TMA
    params.a_map = tensor_map(a, m_, k_, rung_.tile_m);
    params.b_map = tensor_map(b, n_, k_, rung_.tile_n / rung_.cluster);
    params.d_map = tensor_map(d, m_, n_, Rung::d_box);
  }
  dim3 grid(unsigned(m_ / rung_.tile_m), unsigned(n_ / rung_.tile_n));
  if (rung_.persistent) {
    unsigned clusters = std::min(grid.x * grid.y / unsigned(rung_.cluster), resident_);
    grid = dim3(clusters * unsigned(rung_.cluster));
  }
  cudaLaunchAttribute cluster{};
  cudaLaunchConfig_t config = launch_config(rung_, grid, cluster, stream);
  void* arguments[] = {&params};
  check(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel_), arguments), "cudaLaunchKernelExC");
}

}  // namespace ladder
