"""Training that is interrupted, by threads and signals, leaves nothing held."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.interrupter import BY_INSTRUCTIONS, PACKAGE, Interrupter, state
from tinygrad_rnn import nn, optim
from tinygrad_rnn.backends.native import products, threads, thresholds
from tinygrad_rnn.optim import machine_code
from tinygrad_rnn.sequence import nested as nested_loops
from tinygrad_rnn.sequence import plans

STRIDE = int(os.environ.get("TINYGRAD_RNN_STRIDE", "48"))
"""Of the instructions outside of the hand-over every so many-th is interrupted; with 1 all are, which takes
minutes."""


HAIL = 1000
"""Interrupts at random moments."""


class Training:
    """A layer, a loss and an optimiser."""

    def __init__(self, steps: int = 3, batch: int = 4, width: int = 8) -> None:
        random = np.random.default_rng(0)
        self.layer = nn.LSTM(3, width)
        self.first = [parameter.data.copy() for parameter in self.layer.parameters()]
        self.x = tg.tensor(random.normal(size=(steps, batch, 3)), "float32", requires_grad=True)
        self.classes = tg.tensor(random.integers(0, width, (steps, batch)))
        self.optimiser = optim.Adam(self.layer.parameters(), 0.01)
        for _ in range(2):  # an optimiser's first step is no machine code
            self.step()

    def step(self) -> None:
        self.layer.zero_grad()
        self.x.grad = None
        ys, _ = self.layer(self.x)
        tg.cross_entropy(ys, self.classes).backward()
        self.optimiser.step()

    def result(self) -> list[bytes]:
        """What a step from the first weights gives, to the bit."""
        for parameter, data in zip(self.layer.parameters(), self.first, strict=True):
            parameter.data = data.copy()
        self.step()
        return [x.grad.numpy().tobytes() for x in (*self.layer.parameters(), self.x)]


@contextlib.contextmanager
def shared(backward: bool) -> Iterator[None]:
    """What is small is handed over as if it were large, on a machine of two processors; the backward loop to
    both, or to a worker."""
    some, none = 0, 1 << 60
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thresholds, "PARALLEL_MIN_ELEMENTS", some)
        patch.setattr(thresholds, "OWN_PRODUCT_MIN_WORK", some)
        patch.setattr(thresholds, "PARALLEL_PRODUCT_MIN_WORK", some)
        patch.setattr(thresholds, "PARALLEL_FORWARD_MIN_WORK", some)
        patch.setattr(thresholds, "PARALLEL_BACKWARD_MIN_WORK", some if backward else none)
        patch.setattr(machine_code, "LOOP_MIN_ELEMENTS", some)
        patch.setattr(os, "cpu_count", lambda: 2)
        patch.setattr(threads, "_teams", {})
        for module in (threads, nested_loops, products):
            patch.setattr(module, "threads", lambda: 2)
        yield
        threads._team().stop()


@pytest.fixture(params=[True, False], ids=["run in parallel", "left to a worker"])
def training(request: pytest.FixtureRequest) -> Iterator[Callable[..., Training]]:
    with shared(request.param):
        yield Training


def free() -> bool:
    """Whether nobody owns the team any more, and no memory is kept for it."""
    end = time.monotonic() + 10
    while threads._team().owner() and time.monotonic() < end:  # a worker may be about to release it
        time.sleep(0)
    return not threads._team().owner() and not threads._in_use


@BY_INSTRUCTIONS
@pytest.mark.machine_code
def test_a_step_interrupted_at_any_instruction_leaves_nothing_behind(training):
    one, interrupter = training(), Interrupter((PACKAGE,))
    expected = one.result()
    places, before = interrupter.places(one.step), state()
    held = [place for place in places if place[0].co_filename == threads.__file__]
    others = [place for place in places if place[0].co_filename != threads.__file__]
    assert len(held) > 300
    assert len(others) > 3000
    for place in held + others[::STRIDE]:
        interrupter.run(one.step, place)
        assert free(), place
        assert state() == before, place
        assert one.result() == expected, place


@BY_INSTRUCTIONS
@pytest.mark.machine_code
def test_a_first_call_interrupted_anywhere_leaves_nothing_behind():
    """It traces the cell, which runs the user's code on placeholders and watches it, and plans."""
    random = np.random.default_rng(0)
    weight, x = (tg.tensor(random.normal(size=shape), requires_grad=True) for shape in ((6, 6), (3, 4, 6)))
    settings = {"gain": 2.0}

    def first() -> list[bytes]:
        plans._plans.clear()

        def cell(x: Any, h: Any) -> Any:
            h = tg.tanh(x @ weight * settings["gain"] + h * tg.sigmoid(h @ weight))
            return h, h

        weight.grad = x.grad = None
        ys, _ = tg.scan(cell, x, tg.zeros((4, 6), dtype="float64"), compiled=True)
        tg.sum(ys * ys).backward()
        return [z.grad.numpy().tobytes() for z in (weight, x)]

    with shared(backward=False):
        expected, interrupter = first(), Interrupter((PACKAGE,), most=1)
        places, before = interrupter.places(first), state()
        rooms = ("tape", "cleanup.py", "trace.py", "watch.py", "program.py")
        traced = [place for place in places if not {*Path(place[0].co_filename).parts[-2:]}.isdisjoint(rooms)]
        assert len(places) > 10 * STRIDE
        for place in traced[::STRIDE] + places[:: 8 * STRIDE]:
            interrupter.run(first, place)
            assert free(), place
            assert state() == before, place
            assert first() == expected, place
    gc.collect()  # the code of all those calls, before the next test interrupts wherever something is freed


