// The tests' main: without a device the whole program is skipped, which CTest knows by the exit status.

#include <gtest/gtest.h>

#include <cstdio>

#include "device_test.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  constexpr int skipped = 77;
  const std::string& reason = ckl::test::missing_device();
  if (!reason.empty() && !GTEST_FLAG_GET(list_tests)) {
    std::printf("SKIPPED: %s\n", reason.c_str());
    return skipped;
  }
  if (reason.empty()) std::printf("Running on %s\n", ckl::device_info(0).name.c_str());
  return RUN_ALL_TESTS();
}
