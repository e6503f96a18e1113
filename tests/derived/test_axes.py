"""NumPy's results over every axis, and every two."""

from __future__ import annotations

import inspect
import itertools
import math

import numpy as np
import pytest

import tinygrad_rnn as tg

X = np.random.default_rng(0).normal(size=(3, 4, 2))


Q = np.array([0.1, 0.5, 1.0])


def along(axis, ndim=3):
    """The place of a vector along an axis."""
    return [-1 if i == axis % ndim else 1 for i in range(ndim)]


def both(name):
    return lambda np, x, **kwargs: getattr(np, name)(x, **kwargs)


_SINGLE = [
    "diff",
    "cumsum",
    "cumprod",
    "sort",
    "argsort",
    "argmax",
    "argmin",
    "flip",
    "ptp",
    "median",
    "unstack",
]


_REDUCTIONS = [
    "sum",
    "mean",
    "prod",
    "std",
    "var",
    "max",
    "min",
    "all",
    "any",
    "nansum",
    "nanmean",
    "nanmax",
    "nanmin",
    "count_nonzero",
]


ONE_AXIS = {
    **{name: both(name) for name in _SINGLE},
    **{name: both(name) for name in _REDUCTIONS},
    "diff twice": lambda np, x, axis: np.diff(x, 2, axis),
    "quantile": lambda np, x, axis: np.quantile(x, Q, axis=axis),
    "percentile": lambda np, x, axis: np.percentile(x, 100 * Q, axis=axis),
    "roll": lambda np, x, axis: np.roll(x, 1, axis),
    "take": lambda np, x, axis: np.take(x, [1, 0, -1], axis),
    "take_along_axis": lambda np, x, axis: np.take_along_axis(x, np.argsort(x, axis), axis),
    "repeat": lambda np, x, axis: np.repeat(x, 2, axis),
    "delete": lambda np, x, axis: np.delete(x, 1, axis),
    "append": lambda np, x, axis: np.append(x, x, axis),
    "concatenate": lambda np, x, axis: np.concatenate([x, x], axis),
    "stack": lambda np, x, axis: np.stack([x, 2 * x], axis),
    "array_split": lambda np, x, axis: np.array_split(x, 2, axis),
    "expand_dims": lambda np, x, axis: np.expand_dims(x, axis),
    "squeeze": lambda np, x, axis: np.squeeze(np.expand_dims(x, axis), axis),
    "average": lambda np, x, axis: np.average(x, axis, np.arange(1.0, x.shape[axis] + 1)),
    "average of all weights": lambda np, x, axis: np.average(x, axis, x * x + 1),
    "trapezoid": lambda np, x, axis: np.trapezoid(x, axis=axis),
    "trapezoid of widths": lambda np, x, axis: np.trapezoid(x, dx=0.5, axis=axis),
    "trapezoid of a vector": lambda np, x, axis: np.trapezoid(x, np.arange(x.shape[axis]) ** 2.0, axis=axis),
    "trapezoid of places": lambda np, x, axis: np.trapezoid(x, np.cumsum(x * x, axis), axis=axis),
    "trapezoid of a column": lambda np, x, axis: np.trapezoid(
        x, np.reshape(np.arange(x.shape[axis]) ** 2.0, along(axis)), axis=axis
    ),
    "norm": lambda np, x, axis: np.linalg.norm(x, axis=axis),
    "norm of order 1": lambda np, x, axis: np.linalg.norm(x, 1, axis),
}


TWO_AXES = {
    "swapaxes": lambda np, x, a, b: np.swapaxes(x, a, b),
    "moveaxis": lambda np, x, a, b: np.moveaxis(x, a, b),
    "rot90": lambda np, x, a, b: np.rot90(x, 1, (a, b)),
    "diagonal": lambda np, x, a, b: np.diagonal(x, 1, a, b),
    "trace": lambda np, x, a, b: np.trace(x, 0, a, b),
    "tensordot": lambda np, x, a, b: np.tensordot(x, x, ([a, b], [a, b])),
    "sum": lambda np, x, a, b: np.sum(x, (a, b)),
    "median": lambda np, x, a, b: np.median(x, (a, b)),
    "quantile": lambda np, x, a, b: np.quantile(x, Q, (a, b), keepdims=True),
    "flip": lambda np, x, a, b: np.flip(x, (a, b)),
    "roll": lambda np, x, a, b: np.roll(x, (1, 2), (a, b)),
    "norm": lambda np, x, a, b: np.linalg.norm(x, axis=(a, b)),
    "norm of order inf": lambda np, x, a, b: np.linalg.norm(x, math.inf, axis=(a, b)),
}


def equal(found, expected):
    assert isinstance(found, (list, tuple)) == isinstance(expected, (list, tuple))
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            equal(one, other)
        return
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axis", range(-3, 3))
@pytest.mark.parametrize("name", ONE_AXIS)
def test_every_axis_is_numpys(name, axis):
    equal(ONE_AXIS[name](tg, tg.tensor(X), axis=axis), ONE_AXIS[name](np, X, axis=axis))


@pytest.mark.parametrize(
    ("first", "second"), [(a, b) for a, b in itertools.product(range(-3, 3), repeat=2) if a % 3 != b % 3]
)
@pytest.mark.parametrize("name", TWO_AXES)
def test_every_two_axes_are_numpys(name, first, second):
    equal(TWO_AXES[name](tg, tg.tensor(X), first, second), TWO_AXES[name](np, X, first, second))


def test_every_function_with_an_axis_is_tried():
    """But those whose result for an axis is that of a formula over it, which tests of their own have."""
    with_axis = {
        name
        for name in tg.__dict__
        if callable(getattr(tg, name)) and "axis" in _parameters(getattr(tg, name))
    }
    tried = {name.split()[0] for name in (*ONE_AXIS, *TWO_AXES)}
    formulas = {
        "cross",
        "cross_entropy",
        "nll_loss",
        "softmax",
        "log_softmax",
        "logsumexp",
        "split",
        "amax",
        "amin",
        "concat",
    }
    assert with_axis - tried == formulas


def _parameters(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def test_trapezoids_over_an_axis_have_the_slope_of_their_sum():
    y, x = np.cumsum(np.abs(X), 0), np.cumsum(np.abs(X) + 0.1, 0)
    tg.check_gradients(lambda y, x: tg.trapezoid(y, x, axis=0), tg.tensor(y), tg.tensor(x))
