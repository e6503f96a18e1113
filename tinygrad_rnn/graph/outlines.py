"""The outlines of what an SVG shows: where a node ends."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import cached_property

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_BETWEEN = str.maketrans("MCLZ,", "     ")
"""What stands between the numbers of a shape, as engines and our own layout write it."""

_CIRCLE = [(math.cos(math.pi * i / 12), math.sin(math.pi * i / 12)) for i in range(24)]


class Outline:
    """A convex shape: what lies behind all of its sides is inside."""

    def __init__(self, corners: Sequence[Point], line: float = 0.0) -> None:
        left, top, right, bottom = box_of(corners)
        self.box: Rectangle = (left - line, top - line, right + line, bottom + line)
        self._corners, self._line = corners, line

    @cached_property
    def _sides(self) -> list[tuple[float, float, float]]:
        """Of each side the direction to the outside, and how far it is in that direction."""
        (left, top, right, bottom), sides = self.box, []
        x, y = (left + right) / 2, (top + bottom) / 2
        for (x0, y0), (x1, y1) in itertools.pairwise([*self._corners, self._corners[0]]):
            length = math.hypot(x1 - x0, y1 - y0)
            if length > 1e-6:
                nx, ny = (y1 - y0) / length, (x0 - x1) / length
                if nx * (x - x0) + ny * (y - y0) > 0:
                    nx, ny = -nx, -ny
                sides.append((nx, ny, nx * x0 + ny * y0 + self._line))
        return sides

    def distance(self, point: Point) -> float:
        """How far a point is in front of the side that it is farthest from; inside it is negative."""
        x, y = point
        return max([nx * x + ny * y - c for nx, ny, c in self._sides])

    def leaving(self, point: Point, away: Point, gap: float) -> float:
        """How far someone goes from a point in a direction of length 1 until the outline is so far behind."""
        (x, y), (dx, dy), far = point, away, math.inf
        for nx, ny, c in self._sides:
            rest, speed = c + gap - nx * x - ny * y, nx * dx + ny * dy
            if rest <= 0:
                return 0.0
            if speed > 0:
                far = min(far, rest / speed)
        return far

    def hits(self, other: Outline) -> bool:
        """Whether the two have a part in common."""
        return overlap(self.box, other.box) and not (self._parts(other) or other._parts(self))

    def _parts(self, other: Outline) -> bool:
        """Whether one of its sides lies between the two."""
        return any(all(nx * x + ny * y >= c for x, y in other._corners) for nx, ny, c in self._sides)

    def meets(self, box: Rectangle) -> bool:
        """Whether a rectangle has a part inside."""
        left, top, right, bottom = box
        if not overlap(self.box, box):
            return False
        return all(
            nx * (left if nx > 0 else right) + ny * (top if ny > 0 else bottom) < c
            for nx, ny, c in self._sides
        )


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def around(boxes: Sequence[Rectangle]) -> Rectangle:
    """The least rectangle that holds them."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def box_of(points: Sequence[Point]) -> Rectangle:
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def points_of(shape: ElementTree.Element) -> list[Point]:
    """The corners of a polygon; of a curve of cubic pieces its ends, each with the next two controls after
    it; of an ellipse points on it."""
    if shape.tag == "ellipse":
        cx, cy, rx, ry = (float(shape.get(name, "0")) for name in ("cx", "cy", "rx", "ry"))
        return [(cx + rx * x, cy + ry * y) for x, y in _CIRCLE]
    numbers = _numbers_of(shape)
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def path_of(curve: Sequence[Point]) -> str:
    """A curve of cubic pieces as SVG has it, as ``points_of`` reads it."""
    start, *others = [f"{x:.2f},{y:.2f}" for x, y in curve]
    return f"M{start}C{' '.join(others)}"


def room_of(shape: ElementTree.Element) -> Rectangle | None:
    """The least rectangle that holds its points, if it has any."""
    if shape.tag == "ellipse":
        return box_of(points_of(shape))
    numbers = _numbers_of(shape)
    xs, ys = numbers[::2], numbers[1::2]
    return (min(xs), min(ys), max(xs), max(ys)) if ys else None


def _numbers_of(shape: ElementTree.Element) -> list[float]:
    return list(map(float, (shape.get("points") or shape.get("d") or "").translate(_BETWEEN).split()))


def outline_of(shapes: Sequence[ElementTree.Element]) -> Outline | None:
    """Of what is drawn of a node: its outermost shape, or the rectangle around all of them, if they stand
    side by side as the cells of a table do."""
    drawn = [(points, shape) for shape in shapes if (points := points_of(shape))]
    if not drawn:
        return None
    whole = around([box_of(points) for points, _ in drawn])
    for points, shape in drawn:
        if box_of(points) == whole:
            line = 0.0 if shape.get("stroke") in ("none", "transparent") else width_of_line(shape) / 2
            return Outline(rectangle(whole) if shape.tag == "path" else points, line)
    return Outline(rectangle(whole))


def rectangle(box: Rectangle) -> list[Point]:
    left, top, right, bottom = box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def width_of_line(shape: ElementTree.Element) -> float:
    return float(shape.get("stroke-width") or 1)
