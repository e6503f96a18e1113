"""How large boxes are, and where on their outlines arrows end."""

from __future__ import annotations

import math

from ...reading.words import plain
from ..scene import Box
from ..text import width_of

FONT, BELOW, SIGN, LABEL, TITLE, ROW = 12.0, 8.0, 10.0, 10.0, 11.0, 22.4
"""In points: letters of a box's first line, of further lines, of signs, arrows and frames; the height of a
table's row."""


def lines_of(box: Box) -> list[str]:
    return [plain(line, 60) for line in (box.label, *box.lines)] if box.lines else [plain(box.label)]


def size_of(box: Box) -> tuple[float, float]:
    """Width and height: those that DOT is told, or for a table those that it finds."""
    width, height = box.look.get("width"), box.look.get("height")
    if width and height:
        around = 8.0 if box.look.get("peripheries") or box.look.get("shape") == "doubleoctagon" else 0.0
        return 72 * float(width) + around, 72 * float(height) + around
    lines = lines_of(box)
    text = max(width_of(lines[0], FONT, bold=True), *(width_of(f" {line} ", FONT) for line in lines[1:]), 0.0)
    return text + 10, ROW * len(lines)


def edge(shape: str, width: float, height: float, down: float) -> float:
    """How far right of the middle the outline is, so far below it."""
    share = min(1.0, abs(down) / (height / 2)) if height else 0.0
    if shape == "circle":
        return width / 2 * math.sqrt(1 - share * share)
    if shape == "diamond":
        return width / 2 * (1 - share)
    return width / 2 - (width / 4 * share if shape == "hexagon" else 0.0)
