#include "check/report.hpp"

#include <utility>

namespace emu::check {

const char* name_of(Hazard hazard) {
  switch (hazard) {
    case Hazard::race: return "race";
    case Hazard::uninitialized_read: return "uninitialized read";
    case Hazard::missing_proxy_fence: return "missing proxy fence";
    case Hazard::copy_not_awaited: return "copy not awaited";
    case Hazard::stage_overwritten: return "stage overwritten";
    case Hazard::registers_in_flight: return "registers in flight";
    case Hazard::missing_wgmma_fence: return "missing wgmma.fence";
    case Hazard::mbarrier_not_visible: return "mbarrier not visible";
    case Hazard::mbarrier_invalid: return "invalid mbarrier";
    case Hazard::mbarrier_arrivals: return "mbarrier arrivals";
    case Hazard::transaction_bytes: return "transaction bytes";
    case Hazard::unfinished_at_exit: return "unfinished at exit";
    case Hazard::remote_cta: return "remote CTA";
    case Hazard::wgmma_mismatch: return "wgmma mismatch";
  }
  return "hazard";
}

bool Reports::is_new(Hazard hazard, std::uint32_t where, std::uint32_t other_where) {
  const std::lock_guard lock(mutex_);
  if (!seen_.insert({hazard, where, other_where}).second) return false;
  if (seen_.size() <= limit_) return true;
  ++left_out_;
  return false;
}

void Reports::add(Report report) {
  const std::lock_guard lock(mutex_);
  reports_.push_back(std::move(report));
}

std::vector<Report> Reports::reports() const {
  const std::lock_guard lock(mutex_);
  return reports_;
}

std::size_t Reports::left_out() const {
  const std::lock_guard lock(mutex_);
  return left_out_;
}

bool Reports::empty() const {
  const std::lock_guard lock(mutex_);
  return reports_.empty();
}

void Reports::clear() {
  const std::lock_guard lock(mutex_);
  reports_.clear();
  seen_.clear();
  left_out_ = 0;
}

}  // namespace emu::check
