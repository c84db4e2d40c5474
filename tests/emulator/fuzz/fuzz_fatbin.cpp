#include <zstd.h>

#include <span>

#include "fatbin/fatbin.hpp"
#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    emu::Fatbin fatbin = emu::read_fatbin(std::as_bytes(std::span(data, size)));
    fatbin.for_hopper();
    fatbin.why_no_ptx();
  } catch (const emu::FatbinError&) {
    // the only way to say no
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds;
  for (bool compress : {false, true}) {
    std::string text = ".version 8.7\n.target sm_90a\n.address_size 64\n.visible .entry nothing() { ret; }\n";
    const std::size_t raw = text.size();
    if (compress) {
      std::string frame(ZSTD_compressBound(raw), '\0');
      frame.resize(ZSTD_compress(frame.data(), frame.size(), text.data(), raw, 3));
      text = frame;
    }
    const std::size_t used = text.size();
    text.resize((used + 8) / 8 * 8);
    std::string bytes;
    auto put = [&](std::uint64_t value, int count) {
      for (int i = 0; i < count; ++i) bytes += char(value >> 8 * i);
    };
    put(0xba55ed50, 4), put(1, 2), put(16, 2), put(64 + text.size(), 8);
    put(1, 2), put(0x101, 2), put(64, 4), put(text.size(), 8), put(compress ? used : 0, 4), put(64, 4), put(7, 2),
        put(8, 2);
    put(90, 4), put(0, 8), put(compress ? 0x108011 : 0x100011, 8), put(0, 8), put(compress ? raw : 0, 8);
    seeds.push_back(bytes + text);
  }
  return seeds;
}
