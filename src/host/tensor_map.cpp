#include "host/tensor_map.hpp"

#include <cuda.h>

#include <cstring>

#include "host/require.hpp"

namespace ckl::host {

namespace {

/// The driver's function `name`. The library does not link the driver, so that it loads where there is none.
void* driver_function(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check(cudaGetDriverEntryPointByVersion(name, &function, 12000, cudaEnableDefault, &found),
        "cudaGetDriverEntryPointByVersion");
  if (found != cudaDriverEntryPointSuccess || !function)
    fail(ErrorCode::unsupported, "the CUDA driver must offer ", name, " (CUDA 12.0 or newer), but does not");
  return function;
}

void check_driver(CUresult status, const char* what) {
  if (status != CUDA_SUCCESS) [[unlikely]]
    fail(ErrorCode::cuda, what, " failed: driver error ", int(status));
}

CUtensorMapDataType data_type(DType dtype) {
  switch (dtype) {
    case DType::bf16: return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case DType::f16: return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    case DType::f32: return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    default: fail(ErrorCode::unsupported, "a TMA descriptor's dtype must be bf16, f16 or f32, but is ", name(dtype));
  }
}

CUtensorMapSwizzle swizzle(int bytes) {
  switch (bytes) {
    case 128: return CU_TENSOR_MAP_SWIZZLE_128B;
    case 64: return CU_TENSOR_MAP_SWIZZLE_64B;
    case 32: return CU_TENSOR_MAP_SWIZZLE_32B;
    default: fail(ErrorCode::unsupported, "a swizzle must be 32, 64 or 128 bytes wide, but is ", bytes);
  }
}

static_assert(sizeof(CUtensorMap) == sizeof(TensorMap) && alignof(TensorMap) >= alignof(CUtensorMap));

}  // namespace

bool tma_can_load(DType dtype, std::int64_t contiguous, std::int64_t other, std::int64_t other_stride, int alignment) {
  // Coordinates are 32-bit; the driver wants strides below 2^40 bytes. The bounds leave room for a last, partial tile.
  constexpr std::int64_t max_extent = (std::int64_t(1) << 31) - 4096, max_stride_bytes = std::int64_t(1) << 40;
  auto element = std::int64_t(size_of(dtype));
  return alignment >= 16 && contiguous <= max_extent && other <= max_extent && other_stride > 0 &&
         other_stride < max_stride_bytes / element && other_stride * element % 16 == 0;
}

bool tma_can_store(DType dtype, std::int64_t contiguous, std::int64_t other, std::int64_t other_stride, int alignment) {
  // Seen on an H100: a store writes whole 16-byte units, also past the end of a row that is not a multiple of them.
  return contiguous * std::int64_t(size_of(dtype)) % 16 == 0 &&
         tma_can_load(dtype, contiguous, other, other_stride, alignment);
}

TensorMap encode(const TensorMapShape& shape, const void* data) {
  static const auto function =
      reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(driver_function("cuTensorMapEncodeTiled"));
  auto element = cuuint64_t(size_of(shape.dtype));
  const cuuint64_t sizes[] = {cuuint64_t(shape.contiguous), cuuint64_t(shape.other), cuuint64_t(shape.batch)};
  const cuuint64_t strides[] = {shape.other_stride * element, shape.batch_stride * element};
  const cuuint32_t box[] = {cuuint32_t(shape.box_contiguous), cuuint32_t(shape.box_other), 1};
  const cuuint32_t step[] = {1, 1, 1};
  CUtensorMap encoded;  // not in place: gcc 12 without optimization does not align what is returned
  check_driver(function(&encoded, data_type(shape.dtype), 3, const_cast<void*>(data), sizes, strides, box, step,
                        CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle(shape.swizzle_bytes), CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
               "cuTensorMapEncodeTiled");
  TensorMap map;
  std::memcpy(&map, &encoded, sizeof map);
  return map;
}

void replace_address(TensorMap& map, const void* data) {
  static const auto function =
      reinterpret_cast<decltype(&cuTensorMapReplaceAddress)>(driver_function("cuTensorMapReplaceAddress"));
  check_driver(function(reinterpret_cast<CUtensorMap*>(&map), const_cast<void*>(data)), "cuTensorMapReplaceAddress");
}

}  // namespace ckl::host
