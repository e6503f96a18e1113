"""No case at all: comparisons, signs, roundings, positions. They move in jumps, so no residual passes."""

from __future__ import annotations

from typing import Any

import numpy

from .. import arguments
from ..chain_rule import choices
from ..errors import DtypeError, ShapeError
from ..tape import PYTHON_NUMBERS, choose
from .operands import (
    ArrayLike,
    Axis,
    Binary,
    Tensor,
    Unary,
    as_tensor,
    as_tensors,
    axes_of,
    axis_of,
    binary,
    unary,
)
from .shapes import along, expand_dims, reshape

equal: Binary = binary(choices["equal"])
not_equal: Binary = binary(choices["not_equal"])
less: Binary = binary(choices["less"])
less_equal: Binary = binary(choices["less_equal"])
greater: Binary = binary(choices["greater"])
greater_equal: Binary = binary(choices["greater_equal"])
logical_and: Binary = binary(choices["logical_and"])
logical_or: Binary = binary(choices["logical_or"])
logical_xor: Binary = binary(choices["logical_xor"])
floor_divide: Binary = binary(choices["floor_divide"])
logical_not: Unary = unary(choices["logical_not"])
isnan: Unary = unary(choices["isnan"])
isinf: Unary = unary(choices["isinf"])
isfinite: Unary = unary(choices["isfinite"])
sign: Unary = unary(choices["sign"])
floor: Unary = unary(choices["floor"])
ceil: Unary = unary(choices["ceil"])
rint: Unary = unary(choices["rint"])
trunc: Unary = unary(choices["trunc"])


def _position(name: str, x: Any, axis: int | None, keepdims: bool) -> Tensor:
    x, keepdims = as_tensor(x), arguments.flag("keepdims", keepdims)
    if axis is None:
        y = choose(choices[name], (reshape(x, (-1,)),), (0,))
        return reshape(y, (1,) * x.ndim) if keepdims else y
    y = choose(choices[name], (x,), (axis_of(x, axis),))
    return expand_dims(y, axis) if keepdims else y


def argmax(x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The place of the largest element, the first of several."""
    return _position("argmax", x, axis, keepdims)


def argmin(x: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The place of the smallest element, the first of several."""
    return _position("argmin", x, axis, keepdims)


def argsort(x: ArrayLike, axis: int | None = -1) -> Tensor:
    x, axis = along(x, axis)
    return choose(choices["argsort"], (x,), (axis,))


def _quantifier(name: str, x: Any, axis: Axis, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    axes = axes_of(x, axis)
    y = choose(choices[name], (x,), (axes,))
    return expand_dims(y, axes) if arguments.flag("keepdims", keepdims) else y


def all(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return _quantifier("all", x, axis, keepdims)


def any(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return _quantifier("any", x, axis, keepdims)


def searchsorted(a: ArrayLike, v: ArrayLike, side: str = "left") -> Tensor:
    """Where the elements of v would stand in the sorted vector a."""
    a, v = as_tensors(a, v)
    if a.ndim != 1:
        raise ShapeError(f"searchsorted: a must be a vector, not of shape {a.shape}")
    return choose(
        choices["searchsorted"], (a, v), (arguments.choice("searchsorted: side", side, ("left", "right")),)
    )


def truths(sign: str, *xs: Any) -> tuple[Any, ...]:
    """Operands of a sign that NumPy has for booleans, and for the bits of integers, which are no truths.

    Raises:
        DtypeError: one is not boolean.
    """
    for x in xs:
        dtype = numpy.asarray(x).dtype if type(x) in PYTHON_NUMBERS else getattr(x, "dtype", None)
        if isinstance(dtype, numpy.dtype) and dtype.kind in "iuf":
            advice = (
                "compare before, as in x > 0, or take logical_and and its like; for the bits of whole "
                "numbers np.bitwise_and and its like"
            )
            raise DtypeError(f"{sign} is for booleans, not {dtype}: {advice}")
    return xs


# fmt: off
__all__ = [
    "all", "any", "argmax", "argmin", "argsort", "ceil", "equal", "floor", "floor_divide", "greater",
    "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal", "logical_and", "logical_not",
    "logical_or", "logical_xor", "not_equal", "rint", "searchsorted", "sign", "trunc",
]
