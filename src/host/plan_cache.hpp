#pragma once

// Plans of the one-line calls, kept so that a repeated call costs little host time.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace ckl::host {

/// A hash of numbers, one after another.
struct Hash {
  std::uint64_t value = 0xcbf29ce484222325;

  template <class... Numbers> void add(Numbers... numbers) { (mix(bits(numbers)), ...); }

 private:
  static std::uint64_t bits(std::int64_t x) { return std::uint64_t(x); }
  static std::uint64_t bits(float x) { return std::bit_cast<std::uint32_t>(x == 0 ? 0.0f : x); }  // -0 equals 0
  void mix(std::uint64_t x) {
    value = (value ^ x) * 0x9e3779b97f4a7c15;
    value ^= value >> 32;
  }
};

/// The most recently used plans, keyed by problem and device. Plan has problem(), device(), and is made by
/// Plan(problem, device). hash_value(problem), which must be equal for equal problems, spares comparisons; without one all problems
/// are compared. Thread safe.
template <class Plan, class Problem, std::size_t Capacity = 64> class PlanCache {
 public:
  /// The plan of `problem` on `device`, made if it is not there.
  std::shared_ptr<const Plan> get(const Problem& problem, int device) {
    const std::size_t hash = hash_of(problem);
    {
      std::lock_guard lock(mutex_);
      const auto [begin, end] = by_hash_.equal_range(hash);
      for (auto at = begin; at != end; ++at) {
        const Plan& plan = *at->second->plan;
        if (plan.device() != device || !(plan.problem() == problem)) continue;
        plans_.splice(plans_.begin(), plans_, at->second);
        return plans_.front().plan;
      }
    }
    auto plan = std::make_shared<const Plan>(problem, device);  // not under the lock: it may load a module
    std::lock_guard lock(mutex_);
    plans_.push_front({hash, plan});
    by_hash_.emplace(hash, plans_.begin());
    if (plans_.size() > Capacity) drop_last();
    return plan;
  }

 private:
  struct Entry {
    std::size_t hash;
    std::shared_ptr<const Plan> plan;
  };

  static std::size_t hash_of(const Problem& problem) {
    if constexpr (requires { hash_value(problem); })
      return hash_value(problem);
    else
      return 0;
  }

  void drop_last() {
    const auto last = std::prev(plans_.end());
    auto at = by_hash_.equal_range(last->hash).first;
    while (at->second != last) ++at;
    by_hash_.erase(at);
    plans_.erase(last);
  }

  std::mutex mutex_;
  std::list<Entry> plans_;  // the last used first
  std::unordered_multimap<std::size_t, typename std::list<Entry>::iterator> by_hash_;
};

}  // namespace ckl::host
