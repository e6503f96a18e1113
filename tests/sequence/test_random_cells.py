"""Random cells: eager, interpreted and machine code agree in values, all gradients and ``requires_grad``, two threads at a time."""

from __future__ import annotations

import numpy as np
import pytest
from compare import compare, kinds, running
from random_cells import BATCH, STEPS, difference

import tinygrad_rnn as tg
from tinygrad_rnn import chain_rule


@pytest.mark.one_backend
@pytest.mark.parametrize("first", range(0, 300, 20))
def test_random_cells(first):
    """``python tests/sequence/random_cells.py 10000`` tries more."""
    for kind in kinds("numpy"):
        with running(kind):
            for number in range(first, first + 20):
                assert not difference(number), number


def elementwise_rows():
    return [row.name for row in chain_rule.rows.values() if row.elementwise and row.name not in ("astype", "where", "clip", "raise_to")]


@pytest.mark.parametrize("name", elementwise_rows())
def test_every_elementwise_row_in_a_cell(backend, name):
    """Each on numbers that it takes, whether it has machine code or is called."""
    weight = tg.tensor(np.random.default_rng(1).normal(size=(5, 5)) * 0.4, requires_grad=True)
    function = getattr(tg, name)

    def cell(x, h):
        a, b = tg.sigmoid(x + h @ weight) * 0.9 + 0.05, tg.sigmoid(h) + 0.5
        a = a + 1 if name == "arccosh" else a
        new = function(a, b) if binary else function(a)
        h = tg.tanh(new) + 0.1 * h
        return new, h

    random = np.random.default_rng(2)
    x, h = (tg.tensor(random.normal(size=s), requires_grad=True) for s in ((STEPS, BATCH, 5), (BATCH, 5)))
    binary = name in ("add", "subtract", "multiply", "maximum", "minimum", "power", "arctan2", "hypot", "logaddexp")
    compare(backend, cell, [weight, x, h], x, h, must_be_native=False)
