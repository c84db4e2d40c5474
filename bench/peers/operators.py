"""What each operator of the bench is in PyTorch. Each function below takes a Problem and gives a Work."""
import dataclasses
import math
from typing import Callable

import torch
import torch.nn.functional as F

import ckl

try:  # Triton kernels for training, as a user would take them from PyPI: `pip install liger-kernel`
    import liger_kernel.ops as liger
    from liger_kernel.ops.utils import calculate_settings
except ImportError:
    liger = None

aten = torch.ops.aten
TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2,
         "i32": torch.int32, "i64": torch.int64}


@dataclasses.dataclass
class Work:
    """`make()` draws one set of operands, which all functions take; each gives the results, one tensor or several."""
    make: Callable
    ckl: Callable              # takes `out` as well: what it gave for the same set before, or None
    expression: Callable       # in PyTorch: run eagerly, compiled, and (on operands in f64) as the reference
    eager: "Callable | None" = None  # where PyTorch has an operator of its own that the expression does not name
    liger: "Callable | None" = None
    magnitude: "Callable | None" = None  # of operands in f64: what an error is held against, where results may cancel
    moved: "Callable | None" = None  # bytes that must move, of a set of operands and its results; all of them, unless it says otherwise


def normal(sizes, dtype):
    return torch.randn(sizes, device="cuda").to(TORCH[dtype])


def same(x):
    return torch.empty_like(x)


# ---- elementwise ------------------------------------------------------------------------------------------------------------

def swiglu(x0, x1):
    return F.silu(x0) * x1


FUNCTIONS = {  # inputs, in PyTorch
    "add": (2, torch.add), "sub": (2, torch.sub), "mul": (2, torch.mul), "div": (2, torch.div), "exp": (1, torch.exp), "tanh": (1, torch.tanh),
    "relu": (1, F.relu), "gelu": (1, F.gelu), "silu": (1, F.silu), "swiglu": (2, swiglu),
    "fma": (3, lambda x0, x1, x2: torch.addcmul(x2, x0, x1)),
}


def elementwise(p):
    if p.layout != "contiguous":
        raise NotImplementedError(f"layout {p.layout}")
    count, function = FUNCTIONS[p.op]

    def triton(x0, x1):  # a row of it is a block
        return liger.LigerSiLUMulFunction.apply(x0.view(-1, 4096), x1.view(-1, 4096)).view(p.sizes)

    return Work(make=lambda: tuple(normal(p.sizes, p.dtype) for _ in range(count)),
                ckl=lambda *x, out=None: ckl.elementwise(p.op, *x, out=out, dtype=p.dtype_out),
                expression=lambda *x: function(*x),  # a function of Python's, which Dynamo wants
                liger=triton if liger and p.op == "swiglu" else None)


def convert(p):
    """cast and scale, and both while the matrix is transposed."""
    factor, dtype = (1.0 if p.op == "cast" else 0.5), TORCH[p.dtype_out]
    transposed = p.layout == "transposed"
    lie = lambda x: x.transpose(-1, -2) if transposed else x
    scaled = lambda x: x if p.op == "cast" else x * factor
    rounded = lambda x: scaled(lie(x)).to(x.dtype if x.dtype == torch.float64 else dtype).contiguous()
    sizes = p.sizes[:-2] + (p.sizes[-1], p.sizes[-2]) if transposed else p.sizes
    return Work(make=lambda: (normal(sizes, p.dtype),),
                ckl=lambda x, out=None: (ckl.cast(lie(x), out, dtype=p.dtype_out) if p.op == "cast" else
                                         ckl.scale(lie(x), factor, out, dtype=p.dtype_out)),
                expression=rounded)


# ---- rows -------------------------------------------------------------------------------------------------------------------

def softmax(p):
    axis, log = int(p.axis), p.layout == "log"
    if p.layout not in ("plain", "log"):
        raise NotImplementedError(f"layout {p.layout}")
    return Work(make=lambda: (normal(p.sizes, p.dtype),),
                ckl=lambda x, out=None: ckl.softmax(x, axis, out, log=log),
                expression=lambda x: torch.log_softmax(x, axis) if log else torch.softmax(x, axis),
                liger=(lambda x: liger.LigerSoftmaxFunction.apply(x)) if liger and not log else None)


