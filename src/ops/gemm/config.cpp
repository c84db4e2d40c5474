#include "ops/gemm/config.hpp"

namespace ckl {

std::string to_string(const GemmConfig& c) {
  const char* schedule = c.schedule == Schedule::cooperative_m   ? "_coopm"
                         : c.schedule == Schedule::cooperative_n ? "_coopn"
                                                                 : "_ping";
  auto number = [](int x) { return std::to_string(x); };
  return std::string(name(c.dtype)) + (c.a_major == Major::k ? "_t" : "_n") + (c.b_major == Major::k ? "n_" : "t_") +
         number(c.tile_m) + "x" + number(c.tile_n) + "x" + number(c.tile_k) + "_" + number(c.cluster_m) + "x" +
         number(c.cluster_n) + (c.cluster_k > 1 ? "x" + number(c.cluster_k) : "") + "_s" + number(c.stages) + schedule +
         (c.load == Load::gather ? "_gather" : "") + (c.swapped ? "_swap" : "");
}

}  // namespace ckl
