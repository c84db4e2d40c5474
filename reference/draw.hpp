#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace ckl::reference {

/// Draws that are the same on every machine and standard library, so that a case's number names it for good
/// (splitmix64).
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// 0 <= result < count.
  std::int64_t below(std::int64_t count) { return std::int64_t(bits() % std::uint64_t(count)); }

  /// Uniform in [-1, 1).
  double symmetric() { return double(std::int64_t(bits())) * 0x1p-63; }

  bool one_in(int count) { return below(count) == 0; }

  template <class T> T of(std::initializer_list<T> choices) {
    return choices.begin()[below(std::int64_t(choices.size()))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace ckl::reference
