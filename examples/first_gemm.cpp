// D = A * B for bf16 matrices on the GPU, by the one-line call and by a plan.
#include <ckl/ckl.hpp>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <vector>

int main() {
  if (!ckl::supported(0)) {
    std::fprintf(stderr, "This example needs a Hopper GPU (H100, H200), or the emulator.\n");
    return 77;
  }
  const std::int64_t m = 256, n = 512, k = 128;
  void *a, *b, *d;
  cudaMalloc(&a, m * k * 2);
  cudaMalloc(&b, k * n * 2);
  cudaMalloc(&d, m * n * 4);
  std::vector<std::uint16_t> ones(n * k, 0x3f80);  // 1.0 in bf16
  cudaMemcpy(a, ones.data(), m * k * 2, cudaMemcpyHostToDevice);
  cudaMemcpy(b, ones.data(), k * n * 2, cudaMemcpyHostToDevice);

  try {
    // Strides alone say the layout: here A is row-major and B column-major, so that K is contiguous in both.
    ckl::GemmArguments arguments{ckl::Tensor::row_major(a, ckl::DType::bf16, m, k),
                                 ckl::Tensor::column_major(b, ckl::DType::bf16, k, n),
                                 ckl::Tensor::row_major(d, ckl::DType::f32, m, n)};
    ckl::gemm(arguments);

    ckl::GemmPlan plan(ckl::gemm_problem(arguments));  // once
    plan.run(a, b, nullptr, d);                        // as often as you like: it only launches
    std::printf("%s by %s\n", plan.problem().to_string().c_str(), plan.config().c_str());
  } catch (const ckl::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }

  std::vector<float> result(m * n);
  cudaMemcpy(result.data(), d, m * n * 4, cudaMemcpyDeviceToHost);
  for (float x : result)
    if (x != float(k)) return 1;
  std::printf("every element is %g\n", result[0]);
}
