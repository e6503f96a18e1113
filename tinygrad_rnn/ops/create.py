"""Making tensors: of zeros, of ones, of numbers in a row, and like others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from .. import arguments, backends
from ..arguments import DTypeLike
from ..backends import Backend
from ..errors import ArgumentError, ShapeError
from ..tape import Node, host_array
from .operands import ArrayLike, Tensor, as_tensor


def zeros_like(x: ArrayLike, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of the shape and dtype of x.

    >>> tg.zeros_like([1.0, 2.0])
    tensor([0., 0.], dtype=float32)
    """
    return _alike("zeros_like", x, 0, dtype)


def ones_like(x: ArrayLike, dtype: DTypeLike | None = None) -> Tensor:
    """Ones of the shape and dtype of x.

    >>> tg.ones_like([3.0, 2.0])
    tensor([1., 1.], dtype=float32)
    """
    return _alike("ones_like", x, 1, dtype)


def _alike(name: str, x: Any, value: int, dtype: Any) -> Tensor:
    x = as_tensor(x)
    dtype = x._data.dtype if dtype is None else arguments.dtype(f"{name}: dtype", dtype)
    return Node.result_type(x._backend.full(x._data.shape, value, dtype), x._backend)


def full_like(x: ArrayLike, fill_value: float, dtype: DTypeLike | None = None) -> Tensor:
    """One number everywhere, in the shape and dtype of x.

    >>> tg.full_like([1.0, 2.0], 0.5)
    tensor([0.5, 0.5], dtype=float32)
    """
    x = as_tensor(x)
    return _full("full_like", x.shape, x._data.dtype if dtype is None else dtype, fill_value, x._backend)


def identity_like(x: Tensor) -> Tensor:
    """The identity matrix for each matrix of a stack."""
    return Node.result_type(x._backend.identity_like(x._data), x._backend)


def zeros(shape: int | Sequence[int], *sizes: int | DTypeLike, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros: ``zeros((2, 3), dtype)`` as in NumPy, or ``zeros(2, 3)`` as in PyTorch.

    >>> tg.zeros((2, 3))
    tensor([[0., 0., 0.],
            [0., 0., 0.]], dtype=float32)
    """
    return _full("zeros", *_shape_and_dtype("zeros", shape, sizes, dtype), 0.0, backends.current())


def ones(shape: int | Sequence[int], *sizes: int | DTypeLike, dtype: DTypeLike | None = None) -> Tensor:
    """Ones: ``ones((2, 3), dtype)`` as in NumPy, or ``ones(2, 3)`` as in PyTorch.

    >>> tg.ones(3)
    tensor([1., 1., 1.], dtype=float32)
    """
    return _full("ones", *_shape_and_dtype("ones", shape, sizes, dtype), 1.0, backends.current())


def _shape_and_dtype(name: str, shape: Any, sizes: tuple[Any, ...], dtype: Any) -> tuple[Any, Any]:
    if sizes and isinstance(sizes[-1], (int, numpy.integer)):
        return (shape, *sizes), dtype
    if len(sizes) > 1 or (sizes and dtype is not None):
        raise ArgumentError(
            f"{name}: takes a shape, a tuple or its sizes one by one, and dtype=; not "
            f"{arguments.shown((shape, *sizes))}"
        )
    return shape, sizes[0] if sizes else dtype


def full(shape: int | Sequence[int], fill_value: float, dtype: DTypeLike | None = None) -> Tensor:
    """One number everywhere.

    >>> tg.full((2, 2), 0.5)
    tensor([[0.5, 0.5],
            [0.5, 0.5]], dtype=float32)
    """
    return _full("full", shape, dtype, fill_value, backends.current())


def _full(name: str, shape: Any, dtype: Any, fill_value: Any, backend: Backend) -> Tensor:
    lengths = arguments.shape(f"{name}: shape", shape)
    if isinstance(dtype, int):
        raise arguments.refused(
            f"{name}: dtype", f"a dtype; a shape of several lengths is one tuple, {name}((2, 3))", dtype
        )
    values = host_array(fill_value, None if dtype is None else arguments.dtype(f"{name}: dtype", dtype))
    try:
        return Node.result_type(backend.from_host(numpy.full(lengths, values, values.dtype)), backend)
    except ValueError as error:
        raise ShapeError(f"{name}: {error}") from error


def identity(n: int, dtype: DTypeLike | None = None) -> Tensor:
    """The identity matrix (n, n).

    >>> tg.identity(2)
    tensor([[1., 0.],
            [0., 1.]], dtype=float32)
    """
    return eye(n, dtype=dtype)


def eye(n: int, m: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros (n, m) with ones on the k-th diagonal above the main one.

    >>> tg.eye(2, 3, k=1)
    tensor([[0., 1., 0.],
            [0., 0., 1.]], dtype=float32)
    """
    rows = arguments.size("eye: n", n)
    columns = rows if m is None else arguments.size("eye: m", m)
    arguments.shape("eye: the shape (n, m)", (rows, columns))
    k = max(-rows, min(arguments.whole("eye: k", k), columns))
    return _on_backend(numpy.eye(rows, columns, k), _dtype("eye", dtype, True))


def arange(*args: float, dtype: DTypeLike | None = None) -> Tensor:
    """As ``numpy.arange``: integers stay whole, floats get the default dtype.

    >>> tg.arange(0.0, 2.0, 0.5)
    tensor([0. , 0.5, 1. , 1.5], dtype=float32)
    """
    if not 1 <= len(args) <= 3:
        raise ArgumentError(
            f"arange: takes stop, or start and stop, or start, stop and step, not {len(args)} numbers"
        )
    for x in args:
        arguments.real("arange: a number of args", x)
    if len(args) == 3 and args[2] == 0:
        raise ArgumentError("arange: the step among args must not be 0")
    try:
        values = numpy.arange(*args)
    except (ValueError, OverflowError) as error:
        raise ArgumentError(f"arange: {error}") from error
    return _on_backend(values, _dtype("arange", dtype, any(isinstance(x, float) for x in args)))


def linspace(
    start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True, dtype: DTypeLike | None = None
) -> Tensor:
    """``num`` numbers from start to stop, at even distances.

    >>> tg.linspace(0.0, 1.0, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    ends = host_array(start), host_array(stop)
    num, endpoint = arguments.size("linspace: num", num), arguments.flag("linspace: endpoint", endpoint)
    try:
        return _on_backend(numpy.linspace(*ends, num, endpoint), _dtype("linspace", dtype, True))
    except ValueError as error:
        raise ShapeError(
            f"linspace: start of shape {ends[0].shape}, stop of shape {ends[1].shape}: {error}"
        ) from error


def _dtype(name: str, dtype: Any, floats: bool) -> Any:
    """A dtype that was asked for; else the default one for floats, and none for integers, which keep
    theirs."""
    if dtype is None:
        return host_array(0.0).dtype if floats else None
    return arguments.dtype(f"{name}: dtype", dtype)


def _on_backend(array: numpy.ndarray, dtype: Any) -> Tensor:
    backend = backends.current()
    return Node.result_type(backend.from_host(host_array(array, dtype)), backend)


# fmt: off
__all__ = [
    "arange", "eye", "full", "full_like", "identity", "linspace", "ones", "ones_like", "zeros",
    "zeros_like",
]
