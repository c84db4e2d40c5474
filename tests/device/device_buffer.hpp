#pragma once

#include <gtest/gtest.h>

#include "bench/guarded/guarded_memory.hpp"
#include "device_test.hpp"

namespace ckl::test {

/// Guarded memory of a test.
class DeviceBuffer : public bench::GuardedMemory {
 public:
  using GuardedMemory::GuardedMemory;

  /// Expects device memory, guard bands included, to equal the image.
  void expect_unchanged(const char* name) const { EXPECT_EQ(difference(), "") << name; }
};

}  // namespace ckl::test
