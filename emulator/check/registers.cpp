#include "check/registers.hpp"

namespace emu::check {

void RegistersInFlight::issue(std::span<const std::uint32_t> d, std::span<const std::uint32_t> a, std::uint32_t where) {
  for (std::uint32_t slot : d) ++written_[slot];
  for (std::uint32_t slot : a) ++read_[slot];
  ++count_;
  where_ = where;
}

void RegistersInFlight::retire(std::span<const std::uint32_t> d, std::span<const std::uint32_t> a) {
  for (std::uint32_t slot : d) --written_[slot];
  for (std::uint32_t slot : a) --read_[slot];
  --count_;
}

std::optional<std::uint32_t> UnfencedRegisters::find(std::span<const std::uint32_t> d, std::span<const std::uint32_t> a,
                                                     std::uint32_t where) const {
  for (std::span<const std::uint32_t> slots : {d, a}) {
    for (std::uint32_t slot : slots) {
      if (writes_[slot].fences == fences_) return writes_[slot].where;
    }
  }
  if (fences_ == 0) return where;
  return {};
}

}  // namespace emu::check
