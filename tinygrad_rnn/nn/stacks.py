"""PyTorch's recurrent layers: stacks of the built-in cells, with its parameters and its calls."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..arguments import DTypeLike
from ..tensor import Tensor
from .cells import GRUCell, LSTMCell, PeepholeLSTMCell, RNNCell
from .stack import Options, Stack

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RNN(Stack[Tensor]):
    """:class:`RNNCell` in layers: PyTorch's ``nn.RNN``, its parameters and its calls. See :class:`Stack`.

    >>> ys, h = tg.nn.RNN(2, 3)(tg.zeros((10, 5, 2)))
    >>> ys.shape, h.shape
    ((10, 5, 3), (1, 5, 3))
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
        **options: Unpack[Options],
    ) -> None:
        make = partial(RNNCell, hidden_size=hidden_size, bias=bias, nonlinearity=nonlinearity, dtype=dtype)
        super().__init__(make, input_size, num_layers, batch_first, dropout, bidirectional, **options)


class LSTM(Stack[tuple[Tensor, Tensor]]):
    """:class:`LSTMCell` in layers: PyTorch's ``nn.LSTM``, its parameters and its calls; the state is (h, c).
    See :class:`Stack`.

    >>> ys, (h, c) = tg.nn.LSTM(2, 3, num_layers=2)(tg.zeros((10, 5, 2)))
    >>> ys.shape, c.shape
    ((10, 5, 3), (2, 5, 3))
    """

    cell_type = LSTMCell

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
        **options: Unpack[Options],
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
        super().__init__(make, input_size, num_layers, batch_first, dropout, bidirectional, **options)


class PeepholeLSTM(LSTM):
    """:class:`PeepholeLSTMCell` in layers; everything else as :class:`LSTM`.

    >>> ys, (h, c) = tg.nn.PeepholeLSTM(2, 3)(tg.zeros((10, 5, 2)))
    >>> ys.shape
    (10, 5, 3)
    """

    cell_type = PeepholeLSTMCell


class GRU(Stack[Tensor]):
    """:class:`GRUCell` in layers: PyTorch's ``nn.GRU``, its parameters and its calls. See :class:`Stack`.

    >>> ys, h = tg.nn.GRU(2, 3, bidirectional=True)(tg.zeros((10, 5, 2)))
    >>> ys.shape, h.shape
    ((10, 5, 6), (2, 5, 3))
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
        **options: Unpack[Options],
    ) -> None:
        make = partial(GRUCell, hidden_size=hidden_size, bias=bias, reset=reset, dtype=dtype)
        super().__init__(make, input_size, num_layers, batch_first, dropout, bidirectional, **options)
