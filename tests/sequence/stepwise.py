"""Cells that do something else at each step, each in a way that two traces would not show.

What such a cell leaves behind after some steps is told by its ``left``.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import heapq
import itertools
import operator
import random
import types
import weakref

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn


def leaving(cell, left):
    cell.left = left
    return cell


def forced():
    return lambda x, h: (h, h * 0 + 1) if random.random() < 0.5 else (h, h * 0)


def forced_by_getrandbits():
    return lambda x, h: (h, h + random.getrandbits(1))


def forced_by_numpy():
    return lambda x, h: (h, h * 0 + 1) if np.random.rand() < 0.5 else (h, h * 0)


def forced_by_ours():
    return lambda x, h: (h, h + float(tg.random.generator().random() < 0.5))


def own_generator():
    rng = np.random.default_rng(5)
    return leaving(lambda x, h: (h, h + rng.integers(2)), lambda: rng.bit_generator.state["state"])


def own_random():
    rng = random.Random(5)
    return leaving(lambda x, h: (h, h + rng.randint(0, 1)), rng.random)


def own_random_state():
    rng = np.random.RandomState(5)
    return leaving(lambda x, h: (h, h + rng.randint(0, 2)), rng.random_sample)


def shuffled():
    order = [1.0, 2.0, 3.0]

    def cell(x, h):
        random.shuffle(order)
        return h, h + order[0]

    return leaving(cell, order.copy)


def generator_of_a_holder():
    class Holder:
        __slots__ = ("rng",)

    holder = Holder()
    holder.rng = np.random.default_rng(1)
    return lambda x, h: (h, h + holder.rng.integers(2))


def counter_in_an_array():
    counter = np.zeros(1, int)

    def cell(x, h):
        counter[0] += 1
        return h, h * 0 if counter[0] % 10 == 0 else h + x

    return leaving(cell, counter.tolist)


def counter_by_out():
    counter = np.zeros(1)

    def cell(x, h):
        np.add(counter, 1, out=counter)
        return h, h + (1.0 if counter[0] % 2 else 0.0)

    return leaving(cell, counter.tolist)


def counter_in_the_data_of_a_tensor():
    counter = tg.zeros((1,), "float64")

    def cell(x, h):
        counter.data[0] += 1
        return h, h * 0 if counter.numpy()[0] % 10 == 0 else h + x

    return leaving(cell, lambda: counter.numpy().tolist())


def another_array_in_a_tensor():
    counter = tg.zeros((1,), "float64")

    def cell(x, h):
        counter.data = counter.numpy() + 1
        return h, h + counter

    return leaving(cell, lambda: counter.numpy().tolist())


def counter_in_an_iterator():
    counter = itertools.count()
    return lambda x, h: (h, h + next(counter) % 2)


def a_cycle():
    turns = itertools.cycle([1.0, 2.0, 3.0])
    return lambda x, h: (h, h + next(turns))


def a_generator():
    turns = (float(i % 3) for i in itertools.count())
    return lambda x, h: (h, h + next(turns))


def an_iterator_in_a_loop():
    turns = iter(range(10**6))

    def cell(x, h):
        for turn in turns:
            return h, h + turn % 2
        return h, h

    return cell


def counter_in_a_deque():
    turns = collections.deque([1.0, 0.0, 0.0])

    def cell(x, h):
        turns.rotate(1)
        return h, h + turns[0]

    return leaving(cell, lambda: list(turns))


def counter_in_a_dict():
    calls = {}

    def cell(x, h):
        calls["n"] = calls.get("n", 0) + 1
        return h, h + calls["n"] % 2

    return leaving(cell, calls.copy)


def counter_by_setdefault():
    calls = {}

    def cell(x, h):
        calls.setdefault(len(calls), True)
        return h, h + len(calls) % 2

    return leaving(cell, calls.copy)


def counter_in_a_set():
    calls = set()

    def cell(x, h):
        calls.add(len(calls))
        return h, h + len(calls) % 2

    return leaving(cell, calls.copy)


def counter_in_a_bytearray():
    calls = bytearray(1)

    def cell(x, h):
        calls[0] += 1
        return h, h + calls[0] % 2

    return leaving(cell, lambda: bytes(calls))


def counter_in_a_heap():
    calls = []

    def cell(x, h):
        heapq.heappush(calls, len(calls))
        return h, h + len(calls) % 2

    return leaving(cell, calls.copy)


def counter_by_operator():
    calls = [0]

    def cell(x, h):
        operator.setitem(calls, 0, calls[0] + 1)
        return h, h + calls[0] % 2

    return leaving(cell, calls.copy)


def counter_by_map():
    calls = []

    def cell(x, h):
        list(map(calls.append, [1]))
        return h, h + len(calls) % 2

    return leaving(cell, calls.copy)


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


STEPWISE = [
    forced, forced_by_getrandbits, forced_by_numpy, forced_by_ours, own_generator, own_random, own_random_state, shuffled,
    generator_of_a_holder, counter_in_an_array, counter_by_out, counter_in_the_data_of_a_tensor, another_array_in_a_tensor,
    counter_in_an_iterator, a_cycle, a_generator, an_iterator_in_a_loop, counter_in_a_deque, counter_in_a_dict, counter_by_setdefault,
    counter_in_a_set, counter_in_a_bytearray, counter_in_a_heap, counter_by_operator, counter_by_map, counter_on_a_class,
    counter_in_slots, counter_by_setattr, counter_in_a_module, counter_of_a_helper, counter_of_a_property, counter_of_a_local_class,
    counter_that_catches_refusals, a_look_that_catches_refusals, a_coin_that_catches_refusals, a_switch_in_a_partial,
    a_number_from_a_weak_reference, gradients_inside, an_optimiser_inside, evaluation_inside, a_mode_inside,
]  # fmt: skip
