"""Functions without a rule of their own: built from the rows, so their derivatives of every order follow.

Division is weighting by a reciprocal. Losses default to the mean as elsewhere; ``reduction="sum"`` is the source's loss, summed over all
samples and all time steps.
"""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy

from . import arguments, backends, ops
from .errors import ArgumentError, DtypeError, IndexRangeError, ShapeError
from .ops import Axis, as_float, as_tensor, axes_of, axis_of
from .tape import host, thread
from .tensor import HALF, Tensor

F = TypeVar("F", bound=Callable[..., Tensor])

# -- arithmetic -----------------------------------------------------------------------------------------------------------------------


true_divide = ops.divide
remainder = ops.mod


def fmax(x1: Any, x2: Any) -> Tensor:
    """The larger one; the other where one is NaN."""
    x1, x2 = ops.as_tensors(x1, x2)
    return ops.maximum(ops.where(ops.isnan(x1), x2, x1), ops.where(ops.isnan(x2), x1, x2))


def fmin(x1: Any, x2: Any) -> Tensor:
    """The smaller one; the other where one is NaN."""
    x1, x2 = ops.as_tensors(x1, x2)
    return ops.minimum(ops.where(ops.isnan(x1), x2, x1), ops.where(ops.isnan(x2), x1, x2))


def fabs(x: Any) -> Tensor:
    return ops.abs(as_float(x))


def degrees(x: Any) -> Tensor:
    return as_float(x) * (180 / math.pi)


def radians(x: Any) -> Tensor:
    return as_float(x) * (math.pi / 180)


rad2deg, deg2rad = degrees, radians


def sinc(x: Any) -> Tensor:
    """sin(πx) / πx, by its series where that is 0 / 0."""
    x = as_float(x) * math.pi
    near = ops.abs(x) < 1e-3
    far = ops.where(near, 1, x)
    return ops.where(near, 1 - x * x / 6 * (1 - x * x / 20), ops.sin(far) / far)


def logaddexp2(x1: Any, x2: Any) -> Tensor:
    """log₂(2^x1 + 2^x2)."""
    return ops.logaddexp(as_float(x1) * math.log(2), as_float(x2) * math.log(2)) * (1 / math.log(2))


def round(x: Any, decimals: int = 0) -> Tensor:
    """To even at halves. It moves in jumps: no residual passes."""
    x, decimals = as_tensor(x), arguments.whole("round: decimals", decimals)
    if x.dtype.kind != "f":
        return x if decimals >= 0 else ops.astype(round(ops.astype(x, numpy.float64), decimals), x.dtype)
    if decimals == 0:
        return ops.rint(x)
    if builtins.abs(decimals) > 308:
        raise arguments.refused("round: decimals", "a whole number from -308 to 308", decimals)
    scale = 10.0 ** builtins.abs(decimals)
    return ops.rint(x * scale) / scale if decimals > 0 else ops.rint(x / scale) * scale


around = round


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Tensor:
    a, b = ops.as_tensors(a, b)
    return (a == b) | (ops.isfinite(b) & (ops.abs(a - b) <= atol + rtol * ops.abs(b)))


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    return bool(ops.all(isclose(a, b, rtol, atol)))


def select(conditions: Sequence[Any], choices: Sequence[Any], default: Any = 0) -> Tensor:
    """The choice of the first condition that holds."""
    y = default
    tests, values = arguments.several("select: conditions", conditions), arguments.several("select: choices", choices)
    if len(tests) != len(values) or not tests:
        raise ShapeError(f"select: {len(tests)} conditions for {len(values)} choices")
    for condition, choice in zip(reversed(tests), reversed(values), strict=True):
        y = ops.where(condition, choice, y)
    return as_tensor(y)


def interp(x: Any, xp: Any, fp: Any) -> Tensor:
    """The line through the points (xp, fp), level outside; xp must rise."""
    x, xp, fp = ops.as_tensors(x, xp, fp)
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ShapeError(f"interp: xp and fp must be vectors of one length, not of shapes {xp.shape} and {fp.shape}")
    last = xp.shape[0] - 1
    after = ops.clip(ops.searchsorted(xp, x, "right"), builtins.min(1, last), last)
    x0, x1, y0, y1 = (ops.take(line, i, 0) for line in (xp, fp) for i in (ops.maximum(after - 1, 0), after))
    with x._backend.quiet():  # at infinities, where NumPy too comes from the other side, or takes the point itself
        slope = (y1 - y0) / (x1 - x0)
        y, backwards = y0 + (x - x0) * slope, y1 + (x - x1) * slope
    level = (x == x0) | ((y0 == y1) & (x == x))
    y = ops.where(ops.isnan(y), ops.where(x == x1, y1, ops.where(level, y0, backwards)), y)
    return ops.where(x < xp[0], fp[0], ops.where(x > xp[-1], fp[-1], y))


def square(x: Any) -> Tensor:
    return ops.multiply(x, x)


