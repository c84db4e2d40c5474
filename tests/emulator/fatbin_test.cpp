#include "fatbin/fatbin.hpp"

#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <zstd.h>

namespace {

using Bytes = std::vector<std::byte>;

template <class T> void put(Bytes& bytes, T value) {
  const auto* raw = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), raw, raw + sizeof value);
}

struct Entry {
  std::uint16_t kind = 1;
  std::uint32_t arch = 90;
  std::uint64_t flags = 0x100011;  // 'a'
  std::string text = ".version 9.0\n.target sm_90a\n";
  bool compress = false;
};

/// The bytes that nvcc writes, as far as they are known.
Bytes make_fatbin(const std::vector<Entry>& entries) {
  Bytes payload;
  for (const Entry& entry : entries) {
    std::string content = entry.text;
    if (entry.compress) {
      content.resize(ZSTD_compressBound(entry.text.size()));
      content.resize(ZSTD_compress(content.data(), content.size(), entry.text.data(), entry.text.size(), 3));
    }
    const std::uint32_t compressed = entry.compress ? std::uint32_t(content.size()) : 0;
    content.resize((content.size() + 8) / 8 * 8);  // at least one byte of padding ends the text
    put(payload, entry.kind);
    put(payload, std::uint16_t(0x101));
    put(payload, std::uint32_t(64));
    put(payload, std::uint64_t(content.size()));
    put(payload, compressed);
    put(payload, std::uint32_t(64));
    put(payload, std::uint16_t(0));
    put(payload, std::uint16_t(9));
    put(payload, entry.arch);
    put(payload, std::uint64_t(0));
    put(payload, entry.flags | (entry.compress ? 0x8000u : 0u));
    put(payload, std::uint64_t(0));
    put(payload, std::uint64_t(entry.compress ? entry.text.size() : 0));
    for (char c : content) payload.push_back(std::byte(c));
  }
  Bytes bytes;
  put(bytes, std::uint32_t(0xba55ed50));
  put(bytes, std::uint16_t(1));
  put(bytes, std::uint16_t(16));
  put(bytes, std::uint64_t(payload.size()));
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

std::vector<std::string> texts_for_hopper(const Bytes& bytes) {
  std::vector<std::string> texts;
  emu::Fatbin fatbin = emu::read_fatbin(std::span<const std::byte>(bytes));
  for (const emu::PtxImage* image : fatbin.for_hopper()) texts.push_back(image->text);
  return texts;
}

TEST(Fatbin, PlainAndCompressedTextAreTheSame) {
  Entry entry;
  for (int i = 0; i < 100; ++i) entry.text += "// line " + std::to_string(i) + "\n";
  Entry compressed = entry;
  compressed.compress = true;
  EXPECT_EQ(texts_for_hopper(make_fatbin({entry})), std::vector{entry.text});
  EXPECT_EQ(texts_for_hopper(make_fatbin({compressed})), std::vector{entry.text});
}

TEST(Fatbin, PicksTheNewestArchitectureThatRuns) {
  const Entry a80{1, 80, 0x11, "80"}, a90{1, 90, 0x11, "90"}, a90a{1, 90, 0x100011, "90a"};
  const Entry a100f{1, 100, 0x200011, "100f"}, a80a{1, 80, 0x100011, "80a"};
  EXPECT_EQ(texts_for_hopper(make_fatbin({a80, a90, a90a, a100f})), std::vector<std::string>{"90a"});
  EXPECT_EQ(texts_for_hopper(make_fatbin({a90, a80})), std::vector<std::string>{"90"});
  EXPECT_EQ(texts_for_hopper(make_fatbin({a80, a100f})), std::vector<std::string>{"80"});
  EXPECT_EQ(texts_for_hopper(make_fatbin({a100f, a80a})), std::vector<std::string>{});
}

TEST(Fatbin, MachineCodeAloneIsNamed) {
  Bytes bytes = make_fatbin({{2, 90, 0x100011, "ELF"}});
  emu::Fatbin fatbin = emu::read_fatbin(std::span<const std::byte>(bytes));
  EXPECT_TRUE(fatbin.for_hopper().empty());
  EXPECT_NE(fatbin.why_no_ptx().find("sm_90a"), std::string::npos);
  EXPECT_NE(fatbin.why_no_ptx().find("code=[sm_90a,compute_90a]"), std::string::npos);
}

TEST(Fatbin, AnEmptyRegionHoldsNothing) {
  Bytes bytes = make_fatbin({});
  EXPECT_TRUE(emu::read_fatbin(std::span<const std::byte>(bytes)).ptx.empty());
}

TEST(Fatbin, OtherCompressionIsRefused) {
  Bytes bytes = make_fatbin({{1, 90, 0x102011, "LZ4"}});
  EXPECT_THROW(emu::read_fatbin(std::span<const std::byte>(bytes)), emu::FatbinError);
}

TEST(Fatbin, EveryTruncationIsRefused) {
  Entry compressed;
  compressed.compress = true;
  const Bytes whole = make_fatbin({{}, compressed});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Bytes part(whole.begin(), whole.begin() + std::ptrdiff_t(size));  // a copy, so that reading beyond it is found
    EXPECT_THROW(emu::read_fatbin(std::span<const std::byte>(part)), emu::FatbinError) << size << " bytes";
  }
}

TEST(Fatbin, DamageIsRefusedOrHarmless) {
  std::mt19937 random(1);
  Entry compressed;
  compressed.compress = true;
  const Bytes whole = make_fatbin({{}, compressed, {2, 90, 0x100011, "ELF"}});
  for (int i = 0; i < 20000; ++i) {
    Bytes damaged = whole;
    for (int j = 0; j <= int(random() % 4); ++j) damaged[random() % damaged.size()] = std::byte(random());
    try {
      emu::read_fatbin(std::span<const std::byte>(damaged)).why_no_ptx();
    } catch (const emu::FatbinError&) {}
  }
}

TEST(Fatbin, ReadsThroughTheWrapper) {
  Bytes bytes = make_fatbin({{}});
  struct {
    std::uint32_t magic = 0x466243b1, version = 1;
    const void* data;
    const void* more = nullptr;
  } wrapper{.data = bytes.data()};
  EXPECT_TRUE(emu::is_fatbin_wrapper(&wrapper));
  EXPECT_EQ(emu::read_fatbin_wrapper(&wrapper).ptx.size(), 1u);
  wrapper.data = nullptr;
  EXPECT_THROW(emu::read_fatbin_wrapper(&wrapper), emu::FatbinError);
}

}  // namespace
