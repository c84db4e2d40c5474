#include "host/tensor_map.hpp"

#include <cuda.h>

#include "host/require.hpp"

namespace ckl::host {

namespace {

/// The driver's function `name`. The library does not link the driver, so that it loads where there is none.
void* driver_function(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check(cudaGetDriverEntryPointByVersion(name, &function, 12000, cudaEnableDefault, &found), "cudaGetDriverEntryPointByVersion");
  if (found != cudaDriverEntryPointSuccess || !function)
    fail(ErrorCode::unsupported, "the CUDA driver must offer ", name, " (CUDA 12.0 or newer), but does not");
  return function;
}

void check_driver(CUresult status, const char* what) {
  if (status != CUDA_SUCCESS) [[unlikely]] fail(ErrorCode::cuda, what, " failed: driver error ", int(status));
}

CUtensorMapDataType data_type(DType dtype) {
  switch (dtype) {
    case DType::bf16: return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case DType::f16: return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    case DType::f32: return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    default: fail(ErrorCode::unsupported, "a TMA descriptor's dtype must be bf16, f16 or f32, but is ", name(dtype));
  }
}

CUtensorMapSwizzle swizzle(int row_bytes) {
  switch (row_bytes) {
    case 128: return CU_TENSOR_MAP_SWIZZLE_128B;
    case 64: return CU_TENSOR_MAP_SWIZZLE_64B;
    case 32: return CU_TENSOR_MAP_SWIZZLE_32B;
    default: fail(ErrorCode::unsupported, "a TMA box must be 32, 64 or 128 bytes wide, but is ", row_bytes);
  }
}

/// Drivers up to CUDA 13.1 set a bit of the descriptor wrongly for tensors that span less than 128 KiB, which can make
/// TMA take elements for out of bounds (CUTLASS works around the same fault, from 4.3.4 on).
constexpr std::uint64_t faulty_bit = std::uint64_t(1) << 21;  // of opaque[1]
constexpr std::int64_t faulty_below_bytes = 128 * 1024;

bool driver_sets_faulty_bit() {
  static const bool faulty = [] {
    int version = 0;
    check(cudaDriverGetVersion(&version), "cudaDriverGetVersion");
    return version <= 13010;
  }();
  return faulty;
}

CUtensorMap* raw(TensorMap& map) { return reinterpret_cast<CUtensorMap*>(&map); }
static_assert(sizeof(CUtensorMap) == sizeof(TensorMap) && alignof(TensorMap) >= alignof(CUtensorMap));

}  // namespace

bool tma_can_move(DType dtype, std::int64_t contiguous, std::int64_t other, std::int64_t other_stride, int alignment) {
  // Coordinates are 32-bit; the driver wants strides below 2^40 bytes. The bounds leave room for a last, partial tile.
  constexpr std::int64_t max_extent = (std::int64_t(1) << 31) - 4096, max_stride_bytes = std::int64_t(1) << 40;
  auto element = std::int64_t(size_of(dtype));
  return alignment >= 16 && contiguous <= max_extent && other <= max_extent && other_stride > 0 &&
         other_stride < max_stride_bytes / element && other_stride * element % 16 == 0;
}

TensorMap encode(const TensorMapShape& shape, const void* data) {
  static const auto function = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(driver_function("cuTensorMapEncodeTiled"));
  auto element = cuuint64_t(size_of(shape.dtype));
  const cuuint64_t sizes[] = {cuuint64_t(shape.contiguous), cuuint64_t(shape.other), cuuint64_t(shape.batch)};
  const cuuint64_t strides[] = {shape.other_stride * element, shape.batch_stride * element};
  const cuuint32_t box[] = {cuuint32_t(shape.box_contiguous), cuuint32_t(shape.box_other), 1};
  const cuuint32_t step[] = {1, 1, 1};
  TensorMap map{};
  check_driver(function(raw(map), data_type(shape.dtype), 3, const_cast<void*>(data), sizes, strides, box, step,
                        CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle(shape.box_contiguous * int(element)),
                        CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
               "cuTensorMapEncodeTiled");
  std::int64_t span = shape.contiguous + (shape.other - 1) * shape.other_stride + (shape.batch - 1) * shape.batch_stride;
  if (driver_sets_faulty_bit() && span * std::int64_t(element) < faulty_below_bytes) map.opaque[1] &= ~faulty_bit;
  return map;
}

void replace_address(TensorMap& map, const void* data) {
  static const auto function = reinterpret_cast<decltype(&cuTensorMapReplaceAddress)>(driver_function("cuTensorMapReplaceAddress"));
  bool was_cleared = driver_sets_faulty_bit() && !(map.opaque[1] & faulty_bit);
  check_driver(function(raw(map), const_cast<void*>(data)), "cuTensorMapReplaceAddress");
  if (was_cleared) map.opaque[1] &= ~faulty_bit;
}

}  // namespace ckl::host
