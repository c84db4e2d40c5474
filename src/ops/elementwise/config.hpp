#pragma once

// How an elementwise operator runs: one small value, named by one string such as add_bf16_flat.

#include <cstdint>
#include <string>
#include <string_view>

#include "ckl/tensor.hpp"

namespace ckl {

/// What is computed.
enum class ElementwiseOp : std::uint8_t {
  add,    ///< out = in0 + in1
  scale,  ///< out = scalar * in0; with scalar 0, in0 is never read
};

constexpr int input_count(ElementwiseOp op) { return op == ElementwiseOp::add ? 2 : 1; }

/// How the operands are addressed.
enum class Access : std::uint8_t {
  flat,     ///< All operands are one dense run of elements; 16-byte vectors.
  rows,     ///< The innermost dimension is dense, or broadcast in an input; 16-byte vectors along it.
  strided,  ///< Any strides, any alignment; element by element.
};

/// The config of one kernel entry.
struct ElementwiseConfig {
  ElementwiseOp op = ElementwiseOp::add;
  DType dtype = DType::f32;
  Access access = Access::strided;
  bool valid = false;

  friend constexpr bool operator==(const ElementwiseConfig&, const ElementwiseConfig&) = default;

  static constexpr int threads = 256;
  static constexpr int vector_bytes = 16;
  /// Vectors of each operand that one thread of the flat kernel has in flight.
  static constexpr int unroll = 2;

  /// Elements a thread moves at a time.
  constexpr int vector() const { return access == Access::strided ? 1 : vector_bytes / int(size_of(dtype)); }
  /// Elements of one block.
  constexpr int block_elements() const { return threads * vector() * (access == Access::flat ? unroll : 1); }
};

constexpr const char* name(ElementwiseOp op) { return op == ElementwiseOp::add ? "add" : "scale"; }
constexpr const char* name(Access access) {
  return access == Access::flat ? "flat" : access == Access::rows ? "rows" : "strided";
}

/// The config that `text` stands for; not valid if it is no config's name.
constexpr ElementwiseConfig parse_elementwise_config(std::string_view text) {
  auto spells = [text](std::string_view op, std::string_view dtype, std::string_view access) {
    std::size_t first = op.size(), second = first + 1 + dtype.size();
    return text.size() == second + 1 + access.size() && text.substr(0, first) == op && text[first] == '_' &&
           text.substr(first + 1, dtype.size()) == dtype && text[second] == '_' && text.substr(second + 1) == access;
  };
  for (ElementwiseOp op : {ElementwiseOp::add, ElementwiseOp::scale})
    for (DType dtype : {DType::f32, DType::f16, DType::bf16})
      for (Access access : {Access::flat, Access::rows, Access::strided})
        if (spells(name(op), name(dtype), name(access))) return {op, dtype, access, true};
  return {};
}

/// The name of `config`; parse_elementwise_config() reads it back.
std::string to_string(const ElementwiseConfig& config);

}  // namespace ckl
