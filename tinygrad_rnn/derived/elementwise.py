"""Functions of elements: arithmetic, activations, choices between values."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy

from .. import arguments, ops
from ..errors import ShapeError
from ..ops import ArrayLike, as_float, as_tensor
from ..ops import divide as true_divide
from ..ops import mod as remainder
from ..tape import composed
from ..tensor import Tensor

# -- arithmetic ---------------------------------------------------------------------------------------


def square(x: ArrayLike) -> Tensor:
    """x².

    >>> tg.square([1.0, 3.0])
    tensor([1., 9.], dtype=float32)
    """
    return ops.multiply(x, x)


def positive(x: ArrayLike) -> Tensor:
    """x itself, as a tensor.

    >>> tg.positive([1.0, -2.0])
    tensor([ 1., -2.], dtype=float32)
    """
    return as_tensor(x)


@composed
def fmax(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The larger one; the other where one is NaN.

    >>> tg.fmax([1.0, tg.nan], 0.5)
    tensor([1. , 0.5], dtype=float32)
    """
    x1, x2 = ops.as_tensors(x1, x2)
    return ops.maximum(ops.where(ops.isnan(x1), x2, x1), ops.where(ops.isnan(x2), x1, x2))


@composed
def fmin(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """The smaller one; the other where one is NaN.

    >>> tg.fmin([1.0, tg.nan], 0.5)
    tensor([0.5, 0.5], dtype=float32)
    """
    x1, x2 = ops.as_tensors(x1, x2)
    return ops.minimum(ops.where(ops.isnan(x1), x2, x1), ops.where(ops.isnan(x2), x1, x2))


def fabs(x: ArrayLike) -> Tensor:
    """The distance from 0, as a float.

    >>> tg.fabs([-1, 2])
    tensor([1., 2.], dtype=float64)
    """
    return ops.abs(as_float(x))


def degrees(x: ArrayLike) -> Tensor:
    """Radians in degrees.

    >>> print(f"{tg.degrees(tg.pi):.1f}")
    180.0
    """
    return as_float(x) * (180 / math.pi)


def radians(x: ArrayLike) -> Tensor:
    """Degrees in radians.

    >>> print(f"{tg.radians(180.0):.3f}")
    3.142
    """
    return as_float(x) * (math.pi / 180)


rad2deg = degrees
deg2rad = radians


@composed
def sinc(x: ArrayLike) -> Tensor:
    """sin(πx) / πx, by its series where that is 0 / 0.

    >>> tg.sinc(0.0)
    tensor(1., dtype=float32)
    """
    x = as_float(x) * math.pi
    near = ops.abs(x) < 1e-3
    far = ops.where(near, 1, x)
    return ops.where(near, 1 - x * x / 6 * (1 - x * x / 20), ops.sin(far) / far)


@composed
def logaddexp2(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """log₂(2^x1 + 2^x2).

    >>> print(f"{tg.logaddexp2(3.0, 3.0):.3f}")
    4.000
    """
    return ops.logaddexp(as_float(x1) * math.log(2), as_float(x2) * math.log(2)) * (1 / math.log(2))


def round(x: ArrayLike, decimals: int = 0) -> Tensor:
    """To even at halves. It moves in jumps: no residual passes.

    >>> tg.round([0.5, 1.5, 2.25])
    tensor([0., 2., 2.], dtype=float32)
    """
    x, decimals = as_tensor(x), arguments.whole("round: decimals", decimals)
    if x.dtype.kind != "f":
        return x if decimals >= 0 else ops.astype(round(ops.astype(x, numpy.float64), decimals), x.dtype)
    if decimals == 0:
        return ops.rint(x)
    if abs(decimals) > 308:
        raise arguments.refused("round: decimals", "a whole number from -308 to 308", decimals)
    scale = 10.0 ** abs(decimals)
    return ops.rint(x * scale) / scale if decimals > 0 else ops.rint(x / scale) * scale


around = round


@composed
def nan_to_num(x: ArrayLike, nan: float = 0.0) -> Tensor:
    """NaN replaced by a number, infinities by the largest ones.

    >>> tg.nan_to_num([1.0, tg.nan])
    tensor([1., 0.], dtype=float32)
    """
    x = as_tensor(x)
    if x.dtype.kind != "f":
        return x
    top = float(numpy.finfo(x.dtype).max)
    return ops.where(ops.isnan(x), nan, ops.clip(x, -top, top))


def safe_sqrt(x: Tensor) -> Tensor:
    """√x with the derivative 0 at 0, of every order."""
    zero = x == 0
    return ops.where(zero, 0, ops.sqrt(ops.where(zero, 1, x)))


# -- comparing and choosing ---------------------------------------------------------------------------


def isclose(a: ArrayLike, b: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8) -> Tensor:
    """Where ``|a − b| ≤ atol + rtol · |b|``.

    >>> tg.isclose([1.0, 2.0], [1.000001, 2.1])
    tensor([ True, False], dtype=bool)
    """
    a, b = ops.as_tensors(a, b)
    return (a == b) | (ops.isfinite(b) & (ops.abs(a - b) <= atol + rtol * ops.abs(b)))


def allclose(a: ArrayLike, b: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """Whether all elements are close, as :func:`isclose` has it.

    >>> tg.allclose([1.0, 2.0], [1.0, 2.000001])
    True
    """
    return bool(ops.all(isclose(a, b, rtol, atol)))


def select(conditions: Iterable[ArrayLike], choices: Iterable[ArrayLike], default: ArrayLike = 0) -> Tensor:
    """The choice of the first condition that holds.

    >>> x = tg.tensor([-2.0, 0.5, 3.0])
    >>> tg.select([x < 0, x > 1], [0.0, 1.0], x)
    tensor([0. , 0.5, 1. ], dtype=float32)
    """
    y = default
    tests, values = (
        arguments.several("select: conditions", conditions),
        arguments.several("select: choices", choices),
    )
    if len(tests) != len(values) or not tests:
        raise ShapeError(f"select: {len(tests)} conditions for {len(values)} choices")
    for condition, choice in zip(reversed(tests), reversed(values), strict=True):
        y = ops.where(condition, choice, y)
    return as_tensor(y)


@composed
def interp(x: ArrayLike, xp: ArrayLike, fp: ArrayLike) -> Tensor:
    """The line through the points (xp, fp), level outside; xp must rise.

    >>> tg.interp([0.5, 3.0], [0.0, 1.0, 2.0], [0.0, 10.0, 30.0])
    tensor([ 5., 30.], dtype=float32)
    """
    x, xp, fp = ops.as_tensors(x, xp, fp)
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ShapeError(
            f"interp: xp and fp must be vectors of one length, not of shapes {xp.shape} and {fp.shape}"
        )
    last = xp.shape[0] - 1
    after = ops.clip(ops.searchsorted(xp, x, "right"), min(1, last), last)
    x0, x1, y0, y1 = (ops.take(line, i, 0) for line in (xp, fp) for i in (ops.maximum(after - 1, 0), after))
    # at infinities, where NumPy too comes from the other side, or takes the point itself
    with x._backend.quiet():
        slope = (y1 - y0) / (x1 - x0)
        y, backwards = y0 + (x - x0) * slope, y1 + (x - x1) * slope
    level = (x == x0) | ((y0 == y1) & (x == x))
    y = ops.where(ops.isnan(y), ops.where(x == x1, y1, ops.where(level, y0, backwards)), y)
    return ops.where(x < xp[0], fp[0], ops.where(x > xp[-1], fp[-1], y))


# -- activations --------------------------------------------------------------------------------------


@composed
def log_sigmoid(x: ArrayLike) -> Tensor:
    """log σ(x) = −softplus(−x).

    >>> print(f"{tg.log_sigmoid(0.0):.3f}")
    -0.693
    """
    return -ops.softplus(-as_tensor(x))


@composed
def silu(x: ArrayLike) -> Tensor:
    """x σ(x) (Elfwing, Uchibe & Doya 2018).

    >>> print(f"{tg.silu(1.0):.3f}")
    0.731
    """
    return ops.multiply(x, ops.sigmoid(x))


@composed
def gelu(x: ArrayLike) -> Tensor:
    """x Φ(x), with the error function (Hendrycks & Gimpel 2016).

    >>> print(f"{tg.gelu(1.0):.3f}")
    0.841
    """
    return 0.5 * as_tensor(x) * (1 + ops.erf(as_tensor(x) * (1 / math.sqrt(2))))


@composed
def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Tensor:
    """x above 0, and negative_slope · x below (Maas, Hannun & Ng 2013).

    >>> tg.leaky_relu([-2.0, 3.0], 0.5)
    tensor([-1.,  3.], dtype=float32)
    """
    x = as_tensor(x)
    return ops.where(x > 0, x, x * negative_slope)


@composed
def elu(x: ArrayLike, alpha: float = 1.0) -> Tensor:
    """x above 0, and alpha (exp(x) − 1) below (Clevert, Unterthiner & Hochreiter 2016).

    >>> print(f"{tg.elu(-1.0):.3f}")
    -0.632
    """
    x = as_tensor(x)
    return ops.where(x > 0, x, alpha * ops.expm1(ops.minimum(x, 0)))


def hardtanh(x: ArrayLike, low: float = -1.0, high: float = 1.0) -> Tensor:
    """x held between two bounds; at a bound the residual passes.

    >>> tg.hardtanh([-3.0, 0.5, 3.0])
    tensor([-1. ,  0.5,  1. ], dtype=float32)
    """
    return ops.clip(x, low, high)


@composed
def hard_sigmoid(x: ArrayLike) -> Tensor:
    """clip(x / 6 + ½, 0, 1).

    >>> tg.hard_sigmoid([-4.0, 0.0, 4.0])
    tensor([0. , 0.5, 1. ], dtype=float32)
    """
    return ops.clip(as_tensor(x) / 6 + 0.5, 0.0, 1.0)


@composed
def softsign(x: ArrayLike) -> Tensor:
    """``x / (1 + |x|)``.

    >>> tg.softsign([-1.0, 3.0])
    tensor([-0.5 ,  0.75], dtype=float32)
    """
    x = as_tensor(x)
    return x / (1 + ops.abs(x))


# fmt: off
__all__ = [
    "allclose", "around", "deg2rad", "degrees", "elu", "fabs", "fmax", "fmin", "gelu", "hard_sigmoid",
    "hardtanh", "interp", "isclose", "leaky_relu", "log_sigmoid", "logaddexp2", "nan_to_num", "positive",
    "rad2deg", "radians", "remainder", "round", "select", "silu", "sinc", "softsign", "square",
    "true_divide",
]
