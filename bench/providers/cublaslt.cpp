#include "providers/providers.hpp"

#include <fmt/format.h>

#include "ops/gemm.hpp"

#if __has_include(<cublasLt.h>)

#include <cublasLt.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "providers/dynamic_library.hpp"

namespace ckl::bench {
namespace {

/// The functions of the library that is found at run time.
struct CublasLt {
  DynamicLibrary library{{"libcublasLt.so.13", "libcublasLt.so.12"}};

#define CKL_FUNCTION(name) decltype(::cublasLt##name)* name = library.get<decltype(::cublasLt##name)>("cublasLt" #name)
  CKL_FUNCTION(GetVersion);
  CKL_FUNCTION(Create);
  CKL_FUNCTION(MatmulDescCreate);
  CKL_FUNCTION(MatmulDescDestroy);
  CKL_FUNCTION(MatmulDescSetAttribute);
  CKL_FUNCTION(MatrixLayoutCreate);
  CKL_FUNCTION(MatrixLayoutDestroy);
  CKL_FUNCTION(MatmulPreferenceCreate);
  CKL_FUNCTION(MatmulPreferenceDestroy);
  CKL_FUNCTION(MatmulPreferenceSetAttribute);
  CKL_FUNCTION(MatmulAlgoGetHeuristic);
  CKL_FUNCTION(MatmulAlgoConfigGetAttribute);
  CKL_FUNCTION(Matmul);
#undef CKL_FUNCTION
};

const CublasLt& cublaslt() {
  static const CublasLt library;
  return library;
}

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("{} failed with status {}", call, int(status)));
}

cublasLtHandle_t handle() {
  static const cublasLtHandle_t created = [] {
    cublasLtHandle_t handle = nullptr;
    check(cublaslt().Create(&handle), "cublasLtCreate");
    return handle;
  }();
  return created;
}

constexpr std::size_t workspace_bytes = std::size_t(256) << 20;
constexpr int heuristics = 8;

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::bf16: return CUDA_R_16BF;
    case DType::f16: return CUDA_R_16F;
    case DType::f32: return CUDA_R_32F;
    default: throw std::runtime_error(fmt::format("cuBLASLt is not asked for {} here", name(dtype)));
  }
}

/// A matrix as cuBLAS sees memory: column-major, transposed or not.
struct ColumnMajor {
  cublasOperation_t operation;
  std::int64_t rows, columns, leading;
};

/// The transpose of our (rows, columns) matrix. cuBLAS writes column-major results and ours are row-major, so it is
/// asked for D^T = B^T A^T, whose memory is the same.
ColumnMajor transposed(const GemmOperand& x, std::int64_t rows, std::int64_t columns) {
  if (x.column_stride == 1) return {CUBLAS_OP_N, columns, rows, x.row_stride};  // row-major memory is its transpose
  return {CUBLAS_OP_T, rows, columns, x.column_stride};
}

/// cuBLASLt's own epilogue that does what a problem's does.
struct VendorEpilogue {
  bool there_is_one = true;
  cublasLtEpilogue_t what = CUBLASLT_EPILOGUE_DEFAULT;
  bool residual_is_c = false;  ///< The residual is added as C, with beta 1.
};

/// Its bias belongs to the rows of its column-major result, which are our columns, and has the result's type; its GELU is the
/// approximation by tanh. C is added before the activation.
VendorEpilogue vendor_epilogue(const GemmProblem& p) {
  GemmEpilogue rest = p.epilogue;
  const bool bias = rest.column_bias == GemmVector{true, p.d.dtype, 1}, residual = rest.has_residual;
  const Activation activation = rest.activation;
  rest.column_bias.used = rest.has_residual = false;
  rest.activation = Activation::none;
  VendorEpilogue vendor;
  switch (activation) {
    case Activation::none: vendor.what = bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT; break;
    case Activation::relu: vendor.what = bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU; break;
    case Activation::gelu_tanh: vendor.what = bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU; break;
    default: vendor.there_is_one = false;
  }
  vendor.residual_is_c = residual;
  const bool residual_fits = !residual || (activation == Activation::none && p.beta == 0 && p.epilogue.residual == p.d);
  vendor.there_is_one = vendor.there_is_one && rest.empty() && bias == p.epilogue.column_bias.used && residual_fits;
  return vendor;
}

