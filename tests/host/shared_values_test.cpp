// Small values that host and kernel share: the division by multiplication, and the order of tiles. And the plan cache.

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "reference/draw.hpp"
#include "device/divider.hpp"
#include "device/tile_grid.hpp"
#include "host/plan_cache.hpp"

namespace ckl::test {
namespace {

using reference::Draw;

constexpr std::int32_t largest = 0x7fffffff;

/// Dividends at which a wrong multiplier would show: around multiples of the divisor, and at the end of the range.
void expect_divides(std::int64_t divisor) {
  const Divider divider = Divider::of(divisor);
  EXPECT_EQ(divider.divisor, divisor);
  std::vector<std::int64_t> dividends = {0, 1, largest, largest - 1, largest / 2, largest / 2 + 1};
  for (const std::int64_t multiple : {divisor, 2 * divisor, 3 * divisor, largest / divisor * divisor,
                                      (largest / divisor - 1) * divisor, largest / divisor / 2 * divisor})
    for (const std::int64_t near : {multiple - 1, multiple, multiple + 1}) dividends.push_back(near);
  for (const std::int64_t n : dividends)
    if (n >= 0 && n <= largest) {
      ASSERT_EQ(divider.quotient(std::int32_t(n)), n / divisor) << n << " / " << divisor;
    }
}

TEST(Divider, IsExactForEveryDivisorUpTo100000) {
  for (std::int64_t divisor = 1; divisor <= 100000; ++divisor) expect_divides(divisor);
}

TEST(Divider, IsExactAroundPowersOfTwoAndForDrawnDivisors) {
  for (int power = 1; power < 31; ++power)
    for (const int step : {-1, 0, 1}) expect_divides((std::int64_t(1) << power) + step);
  expect_divides(largest);
  Draw draw(3);
  for (int i = 0; i < 100000; ++i) expect_divides(1 + draw.below(largest));
}

TEST(Divider, LargerDivisorsAreLargerThanAny32BitNumber) {
  for (const std::int64_t divisor : {std::int64_t(1) << 31, std::int64_t(1) << 40}) {
    EXPECT_EQ(Divider::of(divisor).quotient(largest), 0);
    EXPECT_EQ(Divider::of(divisor).quotient(3 * divisor + 1), 3);
  }
}

TEST(TileGrid, VisitsEveryTileOnce) {
  for (const int tiles_m : {1, 2, 7, 16, 33})
    for (const int tiles_n : {1, 3, 8})
      for (const int batch : {1, 3})
        for (const int group : {1, 2, 8, 16, 100}) {
          const TileGrid grid = TileGrid::of(tiles_m, tiles_n, batch, group);
          ASSERT_EQ(grid.count(), std::int64_t(tiles_m) * tiles_n * batch);
          std::set<std::tuple<int, int, int>> seen;
          for (int index = 0; index < grid.count(); ++index) {
            const TileIndex tile = tile_at(grid, index);
            ASSERT_TRUE(tile.m >= 0 && tile.m < tiles_m && tile.n >= 0 && tile.n < tiles_n && tile.batch >= 0 &&
                        tile.batch < batch);
            seen.emplace(tile.m, tile.n, tile.batch);
          }
          ASSERT_EQ(std::int64_t(seen.size()), grid.count())
              << tiles_m << " " << tiles_n << " " << batch << " " << group;
        }
}

// The point of groups: tiles that are computed at the same time span few rows.
TEST(TileGrid, StaysWithinAGroupOfRows) {
  const TileGrid grid = TileGrid::of(32, 10, 1, 8);
  for (int index = 0; index < 80; ++index) EXPECT_LT(tile_at(grid, index).m, 8);
  EXPECT_EQ(tile_at(grid, 8).n, 1) << "columns follow each other within the group";
  EXPECT_EQ(tile_at(grid, 80).m, 8);
}

// ---- plan cache ----------------------------------------------------------------------------------------

/// Stands for a plan; counts how many are made.
class CountedPlan {
 public:
  CountedPlan(int problem, int device) : problem_(problem), device_(device) { ++made; }
  int problem() const { return problem_; }
  int device() const { return device_; }
  static inline std::atomic<int> made = 0;

 private:
  int problem_, device_;
};

TEST(PlanCache, KeepsPlansByProblemAndDevice) {
  host::PlanCache<CountedPlan, int> cache;
  CountedPlan::made = 0;
  const auto first = cache.get(1, 0);
  EXPECT_EQ(cache.get(1, 0), first);
  EXPECT_NE(cache.get(2, 0), first);
  const auto other_device = cache.get(1, 1);
  EXPECT_NE(other_device, first);
  EXPECT_EQ(other_device->device(), 1);
  EXPECT_EQ(other_device->problem(), 1);
  EXPECT_EQ(CountedPlan::made, 3);
}

TEST(PlanCache, DropsTheLeastRecentlyUsed) {
  host::PlanCache<CountedPlan, int, 3> cache;
  CountedPlan::made = 0;
  const auto held = cache.get(1, 0);
  cache.get(2, 0), cache.get(3, 0);
  cache.get(1, 0);  // 2 is now the oldest
  cache.get(4, 0);
  EXPECT_EQ(CountedPlan::made, 4);
  cache.get(1, 0), cache.get(3, 0), cache.get(4, 0);
  EXPECT_EQ(CountedPlan::made, 4);
  cache.get(2, 0);
  EXPECT_EQ(CountedPlan::made, 5);
  cache.get(5, 0), cache.get(6, 0), cache.get(7, 0);
  EXPECT_EQ(held->problem(), 1) << "a plan in use outlives the cache's interest in it";
}

TEST(PlanCache, ServesThreadsAtOnce) {
  host::PlanCache<CountedPlan, int, 8> cache;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      Draw draw(thread);
      for (int i = 0; i < 20000; ++i) {
        const int problem = int(draw.below(12)), device = int(draw.below(2));
        const auto plan = cache.get(problem, device);
        wrong += plan->problem() != problem || plan->device() != device;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace ckl::test
