#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <tuple>

#include "host/ceil_div.hpp"
#include "host/device.hpp"
#include "host/module.hpp"
#include "host/require.hpp"
#include "ops/elementwise/check.hpp"
#include "ops/elementwise/elementwise.hpp"

namespace ckl {

std::string to_string(const ElementwiseConfig& c) {
  return host::sentence("n", c.inputs, "_", name(c.compute), "_v", c.vector, "_", name(c.access), c.few ? "_few" : "");
}

bool is_integer(DType dtype) { return dtype == DType::i64 || dtype == DType::i32 || dtype == DType::b8; }

namespace {

using Strides = std::array<std::int64_t, max_rank>;
constexpr int inner = max_rank - 1;

/// One operand over the collapsed dimensions.
struct CollapsedOperand {
  DType dtype;
  int alignment;  ///< Bytes.
  bool is_input;
  Strides original, strides{};
};

/// The operands over the fewest dimensions: those of size 1 are dropped, the rest sorted so that the output's strides fall,
/// and neighbours that all operands step through as one are merged. Dimension max_rank - 1 is the innermost.
struct Collapsed {
  Strides sizes;
  std::vector<CollapsedOperand> operands;  ///< Inputs, then outputs.
  int first_dimension = max_rank;          ///< Those before have size 1.
  bool empty = false;