/// The largest power of two, up to 256, that all `pointers` are multiples of.
std::uint32_t true_alignment(const std::vector<const void*>& pointers) {
  std::uintptr_t bits = 256;
  for (const void* pointer : pointers) bits |= reinterpret_cast<std::uintptr_t>(pointer);
  return std::uint32_t(bits & (~bits + 1));
}

/// One product, described to cuBLASLt; holds the descriptors as long as an algorithm may run.
class Matmul {
 public:
  explicit Matmul(const GemmWorkload& workload);
  ~Matmul();
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;

  /// Up to `heuristics` algorithms, the vendor's first choice first.
  std::vector<cublasLtMatmulHeuristicResult_t> algorithms() const;

  void run(const cublasLtMatmulAlgo_t& algorithm, std::size_t set, cudaStream_t stream) const;

 private:
  static cublasLtMatrixLayout_t layout(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t leading);
  std::uint32_t alignment(const std::function<const void*(const GemmOperands&)>& pointer) const;
  void set_bias(const void* bias) const;

  /// The addend: C, or the residual that takes its place, or, where there is none and beta is 0, D.
  const void* addend(const GemmOperands& x) const { return epilogue_.residual_is_c ? x.residual : x.c ? x.c : x.d; }

  const GemmProblem problem_;
  const VendorEpilogue epilogue_;
  const float beta_;
  const std::vector<GemmOperands>& operands_;
  Buffer workspace_{workspace_bytes};
  cublasLtMatmulDesc_t matmul_ = nullptr;
  cublasLtMatrixLayout_t first_ = nullptr, second_ = nullptr, result_ = nullptr;
};

cublasLtMatrixLayout_t Matmul::layout(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t leading) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublaslt().MatrixLayoutCreate(&layout, data_type(dtype), std::uint64_t(rows), std::uint64_t(columns), leading),
        "cublasLtMatrixLayoutCreate");
  return layout;
}

Matmul::Matmul(const GemmWorkload& workload)
    : problem_(workload.problem),
      epilogue_(vendor_epilogue(workload.problem)),
      beta_(epilogue_.residual_is_c ? 1.0f : workload.problem.beta),
      operands_(workload.operands) {
  const GemmProblem& p = problem_;
  const CublasLt& lt = cublaslt();
  const ColumnMajor first = transposed(p.b, p.k, p.n), second = transposed(p.a, p.m, p.k);
  check(lt.MatmulDescCreate(&matmul_, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
  check(lt.MatmulDescSetAttribute(matmul_, CUBLASLT_MATMUL_DESC_TRANSA, &first.operation, sizeof(first.operation)),
        "cublasLtMatmulDescSetAttribute");
  check(lt.MatmulDescSetAttribute(matmul_, CUBLASLT_MATMUL_DESC_TRANSB, &second.operation, sizeof(second.operation)),
        "cublasLtMatmulDescSetAttribute");
  check(lt.MatmulDescSetAttribute(matmul_, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue_.what, sizeof(epilogue_.what)),
        "cublasLtMatmulDescSetAttribute");
  if (p.epilogue.column_bias.used) set_bias(operands_.front().column_bias);
  first_ = layout(p.b.dtype, first.rows, first.columns, first.leading);
  second_ = layout(p.a.dtype, second.rows, second.columns, second.leading);
  result_ = layout(p.d.dtype, p.n, p.m, p.d.row_stride);
}

/// The address is part of the description, which is copied when a product is enqueued.
void Matmul::set_bias(const void* bias) const {
  check(cublaslt().MatmulDescSetAttribute(matmul_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof(bias)),
        "cublasLtMatmulDescSetAttribute");
}

Matmul::~Matmul() {
  const CublasLt& lt = cublaslt();
  for (cublasLtMatrixLayout_t layout : {first_, second_, result_})
    if (layout) lt.MatrixLayoutDestroy(layout);
  if (matmul_) lt.MatmulDescDestroy(matmul_);
}

std::uint32_t Matmul::alignment(const std::function<const void*(const GemmOperands&)>& pointer) const {
  std::vector<const void*> pointers;
  for (const GemmOperands& set : operands_) pointers.push_back(pointer(set));
  return true_alignment(pointers);
}

std::vector<cublasLtMatmulHeuristicResult_t> Matmul::algorithms() const {
  const CublasLt& lt = cublaslt();
  cublasLtMatmulPreference_t preference = nullptr;
  check(lt.MatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(lt.MatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t(workspace_bytes));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment([](const GemmOperands& x) -> const void* { return x.b; }));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment([](const GemmOperands& x) -> const void* { return x.a; }));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment([this](const GemmOperands& x) { return addend(x); }));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment([](const GemmOperands& x) -> const void* { return x.d; }));

  std::vector<cublasLtMatmulHeuristicResult_t> found(heuristics);
  int count = 0;
  const cublasStatus_t status = lt.MatmulAlgoGetHeuristic(handle(), matmul_, first_, second_, result_, result_,
                                                          preference, heuristics, found.data(), &count);
  lt.MatmulPreferenceDestroy(preference);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED)
    count = 0;
  else
    check(status, "cublasLtMatmulAlgoGetHeuristic");
  found.resize(std::size_t(count));
  std::erase_if(found, [](const auto& result) { return result.state != CUBLAS_STATUS_SUCCESS; });
  return found;
}

