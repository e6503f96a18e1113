"""A cell that changes between calls is traced anew; one that did not is not traced again."""

from __future__ import annotations

import collections
import dataclasses
import types

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import compiled_scan, eager, kinds, running
from tinygrad_rnn import nn
from tinygrad_rnn.sequence import traces

GAIN = 1.0
SETTINGS = {"gain": 1.0}


def data(*shape, seed=0, grad=False):
    return tg.tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=grad)


def check(backend, cell):
    """The cell as it is now, compiled and eager."""
    x, h = data(3, 2, 4), data(2, 4, seed=1)
    for kind in kinds(backend):
        with running(kind):
            found = compiled_scan(cell, x, h)[0].numpy()
        np.testing.assert_allclose(found, eager(cell, x, h)[0].numpy(), rtol=1e-12, atol=1e-11)
    return found


class Switched:
    shared = 1.0

    def __init__(self):
        self.gain, self.act, self.table, self.order = 1.0, tg.tanh, {"bias": 0.0}, [1.0, 2.0]
        self.weight = data(4, 4, seed=2)

    @property
    def scale(self):
        return SETTINGS["gain"]

    @staticmethod
    def shift():
        return GAIN

    def __call__(self, x, h):
        h = (
            self.act(x + h @ self.weight) * self.gain * self.shared * self.scale
            + self.table["bias"]
            + self.order[0]
            + self.shift()
        )
        return h, h


def _other_weight(cell):
    cell.weight = data(4, 4, seed=9)


def _other_data(cell):
    cell.weight.data = data(4, 4, seed=10).numpy()


def _method(cell):
    cell.__class__ = type("Other", (Switched,), {"scale": 3.0, "__call__": Switched.__call__})


CHANGES = {
    "an attribute": lambda cell, patch: setattr(cell, "gain", 2.0),
    "the sign of a zero attribute": lambda cell, patch: setattr(cell, "gain", -0.0),
    "a function": lambda cell, patch: setattr(cell, "act", tg.sigmoid),
    "an entry of a dict": lambda cell, patch: cell.table.update(bias=1.5),
    "an entry of a list": lambda cell, patch: cell.order.reverse(),
    "another tensor": lambda cell, patch: _other_weight(cell),
    "another array in a tensor": lambda cell, patch: _other_data(cell),
    "an attribute of the class": lambda cell, patch: patch.setattr(Switched, "shared", 0.5),
    "a method": lambda cell, patch: patch.setattr(Switched, "shift", staticmethod(lambda: 7.0)),
    "the class": lambda cell, patch: _method(cell),
    "a global that a property reads": lambda cell, patch: patch.setitem(SETTINGS, "gain", 4.0),
    "a global that a static method reads": lambda cell, patch: patch.setitem(globals(), "GAIN", 4.0),
}


@pytest.mark.both_backends
@pytest.mark.parametrize("change", CHANGES.values(), ids=[name.replace(" ", "-") for name in CHANGES])
def test_what_changed_is_seen(backend, change, monkeypatch):
    cell = Switched()
    before = check(backend, cell)
    change(cell, monkeypatch)
    assert not np.array_equal(check(backend, cell), before)


def test_functions_that_take_each_others_place(backend):
    """Each is thrown away before the next is made, so that they may lie at one address."""
    cell = Switched()
    for name in ("tanh", "sigmoid", "sin", "relu", "tanh"):
        cell.act = None
        cell.act = eval(f"lambda a: tg.{name}(a)")
        check(backend, cell)


def test_variables_around_a_function(backend):
    gain, rest, inner = 1.0, {"bias": 0.0}, lambda a: tg.tanh(a)

    def cell(x, h):
        h = inner(x + h) * gain + rest["bias"] + cell.extra
        return h, h

    cell.extra = 0.0
    results = [check(backend, cell)]
    gain = 2.0
    results.append(check(backend, cell))
    rest["bias"] = 1.0
    results.append(check(backend, cell))
    inner = tg.sigmoid
    results.append(check(backend, cell))
    cell.extra = 0.25
    results.append(check(backend, cell))
    assert len({r.tobytes() for r in results}) == 5


def test_defaults_and_code(backend):
    def cell(x, h, gain=1.0, *, bias=0.0):
        h = tg.tanh(x + h) * gain + bias
        return h, h

    def other(x, h, gain=1.0, *, bias=0.0):
        h = tg.sigmoid(x + h) * gain + bias
        return h, h

    results = [check(backend, cell)]
    cell.__defaults__ = (2.0,)
    results.append(check(backend, cell))
    cell.__kwdefaults__ = {"bias": 0.5}
    results.append(check(backend, cell))
    cell.__code__ = other.__code__
    results.append(check(backend, cell))
    assert len({r.tobytes() for r in results}) == 4


class Config:
    gain = 1.0


