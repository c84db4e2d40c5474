#pragma once

// How an elementwise operator runs: one small value, named by one string such as n2_f32_v8_flat.

#include <cstdint>
#include <string>
#include <string_view>

namespace ckl {

/// How the operands are addressed.
enum class Access : std::uint8_t {
  flat,     ///< All operands are one dense run of elements.
  rows,     ///< The innermost dimension is dense, or broadcast in an input.
  tiles,    ///< The one input is dense along another dimension than the output: it is turned in shared memory.
  strided,  ///< Any strides, any alignment; element by element.
};

/// The type that the functor sees. Operands of any dtype are converted to it when they are loaded, and from it when stored.
enum class Compute : std::uint8_t { f32, i64 };

/// The config of one kernel entry. It fixes how many operands there are at most and how many elements a thread takes at a time; which
/// function, and which dtypes, the kernel learns from its parameters: they are the same for all threads, which branch on them once for all
/// of their vectors.
struct ElementwiseConfig {
  int inputs = 0;  ///< Most inputs: 1, 2 or 4. 0: no config.
  Compute compute = Compute::f32;
  int vector = 1;  ///< Elements of a vector: each operand's is 16 bytes at most.
  Access access = Access::strided;
  bool few =
      false;  ///< Flat, large blocks with one vector a thread: the faster ones for 512 K to 4 M elements (on an H200).

  friend constexpr bool operator==(const ElementwiseConfig&, const ElementwiseConfig&) = default;

  static constexpr int vector_bytes = 16;

  /// Threads of a block.
  constexpr int threads() const { return few ? 1024 : 256; }
  /// Most outputs.
  constexpr int outputs() const { return inputs == 4 ? 2 : 1; }
  /// Vectors of each operand that a thread has in flight: of tiles, squares of vectors. Few where memory is read in its order: many small
  /// blocks that begin and end in that order are what comes close to a device-to-device copy; a second one halves what is around it.
  constexpr int unroll() const {
    if (access == Access::tiles) return 8;
    if (access == Access::strided) return 4;
    if (access == Access::rows) {
      if (inputs == 1 && vector <= 4 && compute == Compute::f32) return 4;
      return inputs == 2 && vector == 8 ? 1 : 2;
    }
    if (few) return 1;
    return (vector == 8 && inputs > 1) || (vector == 16 && inputs == 1) ? 1 : 2;
  }
  /// Vectors of one block.
  constexpr int block_vectors() const { return threads() * unroll(); }
  /// Elements of a tile along the dimension in which the input is dense, two lines of 128 bytes of the widest element, and along that of
  /// the output, as many as give each thread its vectors. Narrow tiles are half as wide and twice as long.
  constexpr int tile_m(bool narrow) const { return (narrow ? 8 : 16) * vector; }
  constexpr int tile_n(bool narrow) const { return block_vectors() / (narrow ? 8 : 16); }
  /// Bytes of the widest element that has room in a vector.
  constexpr int widest() const { return vector == 1 ? 8 : vector_bytes / vector; }
  /// Blocks that an SM has to hold at a time, so that 32 KB or more are in flight there even where there is one input.
  constexpr int min_blocks() const {
    if (access == Access::tiles) return 3;
    if (few) return 2;
    if (access == Access::flat) {
      if (inputs == 4) return vector == 8 ? 4 : 3;
      if (inputs == 2 && vector == 16) return 3;
      if (compute == Compute::i64 && vector == 4) return inputs == 2 ? 5 : 6;
      return inputs == 1 && vector == 8 ? 6 : 8;
    }
    if (access == Access::rows && inputs == 2 && vector == 8) return 8;
    return inputs == 4 ? 2 : vector == 16 ? 3 : inputs == 2 || access == Access::rows ? 4 : 5;
  }
};

/// The `inputs` of the configs that serve a function of so many inputs and outputs.
constexpr int elementwise_group(int inputs, int outputs) { return outputs > 1 || inputs > 2 ? 4 : inputs == 2 ? 2 : 1; }

/// Whether an element of `bytes` fits the vectors of `config`.
constexpr bool fits(const ElementwiseConfig& config, int bytes) { return bytes <= config.widest(); }

constexpr const char* name(Compute compute) { return compute == Compute::f32 ? "f32" : "i64"; }
constexpr const char* name(Access access) {
  switch (access) {
    case Access::flat: return "flat";
    case Access::rows: return "rows";
    case Access::tiles: return "tiles";
    case Access::strided: return "strided";
  }
  return "invalid";
}

/// The config that `text` stands for; `inputs` is 0 if it is no config's name.
constexpr ElementwiseConfig parse_elementwise_config(std::string_view text) {
  auto eat = [&text](std::string_view word) {
    const bool there = text.substr(0, word.size()) == word;
    if (there) text.remove_prefix(word.size());
    return there;
  };
  ElementwiseConfig config;
  const int inputs = eat("n1_") ? 1 : eat("n2_") ? 2 : eat("n4_") ? 4 : 0;
  if (eat("i64_v"))
    config.compute = Compute::i64;
  else if (!eat("f32_v"))
    return {};
  config.vector = eat("16_") ? 16 : eat("8_") ? 8 : eat("4_") ? 4 : eat("2_") ? 2 : eat("1_") ? 1 : 0;
  config.access = eat("flat")    ? Access::flat
                  : eat("rows")  ? Access::rows
                  : eat("tiles") ? Access::tiles
                                 : Access::strided;
  if (config.access == Access::strided && !eat("strided")) return {};
  config.few = config.access == Access::flat && eat("_few");
  if (!text.empty() || config.vector == 0 || (config.vector == 1) != (config.access == Access::strided)) return {};
  if (config.access == Access::tiles && inputs != 1) return {};
  config.inputs = inputs;
  return config;
}

/// The name of `config`; parse_elementwise_config() reads it back.
std::string to_string(const ElementwiseConfig& config);

}  // namespace ckl
