"""The cells of the library, with random parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.nn.cell import Cell

from .maker import Maker, Sample


def module(make: str, build: Callable[[int, np.dtype[Any]], Cell]) -> Callable[[Maker], Sample]:
    """A built-in cell with random parameters, inputs and states."""

    def made(m: Maker) -> Sample:
        cell = build(m.width, m.dtype)
        for parameter in cell.parameters():
            parameter.data = (m.random.normal(size=parameter.shape) * 0.5).astype(m.dtype)
        sizes = cell.state_size
        state = tuple(m.h(n) for n in sizes) if isinstance(sizes, tuple) else m.h(sizes)
        return cell, list(cell.parameters()), m.x(), state

    made.__name__ = make
    return made


BUILT_IN: list[Callable[[Maker], Sample]] = [
    module("rnn_tanh", lambda n, d: nn.RNNCell(3, n, dtype=d)),
    module("rnn_relu_without_bias", lambda n, d: nn.RNNCell(3, n, bias=False, nonlinearity="relu", dtype=d)),
    module("lstm", lambda n, d: nn.LSTMCell(3, n, dtype=d)),
    module("lstm_projected", lambda n, d: nn.LSTMCell(3, n, proj_size=2, dtype=d)),
    module(
        "lstm_clipped", lambda n, d: nn.LSTMCell(3, n, proj_size=2, cell_clip=0.4, proj_clip=0.2, dtype=d)
    ),
    module("lstm_cell_clip", lambda n, d: nn.LSTMCell(3, n, cell_clip=0.3, dtype=d)),
    module("peephole", lambda n, d: nn.PeepholeLSTMCell(3, n, dtype=d)),
    module("peephole_projected", lambda n, d: nn.PeepholeLSTMCell(3, n, proj_size=2, dtype=d)),
    module("gru_after", lambda n, d: nn.GRUCell(3, n, dtype=d)),
    module("gru_before", lambda n, d: nn.GRUCell(3, n, reset="before", dtype=d)),
    module("mgu", lambda n, d: nn.MGUCell(3, n, dtype=d)),
    module(
        "lstm_coupled", lambda n, d: nn.LSTMCell(3, n, dtype=d, coupled=True, activation="softsign", biases=1)
    ),
    module(
        "peephole_hard_gates",
        lambda n, d: nn.PeepholeLSTMCell(
            3,
            n,
            dtype=d,
            peepholes="io",
            recurrent_activation=nn.activations.hard_sigmoid(0.2),
            gate_clip=0.9,
        ),
    ),
]
