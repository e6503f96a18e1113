"""Functions of numbers in hard places: far out, at 0, at kinks and ties, in branches not taken."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.derived.exact import INF, NAN, is_exactly, value_slope_curvature
from tinygrad_rnn import linalg


def test_functions_that_saturate():
    far = [-1000.0, 1000.0]
    is_exactly(tg.sigmoid, far, [0, 1], 0, 0)
    is_exactly(tg.tanh, far, [-1, 1], 0, 0)
    is_exactly(tg.softplus, far, [0, 1000], [0, 1], 0)
    is_exactly(tg.log_sigmoid, far, [-1000, 0], [1, 0], 0)
    is_exactly(tg.silu, far, [0, 1000], [0, 1], 0)
    is_exactly(tg.gelu, far, [0, 1000], [0, 1], 0)
    is_exactly(tg.elu, far, [-1, 1000], [0, 1], 0)
    is_exactly(tg.erf, far, [-1, 1], 0, 0)
    is_exactly(lambda x: tg.logaddexp(x, 0.0), far, [0, 1000], [0, 1], 0)


def test_small_arguments_keep_their_digits():
    tiny = [1e-18, -1e-18]
    is_exactly(tg.log1p, tiny, tiny, 1, -1)
    is_exactly(tg.expm1, tiny, tiny, 1, 1)
    is_exactly(tg.sinc, [0.0, 1e-9], 1, [0, -(math.pi**2) / 3 * 1e-9], -(math.pi**2) / 3, rtol=1e-12)


@pytest.mark.both_backends
def test_powers_of_zero():
    zero = np.zeros(2)
    is_exactly(lambda x: x**2, zero, 0, 0, 2)
    is_exactly(lambda x: x**1, zero, 0, 1, 0)
    is_exactly(lambda x: x**0, zero, 1, 0, 0)
    is_exactly(lambda x: x**3.0, zero, 0, 0, 0)
    is_exactly(lambda x: tg.power(x, tg.tensor(np.array([0.0, 3.0]))), zero, [1, 0], 0, 0)
    is_exactly(lambda x: tg.power(0.0, x), [1.0, 2.0], 0, 0, 0)


@pytest.mark.parametrize(
    ("branch", "bad"),
    [(tg.sqrt, [0.0, -1.0]), (tg.log, [0.0, -1.0]), (tg.reciprocal, [0.0, 0.0]),
    (lambda x: x / tg.abs(x), [0.0, 0.0]),
     (lambda x: x**0.5, [0.0, -1.0]),
     (tg.arcsin, [1.0, 2.0]), (lambda x: tg.exp(1e3 + x), [1.0, 2.0]),
     (lambda x: tg.power(x, x), [0.0, -1.5]), (tg.arctanh, [1.0, 2.0])],
)  # fmt: skip
def test_a_branch_not_taken_leaves_no_nan(branch, bad):
    x = np.array([*bad, 0.5])
    taken = tg.tensor(np.array([False, False, True]))

    def f(x):
        return tg.where(taken, branch(x), 2 * x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the forward pass does compute the branch
        with np.errstate(all="ignore"):
            value, slope, curvature = value_slope_curvature(f, x)
            alone = value_slope_curvature(branch, x[2:])
    np.testing.assert_array_equal(value[:2], 2 * x[:2])
    np.testing.assert_array_equal(slope[:2], 2)
    np.testing.assert_array_equal(curvature[:2], 0)
    for ours, expected in zip((value, slope, curvature), alone, strict=True):
        np.testing.assert_allclose(ours[2:], expected, rtol=1e-14)


def test_a_residual_that_happens_to_be_zero_still_has_a_derivative():
    # behind a row that masks: 0 · ∞ is 0 there, but 0 · finite must change with the residual
    is_exactly(lambda x: tg.relu(x - 5) + (2 * x) * (2 * x), [0.0, 1.0], [0, 4], [0, 8], 8)
    is_exactly(lambda x: tg.where(x > 5, tg.log(tg.abs(x) + 1), tg.sin(x) * tg.sin(x)), [0.0], 0, 0, 2)


def test_an_infinite_slope_does_not_come_through_a_closed_gate():
    is_exactly(lambda x: tg.sqrt(tg.relu(x)), [-1.0, 4.0], [0, 2], [0, 0.25], [0, -1 / 32])
    is_exactly(lambda x: tg.sqrt(tg.maximum(x, 0.0)), [-1.0, 4.0], [0, 2], [0, 0.25], [0, -1 / 32])
    is_exactly(lambda x: tg.sqrt(tg.max(x)), [-1.0, 0.0], 0, [0, INF], [0, -INF])
    zero = tg.tensor(np.array([0.0]))
    for f in (
        lambda x: tg.relu(-tg.sqrt(x)),
        lambda x: tg.maximum(tg.sqrt(x), 1.0),
        lambda x: tg.max(tg.stack([tg.sqrt(x), x + 1]), 0),
    ):
        assert np.isfinite(tg.jvp(f, zero, zero + 1)[1].numpy()).all()


def test_kinks():
    is_exactly(tg.relu, [0.0, -0.0], 0, 0, 0)
    is_exactly(tg.abs, [0.0], 0, 0, 0)
    is_exactly(lambda x: tg.clip(x, -1, 1), [-1.0, 1.0, 2.0], [-1, 1, 1], [1, 1, 0], 0)
    is_exactly(tg.hardtanh, [-1.0, 1.0, 2.0], [-1, 1, 1], [1, 1, 0], 0)
    is_exactly(lambda x: tg.maximum(x, 0.0), [0.0, 1.0], [0, 1], [0.5, 1], 0)
    is_exactly(lambda x: tg.minimum(x, x), [3.0], 3, 1, 0)
    is_exactly(
        lambda x: tg.huber_loss(x, x * 0, reduction="none"),
        [1.0, 2.0, 0.0],
        [0.5, 1.5, 0],
        [1, 1, 0],
        [1, 0, 0],
    )


@pytest.mark.both_backends
def test_ties_share_equally():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    is_exactly(lambda x: tg.max(x, 1), x, [3, 2], [[0, 0.5, 0.5], [1 / 3] * 3], 0)
    is_exactly(lambda x: tg.min(x, 1), x, [1, 2], [[1, 0, 0], [1 / 3] * 3], 0)
    is_exactly(tg.max, np.array([5.0, 5.0]), 5, 0.5, 0)
    is_exactly(lambda x: linalg.norm(x, INF), np.array([-3.0, 3.0]), 3, [-0.5, 0.5], 0)


@pytest.mark.both_backends
def test_nan_is_passed_on():
    x = tg.tensor(np.array([1.0, NAN]))
    for f in (tg.max, tg.min, tg.sum, tg.median, tg.relu, lambda x: tg.maximum(x, 0.0), tg.logsumexp):
        assert np.isnan(f(x).numpy()).any()
    assert not np.isnan(tg.nan_to_num(x).numpy()).any()


@pytest.mark.parametrize(
    "name", ["sign", "floor", "ceil", "rint", "trunc", "isnan", "isinf", "isfinite", "logical_not", "round"]
)
def test_jumps_have_numpys_values_and_no_residual(name):
    x = np.array([-1.5, 0.0, 0.5, 2.5])
    y = getattr(tg, name)(tg.tensor(x, requires_grad=True))
    np.testing.assert_array_equal(y.numpy(), getattr(np, name)(x))
    assert not y.requires_grad


@pytest.mark.both_backends
def test_comparisons_and_positions():
    x = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 5.0]])
    t = tg.tensor(x)
    for name in [
        "equal",
        "not_equal",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "logical_and",
        "logical_or",
        "logical_xor",
    ]:
        np.testing.assert_array_equal(
            getattr(tg, name)(t, t.T.reshape(2, 3)).numpy(), getattr(np, name)(x, x.T.reshape(2, 3))
        )
    for name, axis, keepdims in itertools.product(
        ["argmax", "argmin", "all", "any", "count_nonzero"], [None, 0, -1], [False, True]
    ):
        expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
        found = getattr(tg, name)(t, axis=axis, keepdims=keepdims)
        assert found.shape == np.shape(expected)
        np.testing.assert_array_equal(found.numpy(), expected)
    np.testing.assert_array_equal(tg.argsort(t, 1).numpy()[0], np.argsort(x, 1)[0])
    np.testing.assert_array_equal(
        tg.searchsorted(tg.tensor(np.array([1.0, 2.0, 3.0])), t).numpy(), np.searchsorted([1.0, 2.0, 3.0], x)
    )
    np.testing.assert_array_equal(tg.round(t / 3, 2).numpy(), np.round(x / 3, 2))
    assert tg.allclose(t, t + 1e-12)
    assert not tg.allclose(t, t + 1e-3)
