#pragma once

#include <string>
#include <vector>

#include "kernels/ablation.hpp"
#include "ops/memory.hpp"
#include "ops/operator.hpp"

namespace ckl::bench {

/// What the kernels of the ablation do with the bytes that they load.
enum class AblationTask {
  copy,  ///< They store them.
  read,  ///< They mix them up, and store a word a thread.
  rows,  ///< They store each f32 minus the largest of its row, which a cluster shares.
};

/// One way to do it.
struct AblationVariant {
  std::string name;   ///< E.g. "plain_v16_l4", "cluster_2".
  std::string entry;  ///< Of the module of kernels.
  int vector;         ///< Bytes of a thread's vector.
  int loads;          ///< Of them that a thread has under way.
  int cluster;        ///< Blocks that share a row.

  /// Bytes that an SM has under way.
  int bytes_under_way() const { return kAblationBlocksPerSm * kAblationThreads * vector * loads; }
};

const std::vector<AblationVariant>& ablation_variants(AblationTask task);

/// f32 in device memory that all variants move.
class MemoryAblationWorkload final : public Workload {
 public:
  MemoryAblationWorkload(AblationTask task, std::int64_t elements, const Session& session);

  Work work() const override;
  Verdict verify(const Implementation& implementation) override;
  Launch ceiling() override;
  CeilingName ceiling_name() const override;

 private:
  void add(const AblationVariant& variant);
  int blocks(const AblationVariant& variant) const;
  std::size_t bytes() const { return std::size_t(elements_) * sizeof(float); }
  std::size_t result_bytes() const;

  const AblationTask task_;
  const std::int64_t elements_;
  const Session& session_;
  Buffer memory_;
  std::vector<AblationParams> operands_;
  HostCopy x_;  // of the first set, once it is needed on the host
};

const Operator& memory_ablation_operator();

}  // namespace ckl::bench
