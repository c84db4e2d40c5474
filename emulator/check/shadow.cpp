#include "check/shadow.hpp"

#include <algorithm>

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
  if (units == 0xff) return all();
  // Bit i of four to bit 16 * i, then 16 times.
  const auto spread = [](std::uint64_t four) {
    return ((four & 1) | (four & 2) << 15 | (four & 4) << 30 | (four & 8) << 45) * 0xffff;
  };
  return {spread(units & 15), spread(units >> 4 & 15)};
}

std::optional<std::uint32_t> ByteMask::units() const {
  if (is_all()) return 0xff;
  const auto gather = [](std::uint64_t m) {
    return static_cast<std::uint32_t>((m & 1) | (m >> 15 & 2) | (m >> 30 & 4) | (m >> 45 & 8));
  };
  const std::uint32_t units = gather(low) | gather(high) << 4;
  if (of_units(units) == *this) return units;
  return {};
}

void Operations::compact(std::vector<std::uint32_t>& marks) {
  std::uint32_t kept = 0;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (!marks[i]) continue;
    items_[kept] = items_[i];
    marks[i] = kept++;
  }
  items_.resize(kept);
  limit_ = std::max<std::size_t>(min_limit, 4 * std::size_t{kept});
}

Judge::Verdict Judge::judge(const Operation& other) const {
  const bool writes = self_.is(Operation::write), other_writes = other.is(Operation::write);
  const bool both_strong = self_.is(Operation::strong) && other.is(Operation::strong);
  // Reads too: a barrier does not wait until a load through the generic proxy has its data, and a copy may be there first.
  const bool crosses = self_.is(Operation::async) && !other.is(Operation::async);
  Verdict verdict;
  verdict.ordered = knowledge_.ordered.covers(other.epoch);
  verdict.kind = Conflict::Kind::none;
  if (writes || other_writes) {
    if (!verdict.ordered) {
      if (!both_strong) verdict.kind = Conflict::Kind::unordered;
    } else if (crosses && !knowledge_.fenced.covers(other.epoch)) {
      verdict.kind = Conflict::Kind::unfenced;
    }
  }
  // A write supersedes what it overwrites; a read supersedes the reads that are known to be before it. But what may meet a strong
  // access does not stand for what must not, who waits for a wgmma does not learn what was before it in other warps, and what comes after
  // a copy's read needs no fence, which it may need after the read of a thread.
  if (self_.is(Operation::strong) && !other.is(Operation::strong)) {
    verdict.superseded = false;
  } else if (writes) {
    verdict.superseded = verdict.ordered || !both_strong;
  } else if (other_writes) {
    verdict.superseded = false;
  } else if (self_.epoch.component == other.epoch.component) {
    verdict.superseded = true;
  } else {
    verdict.superseded =
        verdict.ordered && self_.actor != Actor::wgmma && (!crosses || knowledge_.fenced.covers(other.epoch));
  }
  return verdict;
}

void Shadow::reset(std::size_t lines) {
  lines_.assign(lines, untouched);
  states_.assign(1, State{});
  free_.clear();
  precise_used_ = 0;
  precise_free_.clear();
}

Shadow::State& Shadow::own(StateId& line) {
  if (line != untouched && states_[line].lines == 1) return states_[line];
  StateId fresh = static_cast<StateId>(states_.size());
  if (free_.empty()) {
    states_.emplace_back();
  } else {
    fresh = free_.back();
    free_.pop_back();
  }
  states_[fresh] = states_[line];
  states_[fresh].lines = 1;
  if (line != untouched) --states_[line].lines;
  line = fresh;
  return states_[fresh];
}

LineResult Shadow::initialize(State& state, ByteMask bytes, const Judge& judge) {
  LineResult result;
  if (judge.self().is(Operation::write)) {
    result.overlaps_mbarriers = state.has_mbarrier;
  } else {
    result.uninitialized = bytes & ~state.initialized;
  }
  state.initialized = state.initialized | bytes;
  return result;
}

LineResult Shadow::access(std::uint32_t index, ByteMask bytes, Judge& judge, Memo& memo) {
  StateId& line = lines_[index];
  if (const auto units = bytes.units()) return access_line(line, *units, judge, memo);
  if (line == memo.after) memo = {};
  return access_bytes(own(line), bytes, judge);
}

LineResult Shadow::access_another_line(StateId& line, std::uint32_t units, Judge& judge, Memo& memo) {
  if (line == memo.after) memo = {};  // that state may change
  const StateId before = line;
  State& state = own(line);
  const LineResult result = access_units(state, units, judge);
  if (!result.is_clean() || state.is_precise) return result;
  // Lines that have parted, since they were accessed one by one, meet again when their states are equal.
  if (memo.after != none && states_[memo.after].equals(state)) share(line, memo.after);
  memo = {before == line || is_unused(before) ? none : before, line, units};
  return result;
}