void Matmul::run(const cublasLtMatmulAlgo_t& algorithm, std::size_t set, cudaStream_t stream) const {
  const GemmOperands& x = operands_[set];
  if (problem_.epilogue.column_bias.used) set_bias(x.column_bias);
  check(cublaslt().Matmul(handle(), matmul_, &problem_.alpha, x.b, first_, x.a, second_, &beta_, addend(x), result_,
                          x.d, result_, &algorithm, workspace_.data(), workspace_bytes, stream),
        "cublasLtMatmul");
}

std::int32_t config_value(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute,
                          std::size_t bytes = sizeof(std::int32_t)) {
  std::int32_t value = 0;  // little-endian, so that a shorter attribute fits as well
  std::size_t written = 0;
  cublaslt().MatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, bytes, &written);
  return value;
}

/// The algorithm in the vendor's own numbers.
std::string describe(const cublasLtMatmulAlgo_t& algorithm, std::size_t rank) {
  return fmt::format(
      "#{} algo {} tile {} stages {} cluster {} splitk {}", rank + 1, config_value(algorithm, CUBLASLT_ALGO_CONFIG_ID),
      config_value(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID), config_value(algorithm, CUBLASLT_ALGO_CONFIG_STAGES_ID),
      config_value(algorithm, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, sizeof(std::uint16_t)),
      config_value(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM));
}

void absent(GemmWorkload& workload, const std::string& reason) {
  workload.absent.push_back({"cublaslt_top1", reason});
  workload.absent.push_back({"cublaslt_best", reason});
}

}  // namespace

void provide_cublaslt(GemmWorkload& workload) {
  const Session& session = workload.session;
  if (session.gpu.emulated) return absent(workload, not_emulated);
  if (!cublaslt().library) return absent(workload, "libcublasLt was not found");
  if (!vendor_epilogue(workload.problem).there_is_one) return absent(workload, "cuBLASLt has no such epilogue");

  const auto matmul = std::make_shared<const Matmul>(workload);
  std::vector<Implementation> ranked;
  for (const cublasLtMatmulHeuristicResult_t& result : matmul->algorithms()) {
    const cublasLtMatmulAlgo_t algorithm = result.algo;
    ranked.push_back(
        {"cublaslt_top1", describe(algorithm, ranked.size()),
         [matmul, algorithm](std::size_t set, cudaStream_t stream) { matmul->run(algorithm, set, stream); }});
  }
  if (ranked.empty()) return absent(workload, "cuBLASLt has no algorithm for this problem");

  workload.implementations.push_back(ranked.front());
  workload.implementations.push_back(ranked[fastest_of(ranked, workload, session)]);
  workload.implementations.back().name = "cublaslt_best";
}

std::string cublaslt_version() {
  const CublasLt& lt = cublaslt();
  if (!lt.library) return "";
  const std::size_t version = lt.GetVersion();  // e.g. 130100, or 120804 before 13
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace ckl::bench

#else  // the toolkit came without cuBLAS's headers

namespace ckl::bench {

void provide_cublaslt(GemmWorkload& workload) {
  for (const char* name : {"cublaslt_top1", "cublaslt_best"})
    workload.absent.push_back({name, workload.session.gpu.emulated ? not_emulated : "built without cublasLt.h"});
}

std::string cublaslt_version() { return ""; }

}  // namespace ckl::bench

#endif
