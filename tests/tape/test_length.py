"""Long tapes, and when their memory is given back."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tests.tape.leaves import grad_of, leaf
from tinygrad_rnn import tape


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Memory must come back by itself, without the search for cycles."""
    gc.disable()
    yield
    gc.enable()


def _chain(length: int) -> tuple[float, float]:
    """Seconds that a chain takes forward, backward and to be given up; and its gradient."""
    x = leaf(0.5)
    start = time.perf_counter()
    y = x
    for _ in range(length // 2):
        y = y * 0.999 + 0.001
    y.backward()
    gradient = float(grad_of(x))
    y = x
    return time.perf_counter() - start, gradient


@pytest.mark.slow
@pytest.mark.usefixtures("no_collector")
def test_chain_of_100_000_steps_takes_linear_time_and_no_recursion() -> None:
    half, whole = [], []
    for _ in range(2):  # the best of several: a busy machine only makes it slower
        seconds, gradient = _chain(50_000)
        assert gradient == pytest.approx(0.999**25_000, rel=1e-9)
        half.append(seconds)
        whole.append(_chain(100_000)[0])
    assert min(whole) < 3 * min(half)


@pytest.mark.both_backends
@pytest.mark.usefixtures("no_collector")
def test_chain_of_20_000_steps_on_every_backend() -> None:
    assert _chain(20_000)[1] == pytest.approx(0.999**10_000, rel=1e-9)


@pytest.mark.both_backends
@pytest.mark.usefixtures("no_collector")
def test_memory_is_given_back_when_the_result_goes() -> None:
    x = leaf(numpy.ones(4))
    y = tg.exp(x)
    z = tg.split(y * x, 2)[0]
    loss = tg.sum(z)
    entries = [weakref.ref(entry) for entry in tg.Tape.of(loss)]
    arrays = [weakref.ref(y.data), weakref.ref(z.data)]
    loss.backward()
    assert all(ref() is not None for ref in entries)
    del y, z, loss
    assert [ref() for ref in entries] == [None] * 4
    assert [ref() for ref in arrays] == [None] * 2
    assert not any(exposure.block() is None for exposure in tape.writes.exposed.values())


@pytest.mark.usefixtures("no_collector")
def test_memory_is_given_back_after_create_graph_errors_and_transforms() -> None:
    x = leaf(numpy.ones(4))

    def run() -> list[weakref.ref[Any]]:
        y = tg.exp(x)
        loss = tg.sum(y * y)
        first = tg.gradients(loss, x, create_graph=True)
        tg.sum(first).backward()
        with pytest.raises(tg.ShapeError):
            y @ tg.zeros((7, 7), dtype="float64")
        tg.hvp(lambda v: tg.sum(tg.tanh(v) ** 2), y, tg.ones_like(y))
        tg.sum(tg.checkpoint(lambda v: tg.tanh(v * x))(y)).backward()
        return [weakref.ref(entry) for entry in tg.Tape.of(loss, first)]

    assert [ref() for ref in run()] == [None] * len(run())
    x.grad = None


def test_exposed_arrays_leave_the_table_with_their_last_reference() -> None:
    before = len(tape.writes.exposed)
    tensors = [leaf([float(i)]) for i in range(10)]
    assert len({id(t.data) for t in tensors}) == 10
    assert len(tape.writes.exposed) == before + 10
    del tensors
    assert len(tape.writes.exposed) == before
