"""Where the operands of a tape come from: entries, leaves, and Python numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..tape import Entry, Key, Node, key_of


@dataclass(frozen=True)
class Leaf:
    """A leaf by the order of its first use."""

    index: int


@dataclass(frozen=True)
class Number:
    value: float


Source = int | Leaf | Number
"""Where an operand comes from: the place of an entry, a leaf, or a Python number."""


class Sources:
    """Where each operand comes from.

    Attributes:
        place: by index of an entry its place on the tape.
        leaves, arrays: the tensors from outside, in the order of their first use, and what they held.
        leaf_of: the same by key.
        of: for the entry at each place, the source of each operand.
    """

    def __init__(self, tape: Sequence[Entry]) -> None:
        self.place: dict[int, int] = {entry.index: i for i, entry in enumerate(tape)}
        self.leaves: list[Node] = []
        self.arrays: list[Any] = []
        self.leaf_of: dict[Key, Leaf] = {}
        self.of: list[list[Source]] = [
            [self._source(x, array) for x, array in zip(entry.inputs, entry.xs, strict=True)]
            for entry in tape
        ]

    def _source(self, x: Any, array: Any) -> Source:
        if not isinstance(x, Node):
            return Number(x)
        if x.entry is not None and x.entry.index in self.place:
            return self.place[x.entry.index]
        if key_of(x) not in self.leaf_of:
            self.leaf_of[key_of(x)] = Leaf(len(self.leaves))
            self.leaves.append(x)
            self.arrays.append(array)
        return self.leaf_of[key_of(x)]

    def place_of(self, x: Node) -> tuple[int, int] | None:
        """The place of the entry that made a tensor, and its position among the results."""
        return (
            (self.place[x.entry.index], x.position)
            if x.entry is not None and x.entry.index in self.place
            else None
        )
