#pragma once

// Which kernel a GEMM runs with, and how: the choices, their names, and the model that ranks them. The host's alone: a kernel does
// not see it, so that a change here compiles no kernel again.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ckl/device.hpp"
#include "ckl/gemm.hpp"
#include "host/tuning.hpp"
#include "ops/gemm/config.hpp"
#include "ops/gemm/problem.hpp"

namespace ckl {

/// How a grid divides the work among its clusters; see device/work_split.hpp.
enum class Division : std::uint8_t {
  whole_tiles,  ///< Each tile is one cluster's.
  stream_k,     ///< Tiles that do not fill a wave are cut along K into equal runs. Takes a workspace.
  split_k,      ///< All tiles are cut along K, and summed up by all clusters. Takes a workspace.
};

/// A kernel entry, how its grid divides the work, and what is copied before. Named like the entry, with `_sk` for stream-K or
/// `_splitk` for split-K, then `_pada`, `_padb` or `_padab` for the operands, in the kernel's order, that get a padded copy.
struct GemmChoice {
  GemmConfig config;
  Division division = Division::whole_tiles;
  Padding padding = {};

  friend constexpr bool operator==(const GemmChoice&, const GemmChoice&) = default;
};

/// The name of `choice`; parse_gemm_choice() reads it back.
std::string to_string(const GemmChoice& choice);

/// The choice that `name` stands for; its config's `stages` is 0 if it is no choice's name.
constexpr GemmChoice parse_gemm_choice(std::string_view name) {
  auto accept_end = [&name](std::string_view suffix) {
    if (name.size() < suffix.size() || name.substr(name.size() - suffix.size()) != suffix) return false;
    name.remove_suffix(suffix.size());
    return true;
  };
  GemmChoice choice;
  if (accept_end("_padab"))
    choice.padding = {true, true};
  else if (accept_end("_pada"))
    choice.padding.a = true;
  else if (accept_end("_padb"))
    choice.padding.b = true;
  if (accept_end("_splitk"))
    choice.division = Division::split_k;
  else if (accept_end("_sk"))
    choice.division = Division::stream_k;
  choice.config = parse_gemm_config(name);
  return choice;
}

/// In how many parts split-K cuts each of `tiles` when `clusters` work at a time: as many as there are clusters for, of at
/// least 4 K tiles each; 1 if it does not pay.
constexpr int splits_of(std::int64_t tiles, int clusters, int k_tiles) {
  return std::max(1, std::min({int(clusters / std::max<std::int64_t>(tiles, 1)), k_tiles / 4, 64}));
}

/// The same with `config`, whose clusters may share K already.
constexpr int splits_of(const GemmConfig& config, std::int64_t tiles, int clusters, int k_tiles) {
  return splits_of(tiles, clusters, k_tiles / config.cluster_k);
}

/// How many of `tiles` are cut when `clusters` work at a time: those of the last, partial wave, with a whole wave before it
/// where there is one, so that every run is long; none where the waves are full.
constexpr int tiles_to_cut(std::int64_t tiles, int clusters) {
  int rest = int(tiles % clusters);
  if (rest == 0 || tiles < clusters) return rest;
  return clusters + rest;
}

/// Whether each element of D is summed up alike with all such configs, bit by bit, in whichever tile and place it lies: one wgmma
/// adds 16 products along K for every shape of tile, in the order of K, and what a last K tile has more than K is zeros, as many for
/// all of them. (How many rows and columns an instruction has is not part of any element's sum.) A cluster that shares K adds in another
/// order.
constexpr bool is_batch_invariant(const GemmConfig& config) { return config.tile_k == 64 && config.cluster_k == 1; }

/// Rows of D that the tiles in flight together cover, if it has as many: a group about as tall as it is wide touches the fewest bytes.
constexpr int gemm_group_rows = 2048;

/// A rough prediction of the time that `problem` takes with `choice` on `device`, in SM clocks. It ranks choices; it does not
/// promise a time. `problem` has a row-major D (see canonical()).
double estimated_clocks(const GemmProblem& problem, const GemmChoice& choice, const DeviceInfo& device);

/// All ways in which the configs in `shipped` can serve `problem`, best first by estimated_clocks(). `problem` has a
/// row-major D (see canonical()).
std::vector<GemmChoice> rank_choices(const GemmProblem& problem, const DeviceInfo& device,
                                     const std::vector<GemmConfig>& shipped);

/// What of a problem with a row-major D decides its time, as the tuning database's key.
std::string tuning_key(const GemmProblem& problem);

/// The ways to serve a problem, the chosen one first, and who chose it.
struct GemmRanking {
  std::vector<GemmChoice> choices;
  std::string reason;
};

/// The configs that there are: those that the model ranks, and those that only a plan or the tuning database asks for, since they have not
/// been measured, or since the user has compiled them.
struct GemmMenu {
  std::vector<GemmConfig> measured, unmeasured, compiled;
};

/// rank_choices() of what has been measured, then of what has not, then of what the user has compiled, with what `database` says of this
/// problem, this GPU and this library put first.
GemmRanking choose(const GemmProblem& problem, const DeviceInfo& device, const GemmMenu& menu,
                   const host::TuningDatabase& database);

}  // namespace ckl
