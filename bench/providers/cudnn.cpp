#include "providers/providers.hpp"

#include <fmt/format.h>

#include "ops/norm.hpp"
#include "ops/norm_backward.hpp"
#include "ops/softmax.hpp"
#include "ops/softmax_backward.hpp"
#include "providers/cudnn_problem.hpp"

#if __has_include(<cudnn.h>)

#include <cudnn.h>

#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "providers/dynamic_library.hpp"

namespace ckl::bench {
namespace {

/// The functions of the library that is found at run time.
struct Cudnn {
  DynamicLibrary library{{"libcudnn.so.9"}};

#define CKL_FUNCTION(name) decltype(::cudnn##name)* name = library.get<decltype(::cudnn##name)>("cudnn" #name)
  CKL_FUNCTION(GetVersion);
  CKL_FUNCTION(GetErrorString);
  CKL_FUNCTION(GetLastErrorString);
  CKL_FUNCTION(Create);
  CKL_FUNCTION(SetStream);
  CKL_FUNCTION(CreateTensorDescriptor);
  CKL_FUNCTION(DestroyTensorDescriptor);
  CKL_FUNCTION(SetTensor4dDescriptor);
  CKL_FUNCTION(SoftmaxForward);
  CKL_FUNCTION(SoftmaxBackward);
  CKL_FUNCTION(BackendCreateDescriptor);
  CKL_FUNCTION(BackendDestroyDescriptor);
  CKL_FUNCTION(BackendSetAttribute);
  CKL_FUNCTION(BackendGetAttribute);
  CKL_FUNCTION(BackendFinalize);
  CKL_FUNCTION(BackendExecute);
#undef CKL_FUNCTION
};

const Cudnn& cudnn() {
  static const Cudnn library;
  return library;
}

constexpr const char* not_found = "libcudnn.so.9 was not found";

void check(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char reason[512] = "";
  cudnn().GetLastErrorString(reason, sizeof(reason));
  throw std::runtime_error(fmt::format("{} failed with {}: {}", call, cudnn().GetErrorString(status), reason));
}

cudnnHandle_t handle() {
  static const cudnnHandle_t created = [] {
    cudnnHandle_t handle = nullptr;
    check(cudnn().Create(&handle), "cudnnCreate");
    return handle;
  }();
  return created;
}

cudnnDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::bf16: return CUDNN_DATA_BFLOAT16;
    case DType::f16: return CUDNN_DATA_HALF;
    case DType::f32: return CUDNN_DATA_FLOAT;
    default: throw NotInCudnn(fmt::format("cuDNN is not asked for {} here", name(dtype)));
  }
}

// ---- Softmax: functions of its own -------------------------------------------------------------------------

/// One softmax, described to cuDNN. Its tensors are all alike.
class CudnnSoftmaxCall {
 public:
  explicit CudnnSoftmaxCall(const CudnnSoftmax& softmax) : softmax_(softmax) {
    const auto [n, c, h, w] = softmax.sizes;
    check(cudnn().CreateTensorDescriptor(&tensor_), "cudnnCreateTensorDescriptor");
    check(cudnn().SetTensor4dDescriptor(tensor_, CUDNN_TENSOR_NCHW, data_type(softmax.dtype), n, c, h, w),
          "cudnnSetTensor4dDescriptor");
  }
  ~CudnnSoftmaxCall() { cudnn().DestroyTensorDescriptor(tensor_); }
  CudnnSoftmaxCall(const CudnnSoftmaxCall&) = delete;
  CudnnSoftmaxCall& operator=(const CudnnSoftmaxCall&) = delete;

  void forward(cudnnSoftmaxMode_t mode, const void* x, void* y, cudaStream_t stream) const {
    const float beta = 0;
    check(cudnn().SetStream(handle(), stream), "cudnnSetStream");
    check(cudnn().SoftmaxForward(handle(), algorithm(), mode, &softmax_.alpha, tensor_, x, &beta, tensor_, y),
          "cudnnSoftmaxForward");
  }
  void backward(cudnnSoftmaxMode_t mode, const void* y, const void* dy, void* dx, cudaStream_t stream) const {
    const float beta = 0;
    check(cudnn().SetStream(handle(), stream), "cudnnSetStream");
    check(cudnn().SoftmaxBackward(handle(), algorithm(), mode, &softmax_.alpha, tensor_, y, tensor_, dy, &beta, tensor_,
                                  dx),
          "cudnnSoftmaxBackward");
  }

