#pragma once

/// @file
/// Who computes what. A provider adds its implementations of a workload, or says why it cannot.

#include <cstddef>
#include <string>
#include <vector>

#include "ops/operator.hpp"

namespace ckl::bench {

class CrossEntropyBackwardWorkload;
class CrossEntropyWorkload;
class ElementwiseWorkload;
class GemmWorkload;
class NormBackwardWorkload;
class NormWorkload;
class ReduceWorkload;
class SoftmaxBackwardWorkload;
class SoftmaxWorkload;

/// The library under test.
void provide_ckl(GemmWorkload& workload);
void provide_ckl(CrossEntropyWorkload& workload);
void provide_ckl(CrossEntropyBackwardWorkload& workload);
void provide_ckl(ElementwiseWorkload& workload);
void provide_ckl(NormWorkload& workload);
void provide_ckl(NormBackwardWorkload& workload);
void provide_ckl(ReduceWorkload& workload);
void provide_ckl(SoftmaxWorkload& workload);
void provide_ckl(SoftmaxBackwardWorkload& workload);

/// cuBLASLt: the first of its heuristics, and the fastest of eight.
void provide_cublaslt(GemmWorkload& workload);

/// CUB's device-wide reduction, or its segmented one for rows; a note for what it does not have.
void provide_cub(ReduceWorkload& workload);

/// cuDNN: the first plan of its heuristics (of softmax, its mode "instance"), and the fastest of all where --impl names it.
void provide_cudnn(NormWorkload& workload);
void provide_cudnn(NormBackwardWorkload& workload);
void provide_cudnn(SoftmaxWorkload& workload);
void provide_cudnn(SoftmaxBackwardWorkload& workload);

/// The best of a list of kernels by CUTLASS's collective builders; nothing where they were not compiled.
void provide_cutlass(GemmWorkload& workload);

/// The five kernels of examples/gemm_ladder, called ladder_1_simt and so on: those of them that --impl names.
void provide_ladder(GemmWorkload& workload);

/// Copies on the device that read and write `bytes` in all, over `sets` pairs of buffers. It keeps the memory.
Launch copy_of(double bytes, std::size_t sets, const Session& session);

/// A kernel that reads `bytes` of each of `sources` and writes nothing.
Launch read_of(const std::vector<const void*>& sources, std::size_t bytes, const Session& session);

/// What `name` is told with in the rows of an emulated GPU.
inline constexpr const char* not_emulated = "not available under the emulator";

/// The version of a vendor's library that is loaded, empty without it.
std::string cublaslt_version();

/// The version of cuDNN that is loaded, empty without it.
std::string cudnn_version();

}  // namespace ckl::bench
