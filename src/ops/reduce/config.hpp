#pragma once

// Which kernel reduces: one small value, named by one string such as sum_bf16_block_vec.

#include <cstdint>
#include <string_view>

#include "ckl/tensor.hpp"

namespace ckl {

/// What a kernel accumulates. Operations that differ in a sign or in their last step share one, and are told apart at run time.
enum class ReduceFamily : std::uint8_t {
  sum,      ///< sum, mean, l1
  product,  ///< product
  extreme,  ///< min, max, any, all
  arg,      ///< argmin, argmax
  lse,      ///< log_sum_exp
  moments,  ///< l2, variance, deviation
  custom,   ///< A monoid of the user's own.
};

/// Which threads share an output.
enum class ReduceKind : std::uint8_t {
  warp,     ///< The lanes of a part of a warp, or a few warps of a block: many outputs, few elements each.
  block,    ///< A block, a cluster of blocks, or any number of blocks: few outputs, many elements each.
  columns,  ///< Each thread has outputs of its own, neighbours in memory, and shares them with other threads of its block and with other blocks.
};

/// The config of one kernel entry.
struct ReduceConfig {
  ReduceFamily family = ReduceFamily::sum;
  DType dtype = DType::f32;
  ReduceKind kind = ReduceKind::block;
  bool vector =
      false;  ///< 16-byte loads along the dimension whose elements are neighbours; else element by element, at any stride.
  bool valid = false;  ///< Whether it is a config at all.

  friend constexpr bool operator==(const ReduceConfig&, const ReduceConfig&) = default;

  constexpr int threads() const {
    if (kind == ReduceKind::block) return 512;
    return kind == ReduceKind::warp && state_bytes() > 8 ? 128 : 256;
  }
  /// The same kernel with vectors.
  constexpr ReduceConfig by_vectors() const { return {family, dtype, kind, true, valid}; }
  /// Elements that a thread loads at a time.
  constexpr int vector_elements() const { return vector ? 16 / int(size_of(dtype)) : 1; }
  /// Loads, side by side, of a line of 128 bytes.
  constexpr int line() const { return 128 / int(size_of(dtype)) / vector_elements(); }
  /// Independent loads that a thread has in flight: fewer of columns whose states take many registers, by more threads.
  constexpr int loads() const {
    const bool two_trees = family == ReduceFamily::extreme || family == ReduceFamily::moments;  // at a time
    if (kind == ReduceKind::columns && !vector) return size_of(dtype) == 2 && !two_trees ? 16 : 8;
    if (kind == ReduceKind::columns) return vector_elements() * state_bytes() <= 32 ? 8 : 4;
    return vector && kind == ReduceKind::block ? 4 : 8;
  }
  /// Whether threads may load once, all that they have of columns of few rows.
  constexpr bool has_once() const { return kind == ReduceKind::columns && vector && state_bytes() <= 8; }
  /// Whether states are an f64 that is added to others, which takes one word of a mailbox instead of two.
  constexpr bool adds_f64() const { return family == ReduceFamily::sum && dtype != DType::i32 && dtype != DType::i64; }
  /// Bytes of what is known of an output in between; of a custom one, the most.
  constexpr int state_bytes() const {
    switch (family) {
      case ReduceFamily::extreme: return size_of(dtype) == 8 ? 8 : 4;
      case ReduceFamily::arg:
      case ReduceFamily::lse:
      case ReduceFamily::moments:
      case ReduceFamily::custom: return 16;
      default: return 8;
    }
  }
  /// Blocks that an SM shall hold at a time, so that 64 KB of loads or more are in flight, twice what the memory's latency asks for: those
  /// that add up load nothing. Many large states need more registers, as does the exponential of an f64.
  constexpr int blocks_per_sm() const {
    const bool exponentials = family == ReduceFamily::lse && dtype == DType::f64;
    if (kind == ReduceKind::block) return exponentials ? 1 : 2;
    if (exponentials) return 512 / threads();
    const bool many = family == ReduceFamily::moments || family == ReduceFamily::custom;  // in between
    const int states = (kind == ReduceKind::columns ? vector_elements() : loads()) + many;
    const int bytes = states * state_bytes();
    if (kind == ReduceKind::columns) {
      const bool many_registers = vector && loads() == 8 && (size_of(dtype) == 2 || family == ReduceFamily::product);
      return bytes > 128 ? 2 : bytes > 64 || many_registers ? 3 : 4;
    }
    const bool wants_few_registers =
        family == ReduceFamily::lse || (family == ReduceFamily::arg && size_of(dtype) == 4);
    return (!wants_few_registers && (bytes > 64 || (vector && loads() == 8)) ? 3 : 4) * 256 / threads();
  }

  static constexpr int warp = 32;
  static constexpr int loads_once = 8;           ///< Of columns of few rows.
  static constexpr int stage_bytes = 32 * 1024;  ///< Of shared memory, for short rows that vectors do not serve.
  static constexpr int max_cluster = 8;          ///< Blocks; larger clusters are not portable.
  static constexpr int largest_cluster = 16;     ///< Where a whole tensor has so many batches.
};

namespace detail {

struct ReduceFamilyName {
  ReduceFamily family;
  const char* name;
};
constexpr ReduceFamilyName reduce_families[] = {{ReduceFamily::sum, "sum"},         {ReduceFamily::product, "product"},
                                                {ReduceFamily::extreme, "extreme"}, {ReduceFamily::arg, "arg"},
                                                {ReduceFamily::lse, "lse"},         {ReduceFamily::moments, "moments"},
                                                {ReduceFamily::custom, "custom"}};

struct ReduceKindName {
  ReduceKind kind;
  const char* name;
};
constexpr ReduceKindName reduce_kinds[] = {
    {ReduceKind::warp, "warp"}, {ReduceKind::block, "block"}, {ReduceKind::columns, "columns"}};

constexpr DType reduce_dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::f64, DType::i32, DType::i64};

}  // namespace detail

constexpr const char* name(ReduceFamily family) { return detail::reduce_families[int(family)].name; }
constexpr const char* name(ReduceKind kind) { return detail::reduce_kinds[int(kind)].name; }

/// The config that `text` names, "FAMILY_DTYPE_KIND_vec" or "..._any"; not a valid one if it is none's name.
constexpr ReduceConfig parse_reduce_config(std::string_view text) {
  ReduceConfig config;
  const auto accept = [&text](std::string_view word) {
    if (text.substr(0, word.size()) != word || text.size() <= word.size() || text[word.size()] != '_') return false;
    text.remove_prefix(word.size() + 1);
    return true;
  };
  bool known = false;
  for (const auto& [family, word] : detail::reduce_families)
    if (!known && (known = accept(word))) config.family = family;
  if (!known) return {};
  known = false;
  for (DType dtype : detail::reduce_dtypes)
    if (!known && (known = accept(ckl::name(dtype)))) config.dtype = dtype;
  if (!known) return {};
  known = false;
  for (const auto& [kind, word] : detail::reduce_kinds)
    if (!known && (known = accept(word))) config.kind = kind;
  if (!known || (text != "vec" && text != "any")) return {};
  config.vector = text == "vec";
  config.valid = true;
  return config;
}

}  // namespace ckl
