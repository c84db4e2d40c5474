#include "device/work_split.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace ckl {
namespace {

// Every K tile of every tile is computed exactly once, whatever is cut.
TEST(WorkSplit, CoversEveryKTileOnce) {
  for (int clusters : {1, 2, 7, 66, 132})
    for (int tiles : {1, 5, 66, 67, 200})
      for (int split_tiles : {0, 1, 5, 66})
        for (int k_tiles : {1, 2, 13, 128}) {
          if (split_tiles > tiles) continue;
          SCOPED_TRACE(testing::Message() << clusters << " clusters, " << split_tiles << " of " << tiles
                                          << " tiles cut, " << k_tiles << " K tiles");
          const WorkSplit split = WorkSplit::of(clusters, tiles, split_tiles, k_tiles);
          std::vector<int> computed(tiles * k_tiles, 0), finished(tiles, 0);
          for (int cluster = 0; cluster < clusters; ++cluster) {
            SegmentWalk walk(split, cluster);
            Segment segment;
            int handed_over = 0;
            for (int number = 0; walk.next(segment); ++number) {
              ASSERT_LT(segment.k_begin, segment.k_end);
              for (int k = segment.k_begin; k < segment.k_end; ++k) ++computed[segment.tile * k_tiles + k];
              if (segment.k_end == k_tiles) {
                ++finished[segment.tile];
              } else {
                ++handed_over;
                EXPECT_EQ(number, 0) << "what another cluster waits for comes first";
              }
            }
            EXPECT_LE(handed_over, 1) << "a CTA has one slot";
          }
          EXPECT_EQ(computed, std::vector<int>(tiles * k_tiles, 1));
          EXPECT_EQ(finished, std::vector<int>(tiles, 1));
        }
}

// The CTAs of a cluster share each of its segments: every K tile once, and whoever has none of them multiplies one beyond K. All have
// equally many shares, since they meet after each.
TEST(WorkSplit, SharesOfAClusterCoverEveryKTileOnce) {
  for (const int sharers : {1, 2, 4, 8})
    for (const int k_tiles : {1, 2, 7, 8, 9, 1024})
      for (const int splits : {1, 2}) {
        if (splits > k_tiles) continue;
        SCOPED_TRACE(testing::Message() << sharers << " sharers, " << k_tiles << " K tiles, " << splits << " splits");
        const int tiles = 5;
        const WorkSplit split =
            splits > 1 ? WorkSplit::of_split_k(tiles, splits, k_tiles) : WorkSplit::of(3, tiles, 0, k_tiles);
        std::vector<int> computed(tiles * k_tiles, 0);
        for (int cluster = 0; cluster < split.clusters; ++cluster) {
          std::vector<int> shares;
          for (int rank = 0; rank < sharers; ++rank) {
            ShareWalk walk(split, cluster, rank, sharers);
            Segment share;
            shares.push_back(0);
            for (; walk.next(share); ++shares.back()) {
              ASSERT_LT(share.k_begin, share.k_end);
              if (share.k_begin == k_tiles) {
                EXPECT_EQ(share.k_end, k_tiles + 1) << "one tile of zeros";
                continue;
              }
              for (int k = share.k_begin; k < share.k_end; ++k) ++computed.at(share.tile * k_tiles + k);
            }
          }
          EXPECT_EQ(shares, std::vector<int>(sharers, shares.front()));
        }
        EXPECT_EQ(computed, std::vector<int>(tiles * k_tiles, 1));
      }
}

// Split-K covers every K tile once too, each cluster with one share that is not empty.
TEST(WorkSplit, SplitsKEvenly) {
  for (int tiles : {1, 4, 33})
    for (int k_tiles : {4, 13, 128})
      for (int splits = 2; splits <= 4; ++splits) {
        const WorkSplit split = WorkSplit::of_split_k(tiles, splits, k_tiles);
        EXPECT_EQ(split.clusters, tiles * splits);
        std::vector<int> computed(tiles * k_tiles, 0);
        for (int cluster = 0; cluster < split.clusters; ++cluster) {
          SegmentWalk walk(split, cluster);
          Segment segment;
          ASSERT_TRUE(walk.next(segment));
          EXPECT_EQ(segment.tile, cluster / splits);
          EXPECT_GE(segment.k_end - segment.k_begin, k_tiles / splits);
          for (int k = segment.k_begin; k < segment.k_end; ++k) ++computed[segment.tile * k_tiles + k];
          EXPECT_FALSE(walk.next(segment));
        }
        EXPECT_EQ(computed, std::vector<int>(tiles * k_tiles, 1));
      }
}

}  // namespace
}  // namespace ckl
