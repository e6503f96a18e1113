"""No bit differs, however a scan is checkpointed or shared; and numbers at the ends of their range."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.covering import some
from tests.sequence.compare import compare, compiled_scan, eager, results, running
from tests.sequence.made import made
from tinygrad_rnn import nn
from tinygrad_rnn.selfcheck.cells import (
    BUILT_IN,
    WRITTEN,
)


def no_bit_differs(scan, wanted, segments):
    """Whether a scan and its gradients come out the same however many steps are kept at a time."""
    values, gradients, *_ = results(lambda: scan(None), wanted)
    for every in segments:
        with_checkpoints = results(lambda k=every: scan(k), wanted)
        for a, b in zip([*values, *gradients], [*with_checkpoints[0], *with_checkpoints[1]], strict=True):
            np.testing.assert_array_equal(*((x[0] if isinstance(x, tuple) else x) for x in (a, b)))


@pytest.mark.machine_code
@pytest.mark.each_value
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", some([*BUILT_IN, *WRITTEN], 3), ids=lambda make: make.__name__)
def test_checkpoints_change_no_bit_of_machine_code(make, dtype):
    cell, wanted, xs, state = made(make, dtype, batch=5)
    for reverse in (False, True):
        no_bit_differs(
            lambda k, r=reverse: tg.scan(cell, xs, state, reverse=r, checkpoint=k), wanted, (1, 2, 3)
        )


@pytest.mark.machine_code
def test_checkpoints_change_no_bit_where_threads_share_the_work():
    layer, x = (
        nn.LSTM(24, 40),
        tg.tensor(np.random.default_rng(0).normal(size=(33, 18, 24)), "float32", requires_grad=True),
    )

    def run(k):
        for direction in layer.layers[0]:
            direction.options["checkpoint"] = k
        return layer(x, lengths=np.arange(16, 34))

    no_bit_differs(run, [*layer.parameters(), x], (1, 5, 8, 32))


@pytest.mark.both_backends
def test_what_is_hoisted_may_name_the_number_of_rows(backend):
    """The residual of a column that is broadcast is summed to (T · B, 1): other steps, another derivative."""
    random = np.random.default_rng(0)
    weight, recurrent = (
        tg.tensor(random.normal(size=shape), requires_grad=True) for shape in ((4, 5), (5, 5))
    )

    def cell(x, h):
        a, column = x
        h = tg.tanh((a * column) @ weight + h @ recurrent)
        return h, h

    for steps in (1, 3, 2, 3):
        xs = [tg.tensor(random.normal(size=(steps, 3, n)), requires_grad=True) for n in (4, 1)]
        compare(backend, cell, [*xs, weight, recurrent], tuple(xs), tg.zeros((3, 5), "float64"))


@pytest.mark.parametrize("where", ["in the loop", "before the loop"])
def test_what_is_fine_where_it_runs_gives_no_warning_where_it_is_compiled(backend, where):
    weight = tg.tensor(np.ones((3, 3)))

    def cell(x, h):
        h = tg.tanh(h + tg.sqrt(x - 5) @ weight) if where == "before the loop" else tg.sqrt(h - 5) + x
        return h, h

    x, h = (tg.tensor(np.full(shape, 10.0), requires_grad=True) for shape in ((4, 2, 3), (2, 3)))
    y, _ = tg.scan(cell, x, h, compiled=True)
    assert np.isfinite(tg.gradients(tg.sum(y), x).numpy()).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saturated_units_pass_nothing(dtype):
    """tanh is exactly 1 there, so its slope is exactly 0, and no weight moves."""
    w = tg.tensor(np.ones((1, 1)), dtype, requires_grad=True)
    x = tg.tensor(np.array([1e6, -1e6, 20.0, -20.0]).reshape(1, 4, 1), dtype)

    def cell(x, h):
        h = tg.tanh(x @ w + h)
        return h, h

    reasons = []
    with running("native", reasons):
        ys, _ = compiled_scan(cell, x, tg.zeros((4, 1), dtype))
    assert not reasons
    tg.sum(ys).backward()
    np.testing.assert_array_equal(ys.numpy().ravel(), [1, -1, 1, -1])
    np.testing.assert_array_equal(w.grad.numpy(), [[0]])


@pytest.mark.parametrize("p", [0, 1, 2, 3, 4, -1, -2, -3, 0.5, -0.5, 1.5, -1.5, 2.5, 1 / 3, -7, 11.3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_of_numbers_at_the_ends_are_numpys(p, dtype):
    """Of ±0, ±1, ±∞, NaN and numbers below 0."""
    base = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, -2.0], dtype)

    def cell(x, h):
        return x**p, h + x

    with running("native", reasons := []), tg.no_grad():
        ys, _ = compiled_scan(cell, tg.tensor(base.reshape(1, 2, 4)), tg.zeros((2, 4), dtype))
    assert not reasons
    with np.errstate(all="ignore"):
        expected = base**p
    found = ys.numpy().ravel()
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arithmetic_is_numpys_to_the_last_bit(dtype):
    """No product is joined to a sum, so a residual passes where a kept value equals one that is computed
    again."""
    random = np.random.default_rng(0)
    f, i, g = (tg.tensor(random.normal(size=(6, 4, 9)), dtype, requires_grad=True) for _ in range(3))
    state = tg.tensor(random.normal(size=(4, 9)), dtype, requires_grad=True)

    def cell(x, c):
        f, i, g = x
        c = tg.clip(f * c + i * g, -0.9, 0.9)
        return tg.maximum(c * f - i * g, i * f + g * c), c

    wanted = [f, i, g, state]
    expected = results(lambda: eager(cell, (f, i, g), state), wanted)
    with running("native", reasons := []):
        found = results(lambda: compiled_scan(cell, (f, i, g), state), wanted)
    assert not reasons
    for (a, *_), (b, *_) in zip(found[0], expected[0], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=16 * np.finfo(dtype).eps * np.abs(b).max())
