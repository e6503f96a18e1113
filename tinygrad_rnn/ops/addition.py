"""Case 2, addition, where residuals pass unchanged: sums, other dtypes, and routing by a choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from .. import arguments
from ..arguments import DTypeLike
from ..chain_rule import Row
from ..chain_rule import addition as a
from ..errors import ArgumentError
from ..tape import Node, apply, choose
from .operands import ArrayLike, Axis, Binary, Tensor, Unary, as_tensor, as_tensors, axes_of, binary, unary
from .shapes import along

add: Binary = binary(a.ADD, "x1 + x2", "[1.0, 2.0], 3.0", "[4., 5.]")
subtract: Binary = binary(a.SUBTRACT, "x1 − x2", "[1.0, 2.0], 3.0", "[-2., -1.]")
negative: Unary = unary(a.NEGATIVE, "−x", "[1.0, -2.0]", "[-1.,  2.]")


def sum(x: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, keepdims: bool = False) -> Tensor:
    """Sum over axes, over all by default.

    >>> tg.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    tensor([4., 6.], dtype=float32)

    Args:
        x: the summands.
        axis: one axis or several; None for all.
        dtype: what to add in; small integers are added in int64 otherwise, as in NumPy.
        keepdims: leave the axes, with length 1.
    """
    x = as_tensor(x) if dtype is None else astype(x, dtype)
    return apply(a.SUM, (x,), (axes_of(x, axis), arguments.flag("keepdims", keepdims)))


def narrow_sum(x: Tensor, axis: Axis) -> Tensor:
    """The sum in the dtype of x, as in products, where that of small integers is not a wider one."""
    return astype(sum(x, axis), x._data.dtype)


def sum_to(x: ArrayLike, shape: Sequence[int]) -> Tensor:
    """Sum over the axes that broadcasting from ``shape`` would add or stretch."""
    return apply(a.SUM_TO, (x,), (tuple(shape),))


def cumsum(x: ArrayLike, axis: int | None = None) -> Tensor:
    """Running sum along an axis, or over the flattened array.

    >>> tg.cumsum([1.0, 2.0, 3.0])
    tensor([1., 3., 6.], dtype=float32)
    """
    x, axis = along(x, axis)
    return apply(a.CUMSUM, (x,), (axis,))


def astype(x: ArrayLike, dtype: DTypeLike) -> Tensor:
    """The tensor in another dtype; bool and int results are constants.

    >>> tg.astype([1.5, 2.5], "int64")
    tensor([1, 2], dtype=int64)
    """
    if isinstance(x, Node) and x._data.dtype is dtype:  # where functions put back what they widened
        return x
    dtype = arguments.dtype("astype: dtype", dtype)
    x = as_tensor(x)
    if x._data.dtype == dtype:
        return x
    return (apply if dtype.kind == "f" else choose)(a.ASTYPE, (x,), (dtype,))


def as_float(x: ArrayLike) -> Tensor:
    x = as_tensor(x)
    return x if x._data.dtype.kind == "f" else astype(x, numpy.float64)


def copy(x: ArrayLike) -> Tensor:
    """The same values in memory of their own; residuals pass.

    >>> x = tg.tensor([1.0, 2.0])
    >>> tg.copy(x).data is x.data
    False
    """
    x = as_tensor(x)
    return (apply if x._data.dtype.kind == "f" else choose)(a.ASTYPE, (x,), (x._data.dtype,))


# -- routing by a choice ------------------------------------------------------------------------------

maximum: Binary = binary(
    a.MAXIMUM,
    "The larger one; where they are equal, each gets half of the residual",
    "[1.0, 4.0], 2.0",
    "[2., 4.]",
)
minimum: Binary = binary(
    a.MINIMUM,
    "The smaller one; where they are equal, each gets half of the residual",
    "[1.0, 4.0], 2.0",
    "[1., 2.]",
)


def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Tensor:
    """x where the condition holds, else y. The branch not taken gets the residual 0, whatever its slope.

    >>> tg.where([True, False], [1.0, 2.0], 0.0)
    tensor([1., 0.], dtype=float32)
    """
    return apply(
        a.WHERE, (as_tensors(condition, x, y)[0] if isinstance(condition, bool) else condition, x, y)
    )


def clip(
    x: ArrayLike,
    a_min: ArrayLike | None = None,
    a_max: ArrayLike | None = None,
    *,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
) -> Tensor:
    """x held between two bounds; at a bound the residual passes. Bounds that are tensors get residuals as in
    maximum and minimum.

    >>> tg.clip([-2.0, 0.5, 2.0], -1.0, 1.0)
    tensor([-1. ,  0.5,  1. ], dtype=float32)
    """
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise ArgumentError("clip: give a bound by one name, a_min and a_max or min and max")
    a_min, a_max = min if a_min is None else a_min, max if a_max is None else a_max
    if not (isinstance(a_min, _NUMBERS) and isinstance(a_max, _NUMBERS)):
        x = as_tensor(x) if a_min is None else maximum(x, a_min)
        return x if a_max is None else minimum(x, a_max)
    return as_tensor(x) if a_min is None and a_max is None else apply(a.CLIP, (x,), (a_min, a_max))


_NUMBERS = (int, float, numpy.integer, numpy.floating, numpy.bool_, type(None))
"""What bounds of ``clip`` are that get no residuals."""


def _extremum(row: Row, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    return apply(row, (x,), (axes_of(x, axis), arguments.flag("keepdims", keepdims)))


def max(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element over axes; ties share the residual equally.

    >>> tg.max([[1.0, 2.0], [4.0, 3.0]], axis=1)
    tensor([2., 4.], dtype=float32)
    """
    return _extremum(a.MAX, x, axis, keepdims)


def min(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element over axes; ties share the residual equally.

    >>> tg.min([[1.0, 2.0], [4.0, 3.0]], axis=1)
    tensor([1., 3.], dtype=float32)
    """
    return _extremum(a.MIN, x, axis, keepdims)


amax = max
amin = min


def sort(x: ArrayLike, axis: int | None = -1) -> Tensor:
    """In rising order along an axis.

    >>> tg.sort([3.0, 1.0, 2.0])
    tensor([1., 2., 3.], dtype=float32)
    """
    x, axis = along(x, axis)
    return apply(a.SORT, (x,), (axis,))


# fmt: off
__all__ = [
    "add", "amax", "amin", "astype", "clip", "copy", "cumsum", "max", "maximum", "min", "minimum",
    "negative", "sort", "subtract", "sum", "where",
]
