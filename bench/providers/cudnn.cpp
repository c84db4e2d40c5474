#include "providers/dynamic_library.hpp"
#include "providers/providers.hpp"

#include <fmt/format.h>

namespace ckl::bench {

std::string cudnn_version() {
  static const DynamicLibrary library({"libcudnn.so.9"});
  const auto get_version = library.get<std::size_t()>("cudnnGetVersion");
  if (!get_version) return "";
  const std::size_t version = get_version();  // e.g. 91900
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace ckl::bench
