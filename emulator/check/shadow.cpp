#include "check/shadow.hpp"

namespace emu::check {

ByteMask ByteMask::of_range(std::uint32_t first, std::uint32_t bytes) {
  const auto below = [](std::uint32_t n) -> ByteMask {  // n lowest bytes
    if (n >= 128) return all();
    if (n >= 64) return {~std::uint64_t{0}, (std::uint64_t{1} << (n - 64)) - 1};
    return {(std::uint64_t{1} << n) - 1, 0};
  };
  return below(first + bytes) & ~below(first);
}

ByteMask ByteMask::of_units(std::uint32_t units) {
  const auto spread = [](std::uint32_t four) {
    std::uint64_t mask = 0;
    for (std::uint32_t i = 0; i < 4; ++i) {
      if (four >> i & 1) mask |= std::uint64_t{0xffff} << 16 * i;
    }
    return mask;
  };
  if (units == 0xff) return all();
  return {spread(units & 15), spread(units >> 4 & 15)};
}

void Line::push(const Access& access) {
  if (size_ < inline_accesses) {
    inline_[size_++] = access;
    return;
  }
  if (!more_) more_ = std::make_unique<std::vector<Access>>();
  more_->resize(size_ - inline_accesses);
  more_->push_back(access);
  ++size_;
}

void Line::remove(std::uint32_t i) {
  const std::uint32_t last = size_ - 1;
  if (i != last) (*this)[i] = (*this)[last];
  size_ = last;
}

Conflict record(Line& line, const Access& access, const Knowledge& knowledge) {
  Conflict conflict;
  const bool writes = access.is(Access::write);
  Access* same = nullptr;
  for (std::uint32_t i = 0; i < line.size();) {
    Access& other = line[i];
    const ByteMask overlap = other.bytes & access.bytes;
    if (overlap.empty()) {
      if (other.epoch == access.epoch && other.where == access.where && other.flags == access.flags) same = &other;
      ++i;
      continue;
    }
    const bool ordered = knowledge.ordered.covers(other.epoch);
    const bool both_strong = access.is(Access::strong) && other.is(Access::strong);
    // Of several, a read that is overwritten says most.
    const bool is_better = conflict.kind == Conflict::Kind::none || (writes && !other.is(Access::write) && !ordered);
    if ((writes || other.is(Access::write)) && is_better) {
      if (!ordered) {
        if (!both_strong) conflict = {Conflict::Kind::unordered, other};
      } else if (access.is(Access::async) && other.is(Access::write) && !other.is(Access::async) &&
                 !knowledge.fenced.covers(other.epoch)) {
        conflict = {Conflict::Kind::unfenced, other};
      }
    }
    // A write supersedes what it overwrites; a read supersedes the reads that are known to be before it.
    const bool superseded = writes ? ordered || !both_strong : ordered && !other.is(Access::write);
    if (superseded) {
      other.bytes = other.bytes & ~overlap;
      if (other.bytes.empty()) {
        line.remove(i);
        same = nullptr;  // it may have moved
        continue;
      }
    }
    ++i;
  }
  if (same) {
    same->bytes = same->bytes | access.bytes;
  } else {
    line.push(access);
  }
  return conflict;
}

}  // namespace emu::check
