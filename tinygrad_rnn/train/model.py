"""A model of text: what character, or word, comes next."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from .. import arguments, nn
from ..errors import ArgumentError, TinygradRNNError
from ..nn.given_cells import output_size
from ..ops import Tensor

LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "peephole": nn.PeepholeLSTM, "gru": nn.GRU}

_OWN = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


def is_own(cell: Any) -> bool:
    """Whether a cell is named as code of somebody's own, ``module:Class``."""
    return isinstance(cell, str) and _OWN.fullmatch(cell) is not None


def own_cell(name: str) -> Callable[[int, int], Any]:
    """What makes a cell of one's own from input size and hidden size, ``module:Class``; the module is looked
    for in the working directory, too.

    Raises:
        ArgumentError: it cannot be imported.
    """
    module, _, attribute = name.partition(":")

    def imported() -> Any:
        return getattr(importlib.import_module(module), attribute)

    if os.getcwd() not in sys.path:  # as ``python -m`` has it
        sys.path.insert(0, os.getcwd())
    return arguments.function(f"--cell {name}", _tried(f"--cell {name}", imported))


def _tried(what: str, run: Callable[[], Any]) -> Any:
    """What somebody's own code gives, which may raise whatever it likes."""
    try:
        return run()
    except TinygradRNNError:
        raise
    except Exception as error:
        raise ArgumentError(f"{what}: {type(error).__name__}: {error}") from error


class LanguageModel(nn.Module):
    """Characters, or words, become vectors, a recurrent layer reads them in order, and a weighting of its
    state scores each of them as the next.

    Args:
        tokens: how many different ones there are.
        cell: one of :data:`LAYERS`; or what makes a cell from input size and hidden size.
        embed, hidden, layers, dropout: sizes of the vectors and of the layer.
    """

    def __init__(
        self,
        tokens: int,
        cell: str | Callable[[int, int], Any],
        embed: int,
        hidden: int,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not callable(cell):
            arguments.choice("LanguageModel: cell", cell, tuple(LAYERS))
        tokens = arguments.size("LanguageModel: tokens", tokens, 1)
        embed, hidden = (
            arguments.size("LanguageModel: embed", embed, 1),
            arguments.size("LanguageModel: hidden", hidden, 1),
        )
        layers, dropout = (
            arguments.size("LanguageModel: layers", layers, 1),
            arguments.decay("LanguageModel: dropout", dropout),
        )
        if callable(cell):
            layer, size = _layer_of(cell, embed, hidden, layers, dropout)
        self.embedding: nn.Embedding = nn.Embedding(tokens, embed)
        if not callable(cell):
            layer, size = LAYERS[cell](embed, hidden, num_layers=layers, dropout=dropout), hidden
        self.recurrent: Any = layer
        self.readout: nn.Linear = nn.Linear(size, tokens)
        name_parameters(self)

    def __call__(self, numbers: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores (time, batch, tokens) and the state after the last step, from token numbers (time,
        batch)."""
        return self.read(self.embedding(numbers), state)

    def read(self, vectors: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The same from the tokens' vectors (time, batch, embed)."""
        output, state = self.recurrent(vectors, state)
        return self.readout(output), state


def _layer_of(make: Any, embed: int, hidden: int, layers: int, dropout: float) -> tuple[nn.Recurrent, int]:
    """Layers of somebody's own cells, and how wide their outputs are."""
    cells: list[Any] = []

    def cell(inputs: int) -> Any:
        cells.append(_tried("cell", lambda: make(inputs, hidden)))
        return cells[-1]

    layer: nn.Recurrent = nn.Recurrent(cell, input_size=embed, num_layers=layers, dropout=dropout)
    return layer, output_size("LanguageModel", cells[-1])


def name_parameters(module: nn.Module) -> None:
    """Have pictures call each parameter by its name."""
    for name, parameter in module.named_parameters():
        parameter.name = name
