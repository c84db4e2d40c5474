#include "async/vector_path.hpp"

#include <optional>

namespace emu {

namespace {

std::optional<VectorPath> wanted;

}  // namespace

VectorPath best_vector_path() {
  static const VectorPath path = [] {
    __builtin_cpu_init();
    const auto has_avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const auto has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return !has_avx2 ? VectorPath::portable : has_avx512 ? VectorPath::avx512 : VectorPath::avx2;
  }();
  return path;
}

VectorPath vector_path() { return wanted.value_or(best_vector_path()); }

void use_vector_path(VectorPath path) { wanted = path; }

}  // namespace emu
