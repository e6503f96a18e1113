"""Cells with what they are run on."""

from __future__ import annotations

import numpy as np
import pytest

from tests.covering import some
from tinygrad_rnn import tree
from tinygrad_rnn.selfcheck.cells import (
    ALL,
    Maker,
    T,
)


def some_cells(each, first=0):
    """Each so many-th cell; all with ``--every``."""
    return pytest.mark.parametrize("make", some(ALL, each, first), ids=lambda make: make.__name__)


every_cell = some_cells(1)


def made(make, dtype="float64", batch=3, width=5):
    """A cell, the leaves whose gradients count, its inputs and states."""
    cell, parameters, xs, state = make(Maker(dtype, batch, width))
    leaves = [x for x in (*tree.leaves(xs), *tree.leaves(state)) if x.requires_grad and x.is_leaf]
    return cell, [*(p for p in parameters if p.requires_grad), *leaves], xs, state


def ragged(batch, steps=T):
    """Which steps count: lengths that differ, and a gap."""
    live = np.arange(steps)[:, None] < np.arange(batch) % steps + 1
    live[min(1, steps - 1), -1] = False
    return live
