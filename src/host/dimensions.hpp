#pragma once

// Dimensions that several operands step through together.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ckl::host {

/// Dimensions, outermost first, without those of size 1; merged where all operands step through two as one.
struct MergedDimensions {
  std::vector<std::int64_t> sizes;
  std::vector<std::vector<std::int64_t>> strides;  ///< Of each dimension, by operand.

  /// Adds the next one inwards.
  void add(std::int64_t size, std::vector<std::int64_t> steps) {
    if (size == 1) return;
    bool continues = !sizes.empty();
    for (std::size_t i = 0; i < steps.size() && continues; ++i) continues = strides.back()[i] == steps[i] * size;
    if (continues) {
      sizes.back() *= size;
      strides.back() = std::move(steps);
    } else {
      sizes.push_back(size);
      strides.push_back(std::move(steps));
    }
  }
};

}  // namespace ckl::host
