"""Linear algebra: norms, inverses, powers of matrices."""

from __future__ import annotations

import math
from typing import Any

from .. import arguments, ops
from ..errors import ArgumentError, ShapeError
from ..ops import ArrayLike, Axis, as_float, as_tensor, axes_of
from ..tape import composed
from ..tensor import Tensor
from .elementwise import safe_sqrt
from .reductions import widened
from .shapes import ravel


@composed
def norm(x: ArrayLike, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Vector and Frobenius norms, as ``numpy.linalg.norm`` (orders None, "fro", ±inf, 0, and p over one axis;
    1 and ±inf of matrices). At 0 the derivative is 0.

    >>> tg.norm([3.0, 4.0])
    tensor(5., dtype=float32)
    """
    ord = arguments.order("norm: ord", ord)
    x, dtype = widened(x)
    return ops.astype(_norm(x, ord, axis, keepdims), dtype)


def _norm(x: Tensor, ord: Any, axis: Axis, keepdims: bool) -> Tensor:
    if axis is None and ord is None:
        y = _p_norm(ravel(x), 2, (0,), False)
        return ops.reshape(y, (1,) * x.ndim) if keepdims else y
    axes = axes_of(x, axis, ordered=True)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    if len(axes) != 1:
        raise ShapeError(f"norm: of one or two axes, got {axes} of shape {x.shape}")
    if ord == "fro":
        raise ShapeError("norm: 'fro' is a norm of matrices")
    return _p_norm(x, 2 if ord is None else ord, axes, keepdims)


def _p_norm(x: Tensor, p: float, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    size = ops.abs(x)
    if p == math.inf:
        return ops.max(size, axes, keepdims)
    if p == -math.inf:
        return ops.min(size, axes, keepdims)
    if p == 0:
        return ops.sum(ops.astype(x != 0, x.dtype), axes, keepdims=keepdims)
    if p == 1:
        return ops.sum(size, axes, keepdims=keepdims)
    if p == 2:
        return safe_sqrt(ops.sum(x * x, axes, keepdims=keepdims))
    total = ops.sum(ops.power(size, float(p)), axes, keepdims=keepdims)
    zero = total == 0
    return ops.where(zero, 0, ops.power(ops.where(zero, 1, total), 1 / p))


def _matrix_norm(x: Tensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if ord in (None, "fro"):
        return _p_norm(x, 2, axes, keepdims)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ArgumentError(
            f"norm: order {ord!r} of a matrix needs singular values; use None, 'fro', ±1 or ±inf"
        )
    rows, columns = axes
    summed, over = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = ops.sum(ops.abs(x), summed, keepdims=True)
    y = (ops.max if ord > 0 else ops.min)(sums, over, keepdims=True)
    return y if keepdims else ops.squeeze(y, axes)


def inv(a: ArrayLike) -> Tensor:
    """The inverse of each matrix of a stack: the solution of A X = 1.

    >>> tg.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]], dtype=float32)

    Raises:
        LinearAlgebraError: a matrix is singular.
    """
    a = as_float(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"inv: needs square matrices, got shape {a.shape}")
    return ops.solve(a, ops.identity_like(a))


@composed
def matrix_power(a: ArrayLike, n: int) -> Tensor:
    """n copies of each matrix multiplied, by squaring; the inverse for a negative n.

    >>> tg.linalg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 3)
    tensor([[1., 3.],
            [0., 1.]], dtype=float32)
    """
    n = arguments.whole("matrix_power: n", n)
    a = inv(a) if n < 0 else as_tensor(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"matrix_power: needs square matrices, got shape {a.shape}")
    y = None
    for bit in reversed(f"{abs(n):b}"):
        if bit == "1":
            y = a if y is None else ops.matmul(y, a)
        a = ops.matmul(a, a)
    return ops.identity_like(a) if y is None else y


# fmt: off
__all__ = [
    "norm",
]
