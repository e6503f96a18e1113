"""Functions without a rule of their own: built from the rows, so their derivatives of every order follow.

Division is weighting by a reciprocal. Losses default to the mean as elsewhere; ``reduction="sum"`` is the source's loss, summed over all
samples and all time steps.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy

from . import ops, tape
from .errors import DtypeError, ShapeError
from .ops import Axis, as_float, as_tensor, axes_of, axis_of
from .tensor import Tensor

# -- arithmetic -----------------------------------------------------------------------------------------------------------------------


def divide(x1: Any, x2: Any) -> Tensor:
    """x1 / x2: weighting by a reciprocal."""
    return as_tensor(x1) / x2


true_divide = divide


def floor_divide(x1: Any, x2: Any) -> Tensor:
    return as_tensor(x1) // x2


def mod(x1: Any, x2: Any) -> Tensor:
    """The remainder with the sign of x2."""
    return as_tensor(x1) % x2


remainder = mod


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
    return ops.where(x > 0, x, alpha * ops.expm1(x))


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
    top = float(numpy.finfo(x.dtype).max)
    return ops.where(ops.isnan(x), nan, ops.clip(x, -top, top))


# -- reductions -----------------------------------------------------------------------------------------------------------------------


def _count(x: Tensor, axis: Axis) -> int:
    return math.prod(x.shape[i] for i in axes_of(x, axis))


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return as_float(x).mean(axis, keepdims)


def average(x: Any, axis: int | None = None, weights: Any = None) -> Tensor:
    """The weighted mean."""
    if weights is None:
        return mean(x, axis)
    weights = as_float(weights)
    if axis is not None and weights.ndim == 1:
        x = as_tensor(x)
        weights = ops.reshape(weights, [-1 if i == axis_of(x, axis) else 1 for i in range(x.ndim)])
    return ops.sum(as_tensor(x) * weights, axis) / ops.sum(ops.broadcast_to(weights, as_tensor(x).shape), axis)


def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """Mean square distance from the mean, over n − ddof."""
    x = as_float(x)
    centred = x - mean(x, axis, keepdims=True)
    return ops.sum(centred * centred, axis, keepdims=keepdims) / (_count(x, axis) - ddof)


def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """Root of the variance; where that is 0, so is the derivative."""
    return safe_sqrt(var(x, axis, ddof, keepdims))


def safe_sqrt(x: Tensor) -> Tensor:
    """√x with the derivative 0 at 0, of every order."""
    zero = x == 0
    return ops.where(zero, 0, ops.sqrt(ops.where(zero, 1, x)))


def ptp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.max(x, axis, keepdims) - ops.min(x, axis, keepdims)


def _last(x: Tensor, index: Any) -> Tensor:
    return ops.getitem(x, (..., index))


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Product over axes as a tree of weightings, so zeros need no care."""
    x = as_tensor(x)
    axes = axes_of(x, axis)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape)) if keepdims else None
    rest = [i for i in range(x.ndim) if i not in axes]
    lined = ops.transpose(x, (*rest, *axes))
    y = ops.reshape(lined, (*(x.shape[i] for i in rest), math.prod(x.shape[i] for i in axes)))
    if y.dtype == numpy.bool_:
        y = ops.astype(y, numpy.int64)
    if y.shape[-1] == 0:
        return ops.sum(y, -1) + 1 if kept is None else ops.reshape(ops.sum(y, -1) + 1, kept)
    while y.shape[-1] > 1:
        half = y.shape[-1] // 2
        pairs = _last(y, slice(0, half)) * _last(y, slice(half, 2 * half))
        y = pairs if 2 * half == y.shape[-1] else ops.concatenate([pairs, _last(y, slice(2 * half, None))], -1)
    return _last(y, 0) if kept is None else ops.reshape(y, kept)


