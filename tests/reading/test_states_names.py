"""What states, modules and chains are called: as the user's code calls them, however that is written."""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.numpy_only

T, B, H = 4, 2, 3
Pair = namedtuple("Pair", "h c")
_rng = numpy.random.default_rng(0)
W, U, V = (tg.tensor(_rng.standard_normal((H, H)) * 0.5, requires_grad=True) for _ in range(3))


def zero() -> Any:
    return tg.tensor(numpy.zeros((B, H)))


def two() -> Any:
    return zero(), zero()


# -- cells, each written in another way ----------------------------------------------------------------------


def unpacked(x: Any, state: Any) -> Any:
    h, c = state
    f = tg.sigmoid(x @ W + h @ U)
    c = f * c + tg.tanh(h @ V)
    h = f * tg.tanh(c)
    return h, (h, c)


def previous(x: Any, state: Any) -> Any:
    h_prev, c_prev = state
    f = tg.sigmoid(x @ W + h_prev @ U)
    c = f * c_prev + tg.tanh(h_prev @ V)
    h = f * tg.tanh(c)
    return h, (h, c)


def following(x: Any, state: Any) -> Any:
    h, c = state
    f = tg.sigmoid(x @ W + h @ U)
    c_new = f * c + tg.tanh(h @ V)
    h_new = f * tg.tanh(c_new)
    return h_new, (h_new, c_new)


def prefixed(x: Any, state: Any) -> Any:
    old_h, old_c = state
    f = tg.sigmoid(x @ W + old_h @ U)
    new_c = f * old_c + tg.tanh(old_h @ V)
    new_h = f * tg.tanh(new_c)
    return new_h, (new_h, new_c)


def numbered(x: Any, state: Any) -> Any:
    f = tg.sigmoid(x @ W + state[0] @ U)
    c = f * state[1] + tg.tanh(state[0] @ V)
    h = f * tg.tanh(c)
    return h, (h, c)


def inline(x: Any, state: Any) -> Any:
    h, c = state
    c = tg.sigmoid(x @ W + h @ U) * c + tg.tanh(h @ V)
    return tg.tanh(c), (tg.tanh(c), c)


def rebound(x: Any, state: Any) -> Any:
    h, c = state
    h = h @ U + x @ W
    c = 0.5 * c + tg.tanh(h @ V)
    h = tg.tanh(c)
    h = h * 0.9
    return h, (h, c)


def of_a_list(x: Any, state: Any) -> Any:
    h, c = state
    c = 0.5 * c + tg.tanh(h @ V + x @ W)
    h = tg.tanh(c)
    return h, [h, c]


def of_fields(x: Any, state: Any) -> Any:
    c = 0.5 * state.c + tg.tanh(state.h @ V + x @ W)
    return tg.tanh(c), Pair(tg.tanh(c), c)


def of_keys(x: Any, s: Any) -> Any:
    c = 0.5 * s["c"] + tg.tanh(s["h"] @ V + x @ W)
    return tg.tanh(c), {"h": tg.tanh(c), "c": c}


def spread(x: Any, state: Any) -> Any:
    return _spread(x, *state)


def _spread(x: Any, h: Any, c: Any) -> Any:
    c = 0.5 * c + tg.tanh(h @ V + x @ W)
    h = tg.tanh(c)
    return h, (h, c)


def _of_a_weight(weight: Any, x: Any, state: Any) -> Any:
    h, c = state
    c = 0.5 * c + tg.tanh(h @ weight + x @ W)
    h = tg.tanh(c)
    return h, (h, c)


class Cell(tg.nn.Module):
    def __init__(self) -> None:
        self.weight = tg.nn.Parameter(W.numpy())

    def __call__(self, x: Any, state: Any) -> Any:
        return self.step(x, state)

    def step(self, x: Any, state: Any) -> Any:
        return _of_a_weight(self.weight, x, state)


class Callable_:
    def __call__(self, x: Any, state: Any) -> Any:
        h, c = state
        c = 0.5 * c + tg.tanh(h @ V + x @ W)
        h = tg.tanh(c)
        return h, (h, c)


