#include "ops/reduce/launcher.hpp"

#include <cstring>

#include "host/device.hpp"
#include "host/require.hpp"

namespace ckl {

ReduceLauncher::ReduceLauncher(const ReduceProblem& problem, const ReduceShape& shape, const ReduceChoice& choice,
                               cudaKernel_t kernel, int device)
    : device_(device), work_(ReduceWork::of(problem, shape, choice)) {
  host::require_supported(work_.blocks < std::int64_t(1) << 31,
                          "reduce takes fewer than 2^31 blocks, but this problem needs ", work_.blocks);
  launch_.kernel = kernel;
  launch_.grid = unsigned(work_.blocks);
  launch_.threads = unsigned(choice.config.threads());
  launch_.cluster = choice.clustered ? unsigned(choice.splits) : 1;
  launch_.overlaps_preceding = true;
  host::prepare(launch_, device);
}

void ReduceLauncher::run(const void* x, void* y, void* workspace, Stream stream, const void* monoid_params,
                         std::size_t monoid_params_bytes) const {
  if (launch_.grid == 0) return;
  struct Bytes {
    alignas(monoid_params_align) unsigned char bytes[max_monoid_params];
  };
  ReduceCustomParams<Bytes> params;  // of the library's kernels the first part alone
  params.reduce = work_.params;
  params.reduce.x = x;
  params.reduce.y = y;
  params.reduce.mailbox = workspace;
  if (monoid_params_bytes > 0) std::memcpy(params.monoid.bytes, monoid_params, monoid_params_bytes);
  host::DeviceGuard guard(device_);
  host::launch(launch_, &params, stream);
}

}  // namespace ckl
