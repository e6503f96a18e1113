"""Tensors for a cell: reproducible, of one dtype, batch and width."""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg

T = 4


class Maker:
    """Makes tensors of one dtype, reproducibly."""

    def __init__(self, dtype, batch, width, seed=0, steps=T):
        self.dtype, self.batch, self.width, self.steps = np.dtype(dtype), batch, width, steps
        self.random = np.random.default_rng(seed)
        self.parameters = []

    def data(self, *shape, grad=True):
        return tg.tensor(self.random.normal(size=shape), self.dtype, requires_grad=grad)

    def p(self, *shape):
        self.parameters.append(
            tg.tensor(self.random.normal(size=shape) * 0.5, self.dtype, requires_grad=True)
        )
        return self.parameters[-1]

    def x(self, width=3, grad=True):
        return self.data(self.steps, self.batch, width, grad=grad)

    def h(self, width=None, grad=True):
        return self.data(self.batch, width or self.width, grad=grad)

    def between(self, low, high, *shape, grad=True):
        return tg.tensor(self.random.uniform(low, high, shape), self.dtype, requires_grad=grad)

    def ids(self, count, *shape):
        return tg.tensor(self.random.integers(0, count, shape))

    def coins(self, *shape):
        return tg.tensor(self.random.random(shape) < 0.5)
