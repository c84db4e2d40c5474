// One kernel of the list in bench/peers/CMakeLists.txt, which sets these macros:
//   CKL_PEER              the kernel's name, without quotes
//   CKL_PEER_ELEMENT      cutlass::bfloat16_t or cutlass::half_t
//   CKL_PEER_M, _N, _K    the tile
//   CKL_PEER_CLUSTER_M, _CLUSTER_N
//   CKL_PEER_SCHEDULE     Cooperative or Pingpong
//   CKL_PEER_SCHEDULER    PersistentScheduler or StreamKScheduler
#include <cute/tensor.hpp>
#include <cutlass/cutlass.h>
#include <cutlass/epilogue/collective/collective_builder.hpp>
#include <cutlass/gemm/collective/collective_builder.hpp>
#include <cutlass/gemm/device/gemm_universal_adapter.h>
#include <cutlass/gemm/kernel/gemm_universal.hpp>

#include <stdexcept>
#include <string>

#include "peers/cutlass_gemm.hpp"

#define CKL_PEER_JOIN_(a, b) a##b
#define CKL_PEER_JOIN(a, b)  CKL_PEER_JOIN_(a, b)
#define CKL_PEER_TEXT_(a)    #a
#define CKL_PEER_TEXT(a)     CKL_PEER_TEXT_(a)

namespace ckl::bench {
namespace {

using Element = CKL_PEER_ELEMENT;
using Tile = cute::Shape<cute::Int<CKL_PEER_M>, cute::Int<CKL_PEER_N>, cute::Int<CKL_PEER_K>>;
using Cluster = cute::Shape<cute::Int<CKL_PEER_CLUSTER_M>, cute::Int<CKL_PEER_CLUSTER_N>, cute::_1>;
using MainloopSchedule = CKL_PEER_JOIN(cutlass::gemm::KernelTmaWarpSpecialized, CKL_PEER_SCHEDULE);
using EpilogueSchedule =
    std::conditional_t<std::is_same_v<MainloopSchedule, cutlass::gemm::KernelTmaWarpSpecializedCooperative>,
                       cutlass::epilogue::TmaWarpSpecializedCooperative, cutlass::epilogue::TmaWarpSpecialized>;
constexpr int alignment = 16 / sizeof(Element);
using RowMajor = cutlass::layout::RowMajor;
using ColumnMajor = cutlass::layout::ColumnMajor;

using Epilogue = typename cutlass::epilogue::collective::CollectiveBuilder<
    cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Tile, Cluster, cutlass::epilogue::collective::EpilogueTileAuto,
    float, float, Element, RowMajor, alignment, Element, RowMajor, alignment, EpilogueSchedule>::CollectiveOp;
using Mainloop = typename cutlass::gemm::collective::CollectiveBuilder<
    cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Element, RowMajor, alignment, Element, ColumnMajor, alignment,
    float, Tile, Cluster,
    cutlass::gemm::collective::StageCountAutoCarveout<int(sizeof(typename Epilogue::SharedStorage))>,
    MainloopSchedule>::CollectiveOp;
using Kernel = cutlass::gemm::kernel::GemmUniversal<cute::Shape<int, int, int, int>, Mainloop, Epilogue,
                                                    cutlass::gemm::CKL_PEER_SCHEDULER>;
using Gemm = cutlass::gemm::device::GemmUniversalAdapter<Kernel>;

void check(cutlass::Status status, const char* what) {
  if (status != cutlass::Status::kSuccess)
    throw std::runtime_error(std::string("CUTLASS: ") + what + ": " + cutlass::cutlassGetStatusString(status));
}

typename Gemm::Arguments arguments_of(const GemmProblem& p, const CutlassOperands& x, int sm_count) {
  typename Kernel::StrideA a{};
  typename Kernel::StrideB b{};
  typename Kernel::StrideC c{};
  typename Kernel::StrideD d{};
  cute::get<0>(a) = p.a.row_stride;
  cute::get<0>(b) = p.b.column_stride;
  cute::get<0>(c) = p.c.row_stride;
  cute::get<0>(d) = p.d.row_stride;
  typename Gemm::Arguments arguments{
      cutlass::gemm::GemmUniversalMode::kGemm,
      {int(p.m), int(p.n), int(p.k), 1},
      {static_cast<const Element*>(x.a), a, static_cast<const Element*>(x.b), b},
      {{p.alpha, p.beta}, static_cast<const Element*>(x.c ? x.c : x.d), c, static_cast<Element*>(x.d), d}};
  arguments.hw_info.sm_count = sm_count;
  return arguments;
}

/// One adapter a set of operands, so that a run only launches.
class Runner final : public CutlassGemm {
 public:
  Runner(const GemmProblem& problem, const std::vector<CutlassOperands>& operands, int sm_count)
      : adapters_(operands.size()) {
    const std::size_t bytes = Gemm::get_workspace_size(arguments_of(problem, operands.front(), sm_count));
    if (bytes > 0 && cudaMalloc(&workspace_, bytes) != cudaSuccess)
      throw std::runtime_error("CUTLASS: no memory for its workspace");
    for (std::size_t i = 0; i < operands.size(); ++i)
      check(adapters_[i].initialize(arguments_of(problem, operands[i], sm_count), workspace_), "initialize");
  }
  ~Runner() override { cudaFree(workspace_); }

  void run(std::size_t set, cudaStream_t stream) override { check(adapters_[set].run(stream), "run"); }

 private:
  std::vector<Gemm> adapters_;
  void* workspace_ = nullptr;
};

std::unique_ptr<CutlassGemm> make(const GemmProblem& p, const std::vector<CutlassOperands>& operands) {
  const DType element = std::is_same_v<Element, cutlass::half_t> ? DType::f16 : DType::bf16;
  const bool is_tn = p.a.column_stride == 1 && p.b.row_stride == 1 && p.d.column_stride == 1 &&
                     (p.beta == 0 || p.c.column_stride == 1);
  if (!is_tn || p.a.dtype != element || p.d.dtype != element || operands.empty()) return nullptr;
  int device = 0, sm_count = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&sm_count, cudaDevAttrMultiProcessorCount, device);
  if (Gemm::can_implement(arguments_of(p, operands.front(), sm_count)) != cutlass::Status::kSuccess) return nullptr;
  return std::make_unique<Runner>(p, operands, sm_count);
}

}  // namespace

extern const CutlassKernel CKL_PEER_JOIN(cutlass_kernel_, CKL_PEER);
const CutlassKernel CKL_PEER_JOIN(cutlass_kernel_, CKL_PEER) = {CKL_PEER_TEXT(CKL_PEER), make};

}  // namespace ckl::bench
