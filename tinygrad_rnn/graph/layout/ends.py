"""Where lines end at things: side by side, in the order of their other ends.

        ╭── ×0.2 ──
[thing] ┼── ×0.4 ──      a line that comes level stays level; one over several columns stays
        ╰── ×0.1 ──      where it leaves, if there is room
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .ordering import Stacks
from .parts import Line, Thing

_APART, _LEVEL, _LEAST = 16.0, 1.0, 3.0
"""In points: between ends at one side, between heights that count as one, and at least between items."""

_CORNER, _CURVE = 4.5, 1.5
"""In points, what stays free above and below ends: at corners, and at a circle with two of them."""

Piece = tuple[int, int]
"""Of a line, the part from one of its items to the next: the number of the line, and that of the item."""


class Ends:
    """The heights of lines in all columns; what they pass is set accordingly."""

    def __init__(self, things: Sequence[Thing], lines: Sequence[Line], stacks: Stacks) -> None:
        self._things, self._stacks, self._items = things, stacks, stacks.items
        self._down = self._spread(lines)
        self._follow()

    def down(self, piece: Piece) -> tuple[float, float]:
        """How far below the middles of its two items a piece ends."""
        line, k = piece
        last = k == len(self._stacks.ways[line]) - 2
        return self._down[line, False] if k == 0 else 0.0, self._down[line, True] if last else 0.0

    def heights(self, piece: Piece) -> tuple[float, float]:
        """Where a piece begins and ends."""
        line, k = piece
        way, (begins, ends) = self._stacks.ways[line], self.down(piece)
        return self._items[way[k]].y + begins, self._items[way[k + 1]].y + ends

    def is_bent(self, piece: Piece) -> bool:
        begins, ends = self.heights(piece)
        return abs(begins - ends) > 0.5

    def _spread(self, lines: Sequence[Line]) -> dict[tuple[int, bool], float]:
        """By line, and whether it is at its target, how far below the middle it ends."""
        sides: dict[tuple[int, bool], list[tuple[float, int]]] = {}
        for i, (way, line) in enumerate(zip(self._stacks.ways, lines, strict=True)):
            sides.setdefault((line.source, False), []).append((self._items[way[1]].y, i))
            sides.setdefault((line.target, True), []).append((self._items[way[-2]].y, i))
        down = {}
        for (thing, target), others in sides.items():
            others.sort()
            places = [k - (len(others) - 1) / 2 for k in range(len(others))]
            level = [
                place
                for place, (y, _) in zip(places, others, strict=True)
                if abs(y - self._items[thing].y) < _LEVEL
            ]
            places = [place - level[0] for place in places] if level else places
            farthest = max(map(abs, places))
            two = self._things[thing].shape == "circle" and len(others) == 2
            free = _CURVE if two else _CORNER
            room = self._things[thing].height / 2 - free
            apart = min(_APART, room / farthest) if farthest else 0.0
            down.update({(i, target): place * apart for place, (_, i) in zip(places, others, strict=True)})
        return down

    def _follow(self) -> None:
        """What a line passes on its way to the next thing stands where it comes from, or else where it
        goes."""
        place = {i: (stack, k) for stack in self._stacks.stacks for k, i in enumerate(stack)}
        for line, way in enumerate(self._stacks.ways):
            for items, target in ((way, False), (way[::-1], True)):
                run = list(itertools.takewhile(lambda i: self._items[i].free, items[1:]))
                y = self._items[items[0]].y + self._down[line, target]
                if any(self._items[i].straight for i in run):
                    break
                if run and all(self._fits(*place[i], y) for i in run):
                    for i in run:
                        self._items[i].y = y
                    break

    def _fits(self, stack: Sequence[int], k: int, y: float) -> bool:
        """Whether an item of a column may stand there."""
        for other, side in ((k - 1, 1), (k + 1, -1)):
            if 0 <= other < len(stack):
                one, beside = self._items[stack[k]], self._items[stack[other]]
                if side * (y - beside.y) < (one.height + beside.height) / 2 + _LEAST:
                    return False
        return True
