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


def mistake(name, file, old, new, tests, why):
    return Mutation(name, file, old, new, why, tests)


HOST = [
    # The oracle and its bounds.
    mistake("tie-rounds-up", "reference/numeric.hpp", "std::nearbyint(x / unit)", "std::round(x / unit)", "numeric",
         "ties go to the even number"),
    mistake("oracle-loses-tail", "reference/gemm.cpp", "for (; l < k1; ++l)", "for (; l + 1 < k1; ++l)", "reference",
         "the oracle sums all of k"),
    mistake("oracle-takes-anything", "reference/gemm.cpp", "const double slack = tolerance * scale[at];",
         "const double slack = 1e6 * tolerance * scale[at];", "reference", "the bound is as tight as the design says"),
    mistake("oracle-ignores-nan", "reference/compare.cpp", "if (std::isnan(expected)) return std::isnan(actual);",
         "if (std::isnan(expected)) return true;", "reference", "a NaN needs a NaN"),

    # Overlap and well-formedness.
    mistake("self-overlap-by-a-byte", "src/host/overlap.cpp", "magnitude(term) >= reach;", "magnitude(term) >= reach - 1;", "overlap",
         "outputs whose elements meet are refused"),
    mistake("overlap-of-first-bytes-only", "src/host/overlap.cpp",
         "WindowSearch search(terms, 1 - Int(size_of(output.dtype)), Int(size_of(input.dtype)) - 1);",
         "WindowSearch search(terms, 0, 0);", "overlap", "elements that meet in one byte are refused"),
    mistake("overlap-forgets-negative-strides", "src/host/overlap.cpp", "if (t.stride < 0) t = {-t.stride, -t.high, -t.low};",
         "if (t.stride < 0) t = {-t.stride, t.low, t.high};", "overlap", "views may run backwards"),
    mistake("size-product-overflows", "src/host/overlap.cpp",
         "fits = fits && !__builtin_mul_overflow(count, std::max<Int>(t.sizes[i], 1), &count);", "count *= t.sizes[i];",
         "overlap problem", "a size product beyond 64 bits is refused"),

    # Tensors and problems.
    mistake("transposed-keeps-strides", "src/host/tensor.cpp", "std::swap(t.strides[rank - 2], t.strides[rank - 1]);", "", "tensor",
         "transposed() is the same memory"),
    mistake("swapped-stride", "src/host/tensor.cpp", "{rows, cols}, {1, leading ? leading : rows}",
         "{rows, cols}, {leading ? leading : rows, 1}", "tensor", "column_major() has contiguous columns"),
    mistake("n-is-not-compared", "src/ops/gemm/gemm.cpp",
         'in.b.sizes[1] / (gated ? 2 : 1));', "in.d.sizes[1]);", "problem", "shapes must fit together"),
    mistake("d-may-overlap-itself", "src/ops/gemm/check.cpp",
         'host::require_no_self_overlap(as_tensor(p.d, p.m, p.d_columns(), nullptr), "d");', "", "problem", "an output does not overlap itself"),
    mistake("alpha-is-not-compared", "src/ops/gemm/gemm.cpp", "x.alpha == y.alpha &&", "", "problem",
         "equal problems, and only those, give equal plans"),
    mistake("alpha-zero-multiplies", "src/ops/gemm/check.hpp", "&& p.alpha != 0.0f; }", "; }", "config",
         "alpha = 0 never reads A and B"),
    mistake("absent-sizes-broadcast", "src/ops/elementwise/elementwise.cpp",
         "operand.strides[to] = input.sizes[i] == 1 ? 0 : input.strides[i];", "operand.strides[to] = input.strides[i];", "problem",
         "a dimension of size 1 is repeated"),

    # Rows.
    mistake("sum-may-be-y", "src/ops/norm/norm.cpp",
         "host::require_no_overlap(out[i].second, out[i].first, out[j].second, out[j].first);", "", "norm_problem",
         "two outputs share no byte"),
    mistake("weight-may-be-unaligned", "src/ops/norm/norm.cpp", "if (has) operands.push_back(*operand);", "", "norm_problem",
         "vectors need every operand aligned"),

    # The choice of a kernel.
    mistake("tma-at-8-bytes", "src/host/tensor_map.cpp", "return alignment >= 16 &&", "return alignment >= 8 &&", "config",
         "TMA needs pointers that are multiples of 16 bytes"),
    mistake("tma-stride-at-8-bytes", "src/host/tensor_map.cpp", "other_stride * element % 16 == 0", "other_stride * element % 8 == 0",
         "config", "TMA needs strides that are multiples of 16 bytes"),
    mistake("tma-stores-any-row", "src/host/tensor_map.cpp", "return contiguous * std::int64_t(size_of(dtype)) % 16 == 0 &&\n         ",
            "return ", "config", "a TMA store must not run past the end of a row"),
    mistake("transposition-keeps-operands", "src/ops/gemm/problem.cpp", "  std::swap(p.a, p.b);\n", "", "config",
         "D' = B' A' has the factors exchanged"),
    mistake("extent-one-decides", "src/ops/gemm/problem.cpp",
         "if (rows == 1 && x.column_stride == 1) x.row_stride = round_up_to_16_bytes(columns, x.dtype);", "", "config",
         "the stride of a dimension of extent 1 means nothing"),
    mistake("vectors-at-any-alignment", "src/ops/elementwise/launcher.cpp",
         "if (x.alignment < vector * int(size_of(x.dtype))) return false;", "", "config", "vectors need pointers as aligned as they are long"),
    mistake("merges-by-output-alone", "src/ops/elementwise/launcher.cpp",
         "{ return x.original[d] == x.strides[at] * c.sizes[at]; }",
         "{ return x.is_input || x.original[d] == x.strides[at] * c.sizes[at]; }", "config",
         "dimensions are merged only where all operands step through them as one"),

    mistake("batch-invariance-cuts-k", "src/ops/gemm/choice.cpp",
            "if (problem.batch_invariant) continue;", "", "config", "how K is cut may not depend on m"),
    mistake("tuning-of-another-gpu", "src/host/tuning.cpp", "    if (t.scope == scope) return {&t, \"\"};",
            "    return {&t, \"\"};", "tuning", "a measurement holds for its own GPU and library"),
    mistake("tuning-forgets-invariance", "src/ops/gemm/choice.cpp", 'p.batch_invariant ? " batch_invariant" : ""', '""', "tuning",
            "the key says what decides which configs can serve"),
    mistake("tuning-without-lock", "src/host/tuning.cpp", "  const WriterLock lock(path);\n", "", "tuning", "writers lose nothing"),

    # What host and kernel share.
    mistake("divider-rounds-down", "src/device/divider.hpp", "std::uint32_t((power + divisor - 1) / divisor)",
         "std::uint32_t(power / divisor)", "shared_values", "division by multiplication is exact"),
    mistake("last-group-is-full", "src/device/tile_grid.hpp", "(group + 1) * grid.group <= grid.tiles_m ? grid.rows : grid.last_rows;",
         "grid.rows;", "shared_values", "every tile is visited once"),
    mistake("cache-ignores-device", "src/host/plan_cache.hpp", "plan.device() != device || ", "", "shared_values",
         "a plan belongs to one device"),
    mistake("cache-drops-newest", "src/host/plan_cache.hpp", "plans_.splice(plans_.begin(), plans_, at->second);", "", "shared_values",
         "the least recently used plan goes first"),
]


