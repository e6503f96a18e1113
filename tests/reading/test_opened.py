"""What is told of a tape is told of the run that recorded it: whatever has changed since, and each replay
opened once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.reading.opened import Opened

pytestmark = pytest.mark.numpy_only

T, B, IN, H = 6, 2, 3, 4


class Cell(tg.nn.Module):
    """A cell that reads everything that a program may change: parameters, a number, a mode, a tensor that is
    no parameter."""

    state_size = H

    def __init__(self, rng: numpy.random.Generator) -> None:
        self.W, self.U = (tg.nn.Parameter(rng.standard_normal(shape) * 0.5) for shape in ((IN, H), (H, H)))
        self.shift = tg.tensor(rng.standard_normal(H))
        self.share = 0.9

    def __call__(self, x: Any, h: Any) -> Any:
        h = tg.tanh(x @ self.W + self.share * (h @ self.U) + self.shift)
        h = h if self.training else 0.5 * h
        return h, h


class Net(tg.nn.Module):
    def __init__(self, rng: numpy.random.Generator) -> None:
        self.cell, self.out = Cell(rng), tg.nn.Linear(H, 2, dtype="float64")

    def __call__(self, x: Any, h: Any, run: str) -> Any:
        y, _ = RUNS[run](self.cell, x, h)
        return tg.mean(self.out(y) ** 2)


def _checkpointed(cell: Any, x: Any, h: Any) -> Any:
    return tg.checkpoint(lambda x, h: tg.scan(cell, x, h, compiled=False))(x, h)


RUNS: dict[str, Callable[..., Any]] = {
    "loop": lambda cell, x, h: tg.scan(cell, x, h, compiled=False),
    "compiled": lambda cell, x, h: tg.scan(cell, x, h, compiled=True),
    "in segments": lambda cell, x, h: tg.scan(cell, x, h, compiled=True, checkpoint=2),
    "loop in segments": lambda cell, x, h: tg.scan(cell, x, h, compiled=False, checkpoint=2),
    "checkpoint": _checkpointed,
}


def _step(net: Net, x: Any, h: Any) -> None:
    for parameter in net.parameters():
        parameter.grad = tg.tensor(numpy.ones(parameter.shape))
    tg.optim.SGD(net.parameters(), lr=0.5).step()


def _written(tensor: Any) -> None:
    tensor.data[...] = 0.1


CHANGES: dict[str, Callable[[Net, Any, Any], Any]] = {
    "a step of the optimiser": _step,
    "data assigned": lambda net, x, h: setattr(net.cell.U, "data", net.cell.U.numpy() * 3),
    "a constant's data assigned": lambda net, x, h: setattr(
        net.cell.shift, "data", net.cell.shift.numpy() * 3
    ),
    "the input's data assigned": lambda net, x, h: setattr(x, "data", x.numpy() * 2),
    "the first state's data assigned": lambda net, x, h: setattr(h, "data", numpy.ones(h.shape)),
    "a parameter written into": lambda net, x, h: _written(net.cell.U),
    "the input written into": lambda net, x, h: _written(x),
    "values loaded": lambda net, x, h: net.load_state_dict(
        {name: v.numpy() * 2 for name, v in net.state_dict().items()}
    ),
    "another dtype": lambda net, x, h: net.astype("float32"),
    "a number annealed": lambda net, x, h: setattr(net.cell, "share", 0.1),
    "another parameter": lambda net, x, h: setattr(net.cell, "U", tg.nn.Parameter(numpy.eye(H))),
    "the mode switched": lambda net, x, h: net.eval(),
}


def _numbers(loss: Any) -> list[float]:
    return [norm for op in tg.flow(loss).operations() for norm in (op.received, *op.sent.values())]


def _told(loss: Any) -> list[Any]:
    """All numbers that a diagnosis and the pictures give."""
    report = tg.flow(loss)
    told: list[Any] = [(op.symbol, op.received, op.sent) for op in report.operations()]
    told += [(track.remaining.tolist(), str(track.verdict())) for track in report.tracks]
    for view in ("ops", "steps", "cells"):
        scene = tg.draw(loss, view=view, gains=True, values=True, max_nodes=1000)._scene
        told.append(scene.dot)
        told += [box.facts for inside in (scene, *scene.inside.values()) for box in inside.boxes]
    return told


@pytest.mark.each_value
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("run", RUNS)
def test_the_run_is_told_that_was(run: str, change: str, rng: numpy.random.Generator) -> None:
    net, x = Net(rng), tg.tensor(rng.standard_normal((T, B, IN)))
    h = tg.tensor(numpy.zeros((B, H)), requires_grad=True)
    loss = net(x, h, run)
    before, numbers = _told(loss), _numbers(loss)
    CHANGES[change](net, x, h)
    unseen = run in ("loop in segments", "checkpoint") and change != "the first state's data assigned"
    # gone, or read by code that is run again: an error, as for a backward pass
    if "written" in change or unseen:
        try:
            after = _told(loss)
        except tg.TapeError:
            return
        assert after == before
        assert "written" not in change
    elif change == "another dtype":  # what goes to a parameter is rounded to the dtype that it has now
        numpy.testing.assert_allclose(_numbers(loss), numbers, rtol=1e-6)
    elif change in ("another parameter", "the mode switched"):  # names are read off the code as it is now
        assert _numbers(loss) == numbers
    else:
        assert _told(loss) == before


@pytest.mark.parametrize(
    "change", ["a number annealed", "the mode switched", "another parameter", "a constant's data assigned"]
)
def test_a_checkpoint_that_gives_something_else_is_refused(change: str, rng: numpy.random.Generator) -> None:
    net, x = Net(rng), tg.tensor(rng.standard_normal((T, B, IN)))
    h = tg.tensor(numpy.zeros((B, H)), requires_grad=True)
    loss = net(x, h, "checkpoint")
    CHANGES[change](net, x, h)
    with pytest.raises(tg.TapeError, match="gave other numbers than before"):
        tg.flow(loss)


def test_the_recorded_tape_stays_as_it_is(rng: numpy.random.Generator) -> None:
    net, x = Net(rng), tg.tensor(rng.standard_normal((T, B, IN)))
    h = tg.tensor(numpy.zeros((B, H)), requires_grad=True)
    loss = net(x, h, "compiled")
    tape = tg.Tape.of(loss)

    def seen():
        return [(e.index, e.row, e.inputs, e.xs, e.ys, e.scope, e.scope and e.scope.call) for e in tape]

    before = seen()
    _step(net, x, h)
    held = [id(parameter._data) for parameter in net.parameters()]
    tg.flow(loss)
    tg.draw(loss, view="cells")
    assert [id(parameter._data) for parameter in net.parameters()] == held
    after = seen()
    assert all(
        one is other
        for was, now in zip(before, after, strict=True)
        for one, other in zip(was[1:], now[1:], strict=True)
    )


def _rows(results: list[Any]) -> list[str]:
    return [entry.row.name for entry in tg.Tape.of(*Opened(results).results)]


def _encoder_decoder(how: str, compiled: bool | str, rng: numpy.random.Generator) -> Any:
    W, U, V = (
        tg.tensor(rng.standard_normal(shape) * 0.5, requires_grad=True) for shape in ((IN, H), (H, H), (H, H))
    )

    def encodes(x: Any, h: Any) -> Any:
        h = tg.tanh(x @ W + h @ U)
        return h, h

    def decodes(x: Any, h: Any) -> Any:
        h = tg.tanh(x @ V + h @ U)
        return h, h

    ys, last = tg.scan(encodes, rng.standard_normal((T, B, IN)), numpy.zeros((B, H)), compiled=compiled)

    def attends(x: Any, h: Any) -> Any:
        share = tg.softmax(tg.sum(ys * h, axis=-1), axis=0)
        h = tg.tanh(tg.sum(tg.expand_dims(share, -1) * ys, axis=0) @ V + x + h @ U)
        return h, h

    inputs = tg.tensor(rng.standard_normal((T, B, H)))
    if how == "outputs and state":
        y, _ = tg.scan(decodes, ys, last, compiled=compiled)
    elif how == "state twice":
        y = (
            tg.scan(decodes, inputs, last, compiled=compiled)[0]
            + tg.scan(decodes, inputs, last * 1.0, compiled=compiled)[0]
        )
    elif how == "outputs read by the cell":
        y, _ = tg.scan(attends, inputs, last, compiled=compiled)
    elif how == "outputs read by a checkpoint":
        y = tg.checkpoint(lambda a: tg.tanh(a @ V) * ys)(inputs)
    else:
        y = ys * last + ys[0]
    return tg.sum(y * y)


HOWS = (
    "outputs and state",
    "state twice",
    "outputs read by the cell",
    "outputs read by a checkpoint",
    "by hand",
)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("compiled", [False, "auto"])
def test_a_replay_is_opened_once_whoever_uses_it(
    how: str, compiled: bool | str, rng: numpy.random.Generator
) -> None:
    loss = _encoder_decoder(how, compiled, rng)
    rows = _rows([loss])
    tanhs = {"outputs and state": 2, "state twice": 3, "outputs read by the cell": 2}.get(how, 1)
    assert rows.count("tanh") == tanhs * T + (how == "outputs read by a checkpoint")
    assert not {"scan", "checkpoint"} & set(rows)
    assert sum(len(track.chain) for track in tg.flow(loss).tracks) == tanhs * T


@pytest.mark.parametrize("how", HOWS)
def test_an_encoder_gets_the_residual_of_all_that_use_it(how: str, rng: numpy.random.Generator) -> None:
    """Step by step, compiled as in the loop."""
    state = rng.bit_generator.state
    found = []
    for compiled in (False, "auto"):
        rng.bit_generator.state = state
        report = tg.flow(_encoder_decoder(how, compiled, rng), start="all")
        found.append({track.name: track.received for track in report.tracks})
    assert found[0].keys() == found[1].keys()
    for name, received in found[0].items():
        numpy.testing.assert_allclose(found[1][name], received, rtol=1e-9)
