"""States before the first step, however they were made: the residual at them is that of the chain rule, in
every view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.reading.words import formatted

T, B, H = 5, 2, 3


def _made(rng: numpy.random.Generator) -> dict[str, Callable[[], Any]]:
    """First states of a plain cell (B, H), each made in another way, from leaves that want residuals."""

    def leaf(*shape: int) -> Any:
        return tg.tensor(rng.standard_normal(shape) * 0.5, requires_grad=True)

    def carried() -> Any:
        W = leaf(H, H)
        return tg.scan(
            lambda x, h: (h, tg.tanh(x + h @ W)), tg.tensor(rng.standard_normal((3, B, H))), leaf(B, H)
        )[1]

    def of_an_encoder() -> Any:
        return tg.nn.GRU(H, H, dtype="float64")(tg.tensor(rng.standard_normal((3, B, H))))[1][0]

    return {
        "a leaf": lambda: leaf(B, H),
        "copied to the batch": lambda: tg.broadcast_to(leaf(H), (B, H)),
        "computed": lambda: tg.tanh(leaf(B, 2) @ leaf(2, H)),
        "one of several": lambda: tg.split(leaf(B, 2 * H), 2, axis=-1)[1],
        "taken from a table": lambda: leaf(5, H)[numpy.array([1, 3])],
        "carried along": carried,
        "an encoder's last": of_an_encoder,
        "a constant": lambda: tg.tensor(rng.standard_normal((B, H))),
    }


@pytest.mark.both_backends
@pytest.mark.parametrize("compiled", [False, "auto"])
@pytest.mark.parametrize("made", _made(numpy.random.default_rng(0)))
def test_the_residual_at_a_first_state_is_a_product_of_jacobians(
    made: str, compiled: bool | str, rng: numpy.random.Generator
) -> None:
    first = _made(rng)[made]()
    U, xs = rng.standard_normal((H, H)) * 0.5, rng.standard_normal((T, B, H))
    weight = tg.tensor(U, requires_grad=True)

    def cell(x: Any, h: Any) -> Any:
        h = tg.tanh(x + h @ weight)
        return h, h

    y, _ = tg.scan(cell, tg.tensor(xs), first, compiled=compiled)
    loss = tg.sum(y * y)
    h, hs = first.numpy(), []
    for x in xs:
        h = numpy.tanh(x + h @ U)
        hs.append(h)
    residual, left = 2 * hs[-1], []
    for h in reversed(hs):
        left.append(numpy.linalg.norm(residual))
        residual = (residual * (1 - h**2)) @ U.T
    start = numpy.linalg.norm(residual)
    report = tg.flow(loss)
    track = report.tracks[-1]
    numpy.testing.assert_allclose(track.remaining, numpy.array(left) / left[0], rtol=1e-9)
    sent = numpy.concatenate(
        [track.chain.entries[0][0].backend.to_host(part).ravel() for part in track.sent(0).values()]
        or [[0.0]]
    )
    assert numpy.linalg.norm(sent) == pytest.approx(0 if made == "a constant" else start, rel=1e-9)
    assert sum(path.carried for path in track.paths(0)) == pytest.approx(
        0 if made == "a constant" else start, rel=1e-9
    )
    steps = tg.draw(loss, view="steps").dot
    assert ("<B>start" in steps) == (made != "a constant")
    assert made == "a constant" or f" h  {formatted(float(start / left[0]), 2)} " in steps
    ops = tg.draw(loss, view="ops", gains=True, max_nodes=1000)
    assert "yellow band = state path: @ + tanh" in ops.dot
    assert tg.draw(loss, view="cells").dot


@pytest.mark.numpy_only
@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("kind", ["LSTM", "PeepholeLSTM"])
def test_states_of_a_layer_that_want_residuals(
    kind: str, wanted: tuple[bool, bool], rng: numpy.random.Generator
) -> None:
    layer = getattr(tg.nn, kind)(H, H, dtype="float64")
    h, c = (tg.tensor(rng.standard_normal((1, B, H)), requires_grad=want) for want in wanted)
    y, _ = layer(tg.tensor(rng.standard_normal((T, B, H))), (h, c))
    loss = tg.sum(y[-1])
    track = tg.flow(loss).track()
    assert track.chain.states == ["h", "c"] if kind == "LSTM" else sorted(track.chain.states) == ["c", "h"]
    gradients = (
        [numpy.linalg.norm(g.numpy()) for g in tg.gradients(loss, [x for x in (h, c) if x.requires_grad])]
        if any(wanted)
        else []
    )
    assert sorted(numpy.linalg.norm(part) for part in track.sent(0).values()) == pytest.approx(
        sorted(gradients), rel=1e-9
    )
    for view in ("ops", "steps", "cells"):
        assert tg.draw(loss, view=view, gains=True, max_nodes=1000).dot


@pytest.mark.numpy_only
def test_states_that_wait_swap_and_begin_as_one(rng: numpy.random.Generator) -> None:
    """Against the powers of a matrix over the whole state."""
    v, w = 0.6, 0.5
    start = tg.tensor(rng.standard_normal(2), requires_grad=True)
    cells: dict[str, tuple[Any, numpy.ndarray]] = {
        "waits": (
            lambda x, s: (v * s[0] + w * s[1] + x, (v * s[0] + w * s[1] + x, s[0])),
            numpy.array([[v, w], [1, 0]]),
        ),
        "swaps": (lambda x, s: (s[0], (w * s[1], v * s[0] + x)), numpy.array([[0, w], [v, 0]])),
        "the first alone": (
            lambda x, s: (s[0] * v + x, (s[0] * v + x, s[1] * w)),
            numpy.array([[v, 0], [0, w]]),
        ),
    }
    for name, (cell, matrix) in cells.items():
        for compiled in (False, "auto"):
            _, last = tg.scan(cell, rng.standard_normal((9, 2)), (start, start), compiled=compiled)
            track = tg.flow([tg.sum(part) for part in last]).track()
            g = numpy.ones(2)
            expected = [
                1.0,
                *(
                    numpy.linalg.norm(g @ numpy.linalg.matrix_power(matrix, k)) / numpy.linalg.norm(g)
                    for k in range(1, 9)
                ),
            ]
            if name == "waits":  # the second state after the last step was made in the one before
                assert len(track.remaining) == 9
            else:
                numpy.testing.assert_allclose(
                    track.remaining, expected, rtol=1e-9, err_msg=f"{name} {compiled}"
                )
            assert tg.draw([tg.sum(part) for part in last], view="steps").dot
