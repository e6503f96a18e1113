"""Leaves of a tape, and what arrives at them."""

from __future__ import annotations

from typing import Any

import numpy

import tinygrad_rnn as tg
from tinygrad_rnn.tensor import Tensor


def leaf(values: Any, dtype: str = "float64", name: str | None = None) -> Tensor:
    return tg.tensor(numpy.asarray(values, dtype), requires_grad=True, name=name)


def grad_of(x: Tensor) -> numpy.ndarray:
    assert x.grad is not None
    return x.grad.numpy()