def softmax_backward(p):
    axis = int(p.axis)

    def make():
        return torch.softmax(normal(p.sizes, p.dtype), axis), normal(p.sizes, p.dtype)

    return Work(make=make,
                ckl=lambda y, dy, out=None: ckl.softmax_backward(y, dy, axis, out),
                expression=lambda y, dy: aten._softmax_backward_data(dy, y, axis, y.dtype))


def norm(p):
    n, layer, residual = p.sizes[-1], p.layout == "layer", p.layout == "rms_add"

    def make():
        operands = [normal(p.sizes, p.dtype), normal([n], p.dtype)]
        if layer:
            operands.append(normal([n], p.dtype))
        return tuple(operands + ([normal(p.sizes, p.dtype)] if residual else []))

    def ours(x, weight, extra=None, out=None):
        if residual:
            y, total = out if out else (same(x), same(x))
            return ckl.norm("rmsnorm", x, weight, None, y, residual=extra, sum=total), total
        return ckl.norm("layernorm" if layer else "rmsnorm", x, weight, extra, out)

    def expression(x, weight, extra=None):
        if layer:
            return F.layer_norm(x, [n], weight, extra, 1e-5)
        if residual:
            total = x + extra
            return F.rms_norm(total, [n], weight, 1e-5), total
        return F.rms_norm(x, [n], weight, 1e-5)

    def triton(x, weight, extra=None):
        if layer:
            return liger.LigerLayerNormFunction.apply(x, weight, extra, 1e-5)
        if residual:
            return liger.LigerFusedAddRMSNormFunction.apply(x, extra, weight, 1e-5, 0.0, "gemma", False)
        return liger.LigerRMSNormFunction.apply(x, weight, 1e-5, 0.0, "gemma", False)

    return Work(make=make, ckl=ours, expression=expression, liger=triton if liger else None)


def norm_backward(p):
    n, layer = p.sizes[-1], p.layout == "layer"

    def make():
        x, dy, weight = normal(p.sizes, p.dtype), normal(p.sizes, p.dtype), normal([n], p.dtype)
        wide = x.float()
        mean = wide.mean(-1) if layer else torch.zeros(p.sizes[:-1], device="cuda")
        rstd = ((wide - mean[..., None]).square().mean(-1) + 1e-5).rsqrt()
        return x, dy, weight, mean, rstd

    def ours(x, dy, weight, mean, rstd, out=None):
        dx, dweight, dbias = out if out else (same(x), same(weight), same(weight) if layer else None)
        ckl.norm_backward("layernorm" if layer else "rmsnorm", x, dy, rstd, weight, dx, mean=mean if layer else None, dweight=dweight,
                          dbias=dbias)
        return dx, dweight, dbias

    def expression(x, dy, weight, mean, rstd):
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        hat = (x.to(wide) - mean[..., None]) * rstd[..., None] if layer else x.to(wide) * rstd[..., None]
        d = dy.to(wide)
        g = d * weight.to(wide)
        dx = g - hat * (g * hat).mean(-1, keepdim=True) - (g.mean(-1, keepdim=True) if layer else 0)
        return ((dx * rstd[..., None]).to(x.dtype), (d * hat).sum(0).to(x.dtype), d.sum(0).to(x.dtype) if layer else None)

    def eager(x, dy, weight, mean, rstd):
        if layer:
            return aten.native_layer_norm_backward(dy, x, [n], mean[..., None], rstd[..., None], weight, weight, [True, True, True])
        return *aten._fused_rms_norm_backward(dy, x, [n], rstd[..., None], weight, [True, True]), None

    def triton(x, dy, weight, mean, rstd):
        if layer:
            return liger.layer_norm_backward(dy, x, weight, weight, mean, rstd)
        block, warps = calculate_settings(n)
        return *liger.rms_norm_backward(dy, x, weight, rstd, 0.0, 1, block, warps, False, None), None  # 1: gemma, all of it in f32

    return Work(make=make, ckl=ours, expression=expression, eager=eager, liger=triton if liger else None)


# ---- cross-entropy ------------------------------------------------------------------------------------------------------------

