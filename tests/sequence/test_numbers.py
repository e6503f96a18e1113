"""A Python number that a cell reads may change at every call: results are those of the loop, and one machine
code is for all values."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import some
from tests.sequence.compare import NATIVE, compiled_scan, eager, results, running, same
from tinygrad_rnn.backends.native import code_cache, compiler
from tinygrad_rnn.sequence import plans


def ways(backend):
    """Machine code or kernels, and calls."""
    return ("native", "interpreted") if backend == "cupy" or NATIVE else ("interpreted",)


class Annealed:
    """A cell that reads numbers: a rate, a flag that is a factor, a whole number in arithmetic, a bound that
    is compared with."""

    def __init__(self, dtype="float64"):
        random = np.random.default_rng(0)
        self.w = tg.tensor(random.normal(size=(4, 4)).astype(dtype), requires_grad=True)
        self.b = tg.tensor(random.normal(size=4).astype(dtype), requires_grad=True)
        self.rate, self.noisy, self.count, self.bound = 0.9, True, 3, 0.25

    def __call__(self, x, h):
        new = tg.tanh(x + h @ self.w * self.rate + self.b * self.rate)
        new = new + 0.5 * self.noisy * tg.sin(x) + h / self.count - self.rate
        new = tg.where(h > self.bound, new, (1 - self.rate) * h)
        return new * 0.5, tg.maximum(new, -self.bound)


def data(dtype="float64", batch=2):
    random = np.random.default_rng(1)
    x, h = (
        tg.tensor(random.normal(size=shape).astype(dtype), requires_grad=True)
        for shape in ((5, batch, 4), (batch, 4))
    )
    return x, h


CHANGES = {
    "a rate": [("rate", 0.9 * 0.97**i) for i in range(6)],
    "a rate that is 0, and −0": [("rate", value) for value in (0.5, 0.0, -0.0, 0.5, 1.0, 1)],
    "a flag": [("noisy", value) for value in (True, False, True, False)],
    "a whole number": [("count", value) for value in (1, 2, 7, -3, 10**20)],
    "a bound": [("bound", value) for value in (0.25, 1, 0, float("inf"), -0.5)],
    "all of them": [
        (name, value)
        for i in range(4)
        for name, value in [("rate", 1 / (1 + i)), ("noisy", i % 2 == 0), ("count", i + 1), ("bound", i / 4)]
    ],
}


@pytest.mark.each_value
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=[name.replace(" ", "-") for name in CHANGES])
def test_all_values_give_what_the_loop_gives(backend, change, dtype):
    agree(backend, change, dtype)


@pytest.mark.parametrize("backend", ["cupy"], indirect=True)
def test_all_values_in_kernels(backend):
    agree(backend, CHANGES["all of them"], "float32")


def agree(backend, change, dtype):
    for kind in ways(backend):
        cell, (x, h) = Annealed(dtype), data(dtype)
        tg.clear_caches()
        for name, value in change:
            setattr(cell, name, value)
            wanted = [x, h, cell.w, cell.b]
            expected = results(lambda cell=cell, x=x, h=h: eager(cell, x, h), wanted)
            with running(kind):
                found = results(lambda cell=cell, x=x, h=h: compiled_scan(cell, x, h), wanted)
            same(found, expected, 2e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_number_at_all_is_the_same_in_the_code_and_as_an_operand(backend, value):
    for kind in ways(backend):
        both = []
        for rates in ([value], [0.5, value]):
            tg.clear_caches()
            cell, (x, h) = Annealed(), data()
            with running(kind), np.errstate(all="ignore"):
                for cell.rate in rates:
                    found = results(
                        lambda cell=cell, x=x, h=h: compiled_scan(cell, x, h), [x, h, cell.w, cell.b]
                    )
            both.append(found)
        same(*both, 1e-12)


@pytest.fixture
def compilations(monkeypatch, tmp_path):
    """What was turned into machine code since, with an empty folder and empty caches."""
    tg.clear_caches()
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(tmp_path / "cache"))
    texts, optimised = [], compiler._optimised
    monkeypatch.setattr(compiler, "_optimised", lambda text: texts.append(text) or optimised(text))
    return texts


@pytest.mark.machine_code
def test_an_annealed_rate_is_compiled_for_twice_and_no_more(compilations, tmp_path):
    """Once with the number in the code, once with the number as an operand; 50 values, 50 results."""
    cell, (x, h) = Annealed(), data()
    seen = []
    for step in range(50):
        cell.rate = 0.9 * 0.97**step
        ys, _ = compiled_scan(cell, x, h)
        np.testing.assert_allclose(ys.numpy(), eager(cell, x, h)[0].numpy(), rtol=1e-12, atol=1e-12)
        seen.append(ys.numpy().tobytes())
    assert len(set(seen)) == 50
    assert len(compilations) == len(list((tmp_path / "cache").iterdir())) == 2
    assert len(plans._plans) == 2
    code_cache.clear()
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.machine_code
def test_numbers_that_never_change_stay_in_the_code(compilations):
    cell, (x, h) = Annealed(), data()
    for _ in range(3):
        compiled_scan(cell, x, h)
    assert len(compilations) == 1
    (plan,) = plans._plans.values()
    assert all(plan.body.whole.shapes[v] != () for v in plan.body.whole.fixed)
    cell.noisy = False
    compiled_scan(cell, x, h)
    _, plan = plans._plans.values()
    # 0.5 · noisy is one number
    assert [plan.body.whole.shapes[v] for v in plan.body.whole.fixed].count(()) == 1


@pytest.mark.machine_code
def test_another_cell_of_the_same_kind_shares_the_code(compilations):
    """Cells that are made anew with another number each, as functions that close over it."""
    x, h = data()

    def scaled(scale):
        return lambda x, h: (h, tg.tanh(x + h * scale))

    for i in range(20):
        cell = scaled(1 / (i + 1))
        np.testing.assert_allclose(
            compiled_scan(cell, x, h)[0].numpy(), eager(cell, x, h)[0].numpy(), rtol=1e-12, atol=1e-12
        )
    assert len(compilations) == 2


def test_a_number_that_decides_what_runs_is_no_operand(backend):
    class Switching:
        deep = False

        def __call__(self, x, h):
            h = tg.tanh(x + h)
            return h, tg.sin(h) * 2 if self.deep else h

    cell, (x, h) = Switching(), data()
    for deep in (False, True, False, 1, 0):
        cell.deep = deep
        for kind in ways(backend):
            with running(kind):
                np.testing.assert_allclose(
                    compiled_scan(cell, x, h)[0].numpy(), eager(cell, x, h)[0].numpy(), rtol=1e-12, atol=1e-12
                )


def test_bounds_and_exponents_are_no_operands(backend):
    class Bounded:
        def __call__(self, x, h):
            h = tg.clip(x + h, -self.bound, self.bound) ** self.exponent
            return h, h

    cell, (x, h) = Bounded(), data()
    for cell.bound, cell.exponent in ((1.0, 2), (0.5, 2), (0.5, 3), (0.25, 1)):
        for kind in ways(backend):
            with running(kind):
                found = results(lambda: compiled_scan(cell, x, h), [x, h])
            same(found, results(lambda: eager(cell, x, h), [x, h]), 1e-12)


OPERATIONS = [
    *(
        tg.add,
        tg.subtract,
        tg.multiply,
        tg.divide,
        tg.maximum,
        tg.minimum,
        tg.fmod,
        tg.mod,
        tg.arctan2,
        tg.hypot,
        tg.logaddexp,
    ),
    *(tg.greater, tg.less_equal, tg.equal, tg.logical_and, tg.power),
]


# x ** number is another operation
SIDES = [(row, left) for row in OPERATIONS for left in (False, True) if left or row is not tg.power]


@pytest.mark.each_value
@pytest.mark.parametrize(
    ("row", "left"),
    some(SIDES, 3),
    ids=[f"{row.__name__}-{'left' if left else 'right'}" for row, left in SIDES],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_each_operation_takes_a_number_that_changes(backend, row, left, dtype):
    """Of every Python type beside every dtype: the dtype and the values are NumPy's, as for a number that
    stays."""
    values = [0.5, 3, True, 2.25, 2, 1.75, False, 7]
    x = tg.tensor(np.array([[[1, 2, 3]], [[1, 4, 1]]]).astype(dtype), requires_grad=dtype.startswith("float"))
    h = tg.zeros((1, 3), dtype)

    def made(number):
        def cell(x, h):
            return (row(number, x) if left else row(x, number)), h + x

        return cell

    with np.errstate(all="ignore"):
        for value in values:
            cell = made(value)
            try:
                expected = eager(cell, x, h)[0]
            except tg.DtypeError as error:  # as subtract of booleans
                with pytest.raises(tg.TraceError, match=re.escape(str(error))):
                    compiled_scan(cell, x, h)
                continue
            found = compiled_scan(cell, x, h)[0]
            assert found.dtype == expected.dtype
            tolerance = 1e-6 if dtype == "float32" else 1e-14
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=tolerance)
            assert found.requires_grad == expected.requires_grad
            if found.requires_grad:
                (g,), (wanted,) = (tg.gradients(tg.sum(y * y), [x]) for y in (found, expected))
                np.testing.assert_allclose(g.numpy(), wanted.numpy(), rtol=4 * tolerance)


def test_tapes_and_pictures_show_the_number():
    """Whoever looks inside sees the cell as it was: a number, and no tensor that nobody made; second
    derivatives go through it too."""
    cell, (x, h) = Annealed(), data()
    for cell.rate in (0.9, 0.8, 0.7):
        told = []
        for how in ("auto", False):
            loss = tg.sum(tg.scan(cell, x, h, compiled=how)[0] ** 2)
            texts = [tg.draw(loss, view=view).dot for view in ("ops", "steps")]
            told.append(
                (
                    texts,
                    tg.hvp(
                        lambda w, how=how: _loss(cell, w, x, h, how), (cell.w,), (tg.ones((4, 4), "float64"),)
                    ),
                )
            )
        (texts, curved), (expected, curve) = told
        assert texts == expected
        np.testing.assert_allclose(curved[0].numpy(), curve[0].numpy(), rtol=1e-10, atol=1e-12)


def _loss(cell, w, x, h, how):
    kept, cell.w = cell.w, w
    try:
        return tg.sum(tg.scan(cell, x, h, compiled=how)[0] ** 2)
    finally:
        cell.w = kept


@pytest.mark.parametrize("number", [0.5, -0.25, 3, 0, 0.0, True, float("nan")])
def test_a_number_is_true_where_it_is_not_zero(backend, number):
    """Also one that stays, and is part of the code: no whole number is made of it first."""
    x, h = tg.tensor(np.array([[[1.0, 0.0, -2.0]]])), tg.zeros((1, 3), "float64")

    def cell(x, h):
        return tg.logical_and(number, x), h + x

    np.testing.assert_array_equal(compiled_scan(cell, x, h)[0].numpy(), np.logical_and(number, x.numpy()))
