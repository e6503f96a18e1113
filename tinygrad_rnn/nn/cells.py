"""Recurrent cells: ``y, state = cell(x, state)``, pure functions of tensors and parameters.

They are written alike, so that each reads as a change to the one before:

    RNN                   the new h is tanh of one sum
    LSTM                  + a second state c that is added to, and gates i, f, o that decide how much
    LSTM with peepholes   + the gates also see c
    GRU                   no c: one gate z mixes h itself, and r decides how much of it the candidate sees
    MGU                   one gate f does both

Parameters have PyTorch's names, shapes and order: weight_ih (gates · hidden, input), weight_hh (gates ·
hidden, output), bias_ih, bias_hh (gates · hidden,), all evenly from ∓1/√hidden at first. ``*`` is
elementwise; B is the batch, which may be any leading axes. tanh and σ stand in the equations for
``activation`` and ``recurrent_activation``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .. import arguments, ops
from ..arguments import DTypeLike
from ..errors import ArgumentError
from ..ops import ArrayLike
from ..tensor import Tensor
from . import activations
from .activations import ActivationLike
from .cell import Cell, CellOptions, GateOptions
from .parameter import Parameter

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RNNCell(Cell):
    """h′ = tanh(W x + U h + b) (Elman 1990), or relu (Le, Jaitly & Hinton 2015).

    x (B, input), h (B, hidden) → y = h′ (B, hidden).

    >>> y, h = tg.nn.RNNCell(2, 3)(tg.zeros((5, 2)), tg.zeros((5, 3)))
    >>> y.shape
    (5, 3)

    Args:
        nonlinearity: PyTorch's word for the activation, "tanh" or "relu".
        options: ``activation``: any other one in its place; ``gate_clip``, ``biases``: see
            :class:`CellOptions`.

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
        **options: Unpack[CellOptions],
    ) -> None:
        name = type(self).__name__
        word = arguments.choice(f"{name}: nonlinearity", nonlinearity, ("tanh", "relu"))
        if options.setdefault("activation", word) != word and word != "tanh":
            raise ArgumentError(f"{name}: nonlinearity and activation are one thing: give one of them")
        super().__init__(input_size, hidden_size, 0, bias, dtype, **options)
        self.state_size: int = self.hidden_size

    def __call__(self, x: ArrayLike, state: ArrayLike) -> tuple[Tensor, Tensor]:
        x, h = self._tensors(x, state)
        return self._step(x, h, h)

    def _step(self, x: Any, seen: Any, h: Any) -> tuple[Tensor, Tensor]:
        h = self._candidate(self._sum(x, seen))
        return h, h


