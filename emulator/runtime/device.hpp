#pragma once

#include <cstddef>
#include <string>

#include "runtime/cuda_api.hpp"

namespace emu {

/// What differs between the GPUs that can be emulated.
struct GpuModel {
  const char* key;  // the value of CKL_EMU_GPU
  const char* name;
  int sm_count;
  std::size_t memory_bytes;
  int l2_bytes;
  int clock_khz;
  int memory_clock_khz;
  int memory_bus_bits;
};

/// The model called `key`, or null.
const GpuModel* find_gpu_model(const std::string& key);

/// Limits of compute capability 9.0 (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
namespace limits {
constexpr int warp_size = 32;
constexpr int threads_per_block = 1024;
constexpr int block_dims[3] = {1024, 1024, 64};
constexpr unsigned grid_dims[3] = {0x7fffffff, 65535, 65535};
constexpr int threads_per_sm = 2048;
constexpr int blocks_per_sm = 32;
constexpr int registers_per_sm = 65536;
constexpr int registers_per_block = 65536;
constexpr int registers_per_thread = 255;
constexpr int register_unit_per_warp = 256;  // registers are given to a warp in such units
constexpr int shared_per_sm = 228 * 1024;
constexpr int shared_per_block = 48 * 1024;
constexpr int shared_per_block_optin = 227 * 1024;
constexpr int shared_reserved_per_block = 1024;
constexpr int shared_unit = 128;
constexpr int constant_bytes = 64 * 1024;
constexpr int portable_cluster_size = 8;
constexpr int max_cluster_size = 16;
constexpr int max_sms_per_gpc = 18;  // the SMs of a cluster lie in one GPC; they come in pairs
constexpr int stream_priority_least = 0, stream_priority_greatest = -5;
}  // namespace limits

/// The only device has index 0; anything else fails with cudaErrorInvalidDevice.
void require_device(int device);

int device_attribute(cudaDeviceAttr attribute);
cudaDeviceProp device_properties();

/// What cudaDriverGetVersion reports.
int emulated_driver_version();

/// The number of GPCs, and the SMs of each, in a model that spreads the SM pairs evenly over as few as can be.
int gpc_count();
int sms_of_gpc(int gpc);

}  // namespace emu
