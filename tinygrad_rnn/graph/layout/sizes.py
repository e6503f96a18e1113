"""How large boxes are, and where on their outlines arrows end."""

from __future__ import annotations

import math

from ...reading.words import plain
from ..scene import Box
from ..text import width_of

LINE, FONT, SMALL, LABEL, TITLE = 15.0, 12.0, 10.0, 10.0, 11.0
"""In points: a line of text; letters of a box's first line, of its further lines, of arrows and of frames."""

_AROUND = 10.8
"""What ``width_of`` adds to a text."""


def points(text: str, size: float) -> float:
    """How wide a text is."""
    return max(0.0, 72 * width_of(text, size) - _AROUND)


def lines_of(box: Box) -> list[str]:
    return [plain(line, 60) for line in (box.label, *box.lines)] if box.lines else [plain(box.label)]


def size_of(box: Box) -> tuple[float, float]:
    """Width and height."""
    lines, shape = lines_of(box), box.look.get("shape")
    text = max(points(lines[0], FONT), *(points(line, SMALL) for line in lines[1:]), 0.0)
    height = LINE * len(lines) + 10
    if shape in ("circle", "diamond"):
        side = max(26.0, text, height) if shape == "circle" else max(30.0, 1.25 * text, 1.25 * height)
        return side, side
    return text + (20 if shape in ("hexagon", "doubleoctagon", "cds") else 12), height


def edge(shape: str, width: float, height: float, down: float) -> float:
    """How far right of the middle the outline is, so far below it."""
    share = min(1.0, abs(down) / (height / 2))
    if shape == "circle":
        return width / 2 * math.sqrt(1 - share * share)
    if shape == "diamond":
        return width / 2 * (1 - share)
    return width / 2 - (8 * share if shape == "hexagon" else 0.0)
