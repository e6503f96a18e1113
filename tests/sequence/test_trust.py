"""What a trace is trusted for. A cell that does something else at each step runs as the loop does, with the
loop's random numbers and with all that it changes changed once a step; every cell here was written to slip
through two traces that look alike."""

from __future__ import annotations

import collections
import ctypes
import datetime
import enum
import functools
import gc
import inspect
import math
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.chance import next_numbers, settled
from tests.sequence.stepwise import STEPWISE
from tests.sequence.stepwise.chance import forced

STEPS = 25


def run(make, how):
    """Outputs of two scans by one cell, what they left behind, and the next random numbers."""
    settled(3)
    cell = make()
    x, h = tg.tensor(np.linspace(-1, 1, STEPS * 2).reshape(STEPS, 2, 1)), tg.zeros((2, 1), "float64")
    found = [tg.scan(cell, x, h, compiled=how) for _ in range(2)]
    return [y.numpy() for pair in found for y in pair], getattr(cell, "left", lambda: None)(), next_numbers()


def same(one, other):
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert one[1:] == other[1:]


@pytest.mark.parametrize("make", STEPWISE)
def test_a_cell_that_changes_from_step_to_step_runs_as_the_loop_does(make):
    same(run(make, "auto"), run(make, False))
    with pytest.raises(tg.TraceError):
        tg.scan(make(), tg.zeros((3, 2, 1), "float64"), tg.zeros((2, 1), "float64"), compiled=True)


def test_the_share_of_forced_steps():
    shares = []
    for seed in range(12):
        settled(seed)
        ys, _ = tg.scan(forced(), tg.zeros((200, 1, 1), "float64"), tg.zeros((1, 1), "float64"))
        shares.append(ys.numpy().mean())
    assert all(0.35 < share < 0.65 for share in shares)


# -- what cannot be known by running it twice ----------------------------------------------------------------

C_LIBRARY = "msvcrt" if os.name == "nt" else None
OUTSIDE = {
    "clock": lambda: time.perf_counter() * 0,
    "time of day": lambda: datetime.datetime.now().year * 0,
    "entropy": lambda: os.urandom(1)[0] * 0,
    "a file": lambda: len(Path(os.devnull).read_text()),
    "uuid": lambda: uuid.uuid4().int * 0,
    "an address": lambda: id(object()) * 0,
    "a printed line": lambda: print() or 0.0,
    "a foreign function": lambda: ctypes.CDLL(C_LIBRARY).clock() * 0,
    "a fresh generator": lambda: np.random.default_rng().random() * 0,
    "a lock": lambda: LOCK.acquire(blocking=False) * 0,
    "globals": lambda: globals()["STEPS"] * 0.0,
    "executed text": lambda: eval("0.0"),
    "an environment variable": lambda: float(os.getpid()) * 0,
}
LOCK = threading.Lock()


@pytest.mark.parametrize("look", OUTSIDE.values(), ids=OUTSIDE)
def test_the_world_outside_is_refused_by_name(look, capsys):
    def cell(x, h):
        return h, h + look()

    with pytest.raises(tg.TraceError) as refused:
        tg.scan(cell, tg.zeros((3, 2, 1), "float64"), tg.zeros((2, 1), "float64"), compiled=True)
    assert "cell" in str(refused.value)
    assert "line" in str(refused.value) or "content cannot be compared" in str(refused.value)
    assert capsys.readouterr().out == ""  # refused before it was done


UNREADABLE = {
    "an iterator": iter([1, 2]),
    "a file": sys.__stdin__,
    "a foreign library": ctypes.CDLL(C_LIBRARY),
    "a memory view": memoryview(b"1"),
}


