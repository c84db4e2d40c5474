"""The types that the functions' signatures name."""
from typing import Any, Protocol, Union


class Tensor(Protocol):
    """What DLPack asks of a tensor: a torch.Tensor, a cupy.ndarray, a jax.Array, ..."""

    def __dlpack__(self, *, stream: Any = None) -> Any: ...

    def __dlpack_device__(self) -> "tuple[int, int]": ...


class HasCudaStream(Protocol):
    """A stream of cuda.core, of PyTorch, ... CuPy's, which has `ptr`, will do as well."""

    def __cuda_stream__(self) -> "tuple[int, int]": ...


Stream = Union[None, int, HasCudaStream, Any]
"""None: the current stream of the tensors' framework. Else a handle, or a stream that has one."""
