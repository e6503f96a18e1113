"""One backward pass that looks at everything: the norm of each residual that arrives and that goes on, and
the residuals themselves where somebody asks for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy

from ..backends import Array
from ..tape import Entry, Key, Node, Tape, key_of, pull_back
from .norms import Sizes, joint

Room = dict[Key, Array]
"""Residuals by the tensor that they came to, added up."""

Borders = Mapping[tuple[int, int], Sequence[tuple[Room, Key]]]
"""For (index of an entry, operand) in which rooms the residual that goes on there is kept, and under which
key."""

Sums = Mapping[tuple[int, int], Key]
"""For (index of an entry, operand) the key under which the residual that goes on there is added to others."""


def add_to(room: Room, key: Key, residual: Array) -> None:
    """Add a residual to what has come to a tensor. The first one's array is not written to, since it belongs
    to somebody else."""
    room[key] = room[key] + residual if key in room else residual


class Pass:
    """A backward pass that looks at everything. Nothing is written to any ``.grad``.

    Args:
        tape: the entries to go through.
        seeds: results and the residuals to begin with.
        borders: where the residuals themselves are wanted.
        towards: go on only to what leads to these tensors; None for all that requires a residual.
        inside: the indices of the entries to look at; None for all.
        ends: tensors from before, whose residual is looked at too.
        sums: for (index of an entry, operand) under which key its residual is added to others, see
            :meth:`summed`.

    Attributes:
        entries: those that a residual reached, last first.
        received: the norm of the residual that reached each.
        operands: for each residual that went on (index of its entry in ``entries``, operand).
        sent: the norm of what went on to that operand.
    """

    def __init__(
        self,
        tape: Tape,
        seeds: Sequence[tuple[Node, Array]],
        borders: Borders | None = None,
        towards: Sequence[Node] | None = None,
        inside: Collection[int] | None = None,
        ends: Sequence[Node] = (),
        sums: Sums | None = None,
    ) -> None:
        self.entries: list[Entry] = []
        self._borders, self._inside = borders or {}, inside
        self._sums: Sums = sums or {}
        self._added: Room = {}
        self._sizes = Sizes(seeds[0][0]._backend)
        self._index: dict[Key, int] = {}
        self._counts: list[int] = []
        self._places: tuple[list[int], list[int]] = ([], [])
        self._sent: list[int] = []
        self._last: Entry | None = None
        self._arrived: Any = None
        watched = (
            None if inside is None else {*inside, *(index for index, _ in (*self._borders, *self._sums))}
        )
        residuals, caught = pull_back(
            seeds, towards=towards, watch=self._watch, through=tape, watched=watched
        )
        received = list(self._index.values())
        rest = {key_of(node): residuals.at(node) for node in ends}
        # nothing further on is wanted
        rest |= {key: residual for key, residual in caught.items() if inside is None or key[0] in inside}
        for key, residual in rest.items():
            if residual is not None and key not in self._index:
                self._index[key] = self._sizes.add(residual)
        added = {key: self._sizes.add(residual) for key, residual in self._added.items()}
        self._norms = self._sizes.read()
        self._summed: dict[Key, float] = {key: float(self._norms[index]) for key, index in added.items()}
        self.received: numpy.ndarray = joint(self._norms[received], self._counts)
        self.operands: numpy.ndarray = numpy.array(self._places, dtype=int).reshape(2, -1).T
        self.sent: numpy.ndarray = self._norms[self._sent]
        del (
            self._sizes,
            self._counts,
            self._places,
            self._sent,
            self._last,
            self._arrived,
            self._borders,
            self._inside,
            self._sums,
            self._added,
        )

    def _watch(self, entry: Entry, g: Any, operand: int, part: Array) -> None:
        for room, key in self._borders.get((entry.index, operand), ()):
            add_to(room, key, part)
        if (entry.index, operand) in self._sums:
            add_to(self._added, self._sums[entry.index, operand], part)
        if self._inside is not None and entry.index not in self._inside:
            return
        if entry is not self._last:
            self._last, self._arrived = entry, None if entry.row.several else g
            self.entries.append(entry)
            arrived = (
                [(i, one) for i, one in enumerate(g) if one is not None] if entry.row.several else [(0, g)]
            )
            for position, one in arrived:
                self._index[entry.index, position] = self._sizes.add(one)
            self._counts.append(len(arrived))
        same = part is self._arrived
        self._places[0].append(len(self.entries) - 1)
        self._places[1].append(operand)
        self._sent.append(self._index[entry.index, 0] if same else self._sizes.add(part))

    def at(self, key: Key | None) -> float | None:
        """The norm of all that arrived at a tensor, from wherever; None where nothing did or it was not
        looked at."""
        index = None if key is None else self._index.get(key)
        return None if index is None else float(self._norms[index])

    def arrived(self, entry: Entry) -> float:
        """The norm of the residual that reached an operation."""
        return self._received_by.get(entry.index, 0.0)

    def part(self, entry: Entry, operand: int) -> float | None:
        """The norm of what went on to an operand; None where nothing did."""
        return self._sent_by.get((entry.index, operand))

    def summed(self, key: Key) -> float | None:
        """The norm of all that went on to the operands of a key together; None where nothing did."""
        return self._summed.get(key)

    @cached_property
    def _received_by(self) -> dict[int, float]:
        return {entry.index: norm for entry, norm in zip(self.entries, self.received.tolist(), strict=True)}

    @cached_property
    def _sent_by(self) -> dict[tuple[int, int], float]:
        indices = [entry.index for entry in self.entries]
        return {
            (indices[place], operand): norm
            for (place, operand), norm in zip(self.operands.tolist(), self.sent.tolist(), strict=True)
        }