  /// The modes that compute it, with their names. Where a row is all that an N has, its elements are all of the instance's.
  std::vector<std::pair<cudnnSoftmaxMode_t, const char*>> modes() const {
    if (softmax_.sizes[2] > 1) return {{CUDNN_SOFTMAX_MODE_CHANNEL, "channel"}};
    return {{CUDNN_SOFTMAX_MODE_INSTANCE, "instance"}, {CUDNN_SOFTMAX_MODE_CHANNEL, "channel"}};
  }

 private:
  cudnnSoftmaxAlgorithm_t algorithm() const { return softmax_.log ? CUDNN_SOFTMAX_LOG : CUDNN_SOFTMAX_ACCURATE; }

  const CudnnSoftmax softmax_;
  cudnnTensorDescriptor_t tensor_ = nullptr;
};

// ---- Norms: cuDNN's graphs -----------------------------------------------------------------------------------

/// What cuDNN calls the type of an attribute's value; undefined for types that are no attribute's.
template <class T> struct AttributeType;
template <cudnnBackendAttributeType_t type> using Is = std::integral_constant<cudnnBackendAttributeType_t, type>;
template <> struct AttributeType<bool> : Is<CUDNN_TYPE_BOOLEAN> {};
template <> struct AttributeType<std::int64_t> : Is<CUDNN_TYPE_INT64> {};
template <> struct AttributeType<void*> : Is<CUDNN_TYPE_VOID_PTR> {};
template <> struct AttributeType<cudnnHandle_t> : Is<CUDNN_TYPE_HANDLE> {};
template <> struct AttributeType<cudnnDataType_t> : Is<CUDNN_TYPE_DATA_TYPE> {};
template <> struct AttributeType<cudnnBackendHeurMode_t> : Is<CUDNN_TYPE_HEUR_MODE> {};
template <> struct AttributeType<cudnnBackendNormMode_t> : Is<CUDNN_TYPE_NORM_MODE> {};
template <> struct AttributeType<cudnnBackendNormFwdPhase_t> : Is<CUDNN_TYPE_NORM_FWD_PHASE> {};

/// A description of anything in cuDNN's graphs: a tensor, an operation, a plan.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) {
    check(cudnn().BackendCreateDescriptor(type, &descriptor_), "cudnnBackendCreateDescriptor");
  }
  ~Descriptor() {
    if (descriptor_) cudnn().BackendDestroyDescriptor(descriptor_);
  }
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  cudnnBackendDescriptor_t get() const { return descriptor_; }

  template <class T> void set(cudnnBackendAttributeName_t attribute, const T& value) {
    set_all(attribute, std::span(&value, 1));
  }
  void set(cudnnBackendAttributeName_t attribute, const Descriptor& other) {
    set(attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other.descriptor_);
  }
  template <class T> void set_all(cudnnBackendAttributeName_t attribute, std::span<const T> values) {
    set(attribute, AttributeType<T>::value, std::int64_t(values.size()), values.data());
  }
  void finalize() { check(cudnn().BackendFinalize(descriptor_), "cudnnBackendFinalize"); }

  std::int64_t number(cudnnBackendAttributeName_t attribute) const {
    std::int64_t value = 0, count = 0;
    check(cudnn().BackendGetAttribute(descriptor_, attribute, CUDNN_TYPE_INT64, 1, &count, &value),
          "cudnnBackendGetAttribute");
    return value;
  }

  /// The descriptions of kind `type` that an attribute holds.
  std::vector<Descriptor> list(cudnnBackendAttributeName_t attribute, cudnnBackendDescriptorType_t type) const {
    std::int64_t count = 0;
    check(cudnn().BackendGetAttribute(descriptor_, attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr),
          "cudnnBackendGetAttribute");
    std::vector<Descriptor> list;
    std::vector<cudnnBackendDescriptor_t> raw;
    for (std::int64_t i = 0; i < count; ++i) raw.push_back(list.emplace_back(type).get());
    check(cudnn().BackendGetAttribute(descriptor_, attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &count, raw.data()),
          "cudnnBackendGetAttribute");
    while (std::int64_t(list.size()) > count) list.pop_back();  // it had promised more
    return list;
  }

 private:
  void set(cudnnBackendAttributeName_t attribute, cudnnBackendAttributeType_t type, std::int64_t count,
           const void* values) {
    check(cudnn().BackendSetAttribute(descriptor_, attribute, type, count, values), "cudnnBackendSetAttribute");
  }

  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

