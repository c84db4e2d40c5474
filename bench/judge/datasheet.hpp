#pragma once

#include <string>

namespace ckl::bench {

/// What NVIDIA's data sheets promise for a GPU; 0 where this table does not know it.
struct Datasheet {
  double tflops_16bit = 0;  ///< Dense bf16 or fp16 on tensor cores, TFLOP/s.
  double gbps = 0;          ///< Memory bandwidth, GB/s.
};

/// By the name that the driver gives, e.g. "NVIDIA H200". From the data sheets of H100 and H200 Tensor Core GPUs
/// (NVIDIA, 2024), SXM versions, figures without sparsity.
inline Datasheet datasheet(const std::string& gpu) {
  if (gpu.find("H200") != std::string::npos) return {989, 4800};
  if (gpu.find("H100 80GB HBM3") != std::string::npos) return {989, 3350};
  return {};
}

}  // namespace ckl::bench
