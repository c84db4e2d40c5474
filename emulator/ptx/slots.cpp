#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "ptx/analysis.hpp"

// Linear scan: Poletto and Sarkar, "Linear scan register allocation" (1999), without spilling, since slots are unlimited.
namespace emu::ptx {
namespace {

constexpr std::size_t class_count = static_cast<std::size_t>(SlotClass::count);

template <class T> using MinHeap = std::priority_queue<T, std::vector<T>, std::greater<T>>;

}  // namespace

SlotClass slot_class_of(Type type) {
  if (type == Type::pred) return SlotClass::predicate;
  const int bits = bits_of(type);
  return bits <= 32 ? SlotClass::word : bits <= 64 ? SlotClass::double_word : SlotClass::quad_word;
}

std::size_t Slots::warp_bytes() const {
  constexpr std::size_t bytes[class_count] = {4, 32 * 4, 32 * 8, 32 * 16};
  std::size_t sum = 0;
  for (std::size_t c = 0; c < class_count; ++c) sum += count[c] * bytes[c];
  return sum;
}

Slots allocate_slots(const Function& function, std::span<const LiveInterval> intervals) {
  const std::size_t size = function.registers.size();
  Slots slots;
  slots.slot.assign(size, no_index);
  slots.slot_class.resize(size);
  std::vector<std::pair<Index, Index>> order;  // begin, register
  order.reserve(size);
  for (Index reg = 0; reg < size; ++reg) {
    slots.slot_class[reg] = slot_class_of(function.registers[reg].type);
    if (!intervals[reg].is_empty()) order.push_back({intervals[reg].begin, reg});
  }
  std::sort(order.begin(), order.end());

  struct ClassState {
    MinHeap<std::pair<Index, Index>> active;  // end, slot
    MinHeap<Index> free;                      // the lowest first: a warp's hot slots stay together
  };
  ClassState states[class_count];
  for (const auto& [begin, reg] : order) {
    const auto c = static_cast<std::size_t>(slots.slot_class[reg]);
    auto& [active, free] = states[c];
    // A result begins at an odd position; what the same instruction reads, one before, must not share its slot.
    while (!active.empty() && active.top().first < (begin & ~Index{1})) {
      free.push(active.top().second);
      active.pop();
    }
    if (free.empty()) {
      slots.slot[reg] = slots.count[c]++;
    } else {
      slots.slot[reg] = free.top();
      free.pop();
    }
    active.push({intervals[reg].end, slots.slot[reg]});
  }
  return slots;
}

Analysis analyze(const Function& function, const RegisterRoles& roles, std::span<const AsyncStep> steps) {
  ControlFlow flow(function);
  const std::vector<ExtendedUse> extended = async_uses(flow, steps);
  const std::vector<LiveInterval> intervals = live_intervals(flow, roles, extended, function.registers.size());
  Slots slots = allocate_slots(function, intervals);
  return {std::move(flow), std::move(slots)};
}

}  // namespace emu::ptx