/// What an operation calls a tensor of that role.
cudnnBackendAttributeName_t attribute_of(CudnnRole role, bool backward) {
  switch (role) {
    case CudnnRole::x: return backward ? CUDNN_ATTR_OPERATION_NORM_BWD_XDESC : CUDNN_ATTR_OPERATION_NORM_FWD_XDESC;
    case CudnnRole::y: return CUDNN_ATTR_OPERATION_NORM_FWD_YDESC;
    case CudnnRole::mean:
      return backward ? CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC : CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC;
    case CudnnRole::rstd:
      return backward ? CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC
                      : CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC;
    case CudnnRole::weight:
      return backward ? CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC : CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC;
    case CudnnRole::bias: return CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC;
    case CudnnRole::epsilon: return CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC;
    case CudnnRole::dy: return CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC;
    case CudnnRole::dx: return CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC;
    case CudnnRole::dweight: return CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC;
    case CudnnRole::dbias: return CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC;
  }
  throw std::logic_error("no such role");
}

Descriptor tensor_descriptor(const CudnnTensor& tensor) {
  Descriptor descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  const std::array<std::int64_t, 4> strides = tensor.strides();
  descriptor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, std::int64_t(tensor.role));
  descriptor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, data_type(tensor.dtype));
  descriptor.set_all(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const std::int64_t>(tensor.sizes));
  descriptor.set_all(CUDNN_ATTR_TENSOR_STRIDES, std::span<const std::int64_t>(strides));
  descriptor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t(16));
  if (tensor.role == CudnnRole::epsilon) descriptor.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true);
  descriptor.finalize();
  return descriptor;
}

/// The graph of one normalization, with all that it refers to.
class NormGraph {
 public:
  /// @param handle  Null: nothing that needs a GPU is asked of the graph.
  NormGraph(const CudnnNorm& norm, cudnnHandle_t handle)
      : operation_(norm.backward ? CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR
                                 : CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR),
        graph_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    operation_.set(norm.backward ? CUDNN_ATTR_OPERATION_NORM_BWD_MODE : CUDNN_ATTR_OPERATION_NORM_FWD_MODE,
                   norm.kind == NormKind::layer ? CUDNN_LAYER_NORM : CUDNN_RMS_NORM);
    if (!norm.backward)
      operation_.set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE,
                     norm.training ? CUDNN_NORM_FWD_TRAINING : CUDNN_NORM_FWD_INFERENCE);
    for (const CudnnTensor& tensor : norm.tensors) {
      tensors_.push_back(tensor_descriptor(tensor));
      operation_.set(attribute_of(tensor.role, norm.backward), tensors_.back());
    }
    operation_.finalize();
    if (handle) graph_.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle);
    graph_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation_);
    graph_.finalize();
  }

  /// What heuristics in `mode` think of it, the best first.
  std::vector<Descriptor> engine_configs(cudnnBackendHeurMode_t mode) const {
    Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph_);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
    heuristics.finalize();
    return heuristics.list(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  }

 private:
  std::vector<Descriptor> tensors_;
  Descriptor operation_, graph_;
};

/// Of one set of operands: a pointer for each tensor of a graph.
struct Binding {
  std::vector<std::int64_t> ids;
  std::vector<void*> pointers;
};

/// One of cuDNN's ways to compute a graph, ready to run on any set of operands.
class GraphPlan {
 public:
  GraphPlan(const Descriptor& config, const std::vector<Binding>& sets) : plan_(finalized(config)) {
    workspace_ = Buffer(std::size_t(plan_.number(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)));
    for (const Binding& set : sets) {
      Descriptor& pack = packs_.emplace_back(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
      pack.set_all(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const std::int64_t>(set.ids));
      pack.set_all(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::span<void* const>(set.pointers));
      pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace_.data());
      pack.finalize();
    }
  }

