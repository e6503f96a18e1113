"""First values for parameters: arrays on the host, drawn from ``tinygrad_rnn.random`` in double precision and then rounded, so a seed
means the same on every backend and for every dtype.

``cell.weight_hh.data = init.orthogonal(cell.weight_hh.shape)`` replaces a parameter's values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from .. import random, tape
from ..errors import ShapeError


def _rounded(values: numpy.ndarray, dtype: Any) -> numpy.ndarray:
    return values.astype(tape.default_dtype if dtype is None else dtype)


def _matrix(name: str, shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2:
        raise ShapeError(f"{name}: a matrix (out, in) is needed, not shape {tuple(shape)}")
    return shape[0], shape[1]


def uniform(shape: Sequence[int], bound: float, dtype: Any = None) -> numpy.ndarray:
    """Evenly from −bound to bound. PyTorch's linear and recurrent layers use 1/√(size of the input, of the hidden state)."""
    return _rounded(random.generator().uniform(-bound, bound, tuple(shape)), dtype)


def normal(shape: Sequence[int], std: float = 1.0, dtype: Any = None) -> numpy.ndarray:
    """Normal around 0."""
    return _rounded(random.generator().normal(0.0, std, tuple(shape)), dtype)


def glorot_uniform(shape: Sequence[int], gain: float = 1.0, dtype: Any = None) -> numpy.ndarray:
    """Evenly with the variance gain² · 2 / (in + out) (Glorot & Bengio 2010, equation 16)."""
    fan_out, fan_in = _matrix("glorot_uniform", shape)
    return uniform(shape, gain * math.sqrt(6 / (fan_in + fan_out)), dtype)


def glorot_normal(shape: Sequence[int], gain: float = 1.0, dtype: Any = None) -> numpy.ndarray:
    """Normal with the variance gain² · 2 / (in + out) (Glorot & Bengio 2010, equation 12)."""
    fan_out, fan_in = _matrix("glorot_normal", shape)
    return normal(shape, gain * math.sqrt(2 / (fan_in + fan_out)), dtype)


xavier_uniform, xavier_normal = glorot_uniform, glorot_normal


def orthogonal(shape: Sequence[int], gain: float = 1.0, dtype: Any = None) -> numpy.ndarray:
    """Rows, or columns if there are more rows, that are orthonormal, times gain (Saxe et al. 2014)."""
    rows, columns = _matrix("orthogonal", shape)
    drawn = random.generator().normal(size=(max(rows, columns), min(rows, columns)))
    q, r = numpy.linalg.qr(drawn)
    q = q * numpy.copysign(1.0, numpy.diagonal(r))  # without this, not every orthogonal matrix is equally likely
    return _rounded(gain * (q if rows >= columns else q.T), dtype)


def identity(shape: Sequence[int], gain: float = 1.0, dtype: Any = None) -> numpy.ndarray:
    """gain on the diagonal: recurrent weights of an IRNN, with relu and biases of 0 (Le, Jaitly & Hinton 2015)."""
    return _rounded(gain * numpy.eye(*_matrix("identity", shape)), dtype)


def zeros(shape: Sequence[int], dtype: Any = None) -> numpy.ndarray:
    return _rounded(numpy.zeros(tuple(shape)), dtype)


def forget_gate_bias(hidden_size: int, value: float = 1.0, dtype: Any = None) -> numpy.ndarray:
    """A bias (4 hidden,) in gate order i, f, g, o that keeps the forget gate open at first (Jozefowicz et al. 2015).

    A cell has two biases that are added: give it to ``bias_ih`` and zeros to ``bias_hh``.
    """
    bias = numpy.zeros((4, hidden_size))
    bias[1] = value
    return _rounded(bias.reshape(-1), dtype)
