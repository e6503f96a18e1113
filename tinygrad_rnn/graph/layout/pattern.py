"""Things and lines laid out: where each thing stands and how each line runs. The state's line is at 0."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ..placement import Curve, Point, Road, Spot, joined, line
from .columns import columns_of
from .ends import Ends, Piece
from .levels import level
from .ordering import Stacks
from .parts import Line, Thing
from .sizes import edge
from .strips import BEND, Strips


class Pattern:
    """The layout of things and lines.

    Attributes:
        spots: of each thing.
        roads: of each line.
    """

    def __init__(self, things: Sequence[Thing], lines: Sequence[Line]) -> None:
        self._things = things
        self._stacks = Stacks(things, lines, columns_of(things, lines))
        self._items = self._stacks.items
        level(self._stacks)
        self._ends = Ends(things, lines, self._stacks)
        self._strips = Strips(lines, self._stacks, self._ends)
        self._widths = [
            max((self._items[i].width for i in stack), default=0.0) for stack in self._stacks.stacks
        ]
        pitches = [
            width + sum(strips) for width, strips in zip(self._widths, self._strips.widths, strict=True)
        ]
        self._left = list(itertools.accumulate(pitches, initial=0.0))
        self.spots: list[Spot] = [
            Spot(self._middle(item.column), item.y, thing.width, thing.height)
            for item, thing in zip(self._items, things, strict=False)
        ]
        self.roads: list[Road] = [self._road(i) for i in range(len(lines))]

    def _middle(self, column: int) -> float:
        return self._left[column] + self._widths[column] / 2

    def _road(self, i: int) -> Road:
        pieces = [(i, k) for k in range(len(self._stacks.ways[i]) - 1)]
        first = self._items[self._stacks.ways[i][0]].column
        begin = self._left[first] + self._widths[first] + self._strips.widths[first][0]
        label = begin + self._strips.begin.get(i, 0.0), self._strips.level(pieces[0])
        return Road(joined(*map(self._piece, pieces)), label, i in self._strips.below)

    def _piece(self, piece: Piece) -> Curve:
        """From an item to the next."""
        i, k = piece
        way, (begins, ends), (above, below) = (
            self._stacks.ways[i], self._ends.down(piece), self._ends.heights(piece)
        )  # fmt: skip
        column = self._items[way[k]].column
        left = self._left[column] + self._widths[column]
        first, middle, _ = self._strips.widths[column]
        bend = left + first - BEND if self._strips.early[piece] else left + first + middle
        start = self._edge(way[k], begins, 1) if k == 0 else left
        return _bent((start, above), (self._edge(way[k + 1], ends, -1), below), bend, bend + BEND)

    def _edge(self, i: int, down: float, side: int) -> float:
        """Where the outline of an item is; lines on their way pass the whole column."""
        item = self._items[i]
        if item.thing is None:
            return self._middle(item.column) + side * self._widths[item.column] / 2
        shape = self._things[item.thing].shape
        return self._middle(item.column) + side * edge(shape, item.width, item.height, down)


def _bent(start: Point, end: Point, left: float, right: float) -> Curve:
    """Level, but between left and right."""
    if abs(start[1] - end[1]) <= 0.5:
        return line(start, end)
    one, other = (left, start[1]), (right, end[1])
    return joined(line(start, one), line(one, other), line(other, end))
