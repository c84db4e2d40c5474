#include "ops/parse.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ckl::bench {

std::vector<std::int64_t> parse_sizes(const std::string& key, const std::string& text, std::size_t count) {
  const auto fail = [&](const std::string& requirement) -> UsageError {
    return UsageError(fmt::format("--{}: must be {}, got `{}`", key, requirement, text));
  };
  std::vector<std::int64_t> sizes;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (true) {
    std::int64_t size = 0;
    const auto [next, code] = std::from_chars(at, end, size);
    if (code != std::errc() || size < 0)
      throw fail(count == 3 ? "three sizes MxNxK such as 4096x2112x7168"
                            : "sizes of at least 0 joined by x, such as 4096x1024");
    sizes.push_back(size);
    if (next == end) break;
    if (*next != 'x') throw fail("sizes joined by x");
    at = next + 1;
  }
  if (count != 0 && sizes.size() != count) throw fail(fmt::format("{} sizes joined by x", count));
  if (sizes.size() > std::size_t(max_rank)) throw fail(fmt::format("at most {} sizes", max_rank));
  return sizes;
}

DType parse_dtype(const std::string& key, const std::string& text, std::initializer_list<DType> allowed) {
  std::vector<std::string> names;
  for (DType dtype : allowed) {
    if (text == name(dtype)) return dtype;
    names.push_back(name(dtype));
  }
  throw UsageError(fmt::format("--{}: must be one of {}, got `{}`", key, fmt::join(names, ", "), text));
}

double parse_number(const std::string& key, const std::string& text) {
  double value = 0;
  const auto [next, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc() && next == text.data() + text.size()) return value;
  throw UsageError(fmt::format("--{}: must be a number, got `{}`", key, text));
}

std::string parse_choice(const std::string& key, const std::string& text, std::initializer_list<const char*> allowed) {
  if (std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return text;
  throw UsageError(fmt::format("--{}: must be one of {}, got `{}`", key, fmt::join(allowed, ", "), text));
}

void reject_unknown_keys(const std::string& op, const Settings& settings, std::initializer_list<const char*> known) {
  for (const auto& [key, value] : settings)
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw UsageError(fmt::format("--{}: {} takes only {}, got `{}`", key, op, fmt::join(known, ", "), value));
}

std::string value_or(const Settings& settings, const std::string& key, const std::string& otherwise) {
  const auto found = settings.find(key);
  return found == settings.end() ? otherwise : found->second;
}

}  // namespace ckl::bench
