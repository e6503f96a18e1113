"""Random cells: eager, interpreted and machine code agree in values, all gradients and ``requires_grad``, two
threads at a time."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import seeds, some
from tests.sequence.compare import compare, kinds, running
from tests.sequence.random_cells import BATCH, STEPS, difference
from tinygrad_rnn import chain_rule


@pytest.mark.numpy_only
@pytest.mark.parametrize("first", seeds(300, daily=2, step=20))
def test_random_cells(first):
    """``python -m tests.sequence.random_cells 10000`` tries more."""
    for kind in kinds("numpy"):
        with running(kind):
            for number in range(first, first + 20):
                assert not difference(number), number


PAIRS = (
    "add",
    "subtract",
    "multiply",
    "maximum",
    "minimum",
    "power",
    "arctan2",
    "hypot",
    "logaddexp",
    "floor_divide",
    "mod",
    "fmod",
)
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
LOGIC = ("logical_and", "logical_or", "logical_xor")


def elementwise_cells():
    """name → what a cell makes of a in (0.05, 0.95) and b in (0.5, 1.5): every elementwise row, and functions
    made of them."""
    cells = {}
    for row in (*chain_rule.rows.values(), *chain_rule.choices.values()):
        f = getattr(tg, row.name, None)
        if not row.elementwise or row.name in ("astype", "where", "clip", "raise_to"):
            continue
        if row.name in PAIRS:
            cells[row.name] = lambda a, b, f=f: f(a, b)
        elif row.name in COMPARISONS:
            cells[row.name] = lambda a, b, f=f: f(a, b - 0.5).astype(a.dtype) * a
        elif row.name in LOGIC:
            cells[row.name] = lambda a, b, f=f: tg.where(f(a > 0.5, b > 1), a, b)
        elif row.name in ("logical_not", "isnan", "isinf", "isfinite"):
            cells[row.name] = lambda a, b, f=f: tg.where(f(a - 0.5), a, b)
        elif row.case == "choice":
            cells[row.name] = lambda a, b, f=f: f(5 * (a - b)) * a
        else:
            cells[row.name] = lambda a, b, f=f, shift=float(row.name == "arccosh"): f(a + shift)
    for p in (0, 1, 2, 3, 4, -1, -2, 0.5, -0.5, 1.5, -1.5, 2.5, 1 / 3, -3.7):
        cells[f"raise_to {p:.3g}"] = lambda a, b, p=p: b**p
    cells["astype"] = lambda a, b: (a > 0.5).astype(a.dtype) * b
    cells["where"] = lambda a, b: tg.where(a > 0.5, a, b) + tg.where(b - 1, 0.0, a)
    cells["clip"] = lambda a, b: (
        tg.clip(a, 0.2, 0.7) + tg.clip(b, None, 1.0) + tg.clip(b, np.float64(0.9), None)
    )
    cells["truths"] = lambda a, b: tg.where((a > 0.5) * (b > 1) + ((a > 0.7) <= (b > 0.8)), a, b)
    for f in (tg.elu, tg.gelu, tg.silu, tg.leaky_relu):
        cells[f.__name__] = lambda a, b, f=f: f(3 * (a - 0.5))
    return cells


# on a device each row is proved by test_registry.py, and calls are made by test_compiled.py
@pytest.mark.parametrize("name", some(elementwise_cells(), 3))
def test_every_elementwise_row_in_a_cell(backend, name):
    """Each is machine code, forward and backward, where there is any."""
    function = elementwise_cells()[name]
    weight = tg.tensor(np.random.default_rng(1).normal(size=(5, 5)) * 0.4, requires_grad=True)

    def cell(x, h):
        new = function(tg.sigmoid(x + h @ weight) * 0.9 + 0.05, tg.sigmoid(h) + 0.5)
        return new, tg.tanh(new) + 0.1 * h

    random = np.random.default_rng(2)
    x, h = (tg.tensor(random.normal(size=s), requires_grad=True) for s in ((STEPS, BATCH, 5), (BATCH, 5)))
    compare(backend, cell, [weight, x, h], x, h)


def test_compiling_does_not_take_as_long_as_there_are_paths(backend):
    """Each value is read twice by the next: 2⁴⁰ ways lead from the state to itself, over 120 operations."""

    def cell(x, h):
        for _ in range(40):
            h = 0.5 * h + tg.tanh(h)
        return h, 0.1 * h + x

    random = np.random.default_rng(3)
    x, h = (tg.tensor(random.normal(size=s), requires_grad=True) for s in ((STEPS, BATCH, 5), (BATCH, 5)))
    compare(backend, cell, [x, h], x, h)