def cumprod(x: Any, axis: int | None = None) -> Tensor:
    """Running product by doubling strides: log₂ n weightings."""
    x = as_tensor(x)
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
    for _ in range(n):
        x = ops.getitem(x, (*lead, slice(1, None))) - ops.getitem(x, (*lead, slice(None, -1)))
    return x


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(x), shifted by the maximum."""
    x = as_float(x)
    top = ops.max(x, axis, keepdims=True).detach()
    top = ops.where(ops.isfinite(top), top, 0)
    y = ops.log(ops.sum(ops.exp(x - top), axis, keepdims=True)) + top
    return y if keepdims else ops.squeeze(y, axes_of(x, axis))


def softmax(x: Any, axis: Axis = -1) -> Tensor:
    """exp(x) / Σ exp(x)."""
    x = as_float(x)
    weights = ops.exp(x - ops.max(x, axis, keepdims=True).detach())
    return weights / ops.sum(weights, axis, keepdims=True)


def log_softmax(x: Any, axis: Axis = -1) -> Tensor:
    """x − log Σ exp(x)."""
    x = as_float(x)
    shifted = x - ops.max(x, axis, keepdims=True).detach()
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis, keepdims=True))


# -- products -------------------------------------------------------------------------------------------------------------------------


def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    """Sum over the last ``axes`` axes of a and the first of b, or over two lists of axes."""
    a, b = ops._with_partner(a, b)
    if isinstance(axes, (int, numpy.integer)):
        ours, theirs = list(range(a.ndim - int(axes), a.ndim)), list(range(int(axes)))
    else:
        ours, theirs = ([side] if isinstance(side, int) else list(side) for side in axes)
    ours, theirs = [axis_of(a, i) for i in ours], [axis_of(b, i) for i in theirs]
    if [a.shape[i] for i in ours] != [b.shape[i] for i in theirs]:
        raise ShapeError(f"tensordot: axes {ours} of shape {a.shape} do not match axes {theirs} of shape {b.shape}")
    kept_a = [i for i in range(a.ndim) if i not in ours]
    kept_b = [i for i in range(b.ndim) if i not in theirs]
    inner_size = math.prod(a.shape[i] for i in ours)
    rows = math.prod(a.shape[i] for i in kept_a)
    columns = math.prod(b.shape[i] for i in kept_b)
    left = ops.reshape(ops.transpose(a, (*kept_a, *ours)), (rows, inner_size))
    right = ops.reshape(ops.transpose(b, (*theirs, *kept_b)), (inner_size, columns))
    return ops.reshape(ops.matmul(left, right), (*(a.shape[i] for i in kept_a), *(b.shape[i] for i in kept_b)))


def dot(a: Any, b: Any) -> Tensor:
    """As ``numpy.dot``."""
    a, b = ops._with_partner(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return ops.matmul(a, b) if b.ndim == 1 or (a.ndim <= 2 and b.ndim <= 2) else tensordot(a, b, ([-1], [-2]))


def inner(a: Any, b: Any) -> Tensor:
    """Sum over the last axes of both."""
    a, b = ops._with_partner(a, b)
    return a * b if a.ndim == 0 or b.ndim == 0 else tensordot(a, b, ([-1], [-1]))


def vdot(a: Any, b: Any) -> Tensor:
    return ops.sum(ops.reshape(a, (-1,)) * ops.reshape(b, (-1,)))


def outer(a: Any, b: Any) -> Tensor:
    """Every element of a times every element of b."""
    return ops.reshape(a, (-1, 1)) * ops.reshape(b, (1, -1))


def kron(a: Any, b: Any) -> Tensor:
    """Kronecker product of matrices (or of arrays with equally many axes)."""
    a, b = ops._with_partner(a, b)
    rank = builtins.max(a.ndim, b.ndim)
    a = ops.reshape(a, (1,) * (rank - a.ndim) + a.shape)
    b = ops.reshape(b, (1,) * (rank - b.ndim) + b.shape)
    wide = ops.reshape(a, [n for m in a.shape for n in (m, 1)]) * ops.reshape(b, [n for m in b.shape for n in (1, m)])
    return ops.reshape(wide, [m * n for m, n in zip(a.shape, b.shape, strict=True)])


# -- shapes ---------------------------------------------------------------------------------------------------------------------------


def ravel(x: Any) -> Tensor:
    return ops.reshape(x, (-1,))


def tile(x: Any, reps: int | Sequence[int]) -> Tensor:
    """The array repeated as blocks along its axes."""
    x = as_tensor(x)
    times = (reps,) if isinstance(reps, int) else tuple(reps)
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
    return ops.take(x, numpy.repeat(numpy.arange(x.shape[axis]), numpy.asarray(repeats)), axis)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of two axes, as the last axis."""
    x = as_tensor(x)
    x = ops.moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    n = builtins.max(0, builtins.min(rows + builtins.min(offset, 0), columns - builtins.max(offset, 0)))
    line = numpy.arange(n)
    return ops.getitem(x, (..., line - builtins.min(offset, 0), line + builtins.max(offset, 0)))


