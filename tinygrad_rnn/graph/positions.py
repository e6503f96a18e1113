"""Places as DOT's attributes: with them Graphviz has nothing left to lay out (``neato -n2``)."""

from __future__ import annotations

from collections.abc import Sequence

from .placement import HEAD, Curve, Frame, Placement, Point, Sign
from .scene import Arrow, Box, Look
from .text import attributes, shown, tooltip

_PIXELS, _TALL = 96, 200
"""A unit is a CSS pixel of so many to the inch; no picture is so many inches high."""

_LETTERS = 10.0
"""The size of labels."""


class Positions:
    """Writes what a placement says. DOT's y runs upwards.

    Args:
        placement: where everything stands.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self._height = placement.height

    def size(self) -> str:
        """The whole picture's, as DOT text."""
        return f'  graph [size="{self.placement.shown / _PIXELS:.3f},{_TALL}"];'

    def box(self, box: Box) -> str:
        """A box as DOT text."""
        spot, look = self.placement.spots[box.id], {"id": box.id, **box.look}
        if look["shape"] == "box" and not look.get("peripheries"):
            look["height"] = f"{spot.height / 72:.2f}"
        return f"  {box.id} {attributes({**look, 'pos': self._point((spot.x, spot.y))})};"

    def frame(self, at: Frame) -> Look:
        """A cluster's."""
        return {"bb": f"{self._point((at.left, at.bottom))},{self._point((at.right, at.top))}"}

    def sign(self, sign: Sign) -> str:
        """A sign as DOT text."""
        look: Look = {
            "shape": "plaintext", "style": "", "fontsize": "10", "fontcolor": "#555555",
            "label": shown(sign.text, 40),
            "width": f"{sign.spot.width / 72:.2f}", "height": f"{sign.spot.height / 72:.2f}",
            "fixedsize": "true", "tooltip": tooltip("drawn in each step; it is one operation"),
            "pos": self._point((sign.spot.x, sign.spot.y)),
        }  # fmt: skip
        return f"  {sign.id} {attributes({'id': sign.id, **look})};"

    def arrow(self, arrow: Arrow) -> list[str]:
        """An arrow as DOT text; one that is cut off, in two parts."""
        road, look = self.placement.roads[arrow.id], arrow.look
        source, target = arrow.source, arrow.target
        begins, ends = self.placement.cut.get(arrow.id, ("", ""))
        if look.get("label"):
            foot = road.foot(_LETTERS, float(look.get("penwidth") or "1"))
            look = {**look, "lp": self._point((road.label[0], foot - 0.35 * _LETTERS))}
        look = {"id": arrow.id, **look, "pos": self._curve(road.curve, arrow.back)}
        lines = [f"  {begins or source} -> {ends or target} {attributes(look)};"]
        if road.rest:
            kept = {name: arrow.look.get(name) for name in ("color", "penwidth", "style")}
            plain = {**kept, "dir": "none", "pos": self._curve(road.rest, False)}
            lines = [
                f"  {source} -> {ends} {attributes(look)};",
                f"  {begins} -> {target} {attributes(plain)};",
            ]
        return lines

    def _curve(self, curve: Curve, back: bool) -> str:
        if not back:
            return self._points(curve)
        (x, y), *rest = curve
        return f"s,{self._point((x, y))} {self._points([(x + HEAD, y), *rest])}"

    def _points(self, points: Sequence[Point]) -> str:
        height = self._height
        return " ".join([f"{x:.1f},{height - y:.1f}" for x, y in points])

    def _point(self, point: Point) -> str:
        return f"{point[0]:.1f},{self._height - point[1]:.1f}"
