"""Functions over axes: means, variances, products, softmax, and what runs along an axis."""

from __future__ import annotations

import math
from typing import Any

import numpy

from .. import arguments, ops
from ..errors import ArgumentError, ShapeError
from ..ops import ArrayLike, Axis, along, as_float, as_tensor, axes_of, axis_of
from ..tape import composed, thread
from ..tensor import Tensor
from .elementwise import safe_sqrt
from .shapes import last, lined_up


def widened(x: ArrayLike) -> tuple[Tensor, numpy.dtype[Any]]:
    """A float tensor with 32 bits at least, and the dtype that it had: sums and squares of halves soon leave
    their range, which ends at 65,504."""
    x = as_float(x)
    dtype = x._data.dtype
    return x if dtype.itemsize > 2 else ops.astype(x, numpy.float32), dtype


@composed
def mean(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over the count.

    >>> tg.mean([[1.0, 2.0], [3.0, 6.0]], axis=1)
    tensor([1.5, 4.5], dtype=float32)
    """
    x, dtype = widened(x)
    total = ops.sum(x, axis, keepdims=keepdims)
    return ops.astype(total * (total.size / x.size) if x.size else total / 0.0, dtype)


@composed
def average(x: ArrayLike, axis: int | None = None, weights: ArrayLike | None = None) -> Tensor:
    """The weighted mean.

    >>> tg.average([1.0, 2.0], weights=[3.0, 1.0])
    tensor(1.25, dtype=float32)

    Args:
        x: the numbers.
        axis: over which; all of them by default.
        weights: of the shape of x, or a vector along the axis.

    Raises:
        ShapeError: the weights do not fit.
        ArgumentError: they add up to 0. On a device and in a trace, where nobody looks, the result is then
            not finite.
    """
    if weights is None:
        return mean(x, axis)
    x, weights = ops.as_tensors(x, weights)
    weights = as_float(weights)
    weights = ops.astype(weights, numpy.result_type(x.dtype, weights.dtype))
    if weights.shape != x.shape:
        if axis is None or weights.ndim != 1 or weights.shape[0] != x.shape[axis_of(x, axis)]:
            raise ShapeError(
                f"average: weights of shape {weights.shape} are neither of shape {x.shape} nor a vector "
                f"along axis {axis}"
            )
        weights = ops.reshape(weights, tuple(-1 if i == axis_of(x, axis) else 1 for i in range(x.ndim)))
    total = ops.sum(ops.broadcast_to(weights, x.shape), axis)
    if not thread.tracing and total.backend == "numpy" and not total._data.all():
        raise ArgumentError("average: the weights add up to 0, so there is no mean")
    return ops.sum(x * weights, axis) / total


@composed
def var(x: ArrayLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """Mean square distance from the mean, over n − ddof.

    >>> tg.var([1.0, 3.0], ddof=1)
    tensor(2., dtype=float32)
    """
    x, dtype = widened(x)
    centred = x - mean(x, axis, keepdims=True)
    degrees = math.prod(x.shape[i] for i in axes_of(x, axis)) - arguments.real("ddof", ddof)
    return ops.astype(ops.sum(centred * centred, axis, keepdims=keepdims) / max(degrees, 0), dtype)


@composed
def std(x: ArrayLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """Root of the variance; where that is 0, so is the derivative.

    >>> tg.std([1.0, 5.0])
    tensor(2., dtype=float32)
    """
    x, dtype = widened(x)
    return ops.astype(safe_sqrt(var(x, axis, ddof, keepdims)), dtype)


@composed
def ptp(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """From the smallest to the largest element over axes.

    >>> tg.ptp([1.0, 5.0, 3.0])
    tensor(4., dtype=float32)
    """
    return ops.max(x, axis, keepdims) - ops.min(x, axis, keepdims)


@composed
def nansum(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum of what is not NaN.

    >>> tg.nansum([1.0, tg.nan, 3.0])
    tensor(4., dtype=float32)
    """
    x = as_tensor(x)
    return ops.sum(ops.where(ops.isnan(x), 0, x), axis, keepdims=keepdims)


@composed
def nanmean(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean of what is not NaN.

    >>> tg.nanmean([1.0, tg.nan, 3.0])
    tensor(2., dtype=float32)
    """
    x = as_float(x)
    return nansum(x, axis, keepdims) / ops.sum(ops.logical_not(ops.isnan(x)), axis, x.dtype, keepdims)


@composed
def nanmax(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest that is not NaN; NaN if there is none.

    >>> tg.nanmax([1.0, tg.nan, 3.0])
    tensor(3., dtype=float32)
    """
    x = as_float(x)
    missing = ops.isnan(x)
    y = ops.max(ops.where(missing, -math.inf, x), axis, keepdims)
    return ops.where(ops.all(missing, axis, keepdims), math.nan, y)


@composed
def nanmin(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest that is not NaN; NaN if there is none.

    >>> tg.nanmin([1.0, tg.nan, 3.0])
    tensor(1., dtype=float32)
    """
    return -nanmax(-as_float(x), axis, keepdims)


def count_nonzero(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements over axes are not 0.

    >>> tg.count_nonzero([1.0, 0.0, 3.0])
    tensor(2, dtype=int64)
    """
    return ops.sum(as_tensor(x) != 0, axis, keepdims=keepdims)


@composed
def prod(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Product over axes as a tree of weightings, so zeros need no care.

    >>> tg.prod([2.0, 3.0, 4.0])
    tensor(24., dtype=float32)
    """
    y, kept = lined_up(_wide(x), axis)
    if y.shape[-1] == 0:
        y = ops.sum(y, -1, keepdims=True) + 1
    while y.shape[-1] > 1:
        half = y.shape[-1] // 2
        pairs = last(y, slice(0, half)) * last(y, slice(half, 2 * half))
        y = pairs if 2 * half == y.shape[-1] else ops.concatenate([pairs, last(y, slice(2 * half, None))], -1)
    return ops.reshape(y, kept) if arguments.flag("keepdims", keepdims) else last(y, 0)


def _wide(x: Any) -> Tensor:
    """Small integers as the wide ones that NumPy multiplies them in."""
    x = as_tensor(x)
    return x if x.dtype.kind == "f" else ops.astype(x, numpy.prod(numpy.ones(1, x.dtype)).dtype)


@composed
def logsumexp(x: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(x), shifted by the maximum.

    >>> print(f"{tg.logsumexp([1000.0, 1000.0]):.3f}")
    1000.693
    """
    x, dtype = widened(x)
    top = ops.max(x, axis, keepdims=True).detach()
    finite = ops.isfinite(top)
    total = ops.sum(ops.exp(x - ops.where(finite, top, 0)), axis, keepdims=True)
    y = ops.astype(ops.log(ops.where(finite, total, 1)) + top, dtype)
    return y if arguments.flag("keepdims", keepdims) else ops.squeeze(y, axes_of(x, axis))


@composed
def softmax(x: ArrayLike, axis: Axis = -1) -> Tensor:
    """exp(x) / Σ exp(x).

    >>> tg.softmax([3.0, 3.0])
    tensor([0.5, 0.5], dtype=float32)
    """
    x, dtype = widened(x)
    weights = ops.exp(x - ops.max(x, axis, keepdims=True).detach())
    return ops.astype(weights / ops.sum(weights, axis, keepdims=True), dtype)


@composed
def log_softmax(x: ArrayLike, axis: Axis = -1) -> Tensor:
    """x − log Σ exp(x).

    >>> tg.exp(tg.log_softmax([1000.0, 0.0]))
    tensor([1., 0.], dtype=float32)
    """
    x, dtype = widened(x)
    shifted = x - ops.max(x, axis, keepdims=True).detach()
    return ops.astype(shifted - ops.log(ops.sum(ops.exp(shifted), axis, keepdims=True)), dtype)


@composed
def layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, count: int, eps: float) -> Tensor:
    """(x − mean) / √(variance + eps) · weight + bias over so many last axes."""
    wide, dtype = widened(x)  # a small eps is 0 in halves
    axes = tuple(range(-count, 0))
    centred = wide - mean(wide, axes, keepdims=True)
    variance = mean(centred * centred, axes, keepdims=True)
    y = ops.astype(centred * ops.reciprocal(ops.sqrt(variance + eps)), dtype)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


# -- along an axis ------------------------------------------------------------------------------------


@composed
def cumprod(x: ArrayLike, axis: int | None = None) -> Tensor:
    """Running product by doubling strides: log₂ n weightings.

    >>> tg.cumprod([1.0, 2.0, 3.0])
    tensor([1., 2., 6.], dtype=float32)
    """
    x, axis = along(_wide(x), axis)
    y = ops.moveaxis(x, axis, -1)
    stride = 1
    while stride < y.shape[-1]:
        head = last(y, slice(0, stride))
        y = ops.concatenate([head, last(y, slice(stride, None)) * last(y, slice(0, -stride))], -1)
        stride *= 2
    return ops.moveaxis(y, -1, axis)


@composed
def diff(x: ArrayLike, n: int = 1, axis: int = -1) -> Tensor:
    """Differences of neighbours, n times.

    >>> tg.diff([1.0, 4.0, 9.0])
    tensor([3., 5.], dtype=float32)
    """
    x = as_tensor(x)
    place = axis_of(x, axis)
    lead = (slice(None),) * place
    for _ in range(min(arguments.whole("diff: n", n, 0), x.shape[place])):  # then nothing is left
        x = ops.getitem(x, (*lead, slice(1, None))) - ops.getitem(x, (*lead, slice(None, -1)))
    return x


@composed
def trapezoid(y: ArrayLike, x: ArrayLike | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral along an axis by trapezoids.

    >>> tg.trapezoid([0.0, 1.0, 2.0], dx=0.5)
    tensor(1., dtype=float32)

    Args:
        y: the heights.
        x: where they are: a vector, or an array that has the axis at the same place from the end as y.
        dx: the widths, where there is no x.
        axis: along which.

    Raises:
        ShapeError, IndexRangeError: x does not fit y.
    """
    y = as_tensor(y)
    from_end = axis_of(y, axis) - y.ndim
    y = ops.moveaxis(y, from_end, -1)
    widths = dx if x is None else diff(x) if as_tensor(x).ndim == 1 else diff(ops.moveaxis(x, from_end, -1))
    return ops.sum(widths * (last(y, slice(1, None)) + last(y, slice(None, -1))) * 0.5, -1)


# fmt: off
__all__ = [
    "average", "count_nonzero", "cumprod", "diff", "log_softmax", "logsumexp", "mean", "nanmax",
    "nanmean", "nanmin", "nansum", "prod", "ptp", "softmax", "std", "trapezoid", "var",
]