CELLS: dict[str, tuple[Any, Callable[[], Any]]] = {
    "unpacked": (unpacked, two), "previous": (previous, two), "following": (following, two),
    "prefixed": (prefixed, two),
    "numbered": (numbered, two), "inline": (inline, two), "rebound": (rebound, two),
    "of a list": (of_a_list, lambda: list(two())),
    "of fields": (of_fields, lambda: Pair(*two())),
    "of keys": (of_keys, lambda: dict(zip("hc", two(), strict=True))),
    "spread": (spread, two), "a lambda": (lambda x, s: _spread(x, *s), two),
    "a partial": (functools.partial(_of_a_weight, U), two),
    "a module": (Cell(), two), "a method": (Cell().step, two), "an object": (Callable_(), two),
    "the library's": (tg.nn.LSTMCell(H, H, dtype="float64"), two),
}  # fmt: skip


@pytest.mark.parametrize("compiled", [False, "auto"])
@pytest.mark.parametrize("written", CELLS)
def test_states_are_called_h_and_c(written: str, compiled: bool | str) -> None:
    cell, first = CELLS[written]
    y, _ = tg.scan(cell, _rng.standard_normal((T, B, H)), first(), compiled=compiled)
    loss = tg.sum(y[-1] ** 2)
    track = tg.flow(loss).track()
    assert sorted(track.chain.states) == ["c", "h"]
    names = [path.name for path in track.paths(-1)]
    assert names
    assert not [name for name in names if "state" in name or "[" in name]
    steps = tg.draw(loss, view="steps").dot
    assert "> c  " in steps
    assert "> h  " in steps
    assert "state 1" not in steps
    assert {"c[t−1]", "c[t]"} <= _labels(cell, first)


def _labels(cell: Any, first: Callable[[], Any]) -> set[str]:
    """What a picture of one step says, with states that want residuals."""
    state = tg.tree.map_leaves(lambda leaf: tg.tensor(leaf.numpy(), requires_grad=True), first())
    y, _ = tg.scan(cell, _rng.standard_normal((1, B, H)), state, compiled=False)
    scene = tg.draw(y, view="ops")._scene
    return {box.label for box in scene.boxes} | {
        value for box in scene.boxes for name, value in box.facts if name == "result"
    }


def test_one_state_is_called_by_what_says_most() -> None:
    def named_after(x: Any, state: Any) -> Any:
        h = tg.tanh(x @ W + state @ U)
        return h, h

    def named_before(x: Any, memory: Any) -> Any:
        new = tg.tanh(x @ W + memory @ U)
        return new, new

    def unnamed(x: Any, state: Any) -> Any:
        new = tg.tanh(x @ W + state @ U)
        return new, new

    for cell, name in ((named_after, "h"), (named_before, "memory"), (unnamed, "state")):
        y, _ = tg.scan(cell, _rng.standard_normal((T, B, H)), zero())
        assert tg.flow(tg.sum(y)).track().chain.states == [name]


def test_nested_states_keep_their_keys() -> None:
    def cell(x: Any, state: Any) -> Any:
        a = tg.tanh(x @ W + state["fast"]["m"] @ U)
        b = 0.9 * state["slow"]["m"] + a
        return b, {"fast": {"m": a}, "slow": {"m": b}}

    y, _ = tg.scan(cell, _rng.standard_normal((T, B, H)), {"fast": {"m": zero()}, "slow": {"m": zero()}})
    assert sorted(tg.flow(tg.sum(y)).track().chain.states) == ["fast.m", "slow.m"]


@pytest.mark.parametrize("keywords", [False, True])
def test_a_loop_over_a_cell_names_its_states_too(keywords: bool) -> None:
    cell, state = Cell(), two()
    for x in _rng.standard_normal((T, B, H)):
        y, state = cell(x=tg.tensor(x), state=state) if keywords else cell(tg.tensor(x), state)
    track = tg.flow(tg.sum(y)).track()
    assert sorted(track.chain.states) == ["c", "h"]
    assert "h → c by way of tanh(c)" in {path.name for path in track.paths(-1)}


# -- modules and cells ---------------------------------------------------------------------------------------


def gru(**options: Any) -> Any:
    return tg.nn.GRU(H, H, dtype="float64", **options)


class Translator(tg.nn.Module):
    def __init__(self) -> None:
        self.encoder, self.decoder, self.readout = (
            gru(),
            gru(num_layers=2),
            tg.nn.Linear(H, 2, dtype="float64"),
        )

    def __call__(self, x: Any) -> Any:
        y, last = self.encoder(x)
        y, _ = self.decoder(y, tg.concatenate([last, last]))
        return self.readout(y)


class Listed(tg.nn.Module):
    def __init__(self) -> None:
        self.layers = [gru() for _ in range(2)]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x, _ = layer(x)
        return x


class Keyed(tg.nn.Module):
    def __init__(self) -> None:
        self.speeds = {"fast": gru(), "slow": gru()}

    def __call__(self, x: Any) -> Any:
        return self.speeds["fast"](x)[0] + self.speeds["slow"](x)[0]


