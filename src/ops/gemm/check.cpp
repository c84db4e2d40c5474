#include "ops/gemm/check.hpp"

#include <utility>

#include "host/require.hpp"
#include "ops/gemm/epilogue.hpp"

namespace ckl {

void require_valid(const GemmProblem& p) {
  for (auto [value, argument] : {std::pair{p.m, "m"}, {p.n, "n"}, {p.k, "k"}})
    host::require(value >= 0, argument, " must be 0 or more, but is ", value);
  host::require_supported(p.batch == 1, "batch must be 1 in this version, but is ", p.batch);
  host::require_supported(p.a.dtype == DType::bf16 || p.a.dtype == DType::f16, "a.dtype must be bf16 or f16, but is ",
                          name(p.a.dtype));
  host::require_supported(p.b.dtype == p.a.dtype, "b.dtype must be a's, ", name(p.a.dtype), ", but is ",
                          name(p.b.dtype));
  host::require_supported(p.d.dtype == DType::f32 || p.d.dtype == DType::f16 || p.d.dtype == DType::bf16,
                          "d.dtype must be f32, f16 or bf16, but is ", name(p.d.dtype));
  require_operand(p.a, p.m, p.k, "a");
  require_operand(p.b, p.k, p.n, "b");
  require_valid_epilogue(p);
  require_operand(p.d, p.m, p.d_columns(), "d");
  host::require_no_self_overlap(as_tensor(p.d, p.m, p.d_columns(), nullptr), "d");
  if (!reads_c(p)) return;
  require_operand(p.c, p.m, p.n, "c");
  host::require_supported(p.c.dtype == p.d.dtype, "c.dtype must be d's, ", name(p.d.dtype), ", but is ",
                          name(p.c.dtype));
}

Spans spans_of(const GemmProblem& p) {
  Spans spans;
  if (is_empty(p)) return spans;
  spans.d = host::span_of(as_tensor(p.d, p.m, p.d_columns(), nullptr));
  if (reads_c(p)) spans.c = host::span_of(as_tensor(p.c, p.m, p.n, nullptr));
  if (!multiplies(p)) return spans;
  spans.a = host::span_of(as_tensor(p.a, p.m, p.k, nullptr));
  spans.b = host::span_of(as_tensor(p.b, p.k, p.n, nullptr));
  return spans;
}

void require_pointers(const GemmProblem& p, const Spans& spans, const GemmPointers& x) {
  if (is_empty(p)) return;
  require_pointer(x.d, p.d, "d");
  auto require_no_partial_overlap = [&](const void* data, const host::Span& span, const GemmOperand& operand,
                                        std::int64_t rows, std::int64_t columns, const char* argument) {
    if (host::apart(x.d, spans.d, data, span)) return;
    host::require_no_partial_overlap(as_tensor(p.d, p.m, p.d_columns(), x.d), "d",
                                     as_tensor(operand, rows, columns, data), argument);
  };
  if (multiplies(p)) {
    require_pointer(x.a, p.a, "a");
    require_pointer(x.b, p.b, "b");
    for (auto [data, argument] : {std::pair{x.a, "a"}, {x.b, "b"}})
      host::require(data != x.d, "d must not be ", argument, ", but both are at ", x.d);
    require_no_partial_overlap(x.a, spans.a, p.a, p.m, p.k, "a");
    require_no_partial_overlap(x.b, spans.b, p.b, p.k, p.n, "b");
  }
  if (reads_c(p)) {
    require_pointer(x.c, p.c, "c");
    require_no_partial_overlap(x.c, spans.c, p.c, p.m, p.n, "c");
  }
  require_epilogue_pointers(p, x);
}

}  // namespace ckl
