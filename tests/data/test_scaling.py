"""Scales beside the formulas by hand, and back again."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import tinygrad_rnn as tg
from tinygrad_rnn.data import MinMax, Standard, scaling

NAN = math.nan
SERIES = arrays.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3)),
    elements=st.floats(-1000, 1000, width=32),
)


def columns(x: np.ndarray) -> list[list[float]]:
    """Each feature's numbers without the missing ones."""
    return [[float(v) for v in column if v == v] for column in x.reshape(-1, x.shape[-1]).T]


@given(SERIES)
def test_standard_is_mean_and_deviation(x: np.ndarray) -> None:
    scaler = Standard().fit(x)
    for feature, values in enumerate(columns(x)):
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
        assert scaler.shift[feature] == pytest.approx(mean, rel=1e-12, abs=1e-9)
        expected = deviation if min(values) < max(values) else 1.0
        assert scaler.scale[feature] == pytest.approx(expected, rel=1e-9)


@given(SERIES, st.floats(-3, 0), st.floats(1, 5))
def test_minmax_takes_least_and_most_to_the_bounds(x: np.ndarray, low: float, high: float) -> None:
    scaled = MinMax(low, high).fit(x).transform(x)
    for before, after in zip(columns(x), columns(scaled), strict=True):
        assert min(after) == pytest.approx(low, abs=1e-5)
        if min(before) < max(before):
            assert max(after) == pytest.approx(high, rel=1e-5)


@pytest.mark.parametrize("make", [Standard, MinMax, lambda: MinMax(-2, 3)])
@given(SERIES)
def test_inverse_of_transform_is_the_data_to_rounding(make, x: np.ndarray) -> None:
    scaler = make().fit(x)
    scaled = scaler.transform(x)
    back = scaler.inverse(scaled)
    assert scaled.dtype == back.dtype == x.dtype
    # a scaled number is rounded once to x's dtype, and so is the number that comes back
    spread = np.abs(scaled).max((0, 1)) * scaler.scale + np.abs(x).max((0, 1))
    assert (np.abs(back - x) <= 2 * np.finfo(x.dtype).eps * spread).all()


def test_missing_values_are_left_out_of_the_fit_and_stay() -> None:
    x = np.array([[1.0, NAN], [3.0, 5.0], [NAN, 7.0]], np.float32)
    scaled = Standard().fit(x).transform(x)
    np.testing.assert_array_equal(scaled, np.array([[-1, NAN], [1, -1], [NAN, 1]], np.float32))
    np.testing.assert_array_equal(MinMax().fit(x).transform(x), (scaled + 1) / 2)


@pytest.mark.parametrize("value", [0.1, 1e-300, -7e5, 0.0])
def test_constant_features_are_shifted_only(value: float) -> None:
    x = np.full((1000, 1), value)
    for scaler, expected in ((Standard(), 0.0), (MinMax(), 0.0), (MinMax(0.5, 1), 0.5)):
        scaled = scaler.fit(x).transform(x)
        assert (scaled == expected).all() or (expected and np.allclose(scaled, expected))
        assert scaler.scale.tolist() == [1.0]


def test_numbers_at_the_ends_of_the_floats() -> None:
    assert Standard().fit(np.array([1e200, -1e200])).scale == pytest.approx(1e200)
    assert Standard().fit(np.array([1e-200, -1e-200])).scale == pytest.approx(1e-200)
    with pytest.raises(tg.DataError, match="spreads wider than float64 reaches"):
        Standard().fit(np.array([1.7e308, -1.7e308]))


def test_series_of_one_feature_and_lists_of_series() -> None:
    scaler = Standard().fit(np.array([2.0, 4.0]))
    assert (scaler.shift, scaler.scale) == (3.0, 1.0)
    series = [np.array([[1.0, 2.0]]), np.array([[3.0, 2.0], [5.0, 8.0]])]
    together = Standard().fit(np.concatenate(series))
    apart = Standard().fit(series)
    np.testing.assert_array_equal(apart.shift, together.shift)
    np.testing.assert_allclose(apart.scale, together.scale, rtol=1e-15)
    for back, one in zip(apart.inverse(apart.transform(series)), series, strict=True):
        np.testing.assert_allclose(back, one, rtol=1e-15)


@pytest.mark.parametrize(
    ("given_dtype", "dtype"), [("float16", "float16"), ("float64", "float64"), ("int32", "float32")]
)
def test_floats_keep_their_dtype_and_whole_numbers_get_the_default_one(given_dtype: str, dtype: str) -> None:
    x = np.array([[1], [2]], given_dtype)
    assert Standard().fit(x).transform(x).dtype == dtype


def test_series_are_looked_at_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(1000, 3)) + 5
    np.save(tmp_path / "x.npy", x)
    whole = Standard().fit(x)
    monkeypatch.setattr(scaling, "BLOCK", 64)
    blocks = Standard().fit(np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.testing.assert_allclose(blocks.shift, whole.shift, rtol=1e-14)
    np.testing.assert_allclose(blocks.scale, whole.scale, rtol=1e-14)


@pytest.mark.parametrize(
    ("x", "error", "complaint"),
    [
        (np.array([[1.0, NAN]]), tg.DataError, "feature 1 of x has no value"),
        (np.zeros((0, 2)), tg.DataError, "feature 0 of x has no value"),
        (np.array([1.0, math.inf]), tg.DataError, "fit: x has an infinite value"),
        (3.0, tg.ShapeError, "x is a number"),
        (np.array(["a"]), tg.DtypeError, "cannot make"),
        ([np.ones((2, 3)), np.ones((2, 2))], tg.ShapeError, r"x\[1\] has steps of shape \(2,\)"),
    ],
)
def test_what_cannot_be_fitted_changes_nothing(x, error: type[Exception], complaint: str) -> None:
    scaler = Standard().fit(np.array([1.0, 3.0]))
    with pytest.raises(error, match=complaint):
        scaler.fit(x)
    assert (scaler.shift, scaler.scale) == (2.0, 1.0)


def test_refusals() -> None:
    with pytest.raises(tg.DataError, match=r"transform: there is no scale yet: call fit"):
        MinMax().transform(np.zeros(2))
    with pytest.raises(tg.ShapeError, match=r"x has shape \(4, 2\); expected 3 features"):
        Standard().fit(np.eye(3)).inverse(np.zeros((4, 2)))
    with pytest.raises(tg.ArgumentError, match="low must be below high"):
        MinMax(1, 1)


def test_states() -> None:
    x = np.random.default_rng(0).normal(size=(9, 3))
    first, second = Standard().fit(x), Standard()
    assert second.state_dict() == {}
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(first.transform(x), second.transform(x))
    second.load_state_dict({})
    assert second.scale is None
    for wrong in ({"shift": np.ones(2)}, {"shift": np.ones(2), "scale": np.zeros(2)}, {"mean": 1, "std": 2},
                  {"shift": np.ones(2), "scale": np.ones(3)}, {"shift": NAN, "scale": 1.0}):  # fmt: skip
        with pytest.raises(tg.CheckpointError, match=r"state (must|has)"):
            first.load_state_dict(wrong)
    first.state_dict()["shift"][:] = 0
    assert first.shift.all()
