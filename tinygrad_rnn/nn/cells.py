"""Recurrent cells: ``y, state = cell(x, state)``, pure functions of tensors and parameters.

They are written alike, so that each reads as a change to the one before:

    RNN                   the new h is tanh of one sum
    LSTM                  + a second state c that is added to, and gates i, f, o that decide how much
    LSTM with peepholes   + the gates also see c
    GRU                   no c: one gate z mixes h itself, and r decides how much of it the candidate sees

Parameters have PyTorch's names, shapes and order: weight_ih (gates · hidden, input), weight_hh (gates ·
hidden, output), bias_ih, bias_hh (gates · hidden,), all evenly from ∓1/√hidden at first. ``*`` is
elementwise; B is the batch, which may be any leading axes.
"""

from __future__ import annotations

import math
from typing import Any

from .. import arguments, ops
from ..arguments import DTypeLike
from ..ops import ArrayLike
from ..tape import lift
from ..tensor import Tensor
from . import init
from .layers import require
from .module import Module, Parameter


class Shape:
    """The axes after the batch of one tensor of a state, where they are not one: ``state_size = Shape(4, 4)``
    is a matrix for each sample, ``state_size = (4, 4)`` two vectors.

    >>> tg.nn.Shape(4, 4)
    Shape(4, 4)

    Raises:
        ArgumentError: an axis is no integer, or below 0.
    """

    def __init__(self, *axes: int) -> None:
        self.axes: tuple[int, ...] = tuple(
            [arguments.size(f"Shape: axes[{i}]", n) for i, n in enumerate(axes)]
        )

    def __repr__(self) -> str:
        return f"Shape({', '.join(map(str, self.axes))})"


class Cell(Module):
    """What the cells share: the two projections, and the checks of what comes in.

    Attributes:
        state_size: the last axis of each tensor of the state, nested as the state.
    """

    gates = 1
    input_size: int
    hidden_size: int
    output_size: int
    state_size: int | tuple[int, int]

    def __init__(
        self, input_size: int, hidden_size: int, proj_size: int, bias: bool, dtype: DTypeLike | None
    ) -> None:
        name = type(self).__name__
        self.input_size = input_size = arguments.size(f"{name}: input_size", input_size)
        self.hidden_size = hidden_size = arguments.size(f"{name}: hidden_size", hidden_size)
        self.output_size = output_size = arguments.size(f"{name}: proj_size", proj_size) or hidden_size
        bias = arguments.flag(f"{name}: bias", bias)
        dtype = arguments.optional(arguments.float_dtype, f"{name}: dtype", dtype)
        rows = self.gates * hidden_size
        self.weight_ih: Parameter = self._parameter((rows, input_size), dtype)
        self.weight_hh: Parameter = self._parameter((rows, output_size), dtype)
        self.bias_ih: Parameter | None = self._parameter((rows,), dtype) if bias else None
        self.bias_hh: Parameter | None = self._parameter((rows,), dtype) if bias else None

    def _parameter(self, shape: tuple[int, ...], dtype: DTypeLike | None) -> Parameter:
        return Parameter(
            init.uniform(shape, 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0, dtype)
        )

    def _tensors(self, x: Any, state: Any) -> tuple[Tensor, ...]:
        """x and the tensors of the state.

        Raises:
            ArgumentError, ShapeError, DtypeError: they are not what the cell takes.
        """
        name, backend, dtype = type(self).__name__, self.weight_ih._backend, self.weight_ih.dtype
        pair = isinstance(self.state_size, tuple)
        if pair and not (isinstance(state, (tuple, list)) and len(state) == 2):
            raise arguments.refused(f"{name}: the state", "a pair (h, c)", state)
        tensors = tuple([lift(part, backend) for part in (x, *(state if pair else (state,)))])
        require(f"{name}: the input x", tensors[0], self.input_size, dtype)
        require(f"{name}: the state h", tensors[1], self.output_size, dtype)
        if pair:
            require(f"{name}: the state c", tensors[2], self.hidden_size, dtype)
        samples = [x._data.shape[:-1] for x in tensors]
        if samples.count(samples[0]) != len(samples):
            ops.joint_shape(f"{name}: the samples of x and of the state", *samples)
        return tensors

    def _sum(self, x: Any, h: Any) -> Tensor:
        """x Wᵀ + h Uᵀ + b, for all gates at once."""
        a = x @ self.weight_ih.T + h @ self.weight_hh.T
        return a if self.bias_ih is None or self.bias_hh is None else a + (self.bias_ih + self.bias_hh)