class LSTMOptions(GateOptions, total=False):
    """What an LSTM may be told.

    output_activation: of c′ on its way out; as ``activation`` if None.
    coupled: f = 1 − i, so that what is forgotten is what is written (Greff et al. 2017; ONNX's
        ``input_forget``): i is computed, and the rows of f count for nothing.
    forget_bias: the first value of the forget gate's bias (Jozefowicz et al. 2015), all of it in ``bias_ih``.
    """

    output_activation: ActivationLike | None
    coupled: bool
    forget_bias: float | None


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
        options: ``activation`` of g, ``recurrent_activation`` of i, f and o, ``output_activation`` of c′,
            ``gate_clip``, ``coupled``, ``forget_bias``, ``biases``: see :class:`LSTMOptions`.

    Raises:
        ShapeError, DtypeError: x, h or c does not fit.
    """

    gates: ClassVar[str] = "ifgo"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        proj_size: int = 0,
        cell_clip: float | None = None,
        proj_clip: float | None = None,
        dtype: DTypeLike | None = None,
        **options: Unpack[LSTMOptions],
    ) -> None:
        name = type(self).__name__
        self.cell_clip: float | None = arguments.optional(arguments.bound, f"{name}: cell_clip", cell_clip)
        self.proj_clip: float | None = arguments.optional(arguments.bound, f"{name}: proj_clip", proj_clip)
        others: dict[str, Any] = {**options}
        self.coupled: bool = arguments.flag(f"{name}: coupled", others.pop("coupled", False))
        self._check_forget_bias(others.get("forget_bias"))
        self.output_activation: Any = arguments.optional(
            activations.checked, f"{name}: output_activation", others.pop("output_activation", None)
        )
        super().__init__(input_size, hidden_size, proj_size, bias, dtype, **others)
        self.weight_hr: Parameter | None = (
            self._parameter((self.output_size, self.hidden_size), dtype) if proj_size else None
        )
        self.state_size: tuple[int, int] = (self.output_size, self.hidden_size)

    def _check_forget_bias(self, forget_bias: Any) -> None:
        """
        Raises:
            ArgumentError: there is no forget gate that it would open.
        """
        if self.coupled and forget_bias is not None:
            raise ArgumentError(
                f"{type(self).__name__}: forget_bias has no effect with coupled=True, where f is 1 − i: "
                "leave one of them out"
            )

    def __call__(
        self, x: ArrayLike, state: tuple[ArrayLike, ArrayLike]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x, h, c = self._tensors(x, state)
        return self._step(x, h, h, c)

    def _step(self, x: Any, seen: Any, h: Any, c: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        i, f, g, o = ops.split(self._sum(x, seen), 4, axis=-1)
        i = self._gate("i", i)
        f = 1 - i if self.coupled else self._gate("f", f)
        g, o = self._candidate(g), self._gate("o", o)
        c = self._clipped(f * c + i * g, self.cell_clip)
        h = self._projected(o * self._shown(c))
        return h, (h, c)

    def _shown(self, c: Tensor) -> Tensor:
        how = self.activation if self.output_activation is None else self.output_activation
        return activations.function_of(how)(c)

    def _projected(self, h: Tensor) -> Tensor:
        return h if self.weight_hr is None else self._clipped(h @ self.weight_hr.T, self.proj_clip)

    def _clipped(self, x: Tensor, bound: float | None) -> Tensor:
        return x if bound is None else ops.clip(x, -bound, bound)


class PeepholeOptions(LSTMOptions, total=False):
    """What an LSTM with peepholes may be told.

    peepholes: the gates that see c, by their letters.
    """

    peepholes: str


class PeepholeLSTMCell(LSTMCell):
    """An LSTM whose gates see c: i and f the old one, + p_i * c and + p_f * c, o the new one, + p_o * c′
    (Gers & Schmidhuber 2000, "Recurrent nets that time and count"). The peepholes p_i, p_f, p_o are vectors
    (hidden,): each cell is seen by its own gates only.

    Everything else as in :class:`LSTMCell`.

    >>> tg.nn.PeepholeLSTMCell(2, 3).p_i.shape
    (3,)

    Args:
        options: ``peepholes="ifo"``: the gates that have one; and those of :class:`LSTMOptions`.
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
        **options: Unpack[PeepholeOptions],
    ) -> None:
        what = f"{type(self).__name__}: peepholes"
        others: dict[str, Any] = {**options}
        letters = arguments.text(what, others.pop("peepholes", "ifo"))
        if not set(letters) <= set("ifo") or len(set(letters)) < len(letters):
            raise arguments.refused(what, "some of the letters i, f and o, as in 'ifo'", letters)
        super().__init__(input_size, hidden_size, bias, proj_size, cell_clip, proj_clip, dtype, **others)
        self.p_i: Parameter | None = self._peephole("i" in letters, dtype)
        self.p_f: Parameter | None = self._peephole("f" in letters, dtype)
        self.p_o: Parameter | None = self._peephole("o" in letters, dtype)

    def _peephole(self, there: bool, dtype: DTypeLike | None) -> Parameter | None:
        return self._parameter((self.hidden_size,), dtype) if there else None

    def _step(self, x: Any, seen: Any, h: Any, c: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        i, f, g, o = ops.split(self._sum(x, seen), 4, axis=-1)
        i = self._gate("i", _seeing(i, self.p_i, c))
        f = 1 - i if self.coupled else self._gate("f", _seeing(f, self.p_f, c))
        g = self._candidate(g)
        c = self._clipped(f * c + i * g, self.cell_clip)
        o = self._gate("o", _seeing(o, self.p_o, c))
        h = self._projected(o * self._shown(c))
        return h, (h, c)


def _seeing(a: Tensor, p: Tensor | None, c: Tensor) -> Tensor:
    """a + p * c, of what goes into a gate, if there is a peephole."""
    return a if p is None else a + p * c


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

    Args:
        options: ``activation`` of n, ``recurrent_activation`` of r and z, ``gate_clip``, ``biases``: see
            :class:`GateOptions`.

    Raises:
        ShapeError, DtypeError: x or h does not fit.
    """

    gates: ClassVar[str] = "rzn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        reset: str = "after",
        dtype: DTypeLike | None = None,
        **options: Unpack[GateOptions],
    ) -> None:
        self.reset: str = arguments.choice(f"{type(self).__name__}: reset", reset, ("after", "before"))
        super().__init__(input_size, hidden_size, 0, bias, dtype, **options)
        self.state_size: int = self.hidden_size

    def __call__(self, x: ArrayLike, state: ArrayLike) -> tuple[Tensor, Tensor]:
        x, h = self._tensors(x, state)
        return self._step(x, h, h)

    def _step(self, x: Any, seen: Any, h: Any) -> tuple[Tensor, Tensor]:
        n, z = (self._reset_after if self.reset == "after" else self._reset_before)(x, seen)
        h = n + z * (h - n)  # (1 − z) * n + z * h in one weighting
        return h, h

    def _reset_after(self, x: Any, h: Any) -> tuple[Tensor, Tensor]:
        """The candidate n and the gate z."""
        xr, xz, xn = ops.split(affine(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        hr, hz, hn = ops.split(affine(h, self.weight_hh, self.bias_hh), 3, axis=-1)
        r, z = self._gate("r", xr + hr), self._gate("z", xz + hz)
        return self._candidate(xn + r * hn), z

    def _reset_before(self, x: Any, h: Any) -> tuple[Tensor, Tensor]:
        """The candidate n and the gate z."""
        size = self.hidden_size
        xr, xz, xn = ops.split(affine(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        to_gates, to_candidate = ops.split(self.weight_hh, [2 * size])
        bias_gates, bias_candidate = (
            (None, None) if self.bias_hh is None else ops.split(self.bias_hh, [2 * size])
        )
        hr, hz = ops.split(affine(h, to_gates, bias_gates), 2, axis=-1)
        r, z = self._gate("r", xr + hr), self._gate("z", xz + hz)
        return self._candidate(xn + affine(r * h, to_candidate, bias_candidate)), z


def affine(x: Any, weight: Any, bias: Any) -> Tensor:
    """x Wᵀ + b."""
    y = x @ weight.T
    return y if bias is None else y + bias
