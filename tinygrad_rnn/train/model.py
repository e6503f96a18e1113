"""A model of text: what character comes next."""

from __future__ import annotations

from typing import Any

from .. import arguments, nn
from ..ops import Tensor

LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "peephole": nn.PeepholeLSTM, "gru": nn.GRU}


class CharacterModel(nn.Module):
    """Characters become vectors, a recurrent layer reads them in order, and a weighting of its state scores
    each character as the next."""

    def __init__(
        self, characters: int, cell: str, embed: int, hidden: int, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        arguments.choice("CharacterModel: cell", cell, tuple(LAYERS))
        characters = arguments.size("CharacterModel: characters", characters, 1)
        embed, hidden = (
            arguments.size("CharacterModel: embed", embed, 1),
            arguments.size("CharacterModel: hidden", hidden, 1),
        )
        layers, dropout = (
            arguments.size("CharacterModel: layers", layers, 1),
            arguments.decay("CharacterModel: dropout", dropout),
        )
        self.embedding: nn.Embedding = nn.Embedding(characters, embed)
        self.recurrent: nn.GRU | nn.LSTM | nn.PeepholeLSTM | nn.RNN = LAYERS[cell](
            embed, hidden, num_layers=layers, dropout=dropout
        )
        self.readout: nn.Linear = nn.Linear(hidden, characters)
        name_parameters(self)

    def __call__(self, numbers: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores (time, batch, characters) and the state after the last step, from character numbers (time,
        batch)."""
        return self.read(self.embedding(numbers), state)

    def read(self, vectors: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The same from the characters' vectors (time, batch, embed)."""
        output, state = self.recurrent(vectors, state)
        return self.readout(output), state


def name_parameters(module: nn.Module) -> None:
    """Have pictures call each parameter by its name."""
    for name, parameter in module.named_parameters():
        parameter.name = name
