#include "host/user_file.hpp"

#include <cstdlib>

namespace ckl::host {

std::string user_file(const char* variable, const char* name) {
  const auto value = [](const char* of) {
    const char* text = std::getenv(of);
    return std::string(text ? text : "");
  };
  if (std::getenv(variable)) return value(variable);
  if (!value("XDG_CACHE_HOME").empty()) return value("XDG_CACHE_HOME") + "/ckl/" + name;
  if (!value("HOME").empty()) return value("HOME") + "/.cache/ckl/" + name;
  return "";
}

}  // namespace ckl::host
