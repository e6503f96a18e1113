"""Where everything of a picture stands. A unit is a point of DOT's; from the upper left corner x runs to the
right and y downwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HEAD = 7.0
"""How long an arrow's head is."""

Point = tuple[float, float]

Curve = list[Point]
"""Cubic pieces end to end, as Graphviz has them: the first point, and for each piece two that it bends to and
its end."""


@dataclass(frozen=True)
class Spot:
    """Where a box stands: its centre and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Frame:
    """What is drawn around boxes: its edges."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Road:
    """How an arrow runs.

    Attributes:
        curve: from the source, or from the tip of the head that stands there, to the target.
        label: the middle of the line that its label is written on.
        below: the label stands below that line.
        rest: where it is cut off at a sign: from the other sign to the target.
    """

    curve: Curve
    label: Point
    below: bool = False
    rest: Curve | None = None

    def foot(self, size: float, width: float) -> float:
        """Where the foot of letters of a size stands beside that line, which is so wide."""
        return self.label[1] + (width / 2 + 2 + 0.75 * size if self.below else -width / 2 - 3)


@dataclass(frozen=True)
class Sign:
    """What stands at the end of an arrow that is cut off, instead of what it leads to."""

    id: str
    text: str
    spot: Spot


@dataclass(frozen=True)
class Stretch:
    """A step, or what stands between steps: one of those that follow each other in rows.

    Attributes:
        group: the step's id, or "".
        boxes, signs: the ids of what stands here.
        frame: what all of it takes.
        level: the height of the state's line.
        ways: by id of an arrow that comes in or goes out, or both, how it runs here.
    """

    group: str
    boxes: Sequence[str]
    signs: Sequence[str]
    frame: Frame
    level: float
    ways: Mapping[str, Curve]


@dataclass(frozen=True)
class Placement:
    """A picture's places.

    Attributes:
        spots, frames, roads: by id of the box, the group and the arrow.
        cut: by id of an arrow that is cut off, the signs at which it begins and ends, or "".
        bands: around the line of the state, and what they are called.
        lanes: around steps that belong together, likewise.
        stretches: what stands in rows, in order.
        shown: how wide it is shown, in CSS pixels; where that is less than the width, everything is smaller.
    """

    spots: Mapping[str, Spot]
    frames: Mapping[str, Frame]
    roads: Mapping[str, Road]
    cut: Mapping[str, tuple[str, str]]
    signs: Sequence[Sign]
    bands: Sequence[tuple[Frame, str]]
    lanes: Sequence[tuple[Frame, str]]
    stretches: Sequence[Stretch]
    width: float
    height: float
    shown: float

    @property
    def shown_height(self) -> float:
        """How high it is then."""
        return self.height * self.shown / self.width


def moved(curve: Curve, x: float, y: float) -> Curve:
    return [(px + x, py + y) for px, py in curve]


def joined(*curves: Curve) -> Curve:
    """Curves end to end as one, without pieces that lead nowhere; level ones after each other are one."""
    whole = [curves[0][0]]
    for k, curve in enumerate(curves):
        if k and whole[-1] != curve[0]:
            _append(whole, line(whole[-1], curve[0])[1:])
        for i in range(1, len(curve), 3):
            _append(whole, curve[i : i + 3])
    return whole


def _append(whole: Curve, piece: Curve) -> None:
    start, end = whole[-1], piece[-1]
    if piece == [start] * 3:
        return
    level = start[1] == piece[0][1] == piece[1][1] == end[1]
    if level and len(whole) > 3 and all(y == start[1] for _, y in whole[-4:]):
        del whole[-3:]
        start = whole[-1]
    whole += line(start, end)[1:] if level else piece


def line(start: Point, end: Point) -> Curve:
    """A straight piece, or one that leaves and arrives level."""
    middle = (start[0] + end[0]) / 2
    return [start, (middle, start[1]), (middle, end[1]), end]
