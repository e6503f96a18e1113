"""Cells that count their steps, each in another place."""

from __future__ import annotations

import collections
import heapq
import itertools
import operator

import numpy as np

import tinygrad_rnn as tg
from tests.sequence.stepwise.left import leaving


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


CELLS = [
    counter_in_an_array, counter_by_out, counter_in_the_data_of_a_tensor, another_array_in_a_tensor,
    counter_in_an_iterator, a_cycle, a_generator, an_iterator_in_a_loop, counter_in_a_deque,
    counter_in_a_dict, counter_by_setdefault, counter_in_a_set, counter_in_a_bytearray, counter_in_a_heap,
    counter_by_operator, counter_by_map,
]  # fmt: skip
