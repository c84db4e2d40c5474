// A bf16 GEMM by CUTLASS's collective builders (warp-specialized, TMA, wgmma), against double precision.
#include <cute/tensor.hpp>
#include <cutlass/cutlass.h>
#include <cutlass/epilogue/collective/collective_builder.hpp>
#include <cutlass/epilogue/collective/default_epilogue.hpp>
#include <cutlass/gemm/collective/collective_builder.hpp>
#include <cutlass/gemm/device/gemm_universal_adapter.h>
#include <cutlass/gemm/kernel/gemm_universal.hpp>
#include <cutlass/util/packed_stride.hpp>

#include <cmath>
#include <vector>

#include "check.hpp"

using Element = cutlass::bfloat16_t;
using Tile = cute::Shape<cute::_128, cute::_128, cute::_64>;
using Cluster = cute::Shape<cute::_2, cute::_1, cute::_1>;
using RowMajor = cutlass::layout::RowMajor;
using ColumnMajor = cutlass::layout::ColumnMajor;

using Epilogue =
    cutlass::epilogue::collective::CollectiveBuilder<cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Tile, Cluster,
                                                     cutlass::epilogue::collective::EpilogueTileAuto, float, float,
                                                     float, RowMajor, 4, float, RowMajor, 4,
                                                     cutlass::epilogue::collective::EpilogueScheduleAuto>::CollectiveOp;
using Mainloop = cutlass::gemm::collective::CollectiveBuilder<
    cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Element, RowMajor, 8, Element, ColumnMajor, 8, float, Tile,
    Cluster, cutlass::gemm::collective::StageCountAutoCarveout<int(sizeof(typename Epilogue::SharedStorage))>,
    cutlass::gemm::collective::KernelScheduleAuto>::CollectiveOp;
using Kernel = cutlass::gemm::kernel::GemmUniversal<cute::Shape<int, int, int, int>, Mainloop, Epilogue>;
using Gemm = cutlass::gemm::device::GemmUniversalAdapter<Kernel>;

template <class T> T* to_device(const std::vector<T>& values) {
  T* memory = nullptr;
  CHECK_CUDA(cudaMalloc(&memory, values.size() * sizeof(T)));
  CHECK_CUDA(cudaMemcpy(memory, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return memory;
}

int main() {
  constexpr int m = 256, n = 200, k = 192;  // n is not a multiple of the tile
  std::vector<Element> a(m * k), b(n * k);
  std::vector<float> c(m * n), d(m * n);
  unsigned state = 1;
  auto draw = [&] {
    state = state * 1664525u + 1013904223u;
    return float(int(state >> 24) - 128) / 64.0f;
  };
  for (Element& x : a) x = Element(draw());
  for (Element& x : b) x = Element(draw());
  for (float& x : c) x = draw();
  Element *device_a = to_device(a), *device_b = to_device(b);
  float *device_c = to_device(c), *device_d = to_device(d);

  auto stride_a = cutlass::make_cute_packed_stride(typename Kernel::StrideA{}, {m, k, 1});
  auto stride_b = cutlass::make_cute_packed_stride(typename Kernel::StrideB{}, {n, k, 1});
  auto stride_c = cutlass::make_cute_packed_stride(typename Kernel::StrideC{}, {m, n, 1});
  auto stride_d = cutlass::make_cute_packed_stride(typename Kernel::StrideD{}, {m, n, 1});
  constexpr float alpha = 0.5f, beta = 2.0f;
  typename Gemm::Arguments arguments{cutlass::gemm::GemmUniversalMode::kGemm,
                                     {m, n, k, 1},
                                     {device_a, stride_a, device_b, stride_b},
                                     {{alpha, beta}, device_c, stride_c, device_d, stride_d}};
  void* workspace = nullptr;
  CHECK_CUDA(cudaMalloc(&workspace, Gemm::get_workspace_size(arguments) + 1));
  Gemm gemm;
  CHECK(gemm.can_implement(arguments) == cutlass::Status::kSuccess);
  CHECK(gemm.initialize(arguments, workspace) == cutlass::Status::kSuccess);
  CHECK(gemm.run() == cutlass::Status::kSuccess);
  CHECK_CUDA(cudaDeviceSynchronize());
  CHECK_CUDA(cudaMemcpy(d.data(), device_d, d.size() * sizeof(float), cudaMemcpyDeviceToHost));

  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0, magnitude = 0;
      for (int l = 0; l < k; ++l) {
        const double product = double(float(a[i * k + l])) * double(float(b[j * k + l]));
        sum += product;
        magnitude += std::fabs(product);
      }
      const double expected = alpha * sum + beta * c[i * n + j];
      CHECK(std::fabs(d[i * n + j] - expected) <= 1e-5 * (magnitude + std::fabs(beta * c[i * n + j]) + 1));
    }
}
