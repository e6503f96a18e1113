"""Masks and times since the last observation beside the loop of Che et al. (2018)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import tinygrad_rnn as tg
from tests.data.strategies import SEEDS
from tinygrad_rnn.data import missing

GAPS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 7), st.integers(1, 3), st.integers(1, 3)),
    elements=st.just(math.nan) | st.integers(-9, 9).map(float),
)


def by_loop(x: np.ndarray, s: np.ndarray, forward: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One feature of one sample: x and the times s, both (T,)."""
    values, mask, delta = np.zeros(len(x)), np.zeros(len(x), bool), np.zeros(len(x))
    for t in range(len(x)):
        mask[t] = not math.isnan(x[t])
        values[t] = x[t] if mask[t] else values[t - 1] if forward and t > 0 else 0.0
        if t > 0:
            delta[t] = s[t] - s[t - 1] + (0.0 if mask[t - 1] else delta[t - 1])
    return values, mask, delta


@given(GAPS, SEEDS, st.sampled_from(["none", "(T,)", "(T, B)", "all"]), st.booleans(), st.booleans())
def test_it_is_the_loop_of_the_paper(
    x: np.ndarray, seed: int, kind: str, forward: bool, batch_first: bool
) -> None:
    steps, batch, features = x.shape
    shape = {"none": (steps,), "(T,)": (steps,), "(T, B)": (steps, batch), "all": x.shape}[kind]
    drawn = np.cumsum(np.random.default_rng(seed).integers(0, 4, shape) / 2, axis=0)
    times = np.arange(steps) if kind == "none" else drawn
    laid_out = x.swapaxes(0, 1) if batch_first else x
    told = times.swapaxes(0, 1) if batch_first and times.ndim > 1 else times
    found = missing(laid_out, None if kind == "none" else told, "forward" if forward else "zero", batch_first)
    assert [part.shape for part in found] == [laid_out.shape] * 3
    every = np.broadcast_to(times.reshape(times.shape + (1,) * (3 - times.ndim)), x.shape)
    for b in range(batch):
        for d in range(features):
            expected = by_loop(x[:, b, d], every[:, b, d], forward)
            for part, wanted in zip(found, expected, strict=True):
                part = part.swapaxes(0, 1) if batch_first else part
                np.testing.assert_array_equal(part[:, b, d], wanted)


def test_the_example_of_the_paper() -> None:
    """Figure 2 of Che et al."""
    nan = math.nan
    x = np.array([[47, 49, nan, 40, nan, 43, 55], [nan, 15, 14, nan, nan, nan, 15]]).T
    s = [0, 0.1, 0.6, 1.6, 2.2, 2.5, 3.1]
    _, mask, delta = missing(x, s)
    assert mask.T.astype(int).tolist() == [[1, 1, 0, 1, 0, 1, 1], [0, 1, 1, 0, 0, 0, 1]]
    wanted = [[0.0, 0.1, 0.5, 1.5, 0.6, 0.9, 0.6], [0.0, 0.1, 0.5, 1.0, 1.6, 1.9, 2.5]]
    np.testing.assert_allclose(delta.T, wanted, atol=1e-12)


def test_one_feature_and_dtypes() -> None:
    x = np.array([1, math.nan, 3], np.float32)
    values, mask, delta = missing(x)
    assert values.dtype == delta.dtype == np.float32
    assert mask.dtype == bool
    assert delta.tolist() == [0, 1, 2]
    assert missing([1, 2])[1].all()
    assert np.isnan(x[1])


@pytest.mark.parametrize(
    ("x", "options", "error", "complaint"),
    [
        (3.0, {}, tg.ShapeError, "x has shape"),
        ([1.0], {"batch_first": True}, tg.ShapeError, "no axis of steps"),
        ([1.0, 2.0], {"times": [0.0]}, tg.ShapeError, r"times have shape \(1,\)"),
        ([1.0, 2.0], {"times": [1.0, 0.0]}, tg.DataError, "times fall after step 0"),
        ([1.0, 2.0], {"times": [0.0, math.nan]}, tg.DataError, r"times at \[1\] is not finite"),
        ([1.0, 2.0], {"fill": "mean"}, tg.ArgumentError, "fill must be 'zero' or 'forward'"),
    ],
)
def test_refusals(x: Any, options: Any, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        missing(x, **options)
