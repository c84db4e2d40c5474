// Planted bugs, to see that `ckl fuzz` finds and shrinks them: preloaded, this ckl::add takes the place of the library's.
// CKL_PLANTED_BUG=tail forgets what lies beyond the first 64 elements of the last dimension; =third skips the third sum of a process.
#include <cstdlib>
#include <string>

#include "ckl/elementwise.hpp"

namespace ckl {
namespace {

Tensor without_tail(Tensor x) {
  if (x.rank > 0 && x.sizes[x.rank - 1] > 64) x.sizes[x.rank - 1] = 64;
  return x;
}

}  // namespace

void add(const Tensor& a, const Tensor& b, const Tensor& d, Stream stream) {
  static int sums = 0;
  const AddPlan whole(add_problem(a, b, d));  // throws for what is malformed, as the library does
  const std::string bug = std::getenv("CKL_PLANTED_BUG");
  if (bug == "third" && ++sums == 3) return;
  if (bug != "tail") return whole.run(a.data, b.data, d.data, stream);
  AddPlan(add_problem(without_tail(a), without_tail(b), without_tail(d))).run(a.data, b.data, d.data, stream);
}

}  // namespace ckl
