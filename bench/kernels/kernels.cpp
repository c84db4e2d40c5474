#include "kernels/kernels.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include "reference/numeric.hpp"
#include "reference/parallel.hpp"

extern "C" const unsigned char ckl_module_bench_kernels_begin[];

namespace ckl::bench {
namespace {

std::int64_t ceil_div(std::int64_t x, std::int64_t y) { return (x + y - 1) / y; }

}  // namespace

double max_error(const Findings& findings) {
  double error;
  static_assert(sizeof(error) == sizeof(findings.max_error_bits));
  std::memcpy(&error, &findings.max_error_bits, sizeof(error));
  return error;
}

std::vector<char> host_normal(DType dtype, std::int64_t count, std::uint64_t seed) {
  // In pieces, each with a generator of its own, so that the numbers do not depend on how many cores draw them.
  constexpr std::int64_t piece_size = 1 << 16;
  const reference::Numeric numeric(dtype);
  std::vector<char> values(std::size_t(count) * size_of(dtype));
  reference::parallel_for(ceil_div(count, piece_size), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t piece = first; piece < last; ++piece) {
      std::seed_seq seeds{std::uint32_t(seed), std::uint32_t(seed >> 32), std::uint32_t(piece)};
      std::mt19937_64 generator(seeds);
      std::normal_distribution<double> normal;
      const std::int64_t end = std::min(count, (piece + 1) * piece_size);
      for (std::int64_t i = piece * piece_size; i < end; ++i) numeric.write(values.data(), i, normal(generator));
    }
  });
  return values;
}

Kernels::Kernels(const Gpu& gpu) : gpu_(gpu), module_(ckl_module_bench_kernels_begin), findings_(sizeof(Findings)) {}

template <class Params> void Kernels::launch(const std::string& entry, const Params& params, std::int64_t blocks,
                                             int threads, cudaStream_t stream) const {
  if (blocks == 0) return;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(unsigned(blocks));
  config.blockDim = dim3(unsigned(threads));
  config.stream = stream;
  Params copy = params;
  void* arguments[] = {&copy};
  check(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(module_.kernel(entry)), arguments), entry.c_str());
}

template <class Params> Findings Kernels::find(const std::string& entry, Params& params) const {
  Findings findings{};
  params.findings = static_cast<Findings*>(findings_.data());
  check(cudaMemcpy(findings_.data(), &findings, sizeof(findings), cudaMemcpyHostToDevice), "cudaMemcpy");
  launch(entry, params, std::int64_t(gpu_.sm_count) * 8, kBenchThreads, nullptr);
  check(cudaMemcpy(&findings, findings_.data(), sizeof(findings), cudaMemcpyDeviceToHost), entry.c_str());
  return findings;
}

void Kernels::fill_normal(void* out, DType dtype, std::int64_t count, std::uint64_t seed) const {
  if (gpu_.emulated) {  // which would take minutes
    const std::vector<char> values = host_normal(dtype, count, seed);
    return check(cudaMemcpy(out, values.data(), values.size(), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  const std::int64_t blocks = std::min<std::int64_t>(ceil_div(ceil_div(count, 2), kBenchThreads), gpu_.sm_count * 8);
  launch(std::string("bench_fill_") + name(dtype), FillParams{out, count, seed}, blocks, kBenchThreads, nullptr);
}

void Kernels::read(const void* data, std::size_t bytes, cudaStream_t stream) const {
  const std::int64_t count = std::int64_t(bytes / 16);
  const std::int64_t blocks = std::clamp<std::int64_t>(ceil_div(count, kBenchThreads), 1, gpu_.sm_count * 8);
  launch("bench_read", ReadParams{data, count, findings_.data()}, blocks, kBenchThreads, stream);
}

void Kernels::spin(double us, cudaStream_t stream) const {
  const SpinParams params{std::int64_t(std::min(us, 5000.0) * double(gpu_.clock_khz) * 1e-3)};
  launch("bench_spin", params, 1, 1, stream);
}

void Kernels::oracle(DType in, DType out, const OracleParams& params) const {
  const std::int64_t blocks = ceil_div(params.m, kOracleTileM) * ceil_div(params.n, kOracleTileN);
  launch(std::string("bench_oracle_") + name(in) + "_" + name(out), params, blocks, kBenchThreads, nullptr);
}

void Kernels::oracle_epilogue(DType out, const OracleEpilogueParams& params) const {
  launch(std::string("bench_oracle_epilogue_") + name(out), params, std::int64_t(gpu_.sm_count) * 8, kBenchThreads,
         nullptr);
}

Findings Kernels::compare(DType dtype, CompareParams params) const {
  return find(std::string("bench_compare_") + name(dtype), params);
}

}  // namespace ckl::bench
