"""Blocks in rows, like words in a paragraph, with the state's line at the same height within a row.

    h ─ [ step 1 ] ─ [ step 2 ] ╮
      ╭───────────────────────╯        an arrow to the next row runs between the rows, in a lane of its own
      ╰ [ step 3 ] ─ [ step 4 ] ─ loss
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..placement import Curve, Frame, Placement, Point, Road, Sign, Spot, joined, line, moved
from .grid import Laid, bounds
from .sizes import TITLE, points

_MARGIN, _GAP, _LANE, _CORNER, _BETWEEN, _HEADING = 12.0, 18.0, 9.0, 6.0, 14.0, 20.0
"""In points: around everything, between blocks, between lanes, of a corner, between rows, and for a band's label."""


@dataclass
class _Word:
    """A block with its place."""

    laid: Laid
    x: float
    y: float = 0.0

    @property
    def left(self) -> float:
        return self.x + self.laid.frame.left

    @property
    def right(self) -> float:
        return self.x + self.laid.frame.right

    @property
    def width(self) -> float:
        return self.laid.frame.right - self.laid.frame.left

    def arriving(self, arrow: str) -> Point:
        x, y = self.laid.ins[arrow]
        return x + self.x, y + self.y

    def leaving(self, arrow: str) -> Point:
        x, y = self.laid.outs[arrow]
        return x + self.x, y + self.y


def in_rows(laid: Sequence[Laid], width: float | None, banded: bool) -> Placement:
    """The blocks in rows that are no wider than ``width``, unless one block is; without a width in one row."""
    lanes = max((len(one.outs) for one in laid), default=0)
    rows = _rows(laid, width and width - 2 * _MARGIN, lanes * _LANE)
    y = _MARGIN
    roads: dict[str, list[Curve]] = {}
    if banded and laid:
        y += _HEADING
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        y -= min(word.laid.frame.top for word in row)
        for word in row:
            word.y = y
        y += max(word.laid.frame.bottom for word in row)
        crossing = _crossing(row[-1], following[0]) if following else []
        y += _BETWEEN + len(crossing) * _LANE if following else _MARGIN
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        for one, other in zip(row, row[1:], strict=False):
            for arrow in one.laid.outs:
                roads[arrow] = [*roads.get(arrow, []), line(one.leaving(arrow), other.arriving(arrow))]
        if following:
            below = max(word.y + word.laid.frame.bottom for word in row)
            for arrow, way in _returning(row[-1], following[0], below).items():
                roads[arrow] = [*roads.get(arrow, []), way]
    words = [word for row in rows for word in row]
    return _placement(words, roads, y, banded)


def _rows(laid: Sequence[Laid], width: float | None, lanes: float) -> list[list[_Word]]:
    """Steps stand below each other: rows begin behind what stands left of the first step."""
    rows: list[list[_Word]] = [[]]
    indent, x = 0.0, _MARGIN
    for one in laid:
        wide = one.frame.right - one.frame.left
        row = rows[-1]
        if row and width is not None and x + wide + lanes > width:
            if len(row) == 1 and row[0].laid.block.group is None:
                indent = 0.0
            rows.append([])
            row = rows[-1]
            x = _MARGIN + lanes + _LANE
            x = max(x, indent) if one.block.group is not None else x
        row.append(_Word(one, x - one.frame.left))
        x += wide + _GAP
        if one.block.group is None and len(row) == 1:
            indent = x
    return rows


def _crossing(last: _Word, first: _Word) -> list[str]:
    """The arrows from the end of a row to the beginning of the next one, the highest first."""
    return sorted(
        (arrow for arrow in last.laid.outs if arrow in first.laid.ins), key=lambda arrow: last.laid.outs[arrow][1]
    )


def _returning(last: _Word, first: _Word, below: float) -> dict[str, Curve]:
    """From the end of a row to the beginning of the next one: the highest turns last, and runs lowest."""
    crossing = _crossing(last, first)
    ways = {}
    for i, arrow in enumerate(crossing):
        start, end = last.leaving(arrow), first.arriving(arrow)
        outer = len(crossing) - i
        lane = below + _BETWEEN / 2 + (outer - 1) * _LANE
        right, left = start[0] + outer * _LANE, end[0] - (i + 1) * _LANE
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


def _placement(
    words: Sequence[_Word], between: dict[str, list[Curve]], height: float, banded: bool
) -> Placement:
    spots: dict[str, Spot] = {}
    frames: dict[str, Frame] = {}
    parts: dict[str, list[Road]] = {}
    rests: dict[str, Curve] = {}
    signs: list[Sign] = []
    bands: list[Frame] = []
    for word in words:
        x, y, laid = word.x, word.y, word.laid
        for id, spot in laid.spots.items():
            spots[id] = replace(spot, x=spot.x + x, y=spot.y + y)
        straight = [spots[box.id] for box in laid.block.boxes if box.straight]
        if straight and (banded or laid.block.group is not None):
            bands.append(_band(word, straight, banded))
        if laid.block.group is not None:
            frames[laid.block.group.id] = Frame(
                word.left, laid.frame.top + y, word.right, laid.frame.bottom + y
            )
        for id, road in laid.roads.items():
            parts.setdefault(id, []).append(_moved(road, x, y))
        for id, road in laid.rests.items():
            if id in parts or id in laid.roads:
                rests[id] = moved(road.curve, x, y)
            else:
                parts[id] = [_moved(road, x, y)]
        signs += [
            replace(sign, spot=replace(sign.spot, x=sign.spot.x + x, y=sign.spot.y + y)) for sign in laid.signs
        ]
    roads = {}
    for id, pieces in parts.items():
        ways = between.get(id, [])
        curve = pieces[0].curve
        for way, piece in zip(ways, pieces[1:], strict=True):
            curve = joined(curve, way, piece.curve)
        roads[id] = Road(curve, pieces[0].label, rests.get(id))
    right = max((word.right for word in words), default=0.0)
    right = max([right, *(x for ways in between.values() for way in ways for x, _ in way)])
    return Placement(spots, frames, roads, signs, bands, right + _MARGIN, height)


def _band(word: _Word, straight: Sequence[Spot], alone: bool) -> Frame:
    """Around the line of the state, across a step; without steps with room for a label."""
    around = bounds(straight)
    if alone:
        return Frame(around.left - 8, around.top - _HEADING, around.right + 8, around.bottom + 6)
    return Frame(word.left, around.top - 5, word.right, around.bottom + 5)


def _moved(road: Road, x: float, y: float) -> Road:
    return Road(moved(road.curve, x, y), (road.label[0] + x, road.label[1] + y))
