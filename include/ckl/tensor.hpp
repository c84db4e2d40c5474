#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "ckl/export.hpp"

namespace ckl {

/// Element types. An operator documents which of them it takes and throws Error for the others.
enum class DType : std::uint8_t {
  f64,   ///< IEEE binary64
  f32,   ///< IEEE binary32
  f16,   ///< IEEE binary16
  bf16,  ///< bfloat16: 8 exponent bits, 7 fraction bits
  e4m3,  ///< 8-bit float, 4 exponent bits, no infinities (OCP FP8)
  e5m2,  ///< 8-bit float, 5 exponent bits (OCP FP8)
  i64,   ///< signed 64-bit integer
  i32,   ///< signed 32-bit integer
  i8,    ///< signed 8-bit integer
  b8,    ///< boolean in one byte, 0 or 1
};

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) noexcept {
  switch (dtype) {
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::f16:
    case DType::bf16: return 2;
    case DType::e4m3:
    case DType::e5m2:
    case DType::i8:
    case DType::b8: return 1;
  }
  return 0;
}

/// The name of `dtype`, e.g. "bf16"; "invalid" for a value outside the enumeration.
constexpr const char* name(DType dtype) noexcept {
  switch (dtype) {
    case DType::f64: return "f64";
    case DType::f32: return "f32";
    case DType::f16: return "f16";
    case DType::bf16: return "bf16";
    case DType::e4m3: return "e4m3";
    case DType::e5m2: return "e5m2";
    case DType::i64: return "i64";
    case DType::i32: return "i32";
    case DType::i8: return "i8";
    case DType::b8: return "b8";
  }
  return "invalid";
}

/// The largest number of dimensions of a Tensor.
constexpr int max_rank = 5;

/// A non-owning view of device memory, the DLPack model: element (i0, i1, ...) lies at
/// data + (i0 * strides[0] + i1 * strides[1] + ...) * size_of(dtype) bytes. A stride may be 0 (broadcast)
/// in inputs. The view does not say whether its elements may be written: an operator writes only to the
/// tensors that it documents as outputs.
struct CKL_API Tensor {
  void* data = nullptr;                          ///< Address of element (0, 0, ...), on the device.
  DType dtype = DType::f32;                      ///< Type of the elements.
  int rank = 0;                                  ///< Number of dimensions, 0 (a scalar) to max_rank.
  std::array<std::int64_t, max_rank> sizes{};    ///< Extent of each dimension, in elements.
  std::array<std::int64_t, max_rank> strides{};  ///< Step of each dimension, in elements.

  /// A row-major (C order) tensor with no gaps: the last dimension has stride 1.
  /// @throws Error (invalid_argument) if there are more than max_rank sizes.
  static Tensor contiguous(const void* data, DType dtype, std::initializer_list<std::int64_t> sizes);

  /// A tensor with explicit strides, in elements.
  /// @throws Error (invalid_argument) if the lists differ in length or are longer than max_rank.
  static Tensor strided(const void* data, DType dtype, std::initializer_list<std::int64_t> sizes,
                        std::initializer_list<std::int64_t> strides);

  /// A (rows, cols) matrix whose rows are contiguous and `leading` elements apart (0: `cols`).
  static Tensor row_major(const void* data, DType dtype, std::int64_t rows, std::int64_t cols,
                          std::int64_t leading = 0);

  /// A (rows, cols) matrix whose columns are contiguous and `leading` elements apart (0: `rows`).
  static Tensor column_major(const void* data, DType dtype, std::int64_t rows, std::int64_t cols,
                             std::int64_t leading = 0);

  /// The same memory with the last two dimensions exchanged.
  /// @throws Error (invalid_argument) if rank < 2.
  Tensor transposed() const;

  /// E.g. "bf16 (4096, 128) strides (128, 1)".
  std::string to_string() const;
};

}  // namespace ckl
