"""Blocks in rows, like words in a paragraph, with the state's line at the same height within a row.

h ─ [ step 1 ] ─ [ step 2 ] ╮
  ╭───────────────────────╯        an arrow to the next row runs between the rows, in a lane of its own
  ╰ [ step 3 ] ─ [ step 4 ] ─ loss
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ..placement import Curve, Point, joined, line
from .grid import Laid

GAP, BETWEEN = 18.0, 16.0
"""In points: between blocks, and between rows."""

_LANE, _CORNER = 9.0, 6.0
"""In points: between lanes, and of a corner."""


@dataclass
class Word:
    """A block with its place: where the middle of its own coordinates is."""

    laid: Laid
    x: float
    y: float = 0.0

    @property
    def right(self) -> float:
        return self.x + self.laid.frame.right

    def arriving(self, arrow: str) -> Point:
        x, y = self.laid.ins[arrow]
        return x + self.x, y + self.y

    def leaving(self, arrow: str) -> Point:
        x, y = self.laid.outs[arrow]
        return x + self.x, y + self.y


@dataclass
class Rows:
    """Words with their places, and the ways between them.

    Attributes:
        ways: by arrow its ways between words, in order.
        right, bottom: where it all ends.
    """

    words: list[Word]
    ways: dict[str, list[Curve]]
    right: float
    bottom: float


def in_rows(laid: Sequence[Laid], width: float | None, left: float, top: float) -> Rows:
    """The blocks in rows from a corner on, no wider than ``width`` unless one block is; without a width in
    one row."""
    rows = _broken(laid, width, left)
    y = top
    for row, following in itertools.zip_longest(rows, rows[1:]):
        y -= min(word.laid.frame.top for word in row)
        for word in row:
            word.y = y
        y += max(word.laid.frame.bottom for word in row)
        y += BETWEEN + len(_crossing(row[-1], following[0])) * _LANE if following else 0.0
    ways: dict[str, list[Curve]] = {}
    for row, following in itertools.zip_longest(rows, rows[1:]):
        for one, other in itertools.pairwise(row):
            for arrow in one.laid.outs:
                ways.setdefault(arrow, []).append(line(one.leaving(arrow), other.arriving(arrow)))
        if following:
            below = max(word.y + word.laid.frame.bottom for word in row)
            for arrow, way in _returning(row[-1], following[0], below).items():
                ways.setdefault(arrow, []).append(way)
    words = [word for row in rows for word in row]
    right = max([word.right for word in words], default=left)
    right = max([right, *(x for found in ways.values() for way in found for x, _ in way)])
    return Rows(words, ways, right, y)


def _broken(laid: Sequence[Laid], width: float | None, left: float) -> list[list[Word]]:
    """Where rows end. Steps stand below each other, behind what is left of the first one."""
    lanes = max((len(one.outs) for one in laid), default=0) * _LANE + max(
        (one.room for one in laid), default=0
    )
    rows: list[list[Word]] = [[]]
    indent, x = left, left
    for one in laid:
        wide, step = one.frame.right - one.frame.left, one.block.group is not None
        if rows[-1] and width is not None and x + wide + lanes > width:
            alone = len(rows[-1]) == 1 and rows[-1][0].laid.block.group is None
            indent = left if alone else indent
            rows.append([])
            x = max(left + lanes - one.room + _LANE, indent if step else left)
        rows[-1].append(Word(one, x - one.frame.left))
        x += wide + GAP + one.room
        indent = x if not step and len(rows[-1]) == 1 else indent
    return rows


def _crossing(last: Word, first: Word) -> list[str]:
    """The arrows from the end of a row to the beginning of the next one, the highest first."""
    outs = last.laid.outs
    return sorted((arrow for arrow in outs if arrow in first.laid.ins), key=lambda arrow: outs[arrow][1])


def _returning(last: Word, first: Word, below: float) -> dict[str, Curve]:
    """From the end of a row to the beginning of the next one: the highest turns last, and runs lowest."""
    crossing, ways = _crossing(last, first), {}
    for i, arrow in enumerate(crossing):
        start, end, outer = last.leaving(arrow), first.arriving(arrow), len(crossing) - i
        lane = below + BETWEEN / 2 + (outer - 1) * _LANE
        right, left = start[0] + last.laid.room + outer * _LANE, end[0] - (i + 1) * _LANE
        ways[arrow] = _square([start, (right, start[1]), (right, lane), (left, lane), (left, end[1]), end])
    return ways


def _square(corners: Sequence[Point]) -> Curve:
    """Along the corners, which it rounds off."""
    whole: Curve = [corners[0]]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        start, end = _towards(corner, before), _towards(corner, after)
        whole = joined(whole, _straight(whole[-1], start), [start, corner, corner, end])
    return joined(whole, _straight(whole[-1], corners[-1]))


def _straight(start: Point, end: Point) -> Curve:
    return [start, start, end, end]


def _towards(corner: Point, other: Point) -> Point:
    x, y = other[0] - corner[0], other[1] - corner[1]
    length = max(abs(x) + abs(y), 1e-9)
    step = min(_CORNER, length / 2)
    return corner[0] + x / length * step, corner[1] + y / length * step