  bool flat() const {
    auto dense = [](const CollapsedOperand& x) { return x.strides[inner] == 1; };
    return first_dimension >= inner && std::all_of(operands.begin(), operands.end(), dense);
  }
};

/// Whether dimension `d` of the problem continues the collapsed dimension `at` in every operand.
bool continues(const Collapsed& c, int d, int at) {
  return std::all_of(c.operands.begin(), c.operands.end(),
                     [&](const CollapsedOperand& x) { return x.original[d] == x.strides[at] * c.sizes[at]; });
}

Collapsed collapse(const ElementwiseProblem& p) {
  const ElementwiseOpInfo info = operands_of(p);
  Collapsed c;
  c.sizes.fill(1);
  for (int i = 0; i < info.inputs; ++i) c.operands.push_back({p.in[i].dtype, p.in[i].alignment, true, p.in[i].strides});
  for (int i = 0; i < info.outputs; ++i)
    c.operands.push_back({p.out[i].dtype, p.out[i].alignment, false, p.out[i].strides});

  std::vector<int> order;
  for (int d = 0; d < p.rank; ++d) {
    c.empty = c.empty || p.sizes[d] == 0;
    if (p.sizes[d] != 1) order.push_back(d);
  }
  auto magnitude = [](std::int64_t x) { return x < 0 ? -x : x; };
  std::stable_sort(order.begin(), order.end(),
                   [&](int x, int y) { return magnitude(p.out[0].strides[x]) > magnitude(p.out[0].strides[y]); });

  int& at = c.first_dimension;
  for (auto d = order.rbegin(); d != order.rend(); ++d) {
    if (at < max_rank && continues(c, *d, at)) {
      c.sizes[at] *= p.sizes[*d];
      continue;
    }
    --at;
    c.sizes[at] = p.sizes[*d];
    for (CollapsedOperand& x : c.operands) x.strides[at] = x.original[*d];
  }
  if (order.empty())
    for (CollapsedOperand& x : c.operands) x.strides[inner] = 1;  // one element: a dense run of one
  return c;
}

/// Whether vectors of `vector` elements along dimension `dense` are aligned in every row of this operand.
bool vectors_are_aligned(const Collapsed& c, const CollapsedOperand& x, int dense, int vector) {
  if (x.alignment < vector * int(size_of(x.dtype))) return false;
  for (int d = 0; d < max_rank; ++d)
    if (d != dense && c.sizes[d] > 1 && x.strides[d] % vector) return false;
  return true;
}

/// The dimension, other than the innermost, in which the input is dense, if there is one; none with several operands that would have to be
/// turned.
std::optional<std::size_t> tile_dimension(const Collapsed& c) {
  if (c.operands.size() != 2 || !c.operands[0].is_input || c.operands[1].strides[inner] != 1) return std::nullopt;
  for (int d = c.first_dimension; d < inner; ++d)
    if (c.operands[0].strides[d] == 1) return std::size_t(d);
  return std::nullopt;
}

/// Whether a tile along the dimension is at least an eighth full: else a whole tile's work is done for too few elements.
bool fills_tiles(const ElementwiseConfig& config, const Collapsed& c) {
  const auto d = tile_dimension(c);
  return d && 8 * c.sizes[*d] >= config.tile_m(true) && 8 * c.sizes[inner] >= config.tile_n(true);
}

/// Whether large blocks (`_flat_few`) are the faster ones for so many elements: 512 K to 4 M (measured on an H200).
bool favors_large_blocks(std::int64_t elements) { return elements >= 1 << 19 && elements <= 1 << 22; }

bool can_serve(const ElementwiseConfig& config, const Collapsed& c) {
  if (config.access == Access::strided) return true;
  if (config.access == Access::tiles)
    return tile_dimension(c) && std::all_of(c.operands.begin(), c.operands.end(), [&](const CollapsedOperand& x) {
             return fits(config, int(size_of(x.dtype)));
           });
  if (config.access == Access::flat && (!c.flat() || c.sizes[inner] / config.vector >= (std::int64_t(1) << 32)))
    return false;
  return std::all_of(c.operands.begin(), c.operands.end(), [&](const CollapsedOperand& x) {
    if (x.is_input && x.strides[inner] == 0) return fits(config, int(size_of(x.dtype)));
    return x.strides[inner] == 1 && fits(config, int(size_of(x.dtype))) &&
           vectors_are_aligned(c, x, inner, config.vector);
  });
}

using host::ceil_div;

/// The part of the parameters that numbers the vectors of a dense run, and the elements left over. Returns how many blocks they take.
std::int64_t cut_dense_run(const ElementwiseConfig& config, ElementwiseParams& params) {
  const std::int64_t block_elements = std::int64_t(config.block_vectors()) * config.vector;
  const std::int64_t whole = params.row / block_elements;
  params.whole_blocks = int(whole);
  return whole + ceil_div(params.row % block_elements, config.threads());
}

/// Whether the operands have two dimensions at most, with rows of whole vectors that none of them broadcasts from one element.
bool has_plain_rows(const Collapsed& c, const ElementwiseConfig& config) {
  return config.access == Access::rows && c.first_dimension >= inner - 1 && c.sizes[inner] % config.vector == 0 &&
         std::all_of(c.operands.begin(), c.operands.end(), [](const CollapsedOperand& x) {
           return x.strides[inner] == 1 && x.strides[inner - 1] == std::uint32_t(x.strides[inner - 1]);
         });
}

/// The part of the parameters that numbers vectors. Returns how many blocks they take.
std::int64_t cut_into_vectors(const Collapsed& c, const ElementwiseConfig& config, ElementwiseParams& params) {
  params.tile_dimension = inner;
  params.row_vectors = Divider::of(ceil_div(params.row, config.vector));
  params.vectors = params.row_vectors.divisor;
  for (int d = 0; d < inner; ++d) {
    params.sizes[d] = Divider::of(c.sizes[d]);
    params.vectors *= c.sizes[d];
  }
  if (has_plain_rows(c, config) && params.row_vectors.multiplier != 0 && params.vectors < std::int64_t(1) << 31)
    params.whole_blocks = int(params.vectors / config.block_vectors());
  return ceil_div(params.vectors, config.block_vectors());
}

/// The dimension whose neighbours follow each other in the input of tiles, if the one in which that is dense has whole vectors that fill
/// no more than half of a tile, a power of two of elements.
std::optional<int> outer_dimension(const Collapsed& c, const ElementwiseConfig& config, int dense) {
  const std::int64_t row = c.sizes[dense];
  if (row > config.tile_m(true) || row % config.vector || (row & (row - 1))) return std::nullopt;
  for (int d = c.first_dimension; d < inner; ++d)
    if (d != dense && c.sizes[d] > 1 && c.operands[0].strides[d] == row) return d;
  return std::nullopt;
}

/// The same for tiles, one a block.
std::int64_t cut_into_tiles(const Collapsed& c, const ElementwiseConfig& config, ElementwiseParams& params) {
  params.tile_dimension = params.outer_dimension = int(tile_dimension(c).value());
  params.tile_rows = c.sizes[params.tile_dimension];
  if (const auto outer = outer_dimension(c, config, params.tile_dimension)) {
    params.outer_dimension = *outer;
    params.log_row = std::countr_zero(std::uint64_t(params.tile_rows));
    params.tile_rows *= c.sizes[*outer];
  }
  params.narrow_tiles = params.tile_rows <= config.tile_m(true);
  params.row_vectors = Divider::of(ceil_div(params.row, config.tile_n(params.narrow_tiles)));
  std::int64_t tiles = params.row_vectors.divisor;
  for (int d = 0; d < inner; ++d) {
    params.sizes[d] =
        Divider::of(d == params.outer_dimension  ? ceil_div(params.tile_rows, config.tile_m(params.narrow_tiles))
                    : d == params.tile_dimension ? 1
                                                 : c.sizes[d]);
    tiles *= params.sizes[d].divisor;
  }
  return tiles;
}

/// What integers can be made of a scalar: truncated, within the range.
std::int64_t as_i64(double x) {
  constexpr double limit = 0x1p63;
  if (!(x >= -limit)) return x < 0 ? INT64_MIN : 0;
  return x >= limit ? INT64_MAX : std::int64_t(x);
}

}  // namespace

std::vector<ElementwiseConfig> rank_configs(const ElementwiseProblem& p, const std::vector<std::string>& names) {
  const Collapsed c = collapse(p);
  std::vector<ElementwiseConfig> configs;
  if (c.empty) return configs;
  const ElementwiseOpInfo info = operands_of(p);
  const bool integers =
      p.op != ElementwiseOp::custom &&
      std::all_of(c.operands.begin(), c.operands.end(), [](const CollapsedOperand& x) { return is_integer(x.dtype); });
  for (const std::string& name : names) {
    const ElementwiseConfig config = parse_elementwise_config(name);
    if (config.inputs == elementwise_group(info.inputs, info.outputs) &&
        config.compute == (integers ? Compute::i64 : Compute::f32) && can_serve(config, c))
      configs.push_back(config);
  }
  // The widest vectors first; where they are equal, the flat kernel has less to compute, in large blocks where those do. Last, tiles that would be mostly empty.
  auto order = [&](const ElementwiseConfig& config) {
    const bool empty = config.access == Access::tiles && !fills_tiles(config, c);
    return std::tuple(empty, -config.vector, config.access, config.few != favors_large_blocks(c.sizes[inner]));
  };
  std::stable_sort(configs.begin(), configs.end(),
                   [&](const ElementwiseConfig& x, const ElementwiseConfig& y) { return order(x) < order(y); });
  return configs;
}

ElementwiseLauncher::ElementwiseLauncher(const ElementwiseProblem& p, int device, std::string_view wanted) {
  std::vector<std::string> names;
  for (const ElementwiseConfig& able : rank_configs(p, host::shipped_configs("elementwise")))
    names.push_back(to_string(able));
  config_ = host::chosen(names, wanted);
  if (config_.empty()) return;
  host::RelaxedCapture relaxed;
  host::DeviceGuard guard(device);
  prepare(p, device, parse_elementwise_config(config_), host::find_kernel("elementwise", config_));
}

ElementwiseLauncher::ElementwiseLauncher(const ElementwiseProblem& p, int device, const ElementwiseConfig& config,
                                         cudaKernel_t kernel)
    : config_(to_string(config)) {
  prepare(p, device, config, kernel);
}

void ElementwiseLauncher::prepare(const ElementwiseProblem& p, int device, const ElementwiseConfig& config,
                                  cudaKernel_t kernel) {
  const ElementwiseOpInfo info = operands_of(p);
  const Collapsed c = collapse(p);
  params_.row = c.sizes[inner];
  params_.first_dimension = c.first_dimension;
  const std::int64_t blocks = config.access == Access::tiles  ? cut_into_tiles(c, config, params_)
                              : config.access == Access::flat ? cut_dense_run(config, params_)
                                                              : cut_into_vectors(c, config, params_);
  host::require_supported(blocks < std::int64_t(1) << 31,
                          "an elementwise operator takes fewer than 2^31 blocks, but this problem needs ", blocks);
  params_.inputs = info.inputs;
  params_.outputs = info.outputs;
  params_.inputs_alike = std::all_of(p.in.begin(), p.in.begin() + info.inputs,
                                     [&](const TensorOperand& x) { return x.dtype == p.in[0].dtype; });
  params_.all_alike =
      params_.inputs_alike && std::all_of(p.out.begin(), p.out.begin() + info.outputs,
                                          [&](const TensorOperand& y) { return y.dtype == p.in[0].dtype; });
  params_.moves = p.op == ElementwiseOp::cast && p.in[0].dtype == p.out[0].dtype && p.in[0].dtype != DType::b8;
  params_.casts = p.op == ElementwiseOp::cast;
  params_.function = int(p.op);
  for (std::size_t i = 0; i < c.operands.size(); ++i) {
    const CollapsedOperand& from = c.operands[i];
    ElementwiseOperand& to = from.is_input ? params_.in[i] : params_.out[i - std::size_t(info.inputs)];
    std::copy(from.strides.begin(), from.strides.end(), to.strides);
    to.dtype = int(from.dtype);
    to.element_bytes = std::uint8_t(size_of(from.dtype));
    to.aligned = vectors_are_aligned(c, from, from.is_input ? params_.tile_dimension : inner, config.vector);
  }
  if (info.inputs == 0) params_.in[0].dtype = int(DType::b8);
  for (int i = 0; i < max_elementwise_scalars; ++i) {
    params_.f32_scalars[i] = float(p.scalars[i]);
    params_.i64_scalars[i] = as_i64(p.scalars[i]);
  }

  launch_.kernel = kernel;
  launch_.threads = unsigned(config.threads());
  launch_.grid = unsigned(blocks);
  launch_.overlaps_preceding = true;
  params_.waiting_blocks = info.inputs == 0 ? 0 : device_info(device).sm_count * config.min_blocks();
}

void ElementwiseLauncher::run(const void* const* in, void* const* out, Stream stream, const void* user_params,
                              std::size_t user_params_bytes) const {
  if (launch_.grid == 0) return;
  struct Bytes {
    alignas(elementwise_user_params_align) unsigned char bytes[max_elementwise_user_params];
  };
  ElementwiseCustomParams<Bytes> all;  // of the library's kernels the first part alone
  ElementwiseParams& params = all.elementwise;
  params = params_;
  for (int i = 0; i < params.inputs; ++i) params.in[i].data = const_cast<void*>(in[i]);
  for (int i = 0; i < params.outputs; ++i) params.out[i].data = out[i];
  if (user_params_bytes > 0) std::memcpy(all.user.bytes, user_params, user_params_bytes);
  host::launch(launch_, &all, stream);
}

}  // namespace ckl
