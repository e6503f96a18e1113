"""Random cells: whatever a step does, its paths telescope and add up to what it passes back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy
import pytest

import tinygrad_rnn as tg
from tests.covering import seeds
from tinygrad_rnn import backends, tree
from tinygrad_rnn.diagnosis.paths import CASES

T, B, N = 5, 2, 3

UNARY = [
    tg.tanh,
    tg.sigmoid,
    tg.relu,
    tg.sin,
    lambda a: 0.5 * a,
    lambda a: 1 - a,
    lambda a: tg.concatenate(tg.split(a, [1], axis=-1)[::-1], axis=-1),
    lambda a: a - tg.mean(a, axis=-1, keepdims=True),
    lambda a: a * a,
]
BINARY = [
    tg.add,
    tg.subtract,
    tg.multiply,
    tg.maximum,
    lambda a, b: tg.sigmoid(a) * b,
    lambda a, b: tg.where(a > b, a, 0.5 * b),
]


def _cell(rng: numpy.random.Generator, states: int) -> Any:
    """A cell of some six random operations, each on values that are there already, and the products of one
    weight."""
    w = tg.tensor(rng.standard_normal((N, N)) / N, requires_grad=True)
    program = []
    for made in range(1 + states, 7 + states):
        kind = rng.integers(3)
        function = (
            UNARY[rng.integers(len(UNARY))]
            if kind == 0
            else BINARY[rng.integers(len(BINARY))]
            if kind == 1
            else lambda a: a @ w
        )
        program.append((function, rng.integers(made, size=2 if kind == 1 else 1)))
    ends = rng.integers(1 + states, 7 + states, size=states)

    def cell(x: Any, state: Any) -> Any:
        values = [x, *state]
        for function, operands in program:
            values.append(function(*(values[i] for i in operands)))
        new = tuple(tg.tanh(values[end]) + 0.5 * old for end, old in zip(ends, state, strict=True))
        return values[-1], new

    return cell


def _sums(paths: Any) -> dict[Any, Any]:
    totals: dict[Any, Any] = dict(paths.rest)
    for path in paths:
        numpy.testing.assert_allclose(numpy.prod([hop.gain for hop in path.hops]), path.gain, rtol=1e-9)
        numpy.testing.assert_allclose(
            numpy.prod([path.by_case[case] for case in CASES]), path.gain, rtol=1e-9
        )
        totals[path.target] = (
            totals[path.target] + path.contribution if path.target in totals else path.contribution
        )
    return totals


@pytest.mark.parametrize("number", seeds(25, daily=8))
def test_paths_add_up(number: int) -> None:
    rng = numpy.random.default_rng(number)
    states = 1 + number % 2
    first = tuple(tg.tensor(rng.standard_normal((B, N)), requires_grad=True) for _ in range(states))
    y, last = tg.scan(_cell(rng, states), tg.tensor(rng.standard_normal((T, B, N))), first, compiled=False)
    report = tg.flow([tg.sum(y), *(tg.sum(s * s) for s in last)], start="all")
    assert report.tracks
    for track in report.tracks:
        for step in range(len(track.chain)):
            for limit in (2, 256):
                totals = _sums(track.paths(step, limit=limit))
                backend = track.chain.entries[0][0].backend
                whole = track.sent(step)
                assert totals.keys() == whole.keys()
                for key, total in totals.items():
                    numpy.testing.assert_allclose(
                        backend.to_host(total), backend.to_host(whole[key]), rtol=1e-9, atol=1e-12
                    )


def test_more_paths_than_the_limit_leave_an_honest_rest(rng: numpy.random.Generator) -> None:
    def cell(x: Any, h: Any) -> Any:
        for _ in range(12):  # 2¹² paths
            h = tg.tanh(h) + 0.1 * h
        return h + x, h + x

    y, _ = tg.scan(
        cell,
        tg.tensor(rng.standard_normal((3, B, N))),
        tg.tensor(rng.standard_normal((B, N)), requires_grad=True),
    )
    track = tg.flow(tg.sum(y[-1])).track()
    paths = track.paths(-1)
    assert (len(paths), paths.count) == (256, 4096)
    assert "3840 other paths were not followed" in str(paths)
    (total,), (whole,) = _sums(paths).values(), track.sent(-1).values()
    backend = track.chain.entries[0][0].backend
    numpy.testing.assert_allclose(backend.to_host(total), backend.to_host(whole), rtol=1e-9)
    whole_norm = float(numpy.linalg.norm(backend.to_host(whole)))
    assert paths.passed == pytest.approx(whole_norm, rel=1e-12)
    assert sum(path.share for path in paths) == pytest.approx(1)


class _Two(NamedTuple):
    h: Any
    before: Any


@pytest.mark.parametrize(
    ("nested", "names"),
    [
        (lambda h, before: {"h": h, "before": before}, ["h", "before"]),
        (lambda h, before: {"before": (before,), "h": [h]}, ["before", "h"]),
        (_Two, ["h", "before"]),
    ],
)
def test_a_state_that_is_handed_on_as_another(
    nested: Any, names: list[str], rng: numpy.random.Generator
) -> None:
    """hₜ = tanh(xₜ + hₜ₋₁ W + hₜ₋₂ U), where the state holds h and the one before it."""
    w, u = (tg.tensor(rng.normal(size=(3, 3)), requires_grad=True) for _ in range(2))
    place = dict(zip(names, range(2), strict=True))

    def cell(x: Any, state: Any) -> Any:
        leaves = tree.leaves(state)
        h, before = leaves[place["h"]], leaves[place["before"]]
        h, before = tg.tanh(x + h @ w + before @ u), h
        return h, nested(h, before)

    start = (tg.tensor(rng.normal(size=(1, 3)), requires_grad=True) for _ in range(2))
    ys, _ = tg.scan(cell, tg.tensor(rng.normal(size=(6, 1, 3))), nested(*start))
    track = tg.flow(tg.sum(ys[-1] ** 2)).track()
    assert sorted(track.chain.states) == ["before", "h"]
    y, through = ys.numpy(), numpy.zeros((8, 1, 3))
    for step in range(5, 1, -1):
        residual = through[step + 1] @ w.numpy().T + through[step + 2] @ u.numpy().T + 2 * y[5] * (step == 5)
        through[step] = (1 - y[step] ** 2) * residual
        paths = {
            path.name.partition(" by")[0]: backends.current().to_host(path.contribution)
            for path in track.paths(step)
        }
        assert set(paths) == {"h", "h → before"}
        numpy.testing.assert_allclose(paths["h"], through[step] @ w.numpy().T, rtol=1e-12)
        numpy.testing.assert_allclose(paths["h → before"], through[step] @ u.numpy().T, rtol=1e-12)


@pytest.mark.parametrize("learned", [False, True])
def test_states_are_called_by_their_keys(learned: bool, rng: numpy.random.Generator) -> None:
    """Each is what another one was a step before, also those that the program began with."""
    weights = {key: tg.tensor(rng.normal(size=(3, 3)), requires_grad=True) for key in ("h", "b1", "b2", "b3")}

    def cell(x: Any, s: Any) -> Any:
        h = tg.tanh(x + sum(s[key] @ w for key, w in weights.items()))
        return h, {"h": h, "b1": s["h"], "b2": s["b1"], "b3": s["b2"]}

    start = {key: tg.tensor(rng.normal(size=(1, 3)), requires_grad=learned) for key in weights}
    ys, _ = tg.scan(cell, tg.zeros((6, 1, 3), "float64"), start)
    track = tg.flow(tg.sum(ys[-1])).track()
    assert set(track.chain.states) == set(weights)
    ends = {path.hops[-1].entry.inputs[1]: path.end for path in track.paths(5)}
    assert {key: ends[w] for key, w in weights.items()} == {key: key for key in weights}


def test_keys_of_keys(rng: numpy.random.Generator) -> None:
    def cell(x: Any, s: Any) -> Any:
        h = tg.tanh(x + s["now"]["h"] + 0.5 * s["old"]["h"])
        return h, {"now": {"h": h}, "old": s["now"]}

    start = {"now": {"h": tg.zeros((1, 3), "float64")}, "old": {"h": tg.zeros((1, 3), "float64")}}
    x = tg.tensor(rng.normal(size=(4, 1, 3)), requires_grad=True)
    states = tg.flow(tg.sum(tg.scan(cell, x, start)[0][-1])).track().chain.states
    assert set(states) == {"now.h", "old.h"}
