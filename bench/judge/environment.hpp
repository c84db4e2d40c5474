#pragma once

#include <memory>
#include <vector>

#include "report/document.hpp"
#include "timer/cuda.hpp"

namespace ckl::bench {

/// Where and when the rows were measured. The GPU's state is read while the benchmark runs.
class Environment {
 public:
  explicit Environment(const Gpu& gpu);
  ~Environment();

  /// Reads clocks, power and temperature; called after each case, while the GPU is still warm from it.
  void observe();

  /// The document's environment, with the medians of what was observed.
  Json to_json(const Json& ceilings) const;

 private:
  class Nvml;

  const Gpu gpu_;
  std::unique_ptr<Nvml> nvml_;
  std::vector<double> sm_mhz_, memory_mhz_, watts_, celsius_;
};

/// The commit that the command was built from, with "-dirty" where files had been changed.
std::string commit();

/// "13.0" for the number that CUDA gives, 13000.
std::string cuda_version_text(int version);

/// The version of the driver's kernel module, e.g. "580.159.03", empty if it cannot be told.
std::string driver_version();

}  // namespace ckl::bench
