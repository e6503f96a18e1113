"""Which steps belong together: those of one loop, also where ways through it run side by side."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg

W, B = 0.9, 2


class Delayed(tg.nn.Module):
    """hₜ = w hₜ₋ₙ + xₜ, where the state is the last n of them."""

    def __call__(self, x: Any, state: Any) -> Any:
        h = W * state[0] + x
        return h, (*state[1:], h)


def _first(delay: int) -> tuple[Any, ...]:
    return tuple(tg.tensor(numpy.ones(B), requires_grad=True) for _ in range(delay))


def _scanned(delay: int, steps: int, compiled: bool | str) -> tuple[Any, Any]:
    return tg.scan(Delayed(), tg.tensor(numpy.zeros((steps, B))), _first(delay), compiled=compiled)


def _looped(delay: int, steps: int) -> tuple[Any, Any]:
    cell, state, ys = Delayed(), _first(delay), []
    for x in numpy.zeros((steps, B)):
        y, state = cell(tg.tensor(x), state)
        ys.append(y)
    return ys, state


def _companion(delay: int) -> numpy.ndarray:
    """From the residuals of a state to those of the one before."""
    matrix = numpy.eye(delay, k=-1)
    matrix[0, -1] = W
    return matrix


RUNS = {
    "step by step": lambda n, t: _scanned(n, t, False), "compiled": lambda n, t: _scanned(n, t, "auto"),
    ("a loop"): _looped,
}  # fmt: skip


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("delay", [1, 2, 3, 4])
@pytest.mark.parametrize("read", ["the output", "the last state", "all states"])
def test_a_state_that_waits_is_one_chain(delay: int, read: str, run: str) -> None:
    steps = 2 + 4 * delay
    ys, state = RUNS[run](delay, steps)
    loss = {"the output": ys[-1], "the last state": state[-1], "all states": [*state]}[read]
    report = tg.flow(loss)
    (track,) = report.tracks
    looked = len(track.remaining)
    assert track.last == looked - 1 == len(track.chain) - 1
    assert steps - looked in range(delay)  # the first step that the loss depends on
    ends = numpy.ones(delay) if read == "all states" else numpy.eye(delay)[-1]
    expected = [
        numpy.linalg.norm(numpy.linalg.matrix_power(_companion(delay), k) @ ends) for k in range(looked)
    ]
    if read != "all states":  # what comes into earlier steps is not followed
        numpy.testing.assert_allclose(track.remaining, expected, rtol=1e-12)
    if steps == looked:
        assert track.verdict().rate == pytest.approx(W ** (1 / delay), rel=1e-9)
    assert report.horizon == track.verdict().horizon == track.verdict().steps == looked - 1
    assert len(report.table().splitlines()) == 2 + looked
    assert f" {looked} steps" in str(tg.draw(loss, view="steps"))


@pytest.mark.parametrize("compiled", [False, "auto"])
@pytest.mark.parametrize("delay", [1, 2, 3])
def test_jacobians_of_a_state_that_waits_are_powers_of_a_matrix(delay: int, compiled: bool | str) -> None:
    ys, _ = _scanned(delay, 9, compiled)
    track = tg.flow(ys[-1]).track()
    matrix = numpy.kron(_companion(delay).T, numpy.eye(B))
    expected = numpy.array([numpy.linalg.matrix_power(matrix, k) for k in range(9)])
    numpy.testing.assert_allclose(track.jacobians(), expected, rtol=1e-12)
    numpy.testing.assert_allclose(
        track.jacobian_norms(exact=False), numpy.linalg.norm(expected, 2, axis=(1, 2)), rtol=1e-9
    )
    ends = tg.flow(_scanned(delay, 9, compiled)[1][-1]).track()
    assert ends.jacobian_norms().tolist() == pytest.approx(
        [0.0 if k % delay else W ** (k // delay) for k in range(len(ends.remaining))]
    )


@pytest.mark.numpy_only
def test_a_scan_whose_residual_is_cut_is_one_chain() -> None:
    """Every fourth step begins with the values of the state alone."""
    w, calls = tg.tensor(W, dtype=tg.float64, requires_grad=True), [0]

    def cell(x: Any, h: Any) -> Any:
        h = w * (h.detach() if calls[0] % 4 == 0 else h) + x
        calls[0] += 1
        return h, h

    ys, _ = tg.scan(cell, numpy.ones((12, B)), tg.tensor(numpy.ones(B), requires_grad=True))
    (track,) = tg.flow(ys[-1]).tracks
    numpy.testing.assert_allclose(track.remaining, [*(W ** numpy.arange(4)), *[0.0] * 8], rtol=1e-12)
    assert (track.verdict().kind, track.verdict().horizon, track.verdict().steps) == ("vanishing", 3, 11)


def test_two_scans_of_a_cell_are_two_chains() -> None:
    (one, _), (other, _) = _scanned(2, 6, False), _scanned(2, 6, False)
    assert [len(track.chain) for track in tg.flow(one[-1] + other[-1]).tracks] == [6, 6]