class Alarm:
    """Interrupts this thread once, within some seconds. Nothing is collected meanwhile: what rings in a
    callback of the collector's, as hypothesis has one, reaches nobody, and is an error of its own."""

    def __init__(self) -> None:
        self.random, self.armed = np.random.default_rng(0), False

    def _ring(self, *_: Any) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def __enter__(self) -> Alarm:
        self.before, self.collects = signal.signal(signal.SIGALRM, self._ring), gc.isenabled()
        gc.disable()
        return self

    def __exit__(self, *exception: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)
        if self.collects:
            gc.enable()

    def during(self, function: Callable[[], Any], seconds: float) -> bool:
        """Whether the function was interrupted."""
        try:
            self.armed = True
            signal.setitimer(signal.ITIMER_REAL, seconds * self.random.random() + 1e-6)
            function()
            self.armed = False
        except KeyboardInterrupt:
            return True
        return False


def quickest(function: Callable[[], Any], times: int = 20) -> float:
    def took() -> float:
        begin = time.perf_counter()
        function()
        return time.perf_counter() - begin

    return min(took() for _ in range(times))


SIGNALS = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that signal")


@SIGNALS
@pytest.mark.machine_code
@pytest.mark.parametrize("size", [(3, 4, 8), (20, 16, 48)], ids=["small", "large"])
def test_a_hail_of_signals_leaves_nothing_behind(training, size):
    one = training(*size)
    expected, before = one.result(), state()
    with Alarm() as alarm:
        seconds = 1.1 * quickest(one.step)
        interrupted = sum(alarm.during(one.step, seconds) for _ in range(HAIL))
    assert interrupted > HAIL / 10
    assert free()
    assert state() == before
    assert one.result() == expected


def interrupt(thread: threading.Thread) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
    )


@pytest.mark.machine_code
@pytest.mark.parametrize("users", [1, 3])
def test_threads_that_train_at_once_may_be_interrupted(training, users):
    """By what Python calls asynchronous exceptions, as ``pytest-timeout`` and notebooks send them."""
    found: list[list[bytes]] = []
    times = [0] * users
    done = threading.Event()

    def work(user: int, one: Training) -> None:
        while not done.is_set():
            try:
                while not done.is_set():
                    one.step()
            except KeyboardInterrupt:
                times[user] += 1
        found.append(one.result())

    trainings = [training() for _ in range(users)]
    for one in trainings:
        for parameter, first in zip(one.layer.parameters(), trainings[0].first, strict=True):
            parameter.data = first.copy()
        one.first = trainings[0].first
    expected, before = trainings[0].result(), state()
    workers = [threading.Thread(target=work, args=(user, one)) for user, one in enumerate(trainings)]
    for worker in workers:
        worker.start()
    random = np.random.default_rng(0)
    for _ in range(HAIL // 10):
        for user, worker in enumerate(workers):
            count, end = times[user], time.monotonic() + 10
            interrupt(worker)
            while times[user] == count and time.monotonic() < end:
                time.sleep(0.002 * random.random())
    done.set()
    for worker in workers:
        worker.join()
    assert min(times) > HAIL / 20
    assert found == [expected] * users
    assert free()
    assert state() == before


@SIGNALS
@pytest.mark.machine_code
def test_a_signal_handler_may_train_while_work_is_left_to_a_worker(training):
    one, other = training(), training()
    expected, of_other = one.result(), other.result()
    seen: list[bool] = []

    def handler(*_: Any) -> None:
        seen.append(other.result() == of_other)

    before = signal.signal(signal.SIGALRM, handler)
    random, seconds = np.random.default_rng(0), quickest(one.step)
    try:
        for _ in range(HAIL // 4):
            signal.setitimer(signal.ITIMER_REAL, seconds * random.random() + 1e-6)
            assert one.result() == expected
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(seen) > HAIL / 40
    assert all(seen)
    assert free()
