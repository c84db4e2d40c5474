#include "ops/memory_ablation.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernels/module.hpp"
#include "ops/parse.hpp"
#include "ops/verify.hpp"
#include "providers/providers.hpp"
#include "reference/parallel.hpp"

extern "C" const unsigned char ckl_module_ablation_kernels_begin[];

namespace ckl::bench {
namespace {

constexpr std::int64_t unit = kAblationUnitBytes / std::int64_t(sizeof(float));

/// The kernels of this process, with the shared memory that keeps others off their SM.
cudaKernel_t ablation_kernel(const std::string& entry, int device) {
  static const Module module(ckl_module_ablation_kernels_begin);
  const cudaKernel_t kernel = module.kernel(entry);
  check(cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kAblationSharedBytes,
                                        device),
        "cudaKernelSetAttributeForDevice");
  return kernel;
}

std::vector<AblationVariant> moves(const std::string& task) {
  std::vector<AblationVariant> variants;
#define CKL_VARIANT(way, bytes, loads)                               \
  variants.push_back({fmt::format("{}_v{}_l{}", #way, bytes, loads), \
                      fmt::format("ablation_{}_{}_v{}_l{}", task, #way, bytes, loads), bytes, loads, 1});
  CKL_ABLATION_MOVES(CKL_VARIANT)
#undef CKL_VARIANT
  return variants;
}

std::vector<AblationVariant> clusters() {
  constexpr int vector = 16, loads = kAblationPartBytes / (kAblationThreads * vector);
  std::vector<AblationVariant> variants;
  for (const int cluster : {1, 2, 4, 8})
    variants.push_back({fmt::format("cluster_{}", cluster), "ablation_rows", vector, loads, cluster});
  return variants;
}

AblationTask task_of(const std::string& layout) {
  return layout == "copy" ? AblationTask::copy : layout == "read" ? AblationTask::read : AblationTask::rows;
}

class MemoryAblationOperator final : public Operator {
 public:
  std::string name() const override { return "memory_ablation"; }
  std::string family() const override { return "memory_ablation"; }
  std::string summary() const override {
    return "the same bytes moved by kernels that differ in how they load (not the library's: --impl "
           "plain_v16_l4,cluster_2,...); --problem ELEMENTS (f32), --layout copy|read|rows (of 16 KB a block of a "
           "cluster)";
  }

  Choices defaults(bool small) const override {
    return {{"problem", {small ? "32768" : "67108864"}}, {"dtype", {"f32"}}, {"layout", {"copy", "read", "rows"}}};
  }

  Case parse(const Settings& settings) const override {
    reject_unknown_keys(name(), settings, {"problem", "dtype", "layout"});
    const std::vector<std::int64_t> sizes = parse_sizes("problem", settings.at("problem"), 1);
    if (sizes.front() % unit != 0 || sizes.front() == 0)
      throw UsageError(fmt::format("--problem: must be a multiple of {} elements, which a cluster of 8 holds, got `{}`",
                                   unit, settings.at("problem")));
    parse_dtype("dtype", settings.at("dtype"), {DType::f32});
    return {name(), "",    {{"sizes", sizes}},
            "f32",  "f32", parse_choice("layout", settings.at("layout"), {"copy", "read", "rows"})};
  }

  std::unique_ptr<Workload> prepare(const Case& one, const Session& session) const override {
    if (!session.config.empty())
      throw UsageError(fmt::format("--config: memory_ablation has none, its kernels are chosen by --impl, got `{}`",
                                   session.config));
    const AblationTask task = task_of(one.layout);
    auto workload = std::make_unique<MemoryAblationWorkload>(task, one.problem.at("sizes").at(0), session);
    if (workload->implementations.empty())
      throw UsageError(fmt::format("--impl: must name a kernel of layout {}, such as {}, got `{}`", one.layout,
                                   ablation_variants(task).front().name, fmt::join(session.only, ",")));
    return workload;
  }

  std::vector<std::string> run_reference(const Case& one) const override {
    const std::vector<char> x = host_normal(DType::f32, one.problem.at("sizes").at(0), 1);
    const float* values = reinterpret_cast<const float*>(x.data());
    return describe_reference(DType::f32, std::vector<double>(values, values + x.size() / sizeof(float)));
  }

  std::vector<std::string> candidates(const Case& one, const Session&) const override {
    std::vector<std::string> names;
    for (const AblationVariant& variant : ablation_variants(task_of(one.layout))) names.push_back(variant.name);
    return names;
  }
};

/// Words of `actual` that differ from what `expected(i)` gives, counted on all cores.
template <class Expected>
std::int64_t count_wrong(const HostCopy& actual, std::int64_t words, const Expected& expected) {
  std::atomic<std::int64_t> wrong = 0;
  reference::parallel_for(words, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t mine = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const float value = expected(i);
      mine += std::memcmp(actual.data() + i * std::int64_t(sizeof(value)), &value, sizeof(value)) != 0;
    }
    wrong += mine;
  });
  return wrong;
}

std::uint32_t mixed(const void* words, std::int64_t count) {
  std::uint32_t result = 0, word = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    std::memcpy(&word, static_cast<const char*>(words) + i * 4, 4);
    result ^= word;
  }
  return result;
}

Verdict verdict_on(std::int64_t wrong, std::int64_t of) {
  if (wrong == 0) return {true, 0, 0, ""};
  return {false, double(wrong) / double(of), 0, fmt::format("{} of {} words are wrong", wrong, of)};
}

}  // namespace

const std::vector<AblationVariant>& ablation_variants(AblationTask task) {
  static const std::vector<AblationVariant> copies = moves("copy"), reads = moves("read"), rows = clusters();
  return task == AblationTask::copy ? copies : task == AblationTask::read ? reads : rows;
}

MemoryAblationWorkload::MemoryAblationWorkload(AblationTask task, std::int64_t elements, const Session& session)
    : task_(task), elements_(elements), session_(session) {
  const std::size_t set = align(bytes()) + align(result_bytes());
  sets = rotation_sets(session, work().bytes);
  memory_ = Buffer(sets * set);
  for (std::size_t i = 0; i < sets; ++i) {
    char* x = memory_.at(i * set);
    operands_.push_back({x, x + align(bytes()), std::int64_t(bytes())});
    session.kernels.fill_normal(x, DType::f32, elements, i + 1);
  }
  check(cudaDeviceSynchronize(), "filling the operands");
  for (const AblationVariant& variant : ablation_variants(task))
    if (session.wants(variant.name)) add(variant);
}

void MemoryAblationWorkload::add(const AblationVariant& variant) {
  const cudaKernel_t kernel = ablation_kernel(variant.entry, session_.gpu.index);
  const auto launch = [this, kernel, cluster = variant.cluster, grid = blocks(variant)](std::size_t set,
                                                                                        cudaStream_t stream) {
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {unsigned(cluster), 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(unsigned(grid));
    config.blockDim = dim3(kAblationThreads);
    config.dynamicSmemBytes = kAblationSharedBytes;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = cluster > 1 ? 1 : 0;
    AblationParams params = operands_[set];
    void* arguments[] = {&params};
    check(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), arguments), "the ablation's launch");
  };
  implementations.push_back(
      {variant.name, fmt::format("{} KB an SM under way", variant.bytes_under_way() >> 10), launch});
}

