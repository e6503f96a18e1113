"""Cells that remember or draw: refused, and nothing is left changed."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import compiled_scan, eager
from tests.sequence.refused import data, refused
from tinygrad_rnn import nn


class Keeps:
    def __init__(self):
        self.before = None

    def __call__(self, x, h):
        new = tg.tanh(x + h) + (0 if self.before is None else self.before)
        self.before = h
        return new, new


class Counts:
    def __init__(self):
        self.calls, self.log = 0, []

    def __call__(self, x, h):
        self.calls += 1
        self.log.append(self.calls)
        h = tg.tanh(x + h) * self.calls
        return h, h


def keeps_in_closure():
    before = None

    def cell(x, h):
        nonlocal before
        new = tg.tanh(x + h) + (0 if before is None else before)
        before = new
        return new, new

    return cell


def counts_in_a_list():
    calls = [0]

    def cell(x, h):
        calls[0] += 1
        return h * calls[0], tg.tanh(x + h)

    return cell


_calls = 0


def counts_in_a_global():
    global _calls
    _calls = 0

    def cell(x, h):
        global _calls
        _calls += 1
        return h * _calls, tg.tanh(x + h)

    return cell


def counts_on_itself():
    def cell(x, h):
        cell.calls += 1
        return h * cell.calls, tg.tanh(x + h)

    cell.calls = 0
    return cell


def counts_in_an_array():
    calls = np.zeros(1)

    def cell(x, h):
        calls[0] += 1
        return h * float(calls[0]), tg.tanh(x + h)

    return cell


MAKERS = [Keeps, Counts, keeps_in_closure, counts_in_a_list, counts_in_a_global, counts_on_itself]


@pytest.mark.parametrize("make", [*MAKERS, counts_in_an_array])
def test_a_cell_that_remembers_is_refused(make):
    cell = make()
    for _ in range(3):
        refused(cell, ".")


@pytest.mark.parametrize("make", MAKERS)
def test_and_the_eager_loop_then_finds_it_as_it_was(make):
    x, h = data(4, 2, 4), data(2, 4, seed=1)
    found = [tg.scan(cell, x, h)[0].numpy() for cell in [make()] for _ in range(2)]
    expected = [tg.scan(cell, x, h, compiled=False)[0].numpy() for cell in [make()] for _ in range(2)]
    assert np.array_equal(found, expected)


def draws_an_array(rng):
    return lambda x, h: (h, tg.tanh(h + tg.tensor(rng.normal(size=h.shape))))


def draws_a_number(rng):
    return lambda x, h: (h, tg.tanh(h + float(rng.normal())))


@pytest.mark.parametrize("make", [draws_an_array, draws_a_number])
def test_random_numbers(make):
    """Also after a cell of the same structure, with numbers that stay, was compiled."""
    constant = tg.tensor(np.ones((2, 4)))

    def steady(x, h):
        return h, tg.tanh(h + tg.tensor(np.ones((2, 4))))

    def steady_outside(x, h):
        return h, tg.tanh(h + constant)

    for cell in (steady, steady_outside):
        found = compiled_scan(cell, data(3, 2, 4), data(2, 4))[0].numpy()
        assert np.allclose(found, eager(cell, data(3, 2, 4), data(2, 4))[0].numpy())
    cell = make(np.random.default_rng(7))
    for _ in range(2):
        refused(cell, "draws random numbers")


def test_dropout():
    dropout = nn.Dropout(0.5)

    def cell(x, h):
        h = dropout(tg.tanh(x + h))
        return h, h

    refused(cell, "dropout")
    dropout.eval()
    assert np.allclose(
        compiled_scan(cell, data(3, 2, 4), data(2, 4))[0].numpy(),
        eager(cell, data(3, 2, 4), data(2, 4))[0].numpy(),
    )
