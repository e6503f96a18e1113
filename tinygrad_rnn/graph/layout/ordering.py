"""In which order things stand in their columns: so that few lines cross (Sugiyama's method).

A line over several columns takes a place in each. From the left, from the right, and again, the things of a
column are put in the order of the means of their neighbours' places; the best order met is kept.
"""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from .parts import Line, Thing

_SWEEPS = 12


@dataclass
class Item:
    """What stands in a column: a thing, or a line on its way through; ``free`` is what lines pass."""

    column: int
    width: float
    height: float
    straight: bool
    thing: int | None
    free: bool = False
    y: float = 0.0


class Stacks:
    """The items of each column from top to bottom.

    Attributes:
        items: those of the things, in their order, then those of lines on their way.
        ways: by line the numbers of the items that it meets.
        stacks: by column the numbers of its items; what is straight comes first.
    """

    def __init__(self, things: Sequence[Thing], lines: Sequence[Line], columns: Sequence[int]) -> None:
        self.items: list[Item] = [
            Item(column, thing.width, thing.height, thing.straight, i, thing.end in ("in", "out"))
            for i, (thing, column) in enumerate(zip(things, columns, strict=True))
        ]
        taken = {item.column for item in self.items if item.straight}
        self.ways: list[list[int]] = [self._way(line, taken) for line in lines]
        self.stacks: list[list[int]] = [[] for _ in range(1 + max(columns, default=0))]
        for i, item in enumerate(self.items):
            self.stacks[item.column].append(i)
        self.before: dict[int, list[int]]
        self.after: dict[int, list[int]]
        self.before, self.after = self._neighbours()
        self._order()

    def _way(self, line: Line, taken: set[int]) -> list[int]:
        """A line on the state's line takes that in the columns where nothing else does."""
        one, other = self.items[line.source], self.items[line.target]
        between = range(one.column + 1, other.column)
        straight = one.straight and other.straight and not taken & set(between)
        taken.update(between if straight else ())
        first = len(self.items)
        self.items += [Item(column, 0.0, 10.0, straight, None, True) for column in between]
        return [line.source, *range(first, len(self.items)), line.target]

    def _neighbours(self) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        before: dict[int, list[int]] = defaultdict(list)
        after: dict[int, list[int]] = defaultdict(list)
        for way in self.ways:
            for one, other in itertools.pairwise(way):
                before[other].append(one)
                after[one].append(other)
        return before, after

    def _order(self) -> None:
        for stack in self.stacks:
            stack.sort(key=lambda i: not self.items[i].straight)
        best, least = [list(stack) for stack in self.stacks], self._crossings()
        for sweep in range(_SWEEPS):
            if not least:
                break
            rightwards = sweep % 2 == 0
            neighbours, ordered = (
                (self.before, self.stacks) if rightwards else (self.after, self.stacks[::-1])
            )
            place = self._places()
            for stack in ordered:
                means = {i: _mean([place[n] for n in neighbours[i]], place[i]) for i in stack}
                stack.sort(key=lambda i: (not self.items[i].straight, means[i]))
                place.update({i: float(k) for k, i in enumerate(stack)})
            crossings = self._crossings()
            if crossings < least:
                best, least = [list(stack) for stack in self.stacks], crossings
        self.stacks = best

    def _places(self) -> dict[int, float]:
        return {i: float(k) for stack in self.stacks for k, i in enumerate(stack)}

    def _crossings(self) -> int:
        """How often lines cross between columns that are beside each other."""
        place, count = self._places(), 0
        for stack in self.stacks:
            met: list[float] = []
            for i in stack:
                ends = sorted(place[n] for n in self.after[i])
                count += sum(len(met) - bisect.bisect_right(met, end) for end in ends)
                for end in ends:
                    bisect.insort(met, end)
        return count


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
