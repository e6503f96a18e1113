"""Cells beside PyTorch's: one with a single gate, and those whose sums are normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .. import arguments, ops
from ..arguments import DTypeLike
from ..ops import ArrayLike
from ..tensor import Tensor
from .cell import Cell, CellOptions, GateOptions
from .cells import GRUCell, LSTMCell, LSTMOptions, RNNCell, affine
from .layers import LayerNorm

if TYPE_CHECKING:
    from typing_extensions import Unpack


class MGUOptions(GateOptions, total=False):
    """What a minimal gated unit may be told.

    forget_bias: the first value of the gate's bias, all of it in ``bias_ih``.
    """

    forget_bias: float | None


class MGUCell(Cell):
    """The minimal gated unit (Zhou, Wu, Zhang & Zhou 2016, equations 6 to 8): a GRU with one gate.

    f = σ(W x + U h + b), n = tanh(W x + U (f * h) + b), with rows of their own; h′ = (1 − f) * h + f * n.
    Gate order f, n. x (B, input), h (B, hidden) → y = h′ (B, hidden).

    >>> cell = tg.nn.MGUCell(2, 3)
    >>> y, h = cell(tg.zeros((5, 2)), tg.zeros((5, 3)))
    >>> y.shape, cell.weight_hh.shape
    ((5, 3), (6, 3))

    Args:
        options: ``activation`` of n, ``recurrent_activation`` of f, ``gate_clip``, ``forget_bias``,
            ``biases``: see :class:`MGUOptions`.

    Raises:
        ShapeError, DtypeError: x or h does not fit.
    """

    gates: ClassVar[str] = "fn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        dtype: DTypeLike | None = None,
        **options: Unpack[MGUOptions],
    ) -> None:
        super().__init__(input_size, hidden_size, 0, bias, dtype, **options)
        self.state_size: int = self.hidden_size

    def __call__(self, x: ArrayLike, state: ArrayLike) -> tuple[Tensor, Tensor]:
        x, h = self._tensors(x, state)
        return self._step(x, h, h)

    def _step(self, x: Any, seen: Any, h: Any) -> tuple[Tensor, Tensor]:
        xf, xn = ops.split(affine(x, self.weight_ih, self.bias_ih), 2, axis=-1)
        to_gate, to_candidate = ops.split(self.weight_hh, 2)
        bias_gate, bias_candidate = (None, None) if self.bias_hh is None else ops.split(self.bias_hh, 2)
        f = self._gate("f", xf + affine(seen, to_gate, bias_gate))
        n = self._candidate(xn + affine(f * seen, to_candidate, bias_candidate))
        h = h + f * (n - h)  # (1 − f) * h + f * n in one weighting
        return h, h


class LayerNormRNNCell(RNNCell):
    """h′ = tanh(LN(W x + U h)), where LN has a gain and a bias (Ba, Kiros & Hinton 2016, equation 4).

    ``norm`` is that :class:`LayerNorm`, over (hidden,); there is no other bias. Everything else as in
    :class:`RNNCell`.

    >>> tg.nn.LayerNormRNNCell(2, 3).norm.weight.shape
    (3,)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        eps: float = 1e-5,
        dtype: DTypeLike | None = None,
        **options: Unpack[CellOptions],
    ) -> None:
        eps = arguments.rate(f"{type(self).__name__}: eps", eps)
        super().__init__(input_size, hidden_size, bias=False, dtype=dtype, **options)
        self.norm: LayerNorm = LayerNorm(self.hidden_size, eps, dtype)

    def _sum(self, x: Any, h: Any) -> Tensor:
        return self.norm(super()._sum(x, h))


class LayerNormLSTMCell(LSTMCell):
    """i, f, g, o from LN(W x) + LN(U h), and h′ = o * tanh(LN(c′)) (Ba, Kiros & Hinton 2016, equations 20
    to 22).

    ``norm_ih`` and ``norm_hh`` are :class:`LayerNorm` over all four gates, (4 hidden,), ``norm_c`` over
    (hidden,), each with a gain and a bias; there is no other bias, and ``forget_bias`` is that of
    ``norm_ih``. Everything else as in :class:`LSTMCell`.

    >>> tg.nn.LayerNormLSTMCell(2, 3).norm_ih.weight.shape
    (12,)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        proj_size: int = 0,
        cell_clip: float | None = None,
        proj_clip: float | None = None,
        eps: float = 1e-5,
        dtype: DTypeLike | None = None,
        **options: Unpack[LSTMOptions],
    ) -> None:
        name, others = type(self).__name__, dict[str, Any](options)
        eps = arguments.rate(f"{name}: eps", eps)
        opened = arguments.optional(arguments.real, f"{name}: forget_bias", others.pop("forget_bias", None))
        super().__init__(input_size, hidden_size, False, proj_size, cell_clip, proj_clip, dtype, **others)
        self.norm_ih: LayerNorm = LayerNorm(4 * self.hidden_size, eps, dtype)
        self.norm_hh: LayerNorm = LayerNorm(4 * self.hidden_size, eps, dtype)
        self.norm_c: LayerNorm = LayerNorm(self.hidden_size, eps, dtype)
        self._check_forget_bias(opened)
        self._open(self.norm_ih.bias, None, opened)

    def _sum(self, x: Any, h: Any) -> Tensor:
        return self.norm_ih(x @ self.weight_ih.T) + self.norm_hh(h @ self.weight_hh.T)

    def _shown(self, c: Tensor) -> Tensor:
        return super()._shown(self.norm_c(c))


class LayerNormGRUCell(GRUCell):
    """r, z = σ(LN(W x) + LN(U h)), n = tanh(LN(W x) + r * LN(U h)), h′ = (1 − z) * n + z * h (Ba, Kiros &
    Hinton 2016, equations 23 to 25, whose z is 1 − z here).

    ``norm_ih`` and ``norm_hh`` are :class:`LayerNorm` over both gates, (2 hidden,), ``norm_in`` and
    ``norm_hn`` over the candidate's (hidden,), each with a gain and a bias; there is no other bias.
    Everything else as in :class:`GRUCell`; the reset gate acts after the product.

    >>> tg.nn.LayerNormGRUCell(2, 3).norm_hn.weight.shape
    (3,)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        eps: float = 1e-5,
        dtype: DTypeLike | None = None,
        **options: Unpack[GateOptions],
    ) -> None:
        name = type(self).__name__
        eps = arguments.rate(f"{name}: eps", eps)
        super().__init__(input_size, hidden_size, bias=False, dtype=dtype, **options)
        if self.reset != "after":
            raise arguments.refused(f"{name}: reset", "'after', which its equations are for", self.reset)
        self.norm_ih: LayerNorm = LayerNorm(2 * self.hidden_size, eps, dtype)
        self.norm_hh: LayerNorm = LayerNorm(2 * self.hidden_size, eps, dtype)
        self.norm_in: LayerNorm = LayerNorm(self.hidden_size, eps, dtype)
        self.norm_hn: LayerNorm = LayerNorm(self.hidden_size, eps, dtype)

    def _reset_after(self, x: Any, h: Any) -> tuple[Tensor, Tensor]:
        at = [2 * self.hidden_size]
        x_gates, x_candidate = ops.split(x @ self.weight_ih.T, at, axis=-1)
        h_gates, h_candidate = ops.split(h @ self.weight_hh.T, at, axis=-1)
        r, z = ops.split(self.norm_ih(x_gates) + self.norm_hh(h_gates), 2, axis=-1)
        r, z = self._gate("r", r), self._gate("z", z)
        return self._candidate(self.norm_in(x_candidate) + r * self.norm_hn(h_candidate)), z
