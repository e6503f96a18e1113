"""The path of a state: the way from one tensor to another on which a residual is bent least.

An LSTM's cell state has one of sums and elementwise products only, a channel; a plain RNN's goes through a
matrix and a slope.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..chain_rule import Row
from ..tape import Entry, Key, Node, Replay, key_of

BENDING = 1e3
"""From here on an operation bends a residual: by a matrix, or more still by a slope."""


class Way:
    """A way from one tensor to another.

    Attributes:
        cost: how much its operations bend what passes through them; infinite if there is no such way.
        hops: its operations, and by which operand it enters each.
    """

    def __init__(self, cost: float, hops: Sequence[tuple[Entry, int]]) -> None:
        self.cost = cost
        self.hops = hops

    @property
    def straight(self) -> bool:
        """Whether only sums and elementwise products lie on it."""
        return self.cost < BENDING


def cheapest(entries: Sequence[Entry], start: Key, end: Key) -> Way:
    """The cheapest way. Operations stand in the order of dependence, so one pass along them is enough."""
    best: dict[Key, float] = {start: 0.0}
    entered: dict[int, int] = {}
    makers = {}
    for entry in entries:
        ways = [
            (best[key_of(x)], i)
            for i, x in enumerate(entry.inputs)
            if isinstance(x, Node) and key_of(x) in best
        ]
        if ways:
            least, entered[entry.index] = min(ways)
            makers[entry.index] = entry
            for position in range(len(entry.ys)):
                best.setdefault((entry.index, position), least + cost(entry.row))
    hops, at = [], end
    while at != start and at[0] in entered:
        entry = makers[at[0]]
        hops.append((entry, entered[at[0]]))
        at = key_of(entry.inputs[entered[at[0]]])
    return Way(best.get(end, math.inf), hops[::-1])


def cost(row: Row | Replay) -> float:
    """How much an operation bends a residual that passes through it."""
    return 1e3 * BENDING if row.case == "composition" else 1.0 if is_straight(row) else BENDING


def is_straight(row: Row | Replay) -> bool:
    """Whether a residual passes it unbent: a sum, a routing, or a product element by element."""
    return row.case == "addition" or (row.case == "weighting" and row.elementwise)
