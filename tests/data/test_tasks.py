"""Tasks that need a memory: what each says of its inputs, step by step, and what a blind guess reaches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import data

pytestmark = pytest.mark.numpy_only

MANY = 20_000
"""Samples: a mean of them is off by less than 5 standard errors, for one seed in two million."""


def close_to(expected: float, found: np.ndarray) -> bool:
    """Whether a mean over samples is what it should be, as far as chance tells."""
    return abs(found.mean() - expected) < 5 * found.std() / math.sqrt(found.size)


@pytest.mark.parametrize("length", [2, 3, 20])
def test_adding_problem(length: int) -> None:
    x, y = data.adding_problem(length, MANY, seed=1, dtype="float64")
    assert x.shape == (length, MANY, 2)
    assert y.shape == (MANY, 1)
    numbers, marks = x[..., 0], x[..., 1]
    half = length // 2
    assert set(np.unique(marks)) == ({0.0, 1.0} if length > 2 else {1.0})
    assert (marks[:half].sum(0) == 1).all()
    assert (marks[half:].sum(0) == 1).all()
    assert marks.any(1).all()  # each step is marked somewhere
    assert numbers.min() >= 0
    assert numbers.max() < 1
    for j in range(100):
        np.testing.assert_allclose(y[j, 0], sum(numbers[t, j] for t in range(length) if marks[t, j]))
    assert close_to(1 / 6, (y - 1) ** 2)


def test_copying_memory_is_that_of_the_paper() -> None:
    delay, n, kinds = 30, 10, 8
    x, y = data.copying_memory(delay, 200, seed=2)
    assert x.shape == y.shape == (delay + 2 * n, 200)
    for j in range(200):
        said = x[:n, j].tolist()
        assert set(said) <= set(range(kinds))
        assert x[n:, j].tolist() == [kinds] * (delay - 1) + [kinds + 1] + [kinds] * n
        assert y[:, j].tolist() == [kinds] * (n + delay) + said
    assert set(x[:n].ravel()) == set(range(kinds))


def test_copying_memory_blindly() -> None:
    delay, n, kinds = 5, 3, 4
    x, y = data.copying_memory(delay, MANY, n, kinds, seed=3)
    shares = np.zeros((delay + 2 * n, kinds + 2))
    shares[: n + delay, kinds] = 1
    shares[n + delay :, :kinds] = 1 / kinds
    cost = -np.log(np.take_along_axis(shares, y, 1))  # (steps, batch), of the blind guess
    np.testing.assert_allclose(cost.mean(), n * math.log(kinds) / (delay + 2 * n), rtol=1e-12)
    for t in range(n):
        for kind in range(kinds):  # no better guess: all come equally often
            assert close_to(1 / kinds, x[t] == kind)


@pytest.mark.parametrize("length", [20, 37, 100])
@pytest.mark.parametrize("relevant", [2, 3, 4])
def test_temporal_order(length: int, relevant: int) -> None:
    x, y = data.temporal_order(length, 2000, relevant, seed=4)
    assert x.shape == (length, 2000)
    assert y.shape == (2000,)
    assert (x[0] == 4).all()
    assert (x[-1] == 5).all()
    assert set(x[1:-1].ravel()) == {0, 1, 2, 3, 6, 7}
    windows = {100: {2: [10, 50], 3: [10, 33, 66], 4: [10, 25, 50, 75]}}.get(length, {}).get(relevant)
    for j in range(2000):
        places = [t for t in range(length) if x[t, j] >= 6]
        assert len(places) == relevant
        assert y[j] == int("".join("XY"[x[t, j] - 6] for t in places).replace("X", "0").replace("Y", "1"), 2)
        if windows:
            assert all(0 <= t - start <= 10 for t, start in zip(places, windows, strict=True))
    if length >= 40:  # there are distractors before the first place
        for symbol in range(4):
            assert close_to(1 / 4, x[1 : length // 10] == symbol)
    classes = 2**relevant
    assert set(y) == set(range(classes))
    for c in range(classes):  # so a blind guess costs ln of the number of classes
        assert close_to(1 / classes, y == c)


@pytest.mark.parametrize("length", [1, 2, 9])
def test_parity(length: int) -> None:
    x, y = data.parity(length, MANY, seed=5)
    steps, all_of = data.parity(length, MANY, "all", seed=5)
    np.testing.assert_array_equal(x, steps)
    assert y.shape == (MANY, 1)
    assert set(np.unique(x)) == {0.0, 1.0}
    odd = np.zeros((MANY, 1), bool)
    for t in range(length):
        odd ^= x[t] == 1
        np.testing.assert_array_equal(all_of[t], odd)
    np.testing.assert_array_equal(y, odd)
    assert close_to(1 / 2, y)  # so a blind guess costs ln 2
    if length > 1:  # nor do all bits but one tell anything
        for seen in (0, 1):
            assert close_to(1 / 2, y[x[1:].sum(0) % 2 == seen])


def intervals(spikes: list[int]) -> list[int]:
    return [b - a for a, b in itertools.pairwise(spikes)]


@pytest.mark.parametrize(("least", "spread"), [(3, 2), (10, 10), (5, 0), (1, 1), (49, 1)])
def test_spike_delays(least: int, spread: int) -> None:
    x, y, counts = data.spike_timing(101, 300, least, spread, seed=6, dtype="float64")
    assert x.shape == y.shape == counts.shape == (101, 300, 1)
    assert counts.dtype == bool
    seen = []
    for j in range(300):
        spikes = [t for t in range(101) if x[t, j, 0] == 1]
        assert x[:, j].sum() == len(spikes)
        assert spikes[0] == 0
        assert np.flatnonzero(counts[:, j]).tolist() == spikes[1:]
        assert 101 - spikes[-1] <= least + spread  # none was left out
        longer = [gap - least for gap in intervals(spikes)]
        assert set(longer) <= set(range(spread + 1))
        np.testing.assert_allclose(y[spikes[1:], j, 0], [i / max(spread, 1) for i in longer])
        assert y[:, j].sum() == pytest.approx(y[spikes[1:], j].sum())
        seen.append(longer[0])
    assert set(seen) == set(range(spread + 1))


def test_spike_delays_blindly() -> None:
    least, spread = 3, 4
    _, y, counts = data.spike_timing(least + spread + 1, MANY, least, spread, seed=7, dtype="float64")
    first = y[counts.argmax(0)[:, 0], np.arange(MANY), 0]  # of each: an early end would favour short ones
    assert close_to((spread + 2) / (12 * spread), (first - 0.5) ** 2)


@pytest.mark.parametrize(("least", "spread"), [(3, 2), (10, 10), (5, 0), (1, 1), (1, 0)])
def test_timed_spikes(least: int, spread: int) -> None:
    x, y, counts = data.spike_timing(80, 300, least, spread, "generate", seed=8, dtype="float64")
    assert counts.all()
    for j in range(300):
        start, t = 0, 0
        while t < 80:  # as one who reads the input would answer
            wanted = least + round(float(x[start, j, 0]) * spread)
            assert x[t, j, 0] == x[start, j, 0]
            assert y[t, j, 0] == (t - start == wanted - 1)
            if t - start == wanted - 1:
                start = t + 1
            t += 1


def test_timed_spikes_blindly() -> None:
    least, spread = 3, 4
    _, y, _ = data.spike_timing(2000, 200, least, spread, "generate", seed=9)
    p = 1 / (least + spread / 2)
    cost = -(y * math.log(p) + (1 - y) * math.log(1 - p)).mean()
    assert cost == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p), rel=5e-3)


def test_a_long_wait_is_no_number_too_large() -> None:
    x, y, counts = data.spike_timing(30, 2, 2, 2**60 - 1, seed=10)
    assert x.sum() == 2
    assert not y.any()
    assert not counts.any()


CALLS = {
    "adding_problem": lambda **options: data.adding_problem(20, 3, **options),
    "copying_memory": lambda **options: data.copying_memory(20, 3, **options),
    "temporal_order": lambda **options: data.temporal_order(20, 3, **options),
    "parity": lambda **options: data.parity(20, 3, **options),
    "spike_timing": lambda **options: data.spike_timing(60, 3, **options),
}


@pytest.mark.parametrize("name", CALLS)
def test_all_follows_from_the_seed(name: str) -> None:
    def drawn(seed: object) -> bytes:
        return b"".join(array.tobytes() for array in CALLS[name](seed=seed))

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn([1, 2]) == drawn([1, 2]) != drawn([2, 1])
    tg.random.seed(3)
    first, second = drawn(None), drawn(None)
    assert first != second
    tg.random.seed(3)
    assert drawn(None) == first


@pytest.mark.parametrize("name", ["adding_problem", "parity", "spike_timing"])
def test_floats_are_of_the_dtype(name: str) -> None:
    for dtype in ("float16", "float32", "float64"):
        assert {array.dtype for array in CALLS[name](dtype=dtype)[:2]} == {np.dtype(dtype)}
    assert CALLS[name]()[0].dtype == np.float32
    tg.set_default_dtype("float64")
    assert CALLS[name]()[0].dtype == np.float64
    tg.set_default_dtype("float32")


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: data.adding_problem(1, 3), "adding_problem: length"),
        (lambda: data.temporal_order(19, 3), "temporal_order: length"),
        (lambda: data.temporal_order(20, 3, 5), "temporal_order: relevant must be 2, 3 or 4"),
        (lambda: data.copying_memory(0, 3), "copying_memory: delay"),
        (lambda: data.parity(3, 0), "parity: batch"),
        (lambda: data.spike_timing(3, 1, 0), "spike_timing: least"),
        (lambda: data.spike_timing(3, 1, task="guess"), "spike_timing: task"),
        (lambda: data.parity(2**40, 2**40), "parity: the shape"),
    ],
)
def test_what_cannot_be_made_is_named(call, complaint) -> None:
    with pytest.raises(tg.TinygradRNNError, match=complaint):
        call()