@pytest.mark.parametrize("held", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_compared_is_refused_by_its_name(held):
    class Cell:
        def __init__(self):
            self.held, self.other = held, held

        def __call__(self, x, h):
            return h, h + float(self.held is None)

    with pytest.raises(tg.TraceError, match=r"self\.held|held is a"):
        tg.scan(Cell(), tg.zeros((3, 2, 1), "float64"), tg.zeros((2, 1), "float64"), compiled=True)


# -- what is compiled all the same ---------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1.0
    BLUE = 2.0


class Slotted:
    __slots__ = ("gain",)


Pair = collections.namedtuple("Pair", "gain bias")


@functools.lru_cache
def scale(n):
    return math.sqrt(n)


SLOTTED, PAIR, ARRAY, CHOSEN = Slotted(), Pair(1.5, 0.25), np.array([[0.5], [2.0]]), frozenset([1, 2])
SLOTTED.gain = 1.5
DEQUE = collections.deque([0.5, 2.0])


def list_of_parts(x, h):
    parts = []
    for k in range(3):
        parts.append(h * k)
    parts.sort(key=lambda part: part.shape)
    names = {f"part{k}": part for k, part in enumerate(parts)}
    names.update(last=parts.pop())
    return h, tg.tanh(x + sum(names.values()))


def own_class(x, h):
    class Gate:
        def __init__(self, a):
            self.a = a
            self.a = tg.sigmoid(self.a)

    gate = Gate(h)
    gate.a = gate.a + x
    return h, gate.a


COMPILED = {
    "lists and dicts of its own": lambda: list_of_parts,
    "objects of its own": lambda: own_class,
    "a cached function": lambda: lambda x, h: (h, tg.tanh(x + h) * scale(h.shape[0])),
    "an enum": lambda: lambda x, h: (h, tg.tanh(x + h) * Colour.BLUE.value),
    "slots": lambda: lambda x, h: (h, tg.tanh(x + h) * SLOTTED.gain),
    "a named tuple": lambda: lambda x, h: (h, tg.tanh(x + h) * PAIR.gain + PAIR.bias),
    "an array": lambda: lambda x, h: (h, tg.tanh(x + h) * ARRAY),
    "a set": lambda: lambda x, h: (h, tg.tanh(x + h) * (2.0 if h.shape[0] in CHOSEN else 1.0)),
    "a deque": lambda: lambda x, h: (h, tg.tanh(x + h) * DEQUE[1]),
    "an attribute by a computed name": lambda: Computed(),
    "a generator that nobody draws from": lambda: Idle(),
    "modules of mathematics": lambda: (
        lambda x, h: (h, tg.tanh(x + h) / math.sqrt(np.prod(h.shape)) + float(np.float32(1.5)))
    ),
    "an import": lambda: importing,
    "assertions": lambda: asserting,
}


class Computed:
    gain_up, gain_down = 1.5, 0.5

    def __call__(self, x, h):
        return h, tg.tanh(x + h) * sum(getattr(self, f"gain_{way}") for way in ("up", "down"))


class Idle:
    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.weight = self.rng.normal(size=(1, 1))
        self.log, self.lock = sys.__stdin__, threading.Lock()

    def __call__(self, x, h):
        return h, tg.tanh(x + h * tg.tensor(self.weight))


def importing(x, h):
    import string  # noqa: F401
    from math import e

    return h, tg.tanh(x + h) * e


def asserting(x, h):
    assert isinstance(h, tg.Tensor), f"not a tensor: {h!r}"
    assert hasattr(x, "shape"), "shape"
    return h, tg.tanh(x + h)


@pytest.mark.numpy_only
@pytest.mark.parametrize("make", COMPILED.values(), ids=COMPILED)
def test_what_is_known_is_compiled(make):
    x, h = tg.tensor(np.linspace(-1, 1, 10).reshape(5, 2, 1)), tg.zeros((2, 1), "float64")
    cell = make()
    for _ in range(2):
        found, expected = (tg.scan(cell, x, h, compiled=how)[1].numpy() for how in (True, False))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


class Spied:
    """A cell whose attribute another thread writes all the time."""

    def __init__(self):
        self.scale = 1.0

    def __call__(self, x, h):
        h = tg.tanh(x + h) * self.scale
        return h, h


def test_reading_a_cell_undoes_nothing_that_another_thread_writes():
    for _ in range(40):
        cell, over = Spied(), threading.Event()
        written = [1.0]

        def write(cell=cell, over=over, written=written):
            while not over.is_set():
                written[0] += 1
                cell.scale = written[0]
                time.sleep(0)

        writer = threading.Thread(target=write)
        writer.start()
        tg.scan(cell, tg.zeros((3, 2, 4), "float64"), tg.zeros((2, 4), "float64"))
        over.set()
        writer.join()
        assert cell.scale == written[0]


@pytest.mark.numpy_only
@pytest.mark.parametrize(
    "setting", ["default dtype", "a gradient", "an array in place", "a cached function's answer"]
)
def test_what_changed_between_two_calls_is_seen(setting):
    """Each of these is read by the cell in a way that no attribute shows."""
    answers = {"gain": 1.0}

    @functools.lru_cache
    def gain():
        return answers["gain"]

    weight, array = tg.tensor(np.ones((1,)), requires_grad=True), np.ones((2, 1))
    weight.grad = tg.tensor(np.ones((1,)))
    cell = {
        "default dtype": lambda x, h: (tg.zeros((2, 1)), h + x),
        "a gradient": lambda x, h: (h, h + weight.grad),
        "an array in place": lambda x, h: (h, h + array),
        "a cached function's answer": lambda x, h: (h, h + gain()),
    }[setting]
    x, h = tg.ones((3, 2, 1), "float64"), tg.zeros((2, 1), "float64")

    def both():
        found, expected = ([y.numpy() for y in tg.scan(cell, x, h, compiled=how)] for how in (True, False))
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)

    both()
    try:
        if setting == "default dtype":
            tg.set_default_dtype("float64")
        weight.grad = tg.tensor(np.full((1,), 3.0))
        array[0] = 5.0
        answers["gain"] = 7.0
        gain.cache_clear()
        both()
    finally:
        tg.set_default_dtype("float32")


