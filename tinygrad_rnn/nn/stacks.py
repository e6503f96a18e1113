"""PyTorch's recurrent layers: stacks of the built-in cells, with its parameters and its calls."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from ..arguments import DTypeLike
from ..tensor import Tensor
from .cell import CellOptions, GateOptions
from .cells import GRUCell, LSTMCell, LSTMOptions, PeepholeLSTMCell, PeepholeOptions, RNNCell
from .more_cells import MGUCell, MGUOptions
from .recurrent import Options
from .stack import Stack

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RNNLayerOptions(CellOptions, Options, total=False):
    """What an RNN may be told."""


class LSTMLayerOptions(LSTMOptions, Options, total=False):
    """What an LSTM may be told."""


class PeepholeLayerOptions(PeepholeOptions, Options, total=False):
    """What an LSTM with peepholes may be told."""


class GRULayerOptions(GateOptions, Options, total=False):
    """What a GRU may be told."""


class MGULayerOptions(MGUOptions, Options, total=False):
    """What a minimal gated unit may be told."""


class RNN(Stack[Tensor]):
    """:class:`RNNCell` in layers: PyTorch's ``nn.RNN``, its parameters and its calls; with the options of the
    cell and of :class:`Recurrent`.

    >>> ys, h = tg.nn.RNN(2, 3)(tg.zeros((10, 5, 2)))
    >>> ys.shape, h.shape
    ((10, 5, 3), (1, 5, 3))

    Args:
        input_size, hidden_size: how many numbers a step reads, and has as its state.
        num_layers, batch_first, dropout, bidirectional: as in :class:`Recurrent`.
        bias, dtype: whether there are biases, and the dtype of all parameters.
        nonlinearity: "tanh" or "relu"; ``activation`` takes any other.
        options: of the cells, see :class:`RNNCell`: ``activation``, ``gate_clip``, ``biases``; and of
            the layer, see :class:`Recurrent`: ``reverse``, ``merge``, ``outputs``, ``variational``,
            ``recurrent_dropout``, ``zoneout``, ``stateful``, ``masked_output``, ``compiled``,
            ``checkpoint``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        nonlinearity: str = "tanh",
        dtype: DTypeLike | None = None,
        **options: Unpack[RNNLayerOptions],
    ) -> None:
        make = partial(RNNCell, hidden_size=hidden_size, bias=bias, nonlinearity=nonlinearity, dtype=dtype)
        super().__init__(
            make, CellOptions, input_size, num_layers, batch_first, dropout, bidirectional, options
        )


class LSTM(Stack[tuple[Tensor, Tensor]]):
    """:class:`LSTMCell` in layers: PyTorch's ``nn.LSTM``, its parameters and its calls; the state is (h, c).
    With the options of the cell and of :class:`Recurrent`.

    >>> ys, (h, c) = tg.nn.LSTM(2, 3, num_layers=2)(tg.zeros((10, 5, 2)))
    >>> ys.shape, c.shape
    ((10, 5, 3), (2, 5, 3))

    Args:
        input_size, hidden_size: how many numbers a step reads, and has as its state.
        num_layers, batch_first, dropout, bidirectional: as in :class:`Recurrent`.
        bias, dtype: whether there are biases, and the dtype of all parameters.
        proj_size, cell_clip, proj_clip: as in :class:`LSTMCell`.
        options: of the cells, see :class:`LSTMCell`: ``activation``, ``recurrent_activation``,
            ``output_activation``, ``gate_clip``, ``coupled``, ``forget_bias``, ``biases``; and of the
            layer, see :class:`Recurrent`: ``reverse``, ``merge``, ``outputs``, ``variational``,
            ``recurrent_dropout``, ``zoneout``, ``stateful``, ``masked_output``, ``compiled``,
            ``checkpoint``.
    """

    cell_type: ClassVar[type[LSTMCell]] = LSTMCell
    cell_options: ClassVar[type] = LSTMOptions

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        cell_clip: float | None = None,
        proj_clip: float | None = None,
        dtype: DTypeLike | None = None,
        **options: Unpack[LSTMLayerOptions],
    ) -> None:
        make = partial(
            self.cell_type,
            hidden_size=hidden_size,
            bias=bias,
            proj_size=proj_size,
            cell_clip=cell_clip,
            proj_clip=proj_clip,
            dtype=dtype,
        )
        super().__init__(
            make, self.cell_options, input_size, num_layers, batch_first, dropout, bidirectional, options
        )


