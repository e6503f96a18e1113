"""Medians, quantiles and interpolation, also between infinities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.derived.exact import INF, NAN

VALUES = st.sampled_from([-INF, -2.0, 0.0, 1.0, 3.0, INF])


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_the_median_of_infinities(values):
    x = np.array(values)
    with np.errstate(all="ignore"):
        expected = np.median(x)
        found = tg.median(tg.tensor(x)).item()
    np.testing.assert_equal(found, float(expected))


@given(st.lists(VALUES, min_size=1, max_size=6), st.floats(0, 1))
def test_between_infinities(values, share):
    """On the line between two neighbours: NumPy's NaN where it subtracts infinities is the infinity that both
    sides have, or one."""
    place = share * (len(values) - 1)
    low, high = (sorted(values)[whole(place)] for whole in (math.floor, math.ceil))
    with np.errstate(all="ignore"):
        found = tg.quantile(tg.tensor(np.array(values)), share).item()
        numpys = np.quantile(np.array(values), share)
    if math.isinf(low) or math.isinf(high):
        np.testing.assert_equal(found, low + high)
    else:
        np.testing.assert_allclose(
            found, low + (high - low) * (place - math.floor(place)), rtol=1e-12, atol=1e-12
        )
    assert np.isnan(numpys) or found == pytest.approx(float(numpys), abs=1e-12)


def test_a_median_of_infinities_sends_finite_residuals():
    for values in ([INF, INF, 1.0], [INF, INF], [1.0, INF], [2.0, 2.0]):
        x = tg.tensor(np.array(values), requires_grad=True)
        tg.median(x).backward()
        assert tg.sum(x.grad).item() == 1


@given(
    st.lists(
        st.tuples(st.sampled_from([-INF, -1.0, 0.0, 0.5, 2.0, INF]), VALUES | st.just(NAN)),
        min_size=1,
        max_size=5,
        unique_by=lambda p: p[0],
    ),
    st.lists(VALUES | st.sampled_from([-0.5, 0.25, 5.0, NAN]), min_size=1, max_size=5),
)
def test_interpolation_is_numpys(points, xs):
    xp, fp = map(np.array, zip(*sorted(points, key=lambda point: point[0]), strict=True))
    x = np.array(xs)
    expected = np.interp(x, xp, fp)
    if len(xp) == 1:
        # NumPy's is the point there, and NaN where there are several
        expected = np.where(np.isnan(x), NAN, expected)
    np.testing.assert_allclose(
        tg.interp(tg.tensor(x), tg.tensor(xp), tg.tensor(fp)).numpy(), expected, rtol=1e-12
    )


def test_the_slope_of_a_line_between_points():
    xp, fp = tg.tensor(np.array([0.0, 1.0, 3.0])), tg.tensor(np.array([1.0, 3.0, -1.0]))
    x = tg.tensor(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0]), requires_grad=True)
    tg.sum(tg.interp(x, xp, fp)).backward()
    assert x.grad.tolist() == [0, 2, 2, -2, -2, -2, 0]
