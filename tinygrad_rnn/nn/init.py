"""First values for parameters: arrays on the host, drawn from ``tinygrad_rnn.random`` in double precision and
then rounded, so a seed means the same on every backend and for every dtype.

``cell.weight_hh.data = init.orthogonal(cell.weight_hh.shape)`` replaces a parameter's values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from .. import arguments, random
from ..arguments import DTypeLike
from ..errors import ShapeError
from ..tape import host


def _kind(name: str, dtype: DTypeLike | None) -> numpy.dtype[Any]:
    """The dtype to round to; looked at before numbers are drawn, as every argument here."""
    return host.default_dtype if dtype is None else arguments.dtype(f"{name}: dtype", dtype)


def _matrix(name: str, shape: Sequence[int]) -> tuple[int, int]:
    lengths = arguments.shape(f"{name}: shape", shape)
    if len(lengths) != 2:
        raise ShapeError(f"{name}: shape must be that of a matrix (out, in), not {lengths}")
    return lengths


def _fans(name: str, shape: Sequence[int]) -> int:
    """In + out; 1 for a matrix without elements, of which none is drawn."""
    return sum(_matrix(name, shape)) or 1


def uniform(shape: Sequence[int], bound: float, dtype: DTypeLike | None = None) -> numpy.ndarray:
    """Evenly from −bound to bound. PyTorch's linear and recurrent layers use 1/√(size of the input, of the
    hidden state).

    >>> W = tg.nn.init.uniform((2, 3), 0.1)
    >>> W.shape, bool((abs(W) <= 0.1).all())
    ((2, 3), True)
    """
    lengths, bound, dtype = (
        arguments.shape("uniform: shape", shape),
        arguments.rate("uniform: bound", bound),
        _kind("uniform", dtype),
    )
    return random.generator().uniform(-bound, bound, lengths).astype(dtype)


def normal(shape: Sequence[int], std: float = 1.0, dtype: DTypeLike | None = None) -> numpy.ndarray:
    """Normal around 0.

    >>> tg.nn.init.normal((2, 3), std=0.1).shape
    (2, 3)
    """
    lengths, std, dtype = (
        arguments.shape("normal: shape", shape),
        arguments.rate("normal: std", std),
        _kind("normal", dtype),
    )
    return random.generator().normal(0.0, std, lengths).astype(dtype)


def glorot_uniform(shape: Sequence[int], gain: float = 1.0, dtype: DTypeLike | None = None) -> numpy.ndarray:
    """Evenly with the variance gain² · 2 / (in + out) (Glorot & Bengio 2010, equation 16).

    >>> bool((abs(tg.nn.init.glorot_uniform((2, 4))) <= 1.0).all())
    True
    """
    gain = arguments.rate("glorot_uniform: gain", gain)
    return uniform(shape, gain * math.sqrt(6 / _fans("glorot_uniform", shape)), dtype)


def glorot_normal(shape: Sequence[int], gain: float = 1.0, dtype: DTypeLike | None = None) -> numpy.ndarray:
    """Normal with the variance gain² · 2 / (in + out) (Glorot & Bengio 2010, equation 12).

    >>> tg.nn.init.glorot_normal((2, 4)).dtype
    dtype('float32')
    """
    gain = arguments.rate("glorot_normal: gain", gain)
    return normal(shape, gain * math.sqrt(2 / _fans("glorot_normal", shape)), dtype)


xavier_uniform = glorot_uniform
xavier_normal = glorot_normal


def orthogonal(shape: Sequence[int], gain: float = 1.0, dtype: DTypeLike | None = None) -> numpy.ndarray:
    """Rows, or columns if there are more rows, that are orthonormal, times gain (Saxe et al. 2014).

    >>> W = tg.nn.init.orthogonal((3, 3))
    >>> np.allclose(W @ W.T, np.eye(3), atol=1e-6)
    True
    """
    rows, columns = _matrix("orthogonal", shape)
    gain, dtype = arguments.real("orthogonal: gain", gain), _kind("orthogonal", dtype)
    normal = random.generator().normal(size=(max(rows, columns), min(rows, columns)))
    q, r = numpy.linalg.qr(normal)
    # without this, not every orthogonal matrix is equally likely
    q = q * numpy.copysign(1.0, numpy.diagonal(r))
    return (gain * (q if rows >= columns else q.T)).astype(dtype)


def identity(shape: Sequence[int], gain: float = 1.0, dtype: DTypeLike | None = None) -> numpy.ndarray:
    """gain on the diagonal: recurrent weights of an IRNN, with relu and biases of 0 (Le, Jaitly & Hinton
    2015).

    >>> tg.nn.init.identity((2, 2))
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    values = arguments.real("identity: gain", gain) * numpy.eye(*_matrix("identity", shape))
    return values.astype(_kind("identity", dtype))


def zeros(shape: Sequence[int], dtype: DTypeLike | None = None) -> numpy.ndarray:
    """Zeros.

    >>> tg.nn.init.zeros((3,))
    array([0., 0., 0.], dtype=float32)
    """
    return numpy.zeros(arguments.shape("zeros: shape", shape), _kind("zeros", dtype))


def forget_gate_bias(hidden_size: int, value: float = 1.0, dtype: DTypeLike | None = None) -> numpy.ndarray:
    """A bias (4 hidden,) in gate order i, f, g, o that keeps the forget gate open at first (Jozefowicz et al.
    2015).

    A cell has two biases that are added: give it to ``bias_ih`` and zeros to ``bias_hh``.

    >>> tg.nn.init.forget_gate_bias(2)
    array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    """
    dtype = _kind("forget_gate_bias", dtype)
    bias = numpy.zeros((4, arguments.size("forget_gate_bias: hidden_size", hidden_size)))
    bias[1] = arguments.real("forget_gate_bias: value", value)
    return bias.reshape(-1).astype(dtype)


__all__ = [
    "forget_gate_bias",
    "glorot_normal",
    "glorot_uniform",
    "identity",
    "normal",
    "orthogonal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__
