// The functions of the CUDA driver that programs reach through cudaGetDriverEntryPoint. They return CUresult, and do not
// touch the runtime's last error.

#include <cstring>
#include <string_view>

#include "runtime/device.hpp"
#include "runtime/objects.hpp"
#include "runtime/status.hpp"
#include "runtime/stream.hpp"
#include "tensor_map/tensor_map.hpp"

namespace emu {

namespace {

static_assert(CU_TENSOR_MAP_NUM_QWORDS * sizeof(cuuint64_t) == tensor_map_bytes &&
              alignof(CUtensorMap) % tensor_map_alignment == 0);
static_assert(int(TensorDataType::f16) == CU_TENSOR_MAP_DATA_TYPE_FLOAT16 &&
              int(TensorDataType::bf16) == CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 &&
              int(TensorDataType::tf32_ftz) == CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ &&
              int(TensorDataType::u6x16_align16) == CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B);
static_assert(int(TensorInterleave::bytes32) == CU_TENSOR_MAP_INTERLEAVE_32B);
static_assert(int(TensorSwizzle::bytes128) == CU_TENSOR_MAP_SWIZZLE_128B &&
              int(TensorSwizzle::bytes128_atom64) == CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B);
static_assert(int(TensorL2Promotion::bytes256) == CU_TENSOR_MAP_L2_PROMOTION_L2_256B);
static_assert(int(TensorOobFill::nan_request_zero_fma) == CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA);

CUresult invalid(const char* function, const std::string& why) {
  status::log(fmt::format("{}: {}", function, why));
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult unsupported(const char* function, const std::string& why) {
  status::say(fmt::format("{}: {}", function, why));
  return CUDA_ERROR_NOT_SUPPORTED;
}

bool misaligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % tensor_map_alignment != 0; }

/// An enumerator of the driver's as ours; a value that does not fit the byte becomes one that no enumerator has.
template <class Ours, class Theirs> Ours narrow(Theirs value) {
  return Ours(unsigned(value) < 0xff ? std::uint8_t(value) : std::uint8_t(0xff));
}

CUresult CUDAAPI tensor_map_encode_tiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* address,
                                         const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                                         const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                                         CUtensorMapSwizzle swizzle, CUtensorMapL2promotion l2_promotion,
                                         CUtensorMapFloatOOBfill oob_fill) {
  constexpr const char* name = "cuTensorMapEncodeTiled";
  if (!out || misaligned(out)) return invalid(name, "tensorMap must not be null, and be aligned to 64 bytes");
  if (!address) return invalid(name, "globalAddress must not be null");
  if (rank < 1 || rank > cuuint32_t(TensorMap::max_rank))
    return invalid(name, fmt::format("tensorRank must be 1 to 5, but is {}", rank));
  if (!sizes || !box || !element_strides || (rank > 1 && !strides))
    return invalid(name, "globalDim, globalStrides, boxDim and elementStrides must not be null");
  TensorMap map;
  map.type = narrow<TensorDataType>(type);
  map.rank = rank;
  map.global_address = reinterpret_cast<std::uintptr_t>(address);
  map.strides[0] = element_bytes(map.type);
  for (cuuint32_t i = 0; i < rank; ++i) {
    map.sizes[i] = sizes[i];
    if (i > 0) map.strides[i] = strides[i - 1];
    map.box[i] = box[i];
    map.element_strides[i] = element_strides[i];
  }
  map.interleave = narrow<TensorInterleave>(interleave);
  if (map.interleave == TensorInterleave::none) map.element_strides[0] = 1;  // "ignored", whatever it holds
  map.swizzle = narrow<TensorSwizzle>(swizzle);
  map.l2_promotion = narrow<TensorL2Promotion>(l2_promotion);
  map.oob_fill = narrow<TensorOobFill>(oob_fill);
  if (auto violation = find_violation(map)) return invalid(name, *violation);
  if (auto unmodelled = find_unmodelled(map)) return unsupported(name, *unmodelled);
  encode(map, out);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI tensor_map_replace_address(CUtensorMap* map, void* address) {
  constexpr const char* name = "cuTensorMapReplaceAddress";
  if (!map || misaligned(map)) return invalid(name, "tensorMap must not be null, and be aligned to 64 bytes");
  if (!address) return invalid(name, "globalAddress must not be null");
  TensorMap decoded;
  std::string reason;
  if (!decode(map, decoded, &reason)) return invalid(name, reason);
  decoded.global_address = reinterpret_cast<std::uintptr_t>(address);
  if (auto violation = find_violation(decoded)) return invalid(name, *violation);
  encode(decoded, map);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI tensor_map_encode_im2col(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                                          const cuuint64_t*, const int*, const int*, cuuint32_t, cuuint32_t,
                                          const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                                          CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  return unsupported("cuTensorMapEncodeIm2col", "not supported by the emulator");
}

CUresult CUDAAPI init(unsigned) { return CUDA_SUCCESS; }

CUresult CUDAAPI driver_get_version(int* version) {
  if (!version) return CUDA_ERROR_INVALID_VALUE;
  *version = emulated_driver_version();
  return CUDA_SUCCESS;
}

CUresult CUDAAPI get_error_name(CUresult error, const char** text) {
  if (!text) return CUDA_ERROR_INVALID_VALUE;
  switch (error) {
#define CKL_EMU_DRIVER_ERROR(name) \
  case name:                       \
    *text = #name;                 \
    return CUDA_SUCCESS;
#include "cuda_driver_error_names.inc"
#undef CKL_EMU_DRIVER_ERROR
  }
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

// The runtime's errors have the driver's numbers.
CUresult CUDAAPI get_error_string(CUresult error, const char** text) {
  const CUresult known = get_error_name(error, text);
  if (known == CUDA_SUCCESS) *text = cudaGetErrorString(cudaError_t(error));
  return known;
}

CUresult CUDAAPI device_get(CUdevice* device, int ordinal) {
  if (!device) return CUDA_ERROR_INVALID_VALUE;
  if (ordinal != 0) return CUDA_ERROR_INVALID_DEVICE;
  *device = 0;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI device_get_count(int* count) {
  if (!count) return CUDA_ERROR_INVALID_VALUE;
  *count = 1;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI ctx_get_device(CUdevice* device) { return device_get(device, 0); }

// The attributes have the same numbers in both APIs.
CUresult CUDAAPI device_get_attribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return CUresult(cudaDeviceGetAttribute(value, cudaDeviceAttr(attribute), device));
}

struct EntryPoint {
  std::string_view name;
  void* function;
};

template <class F> void* address_of(F* function) { return reinterpret_cast<void*>(function); }

const EntryPoint entry_points[] = {
    {"cuTensorMapEncodeTiled", address_of(tensor_map_encode_tiled)},
    {"cuTensorMapReplaceAddress", address_of(tensor_map_replace_address)},
    {"cuTensorMapEncodeIm2col", address_of(tensor_map_encode_im2col)},
    {"cuInit", address_of(init)},
    {"cuDriverGetVersion", address_of(driver_get_version)},
    {"cuGetErrorString", address_of(get_error_string)},
    {"cuGetErrorName", address_of(get_error_name)},
    {"cuDeviceGet", address_of(device_get)},
    {"cuDeviceGetCount", address_of(device_get_count)},
    {"cuDeviceGetAttribute", address_of(device_get_attribute)},
    {"cuCtxGetDevice", address_of(ctx_get_device)},
};

void find_entry_point(const char* symbol, void** function, cudaDriverEntryPointQueryResult* result) {
  require_value(symbol && function, "symbol and funcPtr must not be null");
  *function = nullptr;
  for (const EntryPoint& entry : entry_points)
    if (entry.name == symbol) *function = entry.function;
  if (result) *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  if (!*function) status::say(fmt::format("the driver's function {} is not supported by the emulator", symbol));
}

}  // namespace

}  // namespace emu

using namespace emu;

CKL_EMU_API cudaError_t cudaGetDriverEntryPoint(const char* symbol, void** function, unsigned long long,
                                                cudaDriverEntryPointQueryResult* result) {
  return api("cudaGetDriverEntryPoint", [&] { find_entry_point(symbol, function, result); });
}

CKL_EMU_API cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                                         unsigned long long, cudaDriverEntryPointQueryResult* result) {
  return api("cudaGetDriverEntryPointByVersion", [&] { find_entry_point(symbol, function, result); });
}
