"""What only computes is compiled at once, and traced once."""

from __future__ import annotations

import datetime
import functools
import gc
import hashlib
import heapq
import math
import operator
import os
import pathlib
import random
import sys
import threading
import warnings
import weakref
import zlib

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.scaled import scaled
from tinygrad_rnn import nn
from tinygrad_rnn.sequence import traces as sequence_traces

# -- what is compiled all the same ---------------------------------------------------------------------------


class Defaulting(dict):
    def get(self, key, default=0.5):
        return super().get(key, default)

    def __getitem__(self, key):
        return dict.__getitem__(self, key) * 2


class Doubling(list):
    def __getitem__(self, index):
        return super().__getitem__(index) * 2


@functools.singledispatch
def dispatched(value):
    return 1.0


@dispatched.register
def _(value: int):
    return 0.5


def heap():
    parts = [3, 1, 2]
    heapq.heapify(parts)
    heapq.heappush(parts, 0)
    return heapq.heappop(parts) + 0.5


def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return 0.5


def locked():
    with LOCK:
        return 0.5


LOCK, OWN, TABLE = threading.Lock(), threading.local(), Defaulting(a=0.25)
OWN.scale = 0.5
FIRST, SHAPE, NUMBERS = operator.itemgetter(0), operator.attrgetter("shape"), Doubling([0.25])
RECORDS = np.array([(0.5, "a")], [("gain", "f8"), ("name", object)])
PURE = {
    "super().get": lambda: TABLE.get("a"),
    "dict.__getitem__": lambda: TABLE["a"],
    "super().__getitem__": lambda: NUMBERS[0],
    "itemgetter": lambda: FIRST((0.5, 1.0)),
    "attrgetter": lambda: SHAPE(NUMBERS_OF_AN_ARRAY)[0],
    "a heap of its own": heap,
    "timedelta": lambda: datetime.timedelta(seconds=0.5).total_seconds(),
    "os.path": lambda: len(os.path.join("a", "b")),
    "pathlib": lambda: len(str(pathlib.PurePath("a") / "b")),
    "zlib": lambda: zlib.crc32(b"a") % 2,
    "hashlib": lambda: hashlib.md5(b"a").digest()[0] % 2,
    "sys.getsizeof": lambda: sys.getsizeof(1) / 100,
    "a seeded generator of its own": lambda: random.Random(0).random(),
    "a seeded generator of NumPy": lambda: np.random.default_rng(0).random(),
    "warnings": quiet,
    "a lock": locked,
    "a thread's own": lambda: OWN.scale,
    "singledispatch": lambda: dispatched(3),
    "an object in a record": lambda: RECORDS["gain"][0],
    "the class of a value": lambda: isinstance(math.pi, float),
}
NUMBERS_OF_AN_ARRAY = np.ones(3)


@pytest.mark.parametrize("scale", PURE.values(), ids=PURE)
def test_what_only_computes_is_compiled_at_once(scale):
    cell = scaled(scale)
    x, h = tg.tensor(np.linspace(-1, 1, 12).reshape(4, 3)), tg.zeros((3,), "float64")
    np.testing.assert_allclose(
        *(tg.scan(cell, x, h, compiled=how)[0].numpy() for how in (True, False)), rtol=1e-12
    )


def test_a_refusal_lets_go_of_what_the_cell_holds():
    lock = threading.Lock()

    def cell(x, h):
        with lock:
            return h, tg.tanh(x + h) * tg.sum(h).item()

    tg.scan(cell, tg.ones((3, 2), "float64"), tg.zeros((2,), "float64"))
    assert not lock.locked()


@pytest.fixture
def traces(monkeypatch):
    """How often a cell was traced."""
    count, trace = [], sequence_traces.trace_cell
    monkeypatch.setattr(sequence_traces, "trace_cell", lambda *args: count.append(1) or trace(*args))
    return count


def test_a_cell_that_is_defined_anew_in_each_call_is_traced_once(traces):
    x, h = tg.tensor(np.linspace(-1, 1, 12).reshape(4, 3)), tg.zeros((3,), "float64")

    def forward(weight, gain):
        def cell(x, h):
            h = tg.tanh(x + h * weight * gain)
            return h, h

        return tg.gradients(tg.sum(tg.scan(cell, x, h)[0]), [weight])[0].numpy()

    def expected(weight, gain):
        """The derivative of a sum over steps, by hand."""
        h, slope, total = np.zeros(3), np.zeros(3), 0
        for step in x.numpy():
            new = np.tanh(step + h * weight * gain)
            slope = (1 - new**2) * gain * (h + weight * slope)
            total, h = total + slope, new
        return total

    for value in (0.5, 0.25, 2.0):
        weight = tg.tensor(np.full(3, value), requires_grad=True)
        np.testing.assert_allclose(forward(weight, 1.0), expected(np.full(3, value), 1.0), rtol=1e-9)
    assert len(traces) == 1
    np.testing.assert_allclose(forward(weight, 0.5), expected(np.full(3, 2.0), 0.5), rtol=1e-9)
    assert len(traces) == 2


def test_a_trace_does_not_keep_the_tensors_of_a_cell_alive():
    def run():
        weight = tg.tensor(np.ones(3))
        tg.scan(
            lambda x, h: (h, tg.tanh(x + h * weight)),
            tg.ones((2, 3), "float64"),
            tg.zeros((3,), "float64"),
            compiled=True,
        )
        return weakref.ref(weight)

    last = run()
    gc.collect()
    assert last() is None


def test_a_refused_cell_is_tried_again_when_what_it_reads_has_changed(traces):
    drop = nn.Dropout(0.5)

    def cell(x, h):
        h = tg.tanh(drop(x) + h)
        return h, h

    x, h = tg.ones((3, 2), "float64"), tg.zeros((2,), "float64")
    for _ in range(3):
        with pytest.raises(tg.TraceError, match="random numbers"):
            tg.scan(cell, x, h, compiled=True)
    assert len(traces) == 1
    drop.eval()
    tg.scan(cell, x, h, compiled=True)
    assert len(traces) == 2
