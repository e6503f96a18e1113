"""What a published cell is: the numbers that it works on, and the ways in which people write it down; and the
step that many share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinygrad_rnn as tg

PUBLISHED: dict[str, Published] = {}
"""Every published cell, by name."""


class Published:
    """A cell of the literature.

    Attributes:
        name: that of the function which draws its numbers; that function's docstring names the paper and its
            equations.
        draw: from a ``Maker`` to (xs, state, weights), weights being a dict by name.
        spellings: by name, functions ``(scan, xs, state, **weights) -> (ys, last)``, all of the same
            mathematics: the leaves that they return have the same order and the same elements. ``scan`` is
            ``tinygrad_rnn.scan``, or one that sets some of its options.
    """

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.name: str = draw.__name__
        self.draw = draw
        self.spellings: dict[str, Callable[..., Any]] = {}

    def spelling(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """File one way of writing the cell."""
        self.spellings[function.__name__.removeprefix(f"{self.name}_")] = function
        return function

    def __repr__(self) -> str:
        return f"<published cell {self.name}: {', '.join(self.spellings)}>"


def published(draw: Callable[..., Any]) -> Published:
    """File a cell by the function that draws its numbers."""
    return PUBLISHED.setdefault(draw.__name__, Published(draw))


def lstm_step(a: tg.Tensor, c: tg.Tensor, axis: int = -1) -> tuple[tg.Tensor, tg.Tensor]:
    """An LSTM's new h and c by the sum of what comes into its gates."""
    i, f, g, o = tg.split(a, 4, axis=axis)
    c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
    return tg.sigmoid(o) * tg.tanh(c), c
