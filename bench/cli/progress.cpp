#include "cli/progress.hpp"

#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

namespace ckl::bench {

Progress::Progress(std::size_t total) : total_(total), terminal_(isatty(STDERR_FILENO)) {}

void Progress::show(std::size_t done, const std::string& what) {
  if (!terminal_ || total_ == 0) return;
  constexpr std::size_t width = 24;
  const std::size_t filled = width * done / total_;
  fmt::print(stderr, "\r\033[K[{}{}] {}/{} {}", std::string(filled, '='), std::string(width - filled, ' '), done,
             total_, what);
  std::fflush(stderr);
}

void Progress::clear() {
  if (!terminal_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

}  // namespace ckl::bench