LineResult Shadow::access_units(State& state, std::uint32_t units, Judge& judge) {
  if (state.is_precise) return access_bytes(state, ByteMask::of_units(units), judge);
  LineResult result = initialize(state, ByteMask::of_units(units), judge);
  bool is_there = false;
  for (std::uint32_t i = 0; i < state.size;) {
    const OperationId other = state.operations[i];
    const std::uint32_t overlap = state.units[i] & units;
    if (other == judge.id()) {
      state.units[i] |= static_cast<std::uint8_t>(units);
      is_there = true;
    } else if (overlap != 0) {
      const Judge::Verdict& verdict = judge.verdict(other);
      // Of several conflicts, a read that is overwritten says most.
      if (verdict.kind != Conflict::Kind::none &&
          (result.conflict.kind == Conflict::Kind::none || judge.other_reads(other))) {
        result.conflict = {verdict.kind, other, ByteMask::of_units(overlap)};
      }
      if (verdict.superseded && (state.units[i] &= static_cast<std::uint8_t>(~units)) == 0) {
        const std::uint32_t last = --state.size;
        state.operations[i] = state.operations[last];
        state.units[i] = state.units[last];
        state.operations[last] = 0;  // lines of the same history are the same bits
        state.units[last] = 0;
        continue;
      }
    }
    ++i;
  }
  if (is_there) return result;
  if (state.size == max_entries) {
    make_precise(state);
    precise_[state.operations[0]].push_back({judge.id(), ByteMask::of_units(units)});
  } else {
    state.operations[state.size] = judge.id();
    state.units[state.size++] = static_cast<std::uint8_t>(units);
  }
  return result;
}

LineResult Shadow::access_bytes(State& state, ByteMask bytes, Judge& judge) {
  if (!state.is_precise) make_precise(state);
  LineResult result = initialize(state, bytes, judge);
  std::vector<PreciseEntry>& entries = precise_[state.operations[0]];
  bool is_there = false;
  for (std::size_t i = 0; i < entries.size();) {
    PreciseEntry& entry = entries[i];
    const ByteMask overlap = entry.bytes & bytes;
    if (entry.operation == judge.id()) {
      entry.bytes = entry.bytes | bytes;
      is_there = true;
    } else if (!overlap.empty()) {
      const Judge::Verdict& verdict = judge.verdict(entry.operation);
      if (verdict.kind != Conflict::Kind::none &&
          (result.conflict.kind == Conflict::Kind::none || judge.other_reads(entry.operation))) {
        result.conflict = {verdict.kind, entry.operation, overlap};
      }
      if (verdict.superseded) {
        entry.bytes = entry.bytes & ~bytes;
        if (entry.bytes.empty()) {
          entry = entries.back();
          entries.pop_back();
          continue;
        }
      }
    }
    ++i;
  }
  if (!is_there) entries.push_back({judge.id(), bytes});
  if (entries.size() == 1 && entries[0].bytes.is_all()) {
    precise_free_.push_back(state.operations[0]);
    state.is_precise = 0;
    state.size = 1;
    state.operations = {judge.id()};
    state.units = {0xff};
  }
  return result;
}

void Shadow::make_precise(State& state) {
  std::uint32_t list = precise_used_;
  if (!precise_free_.empty()) {
    list = precise_free_.back();
    precise_free_.pop_back();
  } else if (++precise_used_ > precise_.size()) {
    precise_.emplace_back();
  }
  std::vector<PreciseEntry>& entries = precise_[list];
  entries.clear();
  for (std::uint32_t i = 0; i < state.size; ++i)
    entries.push_back({state.operations[i], ByteMask::of_units(state.units[i])});
  state.is_precise = 1;
  state.size = 0;
  state.units = {};
  state.operations = {list};
}

void Shadow::mark(std::vector<std::uint32_t>& marks) const {
  for_each([&](std::uint32_t, OperationId id, ByteMask) { marks[id] = 1; });
}

void Shadow::renumber(const std::vector<std::uint32_t>& marks) {
  for (State& state : states_) {
    if (state.lines == 0) continue;
    if (state.is_precise) {
      for (PreciseEntry& entry : precise_[state.operations[0]]) entry.operation = marks[entry.operation];
    } else {
      for (std::uint32_t i = 0; i < state.size; ++i) state.operations[i] = marks[state.operations[i]];
    }
  }
}

}  // namespace emu::check