def cross_entropy(p):
    smoothing = 0.1 if p.layout == "smoothed" else 0.0

    def make():
        return normal(p.sizes, p.dtype), torch.randint(0, p.sizes[-1], p.sizes[:-1], device="cuda")

    def expression(logits, targets):
        return F.cross_entropy(logits if logits.dtype == torch.float64 else logits.float(), targets, reduction="none",
                               label_smoothing=smoothing)

    return Work(make=make,
                ckl=lambda logits, targets, out=None: ckl.cross_entropy(logits, targets, out, label_smoothing=smoothing),
                expression=expression,
                eager=lambda logits, targets: F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing))


def cross_entropy_backward(p):
    def make():
        logits = normal(p.sizes, p.dtype)
        return (logits, torch.randint(0, p.sizes[-1], p.sizes[:-1], device="cuda"), torch.logsumexp(logits.float(), -1),
                torch.randn(p.sizes[:-1], device="cuda"), torch.log_softmax(logits, -1))  # the last is what eager PyTorch keeps instead of lse

    def expression(logits, targets, lse, dloss, _):
        wide = logits.to(lse.dtype)
        hit = torch.arange(p.sizes[-1], device="cuda") == targets[..., None]
        return (dloss[..., None] * (torch.exp(wide - lse[..., None]) - hit.to(wide.dtype))).to(logits.dtype)

    def eager(logits, targets, _, dloss, kept):
        zero = torch.zeros((), device="cuda", dtype=kept.dtype)
        direct = aten.nll_loss_backward(dloss.to(kept.dtype), kept, targets, None, 0, -100, zero)
        return aten._log_softmax_backward_data(direct, kept, -1, kept.dtype)

    return Work(make=make,
                ckl=lambda logits, targets, lse, dloss, _, out=None: ckl.cross_entropy_backward(logits, targets, lse, dloss, out),
                expression=expression, eager=eager,
                moved=lambda operands, results: sum(map(size_of, operands[:-1])) + size_of(results))


# ---- reductions ---------------------------------------------------------------------------------------------------------------

def variance(x, dims):
    return torch.var(x, dims, correction=0)


REDUCTIONS = {
    "sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin, "variance": variance,
    "log_sum_exp": lambda x, dims: torch.logsumexp(x, dims), "l2": lambda x, dims: torch.linalg.vector_norm(x, 2, dims),
}


def reduce(p):
    dims = tuple(range(len(p.sizes))) if p.axis == "all" else tuple(int(axis) for axis in p.axis.split("+"))
    return Work(make=lambda: (normal(p.sizes, p.dtype),),
                ckl=lambda x, out=None: ckl.reduce(p.layout, x, dims, out),
                expression=lambda x: REDUCTIONS[p.layout](x, dims),
                magnitude=(lambda x: torch.linalg.vector_norm(x, 2, dims)) if p.layout == "sum" else None)


# -------------------------------------------------------------------------------------------------------------------------------

OPERATORS = {**{op: elementwise for op in FUNCTIONS}, "cast": convert, "scale": convert, "softmax": softmax,
             "softmax_backward": softmax_backward, "norm": norm, "norm_backward": norm_backward, "cross_entropy": cross_entropy,
             "cross_entropy_backward": cross_entropy_backward, "reduce": reduce}


def tensors(results):
    return [x for x in (results if isinstance(results, tuple) else (results,)) if x is not None]


def size_of(x):
    return x.numel() * x.element_size()


def work_of(p):
    """@throws NotImplementedError for what is not compared."""
    if p.op not in OPERATORS:
        raise NotImplementedError(f"op {p.op}")
    return OPERATORS[p.op](p)


# By how much of a result, or of the root mean square of all of them, it may be off: a few of its units in the last place.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2, torch.float8_e4m3fn: 0.13, torch.float8_e5m2: 0.26}


def error(results, exact, magnitude=None):
    """The largest error in units of what it may be; NaN counts as infinite."""
    worst = 0.0
    for x, wanted in zip(tensors(results), tensors(exact), strict=True):
        if x.shape != wanted.shape:
            return math.inf
        scale = torch.maximum(wanted.abs(), wanted.square().mean().sqrt() if magnitude is None else magnitude)
        units = ((x.double() - wanted).abs() / scale.clamp(min=1e-30)).max().item() / TOLERANCE[x.dtype]
        worst = max(worst, units if units == units else math.inf)
    return worst
