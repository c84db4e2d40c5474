#pragma once

// Plans of the one-line calls, kept so that a repeated call costs little host time.

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

namespace ckl::host {

/// The most recently used plans, keyed by problem and device. Plan has problem(), device(), and is made by
/// Plan(problem, device). Thread safe.
template <class Plan, class Problem, std::size_t Capacity = 64> class PlanCache {
 public:
  /// The plan of `problem` on `device`, made if it is not there.
  std::shared_ptr<const Plan> get(const Problem& problem, int device) {
    {
      std::lock_guard lock(mutex_);
      for (auto at = plans_.begin(); at != plans_.end(); ++at)
        if ((*at)->device() == device && (*at)->problem() == problem) {
          plans_.splice(plans_.begin(), plans_, at);
          return *at;
        }
    }
    auto plan = std::make_shared<const Plan>(problem, device);  // not under the lock: it may load a module
    std::lock_guard lock(mutex_);
    plans_.push_front(plan);
    if (plans_.size() > Capacity) plans_.pop_back();
    return plan;
  }

 private:
  std::mutex mutex_;
  std::list<std::shared_ptr<const Plan>> plans_;
};

}  // namespace ckl::host
