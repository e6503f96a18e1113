"""The verdict is about the rate, whatever the length; the horizon says how far was looked."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.numpy_only

LENGTHS = (4, 6, 12, 50, 101, 400)


def verdict(factor: float, steps: int, **options: Any) -> Any:
    """Of h[t] = w h[t−1] + x, whose residual is w at each step."""
    w = tg.tensor(factor, dtype=tg.float64, requires_grad=True)

    def cell(x: Any, h: Any) -> Any:
        h = w * h + x
        return h, h

    _, h = tg.scan(cell, tg.tensor(numpy.ones((steps, 2))), tg.tensor(numpy.zeros(2)), **options)
    return tg.flow(tg.sum(h)).verdict()


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize(
    ("factor", "kind"),
    [(0.1, "vanishing"), (0.5, "vanishing"), (0.9, "vanishing"), (0.95, "vanishing"), (1.0, "healthy"),
    (-1.0, "healthy"),
     (1.005, "healthy"), (1.05, "exploding"), (1.1, "exploding"), (-1.1, "exploding"), (3.0, "exploding")],
)  # fmt: skip
def test_the_kind_does_not_depend_on_the_length(factor: float, kind: str, steps: int) -> None:
    found = verdict(factor, steps)
    assert (found.kind, found.steps) == (kind, steps - 1)
    assert found.rate == pytest.approx(abs(factor), rel=1e-9)
    assert found.horizon == steps - 1 if kind != "vanishing" else found.horizon <= steps - 1
    assert "a step" in str(found)


@pytest.mark.parametrize(("factor", "reach"), [(0.96, 112), (0.99, 458)])
def test_more_steps_than_a_hundred_count_as_they_are(factor: float, reach: int) -> None:
    """ln 0.01 / ln 0.96 = 112.8: within a hundred steps more than 1 % is left."""
    assert verdict(factor, 80).kind == "healthy"
    long = verdict(factor, reach + 10)
    assert (long.kind, long.horizon) == ("vanishing", reach)


@pytest.mark.parametrize("steps", [2, 3])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_of_one_or_two_steps_nothing_can_be_said(factor: float, steps: int) -> None:
    found = verdict(factor, steps)
    assert (found.kind, found.steps) == ("unknown", steps - 1)
    assert str(found).endswith("which is too short a way to tell")


def test_two_steps_can_be_enough_to_see_an_end() -> None:
    assert str(verdict(0.0, 2)) == "vanishing: 1 % of the residual reaches 0 of 1 step back (×0 a step)"
    assert verdict(1e-3, 3).kind == "vanishing"
    assert verdict(1e3, 2).kind == "exploding"
    assert verdict(numpy.nan, 2).kind == "exploding"


@pytest.mark.parametrize("seed", range(5))
def test_a_short_sequence_tells_what_a_long_one_does(seed: int) -> None:
    tg.random.seed(seed)
    layer, xs = tg.nn.RNN(3, 4, dtype="float64"), numpy.random.default_rng(seed).standard_normal((12, 2, 3))
    kinds = {steps: tg.flow(tg.sum(layer(xs[:steps])[0][-1])).verdict().kind for steps in (5, 6, 8, 12)}
    assert set(kinds.values()) == {"vanishing"}, kinds


def test_what_a_short_verdict_says() -> None:
    assert (
        str(verdict(0.5, 6))
        == "vanishing: over 5 steps back ×0.0312 of the residual is left (×0.5 a step, which makes 1 % in "
        "7 steps if these repeat)"
    )
    assert str(verdict(1.1, 6)).endswith(
        "×1.61 of the residual is left (×1.1 a step, which makes a hundredfold in 49 steps if these repeat)"
    )
    assert str(verdict(1.0, 6)) == "healthy: over 5 steps back ×1 of the residual is left (×1 a step)"


@pytest.mark.parametrize("length", [4, 8])
@pytest.mark.parametrize("steps", [12, 60, 300])
def test_steps_beyond_a_length_are_no_steps_of_the_cell(length: int, steps: int) -> None:
    found = verdict(0.5, steps, lengths=[length, length])
    assert found.kind == "vanishing"
    assert found.rate == pytest.approx(0.5, rel=1e-9)
    assert verdict(0.5, steps, lengths=[2, 2]).kind == "unknown"
    assert verdict(0.5, steps, lengths=[0, 0]).kind == "healthy"


@pytest.mark.parametrize("steps", [8, 30, 100])
def test_a_first_step_that_only_spreads_the_residual_does_not_count(steps: int) -> None:
    """Of what comes in at h a tenth goes on to c, and of that 0.99 at each step: on average 0.72 a step over
    eight, but it keeps."""

    def cell(x: Any, state: Any) -> Any:
        h, c = state
        c = 0.99 * c + 1e-3 * h + x
        h = 0.1 * c
        return h, (h, c)

    first = (tg.tensor(numpy.zeros(2)), tg.tensor(numpy.zeros(2), requires_grad=True))
    y, _ = tg.scan(cell, numpy.ones((steps, 2)), first)
    found = tg.flow(tg.sum(y[-1])).verdict()
    assert found.kind == "healthy"
    assert found.left == pytest.approx(0.1 * 0.9901 ** (steps - 1), rel=1e-3)
    assert found.rate == pytest.approx(0.9901, rel=1e-9)


@pytest.mark.parametrize("steps", [4, 5, 8, 16, 60])
@pytest.mark.parametrize("leak", [0.8, 0.9, 0.97, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_state_that_fills_slowly_is_told_by_what_becomes_of_it(seed: int, leak: float, steps: int) -> None:
    """hₜ = hₜ₋₁ A + x, mₜ = a mₜ₋₁ + hₜ: a residual at m first grows by what goes to h. What is left after
    100 steps, a matrix knows."""
    a = numpy.random.default_rng(seed).standard_normal((3, 3))
    a *= 0.7 / abs(numpy.linalg.eigvals(a)).max()
    weight = tg.tensor(a, requires_grad=True)

    def cell(x: Any, state: Any) -> Any:
        h, m = state
        h = h @ weight + x
        m = leak * m + h
        return m, (h, m)

    first = tuple(tg.tensor(numpy.zeros((1, 3)), requires_grad=True) for _ in range(2))
    ys, _ = tg.scan(cell, numpy.ones((steps, 1, 3)), first)
    found = tg.flow(tg.sum(ys[-1])).verdict()
    # of (h, m) by those before
    jacobian = numpy.block([[a.T, numpy.zeros((3, 3))], [a.T, leak * numpy.eye(3)]])
    after = [
        numpy.linalg.norm(numpy.array([0.0, 0, 0, 1, 1, 1]) @ numpy.linalg.matrix_power(jacobian, k))
        for k in (0, steps - 1, 100)
    ]
    assert found.left == pytest.approx(after[1] / after[0], rel=1e-9)
    assert found.kind == ("vanishing" if after[2] / after[0] < 0.01 else "healthy")
    if found.left >= 0.01:  # else it is the average of those that were looked at
        assert found.rate == pytest.approx(leak, rel=1e-2)


@pytest.mark.parametrize("steps", [4, 7])
@pytest.mark.parametrize(("angle", "radius"), [(0.3, 0.9), (1.0, 1.1), (2.0, 1.0)])
def test_a_state_that_turns_is_told_by_its_radius(angle: float, radius: float, steps: int) -> None:
    """A turn in a basis that is not orthogonal: from step to step the size swings, in the long run it goes by
    the eigenvalue."""
    basis = numpy.array([[1.0, 3.0], [0.0, 1.0]])
    turn = radius * numpy.array([[numpy.cos(angle), -numpy.sin(angle)], [numpy.sin(angle), numpy.cos(angle)]])
    weight = tg.tensor(basis @ turn @ numpy.linalg.inv(basis), requires_grad=True)
    _, h = tg.scan(
        lambda x, h: (x, h @ weight + x),
        numpy.zeros((steps, 1, 2)),
        tg.tensor(numpy.ones((1, 2)), requires_grad=True),
    )
    assert tg.flow(h).verdict().rate == pytest.approx(radius, rel=0.05)


def test_what_is_less_than_at_first_does_not_explode() -> None:
    # going back, the last comes first
    factors = tg.tensor(numpy.array([1.0, 1.2, 1.2, 1.2, 1.2, 0.1])[:, None])
    _, h = tg.scan(lambda x, h: (x * h, x * h), factors, tg.tensor(numpy.ones(1), requires_grad=True))
    found = tg.flow(tg.sum(h)).verdict()
    assert (found.rate, found.left) == (pytest.approx(1.2, rel=1e-12), pytest.approx(0.1 * 1.2**4, rel=1e-12))
    assert found.kind == "healthy"


def test_the_worst_chain_decides() -> None:
    x = tg.tensor(numpy.ones((8, 2)))
    weights = [tg.tensor(value, dtype=tg.float64, requires_grad=True) for value in (1.0, 0.3)]

    def run(w: Any) -> Any:
        return tg.scan(lambda x, h: (w * h + x, w * h + x), x, tg.tensor(numpy.zeros(2)))[0]

    report = tg.flow(tg.sum(run(weights[0]) + run(weights[1])))
    assert sorted(track.verdict().kind for track in report.tracks) == ["healthy", "vanishing"]
    assert report.verdict().kind == "vanishing"
