"""What every shipped instance must look like in machine code. The tests in test_instances.py hold the build to it."""

# How many entries of each operator are shipped. Change it together with src/ops/<op>/instances.txt.
SHIPPED = {
    "cross_entropy": 30,
    "cross_entropy_backward": 24,
    "elementwise": 44,
    "gemm": 150,
    "gemm_fused": 36,
    "pad": 2,
    "norm": 87,
    "norm_backward": 51,
    "norm_quantized": 45,
    "norm_sums": 1,
    "reduce": 192,
    "softmax": 67,
    "softmax_backward": 60,
}

LIBRARY_MIB = 16             # libckl.so

# Compile time, in CPU seconds of a quiet core on which the modules of examples/gemm_ladder, which change rarely, take YARDSTICK_CPU_SECONDS.
# A slower machine takes longer over those too. What is left is how busy a machine was while it compiled one module or another: the same
# one took 39 s on a quiet machine, 65 s on a machine that compiled a module on every hardware thread.
YARDSTICK_CPU_SECONDS = 29
MODULE_CPU_SECONDS = 60      # for compiling one module
ALL_CPU_SECONDS = 30 * 60    # for compiling all of them; two cores halve it
BUSY = 1.5                   # times as long on a busy machine

# The hardware's features, each by an instruction that only it compiles to.
FEATURES = {
    "wgmma": r"HGMMA\.",
    "TMA load": r"UTMALDG\.",
    "TMA multicast": r"UTMALDG\.\S*MULTICAST",
    "TMA store": r"UTMASTG\.",
    "matrix store to shared memory": r"STSM\.",
    "transposing matrix store to shared memory": r"STSM\.\S*MT88",
    "register reallocation": r"USETMAXREG\.TRY_ALLOC",
    "cluster barrier": r"UCGABAR_WAIT",
    "distributed shared memory": r"SYNCS\.ARRIVE\.\S*\.RED\.A1T0",  # arriving at a barrier of another CTA in the cluster
    "store to another block": r"(?<![A-Z.])ST\.E(?:\.64)? ",  # generic: to the shared memory of a block of the cluster
    "asynchronous store to another block": r"STAS",  # which signals a barrier there
    "programmatic launch": r"ACQBULK",  # waiting for the grids before this one
    "bulk copy to shared memory": r"UBLKCP",
    "conversion to e4m3": r"F2FP\.SATFINITE\.E4M3",
    "conversion to e5m2": r"F2FP\.SATFINITE\.E5M2",
    "16-byte loads": r"LDG\.E\.\S*128",
    "16-byte stores": r"STG\.E\.\S*128",
}

# Of global memory, which nothing touches before the grids that wrote it have ended (a prefetch into L2 may).
GLOBAL_ACCESS = r"\b(LDG|STG|LD\.E|ST\.E|ATOMG|REDG|LDGSTS|UBLKCP|UTMALDG|UTMASTG)\b"

TRAP = r"BPT\.TRAP"  # no entry may have one: the compiler has found undefined behaviour, or an assertion is left