def diag(x: Any, k: int = 0) -> Tensor:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix."""
    x = as_tensor(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag: needs a vector or a matrix, got shape {x.shape}")
    n = x.shape[0] + builtins.abs(k)
    line = numpy.arange(x.shape[0])
    rows, columns = (x._backend.from_host(line + builtins.max(s * k, 0)) for s in (-1, 1))
    return ops.scatter(x, (rows, columns), (n, n))


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return ops.sum(diagonal(x, offset, axis1, axis2), -1)


def array_split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """As split, but a number of parts need not divide the axis: the first ones are one longer."""
    if not isinstance(indices_or_sections, int):
        return ops.split(x, indices_or_sections, axis)
    x = as_tensor(x)
    each, longer = divmod(x.shape[axis_of(x, axis)], indices_or_sections)
    return ops.split(x, [i * each + builtins.min(i, longer) for i in range(1, indices_or_sections)], axis)


def atleast_1d(x: Any) -> Tensor:
    x = as_tensor(x)
    return ops.reshape(x, (1,)) if x.ndim == 0 else x


def atleast_2d(x: Any) -> Tensor:
    x = atleast_1d(x)
    return ops.reshape(x, (1, -1)) if x.ndim == 1 else x


def vstack(arrays: Sequence[Any]) -> Tensor:
    return ops.concatenate([atleast_2d(x) for x in arrays], 0)


def hstack(arrays: Sequence[Any]) -> Tensor:
    parts = [atleast_1d(x) for x in arrays]
    return ops.concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1)


def fliplr(x: Any) -> Tensor:
    return ops.flip(x, 1)


def flipud(x: Any) -> Tensor:
    return ops.flip(x, 0)


def stop_gradient(x: Any) -> Tensor:
    """The value as a constant: no residual passes."""
    return as_tensor(x).detach()


# -- linear algebra -------------------------------------------------------------------------------------------------------------------


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Vector and Frobenius norms, as ``numpy.linalg.norm`` (orders None, "fro", ±inf, 0, and p over one axis; 1 and ±inf of matrices).
    At 0 the derivative is 0."""
    x = as_float(x)
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
        raise ShapeError(f"norm: order {ord!r} of a matrix needs singular values; use None, 'fro', ±1 or ±inf")
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


# -- losses ---------------------------------------------------------------------------------------------------------------------------


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return ops.sum(losses)
    if reduction == "mean":
        return losses.mean()
    raise ShapeError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")


def _same_shape(name: str, prediction: Any, target: Any) -> tuple[Tensor, Tensor]:
    prediction, target = ops._with_partner(prediction, target)
    if prediction.shape != target.shape:
        raise ShapeError(f"{name}: prediction has shape {prediction.shape}, target {target.shape}: they must be equal")
    return prediction, target


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
    distance = ops.abs(prediction - target)
    return _reduced(ops.where(distance <= delta, 0.5 * distance * distance, delta * (distance - 0.5 * delta)), reduction)


def bce_with_logits(logits: Any, target: Any, reduction: str = "mean", pos_weight: Any = None) -> Tensor:
    """−[y log σ(z) + (1 − y) log(1 − σ(z))] = (1 − y) z + softplus(−z), stable for every z."""
    logits, target = _same_shape("bce_with_logits", logits, target)
    weight = 1 if pos_weight is None else 1 + (as_tensor(pos_weight) - 1) * target
    return _reduced((1 - target) * logits + weight * ops.softplus(-logits), reduction)