def gemm(*cases):
    """The test of GEMM, on some of the shared cases."""
    return "gemm:" + ":".join(f"*GemmCases.*/{case}" for case in cases)


LOOP = gemm("exact_tile", "k_many_stages", "tile_and_one", "many_tiles")
GATHER = "gemm:*UnalignedOperandsArePaddedOrGathered"
SWAP = "gemm:*SwappedConfigs*"
PAD = gemm("k_odd", "k_odd_deep", "mn_odd", "k_odd_transposed")
SUMS = "gemm:*SumsOfACluster*"

# Those of a kernel's mistakes that only a race would show are sure to be caught under the emulator, where an access out of order
# is an error like any other; a GPU may happen to give the right result.
DEVICE = [
    # Rows.
    mistake("mean-is-not-corrected", "src/ops/norm/kernel.cuh", "-(is_f64 ? mean + correction : correction) * rstd", "-(is_f64 ? mean : Real(0)) * rstd",
            "norm:*LargeMeans*", "a large mean costs no digits"),
    mistake("infinities-are-widened", "src/ops/norm/kernel.cuh", "return widens ? rstd > 0 && rstd < Real(0x1p127) : is_f64", "return widens || is_f64",
            "norm:*SpecialValues*", "a row with an infinity is normalized by conversions, which keep it"),
    mistake("any-root-is-scaled", "src/ops/norm/kernel.cuh", "rstd > 0 && rstd < Real(0x1p127)", "rstd > 0", "norm:*AnyMagnitude*",
            "a root that cannot be scaled is not"),
    mistake("columns-beyond-the-row-count", "src/ops/norm/kernel.cuh",
            "(Engine::has(i, columns, thread) ? mean : Real(0))", "mean",
            "norm:*columns*", "what is beyond a row has no distance from the mean"),
    mistake("scale-of-one-thread", "src/ops/norm/kernel.cuh", "float(reduction(Real(largest), Max()))", "largest",
            "norm:*fp8_columns*", "a row's scale is that of all its threads"),
    mistake("far-means-cancel", "src/ops/norm/kernel.cuh", "    if (is_far) mean = of_row;\n", "", "norm:*LargeMeans*:*MeansNearAndFar*",
            "a mean that is far from 0 costs no digits"),
    mistake("neighbours-decide-about-the-mean", "src/ops/norm/kernel.cuh", "    if (is_far) mean = of_row;\n", "    mean = of_row;\n",
            "norm:*NeighboursMeans*", "a row's bits do not depend on its neighbours"),
    mistake("columns-beyond-the-row-scale", "src/ops/norm/kernel.cuh", "      if (!Engine::has(i * VEC, columns, part.thread)) continue;\n", "",
            "norm:*QuantizedExtremes*", "what is beyond a row does not count for its scale"),
    mistake("no-smallest-scale", "src/device/quantization.cuh", "fmaxf(fminf(largest, FLT_MAX) / limit, FLT_MIN)", "fminf(largest, FLT_MAX) / limit",
            "norm:*QuantizedExtremes*", "a row of zeros has a scale"),
    mistake("sum-is-read-where-it-was", "src/ops/norm/kernel.cuh", "if (has_sum(p)) {  // it may", "if (false) {  // it may",
            "norm:*sum_is_x*", "a sum that replaces x is not added to the residual again"),
    mistake("cluster-forgets-the-last-block", "src/device/row_reduction.cuh", "for (int block = 1; block < blocks(); ++block)",
            "for (int block = 2; block < blocks(); ++block)", "softmax_backward:*cluster*", "every block of a cluster counts"),
    mistake("pieces-are-not-waited-for", "src/device/row_source.cuh", "    cute::wait_barrier(arrived(begin), 0);\n", "", "norm:*cluster2",
            "a piece in shared memory is read when it is there"),
    mistake("parts-are-about-one-mean", "src/ops/norm/kernel.cuh", "Real distance = p.centered ? parts[0][block] - mean : Real(0);",
            "Real distance = Real(0);", "norm:*cluster2", "the parts of a row have means of their own"),
    mistake("weights-stay-behind", "src/ops/norm/kernel.cuh", "        affine.advance();\n", "", "norm:*PlainRowsHaveTheSameBits*",
            "every piece of a row has weights of its own"),
    mistake("parts-weigh-alike", "src/ops/softmax/kernel.cuh", "return {all, total, exponential(max - reference_of(all))};", "return {all, total, 1.0f};",
            "softmax:*cluster2", "a part's exponentials are relative to its own largest value"),
    mistake("stage-is-filled-too-early", "src/device/row_source.cuh", "    if (!have_met) Engine::Reduction::sync();\n", "", "cross_entropy:*pieces*:*many_rows*", "a stage is filled again when all threads have read it"),
    mistake("ring-is-filled-too-early", "src/ops/norm/backward/kernel.cuh", "      ring.wait_left(i - ring.STAGES);\n", "", "norm_backward:*SumsOfManyRows*",
            "a stage is filled again when all warps have left it"),
    mistake("late-sums-are-early", "src/device/late_sums.cuh", "    cute::wait_barrier(storage_.known[slot], i / SLOTS & 1);\n", "", "norm_backward:*SumsOfManyRows*",
            "the sums of a row are taken when they are known"),
    mistake("dense-rows-begin-at-boundaries", "src/device/fed_ring.cuh", "(Config.vector ? 0 : storage_.shift[group_][k % STAGES][operand])", "0",
            "norm_backward:*_columns1:*_odd_rows", "a dense row begins anywhere between boundaries of 16 bytes"),
    mistake("rows-are-skipped", "src/device/row_source.cuh", "int64_t(ahead) * step()", "int64_t(ahead + 1) * step()",
            "softmax:*many_rows*", "a group takes the rows in turn"),
    mistake("exponents-stay-rounded", "src/device/online_softmax.cuh", "return rate == wanted ? sum / weight(largest) : sum;", "return sum;",
            "cross_entropy:*LargeValues*:*SmallLosses*", "a sum is relative to the largest number, not to its rounded exponent"),
    mistake("regimes-of-exponents-mix", "src/device/online_softmax.cuh", "before.rate == rate ? exp2_approx(before.exponent - finite()) : 0.0f",
            "exp2_approx(before.exponent - finite())", "cross_entropy:*LargeValues*", "exponents of large numbers are others"),
    mistake("ends-of-rows-are-forgotten", "src/device/row_engine.cuh", "int ends() const { return head + tail; }", "int ends() const { return head; }",
            "cross_entropy:*_classes1001", "elements behind the last vector count"),
    mistake("target-is-taken-from-the-body", "src/ops/cross_entropy/backward/kernel.cuh", "row.target.index - ragged.head - begin",
            "row.target.index - begin", "cross_entropy_backward:*_classes1001", "a row's first vector is not its first element"),
    mistake("nothing-yet-is-relative-to-0", "src/device/online_softmax.cuh", "Reference before(other, wanted);",
            "Reference before(other == -INFINITY ? 0.0f : other, wanted);",
            "softmax:*MaskedElements*", "a thread that has seen nothing adds nothing"),
    mistake("groups-of-a-block-do-not-add-up", "src/ops/norm/backward/kernel.cuh", "rTotal(i) += rSums(i)", "rTotal(i) = rSums(i)",
            "norm_backward:*many_rows*", "all rows of a block are in its partial sum"),
    mistake("partial-sums-begin-anew", "src/ops/norm/backward/kernel.cuh", "if (added) {", "if (false) {",
            "norm_backward:*SumsOfManyRows*", "a batch of rows is added to those before it"),
    mistake("causal-rows-see-one-more", "src/ops/softmax/kernel.cuh", "in_matrix + p.diagonal + 1 - part.begin", "in_matrix + p.diagonal + 2 - part.begin",
            "softmax:*_causal200", "a row sees no more than its diagonal"),
    # Reductions.
    mistake("boxes-are-not-emptied", "src/device/mailbox.cuh", "word(box(first + n * step), i) = 0;", "", "reduce:*WorkspaceIsReadyAgain*",
            "the workspace is ready for the next launch"),
    mistake("lanes-leave-the-wrong-rows", "src/ops/reduce/kernel.cuh", "first += upper ? half : 0;", "first += upper ? 0 : half;",
            "reduce:*sum_f32_many_rows*", "a lane has the rows that its partner leaves to it"),
    mistake("tail-of-a-row-is-forgotten", "src/ops/reduce/kernel.cuh", "if (split == splits - 1) absorb_ends(", "if (false) absorb_ends(",
            "reduce:*sum_f32_all8191*:*sum_f32_all16389*", "a ragged row has elements behind its last vector"),
    mistake("last-of-equals-wins", "src/ops/reduce/monoid.cuh", "y.key == x.key && y.place < x.place", "y.key == x.key && y.place > x.place",
            "reduce:*argmax_bf16*", "the first of equals is meant"),
    # Host code that launches.
    mistake("gather-swaps-b", "src/ops/gemm/product.cpp", "params_.b = {nullptr, p.b.column_stride, p.b.row_stride,",
            "params_.b = {nullptr, p.b.row_stride, p.b.column_stride,", GATHER, "the kernel's B is (n, k)"),
    mistake("transposed-keeps-pointers", "src/ops/gemm/gemm.cpp", "        std::swap(x.a, x.b);\n", "",
            gemm("d_column_major", "d_column_major_beta"), "D' = B' A' has the factors exchanged"),
    mistake("alignment-is-not-checked", "src/ops/gemm/epilogue.cpp",
            "int needed = std::max<int>(x.alignment, int(size_of(x.dtype)));", "int needed = int(size_of(x.dtype));",
            "bad_input:*PointersOfAGemmRun", "a pointer less aligned than promised is refused"),
    mistake("row-vectors-round-down", "src/ops/elementwise/launcher.cpp", "Divider::of(ceil_div(params.row, config.vector))",
            "Divider::of(params.row / config.vector)", "add:*f32_size*", "a partial vector ends each row"),
    mistake("last-block-is-missing", "src/ops/elementwise/launcher.cpp",
            "return ceil_div(params.vectors, config.block_vectors());",
            "return ceil_div(params.vectors - 1, config.block_vectors());", "add:*f32_size*",
            "the last, partial block is launched"),
    mistake("elements-are-left-over", "src/ops/elementwise/launcher.cpp",
            "return whole + ceil_div(params.row % block_elements, ElementwiseConfig::threads);",
            "return whole + params.row % block_elements / ElementwiseConfig::threads;", "add:*f32_size*",
            "the elements after the whole blocks of a dense run have threads"),
    mistake("rows-are-whole-too-soon", "src/ops/elementwise/launcher.cpp", "int(params.vectors / config.block_vectors())",
            "int(ceil_div(params.vectors, config.block_vectors()))", "add:*padded_rows_broadcast*",
            "the last, partial block of whole rows stays inside"),

    # Elementwise kernels.
    mistake("add-writes-one-more", "src/device/elementwise_engine.cuh", "if (v < left) gD(v) = rD(v);",
            "if (v <= left) gD(v) = rD(v);", "add:*size*:*broadcast*", "nothing outside of D is written"),
    mistake("add-loses-the-carry", "src/device/coordinates.cuh", "    number = rest;\n", "", "add:*rank*:*permuted*",
            "a linear number is taken apart into coordinates"),

    mistake("tile-loses-its-last-rows", "src/device/elementwise_tiles.cuh", "if (n + v < tile.n) Engine::load(", "if (n + v + 1 < tile.n) Engine::load(",
            "elementwise:*Turned*", "a tile at the edge is loaded to its last row"),
    mistake("tile-is-whole-too-soon", "src/device/elementwise_tiles.cuh", " && tile.n == blk_n", "",
            "elementwise:*Turned*", "a tile at the edge stores no column beyond it"),
    mistake("tiles-are-not-waited-for", "src/device/elementwise_tiles.cuh", "    block_sync();\n", "", "elementwise:*Turned*",
            "a block reads its tile when all threads have brought their part"),

    # Padded copies.
    mistake("pad-loses-the-last-column", "src/ops/pad/kernel.cuh", "int(cute::min(x.columns - column, int64_t(BLK_N)))",
            "int(cute::min(x.columns - column - 1, int64_t(BLK_N)))", PAD, "the whole row is copied"),
    mistake("pad-copies-one-operand", "src/ops/pad/pad.cpp", "    tiles += ceil_div(s.rows, config.tile_rows) * column_tiles;\n",
            "    if (i == 0) tiles += ceil_div(s.rows, config.tile_rows) * column_tiles;\n", PAD, "both operands may need a copy"),
    mistake("rows-do-not-wait", "src/ops/softmax/kernel.cuh", "    if constexpr (Config.is_ahead()) wait_for_preceding_grids();\n", "", "capture:*RowsInRegisters*",
            "a row is read when the kernel before has written it"),
    mistake("pad-does-not-wait", "src/ops/pad/kernel.cuh", "    wait_for_preceding_grids();\n", "", "capture:*PlansAreReplayed*",
            "a copy waits for what writes its original, and for who reads the last one"),
    mistake("padded-copies-overlap", "src/ops/gemm/product.cpp", "    workspace_bytes_ = *offset + padded_bytes(source, element_bytes);\n",
            "    workspace_bytes_ = *offset + padded_bytes(source, element_bytes) / 2;\n", PAD, "each copy has its own place, inside of the workspace"),
    mistake("padding-over-the-flags", "src/ops/gemm/product.cpp", "  if (cuts_tiles_ || padding_.any()) workspace_bytes_ = flags_bytes + slots;",
            "  if (cuts_tiles_) workspace_bytes_ = flags_bytes + slots;", "gemm_behaviour:*ShareAWorkspace", "plans may share a workspace"),

    # The main loop: bounds and order.
    mistake("dropped-full-wait", "src/device/mainloop.cuh", "        order.begin_k_tile(left);\n        pipeline.wait_full(at);\n",
            "        order.begin_k_tile(left);\n", LOOP,
            "a stage is read when it is full"),
    mistake("dropped-empty-wait", "src/device/mainloop.cuh", "      pipeline.wait_empty(at);\n      if (elect_one_sync()) {",
            "      if (elect_one_sync()) {", LOOP, "a stage is filled when it is empty"),
    mistake("released-too-early", "src/device/mainloop.cuh", "        warpgroup_wait<1>();\n", "", LOOP,
            "a stage is released when its products are done"),
    mistake("expects-fewer-bytes", "src/device/mainloop.cuh", "arrive_and_expect(at, a.bytes() + b.bytes());",
            "arrive_and_expect(at, a.bytes());", LOOP, "a stage is full when all bytes are there"),
    mistake("expects-more-bytes", "src/device/mainloop.cuh", "arrive_and_expect(at, a.bytes() + b.bytes());",
            "arrive_and_expect(at, a.bytes() + b.bytes() + 128);", LOOP, "a stage that never fills is a deadlock, which must end"),
    mistake("rest-of-a-stage-is-undefined", "src/device/mainloop.cuh", "sX(v, c) = uint128_t{};", "break;", LOOP,
            "rows that no box brings are cleared before they are multiplied"),
    mistake("trims-what-was-never-written", "src/device/mainloop.cuh", "bool trimmed = is_first || at.count() >= PIPE;",
            "bool trimmed = true;", LOOP, "a later tile's boxes are whole until each stage has been written once"),
    mistake("keeps-old-accumulators", "src/device/mainloop.cuh", "    mma.accumulate_ = GMMA::ScaleOut::Zero;\n", "",
            LOOP, "each tile starts from zero"),
    mistake("multicasts-one-share", "src/device/mainloop.cuh", "tile.batch, rank_m, &sB",
            "tile.batch, 0, &sB", LOOP, "each CTA of a cluster loads its own share of B"),
    mistake("gather-reads-one-more", "src/device/mainloop.cuh", "int(cute::min(source.k - k0, int64_t(BLK_K)))",
            "int(cute::min(source.k - k0 + 1, int64_t(BLK_K)))", GATHER, "what lies outside of a matrix counts as zero"),
    mistake("gather-drops-fence", "src/device/mainloop.cuh",
            "      cutlass::arch::fence_view_async_shared();  // the tensor cores read through the async proxy\n", "", GATHER,
            "ordinary stores become visible to the tensor cores by a fence"),
    mistake("cut-tile-loses-a-part", "src/ops/gemm/kernel.cuh", "for (int other = work.cluster - 1;", "for (int other = work.cluster - 2;",
         "gemm", "the parts of a cut tile are all added"),
    mistake("inbox-read-early", "src/device/cluster_sum.cuh", "    barriers.full.wait(number & 1);\n", "", SUMS,
            "an inbox is read when all bytes have come"),
    mistake("inbox-filled-early", "src/device/cluster_sum.cuh", "    if (number > 0) barriers.empty.wait((number - 1) & 1);\n", "", SUMS,
            "an inbox is filled when its owner has read the tile before"),
    mistake("inbox-announced-early", "src/device/cluster_sum.cuh", "    cutlass::arch::NamedBarrier::sync(THREADS, named_barrier);", "", SUMS,
            "an inbox is empty when all threads have read it"),
    mistake("share-of-k-is-empty", "src/device/work_split.hpp", "Segment{whole.tile, beyond_, beyond_ + 1};",
            "Segment{whole.tile, 0, 1};", SUMS, "a CTA without K tiles adds zeros"),
    mistake("ping-pong-out-of-step", "src/ops/gemm/kernel.cuh", "          at.advance(segment.k_end - segment.k_begin);\n", "", LOOP + ":*GemmCases.*/k_one_tile",
            "each consumer passes over the other's stages"),
    mistake("both-consumers-store-one-half", "src/ops/gemm/kernel.cuh", " + part_m * Config.warpgroup_m(),", ",", LOOP,
            "a consumer's rows begin where its part does"),

    # The epilogue.
    mistake("store-without-fence", "src/device/epilogue.cuh", "        cutlass::arch::fence_view_async_shared();\n", "", LOOP,
            "staged results become visible to the bulk store by a fence"),
    mistake("staging-reused-early", "src/device/epilogue.cuh",
            "      if (elect_one_sync()) tma_store_wait<BUFFERS - 1>();  // the bulk store that last read this buffer has done so\n",
            "", LOOP, "a staging buffer is reused when it has been read"),
    mistake("row-bound-off-by-one", "src/device/epilogue.cuh", "elem_less(tDcD(r, c), make_coord(rows, columns))", "elem_less(tDcD(r, c), make_coord(rows + 1, columns))",
            gemm("d_odd_leading", "in_place_odd"), "nothing below D is written"),
    mistake("column-bound-off-by-one", "src/device/epilogue.cuh", "elem_less(tDcD(r, c), make_coord(rows, columns))", "elem_less(tDcD(r, c), make_coord(rows, columns - 1))",
            gemm("d_odd_leading", "in_place_odd"), "D's last column is written"),
    mistake("swap-without-barrier", "src/device/transposed_epilogue.cuh", "      meet(barrier);\n      if (!has_box) continue;\n",
            "      if (!has_box) continue;\n", SWAP, "a box is stored when all warps have staged their part of it"),
    mistake("swap-reuses-early", "src/device/transposed_epilogue.cuh", "      if constexpr (BUFFERS == 2)\n        Base::drain();",
            "      if constexpr (BUFFERS == 1)\n        Base::drain();", SWAP, "a staging buffer is reused when it has been read"),
    mistake("swap-keeps-pointers", "src/ops/gemm/product.cpp", "  if (swapped_) std::swap(a, b);\n", "", SWAP,
            "D' = B' A' has the factors exchanged"),
    mistake("c-with-d-strides", "src/ops/gemm/kernel.cuh", "p.epilogue.c.row,\n             p.epilogue.c.column}", "p.d.row, p.d.column}",
            gemm("c_other_order", "c_bias", "c_odd_leading"), "C has strides of its own"),
    mistake("bias-off-by-one", "src/ops/gemm/fused/epilogue.cuh", "e_.column_bias).template load<V>(at.column,",
            "e_.column_bias).template load<V>(at.column + 1,", "gemm_epilogue:*EachPiece*", "column j's bias is element j"),
    mistake("fused-row-bound", "src/device/fused_store.cuh", "count > 0 ? inside(to.m - row, ROWS) : 0", "count > 0 ? ROWS : 0",
            "gemm_epilogue:*AllPieces*", "nothing below D is written"),
    mistake("residual-not-halved", "src/ops/gemm/fused/epilogue.cuh", "at.row, rows, at.column / 2,", "at.row, rows, at.column,",
            "gemm_epilogue:*EveryConfig*", "a gated D has half of the columns"),
    mistake("fused-staging-reused-early", "src/device/fused_store.cuh", "        functor.next(cursor);\n      }\n      warp_sync();\n",
            "        functor.next(cursor);\n      }\n", "gemm_epilogue:*EveryConfig*", "a piece is staged when all lanes have read the last one"),
    mistake("fragments-repeat-the-bias", "src/device/fragment_store.cuh", "number + 1 < chunks ? number + 1 : 0", "number",
            "gemm_epilogue:*EveryConfig*", "the bias that is loaded ahead is the next chunk's"),
    mistake("staged-matrix-loses-its-end", "src/device/fragment_store.cuh", "across(i, lane) * VEC < to.columns;", "across(i, lane) * VEC + VEC < to.columns;",
            "gemm_epilogue:*EachPiece*", "C and the residual are read to their last column"),
    mistake("aux-below-its-end", "src/ops/gemm/fused/epilogue.cuh", "if (at.row_inside(i) && at.column_inside(i))", "if (at.column_inside(i))",
            "gemm_epilogue:*EachPiece*", "nothing below the auxiliary output is written"),
    mistake("transposed-keeps-bias", "src/ops/gemm/problem.cpp", "  std::swap(e.row_bias, e.column_bias);\n", "",
            "gemm_epilogue:*EachPiece*", "the rows of a column-major D are the kernel's columns"),
]
