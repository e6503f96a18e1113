"""Long tapes, and when their memory is given back."""

from __future__ import annotations

import gc
import sys
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


def _chain(length: int) -> float:
    """The gradient of a chain of so many operations, which is given up again."""
    x = leaf(0.5)
    y = x
    for _ in range(length // 2):
        y = y * 0.999 + 0.001
    y.backward()
    return float(grad_of(x))


@pytest.mark.both_backends
@pytest.mark.usefixtures("no_collector")
def test_a_chain_of_20_000_operations_needs_no_recursion() -> None:
    assert _chain(20_000) == pytest.approx(0.999**10_000, rel=1e-9)


@pytest.mark.no_cover
@pytest.mark.usefixtures("no_collector")
def test_twice_as_long_a_chain_is_twice_as_much_work() -> None:
    """Counted in calls of functions, Python's and C's; ``python -m benchmarks scaling`` reads the clock."""

    def calls(length: int) -> int:
        count = 0

        def seen(frame: Any, event: str, argument: Any) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(seen)
        try:
            _chain(length)
        finally:
            sys.setprofile(None)
        return count

    calls(10)  # what is done once
    first, second, third = (calls(length) for length in (1000, 2000, 3000))
    assert third - second == pytest.approx(second - first, rel=0.01)
    assert second - first > 10_000


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
