"""Things and lines laid out: where each thing stands and how each line runs. The state's line is at 0.

Between two columns lie three strips: in the first bend the lines that part, in the last those that meet; in
the middle all lines are level, and their labels stand there.

    source ──┬──── ×0.4 ────── target
             ╰──── ×0.2 ──╮
    source ─────── ×0.9 ──┴─── target
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from ..placement import HEAD, Curve, Point, Road, Spot, joined, line
from .columns import columns_of
from .levels import level
from .ordering import Item, Stacks
from .parts import Line, Thing
from .sizes import edge

_BEND, _BESIDE, _APART, _TEXT, _LEAST = 13.0, 3.0, 16.0, 15.0, 3.0
"""In points: across a bend, beside a label, between ends at one side of a thing, the height of a label, and at
least between things."""


_ROUNDS = 3
_Piece = tuple[int, int]
"""A line, and which of the gaps that it crosses."""


class Pattern:
    """The layout of things and lines.

    Attributes:
        spots: of each thing.
        roads: of each line.
        columns: of each thing.
    """

    def __init__(self, things: Sequence[Thing], lines: Sequence[Line]) -> None:
        self._things, self._lines = things, lines
        self.columns = columns_of(things, lines)
        self._stacks = Stacks(things, lines, self.columns)
        self._items: list[Item] = self._stacks.items
        level(self._stacks)
        self._out = Counter(line.source for line in lines)
        self._into = Counter(line.target for line in lines)
        self._down = self._ends()
        self._follow()
        self._widths = [max((self._items[i].width for i in stack), default=0.0) for stack in self._stacks.stacks]
        self._early: dict[tuple[int, int], bool] = {}
        self._begin: dict[int, float] = {}
        self._below: set[int] = set()
        self._strips = self._find_strips()
        self._left = list(
            itertools.accumulate(
                (width + sum(strips) for width, strips in zip(self._widths, self._strips, strict=False)),
                initial=0.0,
            )
        )
        self.spots = [
            Spot(self._middle(item.column), item.y, thing.width, thing.height)
            for item, thing in zip(self._items, things, strict=False)
        ]
        self.roads: list[Road] = [self._road(i) for i in range(len(lines))]

    def _middle(self, column: int) -> float:
        return self._left[column] + self._widths[column] / 2

    # -- ends of lines at a thing ----------------------------------------------------------------------------

    def _ends(self) -> dict[tuple[int, bool], float]:
        """How far below the middle each line ends at its source and, True, at its target: lines at one side
        stand in the order of their other ends; one that comes level stays level."""
        sides: dict[tuple[int, bool], list[tuple[float, int]]] = {}
        for i, (path, line_) in enumerate(zip(self._stacks.ways, self._lines, strict=True)):
            sides.setdefault((line_.source, False), []).append((self._items[path[1]].y, i))
            sides.setdefault((line_.target, True), []).append((self._items[path[-2]].y, i))
        down = {}
        for (thing, target), others in sides.items():
            others.sort()
            y, places = self._items[thing].y, [k - (len(others) - 1) / 2 for k in range(len(others))]
            level_ = [places[k] for k, (other, _) in enumerate(others) if abs(other - y) < 1]
            places = [place - (level_[0] if level_ else 0.0) for place in places]
            room = self._things[thing].height / 2 - 4.5
            apart = min(_APART, room / max(map(abs, places), default=1.0)) if any(places) else 0.0
            down.update({(i, target): place * apart for place, (_, i) in zip(places, others, strict=True)})
        return down

    def _follow(self) -> None:
        """A line over several columns stays where it leaves a thing, or else where it comes to one, if there
        is room."""
        place = {i: (stack, k) for stack in self._stacks.stacks for k, i in enumerate(stack)}
        for i, path in enumerate(self._stacks.ways):
            for ends, target in ((path, False), (path[::-1], True)):
                run = list(itertools.takewhile(lambda k: self._items[k].free, ends[1:]))
                y = self._items[ends[0]].y + self._down[i, target]
                if not run or any(self._items[k].straight for k in run):
                    break
                if all(self._fits(*place[k], y) for k in run):
                    for k in run:
                        self._items[k].y = y
                    break

    def _fits(self, stack: Sequence[int], k: int, y: float) -> bool:
        """Whether an item of a column may stand there."""
        for other, side in ((k - 1, 1), (k + 1, -1)):
            if 0 <= other < len(stack):
                one, beside = self._items[stack[k]], self._items[stack[other]]
                if side * (y - beside.y) < (one.height + beside.height) / 2 + _LEAST:
                    return False
        return True

    # -- strips between columns ------------------------------------------------------------------------------

    def _find_strips(self) -> list[tuple[float, float, float]]:
        """For each gap between columns how wide its strips are."""
        crossing: list[list[_Piece]] = [[] for _ in self._widths]
        for i, path in enumerate(self._stacks.ways):
            for k in range(len(path) - 1):
                crossing[self._items[path[k]].column].append((i, k))
        strips = []
        for pieces in crossing[:-1]:
            self._choose(pieces)
            bends = {self._early[piece] for piece in pieces if self._bent(*piece)}
            wide = self._stagger(pieces)
            heads = any(self._lines[i].back and k == 0 for i, k in pieces)
            first = (HEAD + 1) * heads + _BEND * (True in bends)
            strips.append((first, wide + 2 * _BESIDE if wide else 5.0, _BEND * (False in bends)))
        return [*strips, (0.0, 0.0, 0.0)]

    def _label(self, piece: _Piece) -> float:
        """How wide the label is that stands there."""
        return self._lines[piece[0]].label if piece[1] == 0 else 0.0

    def _choose(self, pieces: Sequence[_Piece]) -> None:
        """Whether each line bends early, where it leaves an item, or where it comes to the next one: so that
        labels meet neither each other nor other lines."""
        for i, k in pieces:
            path = self._stacks.ways[i]
            parts = k == 0 and self._out[path[0]] > 1
            meets = k == len(path) - 2 and self._into[path[-1]] > 1
            self._early[i, k] = parts or not meets
        loose = [piece for piece in pieces if self._bent(*piece)]
        for _ in range(_ROUNDS if any(self._label(piece) for piece in pieces) else 0):
            for piece in loose:
                costs = {early: self._cost(piece, early, pieces) for early in (True, False)}
                if costs[not self._early[piece]] < costs[self._early[piece]]:
                    self._early[piece] = not self._early[piece]

    def _stagger(self, pieces: Sequence[_Piece]) -> float:
        """Labels that would lie on each other stand beside each other; how wide all of it is. A label under
        whose room there is a line stands below its own one."""
        heights = {piece: self._height(piece, self._early[piece]) for piece in pieces}
        lanes: list[list[_Piece]] = []
        for piece in sorted(filter(self._label, pieces), key=lambda piece: heights[piece]):
            y = heights[piece]
            above, below = (
                any(1 < side * (heights[other] - y) < _TEXT for other in pieces) for side in (-1, 1)
            )
            if above and not below:
                self._below.add(piece[0])
            free = (
                lane for lane in lanes if all(abs(y - heights[other]) >= _TEXT - 3 for other in lane)
            )
            lane = next(free, None)
            if lane is None:
                lanes.append(lane := [])
            lane.append(piece)
        wide = -2 * _BESIDE
        for lane in lanes:
            room = max(self._label(piece) for piece in lane)
            wide += 2 * _BESIDE
            self._begin.update({i: wide + room / 2 for i, _ in lane})
            wide += room
        return max(wide, 0.0)

    def _cost(self, piece: _Piece, early: bool, pieces: Sequence[_Piece]) -> int:
        """How often a label there would lie on another one or on a line."""
        here, label, cost = self._height(piece, early), self._label(piece), 0
        for other in pieces:
            if other != piece:
                there = self._height(other, self._early[other])
                cost += bool(label and self._label(other) and abs(here - there) < _TEXT)
                cost += bool(label and 1 < here - there < _TEXT)
                cost += bool(self._label(other) and 1 < there - here < _TEXT)
        return cost

    def _height(self, piece: _Piece, early: bool) -> float:
        """Where a line is level."""
        (_, y0), (_, y1) = self._heights(*piece)
        return y1 if early else y0

    def _bent(self, i: int, k: int) -> bool:
        (_, y0), (_, y1) = self._heights(i, k)
        return abs(y1 - y0) > 0.5

    def _heights(self, i: int, k: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Of a line between its items k and k + 1: how far below their middles it ends, and how far down."""
        path = self._stacks.ways[i]
        one, other = self._items[path[k]], self._items[path[k + 1]]
        down = (
            self._down[i, False] if k == 0 else 0.0,
            self._down[i, True] if k == len(path) - 2 else 0.0,
        )
        return (down[0], one.y + down[0]), (down[1], other.y + down[1])

    # -- lines -----------------------------------------------------------------------------------------------

    def _road(self, i: int) -> Road:
        path, line_ = self._stacks.ways[i], self._lines[i]
        pieces, label = [], (0.0, 0.0)
        for k in range(len(path) - 1):
            (down0, y0), (down1, y1) = self._heights(i, k)
            column = self._items[path[k]].column
            begin = self._left[column] + self._widths[column]
            first, middle, _ = self._strips[column]
            start = self._edge(path[k], down0, 1) if k == 0 else begin
            end = self._edge(path[k + 1], down1, -1)
            bend = (
                (begin + first - _BEND, begin + first)
                if self._early[i, k]
                else (begin + first + middle, begin + first + middle + _BEND)
            )
            pieces.append(_bent((start, y0), (end, y1), *bend))
            if k == 0:
                label = begin + first + _BESIDE + self._begin.get(i, middle / 2), y1 if self._early[i, k] else y0
        return Road(joined(*pieces), label, i in self._below)

    def _edge(self, item: int, down: float, side: int) -> float:
        """Where the outline of an item is."""
        at = self._items[item]
        middle = self._middle(at.column)
        if at.thing is None:
            return middle + side * self._widths[at.column] / 2
        return middle + side * edge(self._things[at.thing].shape, at.width, at.height, down)


def _bent(start: Point, end: Point, left: float, right: float) -> Curve:
    """Level, but between left and right."""
    if abs(start[1] - end[1]) <= 0.5:
        return line(start, end)
    return joined(line(start, (left, start[1])), line((left, start[1]), (right, end[1])), line((right, end[1]), end))
