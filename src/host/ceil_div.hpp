#pragma once

#include <cstdint>

namespace ckl::host {

/// x / y, rounded up; neither is negative.
constexpr std::int64_t ceil_div(std::int64_t x, std::int64_t y) { return (x + y - 1) / y; }

}  // namespace ckl::host
