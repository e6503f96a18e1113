"""The built-in layers with their options, compiled, beside the loop over time on NumPy's arrays, with the
same weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy

import tinygrad_rnn as tg

from .. import random
from .report import Facts, Item, compared, same_dtypes
from .sequences import TOLERANCE, scanned

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "bias": False}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 3, "cell_clip": 0.4, "proj_clip": 0.2}),
    ("PeepholeLSTM", {}),
    ("GRU", {}),
    ("GRU", {"reset": "before"}),
]
STACKS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bidirectional": True, "masked_output": "previous"},
    {"batch_first": True, "checkpoint": 4},
]
LENGTHS = [7, 1, 4]


def items(backend: str, quick: bool) -> Iterator[Item]:
    for dtype in ("float32",) if quick else ("float32", "float64"):
        for kind, options in KINDS:
            for stack in STACKS:
                every = {**options, **stack}
                told = ", ".join(f"{name}={value!r}" for name, value in every.items())
                yield f"{kind}({told}) {dtype}", partial(_agrees, kind, every, backend, dtype)


def _agrees(kind: str, options: dict[str, Any], backend: str, dtype: str) -> Facts:
    found = _results(kind, options, backend, dtype, True)
    expected = _results(kind, options, "numpy", dtype, False)
    same_dtypes(found, expected)
    return compared(found, expected, TOLERANCE[dtype])


def _results(
    kind: str, options: dict[str, Any], backend: str, dtype: str, compiled: bool
) -> list[numpy.ndarray]:
    x = numpy.random.default_rng(0).standard_normal((7, 3, 5))
    with seeded(), tg.use_backend(backend):
        layer = getattr(tg.nn, kind)(5, 6, dtype=dtype, compiled=compiled, **options)
        inputs = tg.tensor(x.swapaxes(0, 1) if layer.batch_first else x, dtype, requires_grad=True)
        return scanned(partial(layer, lengths=LENGTHS), inputs, None, [*layer.parameters(), inputs])


@contextlib.contextmanager
def seeded() -> Iterator[None]:
    """A block in which weights come out the same each time; afterwards chance goes on as if it had not
    been."""
    before = random.get_state()
    random.seed(0)
    try:
        yield
    finally:
        random.set_state(before)
