"""Arrow heads that stop before their node.

An engine lays an arrow's head against the node, and a wide line's mitre then reaches into it. Here the head
is drawn anew: its tip keeps a gap to the outline, and the line ends at the head's base.

    ┌───┐ gap       ◀ tip … base
    │   │ ◀━━━━━━━━━━━━━━━━━━━
    └───┘
"""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from .outlines import Outline, Point, path_of, points_of, width_of_line

_GAPS = (1.5, 3.0, 4.5, 6.0, 8.0)
"""Points between an outline and the tip: more where the head would touch it with another corner."""

_BESIDE = 1.0
"""Points between two heads."""

_SMALLEST, _SMALLER, _TRIES = 0.5, 0.8, 5
"""How much smaller heads get at most where many share a side of a node; and each time, and how many times,
where that is not enough."""

_BEND = 40.0
"""Points from its head within which an arrow comes back to its way, where the head was put aside."""

_NEAR = 12.0
"""Points between an outline and what may point at it."""

_INSIDE = 10.0
"""How far into a node a curve is taken to go, in points, before it is cut off where it leaves."""

_SAMPLES = 8
"""Pieces that a part of a curve is taken for."""


@dataclass
class _End:
    """Where a residual arrives.

    Attributes:
        path: the arrow's line.
        head: its head.
        controls: the line, from this end.
        turned: whether the line is drawn from the other end.
        tip: where the head pointed.
        node: what it points at.
        half: half of the head's width.
    """

    path: ElementTree.Element
    head: ElementTree.Element
    controls: list[Point]
    turned: bool
    tip: Point
    node: Outline | None
    half: float

    @property
    def away(self) -> Point:
        """The direction away from the node, of length 1."""
        (x0, y0), (x1, y1) = self.tip, self.controls[0]
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        return (x1 - x0) / length, (y1 - y0) / length

    def leans(self) -> float:
        """To which side, seen from the node, and how much the arrow goes."""
        (x, y), (far_x, far_y) = self.away, self.controls[-1]
        dx, dy = far_x - self.tip[0], far_y - self.tip[1]
        return math.atan2(x * dy - y * dx, x * dx + y * dy)


def draw_heads(
    edges: Sequence[tuple[ElementTree.Element, Sequence[Outline]]], every: Collection[Outline]
) -> list[Outline]:
    """Draw the heads of edges anew; those that point at one place stand side by side.

    Args:
        edges: each with the outlines of the nodes that it goes between.
        every: outlines of all nodes: an edge may end at a sign that stands for its node.

    Returns:
        The heads.
    """
    at: dict[Outline | None, list[_End]] = defaultdict(list)
    for edge, near in edges:
        end = _end(edge, near, every)
        if end is not None:
            at[end.node].append(end)
    return [head for ends in at.values() for head in _draw_all(ends)]


def _draw_all(ends: Sequence[_End]) -> list[Outline]:
    """Those at one node; smaller ones where they would still lie over each other."""
    drawn: list[Outline] = []
    for bunch in _bunches(ends):
        places = list(_side_by_side(bunch))
        for _ in range(_TRIES):
            heads = [_draw(end, aside) for end, aside in places]
            pairs = itertools.chain(itertools.combinations(heads, 2), itertools.product(heads, drawn))
            if not any(one.hits(other) for one, other in pairs):
                break
            for end in bunch:
                end.half *= _SMALLER
        drawn += heads
    return drawn


def _end(edge: ElementTree.Element, near: Sequence[Outline], every: Collection[Outline]) -> _End | None:
    path, head = edge.find("path"), edge.find("polygon")
    if path is None or head is None:
        return None
    controls, corners = points_of(path), points_of(head)
    turned = _far(corners[0], controls[-1]) < _far(corners[0], controls[0])
    if turned:
        controls.reverse()
    tip = max(corners, key=lambda corner: _far(corner, controls[0]))
    half = max(2.6, 1.2 + 0.9 * width_of_line(path))
    return _End(path, head, controls, turned, tip, _nearest(tip, near) or _nearest(tip, every), half)


def _bunches(ends: Sequence[_End]) -> list[list[_End]]:
    """Ends at one node whose heads would lie over each other."""
    bunches: list[list[_End]] = []
    for end in ends:
        close = [
            bunch
            for bunch in bunches
            if any(_far(end.tip, other.tip) < end.half + other.half + _BESIDE for other in bunch)
        ]
        bunches = [bunch for bunch in bunches if bunch not in close]
        bunches.append([end, *itertools.chain.from_iterable(close)])
    return bunches


