"""Rows of blocks put together: where everything of a picture stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..placement import Frame, Placement, Point, Road, Sign, Spot, Stretch, joined, moved
from .grid import bounds
from .rows import Rows, Word

MARGIN, HEADING = 12.0, 20.0
"""In points: around everything, and for the label of a frame or a band."""


@dataclass
class Gathering:
    """What has a place already.

    Attributes:
        band: what the line of the state is called, where there are no steps.
    """

    band: str = ""
    spots: dict[str, Spot] = field(default_factory=dict)
    frames: dict[str, Frame] = field(default_factory=dict)
    roads: dict[str, Road] = field(default_factory=dict)
    cut: dict[str, tuple[str, str]] = field(default_factory=dict)
    signs: list[Sign] = field(default_factory=list)
    bands: list[tuple[Frame, str]] = field(default_factory=list)
    lanes: list[tuple[Frame, str]] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)

    def add(self, rows: Rows) -> None:
        """Rows with all that is in them."""
        parts: dict[str, list[Road]] = {}
        rests: dict[str, Road] = {}
        for word in rows.words:
            self._add_boxes(word)
            self.stretches.append(_stretch(word))
            for id, road in word.laid.roads.items():
                parts.setdefault(id, []).append(_moved(road, word))
            rests |= {id: _moved(road, word) for id, road in word.laid.rests.items()}
        for id, pieces in ({id: [rest] for id, rest in rests.items()} | parts).items():
            curve = pieces[0].curve
            for way, piece in zip(rows.ways.get(id, []), pieces[1:], strict=True):
                curve = joined(curve, way, piece.curve)
            both = all(self.cut.get(id, ("", "")))
            self.roads[id] = replace(pieces[0], curve=curve, rest=rests[id].curve if both else None)

    def _add_boxes(self, word: Word) -> None:
        laid, group = word.laid, word.laid.block.group
        for id, spot in laid.spots.items():
            self.spots[id] = _at(spot, word)
        straight = [self.spots[box.id] for box in laid.block.boxes if box.straight]
        if straight and (self.band or group is not None):
            self.bands.append((self._band(word, straight), self.band))
        if group is not None:
            self.frames[group.id] = _frame(word)
        self.signs += [replace(sign, spot=_at(sign.spot, word)) for sign in laid.signs]
        for arrow, (begins, ends) in laid.cut.items():
            before = self.cut.get(arrow, ("", ""))
            self.cut[arrow] = begins or before[0], ends or before[1]

    def _band(self, word: Word, straight: Sequence[Spot]) -> Frame:
        """Around the line of the state, across a step; without steps with room for a label."""
        around, at = bounds(straight), word.laid.frame
        if self.band:
            return Frame(around.left - 8, around.top - HEADING, around.right + 8, around.bottom + 6)
        return Frame(at.left + word.x, around.top - 5, at.right + word.x, around.bottom + 5)

    def placement(self, right: float, bottom: float, width: float | None) -> Placement:
        """All of it, shown no wider than ``width``."""
        wide, high = right + MARGIN, bottom + MARGIN
        return Placement(
            self.spots, self.frames, self.roads, self.cut, self.signs, self.bands, self.lanes,
            self.stretches, wide, high, min(wide, width or wide),
        )  # fmt: skip


def _stretch(word: Word) -> Stretch:
    laid = word.laid
    crossing = {id: _moved(laid.roads[id], word).curve for id in {**laid.ins, **laid.outs}}
    group = "" if laid.block.group is None else laid.block.group.id
    return Stretch(group, list(laid.spots), [sign.id for sign in laid.signs], _frame(word), word.y, crossing)


def _frame(word: Word) -> Frame:
    at = word.laid.frame
    return Frame(at.left + word.x, at.top + word.y, at.right + word.x, at.bottom + word.y)


def _at(spot: Spot, word: Word) -> Spot:
    return Spot(spot.x + word.x, spot.y + word.y, spot.width, spot.height)


def _moved(road: Road, word: Word) -> Road:
    label: Point = road.label[0] + word.x, road.label[1] + word.y
    return replace(road, curve=moved(road.curve, word.x, word.y), label=label)