def positive(x: Any) -> Tensor:
    return as_tensor(x)


def log_sigmoid(x: Any) -> Tensor:
    """log σ(x) = −softplus(−x)."""
    return -ops.softplus(-as_tensor(x))


def silu(x: Any) -> Tensor:
    return ops.multiply(x, ops.sigmoid(x))


def gelu(x: Any) -> Tensor:
    """x Φ(x), with the error function (Hendrycks & Gimpel 2016)."""
    return 0.5 * as_tensor(x) * (1 + ops.erf(as_tensor(x) * (1 / math.sqrt(2))))


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Tensor:
    x = as_tensor(x)
    return ops.where(x > 0, x, x * negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    x = as_tensor(x)
    return ops.where(x > 0, x, alpha * ops.expm1(ops.minimum(x, 0)))


def hardtanh(x: Any, low: float = -1.0, high: float = 1.0) -> Tensor:
    return ops.clip(x, low, high)


def hard_sigmoid(x: Any) -> Tensor:
    """clip(x / 6 + ½, 0, 1)."""
    return ops.clip(as_tensor(x) / 6 + 0.5, 0.0, 1.0)


def softsign(x: Any) -> Tensor:
    x = as_tensor(x)
    return x / (1 + ops.abs(x))


def nan_to_num(x: Any, nan: float = 0.0) -> Tensor:
    """NaN replaced by a number, infinities by the largest ones."""
    x = as_tensor(x)
    if x.dtype.kind != "f":
        return x
    top = float(numpy.finfo(x.dtype).max)
    return ops.where(ops.isnan(x), nan, ops.clip(x, -top, top))


# -- reductions -----------------------------------------------------------------------------------------------------------------------


def _count(x: Tensor, axis: Axis) -> int:
    return math.prod(x.shape[i] for i in axes_of(x, axis))


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return as_float(x).mean(axis, keepdims)


def _not_in_half(function: F) -> F:
    """A function that adds up: of halves in float32, as NumPy's mean is, since their sums and squares soon leave their range."""

    @functools.wraps(function)
    def wide(x: Any, *args: Any, **options: Any) -> Tensor:
        x = as_float(x)
        if x._data.dtype is HALF:
            return ops.astype(function(ops.astype(x, numpy.float32), *args, **options), HALF)
        return function(x, *args, **options)

    return wide  # type: ignore[return-value]


def average(x: Any, axis: int | None = None, weights: Any = None) -> Tensor:
    """The weighted mean.

    Args:
        x: the numbers.
        axis: over which; all of them by default.
        weights: of the shape of x, or a vector along the axis.

    Raises:
        ShapeError: the weights do not fit.
        ArgumentError: they add up to 0. On a device and in a trace, where nobody looks, the result is then not finite.
    """
    if weights is None:
        return mean(x, axis)
    x, weights = ops.as_tensors(x, weights)
    weights = as_float(weights)
    weights = ops.astype(weights, numpy.result_type(x.dtype, weights.dtype))
    if weights.shape != x.shape:
        if axis is None or weights.ndim != 1 or weights.shape[0] != x.shape[axis_of(x, axis)]:
            raise ShapeError(f"average: weights of shape {weights.shape} are neither of shape {x.shape} nor a vector along axis {axis}")
        weights = ops.reshape(weights, tuple(-1 if i == axis_of(x, axis) else 1 for i in range(x.ndim)))
    total = ops.sum(ops.broadcast_to(weights, x.shape), axis)
    if not thread.tracing and total.backend == "numpy" and not total._data.all():
        raise ArgumentError("average: the weights add up to 0, so there is no mean")
    return ops.sum(x * weights, axis) / total


@_not_in_half
def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """Mean square distance from the mean, over n − ddof."""
    centred = x - mean(x, axis, keepdims=True)
    degrees = _count(x, axis) - arguments.real("ddof", ddof)
    return ops.sum(centred * centred, axis, keepdims=keepdims) / builtins.max(degrees, 0)


@_not_in_half
def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """Root of the variance; where that is 0, so is the derivative."""
    return safe_sqrt(var(x, axis, ddof, keepdims))


def safe_sqrt(x: Tensor) -> Tensor:
    """√x with the derivative 0 at 0, of every order."""
    zero = x == 0
    return ops.where(zero, 0, ops.sqrt(ops.where(zero, 1, x)))


def ptp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.max(x, axis, keepdims) - ops.min(x, axis, keepdims)


def nansum(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum of what is not NaN."""
    x = as_tensor(x)
    return ops.sum(ops.where(ops.isnan(x), 0, x), axis, keepdims=keepdims)


def nanmean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean of what is not NaN."""
    x = as_float(x)
    return nansum(x, axis, keepdims) / ops.sum(ops.logical_not(ops.isnan(x)), axis, x.dtype, keepdims)


def nanmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest that is not NaN; NaN if there is none."""
    x = as_float(x)
    missing = ops.isnan(x)
    y = ops.max(ops.where(missing, -math.inf, x), axis, keepdims)
    return ops.where(ops.all(missing, axis, keepdims), math.nan, y)


def nanmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest that is not NaN; NaN if there is none."""
    return -nanmax(-as_float(x), axis, keepdims)


def count_nonzero(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.sum(as_tensor(x) != 0, axis, keepdims=keepdims)


def _last(x: Tensor, index: Any) -> Tensor:
    return ops.getitem(x, (..., index))


def _in_line(x: Tensor, axis: Axis) -> tuple[Tensor, tuple[int, ...]]:
    """The axes as a single last one; and the shape of a reduction that keeps them."""
    axes = axes_of(x, axis)
    rest = [i for i in range(x.ndim) if i not in axes]
    lined = ops.reshape(ops.transpose(x, (*rest, *axes)), (*(x.shape[i] for i in rest), math.prod(x.shape[i] for i in axes)))
    return lined, tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def quantile(x: Any, q: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The value below which the share q of the elements lies, on the line between two neighbours; several q on a new first axis."""
    return _at_shares("quantile", x, q, 1, axis, keepdims)


def percentile(x: Any, q: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return _at_shares("percentile", x, q, 100, axis, keepdims)


def _at_shares(name: str, x: Any, q: Any, whole: int, axis: Axis, keepdims: bool) -> Tensor:
    shares = host.host_array(q, numpy.float64) / whole
    if not ((shares >= 0) & (shares <= 1)).all():
        raise arguments.refused(f"{name}: q", f"a share between 0 and {whole}, or several", q)
    lined, kept = _in_line(as_float(x), axis)
    if lined.shape[-1] == 0 or not shares.size:
        raise ShapeError(f"{name}: no elements in shape {lined.shape}, or no q")
    rising = ops.sort(lined)
    missing = ops.isnan(_last(rising, -1))
    ys = [ops.where(missing, math.nan, _between(rising, float(share))) for share in shares.reshape(-1)]
    ys = [ops.reshape(y, kept) for y in ys] if arguments.flag("keepdims", keepdims) else ys
    return ops.reshape(ops.stack(ys), (*shares.shape, *ys[0].shape))


def _between(rising: Tensor, share: float) -> Tensor:
    """The value at a share of a sorted last axis."""
    place = share * (rising.shape[-1] - 1)
    below = math.floor(place)
    low, part = _last(rising, below), place - below
    if part == 0:
        return low
    high = _last(rising, below + 1)
    infinite = ops.isinf(low) | ops.isinf(high)  # their difference would be NaN
    start, end = (ops.where(infinite, 0, x) for x in (low, high))
    return ops.where(infinite, low * (1 - part) + high * part, start + (end - start) * part)


def median(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return quantile(x, 0.5, axis, keepdims)


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral along an axis by trapezoids.

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
    return ops.sum(widths * (_last(y, slice(1, None)) + _last(y, slice(None, -1))) * 0.5, -1)


def _wide(x: Any) -> Tensor:
    """Small whole numbers as the wide ones that NumPy multiplies them in."""
    x = as_tensor(x)
    return x if x.dtype.kind == "f" else ops.astype(x, numpy.prod(numpy.ones(1, x.dtype)).dtype)


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Product over axes as a tree of weightings, so zeros need no care."""
    y, kept = _in_line(_wide(x), axis)
    if y.shape[-1] == 0:
        y = ops.sum(y, -1, keepdims=True) + 1
    while y.shape[-1] > 1:
        half = y.shape[-1] // 2
        pairs = _last(y, slice(0, half)) * _last(y, slice(half, 2 * half))
        y = pairs if 2 * half == y.shape[-1] else ops.concatenate([pairs, _last(y, slice(2 * half, None))], -1)
    return ops.reshape(y, kept) if arguments.flag("keepdims", keepdims) else _last(y, 0)


def cumprod(x: Any, axis: int | None = None) -> Tensor:
    """Running product by doubling strides: log₂ n weightings."""
    x = _wide(x)
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
    y = ops.moveaxis(x, axis_of(x, axis), -1)
    stride = 1
    while stride < y.shape[-1]:
        head = _last(y, slice(0, stride))
        y = ops.concatenate([head, _last(y, slice(stride, None)) * _last(y, slice(0, -stride))], -1)
        stride *= 2
    return ops.moveaxis(y, -1, axis_of(x, axis))


def diff(x: Any, n: int = 1, axis: int = -1) -> Tensor:
    """Differences of neighbours, n times."""
    x = as_tensor(x)
    place = axis_of(x, axis)
    lead = (slice(None),) * place
    for _ in range(builtins.min(arguments.whole("diff: n", n, 0), x.shape[place])):  # then nothing is left
        x = ops.getitem(x, (*lead, slice(1, None))) - ops.getitem(x, (*lead, slice(None, -1)))
    return x


@_not_in_half
def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(x), shifted by the maximum."""
    top = ops.max(x, axis, keepdims=True).detach()
    finite = ops.isfinite(top)
    total = ops.sum(ops.exp(x - ops.where(finite, top, 0)), axis, keepdims=True)
    y = ops.log(ops.where(finite, total, 1)) + top
    return y if arguments.flag("keepdims", keepdims) else ops.squeeze(y, axes_of(x, axis))


@_not_in_half
def softmax(x: Any, axis: Axis = -1) -> Tensor:
    """exp(x) / Σ exp(x)."""
    weights = ops.exp(x - ops.max(x, axis, keepdims=True).detach())
    return weights / ops.sum(weights, axis, keepdims=True)


@_not_in_half
def log_softmax(x: Any, axis: Axis = -1) -> Tensor:
    """x − log Σ exp(x)."""
    shifted = x - ops.max(x, axis, keepdims=True).detach()
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis, keepdims=True))


# -- products -------------------------------------------------------------------------------------------------------------------------


def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    """Sum over the last ``axes`` axes of a and the first of b, or over two lists of axes."""
    a, b = ops.as_tensors(a, b)
    ours, theirs = _paired_axes(a, b, axes)
    if [a.shape[i] for i in ours] != [b.shape[i] for i in theirs]:
        raise ShapeError(f"tensordot: axes {list(ours)} of shape {a.shape} do not match axes {list(theirs)} of shape {b.shape}")
    kept_a = [i for i in range(a.ndim) if i not in ours]
    kept_b = [i for i in range(b.ndim) if i not in theirs]
    inner_size = math.prod(a.shape[i] for i in ours)
    rows = math.prod(a.shape[i] for i in kept_a)
    columns = math.prod(b.shape[i] for i in kept_b)
    left = ops.reshape(ops.transpose(a, (*kept_a, *ours)), (rows, inner_size))
    right = ops.reshape(ops.transpose(b, (*theirs, *kept_b)), (inner_size, columns))
    return ops.reshape(ops.matmul(left, right), (*(a.shape[i] for i in kept_a), *(b.shape[i] for i in kept_b)))


def _paired_axes(a: Tensor, b: Tensor, axes: Any) -> tuple[Sequence[int], Sequence[int]]:
    """The axes of a and those of b that a product sums over."""
    if not arguments.is_one(axes):
        sides = arguments.several("tensordot: axes", axes)
        if len(sides) != 2:
            raise arguments.refused("tensordot: axes", "a whole number, or axes of a and axes of b", axes)
        ours, theirs = (arguments.wholes("tensordot: axes", side) for side in sides)
        return axes_of(a, ours, ordered=True), axes_of(b, theirs, ordered=True)
    count = arguments.whole("tensordot: axes", axes, 0)
    if count > builtins.min(a.ndim, b.ndim):
        raise ShapeError(f"tensordot: {count} axes to sum over, of shapes {a.shape} and {b.shape}")
    return range(a.ndim - count, a.ndim), range(count)


def dot(a: Any, b: Any) -> Tensor:
    """As ``numpy.dot``."""
    a, b = ops.as_tensors(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return ops.matmul(a, b) if b.ndim == 1 or (a.ndim <= 2 and b.ndim <= 2) else tensordot(a, b, ([-1], [-2]))


def inner(a: Any, b: Any) -> Tensor:
    """Sum over the last axes of both."""
    a, b = ops.as_tensors(a, b)
    return a * b if a.ndim == 0 or b.ndim == 0 else tensordot(a, b, ([-1], [-1]))


def vecdot(a: Any, b: Any) -> Tensor:
    """Sum of products over the last axis, the others broadcast."""
    a, b = ops.as_tensors(a, b)
    if a.shape[-1:] != b.shape[-1:] or a.ndim == 0:
        raise ShapeError(f"vecdot: last axes must be equally long, those of shapes {a.shape} and {b.shape} are not")
    return ops.narrow_sum(ops.multiply(a, b), -1)


def cross(a: Any, b: Any, axis: int = -1) -> Tensor:
    """The product of vectors of three that is orthogonal to both."""
    a, b = ops.as_tensors(a, b)
    if a.shape[axis_of(a, axis)] != 3 or b.shape[axis_of(b, axis)] != 3:
        raise ShapeError(f"cross: needs vectors of three along axis {axis}, got shapes {a.shape} and {b.shape}")
    return ops.roll(a, -1, axis) * ops.roll(b, -2, axis) - ops.roll(a, -2, axis) * ops.roll(b, -1, axis)


def convolve(a: Any, v: Any, mode: str = "full") -> Tensor:
    """Sums of products of two vectors, one of them backwards and shifted; mode "full", "same" or "valid"."""
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


def vdot(a: Any, b: Any) -> Tensor:
    """Sum of products of all elements, in their order."""
    return vecdot(ops.reshape(a, (-1,)), ops.reshape(b, (-1,)))


def outer(a: Any, b: Any) -> Tensor:
    """Every element of a times every element of b."""
    a, b = ops.as_tensors(a, b)
    return ops.reshape(a, (-1, 1)) * ops.reshape(b, (1, -1))


def kron(a: Any, b: Any) -> Tensor:
    """Kronecker product of matrices (or of arrays with equally many axes)."""
    a, b = ops.as_tensors(a, b)
    rank = builtins.max(a.ndim, b.ndim)
    a = ops.reshape(a, (1,) * (rank - a.ndim) + a.shape)
    b = ops.reshape(b, (1,) * (rank - b.ndim) + b.shape)
    wide = ops.reshape(a, [n for m in a.shape for n in (m, 1)]) * ops.reshape(b, [n for m in b.shape for n in (1, m)])
    return ops.reshape(wide, [m * n for m, n in zip(a.shape, b.shape, strict=True)])


# -- shapes ---------------------------------------------------------------------------------------------------------------------------


def ravel(x: Any) -> Tensor:
    return ops.reshape(x, (-1,))


def matrix_transpose(x: Any) -> Tensor:
    return ops.swapaxes(x, -1, -2)


permute_dims = ops.transpose


def rot90(x: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Turned by k quarters from the first axis towards the second."""
    x, k = as_tensor(x), arguments.whole("rot90: k", k)
    plane = axes_of(x, arguments.wholes("rot90: axes", axes), ordered=True)
    if len(plane) != 2:
        raise arguments.refused("rot90: axes", "two axes", axes)
    first, second = plane
    if k % 2 == 0:
        return ops.flip(x, plane) if k % 4 else x
    x = ops.swapaxes(x, first, second)
    return ops.flip(x, first if k % 4 == 1 else second)


def broadcast_arrays(*arrays: Any) -> tuple[Tensor, ...]:
    """All of them in their joint shape."""
    parts = ops.as_tensors(*arrays)
    shape = ops.joint_shape("broadcast_arrays", *(x.shape for x in parts))
    return tuple(ops.broadcast_to(x, shape) for x in parts)


def meshgrid(*vectors: Any, indexing: str = "xy") -> tuple[Tensor, ...]:
    """The coordinates of a grid, an array for each vector; "xy" puts the first along the columns, "ij" along the rows."""
    arguments.choice("meshgrid: indexing", indexing, ("xy", "ij"))
    count = len(vectors)
    order = [1, 0, *range(2, count)] if indexing == "xy" and count > 1 else list(range(count))
    lined = [ops.reshape(x, [-1 if i == place else 1 for i in range(count)]) for x, place in zip(vectors, order, strict=True)]
    return broadcast_arrays(*lined)


def append(x: Any, values: Any, axis: int | None = None) -> Tensor:
    return ops.concatenate([x, values], axis)


def delete(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Without the slices at the given places."""
    x = as_tensor(x)
    if axis is None:
        x, axis = ravel(x), 0
    places = numpy.arange(x.shape[axis_of(x, axis)])
    try:
        left = numpy.delete(places, indices if isinstance(indices, slice) else host.host_array(indices))
    except IndexError as error:
        raise IndexRangeError(f"delete: indices: {error}") from error
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"delete: indices must be whole numbers, a slice or a mask: {error}") from error
    return ops.take(x, left, axis)


def tile(x: Any, reps: int | Sequence[int]) -> Tensor:
    """The array repeated as blocks along its axes."""
    x = as_tensor(x)
    times = arguments.shape("tile: reps", reps)
    times = (1,) * (x.ndim - len(times)) + times
    shape = (1,) * (len(times) - x.ndim) + x.shape
    blocks = ops.broadcast_to(
        ops.reshape(x, [n for m in shape for n in (1, m)]), [n for pair in zip(times, shape, strict=True) for n in pair]
    )
    return ops.reshape(blocks, [t * m for t, m in zip(times, shape, strict=True)])


def repeat(x: Any, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each slice along an axis several times in a row."""
    x = as_tensor(x)
    if axis is None:
        x, axis = ravel(x), 0
    try:
        places = numpy.repeat(numpy.arange(x.shape[axis_of(x, axis)]), host.host_array(repeats))
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"repeat: repeats must be whole numbers, 0 or more, one or one for each slice: {error}") from error
    return ops.take(x, places, axis)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of two axes, as the last axis."""
    x, offset = as_tensor(x), arguments.whole("diagonal: offset", offset)
    x = ops.moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    offset = builtins.max(-rows, builtins.min(offset, columns))
    n = builtins.max(0, builtins.min(rows + builtins.min(offset, 0), columns - builtins.max(offset, 0)))
    line = numpy.arange(n)
    return ops.getitem(x, (..., line - builtins.min(offset, 0), line + builtins.max(offset, 0)))


def diag(x: Any, k: int = 0) -> Tensor:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix."""
    x, k = as_tensor(x), arguments.whole("diag: k", k)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag: needs a vector or a matrix, got shape {x.shape}")
    n = x.shape[0] + builtins.abs(k)
    arguments.shape("diag: the matrix", (n, n))
    line = numpy.arange(x.shape[0])
    rows, columns = (x._backend.from_host(line + builtins.max(s * k, 0)) for s in (-1, 1))
    return ops.scatter(x, (rows, columns), (n, n))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return ops.sum(diagonal(x, offset, axis1, axis2), -1)


def array_split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """As split, but a number of parts need not divide the axis: the first ones are one longer."""
    if not arguments.is_one(indices_or_sections):
        return ops.split(x, indices_or_sections, axis)
    x, parts = as_tensor(x), arguments.size("array_split: indices_or_sections", indices_or_sections, 1)
    each, longer = divmod(x.shape[axis_of(x, axis)], parts)
    return ops.split(x, [i * each + builtins.min(i, longer) for i in range(1, parts)], axis)


def atleast_1d(x: Any) -> Tensor:
    x = as_tensor(x)
    return ops.reshape(x, (1,)) if x.ndim == 0 else x


def atleast_2d(x: Any) -> Tensor:
    x = atleast_1d(x)
    return ops.reshape(x, (1, -1)) if x.ndim == 1 else x


def vstack(arrays: Sequence[Any]) -> Tensor:
    return ops.concatenate([atleast_2d(x) for x in arguments.several("vstack: arrays", arrays)], 0)


def hstack(arrays: Sequence[Any]) -> Tensor:
    parts = [atleast_1d(x) for x in arguments.several("hstack: arrays", arrays)]
    return ops.concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1)


def dstack(arrays: Sequence[Any]) -> Tensor:
    parts = [atleast_2d(x) for x in arguments.several("dstack: arrays", arrays)]
    return ops.concatenate([ops.expand_dims(x, 2) if x.ndim == 2 else x for x in parts], 2)


def column_stack(arrays: Sequence[Any]) -> Tensor:
    """Vectors as the columns of a matrix."""
    parts = [atleast_1d(x) for x in arguments.several("column_stack: arrays", arrays)]
    return ops.concatenate([ops.expand_dims(x, 1) if x.ndim == 1 else x for x in parts], 1)


def hsplit(x: Any, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    x = as_tensor(x)
    return ops.split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


def vsplit(x: Any, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    return ops.split(x, indices_or_sections, 0)


def fliplr(x: Any) -> Tensor:
    return ops.flip(x, 1)


def flipud(x: Any) -> Tensor:
    return ops.flip(x, 0)


def stop_gradient(x: Any) -> Tensor:
    """The value as a constant: no residual passes."""
    return as_tensor(x).detach()


# -- linear algebra -------------------------------------------------------------------------------------------------------------------


@_not_in_half
def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Vector and Frobenius norms, as ``numpy.linalg.norm`` (orders None, "fro", ±inf, 0, and p over one axis; 1 and ±inf of matrices).
    At 0 the derivative is 0."""
    ord = arguments.order("norm: ord", ord)
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
        raise ArgumentError(f"norm: order {ord!r} of a matrix needs singular values; use None, 'fro', ±1 or ±inf")
    rows, columns = axes
    summed, over = (rows, columns) if builtins.abs(ord) == 1 else (columns, rows)
    sums = ops.sum(ops.abs(x), summed, keepdims=True)
    y = (ops.max if ord > 0 else ops.min)(sums, over, keepdims=True)
    return y if keepdims else ops.squeeze(y, axes)


def inv(a: Any) -> Tensor:
    """The inverse of each matrix of a stack: the solution of A X = 1.

    Raises:
        LinearAlgebraError: a matrix is singular.
    """
    a = as_float(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"inv: needs square matrices, got shape {a.shape}")
    return ops.solve(a, ops.identity_like(a))


def matrix_power(a: Any, n: int) -> Tensor:
    """n copies of each matrix multiplied, by squaring; the inverse for a negative n."""
    n = arguments.whole("matrix_power: n", n)
    a = inv(a) if n < 0 else as_tensor(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"matrix_power: needs square matrices, got shape {a.shape}")
    y = None
    for bit in reversed(f"{builtins.abs(n):b}"):
        if bit == "1":
            y = a if y is None else ops.matmul(y, a)
        a = ops.matmul(a, a)
    return ops.identity_like(a) if y is None else y


# -- losses ---------------------------------------------------------------------------------------------------------------------------


_REDUCTIONS = ("mean", "sum", "none")


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    arguments.choice("reduction", reduction, _REDUCTIONS)
    if reduction == "none":
        return losses
    return ops.sum(losses) if reduction == "sum" else losses.mean()


def _same_shape(name: str, prediction: Any, target: Any) -> tuple[Tensor, Tensor]:
    prediction, target = ops.as_tensors(prediction, target)
    if prediction.shape != target.shape:
        raise ShapeError(f"{name}: prediction has shape {prediction.shape}, target {target.shape}: they must be equal")
    return (prediction if target.dtype.kind == "f" else as_float(prediction)), target  # whole numbers may have no negative ones


def mse_loss(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """(ŷ − y)²."""
    prediction, target = _same_shape("mse_loss", prediction, target)
    return _reduced(square(prediction - target), reduction)


def l1_loss(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """|ŷ − y|."""
    prediction, target = _same_shape("l1_loss", prediction, target)
    return _reduced(ops.abs(prediction - target), reduction)


def huber_loss(prediction: Any, target: Any, delta: float = 1.0, reduction: str = "mean") -> Tensor:
    """½ d² within delta, delta (|d| − ½ delta) beyond (Huber 1964)."""
    prediction, target = _same_shape("huber_loss", prediction, target)
    delta = arguments.positive("huber_loss: delta", delta)
    distance = ops.abs(prediction - target)
    return _reduced(ops.where(distance <= delta, 0.5 * distance * distance, delta * (distance - 0.5 * delta)), reduction)


def bce_with_logits(logits: Any, target: Any, reduction: str = "mean", pos_weight: Any = None) -> Tensor:
    """−[y log σ(z) + (1 − y) log(1 − σ(z))] = (1 − y) z + softplus(−z), stable for every z.

    Args:
        logits: z, of any shape.
        target: y, from 0 to 1, of the same shape.
        reduction: "mean", "sum" or "none".
        pos_weight: what y log σ(z) is multiplied by; of a shape that broadcasts to that of the logits.

    Raises:
        ShapeError: the shapes do not fit.
    """
    logits, target = _same_shape("bce_with_logits", logits, target)
    weight: Any = 1
    if pos_weight is not None:
        pos_weight = as_float(pos_weight)
        if ops.joint_shape("bce_with_logits: pos_weight", pos_weight.shape, logits.shape) != logits.shape:
            raise ShapeError(f"bce_with_logits: pos_weight has shape {pos_weight.shape}, which does not broadcast to {logits.shape}")
        weight = 1 + (pos_weight - 1) * target
    return _reduced((1 - target) * logits + weight * ops.softplus(-logits), reduction)


def cross_entropy(
    logits: Any, target: Any, axis: int = -1, reduction: str = "mean", ignore_index: int | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """−log softmax(logits) at the target.

    Args:
        logits: (..., classes, ...), the classes along ``axis`` (the last by default).
        target: class numbers, of the shape without ``axis``; or probabilities, of the same shape.
        reduction: "mean" over the targets that count, "sum" (the source's loss) or "none".
        ignore_index: a class number that does not count; only where the target is class numbers.
        label_smoothing: that share of the target spread evenly over all classes.

    Raises:
        IndexRangeError: a class number is none of the classes and not ``ignore_index``. On a device, where nobody looks, the loss is NaN.
        ShapeError, DtypeError: logits and target do not fit.
        ArgumentError: an ``ignore_index`` for probabilities.
    """
    logits, target = ops.as_tensors(logits, target)
    if logits.ndim == 0:
        raise ShapeError("cross_entropy: logits need an axis of classes")
    axis = axis_of(logits, axis)
    classes = logits.shape[axis]
    label_smoothing = arguments.probability("cross_entropy: label_smoothing", label_smoothing)
    arguments.choice("cross_entropy: reduction", reduction, _REDUCTIONS)
    if logits._data.dtype is HALF:  # as _not_in_half does
        single = ops.astype(logits, numpy.float32)
        return ops.astype(cross_entropy(single, target, axis, reduction, ignore_index, label_smoothing), HALF)
    if target.dtype.kind == "f":
        if ignore_index is not None:
            raise ArgumentError("cross_entropy: ignore_index names a class number, and the target is probabilities: leave it out")
        if target.shape != logits.shape:
            raise ShapeError(f"cross_entropy: probabilities have shape {target.shape}, logits {logits.shape}; class numbers must be ints")
        target = target * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else target
        return _reduced_over(-ops.sum(target * log_softmax(logits, axis), axis), None, reduction)
    _check_classes("cross_entropy", target, logits, axis)
    counted = None if ignore_index is None else target != arguments.whole("cross_entropy: ignore_index", ignore_index)
    chosen = target if counted is None else ops.where(counted, target, 0)
    advice = "; a number for targets that do not count is named by ignore_index="
    chosen = ops.check_range("cross_entropy: the class number", chosen, classes, 0, advice)
    logits, chosen = as_float(logits), ops.expand_dims(chosen, axis)
    if axis == logits.ndim - 1 and logits.size >= _MANY and not thread.tracing:
        from .sequence.rows import by_rows  # only those who have much to do need a compiler

        losses = by_rows("cross_entropy", _class_losses, (logits, chosen), (-1, label_smoothing))
    else:
        losses = _class_losses(logits, chosen, axis, label_smoothing)
    losses = ops.squeeze(ops.nan_outside(losses, chosen, classes), axis)
    return _reduced_over(losses if counted is None else ops.where(counted, losses, 0), counted, reduction)


_MANY = 1 << 13
"""Elements from which a kernel for all operations of a row pays."""


def _check_classes(name: str, target: Tensor, scores: Tensor, axis: int) -> None:
    """Whether targets are whole numbers, one where scores have an axis of classes."""
    expected = tuple(n for i, n in enumerate(scores.shape) if i != axis)
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{name}: class numbers are whole, got dtype {target.dtype}")
    if target.shape != expected:
        raise ShapeError(f"{name}: class numbers have shape {target.shape}, scores of shape {scores.shape} need {expected}")


def _class_losses(logits: Tensor, chosen: Tensor, axis: int, label_smoothing: float) -> Tensor:
    """log Σ exp(z) − z at the class: the other log-probabilities are never made."""
    shifted = logits - ops.max(logits, axis, keepdims=True).detach()
    picked = ops.pick(shifted, chosen, axis)
    if label_smoothing:
        picked = (1 - label_smoothing) * picked + label_smoothing * shifted.mean(axis, keepdims=True)
    return ops.log(ops.sum(ops.exp(shifted), axis, keepdims=True)) - picked


def _reduced_over(losses: Tensor, counted: Tensor | None, reduction: str) -> Tensor:
    if reduction == "mean" and counted is not None:
        return ops.sum(losses) / ops.sum(ops.astype(counted, losses.dtype))
    return _reduced(losses, reduction)


def nll_loss(log_probabilities: Any, target: Any, axis: int = -1, reduction: str = "mean") -> Tensor:
    """−log p at the target, from log probabilities.

    Raises:
        IndexRangeError: a class number is none of the classes. On a device, where nobody looks, the loss is NaN.
    """
    logs, target = ops.as_tensors(log_probabilities, target)
    logs, axis = as_float(logs), axis_of(logs, axis)
    _check_classes("nll_loss", target, logs, axis)
    advice = "; what does not count is left out by cross_entropy(…, ignore_index=)"
    chosen = ops.expand_dims(ops.check_range("nll_loss: the class number", target, logs.shape[axis], 0, advice), axis)
    losses = ops.nan_outside(-ops.pick(logs, chosen, axis), chosen, logs.shape[axis])
    return _reduced(ops.squeeze(losses, axis), reduction)


def one_hot(indices: Any, classes: int, dtype: Any = None) -> Tensor:
    """1 at the index, 0 elsewhere, along a new last axis.

    Raises:
        IndexRangeError: an index is none of the classes. On a device, where nobody looks, all its elements are 0.
    """
    classes = arguments.size("one_hot: classes", classes)
    dtype = host.default_dtype if dtype is None else arguments.dtype("one_hot: dtype", dtype)
    backend = indices._backend if isinstance(indices, Tensor) else backends.current()
    indices = ops.indices_of("one_hot: the index", backend, indices, classes, 0, kinds="iub")
    positions = Tensor(indices._backend.arange(classes), indices._backend)
    return ops.astype(ops.expand_dims(indices, -1) == positions, dtype)


for _method in (cumprod, diagonal, dot, prod, repeat, round, std, trace, var):
    setattr(Tensor, _method.__name__, _method)

__all__ = [
    "allclose",
    "append",
    "around",
    "array_split",
    "atleast_1d",
    "atleast_2d",
    "average",
    "bce_with_logits",
    "broadcast_arrays",
    "column_stack",
    "convolve",
    "count_nonzero",
    "cross",
    "cross_entropy",
    "cumprod",
    "deg2rad",
    "degrees",
    "delete",
    "diag",
    "diagonal",
    "diff",
    "dot",
    "dstack",
    "elu",
    "fabs",
    "fliplr",
    "flipud",
    "fmax",
    "fmin",
    "gelu",
    "hard_sigmoid",
    "hardtanh",
    "hsplit",
    "hstack",
    "huber_loss",
    "inner",
    "interp",
    "isclose",
    "kron",
    "l1_loss",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "logaddexp2",
    "logsumexp",
    "matrix_transpose",
    "mean",
    "median",
    "meshgrid",
    "mse_loss",
    "nan_to_num",
    "nanmax",
    "nanmean",
    "nanmin",
    "nansum",
    "nll_loss",
    "norm",
    "one_hot",
    "outer",
    "percentile",
    "permute_dims",
    "positive",
    "prod",
    "ptp",
    "quantile",
    "rad2deg",
    "radians",
    "ravel",
    "remainder",
    "repeat",
    "rot90",
    "round",
    "select",
    "silu",
    "sinc",
    "softmax",
    "softsign",
    "square",
    "std",
    "stop_gradient",
    "tensordot",
    "tile",
    "trace",
    "trapezoid",
    "true_divide",
    "var",
    "vdot",
    "vecdot",
    "vsplit",
    "vstack",
]
