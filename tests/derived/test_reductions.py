"""Sums, norms, extrema and products in hard places: huge numbers, zeros, nothing at all."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.derived.exact import INF, is_exactly, value_slope_curvature
from tinygrad_rnn import linalg


def test_sums_of_exponentials_of_huge_numbers():
    is_exactly(tg.logsumexp, [1000.0, 0.0], 1000, [1, 0], [0, 0])
    is_exactly(tg.logsumexp, [-1000.0, -1000.0], -1000 + math.log(2), 0.5, 0)
    is_exactly(lambda x: tg.log_softmax(x)[0], [1000.0, 0.0], 0, 0, 0)
    is_exactly(lambda x: tg.softmax(x)[0], [1000.0, -1000.0], 1, 0, 0)
    is_exactly(lambda x: tg.cross_entropy(x, tg.tensor(1)), [1000.0, 0.0], 1000, [1, -1], 0)
    is_exactly(
        lambda x: tg.bce_with_logits(x, tg.tensor(np.ones(2)), "none"),
        [-1000.0, 1000.0],
        [1000, 0],
        [-1, 0],
        0,
    )


def test_masked_scores_of_minus_infinity():
    x = np.array([[1.0, -INF, 2.0], [0.0, -INF, -INF]])
    e = np.exp(x)
    p = e / e.sum(1, keepdims=True)
    value, slope, curvature = value_slope_curvature(lambda x: tg.logsumexp(x, 1), x)
    np.testing.assert_allclose(value, np.log(e.sum(1)), rtol=1e-14)
    np.testing.assert_allclose(slope, p, rtol=1e-14)
    np.testing.assert_allclose(curvature, 0, atol=1e-16)
    np.testing.assert_allclose(
        value_slope_curvature(lambda x: tg.softmax(x)[:, 0], x)[1], p[:, :1] * (np.eye(3)[0] - p), rtol=1e-14
    )
    assert tg.logsumexp(tg.tensor([-INF, -INF])).item() == -INF
    is_exactly(lambda x: tg.logaddexp(x, tg.tensor(-INF, dtype="float64")), [1.0], 1, 1, 0)
    is_exactly(lambda x: tg.logaddexp(tg.tensor(-INF, dtype="float64"), x), [-INF], -INF, 1, 0)


@pytest.mark.parametrize("order", [None, 1, 2, 3, 1.5, INF, -INF])
def test_norms_of_zero_have_no_slope(order):
    is_exactly(lambda x: linalg.norm(x, order), np.zeros(3), 0, 0, 0)


def test_frobenius_std_and_hypot_of_zero():
    is_exactly(lambda x: linalg.norm(x, "fro"), np.zeros((2, 2)), 0, 0, 0)
    is_exactly(
        lambda x: tg.norm(x, axis=1),
        np.array([[0.0, 0.0], [3.0, 4.0]]),
        [0, 5],
        [[0, 0], [0.6, 0.8]],
        [[0, 0], [0.032, -0.024]],
        1e-12,
    )
    is_exactly(tg.std, np.full(4, 2.0), 0, 0, 0)
    is_exactly(lambda x: tg.hypot(x, x * 0), np.zeros(2), 0, 0, 0)


def test_products_with_zeros():
    is_exactly(tg.prod, [2.0, 0.0, 3.0], 0, [0, 6, 0], [3, 5, 2])
    is_exactly(tg.prod, [0.0, 0.0, 3.0], 0, 0, [3, 3, 0])
    is_exactly(lambda x: tg.cumprod(x)[-1], [2.0, 0.0, 3.0], 0, [0, 6, 0], [3, 5, 2])


@pytest.mark.both_backends
@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "prod",
        "mean",
        "var",
        "cumsum",
        "sort",
        "exp",
        "softmax",
        "flip",
        "ravel",
        "square",
        "abs",
        "cumprod",
        "nansum",
    ],
)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), ()])
def test_empty_and_0d_arrays(name, shape):
    if shape == () and name in ("softmax", "sort"):
        return
    x = np.ones(shape)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is 0 / 0
        expected = getattr(np, name)(x) if name != "softmax" else x
        t = tg.tensor(x, requires_grad=True)
        y = getattr(tg, name)(t) if name != "softmax" or shape[-1] else t
        assert y.shape == expected.shape
        np.testing.assert_allclose(y.numpy(), expected, equal_nan=True)
        found = tg.gradients(y.sum(), t)
    assert found.shape == shape


def test_an_extremum_of_nothing_is_refused():
    with pytest.raises(tg.ShapeError, match="max"):
        tg.max(tg.tensor(np.ones((0, 3))), 0)
    assert tg.max(tg.tensor(np.ones((0, 3))), 1).shape == (0,)


def test_axes_of_length_one_and_broadcast_operands():
    row, column = np.array([[1.0, 2.0, 3.0]]), np.array([[4.0], [5.0]])
    a, b = tg.tensor(row, requires_grad=True), tg.tensor(column, requires_grad=True)
    (a * b + tg.maximum(a, b) / b).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), np.full((1, 3), 9.0))
    np.testing.assert_allclose(b.grad.numpy(), np.full((2, 1), 6.0), atol=1e-12)
    stretched = tg.broadcast_to(a, (4, 3))
    np.testing.assert_allclose(tg.gradients((stretched * stretched).sum(), a).numpy(), 8 * row)


def test_more_degrees_of_freedom_than_numbers(rng):
    x = rng.normal(size=(2, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        assert np.isinf(tg.var(tg.tensor(x), ddof=7).item())
