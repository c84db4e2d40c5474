#pragma once

// DLPack's binary interface, major version 1: what an object's `__dlpack__` and its type's `__dlpack_c_exchange_api__` hand over.
// The layouts are those of the specification, https://dmlc.github.io/dlpack/latest/c_api.html; the names are this project's.

#include <cstdint>

namespace ckl::python::dlpack {

constexpr std::uint32_t major_version = 1;

enum class DeviceType : std::int32_t { cpu = 1, cuda = 2, cuda_host = 3, cuda_managed = 13 };

struct Device {
  DeviceType type;
  std::int32_t index;
};

enum class TypeCode : std::uint8_t {
  signed_integer = 0,
  floating = 2,
  bfloat = 4,
  boolean = 6,
  float8_e4m3fn = 10,
  float8_e5m2 = 12,
};

struct DataType {
  TypeCode code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  std::int32_t rank;
  DataType dtype;
  std::int64_t* sizes;
  std::int64_t* strides;  // in elements; null: C order without gaps
  std::uint64_t byte_offset;
};

struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};

/// What a capsule named "dltensor" holds.
struct UnversionedTensor {
  Tensor tensor;
  void* context;
  void (*deleter)(UnversionedTensor*);
};

constexpr std::uint64_t read_only = 1;

/// What a capsule named "dltensor_versioned" holds.
struct VersionedTensor {
  Version version;
  void* context;
  void (*deleter)(VersionedTensor*);
  std::uint64_t flags;
  Tensor tensor;
};

/// What a framework offers to callers in C, through a capsule named "dlpack_exchange_api". Functions give 0, or -1 with a Python
/// exception set (allocate: with set_error called).
struct ExchangeApi {
  Version version;
  ExchangeApi* previous;
  int (*allocate)(Tensor* prototype, VersionedTensor** out, void* context,
                  void (*set_error)(void* context, const char* kind, const char* message));
  int (*own)(void* object, VersionedTensor** out);
  int (*to_object)(VersionedTensor* tensor, void** out);  // takes the tensor over
  int (*borrow)(void* object, Tensor* out);               // may be null; valid while the object lives
  int (*current_stream)(DeviceType type, std::int32_t device, void** out);
};

}  // namespace ckl::python::dlpack
