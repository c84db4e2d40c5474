#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "check/clock.hpp"

namespace emu::check {

/// Bytes of a line of 128 bytes, one bit each.
struct ByteMask {
  std::uint64_t low = 0, high = 0;

  static ByteMask of_range(std::uint32_t first, std::uint32_t bytes);
  static ByteMask of_units(std::uint32_t units);  // bit i: bytes [16 * i, 16 * i + 16)
  static constexpr ByteMask all() { return {~std::uint64_t{0}, ~std::uint64_t{0}}; }

  bool empty() const { return (low | high) == 0; }
  bool is_all() const { return (low & high) == ~std::uint64_t{0}; }
  ByteMask operator&(ByteMask other) const { return {low & other.low, high & other.high}; }
  ByteMask operator|(ByteMask other) const { return {low | other.low, high | other.high}; }
  ByteMask operator~() const { return {~low, ~high}; }
  bool operator==(const ByteMask&) const = default;
  std::uint32_t first() const {
    return low ? static_cast<std::uint32_t>(__builtin_ctzll(low))
               : 64 + static_cast<std::uint32_t>(__builtin_ctzll(high));
  }
};

/// What accesses memory.
enum class Actor : std::uint8_t { thread, copy, copy_source, bulk_store, cp_async, wgmma };

/// The last accesses of one kind to some bytes of a line that nothing has superseded yet.
struct Access {
  static constexpr std::uint8_t write = 1, async = 2, strong = 4;

  ByteMask bytes;
  Epoch epoch;             // when it is over
  std::uint8_t flags = 0;  // `async`: through the async proxy
  Actor actor = Actor::thread;
  std::uint32_t where = 0;
  std::uint32_t warp = 0;  // that made it, or issued it

  bool is(std::uint8_t flag) const { return flags & flag; }
};

/// What is known of 128 bytes of shared memory.
class Line {
 public:
  ByteMask initialized;

  std::uint32_t size() const { return size_; }
  Access& operator[](std::uint32_t i) { return i < inline_accesses ? inline_[i] : (*more_)[i - inline_accesses]; }
  const Access& operator[](std::uint32_t i) const {
    return i < inline_accesses ? inline_[i] : (*more_)[i - inline_accesses];
  }
  void push(const Access& access);
  void remove(std::uint32_t i);  // the last one takes its place
  void reset() {
    initialized = {};
    size_ = 0;
  }

  std::uint32_t generation = 0;  // of the cluster; another one: nothing is known

 private:
  static constexpr std::uint32_t inline_accesses = 3;
  std::uint32_t size_ = 0;
  Access inline_[inline_accesses];
  std::unique_ptr<std::vector<Access>> more_;
};

/// How an access meets the ones before it.
struct Conflict {
  enum class Kind : std::uint8_t { none, unordered, unfenced } kind = Kind::none;
  Access other;
};

/// Checks `access` by someone who knows `knowledge` against `line`, and records it. The first conflict is given back.
Conflict record(Line& line, const Access& access, const Knowledge& knowledge);

}  // namespace emu::check
