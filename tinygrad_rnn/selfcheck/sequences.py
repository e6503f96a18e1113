"""Every cell, compiled, beside the loop over time on NumPy's arrays: outputs, last states and all
gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy

import tinygrad_rnn as tg

from .. import tree
from . import cells
from .report import Facts, Item, compared, same_dtypes

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}
"""For a few steps whose operations the compiler has put in another order."""


def items(backend: str, quick: bool) -> Iterator[Item]:
    batch = 3
    live = numpy.arange(cells.T)[:, None] < numpy.arange(batch) + 2
    live[1, -1] = False
    masked = {"mask": live, "masked_output": "previous", "reverse": True}
    for dtype, title, options in (
        ("float32", "float32", {}),
        ("float64", "float64, masked, reversed", masked),
    ):
        for make in cells.BUILT_IN if quick else (*cells.ALL, *cells.FORMULAS):
            yield f"{make.__name__} {title}", partial(agrees, make, backend, dtype, batch, 5, **options)


def agrees(
    make: Callable[..., Any], backend: str, dtype: str, batch: int, width: int, **options: Any
) -> Facts:
    """How far a compiled cell is from the loop.

    Args:
        make: as those of ``cells``.
        options: of ``scan``.
    """

    def results(backend: str, compiled: bool) -> tuple[list[numpy.ndarray], str]:
        with tg.use_backend(backend):
            cell, parameters, xs, state = make(cells.Maker(dtype, batch, width))
            inputs = [x for x in tree.leaves([xs, state]) if x.requires_grad]
            arrays = scanned(
                partial(tg.scan, cell, compiled=compiled, **options), xs, state, [*parameters, *inputs]
            )
            return arrays, tg.explain(cell).splitlines()[0]

    found, how = results(backend, True)
    expected, _ = results("numpy", False)
    same_dtypes(found, expected)
    return {**compared(found, expected, TOLERANCE[dtype]), "explain": how}


def scanned(run: Callable[..., Any], xs: Any, state: Any, wanted: list[Any]) -> list[numpy.ndarray]:
    """Outputs and last states, and the gradients at ``wanted`` of one weighted sum of them all."""
    values = tree.leaves(run(xs, state))
    random = numpy.random.default_rng(1)
    weights = [tg.tensor(random.standard_normal(y.shape), y.dtype) for y in values if y.dtype.kind == "f"]
    loss = sum(
        tg.sum(w * (y + y * y))
        for w, y in zip(weights, [y for y in values if y.dtype.kind == "f"], strict=True)
    )
    gradients = tg.gradients(loss, [x for x in wanted if x.requires_grad])
    return [x.numpy() for x in [*values, *gradients]]