# Every entry is held to all rules whose pattern its symbol matches, and must match at least one; every rule must match an entry.
#   pattern, features it shows, features it must not show, most registers a thread, most waits for wgmma
# More than 3 waits (peeled first k-tile, loop, after the loop) mean that ptxas has put in some of its own.
CLUSTER = r"_(2x1|1x2|2x2|4x1|1x4|4x2)_"
ALONG_K = r"_1x1x[248]_"  # a cluster whose CTAs share K: no multicast, and each stores what it has summed up
RULES = [
    (r"^ckl_gemm_", ["programmatic launch"], [], 168, 3),
    (rf"^ckl_gemm_(?!fused)(?!.*{ALONG_K}).*_(coopm|coopn|ping)$",
     ["wgmma", "TMA load", "TMA store", "matrix store to shared memory", "register reallocation"], [], 168, 3),
    (r"^ckl_gemm_.*_swap$",
     ["wgmma", "TMA load", "TMA store", "transposing matrix store to shared memory", "register reallocation"], [], 168, 3),
    (r"^ckl_gemm_.*_(coopm|coopn|ping)$", [], ["transposing matrix store to shared memory"], 168, 3),
    (rf"^ckl_gemm_.*{CLUSTER}",
     ["TMA multicast", "cluster barrier", "distributed shared memory"], [], 168, 3),
    (rf"^ckl_gemm_.*{ALONG_K}",
     ["wgmma", "TMA load", "register reallocation", "cluster barrier", "distributed shared memory", "asynchronous store to another block"],
     ["TMA multicast", "TMA store"], 168, 3),
    (r"^ckl_gemm_.*_192x\d+x64_.*_coopm(_swap)?$", [], [], 128, 3),  # 512 threads: three consumers
    (r"^ckl_gemm_.*_1x1_",
     [], ["TMA multicast", "cluster barrier", "distributed shared memory"], 168, 3),
    (r"^ckl_gemm_fused_", ["wgmma", "register reallocation", "TMA store", "matrix store to shared memory"], [], 168, 3),
    (r"^ckl_gemm_fused_.*_(coopm|ping)$", ["TMA load"], [], 168, 3),
    (r"^ckl_elementwise_.*_(flat|flat_few|rows|tiles)$", ["16-byte loads", "16-byte stores", "programmatic launch"], ["wgmma"], 96, 0),
    (r"^ckl_elementwise_n1_.*_v[248]_flat$", [], [], 51, 0),  # 5 blocks an SM
    (r"^ckl_elementwise_n1_.*_v[248]_rows$", [], [], 64, 0),  # 4 blocks an SM
    (r"^ckl_elementwise_.*_tiles$", [], [], 80, 0),  # 3 blocks an SM
    (r"^ckl_elementwise_n2_.*_v[248]_", [], [], 64, 0),  # 4 blocks an SM
    (r"^ckl_elementwise_.*_few$", [], [], 32, 0),  # 2 blocks of 1024 threads an SM
    (r"^ckl_elementwise_.*_strided$", ["programmatic launch"], ["wgmma"], 96, 0),
    (r"^ckl_pad_", ["programmatic launch"], ["wgmma"], 64, 0),
    (r"^ckl_norm_(?!backward|quantized).*_(vec|plain)$", ["16-byte loads", "16-byte stores"], ["wgmma"], 80, 0),
    (r"^ckl_norm_(?!backward).*_ragged$", ["16-byte loads", "16-byte stores"], ["wgmma"], 64, 0),  # 1024 threads an SM
    (r"^ckl_norm_backward_.*_ragged$", ["16-byte loads", "16-byte stores", "programmatic launch"], ["wgmma"], 168, 0),  # 384 threads an SM
    (r"^ckl_norm_quantized_.*_vec$", ["16-byte loads", "conversion to e4m3", "conversion to e5m2"], ["wgmma"], 80, 0),
    (r"^ckl_(norm|norm_quantized|softmax|softmax_backward)_(f32|f16|bf16)_[td]\d+_", ["programmatic launch"], ["wgmma"], 128, 0),
    (r"^ckl_(norm|norm_quantized|softmax)_.*_s(128|256)_(vec|plain)$", [], [], 80, 0),  # 768 threads an SM
    (r"^ckl_(norm|softmax)_.*_s512_vec$", [], [], 64, 0),  # 1024 threads an SM
    (r"^ckl_norm_quantized_.*_[pt]\d+_vec$", [], [], 64, 0),  # 1024 threads an SM
    (r"^ckl_norm_backward_.*_vec$", ["16-byte loads", "16-byte stores"], ["wgmma"], 128, 0),
    (r"^ckl_norm_backward_.*_dense$", ["bulk copy to shared memory"], ["wgmma"], 128, 0),
    (r"^ckl_norm_.*_any$", [], ["wgmma"], 128, 0),
    (r"^ckl_norm_sums_", ["programmatic launch"], ["wgmma"], 64, 0),
    (r"^ckl_(norm|softmax)_.*_(s128|s256|s512|stream)_", ["cluster barrier", "asynchronous store to another block"], [], 128, 0),
    (r"^ckl_(norm|softmax|cross_entropy)_.*_[psg]\d+_(vec|plain)$", ["bulk copy to shared memory"], ["wgmma"], 128, 0),
    (r"^ckl_cross_entropy_(?!backward).*_t\d+_ragged$", ["16-byte loads", "programmatic launch"], ["wgmma", "16-byte stores"], 64, 0),  # 1024 threads an SM
    (r"^ckl_cross_entropy_(?!backward).*_d\d+_ragged$", ["16-byte loads", "programmatic launch"], ["wgmma", "16-byte stores"], 80, 0),  # 768 threads an SM
    (r"^ckl_cross_entropy_(?!backward).*_p\d+_vec$", [], ["wgmma", "16-byte stores"], 64, 0),
    (r"^ckl_cross_entropy_backward_.*_vec$", ["16-byte loads", "16-byte stores", "programmatic launch"], ["wgmma"], 64, 0),
    (r"^ckl_cross_entropy_.*_any$", [], ["wgmma"], 128, 0),
    (r"^ckl_reduce_.*_vec$", ["16-byte loads", "programmatic launch"], ["wgmma"], 128, 0),
    (r"^ckl_reduce_.*_(warp|columns)_any$", ["programmatic launch"], ["wgmma"], 128, 0),
    (r"^ckl_reduce_.*_block_", ["cluster barrier", "store to another block"], [], 128, 0),
    (r"^ckl_softmax_.*([td]\d+|stream)_vec$", ["16-byte loads", "16-byte stores"], ["wgmma"], 80, 0),
    (r"^ckl_softmax_.*_ragged$", ["16-byte loads", "16-byte stores"], ["wgmma"], 80, 0),  # 768 threads an SM
    (r"^ckl_softmax_backward_.*_ragged$", [], [], 64, 0),  # 1024 threads an SM
    (r"^ckl_(norm|norm_quantized|softmax|softmax_backward)_(f32|f16|bf16)_t(32|64)_any$", [], [], 64, 0),  # the same
    (r"^ckl_softmax_.*_any$", [], ["wgmma"], 128, 0),
    (r"^ckl_gemm_(?!fused).*_gather$",
     ["wgmma", "TMA store", "matrix store to shared memory", "register reallocation"], ["TMA load"], 168, 3),
]
