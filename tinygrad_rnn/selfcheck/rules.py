"""Every row: its values, residuals and tangents on a device beside NumPy's in float64; and its values at the
ends of the range."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy

import tinygrad_rnn as tg

from .. import backends, check, tree
from ..chain_rule import Row, choices, rows
from ..tape import apply
from .operands import CHOICES, ENDS, LARGE, SAMPLES, SPECIAL
from .report import Facts, Item, compared, deviation, same_dtypes

Sample = tuple[tuple[Any, ...], tuple[Any, ...]]


def items(backend: str, quick: bool) -> Iterator[Item]:
    """float32 before float64. On NumPy float64 is the measure itself: there each row is proved instead, in
    the way of its case."""
    dtypes = ("float32",) if quick or backend == "numpy" else ("float32", "float64")
    for dtype in dtypes:
        for name, row in rows.items():
            samples = SAMPLES[name][:2] if quick else [*SAMPLES[name], *LARGE.get(name, [])]
            yield f"{name} {dtype}", partial(_derivatives_agree, row, samples, backend, dtype)
        for name, row in choices.items():
            yield f"{name} {dtype}", partial(_values_agree, row, CHOICES[name], backend, dtype)
        for name, row in rows.items():
            if name in ENDS or _takes_any_number(name):
                yield f"{name} at special values {dtype}", partial(_special_values_agree, row, backend, dtype)
    if backend == "numpy":
        for name, row in rows.items():
            yield f"{name} proof", partial(_proved, row, SAMPLES[name][: 1 if quick else None])


def tolerance(dtype: str) -> float:
    """For a few operations of a device, each right to a few units in the last place."""
    return 64 * float(numpy.finfo(dtype).eps)


def on_device(sample: Sample, dtype: str) -> tuple[list[Any], tuple[Any, ...]]:
    """The operands as tensors of the current backend, and the arrays among the parameters there too: an
    index, or a tuple of them."""
    move = backends.current().from_host
    operands, params = sample

    def moved(param: Any) -> Any:
        if isinstance(param, tuple):
            return tuple(map(moved, param))
        return move(param) if isinstance(param, numpy.ndarray) else param

    return [tg.tensor(x.astype(dtype) if x.dtype.kind == "f" else x) for x in operands], tuple(
        map(moved, params)
    )


def _rounded(sample: Sample, dtype: str) -> Sample:
    """The same numbers as in a narrower dtype."""
    operands, params = sample
    return tuple(x.astype(dtype).astype(float) if x.dtype.kind == "f" else x for x in operands), params


def _derivatives_agree(row: Row, samples: list[Sample], backend: str, dtype: str) -> Facts:
    found, expected = [], []
    for sample in samples:
        there = _derivatives(row, sample, backend, dtype, dtype)
        same_dtypes(there, _derivatives(row, sample, "numpy", dtype, dtype))
        found += there
        expected += _derivatives(row, _rounded(sample, dtype), "numpy", "float64", dtype)
    return compared(found, expected, tolerance(dtype))


def _derivatives(row: Row, sample: Sample, backend: str, dtype: str, weights: str) -> list[numpy.ndarray]:
    """Values, residuals of random ones, and tangents along random directions, whose numbers are those of the
    dtype ``weights``."""
    random = numpy.random.default_rng(0)

    def like(x: Any) -> Any:
        return tg.tensor(random.standard_normal(x.shape).astype(weights), x.dtype)

    with tg.use_backend(backend):
        operands, params = on_device(sample, dtype)
        places = [i for i, x in enumerate(operands) if x.dtype.kind == "f"]

        def f(*values: Any) -> Any:
            replaced = dict(zip(places, values, strict=True))
            return apply(row, [replaced.get(i, x) for i, x in enumerate(operands)], params)

        xs = [operands[i] for i in places]
        y, pull = tg.vjp(f, *xs)
        residuals = pull(tree.map_leaves(like, y))
        tangents = tg.jvp(f, tuple(xs), tuple(map(like, xs)))[1]
        return [x.numpy() for x in tree.leaves([y, residuals, tangents])]


def _values(row: Row, sample: Sample, backend: str, dtype: str) -> numpy.ndarray:
    with tg.use_backend(backend), tg.no_grad(), numpy.errstate(all="ignore"):
        operands, params = on_device(sample, dtype)
        values: numpy.ndarray = apply(row, operands, params).numpy()
        return values


def _values_agree(row: Row, samples: list[Sample], backend: str, dtype: str) -> Facts:
    """A choice: no rounding."""
    found = [_values(row, sample, backend, dtype) for sample in samples]
    return compared(
        found, [_values(row, _rounded(sample, dtype), "numpy", "float64") for sample in samples], 0.0
    )


# -- the ends of the range -----------------------------------------------------------------------------------


def _takes_any_number(name: str) -> bool:
    """Elementwise, of one operand or two, and all of them numbers."""
    return rows[name].elementwise and all(x.dtype.kind == "f" for x in SAMPLES[name][0][0])


def _special_values_agree(row: Row, backend: str, dtype: str) -> Facts:
    """Element by element: NaN and infinities where NumPy in float64 has them, and other numbers relative to
    themselves.

    Numbers below the smallest normal one count as 0: a device need not have them in float32.
    """
    count = len(SAMPLES[row.name][0][0])
    operands = tuple(x.reshape(-1) for x in numpy.meshgrid(*[SPECIAL] * count))
    errors = [0.0]
    for params in (
        [ENDS[row.name]] if row.name in ENDS else dict.fromkeys(params for _, params in SAMPLES[row.name])
    ):
        found = _values(row, (operands, params), backend, dtype)
        with numpy.errstate(all="ignore"):
            expected = _values(row, _rounded((operands, params), dtype), "numpy", "float64").astype(
                found.dtype
            )
        found, expected = (
            numpy.where(numpy.abs(x) < numpy.finfo(dtype).tiny, 0, x) for x in (found, expected)
        )
        size = numpy.where(numpy.isfinite(expected) & (expected != 0), numpy.abs(expected), 1)
        errors.append(deviation(found / size, expected / size))
    return {"error": float(numpy.max(errors)), "tolerance": tolerance(dtype)}


# -- proofs --------------------------------------------------------------------------------------------------


def _proved(row: Row, samples: list[Sample]) -> Facts:
    with tg.use_backend("numpy"):
        for operands, params in samples:
            check.prove(row, *operands, params=params)
    return {}
