"""Every generator of random numbers of the process."""

from __future__ import annotations

import random

import numpy as np

import tinygrad_rnn as tg


def settled(seed):
    """Begin all of them anew."""
    random.seed(seed)
    np.random.seed(seed)
    tg.random.seed(seed)


def next_numbers():
    """One number of each."""
    return random.random(), np.random.random(), tg.random.generator().random()
