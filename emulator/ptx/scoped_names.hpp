#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ptx/module.hpp"

namespace emu::ptx {

/// Names with what they mean, in nested scopes: an inner declaration hides an outer one until its scope ends.
template <class Meaning> class ScopedNames {
 public:
  void open() { scopes_.push_back(entries_.size()); }

  void close() {
    while (entries_.size() > scopes_.back()) {
      *entries_.back().top = entries_.back().hidden;
      entries_.pop_back();
    }
    scopes_.pop_back();
  }

  std::size_t depth() const { return scopes_.size(); }

  /// False if the innermost scope has the name already; nothing is changed then.
  bool declare(std::string_view name, Meaning meaning) {
    // The nodes of an unordered_map stay where they are.
    Index* top = &tops_.try_emplace(name, no_index).first->second;
    if (*top != no_index && entries_[*top].depth == depth()) return false;
    entries_.push_back({std::move(meaning), *top, top, depth()});
    *top = static_cast<Index>(entries_.size() - 1);
    return true;
  }

  /// The innermost meaning of the name that `accept` agrees to, or null. `depth` becomes the scope's that declares it.
  template <class Accept> Meaning* find_if(std::string_view name, Accept&& accept, std::size_t* depth = nullptr) {
    const auto at = tops_.find(name);
    if (at == tops_.end()) return nullptr;
    for (Index entry = at->second; entry != no_index; entry = entries_[entry].hidden) {
      if (!accept(entries_[entry].meaning)) continue;
      if (depth) *depth = entries_[entry].depth;
      return &entries_[entry].meaning;
    }
    return nullptr;
  }

  /// What the name means here, or null.
  Meaning* find(std::string_view name, std::size_t* depth = nullptr) {
    return find_if(
        name, [](const Meaning&) { return true; }, depth);
  }

 private:
  struct Entry {
    Meaning meaning;
    Index hidden;  // the entry of the same name that this one hides
    Index* top;
    std::size_t depth;
  };
  std::unordered_map<std::string_view, Index> tops_;  // the innermost entry of each name
  std::vector<Entry> entries_;
  std::vector<std::size_t> scopes_;
};

}  // namespace emu::ptx
