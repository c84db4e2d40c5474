#include "async/footprint.hpp"

namespace emu::async {

void append_range(Footprint& footprint, std::uint32_t offset, std::uint32_t bytes) {
  if (bytes == 0) return;
  const std::uint32_t first = offset / 16, last = (offset + bytes - 1) / 16;
  for (std::uint32_t line = first / 8; line <= last / 8; ++line) {
    const std::uint32_t from = line == first / 8 ? first % 8 : 0, to = line == last / 8 ? last % 8 : 7;
    footprint.push_back({line, (2u << to) - (1u << from)});
  }
}

}  // namespace emu::async