  void run(std::size_t set, cudaStream_t stream) const {
    check(cudnn().SetStream(handle(), stream), "cudnnSetStream");
    check(cudnn().BackendExecute(handle(), plan_.get(), packs_[set].get()), "cudnnBackendExecute");
  }

 private:
  static Descriptor finalized(const Descriptor& config) {
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle());
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    plan.finalize();  // most engines compile their kernel now
    return plan;
  }

  Descriptor plan_;
  Buffer workspace_;
  std::vector<Descriptor> packs_;
};

/// A normalization with the memory that its plans are bound to. `epsilon` is read from here whenever a plan runs.
struct BoundNorm {
  BoundNorm(const CudnnNorm& n) : norm(n), graph(n, handle()) {}

  const CudnnNorm norm;
  const NormGraph graph;
  std::vector<Binding> sets;
};

void* pointer_of(const NormPointers& p, CudnnRole role) {
  switch (role) {
    case CudnnRole::x: return const_cast<void*>(p.x);
    case CudnnRole::y: return p.y;
    case CudnnRole::weight: return const_cast<void*>(p.weight);
    case CudnnRole::bias: return const_cast<void*>(p.bias);
    case CudnnRole::mean: return p.mean;
    case CudnnRole::rstd: return p.rstd;
    default: throw std::logic_error("no such tensor");
  }
}

void* pointer_of(const NormBackwardPointers& p, CudnnRole role) {
  switch (role) {
    case CudnnRole::x: return const_cast<void*>(p.x);
    case CudnnRole::dy: return const_cast<void*>(p.dy);
    case CudnnRole::dx: return p.dx;
    case CudnnRole::weight: return const_cast<void*>(p.weight);
    case CudnnRole::dweight: return p.dweight;
    case CudnnRole::dbias: return p.dbias;
    case CudnnRole::mean: return const_cast<float*>(p.mean);
    case CudnnRole::rstd: return const_cast<float*>(p.rstd);
    default: throw std::logic_error("no such tensor");
  }
}

template <class Workload> std::shared_ptr<const BoundNorm> bind(const Workload& workload) {
  const auto bound = std::make_shared<BoundNorm>(cudnn_norm(workload.problem));
  for (const auto& operands : workload.operands) {
    Binding& set = bound->sets.emplace_back();
    for (const CudnnTensor& tensor : bound->norm.tensors) {
      const bool by_value = tensor.role == CudnnRole::epsilon;
      set.ids.push_back(std::int64_t(tensor.role));
      set.pointers.push_back(by_value ? const_cast<float*>(&bound->norm.epsilon) : pointer_of(operands, tensor.role));
    }
  }
  return bound;
}

