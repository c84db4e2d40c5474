#pragma once

// Who computes what: the K tiles of all output tiles, divided among the clusters of a persistent grid. Host and kernel
// share it.

#include "device/divider.hpp"
#include "device/host_device.hpp"

namespace ckl {

/// A run of K tiles of one output tile, computed by one cluster.
struct Segment {
  int tile, k_begin, k_end;
};

/// The first `split_tiles` tiles are laid end to end and cut into `clusters` equal runs of K tiles ("stream-K"), so that no
/// cluster is idle while others finish; the other tiles go whole, round robin. Of a tile that is cut, the cluster with its
/// last K tile adds up what the others hand over and stores the tile.
///
/// Or, where a few tiles have much of K ("split-K"), each tile has `splits` clusters of its own, which share its K tiles evenly;
/// each of them then adds up and stores a share of the tile.
struct WorkSplit {
  int clusters, tiles, split_tiles, k_tiles;
  int run, longer_runs;  ///< K tiles of a run, and how many of the first runs have one more.
  int splits;            ///< Clusters that share each tile; 1 unless this is split-K.
  Divider per_tile;      ///< K tiles of a tile.
  Divider per_splits;    ///< Clusters of a tile.

  /// On the host. All cut tiles together have fewer than 2^31 K tiles.
  static constexpr WorkSplit of(int clusters, int tiles, int split_tiles, int k_tiles) {
    int total = split_tiles * k_tiles;
    return {clusters,         tiles, split_tiles,          k_tiles,       total / clusters,
            total % clusters, 1,     Divider::of(k_tiles), Divider::of(1)};
  }

  /// Split-K, on the host: tiles * splits clusters, 2 <= splits <= k_tiles, splits * k_tiles < 2^31.
  static constexpr WorkSplit of_split_k(int tiles, int splits, int k_tiles) {
    return {tiles * splits, tiles, 0, k_tiles, 0, 0, splits, Divider::of(k_tiles), Divider::of(splits)};
  }

  /// Where cluster's run begins, in K tiles from the beginning of tile 0.
  CKL_HOST_DEVICE constexpr int run_begin(int cluster) const {
    return cluster * run + (cluster < longer_runs ? cluster : longer_runs);
  }
};

/// The segments of one cluster, in the order that it computes them: its run backwards, so that what others wait for comes
/// first; then its whole tiles. Whoever waits, waits for a cluster of a smaller number, which was launched before it.
class SegmentWalk {
 public:
  CKL_HOST_DEVICE constexpr SegmentWalk(const WorkSplit& split, int cluster)
      : split_(split),
        begin_(split.run_begin(cluster)),
        at_(split.run_begin(cluster + 1)),
        whole_(split.split_tiles + cluster) {}

  /// Gives the next segment; false when there is none.
  CKL_HOST_DEVICE constexpr bool next(Segment& segment) {
    if (at_ > begin_) {
      int tile = split_.per_tile.quotient(at_ - 1);
      int tile_begin = tile * split_.k_tiles;
      int from = begin_ > tile_begin ? begin_ : tile_begin;
      segment = {tile, from - tile_begin, at_ - tile_begin};
      at_ = from;
      return true;
    }
    if (split_.splits > 1) {
      if (whole_ >= split_.clusters) return false;
      int tile = split_.per_splits.quotient(whole_), share = whole_ - tile * split_.splits;
      segment = {tile, split_.per_splits.quotient(share * split_.k_tiles),
                 split_.per_splits.quotient((share + 1) * split_.k_tiles)};
      whole_ += split_.clusters;
      return true;
    }
    if (whole_ >= split_.tiles) return false;
    segment = {whole_, 0, split_.k_tiles};
    whole_ += split_.clusters;
    return true;
  }

 private:
  const WorkSplit& split_;
  int begin_, at_, whole_;
};

/// The shares of one CTA where `sharers` CTAs of a cluster share the K tiles of each of its segments. A share is never empty: where there
/// are fewer K tiles than CTAs, some get one that lies beyond K, where both operands are zeros.
class ShareWalk {
 public:
  CKL_HOST_DEVICE constexpr ShareWalk(const WorkSplit& split, int cluster, int rank, int sharers)
      : segments_(split, cluster), beyond_(split.k_tiles), rank_(rank), sharers_(sharers) {}

  CKL_HOST_DEVICE constexpr bool next(Segment& share) {
    Segment whole{};
    if (!segments_.next(whole)) return false;
    const int k_tiles = whole.k_end - whole.k_begin;
    const int begin = rank_ * k_tiles / sharers_, end = (rank_ + 1) * k_tiles / sharers_;
    share = begin < end ? Segment{whole.tile, whole.k_begin + begin, whole.k_begin + end}
                        : Segment{whole.tile, beyond_, beyond_ + 1};
    return true;
  }

 private:
  SegmentWalk segments_;
  int beyond_, rank_, sharers_;
};

}  // namespace ckl
