"""Cells that multiply by what a function returns, beside the loop: all that they give and all that they leave
behind."""

from __future__ import annotations

import random

import numpy as np

import tinygrad_rnn as tg


def both(make, monkeypatch):
    """What two scans give and what is left behind, compiled where that goes and step by step; ``make``
    returns the cell, a change that is made between the scans or None, and what tells what was left or
    None."""
    results = []
    for how in ("auto", False):
        with monkeypatch.context() as patch:
            random.seed(1)
            np.random.seed(1)
            cell, change, left = make(patch)
            x, h = tg.tensor(np.linspace(-1, 1, 12).reshape(4, 3)), tg.zeros((3,), "float64")
            found = [tg.scan(cell, x, h, compiled=how)[0].numpy()]
            if change is not None:
                change()
            found.append(tg.scan(cell, x, h, compiled=how)[0].numpy())
            results.append((found, None if left is None else left(), random.random(), np.random.random()))
    return results


def assert_same(make, monkeypatch):
    (found, *rest), (expected, *others) = both(make, monkeypatch)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert repr(rest) == repr(others)
    return expected


def scaled(scale):
    """A cell that multiplies by what a function returns."""

    def cell(x, h):
        h = tg.tanh(x + h * float(scale()))
        return h, h

    return cell
