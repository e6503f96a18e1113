"""Windows that slide: those that a loop cuts, as views, and as Keras makes them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.data import sliding


@given(
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 20),
    st.sampled_from([(), (2,), (2, 3)]),
)
def test_windows_are_those_of_the_loop(
    length: int, horizon: int, stride: int, more: int, features: tuple[int, ...]
) -> None:
    steps = length + horizon + more
    series = np.arange(steps * int(np.prod(features))).reshape(steps, *features)
    other = -np.arange(steps * 2.0).reshape(steps, 2)
    starts = range(0, steps - length - horizon + 1, stride)
    for targets in (None, other):
        x, y = sliding(series, length, horizon, stride, targets)
        told = series if targets is None else targets
        assert x.tolist() == [series[i : i + length].tolist() for i in starts]
        assert y.tolist() == [told[i + length : i + length + horizon].tolist() for i in starts]
        assert np.shares_memory(x, series)
        assert np.shares_memory(y, told)
        for view in (x, y):
            with pytest.raises(ValueError, match="read-only"):
                view[...] = 0


def test_a_memory_mapped_series_is_read_batch_by_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(1 << 21, dtype=np.float64)[:, None])  # 16 MiB
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    x, y = sliding(mapped, 64, stride=4096)
    total = 0
    for windows, following in tg.data.batches((x, y), 32, shuffle=False):
        total += len(windows)
        assert (windows[:, -1] + 1 == following[:, 0]).all()
        assert windows.shape[1:] == (64, 1)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert total == len(x) == len(range(0, (1 << 21) - 64, 4096))


def test_a_model_learns_from_them() -> None:
    tg.random.seed(0)
    wave = np.sin(np.arange(300, dtype="float32") / 5)[:, None]
    x, y = sliding(wave, 12)

    class Forecast(tg.nn.Module):
        def __init__(self) -> None:
            self.rnn, self.out = tg.nn.GRU(1, 8, batch_first=True), tg.nn.Linear(8, 1)

        def __call__(self, x: np.ndarray) -> tg.Tensor:
            return self.out(self.rnn(x)[0][:, -1:])

    model = Forecast()
    optimizer = tg.optim.Adam(model.parameters(), lr=0.02)
    data = tg.data.batches((x, y), 32)
    tg.train.fit(model, tg.mse_loss, data, epochs=15, optimizer=optimizer, progress=False)
    ordered = tg.data.batches((x, y), 100, shuffle=False)
    found = tg.train.predict(model, ordered, batch_axis=0)
    assert found.shape == y.shape
    persistence = np.mean((x[:, -1:] - y) ** 2)
    assert np.mean((found - y) ** 2) < persistence / 3


@pytest.mark.parametrize(
    ("series", "options", "error", "said"),
    [
        (np.arange(4), {"length": 4}, tg.DataError, "has 4 steps; a window of 4 and the 1 after it need 5"),
        (np.arange(4), {"length": 2, "horizon": 3}, tg.DataError, "need 5"),
        (np.zeros((0, 2)), {"length": 1}, tg.DataError, "has 0 steps"),
        (3.0, {"length": 1}, tg.ShapeError, "series is a number"),
        (np.arange(9), {"length": 2, "targets": np.arange(8)}, tg.ShapeError, "series has 9 steps"),
        (np.arange(9), {"length": 2, "targets": 1.0}, tg.ShapeError, "targets have shape"),
        (np.arange(9), {"length": 2, "stride": 0}, tg.ArgumentError, "sliding: stride"),
        (np.arange(9), {"length": 2, "horizon": 0}, tg.ArgumentError, "sliding: horizon"),
    ],
)
def test_series_that_give_no_window(series: object, options: dict, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        sliding(series, **options)