@dataclasses.dataclass
class Options:
    gain: float = 1.0


class Named(dict):
    """A dict with attributes: its items are no attributes."""


@pytest.mark.parametrize(
    "held",
    [
        Config,
        Options(),
        types.SimpleNamespace(gain=1.0),
        types.ModuleType("of_the_user"),
        Named(gain=1.0),
        collections.OrderedDict(gain=1.0),
        np.ones(1),
        collections.deque([1.0]),
    ],
    ids=lambda held: type(held).__name__,
)
def test_things_that_hold_numbers(backend, held, monkeypatch):
    by_item = isinstance(held, (dict, np.ndarray, collections.deque))
    place = "gain" if isinstance(held, dict) else 0
    if not by_item:
        monkeypatch.setattr(held, "gain", 1.0, raising=False)

    def cell(x, h):
        h = tg.tanh(x + h) * float(held[place] if by_item else held.gain)
        return h, h

    before = check(backend, cell)
    if by_item:
        held[place] = 2.0
    else:
        monkeypatch.setattr(held, "gain", 2.0)
    assert not np.array_equal(check(backend, cell), before)
    if by_item:
        held[place] = 1.0


def test_training_and_evaluation(backend):
    class Noisy(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(data(4, 4, seed=2))

        def __call__(self, x, h):
            h = tg.tanh(x + h @ self.weight) * (1.0 if self.training else 0.5)
            return h, h

    cell = Noisy()
    before = check(backend, cell)
    cell.eval()
    assert not np.array_equal(check(backend, cell), before)


def test_asking_for_gradients_later(backend):
    weight, x, h = data(4, 4, seed=2), data(3, 2, 4), data(2, 4, seed=1)

    def cell(x, h):
        h = tg.tanh(x + h @ weight)
        return h, h

    assert not compiled_scan(cell, x, h)[0].requires_grad
    weight.requires_grad_()
    found, expected = (
        tg.gradients(tg.sum(scan(cell, x, h)[0]), weight).numpy() for scan in (compiled_scan, eager)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    weight.requires_grad_(False)
    assert not compiled_scan(cell, x, h)[0].requires_grad


def test_a_value_from_outside_that_decides(backend):
    switch = tg.tensor([1.0])

    def cell(x, h):
        h = tg.tanh(x + h) if switch.item() > 0 else tg.sigmoid(x + h)
        return h, h

    before = check(backend, cell)
    switch.data = np.array([-1.0], np.float32)
    assert not np.array_equal(check(backend, cell), before)


def test_a_cell_that_did_not_change_is_traced_once(backend, monkeypatch):
    called = []
    layer = nn.LSTMCell(3, 4, dtype="float64")
    seen = traces.trace_cell
    monkeypatch.setattr(traces, "trace_cell", lambda *args: called.append(1) or seen(*args))
    x, state = data(3, 2, 3), (data(2, 4), data(2, 4))
    compiled_scan(layer, x, state)
    first = len(called)
    optimiser = tg.optim.SGD(layer.parameters(), 0.1)
    for _ in range(3):
        ys, _ = compiled_scan(layer, x, state)
        tg.sum(ys).backward()
        optimiser.step()
    assert len(called) == first


@pytest.mark.parametrize("kind", ["unhashable", "slots", "bound method", "built in"])
def test_any_callable(backend, kind):
    class Unhashable:
        __hash__ = None

        def __call__(self, x, h):
            return x + h, tg.tanh(x * h)

    class Slots:
        __slots__ = ()

        def __call__(self, x, h):
            return x + h, tg.tanh(x * h)

        step = __call__

    class Plain:
        def step(self, x, h):
            return x + h, tg.tanh(x * h)

    cell = {
        "unhashable": Unhashable(),
        "slots": Slots(),
        "bound method": Plain().step,
        "built in": Slots.__call__.__get__(Slots()),
    }[kind]
    check(backend, cell)
    found, expected = (
        tg.scan(cell, data(3, 2, 4), data(2, 4), compiled=how)[0].numpy() for how in (True, False)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_tensor_that_is_read_for_its_shape_only(backend):
    class ByShape:
        def __init__(self):
            self.like = data(2)

        def __call__(self, x, h):
            h = tg.tanh(x + h) / self.like.shape[0]
            return h, h

    cell = ByShape()
    for size in range(2, 7):
        cell.like = None
        cell.like = data(size)  # often where the one before was
        check(backend, cell)


@pytest.mark.both_backends
def test_zeros_of_two_signs_are_two_programs(backend):
    def cell(x, h):
        h = tg.tanh(tg.where(x > 9, h, SETTINGS["zero"]))
        return tg.arctan2(h, -1.0), h

    for SETTINGS["zero"] in (0.0, -0.0, 0.0):
        check(backend, cell)
    del SETTINGS["zero"]