/// cuDNN's ways to compute a norm, the heuristics' first choice first: up to `most` of them.
template <class Workload> std::vector<Implementation> norm_ways(const Workload& workload, std::size_t most) {
  const std::shared_ptr<const BoundNorm> bound = bind(workload);
  std::vector<Implementation> ways;
  std::string refusal = "its heuristics know none";
  for (const auto& [mode, name] : {std::pair(CUDNN_HEUR_MODE_A, "a"), {CUDNN_HEUR_MODE_FALLBACK, "fallback"}}) {
    if (ways.size() >= most) break;
    int rank = 0;
    for (const Descriptor& config : bound->graph.engine_configs(mode)) {
      ++rank;
      if (ways.size() >= most) break;
      try {
        const auto plan = std::make_shared<const GraphPlan>(config, bound->sets);
        const std::int64_t engine = config.list(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR)
                                        .front()
                                        .number(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
        ways.push_back({"cudnn_first", fmt::format("{} #{} engine {}", name, rank, engine),
                        [bound, plan](std::size_t set, cudaStream_t stream) { plan->run(set, stream); }});
      } catch (const std::runtime_error& error) {  // then perhaps the next
        refusal = error.what();
      }
    }
  }
  if (ways.empty()) throw NotInCudnn("cuDNN has no plan for this problem: " + refusal);
  return ways;
}

/// cuDNN's ways to compute a softmax; `call(mode, set, stream)` runs one.
template <class Call> std::vector<Implementation> softmax_ways(const CudnnSoftmaxCall& softmax, const Call& call) {
  std::vector<Implementation> ways;
  for (const auto& [mode, name] : softmax.modes())
    ways.push_back(
        {"cudnn_first", name, [call, mode = mode](std::size_t set, cudaStream_t stream) { call(mode, set, stream); }});
  return ways;
}

// ---- What the bench gets ---------------------------------------------------------------------------------------

template <class Workload> void absent(Workload& workload, const std::string& reason) {
  workload.absent.push_back({"cudnn_first", reason});
  if (workload.session.asks_for("cudnn_best")) workload.absent.push_back({"cudnn_best", reason});
}

/// Adds the first of `ways(most)` and, where it was asked for, the fastest; or the reason why there are none.
template <class Workload>
void provide(Workload& workload, const std::function<std::vector<Implementation>(std::size_t most)>& ways) {
  const Session& session = workload.session;
  if (session.gpu.emulated) return absent(workload, not_emulated);
  if (!cudnn().library) return absent(workload, not_found);
  try {
    constexpr std::size_t all = 8;
    const bool best = session.asks_for("cudnn_best");  // cuDNN compiles each way, a good part of a second
    std::vector<Implementation> able = ways(best ? all : 1);
    workload.implementations.push_back(able.front());
    if (!best) return;
    workload.implementations.push_back(able[fastest_of(able, workload, session)]);
    workload.implementations.back().name = "cudnn_best";
  } catch (const NotInCudnn& reason) {
    absent(workload, reason.what());
  }
}

}  // namespace

void provide_cudnn(SoftmaxWorkload& workload) {
  provide(workload, [&](std::size_t) {
    const auto softmax = std::make_shared<const CudnnSoftmaxCall>(cudnn_softmax(workload.problem));
    return softmax_ways(*softmax, [softmax, &operands = workload.operands](auto mode, std::size_t set, auto stream) {
      softmax->forward(mode, operands[set].x, operands[set].y, stream);
    });
  });
}

void provide_cudnn(SoftmaxBackwardWorkload& workload) {
  provide(workload, [&](std::size_t) {
    const auto softmax = std::make_shared<const CudnnSoftmaxCall>(cudnn_softmax(workload.problem));
    return softmax_ways(*softmax, [softmax, &operands = workload.operands](auto mode, std::size_t set, auto stream) {
      softmax->backward(mode, operands[set].y, operands[set].dy, operands[set].dx, stream);
    });
  });
}

void provide_cudnn(NormWorkload& workload) {
  provide(workload, [&](std::size_t most) { return norm_ways(workload, most); });
}

void provide_cudnn(NormBackwardWorkload& workload) {
  provide(workload, [&](std::size_t most) { return norm_ways(workload, most); });
}

void check_by_cudnn(const CudnnNorm& norm) {
  if (!cudnn().library) throw std::runtime_error(not_found);
  const NormGraph graph(norm, nullptr);
}

std::string cudnn_version() {
  if (!cudnn().library) return "";
  const std::size_t version = cudnn().GetVersion();  // e.g. 91900
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace ckl::bench

#else  // the toolkit came without cuDNN's headers

namespace ckl::bench {
namespace {

constexpr const char* without_header = "built without cudnn.h";

template <class Workload> void absent(Workload& workload) {
  const char* reason = workload.session.gpu.emulated ? not_emulated : without_header;
  workload.absent.push_back({"cudnn_first", reason});
  if (workload.session.asks_for("cudnn_best")) workload.absent.push_back({"cudnn_best", reason});
}

}  // namespace

void provide_cudnn(SoftmaxWorkload& workload) { absent(workload); }
void provide_cudnn(SoftmaxBackwardWorkload& workload) { absent(workload); }
void provide_cudnn(NormWorkload& workload) { absent(workload); }
void provide_cudnn(NormBackwardWorkload& workload) { absent(workload); }

void check_by_cudnn(const CudnnNorm&) { throw std::runtime_error(without_header); }

std::string cudnn_version() { return ""; }

}  // namespace ckl::bench

#endif
