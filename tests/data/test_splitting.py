"""Parts of data: together they are all of it, in order or shuffled, nested alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.data.strategies import SEEDS
from tinygrad_rnn.data import split


@given(st.integers(3, 60), st.integers(1, 9), st.none() | SEEDS)
def test_parts_are_all_samples_once(count: int, first: int, seed: int | None) -> None:
    data = {"x": np.arange(count), "series": [[i] * (1 + i % 3) for i in range(count)]}
    first = min(first, count - 2)
    sizes = (first, 1, count - first - 1)
    parts = split(data, sizes, seed)
    assert tuple(len(part["x"]) for part in parts) == sizes
    joined = np.concatenate([part["x"] for part in parts])
    assert sorted(joined) == list(range(count))
    assert [series[0] for part in parts for series in part["series"]] == joined.tolist()
    if seed is None:
        assert joined.tolist() == list(range(count))
        assert all(np.shares_memory(part["x"], data["x"]) for part in parts)
    again = split(data, sizes, seed)
    assert [part["x"].tolist() for part in again] == [part["x"].tolist() for part in parts]


def test_shares() -> None:
    assert [len(part) for part in split(np.arange(100))] == [80, 10, 10]
    assert [len(part) for part in split(np.arange(100), 0.75)] == [75, 25]
    assert [len(part) for part in split(np.arange(100), 75)] == [75, 25]
    assert [len(part) for part in split(np.arange(7), (0.5, 0.25, 0.25))] == [4, 1, 2]
    assert [len(part) for part in split(np.arange(5), (1.0,))] == [5]
    thirds = split(np.arange(100), (1 / 3, 1 / 3, 1 / 3))
    assert [len(part) for part in thirds] == [33, 34, 33]


def test_shuffled_parts_are_mixed() -> None:
    train, test = split(np.arange(100), 0.5, seed=0)
    assert train.tolist() != sorted(train)
    assert max(train) > 50 > min(test)


@pytest.mark.parametrize(
    ("shares", "complaint"),
    [
        ((0.5, 0.6), "must sum to 1, not 1.1"),
        ((0.5, 0.4), "must sum to 1, not 0.9"),
        ((5, 4), "sum to 9, and there are 10 samples"),
        (10, r"shares\[1\] must be above 0"),
        (1.5, r"shares\[0\] must be a whole number"),
        ((0.99, 0.01), r"shares\[1\] of 10 samples is none"),
        ((), "sum to 0, and there are 10 samples"),
        ((0, 10), r"shares\[0\] must be above 0"),
        ("most", "shares must be a number"),
    ],
)
def test_shares_that_are_none(shares: Any, complaint: str) -> None:
    with pytest.raises(tg.ArgumentError, match=complaint):
        split(np.arange(10), shares)
