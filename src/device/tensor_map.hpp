#pragma once

#include <cstdint>

namespace ckl {

/// A TMA descriptor as a kernel's parameter: opaque, encoded by src/host/tensor_map.cpp only.
struct alignas(128) TensorMap {
  std::uint64_t opaque[16];
};

}  // namespace ckl
