"""Tensors for a cell: reproducible, of one dtype, batch and width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

import tinygrad_rnn as tg

T = 4

Sample: TypeAlias = tuple[Callable[..., Any], list[tg.Tensor], Any, Any]
"""A cell, its parameters, inputs and a state, nested as the cell takes them."""


class Maker:
    """Makes tensors of one dtype, reproducibly."""

    def __init__(self, dtype: str, batch: int, width: int, seed: int = 0, steps: int = T) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.batch = batch
        self.width = width
        self.steps = steps
        self.random: np.random.Generator = np.random.default_rng(seed)
        self.parameters: list[tg.Tensor] = []

    def data(self, *shape: int, grad: bool = True) -> tg.Tensor:
        return tg.tensor(self.random.normal(size=shape), self.dtype, requires_grad=grad)

    def p(self, *shape: int) -> tg.Tensor:
        self.parameters.append(
            tg.tensor(self.random.normal(size=shape) * 0.5, self.dtype, requires_grad=True)
        )
        return self.parameters[-1]

    def x(self, width: int = 3, grad: bool = True) -> tg.Tensor:
        return self.data(self.steps, self.batch, width, grad=grad)

    def h(self, width: int | None = None, grad: bool = True) -> tg.Tensor:
        return self.data(self.batch, width or self.width, grad=grad)

    def between(self, low: float, high: float, *shape: int, grad: bool = True) -> tg.Tensor:
        return tg.tensor(self.random.uniform(low, high, shape), self.dtype, requires_grad=grad)

    def ids(self, count: int, *shape: int) -> tg.Tensor:
        return tg.tensor(self.random.integers(0, count, shape))

    def coins(self, *shape: int) -> tg.Tensor:
        return tg.tensor(self.random.random(shape) < 0.5)
