#pragma once

// How much memory a Mailbox (mailbox.cuh) takes. Host and kernel share it.

#include <cstdint>

namespace ckl {

constexpr int mailbox_row = 32;  ///< Boxes side by side.

/// Bytes of `boxes` boxes for `value_bytes` bytes each, a multiple of 4; they must be 0 before the first launch.
constexpr std::int64_t mailbox_bytes(std::int64_t boxes, std::int64_t value_bytes) {
  return (boxes + mailbox_row - 1) / mailbox_row * mailbox_row * value_bytes * 2;
}

}  // namespace ckl
