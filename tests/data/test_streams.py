"""Windows over a stream: they follow each other, targets are one ahead, and a pass covers the stream."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.data import windows
from tinygrad_rnn.data.streams import Streams


def test_windows_follow_each_other_and_targets_are_one_ahead():
    streams = Streams(np.arange(21), 2)
    assert streams.length == 10
    numbers, following = streams.window(0, 3)
    assert numbers.T.tolist() == [[0, 1, 2], [10, 11, 12]]
    assert following.T.tolist() == [[1, 2, 3], [11, 12, 13]]
    assert streams.window(3, 3)[0].T.tolist() == [[3, 4, 5], [13, 14, 15]]


def test_one_pass_sees_everything_once_and_readers_go_on_from_the_start():
    streams = Streams(np.arange(21), 2)
    assert sorted(streams.window(0, streams.length)[1].ravel().tolist()) == list(range(1, 21))
    assert streams.window(9, 3)[0].T.tolist() == [[9, 10, 11], [19, 20, 0]]


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 60))
def test_windows_are_those_of_the_loop_and_cover_the_stream(batch: int, length: int, more: int) -> None:
    steps = batch + more
    stream = np.arange(steps * 2).reshape(steps, 2)
    part = (steps - 1) // batch
    data = windows(stream, length, batch)
    for _ in range(2):
        xs, ys = zip(*data, strict=True)
        assert len(xs) == len(data)
        for k, (x, y) in enumerate(zip(xs, ys, strict=True)):
            assert x.shape == y.shape == (min(length, part - k * length), batch, 2)
            for t, reader in itertools.product(range(len(x)), range(batch)):
                place = reader * part + k * length + t
                assert x[t, reader].tolist() == stream[place].tolist()
                assert y[t, reader].tolist() == stream[place + 1].tolist()
        seen = sorted(np.concatenate(xs)[..., 0].ravel() // 2)
        assert seen == list(range(part * batch))
        assert steps - 1 - len(seen) == (steps - 1) % batch


@given(st.integers(0, 30))
def test_going_on_anywhere_is_not_stopping(stop: int) -> None:
    def stream(data):
        return itertools.chain.from_iterable(data for _ in itertools.count())

    def new():
        return windows(np.arange(24), 3, 2)

    whole = [repr(pair) for pair in itertools.islice(stream(new()), stop + 10)]
    first, second = new(), new()
    before = [repr(pair) for pair in itertools.islice(stream(first), stop)]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + [repr(pair) for pair in itertools.islice(stream(second), 10)] == whole


def test_a_state_that_is_carried_is_that_of_the_whole_stream() -> None:
    stream = np.random.default_rng(0).normal(size=(21, 3)).astype("float32")
    layer, state = tg.nn.GRU(3, 4), None
    for x, _ in windows(stream, 4, 2):
        _, state = layer(tg.tensor(x), state)
    _, whole = layer(tg.tensor(np.stack([stream[:10], stream[10:20]], 1)))
    np.testing.assert_allclose(state.numpy(), whole.numpy(), rtol=1e-5, atol=1e-6)


def test_a_memory_mapped_stream_is_read_window_by_window(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(1 << 21, dtype=np.float64))  # 16 MiB
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    total = sum(int(x[0, 0]) for x, _ in windows(mapped, 1024, 8))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert total == sum(range(0, (len(mapped) - 1) // 8, 1024))


def test_streams_that_are_too_short_or_none() -> None:
    with pytest.raises(tg.DataError, match="has 3 steps; 3 readers need 4 at least"):
        windows(np.arange(3), 2, 3)
    with pytest.raises(tg.ShapeError, match="stream is a number"):
        windows(3.0, 2)
    with pytest.raises(tg.CheckpointError, match="state is of steps=10, and these have steps=9"):
        windows(np.arange(9), 2).load_state_dict(windows(np.arange(10), 2).state_dict())
