#include <dlfcn.h>

#include <filesystem>

#include <fmt/format.h>

#include "ckl/device.hpp"
#include "ckl/tuning.hpp"
#include "ckl/version.hpp"
#include "cli/verbs.hpp"
#include "judge/environment.hpp"
#include "ops/operator.hpp"
#include "ops/parse.hpp"
#include "providers/providers.hpp"

namespace ckl::bench {
namespace {

std::string or_none(const std::string& text) { return text.empty() ? "not found" : text; }

void print_gpus() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess || count == 0) {
    fmt::print("GPU            none can be used: {}\n",
               code == cudaSuccess ? "there is none" : cudaGetErrorString(code));
    return;
  }
  for (int index = 0; index < count; ++index) {
    const DeviceInfo& info = device_info(index);
    fmt::print(
        "GPU {}          {}, compute capability {}.{}, {} SMs ({}/{}/{} clusters of 2/4/8), {:.0f} MB L2, {:.0f} "
        "GB{}\n",
        index, info.name, info.compute_major, info.compute_minor, info.sm_count, info.clusters_of_2, info.clusters_of_4,
        info.clusters_of_8, double(info.l2_bytes) / 1e6, double(info.memory_bytes) / 1e9,
        supported(index) ? "" : ": not supported, the kernels need 9.0");
  }
}

void print_software() {
  int runtime = 0, driver = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver);
  fmt::print("Driver         {}, for CUDA {}\n", or_none(driver_version()),
             driver ? cuda_version_text(driver) : "none");
  fmt::print("CUDA runtime   {} in {}\n", cuda_version_text(runtime), cuda_runtime_folder());
  fmt::print("cuBLASLt       {}\n", or_none(cublaslt_version()));
  fmt::print("cuDNN          {}\n", or_none(cudnn_version()));
}

/// The file that holds the library's code: libckl.so, or this program where it is linked statically.
std::string library_file() {
  void* const symbol = reinterpret_cast<void*>(&ckl::supported);
  Dl_info info{};
  if (!dladdr(symbol, &info) || !info.dli_fname) return "";
  return info.dli_fname;
}

void print_library() {
  const std::string file = library_file();
  std::error_code error;
  const auto bytes = std::filesystem::file_size(file, error);
  fmt::print("CuTeKernelLib  {}, commit {}, {} ({})\n", version(), commit(), file,
             error ? "size unknown" : fmt::format("{:.1f} MB", double(bytes) / 1e6));
  for (const auto& [op, count] : compiled_instances()) fmt::print("  {:<24}{} kernel instances\n", op, count);
  const std::filesystem::path own = compiled_kernels_folder("gemm");
  for (const auto& each : std::filesystem::directory_iterator(own, error))
    if (each.path().extension() == ".fatbin") fmt::print("  {:<24}{}\n", "your own", each.path().string());
}

}  // namespace

void add_info(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("info", "Show the GPU, the driver, the toolkit, the library and its instances");
  verb->callback([&exit_code] {
    print_gpus();
    print_software();
    print_library();
    exit_code = 0;
  });
}

}  // namespace ckl::bench
