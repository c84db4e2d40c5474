// Feeds a fuzz target with mutated seeds where libFuzzer is not at hand: fuzz_TARGET CASES [SEED]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "fuzz.hpp"

namespace {

void mutate(std::string& input, std::mt19937_64& random) {
  auto draw = [&](std::size_t below) { return below ? std::size_t(random() % below) : 0; };
  switch (draw(6)) {
    case 0:  // flip a bit
      if (!input.empty()) input[draw(input.size())] ^= char(1 << draw(8));
      return;
    case 1:  // a byte that means something
      if (!input.empty()) input[draw(input.size())] = "\0\xff\x7f\x80 .;{}[]%,0"[draw(14)];
      return;
    case 2:  // cut the end off
      input.resize(draw(input.size() + 1));
      return;
    case 3: {  // remove a piece
      const std::size_t from = draw(input.size() + 1);
      input.erase(from, draw(16));
      return;
    }
    case 4: {  // repeat a piece elsewhere
      const std::size_t from = draw(input.size() + 1);
      input.insert(draw(input.size() + 1), input.substr(from, draw(32)));
      return;
    }
    default: {  // an integer of 4 bytes becomes an extreme one
      if (input.size() < 4) return;
      const std::uint32_t extremes[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
      const std::uint32_t value = extremes[draw(5)];
      const std::size_t at = draw(input.size() - 3);
      for (int i = 0; i < 4; ++i) input[at + i] = char(value >> 8 * i);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CASES [SEED]\n", argv[0]);
    return 2;
  }
  const long cases = std::atol(argv[1]);
  std::mt19937_64 random(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
  const std::vector<std::string> seeds = fuzz_seeds();
  for (long i = 0; i < cases; ++i) {
    std::string input = seeds[random() % seeds.size()];
    for (std::uint64_t n = random() % 6; n > 0; --n) mutate(input, random);
    // A buffer of its own, of just that size, so that the address sanitizer sees a read beyond it.
    std::vector<std::uint8_t> bytes(input.begin(), input.end());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%ld cases\n", cases);
}