class RNNCell(Cell):
    """h′ = tanh(W x + U h + b) (Elman 1990), or relu (Le, Jaitly & Hinton 2015).

    x (B, input), h (B, hidden) → y = h′ (B, hidden).

    >>> y, h = tg.nn.RNNCell(2, 3)(tg.zeros((5, 2)), tg.zeros((5, 3)))
    >>> y.shape
    (5, 3)

    Raises:
        ShapeError, DtypeError: x or h does not fit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: DTypeLike | None = None,
    ) -> None:
        self.nonlinearity: str = arguments.choice("RNNCell: nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, 0, bias, dtype)
        self.state_size: int = self.hidden_size

    def __call__(self, x: ArrayLike, state: ArrayLike) -> tuple[Tensor, Tensor]:
        x, h = self._tensors(x, state)
        a = self._sum(x, h)
        h = ops.tanh(a) if self.nonlinearity == "tanh" else ops.relu(a)
        return h, h


class LSTMCell(Cell):
    """i, f, o = σ(W x + U h + b), g = tanh(W x + U h + b), each with rows of its own; c′ = f * c + i * g; h′
    = o * tanh(c′).

    Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000; gate order i, f,
    g, o. With a projection h′ = R (o * tanh(c′)) (Sak, Senior & Beaufays 2014, equation 7), weight_hr (proj,
    hidden).

    x (B, input), h (B, output), c (B, hidden) → y = h′ (B, output), where output is proj_size or else
    hidden_size.

    >>> cell = tg.nn.LSTMCell(2, 3)
    >>> y, (h, c) = cell(tg.zeros((5, 2)), (tg.zeros((5, 3)), tg.zeros((5, 3))))
    >>> c.shape
    (5, 3)

    Args:
        proj_size: 0 for no projection.
        cell_clip, proj_clip: hold c′, and a projected h′, between ∓ this value, as TensorFlow's LSTMCell.

    Raises:
        ShapeError, DtypeError: x, h or c does not fit.
    """

    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        proj_size: int = 0,
        cell_clip: float | None = None,
        proj_clip: float | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        name = type(self).__name__
        self.cell_clip: float | None = arguments.optional(arguments.bound, f"{name}: cell_clip", cell_clip)
        self.proj_clip: float | None = arguments.optional(arguments.bound, f"{name}: proj_clip", proj_clip)
        super().__init__(input_size, hidden_size, proj_size, bias, dtype)
        self.weight_hr: Parameter | None = (
            self._parameter((self.output_size, self.hidden_size), dtype) if proj_size else None
        )
        self.state_size: tuple[int, int] = (self.output_size, self.hidden_size)

    def __call__(
        self, x: ArrayLike, state: tuple[ArrayLike, ArrayLike]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x, h, c = self._tensors(x, state)
        i, f, g, o = ops.split(self._sum(x, h), 4, axis=-1)
        i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)
        c = self._clipped(f * c + i * g, self.cell_clip)
        h = self._projected(o * ops.tanh(c))
        return h, (h, c)

    def _projected(self, h: Tensor) -> Tensor:
        return h if self.weight_hr is None else self._clipped(h @ self.weight_hr.T, self.proj_clip)

    def _clipped(self, x: Tensor, bound: float | None) -> Tensor:
        return x if bound is None else ops.clip(x, -bound, bound)


class PeepholeLSTMCell(LSTMCell):
    """An LSTM whose gates see c: i and f the old one, + p_i * c and + p_f * c, o the new one, + p_o * c′
    (Gers & Schmidhuber 2000, "Recurrent nets that time and count"). The peepholes p_i, p_f, p_o are vectors
    (hidden,): each cell is seen by its own gates only.

    Everything else as in :class:`LSTMCell`.

    >>> tg.nn.PeepholeLSTMCell(2, 3).p_i.shape
    (3,)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        proj_size: int = 0,
        cell_clip: float | None = None,
        proj_clip: float | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, proj_size, cell_clip, proj_clip, dtype)
        self.p_i: Parameter = self._parameter((self.hidden_size,), dtype)
        self.p_f: Parameter = self._parameter((self.hidden_size,), dtype)
        self.p_o: Parameter = self._parameter((self.hidden_size,), dtype)

    def __call__(
        self, x: ArrayLike, state: tuple[ArrayLike, ArrayLike]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x, h, c = self._tensors(x, state)
        i, f, g, o = ops.split(self._sum(x, h), 4, axis=-1)
        i, f, g = ops.sigmoid(i + self.p_i * c), ops.sigmoid(f + self.p_f * c), ops.tanh(g)
        c = self._clipped(f * c + i * g, self.cell_clip)
        o = ops.sigmoid(o + self.p_o * c)
        h = self._projected(o * ops.tanh(c))
        return h, (h, c)


class GRUCell(Cell):
    """r, z = σ(W x + U h + b), with rows of their own; h′ = (1 − z) * n + z * h; and the candidate n, by
    where the reset gate acts:

    - ``reset="after"``:  n = tanh(W x + b_ih + r * (U h + b_hh)), as cuDNN, PyTorch and Keras have it
      (Cho et al. 2014, first version on arXiv);
    - ``reset="before"``: n = tanh(W x + b_ih + U (r * h) + b_hh)  (Cho et al. 2014, equation 8).

    Cho's own z is 1 − z here, as in PyTorch; gate order r, z, n. x (B, input), h (B, hidden) → y = h′ (B,
    hidden).

    >>> y, h = tg.nn.GRUCell(2, 3)(tg.zeros((5, 2)), tg.zeros((5, 3)))
    >>> y.shape
    (5, 3)

    Raises:
        ShapeError, DtypeError: x or h does not fit.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        reset: str = "after",
        dtype: DTypeLike | None = None,
    ) -> None:
        self.reset: str = arguments.choice("GRUCell: reset", reset, ("after", "before"))
        super().__init__(input_size, hidden_size, 0, bias, dtype)
        self.state_size: int = self.hidden_size

    def __call__(self, x: ArrayLike, state: ArrayLike) -> tuple[Tensor, Tensor]:
        x, h = self._tensors(x, state)
        n, z = (self._reset_after if self.reset == "after" else self._reset_before)(x, h)
        h = n + z * (h - n)  # (1 − z) * n + z * h in one weighting
        return h, h

    def _reset_after(self, x: Any, h: Any) -> tuple[Tensor, Tensor]:
        """The candidate n and the gate z."""
        xr, xz, xn = ops.split(_affine(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        hr, hz, hn = ops.split(_affine(h, self.weight_hh, self.bias_hh), 3, axis=-1)
        r, z = ops.sigmoid(xr + hr), ops.sigmoid(xz + hz)
        return ops.tanh(xn + r * hn), z

    def _reset_before(self, x: Any, h: Any) -> tuple[Tensor, Tensor]:
        """The candidate n and the gate z."""
        size = self.hidden_size
        xr, xz, xn = ops.split(_affine(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        to_gates, to_candidate = ops.split(self.weight_hh, [2 * size])
        bias_gates, bias_candidate = (
            (None, None) if self.bias_hh is None else ops.split(self.bias_hh, [2 * size])
        )
        hr, hz = ops.split(_affine(h, to_gates, bias_gates), 2, axis=-1)
        r, z = ops.sigmoid(xr + hr), ops.sigmoid(xz + hz)
        return ops.tanh(xn + _affine(r * h, to_candidate, bias_candidate)), z


def _affine(x: Any, weight: Any, bias: Any) -> Tensor:
    """x Wᵀ + b."""
    y = x @ weight.T
    return y if bias is None else y + bias
