"""Which residual is followed: that of the last step into whose states something other than 0 comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tests.diagnosis import by_hand

pytestmark = pytest.mark.numpy_only

T, B, IN, H = 7, 2, 3, 4


def _powers(layer: Any, xs: numpy.ndarray, last: int, alive: list[int]) -> numpy.ndarray:
    """What is left of a residual of ones that comes to h after step ``last`` in some of the samples, step by
    step."""
    rows = []
    for sample in alive:
        residual = numpy.zeros(len(by_hand.jacobians(layer, xs[:1, sample])[0]))
        residual[:H] = 1.0
        back = [residual]
        for jacobian in by_hand.jacobians(layer, xs[: last + 1, sample])[:0:-1]:
            back.append(back[-1] @ jacobian)
        rows.append(back)
    norms = numpy.linalg.norm(numpy.array(rows), axis=(0, 2))
    return norms / norms[0]


@pytest.mark.parametrize("compiled", [False, "auto"])
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "PeepholeLSTM"])
@pytest.mark.parametrize(
    ("lengths", "last", "alive"), [([4, 3], 3, [0]), ([5, 5], 4, [0, 1]), ([7, 2], 6, [0]), ([0, 1], 0, [1])]
)
def test_padding_is_no_way_into_the_states(
    name: str,
    lengths: list[int],
    last: int,
    alive: list[int],
    compiled: bool | str,
    rng: numpy.random.Generator,
) -> None:
    layer, xs = (
        getattr(tg.nn, name)(IN, H, dtype="float64", compiled=compiled),
        rng.standard_normal((T, B, IN)),
    )
    ys, _ = layer(tg.tensor(xs), lengths=lengths)
    readout = tg.nn.Linear(H, H, bias=False, dtype="float64")
    readout.weight.data = numpy.eye(H)
    for loss in (tg.sum(ys), tg.sum(readout(ys))):
        report = tg.flow(loss)
        track = report.track()
        assert track.last == last
        numpy.testing.assert_allclose(track.remaining, _powers(layer, xs, last, alive), rtol=1e-9)
        assert track.verdict().steps == last
        assert len(report.table().splitlines()) == 2 + last + 1
        assert tg.flow(loss, start="all").track().last == last


READOUTS: dict[str, Callable[[Any, Any], Any]] = {
    "a product": lambda h, m: h * m, "a choice": lambda h, m: tg.where(m != 0, h, 0.0), "a sum": lambda h,
    m: h * m + 0.5 * m * h,
    "a function": lambda h, m: tg.sin(h) * m, "two functions": lambda h, m: tg.relu(tg.exp(h) * m),
}  # fmt: skip


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("seed", range(4))
def test_an_output_may_be_nothing_at_some_steps(readout: str, seed: int) -> None:
    """hₜ = w hₜ₋₁ + x: from the last step whose output is not masked out, wᵏ is left."""
    rng = numpy.random.default_rng(seed)
    mask = (rng.random((T, 1, 1)) < 0.4) * numpy.ones((B, H))
    mask[1] = 1.0
    w = tg.tensor(0.6, dtype=tg.float64, requires_grad=True)

    def cell(x: Any, h: Any) -> Any:
        h = w * h + 0.1
        return READOUTS[readout](h, x), h

    ys, _ = tg.scan(cell, tg.tensor(mask), tg.tensor(numpy.zeros((B, H)), requires_grad=True))
    last = int(numpy.flatnonzero(mask[:, 0, 0])[-1])
    track = tg.flow(tg.sum(ys)).track()
    assert track.last == last
    numpy.testing.assert_allclose(track.remaining, 0.6 ** numpy.arange(last + 1), rtol=1e-12)


@pytest.mark.parametrize("read", [lambda ys: tg.sum(ys), lambda ys: tg.sum(ys[4:])])
def test_where_all_is_padding_nothing_is_followed(read: Any) -> None:
    w = tg.tensor(0.5, dtype=tg.float64, requires_grad=True)
    first = tg.tensor(numpy.zeros((B, H)))
    ys, _ = tg.scan(lambda x, h: (w * h + x, w * h + x), numpy.ones((T, B, H)), first, lengths=[0, 0])
    report = tg.flow(read(ys))
    assert report.verdict().kind == "unreached"
    assert (
        report.table()
        == "unreached: no residual comes into these steps\nstep  at h  left  gain  mostly by way of"
    )
    pytest.importorskip("matplotlib")
    assert report.heatmap().get_suptitle() == "No residual comes into the time steps"
    assert report.curve()


@pytest.mark.parametrize("lengths", [[7, 7], [4, 4], [5, 3]])
def test_an_output_that_goes_on_beyond_a_length(lengths: list[int]) -> None:
    """With the last output kept, each sample's residual waits for the step where that was made."""
    w = tg.tensor(0.5, dtype=tg.float64, requires_grad=True)

    def cell(x: Any, h: Any) -> Any:
        h = w * h + x
        return h, h

    first = tg.tensor(numpy.zeros((B, H)), requires_grad=True)
    ys, _ = tg.scan(cell, numpy.ones((T, B, H)), first, lengths=lengths, masked_output="previous")
    track = tg.flow(tg.sum(ys[-1])).track()
    expected = [
        numpy.hypot(*(0.5 ** max(length - 1 - step, 0) for length in lengths))
        for step in range(track.last, -1, -1)
    ]
    assert track.last == max(lengths) - 1
    numpy.testing.assert_allclose(track.remaining, numpy.array(expected) / numpy.sqrt(2), rtol=1e-12)


def test_a_chain_that_nothing_comes_into_has_no_horizon() -> None:
    w = tg.tensor(0.5, dtype=tg.float64, requires_grad=True)

    def cell(x: Any, h: Any) -> Any:
        h = w * h + x
        return h, h

    runs = [
        tg.scan(cell, numpy.ones((T, B)), tg.tensor(numpy.zeros(B)), lengths=[length] * B)[0]
        for length in (T, 0)
    ]
    report = tg.flow(tg.sum(runs[0] + runs[1]))
    assert sorted(track.verdict().kind for track in report.tracks) == ["unreached", "vanishing"]
    assert report.horizon == T - 1  # 0.5⁶ = 0.016
    assert tg.flow(tg.sum(runs[1])).horizon == 0
