"""Functions of sorted elements: the value below which a share of them lies."""

from __future__ import annotations

import math
from typing import Any

import numpy

from .. import arguments, ops
from ..errors import ShapeError
from ..ops import ArrayLike, Axis, as_float
from ..tape import composed, host_array
from ..tensor import Tensor
from .shapes import last, lined_up


@composed
def quantile(x: ArrayLike, q: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The value below which the share q of the elements lies, on the line between two neighbours; several q
    on a new first axis.

    >>> tg.quantile([1.0, 2.0, 3.0, 5.0], [0.5, 1.0])
    tensor([2.5, 5. ], dtype=float32)
    """
    return _at_shares("quantile", x, q, 1, axis, keepdims)


@composed
def percentile(x: ArrayLike, q: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As :func:`quantile`, with shares from 0 to 100.

    >>> tg.percentile([1.0, 2.0, 3.0], 50)
    tensor(2., dtype=float32)
    """
    return _at_shares("percentile", x, q, 100, axis, keepdims)


@composed
def median(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle element, or the mean of the two in the middle.

    >>> tg.median([1.0, 2.0, 9.0])
    tensor(2., dtype=float32)
    """
    return quantile(x, 0.5, axis, keepdims)


def _at_shares(name: str, x: Any, q: Any, whole: int, axis: Axis, keepdims: bool) -> Tensor:
    shares = host_array(q, numpy.float64) / whole
    if not ((shares >= 0) & (shares <= 1)).all():
        raise arguments.refused(f"{name}: q", f"a share between 0 and {whole}, or several", q)
    lined, kept = lined_up(as_float(x), axis)
    if lined.shape[-1] == 0 or not shares.size:
        raise ShapeError(f"{name}: no elements in shape {lined.shape}, or no q")
    rising = ops.sort(lined)
    missing = ops.isnan(last(rising, -1))
    ys = [ops.where(missing, math.nan, _between(rising, float(share))) for share in shares.reshape(-1)]
    ys = [ops.reshape(y, kept) for y in ys] if arguments.flag("keepdims", keepdims) else ys
    return ops.reshape(ops.stack(ys), (*shares.shape, *ys[0].shape))


def _between(rising: Tensor, share: float) -> Tensor:
    """The value at a share of a sorted last axis."""
    place = share * (rising.shape[-1] - 1)
    below = math.floor(place)
    low, part = last(rising, below), place - below
    if part == 0:
        return low
    high = last(rising, below + 1)
    infinite = ops.isinf(low) | ops.isinf(high)  # their difference would be NaN
    start, end = (ops.where(infinite, 0, x) for x in (low, high))
    return ops.where(infinite, low * (1 - part) + high * part, start + (end - start) * part)


# fmt: off
__all__ = [
    "median", "percentile", "quantile",
]
