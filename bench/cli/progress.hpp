#pragma once

#include <cstddef>
#include <string>

namespace ckl::bench {

/// A progress line on a terminal (standard error); silent in a pipe or a file.
class Progress {
 public:
  explicit Progress(std::size_t total);
  ~Progress() { clear(); }

  /// Shows that number `done` + 1 of the total, `what`, is being worked on.
  void show(std::size_t done, const std::string& what);

  /// Removes the line, so that something else can be printed.
  void clear();

 private:
  const std::size_t total_;
  const bool terminal_;
};

}  // namespace ckl::bench
