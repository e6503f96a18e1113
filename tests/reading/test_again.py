"""To look at a program changes nothing in it: the second loss is what it is where nobody looked at the
first."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.numpy_only

B, H = 2, 3

THINGS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None, "a list": lambda: [1, 2], "a file": io.StringIO, "a lock": threading.Lock,
    "what a thread has": threading.local, "a generator": lambda: (i for i in range(3)),
    "an iterator": lambda: iter([1, 2]),
    "a count": itertools.count, "random numbers": lambda: numpy.random.default_rng(0),
}  # fmt: skip
LOOKS: dict[str, Callable[[Any], Any]] = {
    "flow": lambda loss: str(tg.flow(loss)), "its table": lambda loss: tg.flow(loss).table(),
    **{view: lambda loss,
    view=view: tg.draw(loss, view=view, max_nodes=1000).dot for view in ("ops", "cells", "steps")},
}  # fmt: skip


class Normed(tg.nn.Module):
    """Keeps a mean of its own in several ways, and something that it does not use."""

    def __init__(self, thing: Any) -> None:
        self.weight, self.thing = tg.nn.Parameter(0.5 * numpy.eye(H)), thing
        self.mean, self.calls, self.kept = numpy.zeros(H), 0, [0.0]

    def __call__(self, x: Any, h: Any) -> Any:
        self.thing
        self.mean[:] = 0.9 * self.mean + 0.1
        self.calls += 1
        self.kept.append(0.5 * self.kept[-1] + self.calls)
        h = tg.tanh(x @ self.weight + h - self.mean + 0.01 * self.kept[-1])
        return h, h


def _closing_over(thing: Any) -> Any:
    module = Normed(thing)
    mean = module.mean

    def cell(x: Any, h: Any) -> Any:
        _ = thing
        mean[:] = 0.9 * mean + 0.1
        h = tg.tanh(x @ module.weight + h - mean)
        return h, h

    return cell


def _consuming(thing: Any) -> Any:
    weight = tg.nn.Parameter(0.5 * numpy.eye(H))
    numbers = thing if hasattr(thing, "__next__") else itertools.count()

    def cell(x: Any, h: Any) -> Any:
        h = tg.tanh(x @ weight + h - 0.1 * next(numbers, 0))
        return h, h

    return cell


def _losses(cell: Any, look: Callable[[Any], Any]) -> list[float]:
    losses = []
    for _ in range(3):
        ys, _ = tg.scan(cell, numpy.ones((5, B, H)), tg.tensor(numpy.zeros((B, H))))
        loss = tg.sum(ys[-1])
        losses.append(loss.item())
        look(loss)
    return losses


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("make", [Normed, _closing_over, _consuming])
def test_looking_changes_no_program(make: Callable[[Any], Any], thing: str, look: str) -> None:
    unseen, seen = (_losses(make(THINGS[thing]()), one) for one in (lambda loss: None, LOOKS[look]))
    assert seen == unseen
    assert len(set(seen)) == 3 or make is _consuming


@pytest.mark.parametrize("thing", ["nothing", "a list", "random numbers"])
def test_names_are_read_where_all_can_be_put_back(thing: str) -> None:
    ys, _ = tg.scan(Normed(THINGS[thing]()), numpy.ones((5, B, H)), tg.tensor(numpy.zeros((B, H))))
    assert tg.flow(ys[-1]).track().chain.states == ["h"]
