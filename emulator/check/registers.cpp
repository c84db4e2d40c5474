#include "check/registers.hpp"

#include <algorithm>
#include <bit>

namespace emu::check {

std::optional<std::uint32_t> SlotSet::find_common(const SlotSet& other) const {
  const std::size_t words = std::min(words_.size(), other.words_.size());
  for (std::size_t i = 0; i < words; ++i) {
    if (const std::uint64_t common = words_[i] & other.words_[i])
      return static_cast<std::uint32_t>(64 * i + static_cast<std::size_t>(std::countr_zero(common)));
  }
  return {};
}

void RegistersInFlight::issue(std::uint64_t group, const SlotSet& d, const SlotSet& a, std::uint32_t where) {
  issued_.push_back({group, &d, &a});
  written_.join(d);
  read_.join(a);
  where_ = where;
}

void RegistersInFlight::retire(std::uint64_t group) {
  std::erase_if(issued_, [group](const Issued& wgmma) { return wgmma.group < group; });
  written_.clear();
  read_.clear();
  for (const Issued& wgmma : issued_) {
    written_.join(*wgmma.d);
    read_.join(*wgmma.a);
  }
}

void RegistersInFlight::clear() {
  issued_.clear();
  written_.clear();
  read_.clear();
}

void UnfencedRegisters::write(std::uint32_t slot, std::uint32_t where) {
  written_.add(slot);
  if (where_.size() <= slot) where_.resize(slot + 1);
  where_[slot] = where;
}

void UnfencedRegisters::fence() {
  written_.clear();
  was_fenced_ = true;
}

void UnfencedRegisters::clear() {
  written_.clear();
  was_fenced_ = false;
}

std::optional<std::uint32_t> UnfencedRegisters::find(const SlotSet& d, const SlotSet& a, std::uint32_t where) const {
  for (const SlotSet* slots : {&d, &a})
    if (const auto slot = written_.find_common(*slots)) return where_[*slot];
  if (!was_fenced_) return where;
  return {};
}

}  // namespace emu::check
