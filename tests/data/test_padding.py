"""Padding beside a loop over all samples and steps, and what layers make of it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.data.strategies import sequences
from tinygrad_rnn import tree
from tinygrad_rnn.data import pad_sequences


def by_loop(samples: list[np.ndarray], value: float, steps: int, side: str) -> np.ndarray:
    """(N, T, …), number by number."""
    padded = np.empty((len(samples), steps, *samples[0].shape[1:]), samples[0].dtype)
    for i, sample in enumerate(samples):
        for t in range(steps):
            place = t if side == "end" else t - (steps - len(sample))
            padded[i, t] = sample[place] if 0 <= place < len(sample) else value
    return padded


@given(sequences(), st.sampled_from(["end", "start"]), st.booleans(), st.none() | st.integers(7, 9))
def test_padding_is_that_of_the_loop(
    samples: list[np.ndarray], side: str, batch_first: bool, length: int | None
) -> None:
    x, lengths = pad_sequences(samples, 1, length, batch_first, side)
    steps = max(map(len, samples)) if length is None else length
    expected = by_loop(samples, 1, steps, side)
    assert x.dtype == expected.dtype
    np.testing.assert_array_equal(x, expected if batch_first else expected.swapaxes(0, 1))
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [len(sample) for sample in samples]
    assert x.flags.c_contiguous
    assert x.base is None


def test_layers_read_as_far_as_each_sequence_goes() -> None:
    chance = np.random.default_rng(0)
    samples = [chance.normal(size=(n, 3)).astype("float32") for n in (4, 1, 6)]
    layer = tg.nn.LSTM(3, 5)
    x, lengths = pad_sequences(samples)
    _, (h, _) = layer(tg.tensor(x), lengths=lengths)
    for i, sample in enumerate(samples):
        _, (alone, _) = layer(tg.tensor(sample))
        np.testing.assert_allclose(h.numpy()[0, i], alone.numpy()[0], rtol=1e-5, atol=1e-6)


def test_the_widest_dtype_is_taken_and_lists_get_the_default_one() -> None:
    assert pad_sequences([np.ones(1, "float32"), np.ones(2, "float64")])[0].dtype == np.float64
    assert pad_sequences([np.ones(1, "int8"), np.ones(2, "int32")])[0].dtype == np.int32
    assert pad_sequences([[0.5], [1.0, 2.0]])[0].dtype == tg.default_dtype
    assert pad_sequences([[1, 2], []])[0].dtype == np.int64  # a list of nothing is of no kind


def test_nan_is_padded_with_nan_only() -> None:
    samples = [[1.0], [2.0, math.nan]]
    with pytest.raises(tg.DataError, match=r"sequences\[1\] holds NaN at \[1\]: give value=math.nan"):
        pad_sequences(samples)
    np.testing.assert_array_equal(pad_sequences(samples, math.nan)[0].T, [[1, math.nan], [2, math.nan]])


@pytest.mark.parametrize(
    ("samples", "options", "error", "complaint"),
    [
        ([], {}, tg.DataError, "sequences is empty"),
        ([np.ones((2, 3)), np.ones((2, 4))], {}, tg.ShapeError, r"sequences\[1\] has steps of shape \(4,\)"),
        ([[1.0], [1]], {}, tg.DtypeError, r"sequences\[1\] holds whole numbers, and sequences\[0\] floats"),
        ([[1], 2], {}, tg.ShapeError, r"sequences\[1\] is a number"),
        ([[1], ["a"]], {}, tg.DtypeError, r"sequences\[1\]: cannot make a tensor"),
        ([[[1], [1, 2]]], {}, tg.ShapeError, r"sequences\[0\]: "),
        ([[1], [1, 2, 3]], {"length": 2}, tg.ShapeError, r"sequences\[1\] has 3 steps, and length is 2"),
        ([[1]], {"value": 0.5}, tg.ArgumentError, "value must be a whole number"),
        ([np.ones(1, "uint8")], {"value": -1}, tg.ArgumentError, "value must be a number that uint8 holds"),
        ([np.ones(1, "float32")], {"value": 1e300}, tg.ArgumentError, "value must be a number that float32"),
        ([[1]], {"value": math.nan}, tg.ArgumentError, "value must be a whole number"),
        ([[1]], {"side": "left"}, tg.ArgumentError, "side must be 'end' or 'start'"),
    ],
)
def test_what_cannot_be_padded_is_named(samples, options, error, complaint) -> None:
    with pytest.raises(error, match=complaint):
        pad_sequences(samples, **options)


@given(sequences(), st.sampled_from(["end", "start"]), st.booleans())
def test_each_feature_has_a_padding_of_its_own(
    samples: list[np.ndarray], side: str, batch_first: bool
) -> None:
    steps, step = max(map(len, samples)), samples[0].shape[1:]
    if not step:
        with pytest.raises(tg.ShapeError, match="padding has 2 values, one for each feature"):
            pad_sequences(samples, padding=[0, 1])
        return
    paddings = [k % 2 for k in range(step[-1])]
    x, lengths = pad_sequences(samples, 0, None, batch_first, side, padding=paddings)
    for k, number in enumerate(paddings):
        alone = by_loop([sample[..., k] for sample in samples], number, steps, side)
        np.testing.assert_array_equal(x[..., k], alone if batch_first else alone.swapaxes(0, 1))
    assert lengths.tolist() == [len(sample) for sample in samples]


def test_a_feature_may_be_padded_with_nan_and_another_one_not() -> None:
    samples = [np.array([[1.0, math.nan]]), np.ones((2, 2))]
    x, _ = pad_sequences(samples, padding=[0, math.nan])
    np.testing.assert_array_equal(x[:, 0], [[1, math.nan], [0, math.nan]])
    with pytest.raises(tg.DataError, match=r"sequences\[0\] holds NaN at \[0, 1\]"):
        pad_sequences(samples, padding=[math.nan, 0])


def test_each_column_has_a_padding_of_its_own() -> None:
    class Pair(NamedTuple):
        x: Any
        y: Any

    letters, sounds, marks = [[5, 6], [7]], [[1, 2], [3]], [[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]]
    data = {"in": (letters, np.arange(2)), "out": Pair(sounds, marks)}
    for make in (tg.data.batches, tg.data.bucket):
        padding: Any = {"in": (9, None), "out": [-1, (0.5, math.nan)]}
        batch = next(iter(make(data, 2, shuffle=False, padding=padding)))
        if make is tg.data.bucket:  # from the shortest on
            batch = tree.map_leaves(lambda leaf: np.flip(leaf, leaf.ndim > 1), batch)
        (x, lengths), numbers = batch["in"]
        (y, _), (z, _) = batch["out"]
        assert x.T.tolist() == [[5, 6], [7, 9]]
        assert lengths.tolist() == [2, 1]
        assert sorted(numbers.tolist()) == [0, 1]
        assert y.T.tolist() == [[1, 2], [3, -1]]
        np.testing.assert_array_equal(z[:, 0], [[1, 2], [0.5, math.nan]])
        one = next(iter(make(data, 2, shuffle=False, padding=-3)))
        assert {int(part.min()) for part in (one["in"][0][0], one["out"].x[0], one["out"].y[0])} == {-3}


@pytest.mark.parametrize(
    ("data", "padding", "complaint"),
    [
        (([[1]], [[2]]), (0, 1, 2), r"padding must be a number, or a tuple with one for each of \[0, 1\]"),
        (([[1]], [[2]]), {"x": 0}, "padding must be a number, or a tuple"),
        ({"x": [[1]]}, (0,), r"padding must be a number, or a dict with one for each of \['x'\]"),
        ({"x": [[1]]}, {"y": 0}, "padding must be a number, or a dict"),
        (([[1]], [[2]]), (0, 0.5), r"padding\[1\] must be a whole number"),
        ({"x": ([[1]], [[0.5]])}, {"x": (0, "a")}, r"padding\['x'\]\[1\] must be a number"),
        ([[1]], (0, 1), "padding has 2 values, one for each feature, and sequences have steps of shape"),
        ([[[1, 2]]], (0, 1, 2), "padding has 3 values"),
        ([[[1, 2]]], (0, 0.5), r"padding\[1\] must be a whole number"),
    ],
)
def test_a_padding_that_does_not_fit_is_named(data: Any, padding: Any, complaint: str) -> None:
    for make in (tg.data.batches, tg.data.bucket):
        with pytest.raises(tg.TinygradRNNError, match=complaint):
            make(data, 1, padding=padding)


def test_padding_is_said_once() -> None:
    with pytest.raises(tg.ArgumentError, match="value and padding both say"):
        pad_sequences([[1]], 1, padding=1)