def cross_entropy(
    logits: Any, target: Any, axis: int = -1, reduction: str = "mean", ignore_index: int | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """−log softmax(logits) at the target.

    Args:
        logits: (..., classes, ...), the classes along ``axis`` (the last by default).
        target: class numbers, of the shape without ``axis``; or probabilities, of the same shape.
        reduction: "mean" over the targets that count, "sum" (the source's loss) or "none".
        ignore_index: a class number that does not count.
        label_smoothing: that share of the target spread evenly over all classes.
    """
    logits, target = ops._with_partner(logits, target)
    if logits.ndim == 0:
        raise ShapeError("cross_entropy: logits need an axis of classes")
    axis = axis_of(logits, axis)
    logs = log_softmax(logits, axis)
    if target.dtype.kind == "f":
        if target.shape != logits.shape:
            raise ShapeError(f"cross_entropy: probabilities have shape {target.shape}, logits {logits.shape}; class numbers must be ints")
        classes = logits.shape[axis]
        target = target * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else target
        return _reduced_over(-ops.sum(target * logs, axis), None, reduction)
    expected = tuple(n for i, n in enumerate(logits.shape) if i != axis)
    if target.dtype.kind not in "iu":
        raise DtypeError(f"cross_entropy: class numbers are whole, got dtype {target.dtype}")
    if target.shape != expected:
        raise ShapeError(f"cross_entropy: class numbers have shape {target.shape}, logits {logits.shape} need {expected}")
    counted = None if ignore_index is None else target != ignore_index
    chosen = target if counted is None else ops.where(counted, target, 0)
    losses = -ops.squeeze(ops.take_along_axis(logs, ops.expand_dims(chosen, axis), axis), axis)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * logs.mean(axis)
    return _reduced_over(losses if counted is None else ops.where(counted, losses, 0), counted, reduction)


def _reduced_over(losses: Tensor, counted: Tensor | None, reduction: str) -> Tensor:
    if reduction == "mean" and counted is not None:
        return ops.sum(losses) / ops.sum(ops.astype(counted, losses.dtype))
    return _reduced(losses, reduction)


def nll_loss(log_probabilities: Any, target: Any, axis: int = -1, reduction: str = "mean") -> Tensor:
    """−log p at the target, from log probabilities."""
    logs, target = ops._with_partner(log_probabilities, target)
    axis = axis_of(logs, axis)
    return _reduced(-ops.squeeze(ops.take_along_axis(logs, ops.expand_dims(target, axis), axis), axis), reduction)


def one_hot(indices: Any, classes: int, dtype: Any = None) -> Tensor:
    """1 at the index, 0 elsewhere, along a new last axis."""
    indices = as_tensor(indices)
    positions = Tensor(indices._backend.arange(classes), indices._backend)
    return ops.astype(ops.expand_dims(indices, -1) == positions, dtype or tape.default_dtype)


__all__ = [
    "array_split",
    "atleast_1d",
    "atleast_2d",
    "average",
    "bce_with_logits",
    "cross_entropy",
    "cumprod",
    "diag",
    "diagonal",
    "diff",
    "divide",
    "dot",
    "elu",
    "fliplr",
    "flipud",
    "floor_divide",
    "gelu",
    "hard_sigmoid",
    "hardtanh",
    "hstack",
    "huber_loss",
    "inner",
    "kron",
    "l1_loss",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "mean",
    "mod",
    "mse_loss",
    "nan_to_num",
    "nll_loss",
    "norm",
    "one_hot",
    "outer",
    "positive",
    "prod",
    "ptp",
    "ravel",
    "remainder",
    "repeat",
    "silu",
    "softmax",
    "softsign",
    "square",
    "std",
    "stop_gradient",
    "tensordot",
    "tile",
    "trace",
    "true_divide",
    "var",
    "vdot",
    "vstack",
]
