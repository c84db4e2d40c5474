#include "ops/elementwise/elementwise.hpp"

#include <algorithm>
#include <numeric>

#include "host/device.hpp"
#include "host/log.hpp"
#include "host/module.hpp"
#include "host/operand.hpp"
#include "host/overlap.hpp"
#include "host/plan_cache.hpp"
#include "host/require.hpp"

namespace ckl {

std::string to_string(const ElementwiseConfig& c) {
  return std::string(name(c.op)) + "_" + name(c.dtype) + "_" + name(c.access);
}

namespace {

using Strides = std::array<std::int64_t, max_rank>;

/// The operands over the fewest dimensions: those of size 1 are dropped, the rest sorted so that the output's strides fall,
/// and neighbours that all operands step through as one are merged. Dimension max_rank - 1 is the innermost.
struct Collapsed {
  Strides sizes, out;
  std::array<Strides, max_elementwise_inputs> in;
  bool empty = false;
};

Collapsed collapse(const ElementwiseProblem& p) {
  int inputs = input_count(p.op);
  Collapsed c;
  c.sizes.fill(1);
  c.out.fill(0);
  for (Strides& s : c.in) s.fill(0);

  std::vector<int> order;
  for (int d = 0; d < p.rank; ++d) {
    c.empty = c.empty || p.sizes[d] == 0;
    if (p.sizes[d] != 1) order.push_back(d);
  }
  auto magnitude = [](std::int64_t x) { return x < 0 ? -x : x; };
  std::stable_sort(order.begin(), order.end(),
                   [&](int x, int y) { return magnitude(p.out.strides[x]) > magnitude(p.out.strides[y]); });

  int at = max_rank;  // the outermost dimension made so far
  for (auto d = order.rbegin(); d != order.rend(); ++d) {
    auto continues = [&](const Strides& made, const Strides& original) {
      return original[*d] == made[at] * c.sizes[at];
    };
    bool merges = at < max_rank && continues(c.out, p.out.strides);
    for (int i = 0; i < inputs && merges; ++i) merges = continues(c.in[i], p.in[i].strides);
    if (merges) {
      c.sizes[at] *= p.sizes[*d];
      continue;
    }
    --at;
    c.sizes[at] = p.sizes[*d];
    c.out[at] = p.out.strides[*d];
    for (int i = 0; i < inputs; ++i) c.in[i][at] = p.in[i].strides[*d];
  }
  if (order.empty())
    c.out[max_rank - 1] = c.in[0][max_rank - 1] = c.in[1][max_rank - 1] = 1;  // one element: a dense run of one
  return c;
}

/// Whether 16-byte vectors along the innermost dimension are aligned in every row of this operand.
bool vectors_are_aligned(const Collapsed& c, const Strides& strides, int alignment, std::int64_t vector) {
  if (alignment < ElementwiseConfig::vector_bytes) return false;
  for (int d = 0; d < max_rank - 1; ++d)
    if (c.sizes[d] > 1 && strides[d] % vector) return false;
  return true;
}

bool can_serve(const ElementwiseConfig& config, const ElementwiseProblem& p, const Collapsed& c) {
  constexpr int inner = max_rank - 1;
  if (config.access == Access::strided) return true;
  bool flat = config.access == Access::flat;
  if (flat && std::any_of(c.sizes.begin(), c.sizes.end() - 1, [](std::int64_t size) { return size > 1; })) return false;
  if (c.out[inner] != 1 || !vectors_are_aligned(c, c.out, p.out.alignment, config.vector())) return false;
  for (int i = 0; i < input_count(p.op); ++i) {
    bool broadcast = c.in[i][inner] == 0;
    if (broadcast ? flat : c.in[i][inner] != 1) return false;
    if (!broadcast && !vectors_are_aligned(c, c.in[i], p.in[i].alignment, config.vector())) return false;
  }
  return true;
}

}  // namespace

std::vector<ElementwiseConfig> rank_configs(const ElementwiseProblem& p) {
  Collapsed c = collapse(p);
  std::vector<ElementwiseConfig> configs;
  if (c.empty) return configs;
  for (Access access : {Access::flat, Access::rows, Access::strided}) {
    ElementwiseConfig config{p.op, p.out.dtype, access, true};
    if (can_serve(config, p, c)) configs.push_back(config);
  }
  return configs;
}

ElementwiseLauncher::ElementwiseLauncher(const ElementwiseProblem& p, int device, std::string_view wanted) {
  std::vector<ElementwiseConfig> configs = rank_configs(p);
  if (configs.empty()) {
    host::require(wanted.empty(), "config must be empty for a problem without elements, but is \"", wanted, "\"");
    return;
  }
  ElementwiseConfig config = configs.front();
  if (!wanted.empty()) {
    config = parse_elementwise_config(wanted);
    host::require(std::find(configs.begin(), configs.end(), config) != configs.end(),
                  "config must be one that can serve the problem (the best is \"", to_string(configs.front()),
                  "\"), but is \"", wanted, "\"");
  }
  config_ = to_string(config);

  Collapsed c = collapse(p);
  constexpr int inner = max_rank - 1;
  std::int64_t vector = config.vector();
  params_.row = c.sizes[inner];
  params_.row_vectors = Divider::of((params_.row + vector - 1) / vector);
  params_.vectors = params_.row_vectors.divisor;
  for (int d = 0; d < inner; ++d) {
    params_.sizes[d] = Divider::of(c.sizes[d]);
    params_.vectors *= c.sizes[d];
  }
  std::copy(c.out.begin(), c.out.end(), params_.out_strides);
  for (int i = 0; i < input_count(p.op); ++i) std::copy(c.in[i].begin(), c.in[i].end(), params_.in_strides[i]);
  params_.scalar = p.scalar;

  host::RelaxedCapture relaxed;
  host::DeviceGuard guard(device);
  launch_.kernel = host::find_kernel("elementwise", config_);
  launch_.threads = ElementwiseConfig::threads;
  std::int64_t block_vectors = config.block_elements() / vector;
  std::int64_t blocks = (params_.vectors + block_vectors - 1) / block_vectors;
  host::require_supported(blocks < std::int64_t(1) << 31,
                          "an elementwise operator takes fewer than 2^31 blocks, but this problem needs ", blocks);
  launch_.grid = unsigned(blocks);
}

void ElementwiseLauncher::run(const void* const* in, void* out, Stream stream) const {
  if (launch_.grid == 0) return;
  ElementwiseParams params = params_;
  std::copy_n(in, max_elementwise_inputs, params.in);
  params.out = out;
  host::launch(launch_, &params, stream);
}

// ---- add ---------------------------------------------------------------------------------------------------------------

namespace {

ElementwiseProblem as_elementwise(const AddProblem& p) {
  return {ElementwiseOp::add, p.rank, p.sizes, {p.a, p.b}, p.d, 1.0f};
}

void require_operand(const AddProblem& p, const TensorOperand& operand, const char* argument) {
  host::require_operand(p.rank, p.sizes, operand, argument);
  host::require_supported(operand.dtype == DType::f32 || operand.dtype == DType::f16 || operand.dtype == DType::bf16,
                          argument, ".dtype must be f32, f16 or bf16, but is ", name(operand.dtype));
  host::require_supported(operand.dtype == p.d.dtype, argument, ".dtype must be d's, ", name(p.d.dtype), ", but is ",
                          name(operand.dtype));
}

/// `operand` of `problem` as a tensor at `data`.
Tensor as_tensor(const AddProblem& p, const TensorOperand& operand, const void* data) {
  return host::tensor_at(p.rank, p.sizes, operand, data);
}

void require_valid(const AddProblem& p) {
  for (auto [operand, argument] : {std::pair{&p.a, "a"}, {&p.b, "b"}, {&p.d, "d"}}) {
    require_operand(p, *operand, argument);
  }
  host::require_no_self_overlap(as_tensor(p, p.d, nullptr), "d");
}

bool is_empty(const AddProblem& p) {
  return std::find(p.sizes.begin(), p.sizes.begin() + p.rank, 0) != p.sizes.begin() + p.rank;
}

/// `input` broadcast to the shape of `d`.
TensorOperand broadcast(const Tensor& input, const Tensor& d, const char* argument) {
  host::require(input.rank <= d.rank, argument, ".rank must be at most d's, ", d.rank, ", but is ", input.rank);
  TensorOperand operand;
  operand.dtype = input.dtype;
  operand.alignment = host::alignment_of(input.data);
  for (int i = 0; i < input.rank; ++i) {
    int to = d.rank - input.rank + i;
    host::require(input.sizes[i] == d.sizes[to] || input.sizes[i] == 1, argument, ".sizes[", i,
                  "] must be 1 or d.sizes[", to, "], ", d.sizes[to], ", but is ", input.sizes[i]);
    operand.strides[to] = input.sizes[i] == 1 ? 0 : input.strides[i];
  }
  return operand;
}

}  // namespace

std::string AddProblem::to_string() const {
  std::string text = "add (";
  for (int i = 0; i < std::clamp(rank, 0, max_rank); ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
  return text + ") " + name(d.dtype);
}

bool operator==(const AddProblem& x, const AddProblem& y) noexcept {
  return x.rank == y.rank && x.sizes == y.sizes && x.a == y.a && x.b == y.b && x.d == y.d;
}

AddProblem add_problem(const Tensor& a, const Tensor& b, const Tensor& d) {
  for (auto [tensor, argument] : {std::pair{&a, "a"}, {&b, "b"}, {&d, "d"}})
    host::require_well_formed(*tensor, argument);
  AddProblem p;
  p.rank = d.rank;
  std::copy_n(d.sizes.begin(), d.rank, p.sizes.begin());
  p.a = broadcast(a, d, "a");
  p.b = broadcast(b, d, "b");
  p.d = host::operand_of(d);
  require_valid(p);
  if (is_empty(p)) return p;
  host::require_pointer(a.data, p.a, "a");
  host::require_pointer(b.data, p.b, "b");
  host::require_pointer(d.data, p.d, "d");
  host::require_no_partial_overlap(d, "d", as_tensor(p, p.a, a.data), "a");
  host::require_no_partial_overlap(d, "d", as_tensor(p, p.b, b.data), "b");
  return p;
}

std::vector<std::string> add_candidates(const AddProblem& problem, const DeviceInfo&) {
  require_valid(problem);
  std::vector<std::string> names;
  for (const ElementwiseConfig& config : rank_configs(as_elementwise(problem))) names.push_back(to_string(config));
  return names;
}

struct AddPlan::Implementation {
  AddProblem problem;
  int device;
  ElementwiseLauncher launcher;
};

AddPlan::AddPlan(const AddProblem& problem, int device, std::string_view config) {
  require_valid(problem);
  int index = host::require_device(device).index;
  implementation_ =
      std::make_shared<const Implementation>(Implementation{problem, index, {as_elementwise(problem), index, config}});
  if (host::log_plans())
    host::log_line(problem.to_string() + " on device " + std::to_string(index) + ": " + this->config());
}

void AddPlan::run(const void* a, const void* b, void* d, Stream stream) const {
  const AddProblem& p = implementation_->problem;
  host::require_stream_of(stream, implementation_->device);
  if (is_empty(p)) return;
  host::require_pointer(a, p.a, "a");
  host::require_pointer(b, p.b, "b");
  host::require_pointer(d, p.d, "d");
  Tensor out = as_tensor(p, p.d, d);
  host::require_no_partial_overlap(out, "d", as_tensor(p, p.a, a), "a");
  host::require_no_partial_overlap(out, "d", as_tensor(p, p.b, b), "b");
  const void* in[] = {a, b};
  host::DeviceGuard guard(implementation_->device);
  implementation_->launcher.run(in, d, stream);
}

const AddProblem& AddPlan::problem() const noexcept { return implementation_->problem; }
const std::string& AddPlan::config() const noexcept { return implementation_->launcher.config(); }
int AddPlan::device() const noexcept { return implementation_->device; }

void add(const Tensor& a, const Tensor& b, const Tensor& d, Stream stream) {
  static host::PlanCache<AddPlan, AddProblem> cache;
  AddProblem problem = add_problem(a, b, d);
  cache.get(problem, host::current_device())->run(a.data, b.data, d.data, stream);
}

}  // namespace ckl
