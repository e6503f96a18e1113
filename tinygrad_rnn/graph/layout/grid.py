"""The layout of every block: steps of the same operations have one, with room for the largest of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..placement import Frame, Point, Road, Sign, Spot, joined
from ..scene import Group
from ..text import width_of
from .blocks import Block
from .draft import Draft, Key
from .parts import Line, Thing
from .pattern import Pattern
from .sizes import TITLE

_PADDING, _HEADING = 10.0, 16.0
"""In points: inside a frame, and for its label."""


@dataclass
class Laid:
    """A block laid out around its own place on the state's line.

    Attributes:
        spots: of its boxes.
        frame: around a step; else around all of it.
        room: how much is free behind it, for labels.
        roads: of its arrows, as far as they run in here.
        rests: of those that are cut off, from the sign where they begin again.
        signs, cut: the signs, and for each arrow that is cut off those where it begins and ends in here.
        ins, outs: by arrow that comes in or goes out, where it does.
    """

    block: Block
    spots: dict[str, Spot]
    frame: Frame
    room: float = 0.0
    roads: dict[str, Road] = field(default_factory=dict)
    rests: dict[str, Road] = field(default_factory=dict)
    signs: list[Sign] = field(default_factory=list)
    cut: dict[str, tuple[str, str]] = field(default_factory=dict)
    ins: dict[str, Point] = field(default_factory=dict)
    outs: dict[str, Point] = field(default_factory=dict)


def laid_out(blocks: Sequence[Block], banded: bool) -> list[Laid]:
    """Each block, laid out; where there is a band, the state stands at its ends."""
    boxes = {box.id: (box, block.group) for block in blocks for box in block.boxes}
    drafts = [Draft(block, boxes, banded) for block in blocks]
    alike: dict[Hashable, list[Draft]] = defaultdict(list)
    for draft in drafts:
        alike[draft.operations].append(draft)
    laid = {}
    for same in alike.values():
        shared = _Shared(same)
        for draft in same:
            laid[id(draft)] = shared.laid(draft)
    return [laid[id(draft)] for draft in drafts]


class _Shared:
    """The layout that several drafts share."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        things: dict[Key, Thing] = {}
        lines: dict[Key, Line] = {}
        ends: dict[Key, tuple[Key, Key]] = {}
        for draft in drafts:
            for key, thing in draft.things.items():
                things[key] = thing.merged(things.get(key, thing))
            for key, line in draft.lines.items():
                lines[key] = line.merged(lines.get(key, line))
            ends.update(draft.ends)
        number = {key: i for i, key in enumerate(things)}
        found = Pattern(
            list(things.values()),
            [
                replace(line, source=number[ends[key][0]], target=number[ends[key][1]])
                for key, line in lines.items()
            ],
        )
        self._spots = dict(zip(things, found.spots, strict=True))
        self._roads = dict(zip(lines, found.roads, strict=True))
        self._frame = _frame(self._spots.values(), [draft.block.group for draft in drafts])

    def laid(self, draft: Draft) -> Laid:
        spots = {box.id: self._spots[draft.key_of[box.id]] for box in draft.block.boxes}
        laid = Laid(draft.block, spots, self._frame)
        for key, arrow in draft.arrows.items():
            road = self._roads[key]
            if key[0] in ("in", "through"):
                laid.ins[arrow.id] = self._frame.left, road.curve[0][1]
                road = replace(road, curve=joined([laid.ins[arrow.id]], road.curve))
            if key[0] in ("out", "through"):
                laid.outs[arrow.id] = self._frame.right, road.curve[-1][1]
                road = replace(road, curve=joined(road.curve, [laid.outs[arrow.id]]))
            (laid.rests if key[0] == "from sign" else laid.roads)[arrow.id] = road
        for key, sign in draft.signs.items():
            laid.signs.append(replace(sign, spot=self._spots[key]))
            name = key[1:]
            begins = name[0] == "from sign"
            laid.cut[draft.arrows[name].id] = (sign.id, "") if begins else ("", sign.id)
        return laid


def _frame(spots: Iterable[Spot], groups: Sequence[Group | None]) -> Frame:
    """Around things; around those of steps with room for the longest label."""
    around = bounds(spots)
    labels = [width_of(f"{group.label}    {group.text}", TITLE) for group in groups if group is not None]
    if not labels:
        return around
    left = around.left - _PADDING
    right = max(around.right + _PADDING, left + max(labels) + 2 * _PADDING)
    return Frame(left, around.top - _PADDING - _HEADING, right, around.bottom + _PADDING)


def bounds(spots: Iterable[Spot]) -> Frame:
    """Around all of them; of none, a point."""
    found = list(spots) or [Spot(0.0, 0.0, 0.0, 0.0)]
    return Frame(
        min(spot.x - spot.width / 2 for spot in found),
        min(spot.y - spot.height / 2 for spot in found),
        max(spot.x + spot.width / 2 for spot in found),
        max(spot.y + spot.height / 2 for spot in found),
    )
