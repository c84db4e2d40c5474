#pragma once

#include <gtest/gtest.h>

#include "bench/guarded/guarded_tensor.hpp"
#include "device_test.hpp"

namespace ckl::test {

using bench::Dimensions;
using bench::for_each_element;

/// A guarded tensor of a test.
class OperandBuffer : public bench::GuardedTensor {
 public:
  using GuardedTensor::GuardedTensor;

  /// Brings the results into the image, then expects everything else to be as it was.
  void receive(const char* name) {
    const std::vector<std::byte> now = GuardedTensor::receive();
    record_digest(now.data(), now.size());
    expect_unchanged(name);
  }

  void expect_unchanged(const char* name) const { EXPECT_EQ(difference(), "") << name; }
};

}  // namespace ckl::test