def test_hooks_of_the_garbage_collector_are_none_of_the_cells():
    called = []

    def hook(phase, info):
        called.append(time.perf_counter())

    def cell(x, h):
        kept = [[] for _ in range(2000)]  # more than the collector waits for
        new = tg.tanh(x + h * len(kept))
        return new, new

    gc.callbacks.append(hook)
    try:
        tg.scan(cell, tg.ones((3, 2, 4)), tg.ones((2, 4)))
    finally:
        gc.callbacks.remove(hook)
    assert "step by step" not in tg.explain(cell)


def test_what_a_library_makes_of_a_named_tuple_is_no_function_of_the_cells():
    """NumPy 2.5 reads its signatures by the standard library, whose tokens are named tuples: their maker
    stands in no file."""

    def cell(x, h):
        h = tg.tanh(x + h * len(inspect.signature(len).parameters))
        return h, h

    tg.scan(cell, tg.ones((3, 2)), tg.zeros(2), compiled=True)


FIRST_USES = {
    "a room that is imported when it is first asked for": (
        "return (h := tg.relu(x + h) if tg.nn.Linear else x), h"
    ),
    "linear algebra": "return (h := tg.tanh(x + h @ tg.linalg.inv(w))), h",
    "a scan that makes the team and its code": (
        "return (h := tg.scan(lambda a, b: (a + b, a + b), tg.stack([x, h]), h)[1]), h"
    ),
}


@pytest.mark.parametrize("body", FIRST_USES.values(), ids=FIRST_USES)
def test_what_the_library_does_when_first_used_is_nothing_of_the_cells(body, tmp_path):
    """In a process of its own, with empty caches: imports, folders, shared libraries."""
    script = tmp_path / "first.py"
    script.write_text(
        "import numpy as np, tinygrad_rnn as tg\n"
        "w = tg.tensor(np.eye(4) * 2)\n"
        f"def cell(x, h):\n    {body}\n"
        "with tg.no_grad():\n    tg.scan(cell, tg.ones((5, 3, 4), 'float64'), tg.zeros((3, 4), 'float64'))\n"
        "print(tg.explain(cell))\n"
    )
    environment = os.environ | {
        "TINYGRAD_RNN_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(Path(tg.__file__).parent.parent),
    }
    found = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True
    )
    assert "the cell calls" not in found.stdout
    assert "the cell runs" not in found.stdout
