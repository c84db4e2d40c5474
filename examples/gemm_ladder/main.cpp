// Multiplies random matrices by every rung of the ladder, or by the one that is named, and checks the results:
//   gemm_ladder [MxNxK [RUNG]]

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <random>
#include <stdexcept>
#include <vector>

#include "gemm_ladder/host.hpp"

namespace {

constexpr int no_gpu = 77;  // what ctest takes for skipped

float widen(std::uint16_t bf16) {
  std::uint32_t bits = std::uint32_t(bf16) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

std::vector<std::uint16_t> random_bf16(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<std::uint16_t> values(count);
  for (auto& value : values) {
    float x = normal(generator);
    std::uint32_t bits;
    std::memcpy(&bits, &x, 4);
    value = std::uint16_t(bits >> 16);
  }
  return values;
}

struct DeviceMemory {
  void* data = nullptr;
  explicit DeviceMemory(std::size_t bytes) { ladder::check(cudaMalloc(&data, bytes), "cudaMalloc"); }
  ~DeviceMemory() { cudaFree(data); }
};

/// Largest error of D in units of the sum of absolute products, over every element of up to 64 rows.
double error_of(const std::vector<std::uint16_t>& a, const std::vector<std::uint16_t>& b,
                const std::vector<std::uint16_t>& d, int m, int n, int k) {
  double worst = 0;
  for (int i = 0; i < m; i += std::max(1, m / 64))
    for (int j = 0; j < n; ++j) {
      double sum = 0, scale = 0;
      for (int l = 0; l < k; ++l) {
        double product = double(widen(a[std::size_t(i) * k + l])) * widen(b[std::size_t(j) * k + l]);
        sum += product;
        scale += std::fabs(product);
      }
      double error = std::fabs(widen(d[std::size_t(i) * n + j]) - sum) / scale;
      if (!(error <= worst)) worst = error;  // NaN stays
    }
  return worst;
}

int run(int m, int n, int k, const char* only) {
  std::vector<std::uint16_t> a = random_bf16(std::size_t(m) * k, 1), b = random_bf16(std::size_t(n) * k, 2),
                             d(std::size_t(m) * n);
  DeviceMemory device_a(a.size() * 2), device_b(b.size() * 2), device_d(d.size() * 2);
  ladder::check(cudaMemcpy(device_a.data, a.data(), a.size() * 2, cudaMemcpyHostToDevice), "cudaMemcpy");
  ladder::check(cudaMemcpy(device_b.data, b.data(), b.size() * 2, cudaMemcpyHostToDevice), "cudaMemcpy");
  // Half a unit in the last place of bf16, and what accumulating in f32 may cost.
  double bound = std::ldexp(1, -8) + std::ldexp(std::sqrt(k), -22);
  bool right = true, found = false;
  for (const ladder::Rung& rung : ladder::rungs) {
    if (only && std::strcmp(only, rung.name)) continue;
    found = true;
    ladder::check(cudaMemset(device_d.data, 0xff, d.size() * 2), "cudaMemset");  // NaN
    ladder::Product(rung, m, n, k).run(device_a.data, device_b.data, device_d.data, nullptr);
    ladder::check(cudaMemcpy(d.data(), device_d.data, d.size() * 2, cudaMemcpyDeviceToHost), rung.name);
    double error = error_of(a, b, d, m, n, k);
    bool ok = error <= bound;
    right = right && ok;
    std::printf("%-10s %dx%dx%d: error %.2e, at most %.2e: %s\n", rung.name, m, n, k, error, bound,
                ok ? "right" : "WRONG");
  }
  if (!found)
    std::fprintf(stderr, "gemm_ladder: there is no rung \"%s\"; the first is \"%s\"\n", only, ladder::rungs[0].name);
  return !found ? 2 : right ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  int m = 512, n = 512, k = 256, end = 0;
  if (argc > 3 || (argc > 1 && (std::sscanf(argv[1], "%dx%dx%d%n", &m, &n, &k, &end) != 3 || argv[1][end]))) {
    std::fprintf(stderr, "usage: gemm_ladder [MxNxK [RUNG]]\n");
    return 2;
  }
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess || properties.major != 9) {
    std::fprintf(stderr, "The ladder needs a Hopper GPU (H100, H200), or the emulator.\n");
    return no_gpu;
  }
  try {
    return run(m, n, k, argc > 2 ? argv[2] : nullptr);
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "gemm_ladder: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gemm_ladder: %s\n", error.what());
    return 1;
  }
}
