#include "judge/environment.hpp"

#include <ctime>

#include <fmt/format.h>

#include "ckl/version.hpp"
#include "providers/dynamic_library.hpp"
#include "commit.hpp"  // written by the build
#include "providers/providers.hpp"

namespace ckl::bench {
namespace {

/// The part of NVIDIA's management library that is needed; its header is not part of every toolkit.
struct NvmlFunctions {
  using Device = void*;
  DynamicLibrary library{{"libnvidia-ml.so.1"}};
  int (*init)() = library.get<int()>("nvmlInit_v2");
  int (*driver_version)(char*, unsigned) = library.get<int(char*, unsigned)>("nvmlSystemGetDriverVersion");
  int (*by_pci)(const char*, Device*) = library.get<int(const char*, Device*)>("nvmlDeviceGetHandleByPciBusId_v2");
  int (*clock)(Device, int, unsigned*) = library.get<int(Device, int, unsigned*)>("nvmlDeviceGetClockInfo");
  int (*max_clock)(Device, int, unsigned*) = library.get<int(Device, int, unsigned*)>("nvmlDeviceGetMaxClockInfo");
  int (*power)(Device, unsigned*) = library.get<int(Device, unsigned*)>("nvmlDeviceGetPowerUsage");
  int (*power_limit)(Device, unsigned*) = library.get<int(Device, unsigned*)>("nvmlDeviceGetEnforcedPowerLimit");
  int (*temperature)(Device, int, unsigned*) = library.get<int(Device, int, unsigned*)>("nvmlDeviceGetTemperature");
  bool ready = init && init() == 0;
};

const NvmlFunctions& nvml() {
  static const NvmlFunctions functions;
  return functions;
}

constexpr int sm_clock = 1, memory_clock = 2, gpu_temperature = 0;  // enumerators of nvml.h

Json median_or_null(const std::vector<double>& values) {
  return values.empty() ? Json(nullptr) : Json(quantile(values, 0.5));
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

std::string commit() { return CKL_COMMIT; }

std::string cuda_version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

std::string driver_version() {
  char text[96] = "";
  if (!nvml().ready || !nvml().driver_version || nvml().driver_version(text, sizeof(text)) != 0) return "";
  return text;
}

/// The sensors of one GPU; a reading that cannot be had is left out.
class Environment::Nvml {
 public:
  explicit Nvml(const std::string& pci_bus_id) {
    if (nvml().ready && nvml().by_pci) nvml().by_pci(pci_bus_id.c_str(), &device_);
  }

  template <class Function, class... Arguments>
  std::optional<double> read(Function function, Arguments... arguments) const {
    unsigned value = 0;
    if (!device_ || !function || function(device_, arguments..., &value) != 0) return std::nullopt;
    return double(value);
  }

 private:
  NvmlFunctions::Device device_ = nullptr;
};

Environment::Environment(const Gpu& gpu) : gpu_(gpu) {
  if (!gpu.emulated) nvml_ = std::make_unique<Nvml>(gpu.pci_bus_id);
}

Environment::~Environment() = default;

void Environment::observe() {
  if (!nvml_) return;
  const auto keep = [](std::vector<double>& values, const std::optional<double>& value, double unit) {
    if (value) values.push_back(*value * unit);
  };
  keep(sm_mhz_, nvml_->read(nvml().clock, sm_clock), 1);
  keep(memory_mhz_, nvml_->read(nvml().clock, memory_clock), 1);
  keep(watts_, nvml_->read(nvml().power), 1e-3);
  keep(celsius_, nvml_->read(nvml().temperature, gpu_temperature), 1);
}

Json Environment::to_json(const Json& ceilings) const {
  int runtime = 0, driver_cuda = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver_cuda);
  Json json;
  json["gpu"] = gpu_.name;
  json["emulated"] = gpu_.emulated;
  json["driver"] = gpu_.emulated ? Json(nullptr) : text_or_null(driver_version());
  json["cuda"] = cuda_version_text(runtime);
  json["cuda_driver"] = cuda_version_text(driver_cuda);
  json["cublas"] = gpu_.emulated ? Json(nullptr) : text_or_null(cublaslt_version());
  json["cudnn"] = gpu_.emulated ? Json(nullptr) : text_or_null(cudnn_version());
  json["library"] = version();
  json["commit"] = commit();
  json["date"] = now_utc();
  json["clocks"] = {{"sm_mhz", median_or_null(sm_mhz_)}, {"memory_mhz", median_or_null(memory_mhz_)}};
  json["power"] = {{"watts", median_or_null(watts_)}};
  json["temperature"] = {{"celsius", median_or_null(celsius_)}};
  if (nvml_) {
    if (const auto mhz = nvml_->read(nvml().max_clock, sm_clock)) json["clocks"]["sm_max_mhz"] = *mhz;
    if (const auto limit = nvml_->read(nvml().power_limit)) json["power"]["limit_watts"] = *limit * 1e-3;
  }
  json["ceilings"] = ceilings;
  return json;
}

}  // namespace ckl::bench
