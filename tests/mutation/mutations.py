"""The seeded mistakes. Each is one that a programmer could make, and each must make a test fail.

`old` has to occur exactly once in `file`; `tests` says which programs are to catch it, and `why` which promise it breaks.
"""
import dataclasses


@dataclasses.dataclass
class Mutation:
    name: str
    file: str
    old: str
    new: str
    why: str
    tests: str  # programs of tests/host or tests/device, each maybe with a GoogleTest filter after a colon


def host(name, file, old, new, tests, why):
    return Mutation(name, file, old, new, why, tests)


HOST = [
    # The oracle and its bounds.
    host("tie-rounds-up", "reference/numeric.hpp", "std::nearbyint(x / unit)", "std::round(x / unit)", "numeric",
         "ties go to the even number"),
    host("oracle-loses-tail", "reference/gemm.cpp", "for (; l < k1; ++l)", "for (; l + 1 < k1; ++l)", "reference",
         "the oracle sums all of k"),
    host("oracle-takes-anything", "reference/gemm.cpp", "const double slack = tolerance * scale[at];",
         "const double slack = 1e6 * tolerance * scale[at];", "reference", "the bound is as tight as the design says"),
    host("oracle-ignores-nan", "reference/gemm.cpp", "if (std::isnan(expected)) return std::isnan(actual);",
         "if (std::isnan(expected)) return true;", "reference", "a NaN needs a NaN"),

    # Overlap and well-formedness.
    host("self-overlap-by-a-byte", "src/host/overlap.cpp", "magnitude(term) >= reach;", "magnitude(term) >= reach - 1;", "overlap",
         "outputs whose elements meet are refused"),
    host("overlap-of-first-bytes-only", "src/host/overlap.cpp",
         "WindowSearch search(terms, 1 - Int(size_of(output.dtype)), Int(size_of(input.dtype)) - 1);",
         "WindowSearch search(terms, 0, 0);", "overlap", "elements that meet in one byte are refused"),
    host("overlap-forgets-negative-strides", "src/host/overlap.cpp", "if (t.stride < 0) t = {-t.stride, -t.high, -t.low};",
         "if (t.stride < 0) t = {-t.stride, t.low, t.high};", "overlap", "views may run backwards"),
    host("size-product-overflows", "src/host/overlap.cpp",
         "fits = fits && !__builtin_mul_overflow(count, std::max<Int>(t.sizes[i], 1), &count);", "count *= t.sizes[i];",
         "overlap problem", "a size product beyond 64 bits is refused"),

    # Tensors and problems.
    host("transposed-keeps-strides", "src/host/tensor.cpp", "std::swap(t.strides[rank - 2], t.strides[rank - 1]);", "", "tensor",
         "transposed() is the same memory"),
    host("swapped-stride", "src/host/tensor.cpp", "{rows, cols}, {1, leading ? leading : rows}",
         "{rows, cols}, {leading ? leading : rows, 1}", "tensor", "column_major() has contiguous columns"),
    host("n-is-not-compared", "src/ops/gemm/gemm.cpp",
         'require_size("d.sizes[1]", in.d.sizes[1], "b.sizes[1]", in.b.sizes[1]);', "", "problem", "shapes must fit together"),
    host("d-may-overlap-itself", "src/ops/gemm/gemm.cpp",
         'host::require_no_self_overlap(as_tensor(p.d, p.m, p.n, nullptr), "d");', "", "problem", "an output does not overlap itself"),
    host("alpha-is-not-compared", "src/ops/gemm/gemm.cpp", "x.alpha == y.alpha &&", "", "problem",
         "equal problems, and only those, give equal plans"),
    host("alpha-zero-multiplies", "src/ops/gemm/gemm.cpp", "&& p.alpha != 0.0f; }", "; }", "config",
         "alpha = 0 never reads A and B"),
    host("absent-sizes-broadcast", "src/ops/elementwise/elementwise.cpp",
         "operand.strides[to] = input.sizes[i] == 1 ? 0 : input.strides[i];", "operand.strides[to] = input.strides[i];", "problem",
         "a dimension of size 1 is repeated"),

    # The choice of a kernel.
    host("tma-at-8-bytes", "src/host/tensor_map.cpp", "return alignment >= 16 &&", "return alignment >= 8 &&", "config",
         "TMA needs pointers that are multiples of 16 bytes"),
    host("tma-stride-at-8-bytes", "src/host/tensor_map.cpp", "other_stride * element % 16 == 0", "other_stride * element % 8 == 0",
         "config", "TMA needs strides that are multiples of 16 bytes"),
    host("transposition-keeps-operands", "src/ops/gemm/problem.cpp", "    std::swap(p.a, p.b);\n", "", "config",
         "D' = B' A' has the factors exchanged"),
    host("extent-one-decides", "src/ops/gemm/problem.cpp",
         "if (rows == 1 && x.column_stride == 1) x.row_stride = round_up_to_16_bytes(columns, x.dtype);", "", "config",
         "the stride of a dimension of extent 1 means nothing"),
    host("vectors-at-any-alignment", "src/ops/elementwise/elementwise.cpp",
         "if (alignment < ElementwiseConfig::vector_bytes) return false;", "", "config", "16-byte vectors need 16-byte pointers"),
    host("merges-by-output-alone", "src/ops/elementwise/elementwise.cpp",
         "for (int i = 0; i < inputs && merges; ++i) merges = continues(c.in[i], p.in[i].strides);", "", "config",
         "dimensions are merged only where all operands step through them as one"),

    # What host and kernel share.
    host("divider-rounds-down", "src/device/divider.hpp", "std::uint32_t((power + divisor - 1) / divisor)",
         "std::uint32_t(power / divisor)", "shared_values", "division by multiplication is exact"),
    host("last-group-is-full", "src/device/tile_grid.hpp", "int rows = rows_left < grid.group ? rows_left : grid.group;",
         "int rows = grid.group;", "shared_values", "every tile is visited once"),
    host("cache-ignores-device", "src/host/plan_cache.hpp", "(*at)->device() == device && ", "", "shared_values",
         "a plan belongs to one device"),
    host("cache-drops-newest", "src/host/plan_cache.hpp", "plans_.splice(plans_.begin(), plans_, at);", "", "shared_values",
         "the least recently used plan goes first"),
]
