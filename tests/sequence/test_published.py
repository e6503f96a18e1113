"""The cells of the literature: however one is spelled, and whoever runs it, it is the same mathematics."""

from __future__ import annotations

import functools
import re
import sys
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests import strict_cupy
from tests.covering import some
from tests.sequence import shared_samples
from tinygrad_rnn import tree
from tinygrad_rnn.selfcheck.cells import Maker
from tinygrad_rnn.selfcheck.cells.published import PUBLISHED

pytestmark = pytest.mark.numpy_only

BATCH, WIDTH = 3, 5
SPELLINGS = [(name, spelling) for name, cell in PUBLISHED.items() for spelling in cell.spellings]
ONE_OF_EACH = [
    (name, spelling)
    if place == number % len(cell.spellings)
    else pytest.param(name, spelling, marks=pytest.mark.thorough)
    for number, (name, cell) in enumerate(PUBLISHED.items())
    for place, spelling in enumerate(cell.spellings)
]
"""Of each cell a spelling runs every day, all with ``--every``."""

CALLED = {
    ("deep_equilibrium", "by_solve"): {"solve"},
    ("deep_equilibrium", "by_inv"): {"solve"},
    ("kalman_filter", "by_solve"): {"solve", "det"},
    ("kalman_filter", "by_inv_and_einsum"): {"solve", "det"},
    ("beam_search", "by_argsort"): {"argsort"},
    ("beam_search", "by_rows"): {"argsort"},
}
"""Equations of matrices, and sorting, are calls; what else a step does is machine code there too."""
OF_THREE = {"crf", "ctc", "attention_decoder"}
"""These hold lengths of three samples."""
STEP_BY_STEP = {("hierarchical", "scan_in_the_cell")}
"""A scan in the cell is a program of its own."""


def run(name: str, spelling: str, compiled: bool | str) -> list[np.ndarray]:
    """All outputs and last states, and the gradients of a loss of all of them."""
    cell = PUBLISHED[name]
    xs, state, weights = cell.draw(Maker("float64", BATCH, WIDTH))
    results = tree.leaves(
        cell.spellings[spelling](functools.partial(tg.scan, compiled=compiled), xs, state, **weights)
    )
    floats = [y for y in results if y.dtype.kind == "f"]
    loss = functools.reduce(tg.add, [tg.sum(tg.sin(y + i)) for i, y in enumerate(floats)])
    leaves = [x for x in tree.leaves((xs, state, weights)) if x.requires_grad]
    loss.backward()
    return [y.numpy() for y in results] + [
        np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves
    ]


@functools.cache
def first(name: str) -> list[np.ndarray]:
    """What the loop makes of the first spelling."""
    return run(name, next(iter(PUBLISHED[name].spellings)), False)


def same(ours: list[np.ndarray], others: list[Any]) -> None:
    for y, z in zip(ours, others, strict=True):
        np.testing.assert_allclose(y.reshape(-1), z.reshape(-1), rtol=1e-8, atol=1e-10)


@pytest.mark.measured
@pytest.mark.parametrize(("name", "spelling"), SPELLINGS)
def test_spellings_agree_by_the_loop(name, spelling):
    same(run(name, spelling, False), first(name))


@pytest.mark.parametrize(("name", "spelling"), ONE_OF_EACH)
def test_spellings_agree_as_machine_code(name, spelling):
    compiled = (name, spelling) not in CALLED.keys() | STEP_BY_STEP
    same(run(name, spelling, compiled or "auto"), first(name))


@pytest.mark.parametrize(("name", "spelling"), CALLED)
def test_what_is_called(name, spelling):
    with pytest.raises(tg.TraceError, match="the cell runs with calls of") as caught:
        run(name, spelling, True)
    parts = str(caught.value).split("calls of ")[1].split(", and of ")
    assert {re.match(r"\w+", part)[0] for part in parts} == CALLED[name, spelling]


@pytest.mark.parametrize(("name", "spelling"), some(SPELLINGS, 12))
def test_threads_that_share_samples(name, spelling, monkeypatch):
    """Nine samples, where a cell has no batch of its own."""
    monkeypatch.setattr(sys.modules[__name__], "BATCH", BATCH if name in OF_THREE else 9)
    expected = run(name, spelling, False)
    shared_samples.begin(monkeypatch)
    for _ in range(2):
        same(run(name, spelling, "auto"), expected)


@pytest.mark.parametrize("name", some(PUBLISHED, 4))
def test_on_a_device(name, monkeypatch):
    """The first spelling there: it takes long to imitate one."""
    expected = first(name)
    strict_cupy.install(monkeypatch)
    with tg.backends.use_backend("cupy"):
        same(run(name, next(iter(PUBLISHED[name].spellings)), "auto"), expected)


def test_each_cell_is_spelled_in_several_ways():
    assert all(len(cell.spellings) > 1 for cell in PUBLISHED.values())
    assert len(PUBLISHED) >= 53
