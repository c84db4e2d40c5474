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

ElementwiseProblem problem_of(const Tensor& a, const Tensor& b, const Tensor& d) {
  return elementwise_problem({ElementwiseOp::add, {a, b}, {d}, {}});
}

}  // namespace

void add(const Tensor& a, const Tensor& b, const Tensor& d, Stream stream) {
  static int sums = 0;
  const ElementwisePlan whole(problem_of(a, b, d));  // throws for what is malformed, as the library does
  const void* in[] = {a.data, b.data};
  const std::string bug = std::getenv("CKL_PLANTED_BUG");
  if (bug == "third" && ++sums == 3) return;
  if (bug != "tail") return whole.run(in, &d.data, stream);
  ElementwisePlan(problem_of(without_tail(a), without_tail(b), without_tail(d))).run(in, &d.data, stream);
}

}  // namespace ckl
