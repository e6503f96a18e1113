"""Where everything of a picture stands. A unit is a point of DOT's; x runs to the right, y downwards, from the
upper left corner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        rest: where it is cut off at a sign: from the other sign to the target.
    """

    curve: Curve
    label: Point
    rest: Curve | None = None


@dataclass(frozen=True)
class Sign:
    """What stands at the end of an arrow that is cut off, instead of what it leads to."""

    id: str
    text: str
    spot: Spot


@dataclass(frozen=True)
class Placement:
    """A picture's places.

    Attributes:
        spots, frames, roads: by id of the box, the group and the arrow.
        signs: by id of the arrow, at its target's side and at its source's.
        band: around the line of the state.
    """

    spots: Mapping[str, Spot]
    frames: Mapping[str, Frame]
    roads: Mapping[str, Road]
    signs: Sequence[Sign]
    bands: Sequence[Frame]
    width: float
    height: float


def moved(curve: Curve, x: float, y: float) -> Curve:
    return [(px + x, py + y) for px, py in curve]


def joined(*curves: Curve) -> Curve:
    """Curves end to end as one."""
    whole = list(curves[0])
    for curve in curves[1:]:
        whole += line(whole[-1], curve[0])[1:] if whole[-1] != curve[0] else []
        whole += curve[1:]
    return whole


def line(start: Point, end: Point) -> Curve:
    """A straight piece, or one that leaves and arrives level."""
    middle = (start[0] + end[0]) / 2
    return [start, (middle, start[1]), (middle, end[1]), end]