class PeepholeLSTM(LSTM):
    """:class:`PeepholeLSTMCell` in layers; everything else as :class:`LSTM`.

    >>> ys, (h, c) = tg.nn.PeepholeLSTM(2, 3)(tg.zeros((10, 5, 2)))
    >>> ys.shape
    (10, 5, 3)

    Args:
        input_size, hidden_size: how many numbers a step reads, and has as its state.
        num_layers, batch_first, dropout, bidirectional: as in :class:`Recurrent`.
        bias, dtype: whether there are biases, and the dtype of all parameters.
        proj_size, cell_clip, proj_clip: as in :class:`LSTMCell`.
        options: of the cells, see :class:`PeepholeLSTMCell`: ``peepholes``, ``activation``,
            ``recurrent_activation``, ``output_activation``, ``gate_clip``, ``coupled``,
            ``forget_bias``, ``biases``; and of the layer, see :class:`Recurrent`: ``reverse``,
            ``merge``, ``outputs``, ``variational``, ``recurrent_dropout``, ``zoneout``, ``stateful``,
            ``masked_output``, ``compiled``, ``checkpoint``.
    """

    cell_type: ClassVar[type[LSTMCell]] = PeepholeLSTMCell
    cell_options: ClassVar[type] = PeepholeOptions

    if TYPE_CHECKING:

        def __init__(
            self,
            input_size: int,
            hidden_size: int,
            num_layers: int = 1,
            bias: bool = True,
            batch_first: bool = False,
            dropout: float = 0.0,
            bidirectional: bool = False,
            proj_size: int = 0,
            cell_clip: float | None = None,
            proj_clip: float | None = None,
            dtype: DTypeLike | None = None,
            **options: Unpack[PeepholeLayerOptions],
        ) -> None: ...


class GRU(Stack[Tensor]):
    """:class:`GRUCell` in layers: PyTorch's ``nn.GRU``, its parameters and its calls; with the options of the
    cell and of :class:`Recurrent`.

    >>> ys, h = tg.nn.GRU(2, 3, bidirectional=True)(tg.zeros((10, 5, 2)))
    >>> ys.shape, h.shape
    ((10, 5, 6), (2, 5, 3))

    Args:
        input_size, hidden_size: how many numbers a step reads, and has as its state.
        num_layers, batch_first, dropout, bidirectional: as in :class:`Recurrent`.
        bias, dtype: whether there are biases, and the dtype of all parameters.
        reset: where the reset gate acts, "after" the product or "before" it.
        options: of the cells, see :class:`GRUCell`: ``activation``, ``recurrent_activation``,
            ``gate_clip``, ``biases``; and of the layer, see :class:`Recurrent`: ``reverse``,
            ``merge``, ``outputs``, ``variational``, ``recurrent_dropout``, ``zoneout``, ``stateful``,
            ``masked_output``, ``compiled``, ``checkpoint``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        reset: str = "after",
        dtype: DTypeLike | None = None,
        **options: Unpack[GRULayerOptions],
    ) -> None:
        make = partial(GRUCell, hidden_size=hidden_size, bias=bias, reset=reset, dtype=dtype)
        super().__init__(
            make, GateOptions, input_size, num_layers, batch_first, dropout, bidirectional, options
        )


class MGU(Stack[Tensor]):
    """:class:`MGUCell` in layers, with PyTorch's names; with the options of the cell and of
    :class:`Recurrent`.

    >>> ys, h = tg.nn.MGU(2, 3, num_layers=2)(tg.zeros((10, 5, 2)))
    >>> ys.shape, h.shape
    ((10, 5, 3), (2, 5, 3))

    Args:
        input_size, hidden_size: how many numbers a step reads, and has as its state.
        num_layers, batch_first, dropout, bidirectional: as in :class:`Recurrent`.
        bias, dtype: whether there are biases, and the dtype of all parameters.
        options: of the cells, see :class:`MGUCell`: ``activation``, ``recurrent_activation``,
            ``gate_clip``, ``forget_bias``, ``biases``; and of the layer, see :class:`Recurrent`:
            ``reverse``, ``merge``, ``outputs``, ``variational``, ``recurrent_dropout``, ``zoneout``,
            ``stateful``, ``masked_output``, ``compiled``, ``checkpoint``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike | None = None,
        **options: Unpack[MGULayerOptions],
    ) -> None:
        make = partial(MGUCell, hidden_size=hidden_size, bias=bias, dtype=dtype)
        super().__init__(
            make, MGUOptions, input_size, num_layers, batch_first, dropout, bidirectional, options
        )
