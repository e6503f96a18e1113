"""Tables in rows: the boxes of time steps, a lane for each chain, with an arrow for each line of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..placement import HEAD, Frame, Placement, Point, Road, Spot
from ..scene import Arrow, Box, Group
from ..text import width_of
from .blocks import Block
from .gathering import HEADING, MARGIN, Gathering
from .grid import Laid
from .rows import BETWEEN, in_rows
from .sizes import LABEL, ROW, size_of

_PADDING = 8.0
"""Inside the frame of a lane, in points."""


@dataclass(frozen=True)
class Lane:
    """Boxes of one chain, in order, and for each arrow which line of the tables it belongs to; ``name`` is
    written around them, if there is one."""

    name: str
    boxes: Sequence[Box]
    arrows: Sequence[tuple[int, Arrow]]


def placed_tables(lanes: Sequence[Lane], width: float) -> Placement:
    """Where the boxes stand: each lane in rows that are no wider than ``width``."""
    gathering = Gathering()
    right, bottom = MARGIN, MARGIN
    for lane in lanes:
        inside = _PADDING if lane.name else 0.0
        top = bottom + (HEADING if lane.name else 0.0)
        rows = in_rows(_laid(lane), width - MARGIN - inside, MARGIN + inside, top)
        gathering.add(rows)
        if lane.name:
            frame = Frame(MARGIN, bottom, rows.right + inside, rows.bottom + inside)
            gathering.lanes.append((frame, lane.name))
        right = max(right, rows.right + inside)
        bottom = rows.bottom + inside + BETWEEN
    gathering.lanes = [
        (Frame(frame.left, frame.top, right, frame.bottom), name) for frame, name in gathering.lanes
    ]
    return gathering.placement(right, bottom - BETWEEN, width)


def _laid(lane: Lane) -> list[Laid]:
    """Steps as wide as the widest, with room for the widest label behind each."""
    sizes = {box.id: size_of(box) for box in lane.boxes}
    wide = max((sizes[box.id][0] for box in lane.boxes if any(box.fills)), default=0.0)
    labels = [width_of(arrow.look.get("label") or "", LABEL) for _, arrow in lane.arrows]
    room = HEAD + max(labels, default=0.0)
    found = {}
    for box in lane.boxes:
        width, height = wide if any(box.fills) else sizes[box.id][0], sizes[box.id][1]
        spots = {box.id: Spot(0.0, 0.0, width, height)}
        frame = Frame(-width / 2, -height / 2, width / 2, height / 2)
        block = Block(Group(box.id, "", ""), [box])
        found[box.id] = Laid(block, spots, frame, room)
    for state, arrow in lane.arrows:
        one, other = found[arrow.source], found[arrow.target]
        start = _end(one, state, one.frame.right)
        one.outs[arrow.id] = start
        one.roads[arrow.id] = Road([start], (start[0] + HEAD + (room - HEAD) / 2 + 5, start[1]))
        other.ins[arrow.id] = _end(other, state, other.frame.left)
        other.roads[arrow.id] = Road([other.ins[arrow.id]], (0.0, 0.0))
    return list(found.values())


def _end(laid: Laid, state: int, x: float) -> Point:
    """The middle of a line at a side."""
    return x, laid.frame.top + ROW * (state + 1.5)
