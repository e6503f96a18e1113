"""Batches: every sample once in an epoch, an order that follows from the seed, and going on from anywhere."""

from __future__ import annotations

import itertools
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.data.strategies import SEEDS
from tinygrad_rnn.data import batches, bucket, pad_sequences

COUNTS, SIZES = st.integers(1, 40), st.integers(1, 11)


def made(kind: str, count: int, size: int, seed: int, **options: Any) -> Any:
    """Batches of the numbers of the samples, each also as the first step of a sequence."""
    if kind == "batches":
        return batches(np.arange(count), size, seed=seed, **options)
    lengths = np.random.default_rng(seed).integers(1, 9, count)
    return bucket(([[i] * n for i, n in enumerate(lengths)], np.arange(count)), size, seed=seed, **options)


def numbers(batch: Any) -> list[int]:
    return (batch[1] if isinstance(batch, tuple) else batch).tolist()


KINDS = pytest.mark.parametrize("kind", ["batches", "bucket"])


@KINDS
@given(COUNTS, SIZES, SEEDS, st.booleans())
def test_every_sample_comes_once_in_an_epoch(
    kind: str, count: int, size: int, seed: int, shuffle: bool
) -> None:
    data = made(kind, count, size, seed, shuffle=shuffle)
    for epoch in range(3):
        assert data.epoch == epoch
        found = [numbers(batch) for batch in data]
        assert sorted(itertools.chain(*found)) == list(range(count))
        assert len(found) == len(data) == math.ceil(count / size)
        assert {len(batch) for batch in found[:-1]} <= {size}


@KINDS
@given(COUNTS, SIZES, SEEDS)
def test_with_drop_last_all_batches_have_the_size(kind: str, count: int, size: int, seed: int) -> None:
    if count < size:
        with pytest.raises(tg.ArgumentError, match="no batch is left"):
            made(kind, count, size, seed, drop_last=True)
        return
    data = made(kind, count, size, seed, drop_last=True)
    found = [numbers(batch) for batch in data]
    assert [len(batch) for batch in found] == [size] * (count // size)
    assert len(set(itertools.chain(*found))) == count // size * size


@KINDS
@given(COUNTS, SIZES, SEEDS, st.integers(0, 100))
def test_going_on_anywhere_is_not_stopping(kind: str, count: int, size: int, seed: int, stop: int) -> None:
    def stream(data: Any) -> Any:
        return itertools.chain.from_iterable(data for _ in itertools.count())

    whole = [repr(batch) for batch in itertools.islice(stream(made(kind, count, size, seed)), stop + 20)]
    first = made(kind, count, size, seed)
    before = [repr(batch) for batch in itertools.islice(stream(first), stop)]
    second = made(kind, count, size, seed)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    after = [repr(batch) for batch in itertools.islice(stream(second), 20)]
    assert before + after == whole
    here = [repr(batch) for batch in itertools.islice(stream(first), 20)]
    assert before + here == whole


def test_the_order_follows_from_the_seed_and_the_epoch() -> None:
    def orders(**options: Any) -> list[list[int]]:
        data = batches(np.arange(50), 50, **options)
        return [next(iter(data)).tolist() for _ in range(3)]

    assert orders(seed=1) == orders(seed=1)
    assert len({tuple(order) for order in [*orders(seed=1), *orders(seed=2), *orders(seed=[1, 2])]}) == 9
    assert orders(shuffle=False) == [list(range(50))] * 3
    tg.random.seed(0)
    drawn = orders(seed=None), orders(seed=None)
    tg.random.seed(0)
    assert (orders(seed=None), orders(seed=None)) == drawn
    assert drawn[0] != drawn[1]


def test_a_drawn_seed_is_in_the_state() -> None:
    first, second = (batches(np.arange(50), 7, seed=None) for _ in range(2))
    next(iter(first))
    second.load_state_dict(first.state_dict())
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


def test_batches_of_nested_data() -> None:
    class Pair(NamedTuple):
        x: Any
        y: Any

    series = [[1.0], [2.0, 3.0], [4.0, 5.0, 6.0]]
    data = {"in": (np.arange(6).reshape(3, 2), series), "out": Pair([0, 1, 2], tg.tensor([7.0, 8.0, 9.0]))}
    batch = next(iter(batches(data, 2, shuffle=False)))
    assert batch["in"][0].tolist() == [[0, 1], [2, 3]]
    x, lengths = batch["in"][1]
    assert x.tolist() == pad_sequences(series[:2])[0].tolist()
    assert lengths.tolist() == [1, 2]
    assert isinstance(batch["out"], Pair)
    assert batch["out"].x.tolist() == [0, 1]
    assert batch["out"].y.tolist() == [7, 8]
    batch = next(iter(batches(series, 3, shuffle=False, value=-1, batch_first=True)))
    assert batch[0].tolist() == [[1, -1, -1], [2, 3, -1], [4, 5, 6]]


def test_a_batch_is_no_view() -> None:
    x = np.arange(4)
    for batch in batches(x, 2, shuffle=False):
        batch[:] = 9
    assert x.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("shuffle", [False, True])
def test_what_is_memory_mapped_is_read_batch_by_batch(tmp_path: Path, shuffle: bool) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(1 << 21, dtype=np.float64).reshape(-1, 256))  # 16 MiB
    mapped = np.load(path, mmap_mode="r")
    tracemalloc.start()
    data = batches((mapped, np.arange(len(mapped))), 16, shuffle=shuffle)
    parts = tg.data.split(mapped, 0.5)
    for x, places in data:
        assert (x[:, 0] == places * 256.0).all()
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert [len(part) for part in parts] == [4096, 4096]


