"""GPU operators in pure CuTe for NVIDIA Hopper, for tensors of any framework that speaks DLPack.

    out = ckl.gemm(a, b, column_bias=bias, activation="gelu")     # a, b, bias, out: torch.Tensor, say

Tensors go in without a copy, work is launched on the framework's current stream and not waited for, and what the library refuses
is raised as `ckl.Error`. Nothing is recorded for automatic differentiation. See docs/python.md.
"""
from ckl import _ckl
from ckl._ckl import *  # noqa: F403: every function, and Error
from ckl._types import Stream, Tensor

__version__ = _ckl.__version__
__all__ = [name for name in dir(_ckl) if not name.startswith("_")] + ["Stream", "Tensor"]
