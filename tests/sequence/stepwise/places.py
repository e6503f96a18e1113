"""Cells that count where no container shows it, that catch refusals, or that train inside."""

from __future__ import annotations

import contextlib
import functools
import random
import types
import weakref

import numpy as np

import tinygrad_rnn as tg
from tests.sequence.stepwise.left import leaving
from tinygrad_rnn import nn


def counter_on_a_class():
    class Cell:
        calls = 0

        def __call__(self, x, h):
            type(self).calls += 1
            return h, h + Cell.calls % 2

        def left(self):
            return Cell.calls

    return Cell()


def counter_in_slots():
    class Cell:
        __slots__ = ("__weakref__", "calls")

        def __init__(self):
            self.calls = 0

        def __call__(self, x, h):
            self.calls += 1
            return h, h + self.calls % 2

        def left(self):
            return self.calls

    return Cell()


def counter_by_setattr():
    class Cell:
        calls = 0

        def __call__(self, x, h):
            setattr(self, "ca" + "lls", self.calls + 1)
            return h, h + self.calls % 2

        def left(self):
            return vars(self).copy()

    return Cell()


def counter_in_a_module():
    module = types.ModuleType("of_the_user")
    module.calls = 0

    def cell(x, h):
        module.calls += 1
        return h, h + module.calls % 2

    return leaving(cell, lambda: module.calls)


def counter_of_a_helper():
    calls = 0

    def helper():
        nonlocal calls
        calls += 1
        return calls

    return leaving(lambda x, h: (h, h + helper() % 2), lambda: calls)


def counter_of_a_property():
    class Cell:
        def __init__(self):
            self.calls = 0

        @property
        def next(self):
            self.calls += 1
            return self.calls

        def __call__(self, x, h):
            return h, h + self.next % 2

        def left(self):
            return self.calls

    return Cell()


def counter_of_a_local_class():
    calls = []

    def cell(x, h):
        class Here:
            calls.append(1)

        return h, h + len(calls) % 2

    return leaving(cell, calls.copy)


def counter_that_catches_refusals():
    calls = []

    def cell(x, h):
        with contextlib.suppress(Exception):
            calls.append(1)
        return h, h + len(calls) % 2

    return leaving(cell, calls.copy)


def a_look_that_catches_refusals():
    def cell(x, h):
        try:
            up = tg.sum(h).item() < 3
        except tg.TraceError:
            up = True
        return h, h + 1 if up else h - 5

    return cell


def a_coin_that_catches_refusals():
    def cell(x, h):
        try:
            return h, h + (random.random() < 0.5)
        except RuntimeError:
            return h, h

    return cell


def a_switch_in_a_partial():
    turns = [0.0, 1.0]

    def step(turns, x, h):
        turns.reverse()
        return h, h + turns[0]

    switching = functools.partial(step, turns)
    return leaving(lambda x, h: switching(x, h), turns.copy)


def a_number_from_a_weak_reference():
    class Box:
        calls = 0

    box = Box()
    reference = weakref.ref(box)

    def cell(x, h):
        reference().calls += 1
        return h, h + reference().calls % 2

    cell.box = box
    return leaving(cell, lambda: box.calls)


def gradients_inside():
    weight = tg.tensor(np.ones((1,)), requires_grad=True)

    def cell(x, h):
        tg.sum(weight * 2).backward()
        return h, h + weight.grad

    return leaving(cell, lambda: weight.grad.numpy().tolist())


def an_optimiser_inside():
    weight = tg.tensor(np.ones((1,)), requires_grad=True)
    weight.grad = tg.tensor(np.ones((1,)))
    optimiser = tg.optim.SGD([weight], 0.1)

    def cell(x, h):
        optimiser.step()
        return h, h + weight.detach()

    return leaving(cell, lambda: weight.numpy().tolist())


def evaluation_inside():
    module = nn.Dropout(0.5)

    def cell(x, h):
        training = module.training
        module.train(not training)
        return h, h + float(training)

    return leaving(cell, lambda: module.training)


def a_mode_inside():
    def cell(x, h):
        seed = int(tg.random.get_state()["state"]["state"]) % 7
        tg.random.seed(seed + 1)
        return h, h + seed

    return cell


CELLS = [
    counter_on_a_class, counter_in_slots, counter_by_setattr, counter_in_a_module, counter_of_a_helper,
    counter_of_a_property, counter_of_a_local_class, counter_that_catches_refusals,
    a_look_that_catches_refusals, a_coin_that_catches_refusals, a_switch_in_a_partial,
    a_number_from_a_weak_reference, gradients_inside, an_optimiser_inside, evaluation_inside, a_mode_inside,
]  # fmt: skip
