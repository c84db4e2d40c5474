// Where the workspaces of one-line calls come from: what streams and graphs keep, with a runtime that hands out addresses that nobody touches.

#include "ckl/error.hpp"
#include "ckl/workspace.hpp"
#include "host/workspace.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "expect_error.hpp"
#include "fake_runtime.hpp"

namespace ckl::test {
namespace {

using host::StreamWorkspace;
using Calls = std::map<std::string, int>;

[[maybe_unused]] const int devices = fake_devices = 2;  // before anything asks

/// A stream that no other test uses.
Stream next_stream() {
  static std::uintptr_t last = 1000;
  return reinterpret_cast<Stream>(++last);
}

/// Allocations, releases and fills of `work`.
template <class Work> Calls memory_calls_of(const Work& work) {
  fake_calls().clear();
  fake_streams().clear();
  counting_fake_calls = true;
  work();
  counting_fake_calls = false;
  Calls calls = fake_calls();
  for (const char* asking : {"cudaStreamGetCaptureInfo", "cudaStreamGetId", "cudaGetDevice"}) calls.erase(asking);
  return calls;
}

std::uintptr_t take(std::size_t bytes, std::size_t zeroed, Stream stream, int device = 0) {
  return reinterpret_cast<std::uintptr_t>(StreamWorkspace(bytes, zeroed, device, stream).data());
}

const Calls nothing, taken{{"cudaMallocAsync", 1}, {"cudaMemsetAsync", 1}};
const Calls grown{{"cudaFreeAsync", 1}, {"cudaMallocAsync", 1}, {"cudaMemsetAsync", 1}};

TEST(Workspace, OfAStreamIsZeroedOnce) {
  const Stream stream = next_stream();
  EXPECT_EQ(memory_calls_of([&] { take(0, 0, stream); }), nothing);
  EXPECT_EQ(memory_calls_of([&] { take(2000, 1024, stream); }), taken);
  EXPECT_EQ(memory_calls_of([&] {
              for (int i = 0; i < 3; ++i) take(2000, 1024, stream);
            }),
            nothing);
  EXPECT_EQ(memory_calls_of([&] { take(20000, 1024, stream); }), grown);
  EXPECT_EQ(fake_streams(), std::set<const void*>{stream}) << "what runs there still has the memory of before";
  EXPECT_EQ(memory_calls_of([&] { take(20000, 20000, stream); }), grown);
  EXPECT_EQ(memory_calls_of([&] { take(20000, 1024, stream), take(20000, 20000, stream), take(3000, 0, stream); }),
            nothing);
}

TEST(Workspace, ZerosStayWhereTheyAre) {
  const Stream stream = next_stream();
  take(20000, 20000, stream), take(20000, 0, stream);  // no larger ones come
  const std::uintptr_t others = take(512, 0, stream);
  for (const std::size_t zeroed : {256, 1024, 8192, 20000}) {
    const std::uintptr_t whole = (zeroed + 255) / 256 * 256;
    EXPECT_EQ(take(zeroed, zeroed, stream), others - whole) << zeroed;
    if (zeroed == whole) {
      EXPECT_EQ(take(zeroed + 3000, zeroed, stream), others - zeroed) << zeroed;
    }
    EXPECT_EQ(take(zeroed, zeroed, stream) % 256, 0u);
  }
}

TEST(Workspace, StreamsAndDevicesHaveTheirOwn) {
  const Stream first = next_stream(), second = next_stream();
  const std::uintptr_t mine = take(512, 512, first);
  EXPECT_NE(mine, take(512, 512, second));
  EXPECT_NE(mine, take(512, 512, first, 1));
  EXPECT_EQ(mine, take(512, 512, first));
  EXPECT_NE(take(512, 512, nullptr), take(512, 512, nullptr, 1)) << "the default streams have one handle";
}

// Growing gives memory back in stream order, so nobody may hold it who has not launched yet.
TEST(Workspace, ThreadsTakeTurnsAtAStream) {
  const Stream stream = next_stream();
  std::atomic<bool> has_taken = false;
  std::thread other;
  {
    const StreamWorkspace mine(512, 512, 0, stream);
    other = std::thread([&] {
      take(100000, 512, stream);
      has_taken = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(has_taken);
  }
  other.join();
  EXPECT_TRUE(has_taken);
}

TEST(Workspace, LargeOnesComeFromThePool) {
  const Stream stream = next_stream();
  const std::size_t bytes = StreamWorkspace::most_kept + 1;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(memory_calls_of([&] { take(bytes, 0, stream); }), (Calls{{"cudaMallocAsync", 1}, {"cudaFreeAsync", 1}}));
    EXPECT_EQ(memory_calls_of([&] { take(bytes, 256, stream); }), grown);
  }
}

TEST(Workspace, AGraphKeepsItsOwn) {
  const Calls made{
      {"cudaMalloc", 1}, {"cudaUserObjectCreate", 1}, {"cudaGraphRetainUserObject", 1}, {"cudaMemsetAsync", 1}};
  const Calls found{{"cudaUserObjectCreate", 1}, {"cudaGraphRetainUserObject", 1}, {"cudaMemsetAsync", 1}};
  const Stream stream = next_stream(), fork = next_stream();
  const std::uintptr_t of_stream = take(512, 512, stream);
  std::uintptr_t first = 0, second = 0;
  fake_capture = 1;
  EXPECT_EQ(memory_calls_of([&] { first = take(512, 512, stream); }), made);
  EXPECT_NE(first, of_stream);
  EXPECT_EQ(memory_calls_of([&] { EXPECT_EQ(take(512, 512, stream), first); }), nothing);
  EXPECT_EQ(memory_calls_of([&] { EXPECT_NE(take(512, 512, fork), first); }), made);
  EXPECT_EQ(memory_calls_of([&] { take(20000, 20000, stream); }), made);
  fake_capture = 2;
  EXPECT_EQ(memory_calls_of([&] { second = take(512, 512, stream); }), made);
  EXPECT_NE(second, first);
  fake_capture = 0;
  EXPECT_EQ(take(512, 512, stream), of_stream);
  end_fake_graphs();
  fake_capture = 3;  // by now all four are free: equal calls are served alike
  EXPECT_EQ(memory_calls_of([&] { take(20000, 20000, stream); }), found);
  EXPECT_EQ(memory_calls_of([&] { take(512, 512, stream); }), nothing);
  fake_capture = 4;
  EXPECT_EQ(memory_calls_of([&] { take(512, 512, stream); }), found);
  EXPECT_EQ(memory_calls_of([&] { take(20000, 20000, stream); }), made);
  EXPECT_EQ(memory_calls_of([&] { take(512, 512, fork); }), found);
  fake_capture = 0;
  end_fake_graphs();
}

// What a graph did not come to hold is free, and has zeros when it is taken again.
TEST(Workspace, AGraphThatFailsToHoldItLeavesItFree) {
  const Stream stream = next_stream();
  for (const char* failing : {"cudaUserObjectCreate", "cudaGraphRetainUserObject"}) {
    fake_capture = 5;
    fake_failure = failing;
    EXPECT_THROW(take(512, 512, stream), ckl::Error);
    fake_failure.clear();
    const Calls calls = memory_calls_of([&] { take(512, 512, stream); });
    EXPECT_EQ(calls, (Calls{{"cudaUserObjectCreate", 1}, {"cudaGraphRetainUserObject", 1}, {"cudaMemsetAsync", 1}}));
    fake_capture = 0;
    end_fake_graphs();
  }
}

// Where a device has as many as are kept; others have room then.
TEST(Workspace, StreamsThatComeTooLateKeepNothing) {
  release_workspaces(0), release_workspaces(1);
  Stream stream = nullptr;
  for (std::size_t i = 0; i <= StreamWorkspace::most_streams; ++i) take(512, 512, stream = next_stream());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(memory_calls_of([&] { take(512, 512, stream); }), grown);
  EXPECT_EQ(memory_calls_of([&] { take(512, 512, stream, 1); }), taken);
  release_workspaces(0);
  EXPECT_EQ(memory_calls_of([&] { take(512, 512, stream); }), taken);
}

TEST(Workspace, IsReleasedOfOneDevice) {
  release_workspaces(0), release_workspaces(1);
  const Stream stream = next_stream();
  fake_capture = 6;
  take(512, 512, stream), take(512, 512, stream, 1);
  end_fake_graphs();
  fake_capture = 7;
  take(20000, 512, stream);  // its graph can be launched
  fake_capture = 0;
  take(512, 512, stream), take(512, 512, stream, 1), take(512, 512, next_stream());
  EXPECT_EQ(memory_calls_of([] { release_workspaces(); }), (Calls{{"cudaFree", 3}}));
  EXPECT_EQ(memory_calls_of([] { release_workspaces(0); }), nothing);
  EXPECT_EQ(memory_calls_of([&] { take(512, 512, stream, 1); }), nothing);
  EXPECT_EQ(memory_calls_of([&] { take(512, 512, stream); }), taken);
  end_fake_graphs();
  EXPECT_EQ(memory_calls_of([] { release_workspaces(0); }), (Calls{{"cudaFree", 2}}));
  for (const int device : {-2, 2})
    expect_error(ErrorCode::invalid_argument, {"device", std::to_string(device).c_str()},
                 [device] { release_workspaces(device); });
}

}  // namespace
}  // namespace ckl::test
