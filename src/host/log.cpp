#include "host/log.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ckl::host {

bool log_plans() {
  static const bool on = [] {
    const char* value = std::getenv("CKL_LOG");
    return value && !std::strcmp(value, "plan");
  }();
  return on;
}

void log_line(const std::string& line) { std::fprintf(stderr, "ckl: %s\n", line.c_str()); }

}  // namespace ckl::host
