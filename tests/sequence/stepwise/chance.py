"""Cells that draw numbers."""

from __future__ import annotations

import random

import numpy as np

import tinygrad_rnn as tg
from tests.sequence.stepwise.left import leaving


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


CELLS = [
    forced, forced_by_getrandbits, forced_by_numpy, forced_by_ours, own_generator, own_random,
    own_random_state, shuffled, generator_of_a_holder,
]  # fmt: skip