/// One for each part of a row; else a few waves, of no more than have something to do.
int MemoryAblationWorkload::blocks(const AblationVariant& variant) const {
  if (task_ == AblationTask::rows) return int(bytes() / kAblationPartBytes);
  const std::size_t batches = bytes() / (std::size_t(kAblationThreads) * variant.vector * variant.loads);
  return int(std::min(batches, std::size_t(session_.gpu.sm_count) * kAblationBlocksPerSm * kAblationWaves));
}

/// What is copied, or a word for each thread that there may be.
std::size_t MemoryAblationWorkload::result_bytes() const {
  if (task_ != AblationTask::read) return bytes();
  return std::size_t(session_.gpu.sm_count) * kAblationBlocksPerSm * kAblationWaves * kAblationThreads * 4;
}

Work MemoryAblationWorkload::work() const {
  return {0, task_ == AblationTask::read ? double(bytes()) : 2.0 * double(bytes())};
}

Launch MemoryAblationWorkload::ceiling() {
  if (task_ != AblationTask::read) return copy_of(work().bytes, sets, session_);
  std::vector<const void*> sources;
  for (const AblationParams& set : operands_) sources.push_back(set.x);
  return read_of(sources, bytes(), session_);
}

CeilingName MemoryAblationWorkload::ceiling_name() const {
  if (task_ == AblationTask::read) return {"read", "a kernel that only reads the same bytes"};
  return {};
}

Verdict MemoryAblationWorkload::verify(const Implementation& implementation) {
  const AblationParams& set = operands_.front();
  run_poisoned(implementation, {{set.y, result_bytes()}});
  if (x_.empty()) {
    x_ = download(set.x, bytes());
  }
  const float* x = reinterpret_cast<const float*>(x_.data());
  const std::vector<AblationVariant>& all = ablation_variants(task_);
  const AblationVariant& variant = *std::find_if(
      all.begin(), all.end(), [&](const AblationVariant& one) { return one.name == implementation.name; });
  const HostCopy y = download(set.y, result_bytes());
  switch (task_) {
    case AblationTask::copy:
      return verdict_on(count_wrong(y, elements_, [&](std::int64_t i) { return x[i]; }), elements_);
    case AblationTask::read: {  // all words of all threads, mixed, are all words, mixed
      const std::int64_t threads = std::int64_t(blocks(variant)) * kAblationThreads;
      return verdict_on(mixed(y.data(), threads) != mixed(x, elements_), 1);
    }
    case AblationTask::rows: break;
  }
  const std::int64_t columns = variant.cluster * kAblationPartBytes / std::int64_t(sizeof(float));
  std::vector<float> largest(std::size_t(elements_ / columns));
  for (std::size_t row = 0; row < largest.size(); ++row)
    largest[row] = *std::max_element(x + std::int64_t(row) * columns, x + std::int64_t(row + 1) * columns);
  return verdict_on(count_wrong(y, elements_, [&](std::int64_t i) { return x[i] - largest[std::size_t(i / columns)]; }),
                    elements_);
}

const Operator& memory_ablation_operator() {
  static const MemoryAblationOperator op;
  return op;
}

}  // namespace ckl::bench