@pytest.mark.parametrize(
    ("data", "error", "complaint"),
    [
        (([1, 2], [1, 2, 3]), tg.ShapeError, r"data\[1\] has 3 samples, and data\[0\] 2"),
        ({"x": np.zeros((0, 3))}, tg.DataError, "data has no samples"),
        ((), tg.DataError, "data holds no array"),
        (({"x": "words"},), tg.ArgumentError, r"data\[0\]\['x'\] must be an array or a list"),
        (3.0, tg.ShapeError, "data is a number"),
        (([1, 2], [[1.0], [1]]), tg.DtypeError, r"data\[1\]\[1\] holds whole numbers"),
        (([1, 2], [1, None]), tg.DtypeError, r"data\[1\]: cannot make"),
    ],
)
def test_data_that_do_not_fit_are_named(data: Any, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        batches(data, 1)


def test_a_dict_in_itself_is_no_data() -> None:
    data: dict[str, Any] = {}
    data["x"] = data
    with pytest.raises(tg.ArgumentError, match="data is a dict that holds itself"):
        batches(data, 1)


def test_a_batch_that_cannot_be_made_is_not_skipped() -> None:
    data = batches([[1.0], [math.nan]], 1, shuffle=False)
    passed = iter(data)
    next(passed)
    with pytest.raises(tg.DataError, match=r"data\[1\] holds NaN"):
        next(passed)
    assert (data.epoch, data.position) == (0, 1)


@pytest.mark.parametrize(
    "change",
    [{"position": 3}, {"position": -1}, {"epoch": 0.5}, {"size": 3}, {"samples": 7}, {"shuffle": False},
     {"drop_last": 0}, {"size": np.ones(2)}, {"position": np.ones(2)}, {"seed": np.ones(2)},
     {"seed": None}, {"seed": "x"}, {"more": 1}],
)  # fmt: skip
def test_states_of_others_are_refused_and_change_nothing(change: dict[str, Any]) -> None:
    data = batches(np.arange(6), 2)
    next(iter(data))
    before = data.state_dict()
    with pytest.raises(
        tg.CheckpointError, match=next(iter(change)) if "more" not in change else "a dict with"
    ):
        data.load_state_dict({**before, **change})
    assert data.state_dict() == before


def padding(data: Any) -> float:
    """The share of an epoch's steps that is padding."""
    steps = [(x.size, int(lengths.sum())) for x, lengths in data]
    return 1 - sum(real for _, real in steps) / sum(size for size, _ in steps)


@pytest.mark.parametrize("seed", range(3))
def test_buckets_pad_as_little_as_they_say(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(1, 101, 3200)
    series = [np.zeros(length) for length in lengths]
    assert padding(batches(series, 32, seed=seed)) == pytest.approx(0.48, abs=0.01)
    assert padding(bucket(series, 32, seed=seed)) < 0.02
    assert padding(bucket(series, 32, seed=seed, pool=10)) < 0.12


def test_buckets_are_other_batches_in_each_epoch_and_in_no_order_of_length() -> None:
    series = [[0.0] * (1 + i % 50) for i in range(1000)]
    data = bucket((series, np.arange(1000)), 10)
    first, second = ([(x.shape[0], frozenset(y.tolist())) for (x, _), y in data] for _ in range(2))
    assert {samples for _, samples in first} != {samples for _, samples in second}
    lengths = [length for length, _ in first]
    assert lengths not in (sorted(lengths), sorted(lengths, reverse=True))


def test_no_length_is_left_out_oftener_than_others() -> None:
    lengths = np.arange(1, 12)
    data = bucket([[0.0] * n for n in lengths], 10, drop_last=True)
    left_out = {66 - int(lengths.sum()) for _ in range(200) for _, lengths in data}
    assert left_out == set(range(1, 12))


def test_buckets_need_sequences() -> None:
    with pytest.raises(tg.ArgumentError, match="data holds no list of sequences"):
        bucket(np.zeros((4, 3)), 2)
