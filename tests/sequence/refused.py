"""A cell that is refused, and by which words."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import compiled_scan


def data(*shape, seed=0, grad=False):
    return tg.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=grad)


def refused(cell, match, x=None, h=None):
    with pytest.raises(tg.TraceError, match=match):
        compiled_scan(cell, data(3, 2, 4) if x is None else x, data(2, 4, seed=1) if h is None else h)
