"""Whether a thread records: blocks, exceptions, other threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose

import tinygrad_rnn as tg
from tests.tape.leaves import grad_of, leaf
from tinygrad_rnn import tape
from tinygrad_rnn.tensor import Tensor


def test_no_grad_nests_and_decorates() -> None:
    x = leaf([1.0])
    with tg.no_grad():
        assert not (x * 2).requires_grad
        with tg.no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @tg.no_grad()
    def doubled(y: Tensor, deep: int = 0) -> Tensor:
        """Twice y."""
        return doubled(y, deep=deep - 1) if deep else y * 2

    assert not doubled(x, deep=2).requires_grad
    assert doubled.__doc__ == "Twice y."
    assert (x * 2).requires_grad
    block = tg.no_grad()
    with block:
        with block:
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert (x * 2).requires_grad


def test_nothing_is_recorded_without_need() -> None:
    assert len(tg.Tape.of(tg.exp(tg.tensor([1.0])) * 2)) == 0
    x = leaf([1.0])
    assert len(tg.Tape.of((x * 2).detach() + 1)) == 0
    assert (x * 2).detach().is_leaf


def test_exception_in_the_middle_leaves_everything_as_before() -> None:
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    tg.sum(w).backward()
    before, values = grad_of(w).copy(), w.numpy().copy()
    h = tg.tanh(w)
    with pytest.raises(tg.ShapeError, match=r"matmul.*\[2, 2\].*\[3, 1\]"):
        h @ tg.tensor(numpy.ones((3, 1)))
    with pytest.raises(tg.ShapeError):
        h.backward()
    with pytest.raises(tg.ShapeError):
        h.backward(grad=numpy.ones(3).tolist())
    assert (grad_of(w) == before).all()
    assert (w.numpy() == values).all()
    tg.sum(h).backward()
    assert_allclose(grad_of(w), 2 - numpy.tanh(values) ** 2, rtol=1e-13)


def test_each_thread_records_its_own(rng: numpy.random.Generator) -> None:
    a = rng.normal(size=(8, 50))
    found: dict[int, Any] = {}
    together = threading.Barrier(8)

    def work(i: int) -> None:
        x = leaf(a[i])
        together.wait()
        if i % 2:
            with tg.no_grad():
                together.wait()
                found[i] = (x * x).requires_grad
                together.wait()
        else:
            together.wait()
            y = x
            for _ in range(50):
                y = tg.sin(y) + x
            loss = tg.sum(y)
            together.wait()
            loss.backward()
            found[i] = (len(tg.Tape.of(loss)), grad_of(x))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        if i % 2:
            assert found[i] is False
            continue
        y, slope = a[i], numpy.ones(50)
        for _ in range(50):
            y, slope = numpy.sin(y) + a[i], numpy.cos(y) * slope + 1
        assert found[i][0] == 101
        assert_allclose(found[i][1], slope, rtol=1e-11)
    assert tape.thread.recording


def test_create_graph_records_also_under_no_grad() -> None:
    x = leaf([2.0, 3.0])
    loss = tg.sum(x**3)
    with tg.no_grad():
        loss.backward(create_graph=True)
        loss.backward(create_graph=True)
    assert x.grad is not None
    assert_allclose(tg.gradients(tg.sum(x.grad), x).numpy(), [24.0, 36.0], rtol=1e-13)
    x.grad = None
