"""Sums of products, under all the names that they have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from .. import arguments, ops
from ..errors import ShapeError
from ..ops import ArrayLike, axes_of, axis_of
from ..tape import composed
from ..tensor import Tensor


@composed
def tensordot(a: ArrayLike, b: ArrayLike, axes: int | Sequence[int | Sequence[int]] = 2) -> Tensor:
    """Sum over the last ``axes`` axes of a and the first of b, or over two lists of axes.

    >>> tg.tensordot(tg.ones((2, 3)), tg.ones((3, 4)), 1).shape
    (2, 4)
    """
    a, b = ops.as_tensors(a, b)
    ours, theirs = _paired_axes(a, b, axes)
    if [a.shape[i] for i in ours] != [b.shape[i] for i in theirs]:
        raise ShapeError(
            f"tensordot: axes {list(ours)} of shape {a.shape} do not match axes {list(theirs)} of shape "
            f"{b.shape}"
        )
    kept_a = [i for i in range(a.ndim) if i not in ours]
    kept_b = [i for i in range(b.ndim) if i not in theirs]
    inner_size = math.prod(a.shape[i] for i in ours)
    rows = math.prod(a.shape[i] for i in kept_a)
    columns = math.prod(b.shape[i] for i in kept_b)
    left = ops.reshape(ops.transpose(a, (*kept_a, *ours)), (rows, inner_size))
    right = ops.reshape(ops.transpose(b, (*theirs, *kept_b)), (inner_size, columns))
    return ops.reshape(
        ops.matmul(left, right), (*(a.shape[i] for i in kept_a), *(b.shape[i] for i in kept_b))
    )


def _paired_axes(a: Tensor, b: Tensor, axes: Any) -> tuple[Sequence[int], Sequence[int]]:
    """The axes of a and those of b that a product sums over."""
    if not arguments.is_one(axes):
        sides = arguments.several("tensordot: axes", axes)
        if len(sides) != 2:
            raise arguments.refused("tensordot: axes", "a whole number, or axes of a and axes of b", axes)
        ours, theirs = (arguments.wholes("tensordot: axes", side) for side in sides)
        return axes_of(a, ours, ordered=True), axes_of(b, theirs, ordered=True)
    count = arguments.whole("tensordot: axes", axes, 0)
    if count > min(a.ndim, b.ndim):
        raise ShapeError(f"tensordot: {count} axes to sum over, of shapes {a.shape} and {b.shape}")
    return range(a.ndim - count, a.ndim), range(count)


def dot(a: ArrayLike, b: ArrayLike) -> Tensor:
    """As ``numpy.dot``: the product of vectors or matrices, else over the last axis of a and the last but one
    of b.

    >>> tg.dot([1.0, 2.0], [3.0, 4.0])
    tensor(11., dtype=float32)
    """
    a, b = ops.as_tensors(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return ops.matmul(a, b) if b.ndim == 1 or (a.ndim <= 2 and b.ndim <= 2) else tensordot(a, b, ([-1], [-2]))


@composed
def inner(a: ArrayLike, b: ArrayLike) -> Tensor:
    """Sum over the last axes of both.

    >>> tg.inner([[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]])
    tensor([[11., 17.]], dtype=float32)
    """
    a, b = ops.as_tensors(a, b)
    return a * b if a.ndim == 0 or b.ndim == 0 else tensordot(a, b, ([-1], [-1]))


@composed
def vecdot(a: ArrayLike, b: ArrayLike) -> Tensor:
    """Sum of products over the last axis, the others broadcast.

    >>> tg.vecdot([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
    tensor([3., 7.], dtype=float32)
    """
    a, b = ops.as_tensors(a, b)
    if a.shape[-1:] != b.shape[-1:] or a.ndim == 0:
        raise ShapeError(
            f"vecdot: last axes must be equally long, those of shapes {a.shape} and {b.shape} are not"
        )
    return ops.narrow_sum(ops.multiply(a, b), -1)


@composed
def vdot(a: ArrayLike, b: ArrayLike) -> Tensor:
    """Sum of products of all elements, in their order.

    >>> tg.vdot([[1.0, 2.0], [3.0, 4.0]], tg.ones((2, 2)))
    tensor(10., dtype=float32)
    """
    return vecdot(ops.reshape(a, (-1,)), ops.reshape(b, (-1,)))


@composed
def cross(a: ArrayLike, b: ArrayLike, axis: int = -1) -> Tensor:
    """The product of vectors of three that is orthogonal to both.

    >>> tg.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    tensor([0., 0., 1.], dtype=float32)
    """
    a, b = ops.as_tensors(a, b)
    if a.shape[axis_of(a, axis)] != 3 or b.shape[axis_of(b, axis)] != 3:
        raise ShapeError(
            f"cross: needs vectors of three along axis {axis}, got shapes {a.shape} and {b.shape}"
        )
    return ops.roll(a, -1, axis) * ops.roll(b, -2, axis) - ops.roll(a, -2, axis) * ops.roll(b, -1, axis)


@composed
def convolve(a: ArrayLike, v: ArrayLike, mode: str = "full") -> Tensor:
    """Sums of products of two vectors, one of them backwards and shifted; mode "full", "same" or "valid".

    >>> tg.convolve([1.0, 2.0, 3.0], [1.0, 1.0])
    tensor([1., 3., 5., 3.], dtype=float32)
    """
    a, v = ops.as_tensors(a, v)
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        raise ShapeError(f"convolve: needs two vectors, got shapes {a.shape} and {v.shape}")
    if a.size < v.size:
        a, v = v, a
    n, m = a.size, v.size
    parts = {"full": (0, n + m - 1), "same": ((m - 1) // 2, n), "valid": (m - 1, n - m + 1)}
    start, length = parts[arguments.choice("convolve: mode", mode, tuple(parts))]
    windows = start + numpy.arange(length)[:, None] + numpy.arange(m)
    return ops.matmul(ops.take(ops.pad(a, m - 1), windows, 0), ops.flip(v))


@composed
def outer(a: ArrayLike, b: ArrayLike) -> Tensor:
    """Every element of a times every element of b.

    >>> tg.outer([1.0, 2.0], [3.0, 4.0])
    tensor([[3., 4.],
            [6., 8.]], dtype=float32)
    """
    a, b = ops.as_tensors(a, b)
    return ops.reshape(a, (-1, 1)) * ops.reshape(b, (1, -1))


@composed
def kron(a: ArrayLike, b: ArrayLike) -> Tensor:
    """Kronecker product of matrices (or of arrays with equally many axes).

    >>> tg.kron([1.0, 2.0], [1.0, 1.0])
    tensor([1., 1., 2., 2.], dtype=float32)
    """
    a, b = ops.as_tensors(a, b)
    rank = max(a.ndim, b.ndim)
    a = ops.reshape(a, (1,) * (rank - a.ndim) + a.shape)
    b = ops.reshape(b, (1,) * (rank - b.ndim) + b.shape)
    wide = ops.reshape(a, [n for m in a.shape for n in (m, 1)]) * ops.reshape(
        b, [n for m in b.shape for n in (1, m)]
    )
    return ops.reshape(wide, [m * n for m, n in zip(a.shape, b.shape, strict=True)])


# fmt: off
__all__ = [
    "convolve", "cross", "dot", "inner", "kron", "outer", "tensordot", "vdot", "vecdot",
]
