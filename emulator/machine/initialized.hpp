#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <vector>

namespace emu {

/// Which bytes of a block of memory have been written: one bit for each. Threads may set bits at once.
class InitializedBytes {
 public:
  explicit InitializedBytes(std::uint64_t bytes)
      : bytes_(bytes), bits_(static_cast<std::uint8_t*>(std::calloc(bytes / 8 + 9, 1))) {
    if (!bits_) throw std::bad_alloc();
  }

  /// Everything has been written: nothing is to be noted any more.
  bool is_complete() const { return complete_.load(std::memory_order_relaxed); }

  void set(std::uint64_t offset, std::uint64_t bytes) {
    if (is_complete() || bytes == 0) return;
    if (bytes == bytes_) {
      complete_.store(true, std::memory_order_relaxed);
      return;
    }
    const std::uint64_t first = offset / 8, last = (offset + bytes - 1) / 8;
    const std::uint8_t head = head_of(offset), tail = tail_of(offset + bytes);
    if (first == last) return set_bits(first, head & tail);
    set_bits(first, head);
    std::memset(bits_.get() + first + 1, 0xff, last - first - 1);
    set_bits(last, tail);
  }

  /// Nobody else may use the block meanwhile.
  void clear(std::uint64_t offset, std::uint64_t bytes) {
    if (bytes == 0) return;
    if (is_complete()) {
      std::memset(bits_.get(), 0xff, bytes_ / 8 + 1);
      complete_.store(false, std::memory_order_relaxed);
    }
    for (std::uint64_t i = offset; i < offset + bytes; ++i) {
      if (i % 8 == 0 && offset + bytes - i >= 8) {
        const std::uint64_t whole = (offset + bytes - i) / 8;
        std::memset(bits_.get() + i / 8, 0, whole);
        i += whole * 8 - 1;
      } else {
        bits_[i / 8] &= static_cast<std::uint8_t>(~(1u << i % 8));
      }
    }
  }

  /// The first byte in the range that was never written.
  std::optional<std::uint64_t> find_unset(std::uint64_t offset, std::uint64_t bytes) const {
    if (is_complete() || bytes == 0) return std::nullopt;
    const std::uint64_t first = offset / 8, last = (offset + bytes - 1) / 8;
    for (std::uint64_t i = first; i <= last; ++i) {
      std::uint64_t word;
      if (i > first && i + 8 <= last && (std::memcpy(&word, bits_.get() + i, 8), word == ~std::uint64_t{0})) {
        i += 7;
        continue;
      }
      std::uint8_t wanted = 0xff;
      if (i == first) wanted &= head_of(offset);
      if (i == last) wanted &= tail_of(offset + bytes);
      const auto missing = static_cast<std::uint8_t>(wanted & ~bits_[i]);
      if (missing) return i * 8 + static_cast<std::uint64_t>(__builtin_ctz(missing));
    }
    return std::nullopt;
  }

  /// Makes the range what it is at `from_offset` of another block, which may be the same.
  void copy(std::uint64_t offset, const InitializedBytes& from, std::uint64_t from_offset, std::uint64_t bytes) {
    const std::uint64_t end = from_offset + bytes;
    if (!from.find_unset(from_offset, bytes)) return set(offset, bytes);
    std::vector<bool> known(bytes);
    for (std::uint64_t i = from_offset; i < end; ++i) known[i - from_offset] = !from.find_unset(i, 1);
    clear(offset, bytes);
    for (std::uint64_t i = 0; i < bytes; ++i)
      if (known[i]) set_bits((offset + i) / 8, static_cast<std::uint8_t>(1u << (offset + i) % 8));
  }

 private:
  struct Free {
    void operator()(std::uint8_t* memory) const { std::free(memory); }
  };
  static std::uint8_t head_of(std::uint64_t begin) { return static_cast<std::uint8_t>(0xff << begin % 8); }
  static std::uint8_t tail_of(std::uint64_t end) {
    return end % 8 ? static_cast<std::uint8_t>(0xff >> (8 - end % 8)) : 0xff;
  }
  void set_bits(std::uint64_t i, unsigned bits) {
    if (bits == 0xff)
      bits_[i] = 0xff;
    else if ((bits_[i] & bits) != bits)
      __atomic_fetch_or(bits_.get() + i, static_cast<std::uint8_t>(bits), __ATOMIC_RELAXED);
  }

  std::uint64_t bytes_;
  std::atomic<bool> complete_{false};
  std::unique_ptr<std::uint8_t[], Free> bits_;
};

}  // namespace emu
