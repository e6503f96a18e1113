"""Calls that NumPy, JAX and this library all understand: label → (operands, f(np, *operands)), one line for
each.

The NumPy tests take values and dtypes from them, the JAX tests derivatives to second order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

import tinygrad_rnn as tg

Call = tuple[tuple[Any, ...], Callable[..., Any]]

_random = numpy.random.default_rng(5)


def real(*shape: int, low: float = -2.0, high: float = 2.0) -> Any:
    return _random.uniform(low, high, shape)


def on(np: Any, array: Any) -> Any:
    """An array that is no operand, where ``np`` can use it."""
    return tg.tensor(array) if np is tg else array


A, B, C = real(3, 4), real(3, 4), real(2, 3, 4)
SMALL, POSITIVE, ABOVE = (
    real(3, 4, low=-0.9, high=0.9),
    real(3, 4, low=0.2, high=2),
    real(3, 4, low=1.2, high=3),
)
V, W, ROW, COLUMN, NUMBER = real(4), real(4), real(1, 4), real(3, 1), numpy.array(0.7)
SQUARE, SQUARES = real(3, 3) + 3 * numpy.eye(3), real(2, 3, 3) + 3 * numpy.eye(3)
TIES = numpy.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0], [-1.0, 5.0, 2.0, 5.0]])
ZEROS = numpy.array([[2.0, 0.0, 3.0, 4.0], [0.0, 1.0, 0.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
INDEX, MASK = numpy.array([2, 0, 2]), numpy.array([True, False, True])
ALONG = numpy.array([[3, 0], [1, 1], [0, 2]])
CHOICE = A > 0

_UNARY = (
    "exp exp2 expm1 sin cos tan arctan sinh cosh tanh arcsinh square abs negative positive deg2rad "
    "degrees sinc fabs"
)
_UNARY_POSITIVE = "log log2 log10 log1p sqrt cbrt reciprocal"
_UNARY_SMALL = "arcsin arccos arctanh"
_BINARY = "add subtract multiply arctan2 hypot logaddexp logaddexp2 maximum minimum fmax fmin"

# under one name everywhere: its operands, several times
_PLAIN: dict[str, list[tuple[Any, ...]]] = {
    **{name: [(A,)] for name in _UNARY.split()},
    **{name: [(POSITIVE,)] for name in _UNARY_POSITIVE.split()},
    **{name: [(SMALL,)] for name in _UNARY_SMALL.split()},
    "arccosh": [(ABOVE,)],
    **{name: [(A, B), (C, COLUMN), (ROW, NUMBER)] for name in _BINARY.split()},
    "divide": [(A, POSITIVE), (C, V + 4), (NUMBER, ABOVE)],
    "mod": [(A, POSITIVE), (A, -POSITIVE)],
    "fmod": [(A, POSITIVE)],
    "power": [(POSITIVE, A), (POSITIVE, V), (ABOVE, NUMBER)],
    "matmul": [
        (A, V), (V, A.T), (V, W), (A, B.T), (C, A.T), (C, V), (V, C.swapaxes(1, 2)), (A, C.swapaxes(1, 2)),
        (real(5, 1, 2, 3), real(4, 3, 2)), (real(5, 1, 2, 3), real(3)), (real(2), real(5, 1, 2, 3)),
    ],
    "dot": [(A, V), (V, W), (A, B.T), (NUMBER, A), (C, A.T), (C, C.swapaxes(1, 2)), (V, C.swapaxes(1, 2)),
    (C, V)],
    "inner": [(A, B), (V, W), (C, A), (NUMBER, A), (C, V)],
    "outer": [(V, W), (A, V)],
    "vdot": [(A, B)],
    "vecdot": [(A, B), (C, V)],
    "cross": [(real(2, 3), real(2, 3)), (real(4, 1, 3), real(5, 3))],
    "kron": [(A, SQUARE), (V, W), (V, A)],
    "ravel": [(C,)],
    "median": [(A,), (real(3, 3),)],
    "trace": [(SQUARE,), (C,)],
    "fliplr": [(A,)],
    "flipud": [(A,)],
    "rot90": [(A,), (C,)],
    "atleast_1d": [(NUMBER,), (A,)],
    "atleast_2d": [(V,), (NUMBER,)],
    "diag": [(V,), (A,)],
    "convolve": [(V, real(2)), (real(2), V), (V, W)],
    "trapezoid": [(A,)],
    "matrix_transpose": [(C,)],
    "linalg.inv": [(SQUARE,), (SQUARES,)],
    "linalg.det": [(SQUARE,), (SQUARES,), (real(1, 1),)],
    "linalg.solve": [(SQUARE, A), (SQUARE, real(3)), (SQUARES, SQUARE), (SQUARE, SQUARES),
    (SQUARES, real(2, 3, 1))],
}  # fmt: skip


def _named(name: str) -> Callable[..., Any]:
    def call(np: Any, *xs: Any) -> Any:
        for part in name.split("."):
            np = getattr(np, part)
        return np(*xs)

    return call


def _reduction(name: str, axis: Any, keepdims: bool) -> Callable[..., Any]:
    return lambda np, x: getattr(np, name)(x, axis=axis, keepdims=keepdims)


def _einsum(subscripts: str) -> Callable[..., Any]:
    return lambda np, *xs: np.einsum(subscripts, *xs)


def _getitem(index: Any) -> Callable[..., Any]:
    return lambda np, x: x[index]


def _pad(mode: str) -> Callable[..., Any]:
    return lambda np, x: np.pad(x, ((1, 2), (0, 3)), mode=mode)


def _norm(order: Any, axis: Any, keepdims: bool) -> Callable[..., Any]:
    return lambda np, x: np.linalg.norm(x, order, axis, keepdims)


_EINSUMS: dict[str, tuple[Any, ...]] = {
    "ij,kj->ik": (A, B),
    "ij->ji": (A,),
    "ij->": (A,),
    "ij->j": (A,),
    "ii->i": (SQUARE,),
    "ii": (SQUARE,),
    "ij,ij": (A, B),
    "bij,jk": (C, A.T),
    "...ij,...j->...i": (C, V),
    "i...,i...->...": (C, C * 2),
    "ij,jk,kl->il": (A, B.T, A),
    "i,i,i->i": (V, W, V + 1),
    "ij,j,i->": (A, V, real(3)),
    "ii,i": (SQUARE, real(3)),
    "ba,bc": (A, B),
    "i,j->ji": (V, W),
    "ijk,lj->il": (C, SQUARE),
    "...->...": (C,),
    "bii->b": (SQUARES,),
    "...i,i": (C, V),
    "i,ij,j": (real(3), A, V),
    "ij...,jk...->ik...": (C, real(3, 2, 4)),
    "...ii->...": (SQUARES,),
    "iij->j": (SQUARES.T,),
    "...ij,...jk": (real(5, 1, 2, 3), real(4, 3, 2)),
    "i, j -> i j": (V, W),
    ",i": (NUMBER, V),
    "ij,ij->j": (ROW, A),
}

_INDICES: list[Any] = [
    0, -1, slice(1, None), slice(None, None, -1), slice(None, None, 2), slice(-2, 0, -1), (slice(None), 1),
    (..., 0), None,
    (0, None, slice(1, 3)),
    INDEX, INDEX - 3, (slice(None), INDEX), (INDEX, INDEX), MASK, (MASK, slice(None, None, -2)),
    (INDEX[:, None], numpy.array([1, 1])),
    (..., INDEX),
    (None, INDEX, None), (1, INDEX), (INDEX, 1), (slice(2), INDEX), numpy.array([[0, 1], [1, 2]]),
    slice(2, 2), (), (..., None),
    (MASK, INDEX[:2]),
    numpy.array(1), CHOICE, (1, 2), (numpy.int64(1), slice(None)), numpy.zeros(3, bool),
    numpy.zeros((0, 2), int),
]  # fmt: skip

_NORMS: list[Any] = [
    (None, None, False, A), (None, None, True, C), (2, 1, False, A), (1, 0, True, A), (3, 1, False, A),
    (numpy.inf, 1, False, A),
    (-numpy.inf, 0, False, A), ("fro", None, False, A), ("fro", (0, 2), True, C), (1, None, False, A),
    (numpy.inf, (0, 1), False, C),
    (-1, (2, 0), False, C), (-numpy.inf, None, True, A), (0.5, 1, False, POSITIVE), (-2, 1, False, POSITIVE),
    (None, 1, False, C),
    (None, (0, 1), False, C), (2, None, False, V), (0, 1, False, ZEROS), (None, None, False, V),
]  # fmt: skip

CALLS: dict[str, Call] = {
    **{f"{name} {i}": (xs, _named(name)) for name, lines in _PLAIN.items() for i, xs in enumerate(lines)},
    **{
        f"{name} {axis} {keepdims}": ((C,), _reduction(name, axis, keepdims))
        for name in ["sum", "mean", "var", "std", "prod", "max", "min", "ptp", "median"]
        for axis, keepdims in [
            (None, True),
            (0, False),
            (-1, True),
            ((0, 2), False),
            ((1,), True),
            ((), False),
        ]
        if not (name in ("ptp", "median") and axis == ())
    },
    **{
        f"{name} ddof": ((C,), lambda np, x, name=name: getattr(np, name)(x, axis=1, ddof=1))
        for name in ["var", "std"]
    },
    **{
        f"{name} of nan": (
            (ZEROS,),
            lambda np, x, name=name: getattr(np, name)(np.where(x == 0, numpy.nan, x), axis=1),
        )
        for name in ["nansum", "nanmean", "nanmax", "nanmin"]
    },
    **{f"quantile {q}": ((C,), lambda np, x, q=q: np.quantile(x, q, axis=1)) for q in (0.0, 0.3, 1.0)},
    "percentile": ((C,), lambda np, x: np.percentile(x, 40)),
    "prod with zeros": ((ZEROS,), lambda np, x: np.prod(x, axis=1)),
    "prod all with zeros": ((ZEROS[2:],), lambda np, x: np.prod(x)),
    "cumsum": ((C,), lambda np, x: np.cumsum(x, axis=1)),
    "cumsum flat": ((C,), lambda np, x: np.cumsum(x)),
    "cumprod": ((C,), lambda np, x: np.cumprod(x, axis=1)),
    "cumprod with zeros": ((ZEROS,), lambda np, x: np.cumprod(x, axis=-1)),
    "cumprod flat": ((A,), lambda np, x: np.cumprod(x)),
    "diff": ((C,), lambda np, x: np.diff(x, axis=1)),
    "diff twice": ((C,), lambda np, x: np.diff(x, n=2)),
    "sort": ((C,), lambda np, x: np.sort(x, axis=1)),
    "sort flat": ((C,), lambda np, x: np.sort(x, axis=None)),
    "max of ties": ((TIES,), lambda np, x: np.max(x, axis=1)),
    "min of ties": ((TIES,), lambda np, x: np.min(x, axis=1)),
    "maximum of ties": ((TIES, TIES * 1), lambda np, x, y: np.maximum(x, y)),
    "minimum of ties": ((TIES, numpy.zeros((3, 4))), lambda np, x, y: np.minimum(x, y)),
    "clip": ((A,), lambda np, x: np.clip(x, -0.5, 0.7)),
    "clip below": ((A,), lambda np, x: np.clip(x, 0.1, None)),
    "clip between arrays": ((A, ROW - 1, ROW + 1), lambda np, x, low, high: np.clip(x, low, high)),
    "where": ((A, B), lambda np, x, y: np.where(on(np, CHOICE), x, y)),
    "where row": ((V, NUMBER), lambda np, x, y: np.where(on(np, CHOICE), x, y)),
    "where guards": ((ZEROS,), lambda np, x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0)),
    "select": ((A, B), lambda np, x, y: np.select([on(np, CHOICE), on(np, A < -1)], [x, y], 3.0)),
    "power number": ((POSITIVE,), lambda np, x: np.power(x, 2.5)),
    "power 3": ((A,), lambda np, x: np.power(x, 3)),
    "power of number": ((A,), lambda np, x: np.power(2.5, x)),
    "operators": (
        (A, POSITIVE),
        lambda np, x, y: (x * 2 - 3 / y) ** 2 + x / y - (-x) * y**-1 + 2.0**x + x % y,
    ),
    "reshape": ((C,), lambda np, x: np.reshape(x, (4, -1))),
    "transpose": ((C,), lambda np, x: np.transpose(x, (1, 2, 0))),
    "transpose all": ((C,), lambda np, x: np.transpose(x)),
    "swapaxes": ((C,), lambda np, x: np.swapaxes(x, 0, -1)),
    "moveaxis": ((C,), lambda np, x: np.moveaxis(x, 0, -1)),
    "moveaxis two": ((C,), lambda np, x: np.moveaxis(x, (0, 1), (2, 0))),
    "squeeze": ((COLUMN,), lambda np, x: np.squeeze(x)),
    "squeeze one": ((real(1, 3, 1),), lambda np, x: np.squeeze(x, -1)),
    "expand_dims": ((A,), lambda np, x: np.expand_dims(x, (0, -1))),
    "broadcast_to": ((COLUMN,), lambda np, x: np.broadcast_to(x, (2, 3, 4))),
    "broadcast_arrays": ((COLUMN, V), lambda np, x, y: list(np.broadcast_arrays(x, y))),
    "meshgrid": ((V, real(3)), lambda np, x, y: list(np.meshgrid(x, y))),
    "meshgrid ij": ((V, real(3)), lambda np, x, y: list(np.meshgrid(x, y, indexing="ij"))),
    "flip": ((C,), lambda np, x: np.flip(x, (0, 2))),
    "flip all": ((C,), lambda np, x: np.flip(x)),
    "rot90 thrice": ((C,), lambda np, x: np.rot90(x, 3, (0, 2))),
    "roll": ((C,), lambda np, x: np.roll(x, 2, 1)),
    "roll flat": ((C,), lambda np, x: np.roll(x, 5)),
    "roll two": ((C,), lambda np, x: np.roll(x, (1, -1), (0, 2))),
    "roll both": ((C,), lambda np, x: np.roll(x, 1, (0, 2))),
    "tile": ((A,), lambda np, x: np.tile(x, (2, 1, 3))),
    "tile once": ((C,), lambda np, x: np.tile(x, 2)),
    "repeat": ((A,), lambda np, x: np.repeat(x, 3, axis=1)),
    "repeat each": ((A,), lambda np, x: np.repeat(x, numpy.array([1, 0, 2]), axis=0)),
    "repeat flat": ((A,), lambda np, x: np.repeat(x, 2)),
    **{f"pad {mode}": ((A,), _pad(mode)) for mode in ["constant", "edge", "reflect", "symmetric", "wrap"]},
    "pad with 2": ((A,), lambda np, x: np.pad(x, 1, constant_values=2.0)),
    "pad sides": ((A,), lambda np, x: np.pad(x, (1, 2), constant_values=((1.0, 2.0), (3.0, 4.0)))),
    "tril": ((C,), lambda np, x: np.tril(x, -1)),
    "triu": ((C,), lambda np, x: np.triu(x, 1)),
    "diag k": ((V,), lambda np, x: np.diag(x, -2)),
    "diagonal": ((C,), lambda np, x: np.diagonal(x, 1, 0, 2)),
    "diagonal below": ((A,), lambda np, x: np.diagonal(x, -1)),
    "diagonal outside": ((A,), lambda np, x: np.diagonal(x, 9)),
    "trace offset": ((C,), lambda np, x: np.trace(x, -1, 1, 2)),
    "concatenate": ((A, ROW, B), lambda np, x, y, z: np.concatenate([x, y, z], axis=0)),
    "concatenate flat": ((A, V), lambda np, x, y: np.concatenate([x, y], axis=None)),
    "append": ((A, B), lambda np, x, y: np.append(x, y, axis=1)),
    "stack": ((A, B), lambda np, x, y: np.stack([x, y], axis=-1)),
    "vstack": ((A, V), lambda np, x, y: np.vstack([x, y])),
    "hstack": ((A, COLUMN), lambda np, x, y: np.hstack([x, y])),
    "dstack": ((A, B), lambda np, x, y: np.dstack([x, y])),
    "column_stack": ((COLUMN, real(3)), lambda np, x, y: np.column_stack([x, y])),
    "split": ((A,), lambda np, x: [part * (i + 1.5) for i, part in enumerate(np.split(x, 2, axis=1))]),
    "split at": ((A,), lambda np, x: [part**2 for part in np.split(x, [1, 3], axis=1)]),
    "array_split": ((A,), lambda np, x: [part**2 for part in np.array_split(x, 3, axis=1)]),
    "hsplit": ((A,), lambda np, x: list(np.hsplit(x, 2))),
    "vsplit": ((A,), lambda np, x: list(np.vsplit(x, [1]))),
    "take": ((A,), lambda np, x: np.take(x, INDEX, axis=1)),
    "take flat": ((A,), lambda np, x: np.take(x, INDEX)),
    "take_along_axis": ((A,), lambda np, x: np.take_along_axis(x, ALONG, axis=1)),
    "take_along_axis wide": ((ROW,), lambda np, x: np.take_along_axis(x, ALONG, axis=1)),
    "delete": ((A,), lambda np, x: np.delete(x, 1, axis=0)),
    "tensordot": ((C, A.T), lambda np, x, y: np.tensordot(x, y, 1)),
    "tensordot axes": ((C, A), lambda np, x, y: np.tensordot(x, y, ([1, 2], [0, 1]))),
    "tensordot swapped": ((C, A), lambda np, x, y: np.tensordot(x, y, ([2, 1], [1, 0]))),
    "tensordot 0": ((V, A), lambda np, x, y: np.tensordot(x, y, 0)),
    "average": ((C, V + 4), lambda np, x, w: np.average(x, axis=2, weights=w)),
    "convolve same": ((V, real(3)), lambda np, x, y: np.convolve(x, y, "same")),
    "convolve valid": ((V, real(3)), lambda np, x, y: np.convolve(x, y, "valid")),
    "interp": (
        (V, real(3)),
        lambda np, x, fp: np.interp(x, on(np, numpy.array([-1.0, 0.0, 1.0], x.dtype)), fp),
    ),
    "trapezoid dx": ((A,), lambda np, x: np.trapezoid(x, dx=0.5, axis=0)),
    "matrix_power": ((SQUARE,), lambda np, x: np.linalg.matrix_power(x, 5)),
    "matrix_power inverse": ((SQUARE,), lambda np, x: np.linalg.matrix_power(x, -2)),
    "nan_to_num": ((A,), lambda np, x: np.nan_to_num(x)),
    **{f"einsum {subscripts}": (xs, _einsum(subscripts)) for subscripts, xs in _EINSUMS.items()},
    **{f"getitem {i}": ((A,), _getitem(index)) for i, index in enumerate(_INDICES)},
    **{f"norm {order} {axis} {keep}": ((x,), _norm(order, axis, keep)) for order, axis, keep, x in _NORMS},
}