def _side_by_side(bunch: Sequence[_End]) -> Iterator[tuple[_End, Point]]:
    """How far each of them goes, so that heads stand in a row across their mean direction and lines cross as
    little as they can."""
    if len(bunch) == 1:
        yield bunch[0], (0.0, 0.0)
        return
    x, y = (sum(end.away[k] for end in bunch) for k in (0, 1))
    length = math.hypot(x, y) or 1.0
    across = -y / length, x / length
    places = {id(end): end.tip[0] * across[0] + end.tip[1] * across[1] for end in bunch}
    room = sum(2 * end.half + _BESIDE for end in bunch)
    if bunch[0].node is not None:
        left, top, right, bottom = bunch[0].node.box
        side = abs(across[0]) * (right - left) + abs(across[1]) * (bottom - top)
        for end in bunch:
            end.half *= max(_SMALLEST, min(1.0, side / room))
    at = sum(places.values()) / len(bunch) - sum(end.half + _BESIDE / 2 for end in bunch)
    for end in sorted(bunch, key=lambda end: (round(places[id(end)]), end.leans())):
        room = 2 * end.half + _BESIDE
        aside = at + room / 2 - places[id(end)]
        yield end, (across[0] * aside, across[1] * aside)
        at += room


def _draw(end: _End, aside: Point) -> Outline:
    """One head, so far aside of where its arrow came."""
    (x, y), controls, tip = end.away, end.controls, end.tip
    if end.node is not None:
        tip = tip[0] - _INSIDE * x, tip[1] - _INSIDE * y
    moved = [*(_between(tip, controls[0], part / 3) for part in range(3)), *controls]
    if aside != (0.0, 0.0):
        shares = [max(0.0, 1 - _far(point, controls[0]) / _BEND) for point in controls[:-2]]
        moved = [
            (px + aside[0] * share, py + aside[1] * share)
            for (px, py), share in zip(moved, [1.0, 1.0, 1.0, *shares, 0.0, 0.0], strict=True)
        ]
    length = min(2.2 * end.half, 0.6 * sum(map(_far, controls, controls[1:])))
    if aside != (0.0, 0.0):  # no longer than it is straight, so that neighbours do not turn into each other
        length = min(length, max(_far(end.tip, controls[0]) - _GAPS[0], end.half))
    for gap in _GAPS:
        line, corners = _with_head(moved, end.node, (end.half, length), gap)
        if end.node is None or all(end.node.distance(corner) > 0 for corner in corners[1:]):
            break
    end.head.set("points", " ".join(f"{x:.2f},{y:.2f}" for x, y in corners))
    end.head.set("fill", end.path.get("stroke", "black"))
    end.head.set("stroke", "none")
    end.path.set("d", path_of(line[::-1] if end.turned else line))
    return Outline(corners)


def _nearest(tip: Point, outlines: Collection[Outline]) -> Outline | None:
    """The one that a tip points at."""
    found, least = None, _NEAR
    for outline in outlines:
        far = abs(outline.distance(tip))
        if far < least:
            found, least = outline, far
    return found


def _with_head(
    controls: Sequence[Point], node: Outline | None, size: tuple[float, float], gap: float
) -> tuple[list[Point], list[Point]]:
    """A curve that begins straight and in a node, without the part that its head takes, and the head's
    corners.

    Args:
        size: half of its width, and its length.
    """
    (half, length), (x, y), (end_x, end_y) = size, controls[0], controls[3]
    straight = _far(controls[0], controls[3])
    away = (end_x - x) / straight, (end_y - y) / straight
    inside = 0.0 if node is None else node.leaving((x, y), away, gap)
    tip, passed, start = (x + inside * away[0], y + inside * away[1]), straight - inside, controls[3]
    if passed >= length:
        share = (inside + length) / straight
        return _cut(controls, 0, share), _triangle(tip, _between((x, y), start, share), half)
    for place, share, end in _along(controls):
        chord = _far(start, end)
        if passed + chord >= length:
            share -= (1 - (length - passed) / chord) / _SAMPLES
            return _cut(controls, place, share), _triangle(tip, _at(controls, place, share), half)
        passed, start = passed + chord, end
    return list(controls), _triangle(tip, start, half)


def _along(controls: Sequence[Point]) -> Iterator[tuple[int, float, Point]]:
    """Points of a curve behind its first piece: the number of the piece, how far along it, and where that
    is."""
    for place in range(3, len(controls) - 3, 3):
        for i in range(1, _SAMPLES + 1):
            yield place, i / _SAMPLES, _at(controls, place, i / _SAMPLES)


def _at(controls: Sequence[Point], place: int, t: float) -> Point:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = controls[place : place + 4]
    a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
    return a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy


def _between(start: Point, end: Point, part: float) -> Point:
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def _cut(controls: Sequence[Point], place: int, share: float) -> list[Point]:
    """The curve from there on (de Casteljau's way)."""
    level, kept = list(controls[place : place + 4]), [controls[place + 3]]
    while len(level) > 1:
        level = [_between(start, end, share) for start, end in itertools.pairwise(level)]
        kept.append(level[-1])
    return [*kept[::-1], *controls[place + 4 :]]


def _triangle(tip: Point, base: Point, half: float) -> list[Point]:
    length = _far(tip, base) or 1.0
    across = (base[1] - tip[1]) / length * half, (tip[0] - base[0]) / length * half
    return [tip, (base[0] + across[0], base[1] + across[1]), (base[0] - across[0], base[1] - across[1])]


def _far(one: Point, other: Point) -> float:
    return math.hypot(one[0] - other[0], one[1] - other[1])
