#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace ckl::bench {

/// One kernel's counters, by Nsight Compute's names.
using Counters = std::map<std::string, std::string>;

/// The kernels in what `ncu --csv --page raw` printed: names, units, then a line for each kernel.
std::vector<Counters> parse_ncu_csv(const std::string& text);

/// What the counters of one kernel say; a value of -1 was not among them.
struct Profile {
  std::string kernel;
  double microseconds = -1;
  double tensor_pct = -1;  ///< Busy share of the tensor pipe while SMs are active.
  double dram_pct = -1;    ///< Of the device memory's throughput.
  double l2_pct = -1;      ///< Of the L2's throughput.
  double l2_hit_pct = -1;
  std::vector<std::pair<std::string, double>>
      stalls;  ///< Warps waiting per issued instruction, the most frequent reason first.
};

Profile profile_of(const Counters& counters);

/// The bottleneck in one sentence.
std::string bottleneck(const Profile& profile);

}  // namespace ckl::bench
