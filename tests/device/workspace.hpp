#pragma once

#include <algorithm>

#include "device_buffer.hpp"

namespace ckl::test {

/// A plan's workspace: exactly as large as it asks for, filled with zeros once, between guard bands.
class Workspace : public DeviceBuffer {
 public:
  explicit Workspace(std::size_t bytes) : DeviceBuffer(bytes) {
    std::fill_n(host(), bytes, std::byte(0));
    upload();
  }
};

}  // namespace ckl::test
