#pragma once

#include <cute/config.hpp>

#include "ops/cross_entropy/params.hpp"

namespace ckl::device {

/// The class that a row has to predict.
struct Target {
  int64_t index;
  bool is_ignored;
  bool is_class;  ///< Whether there is such a class.

  /// As it lies in memory: what is made of it waits for the load.
  struct Words {
    int32_t low, high;

    /// Of the row whose target lies at `offset`, in elements.
    CUTE_DEVICE static Words at(TargetParams const& p, int64_t offset) {
      int32_t const* data = static_cast<int32_t const*>(p.data.data) + (p.is_i64 ? 2 * offset : offset);
      return {data[0], p.is_i64 ? data[1] : 0};
    }
  };

  CUTE_DEVICE static Target of(TargetParams const& p, RowGrid const& grid, Words words) {
    return at(p, grid, p.is_i64 ? int64_t(uint64_t(uint32_t(words.high)) << 32 | uint32_t(words.low)) : words.low);
  }

  /// Of a row of which nothing else is under way, whose target lies at `offset`: an integer of its type takes fewer registers.
  CUTE_DEVICE static Target of(TargetParams const& p, RowGrid const& grid, int64_t offset) {
    return at(
        p, grid,
        p.is_i64 ? static_cast<int64_t const*>(p.data.data)[offset] : static_cast<int32_t const*>(p.data.data)[offset]);
  }

 private:
  CUTE_DEVICE static Target at(TargetParams const& p, RowGrid const& grid, int64_t index) {
    return {index, index == p.ignore_index, index >= 0 && index < grid.columns};
  }
};

}  // namespace ckl::device