class Bare(tg.nn.Module):
    """Scans its cells itself."""

    def __init__(self) -> None:
        self.up, self.down = (tg.nn.GRUCell(H, H, dtype="float64") for _ in range(2))

    def __call__(self, x: Any) -> Any:
        y, _ = tg.scan(self.up, x, zero())
        return tg.scan(self.down, y, zero(), reverse=True)[0]


class Plain:
    """An object that is no module."""

    def __init__(self) -> None:
        self.encoder, self.decoder = gru(), gru()

    def __call__(self, x: Any) -> Any:
        return self.decoder(self.encoder(x)[0])[0]


class Stacked(tg.nn.Module):
    def __init__(self) -> None:
        self.rnn = gru(num_layers=2, bidirectional=True)

    def __call__(self, x: Any) -> Any:
        return self.rnn(x)[0]


MODELS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "attributes": (Translator, ["encoder", "decoder layer 1", "decoder layer 2"]),
    "a list": (Listed, ["layers[0]", "layers[1]"]),
    "a dict": (Keyed, ["speeds.fast", "speeds.slow"]),
    "cells": (Bare, ["up", "down reversed"]),
    "no module": (Plain, ["encoder", "decoder"]),
    "a stack": (Stacked, ["layer 1", "layer 1 reversed", "layer 2", "layer 2 reversed"]),
}


@pytest.mark.parametrize("built", MODELS)
def test_chains_are_called_by_their_modules(built: str) -> None:
    make, names = MODELS[built]
    model = make()
    loss = tg.sum(model(tg.tensor(_rng.standard_normal((T, B, H)))) ** 2)
    report = tg.flow(loss)
    assert [track.name for track in report.tracks] == names
    assert str(report.track(names[0]).verdict()).startswith(f"{names[0]}: ")
    steps, cells, ops = (tg.draw(loss, view=view, max_nodes=1000).dot for view in ("steps", "cells", "ops"))
    for name in names:
        assert f'label="{name}"' in steps
        assert f"{name}: GRUCell, {T} steps" in cells
        assert f'label="{name}: t = 0"' in ops


def test_chains_are_called_by_variables_and_functions() -> None:
    x, listed, keyed = tg.tensor(_rng.standard_normal((T, B, H))), [gru(), gru()], {"a": gru(), "b": gru()}
    encoder, decoder = gru(), gru()

    def names(y: Any) -> list[str]:
        return [track.name for track in tg.flow(tg.sum(y)).tracks]

    def reads(x: Any, h: Any) -> Any:
        return unnamed(x, h)

    def writes(x: Any, h: Any) -> Any:
        return unnamed(x, h)

    def unnamed(x: Any, h: Any) -> Any:
        h = tg.tanh(x @ W + h @ U)
        return h, h

    assert [track.name for track in tg.flow(tg.sum(listed[1](listed[0](x)[0])[0])).tracks] == [
        "listed[0]",
        "listed[1]",
    ]
    assert [track.name for track in tg.flow(tg.sum(keyed["b"](keyed["a"](x)[0])[0])).tracks] == [
        "keyed.a",
        "keyed.b",
    ]
    assert [track.name for track in tg.flow(tg.sum(decoder(encoder(x)[0])[0])).tracks] == [
        "encoder",
        "decoder",
    ]
    assert names(tg.scan(writes, *tg.scan(reads, x, zero()))[0]) == ["reads", "writes"]
    first = tg.scan(reads, x, zero())[0]
    assert [track.name for track in tg.flow(tg.sum(first * tg.scan(reads, x, zero())[0])).tracks] == [
        "reads, call 1",
        "reads, call 2",
    ]
    _, state = encoder(x)
    assert [track.name for track in tg.flow(tg.sum(encoder(x, state)[0])).tracks] == [
        "encoder, call 1",
        "encoder, call 2",
    ]


def test_a_parameter_that_no_code_names_is_called_by_its_attribute() -> None:
    class Model(tg.nn.Module):
        def __init__(self) -> None:
            self.rnn, self.start = gru(), tg.nn.Parameter(numpy.zeros(H))

        def __call__(self, x: Any) -> Any:
            return self.rnn(x, tg.broadcast_to(self.start, (1, B, H)))[0]

    model = Model()
    assert (
        'label="start"'
        in tg.draw(tg.sum(model(tg.tensor(_rng.standard_normal((T, B, H))))), view="cells").dot
    )
