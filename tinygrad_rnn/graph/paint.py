"""Colours, strokes and frames: the DOT phrases that all views share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .. import colours
from ..colours import CASES, INK
from ..reading.words import plain
from .scene import Arrow, Box, Look
from .text import attributes, shown_html, width_of


@dataclass(frozen=True)
class Paint:
    """The colours of a case: of lines, of areas, and of text, which is darker for its contrast on white."""

    line: str
    fill: str
    text: str
    css: str


PAINTS = {
    "composition": Paint(CASES["composition"], "#FBE3D2", "#B04E00", "case1"),
    "addition": Paint(CASES["addition"], "#D5F0E6", "#00785A", "case2"),
    "weighting": Paint(CASES["weighting"], "#D6E8F5", "#005F96", "case3"),
}
FUNCTION = Paint("#555555", "white", "#444444", "function")
UNREACHED = Paint("#BDBDBD", "white", "#9A9A9A", "")
NOT_FINITE = Paint(colours.NOT_FINITE, "#F9D7E6", colours.NOT_FINITE, "")

BACKWARDS = ("residual (δ) = derivative of the loss by a value", "arrows run backwards, as residuals do")
"""What every picture's legend begins with."""

LEAVES: dict[str, Look] = {
    "state": {"shape": "box", "style": "rounded,filled"},
    "output": {"shape": "box", "style": "rounded,filled"},
    "loss": {"shape": "doubleoctagon"},
    "parameter": {"shape": "box", "fillcolor": "#EDEDED", "peripheries": "2"},
    "input": {"shape": "cds"},
    "constant": {"shape": "plaintext", "fillcolor": "transparent", "fontcolor": "#555555"},
}

_NODE = (
    f'fontname="Arial", fontsize="12", fontcolor="{INK}", style="filled", fillcolor="white", '
    f'color="{INK}", penwidth="1.2"'
)


# -- around a picture ----------------------------------------------------------------------------------------


def opening(head: str | None, nodesep: str, ranksep: str) -> list[str]:
    """How the DOT text of every view begins; ``head`` is its title and legend as a table."""
    label = f'label=<{head}>, labelloc="t", labeljust="l", ' if head is not None else ""
    return [
        "digraph tinygrad_rnn {",
        f'  graph [rankdir="LR", fontname="Arial", fontsize="14", {label}nodesep="{nodesep}", '
        f'ranksep="{ranksep}", '
        'pad="0.15", bgcolor="white", splines="true", newrank="true"];',
        f'  node [{_NODE}, margin="0.05,0.03"];',
        '  edge [fontname="Arial", fontsize="10", color="#8A8A8A", arrowsize="0.6"];',
    ]


def cell(width: float, text: str, style: str = "") -> str:
    """A cell of a table that is at least so many points wide."""
    return f'<TD ALIGN="LEFT" WIDTH="{math.ceil(width)}"{style}>{text}</TD>'


def captions(title: str, note: str, notes: Sequence[str]) -> str:
    """A title and small lines below it, as a table."""
    lines = [cell(width_of(plain(title, 80), 14, bold=True), f"<B>{shown_html(title, 80)}</B>")]
    for text in [*([note] if note else []), *notes]:
        lines.append(cell(width_of(plain(text, 400), 9), small(shown_html(text, 400))))
    rows = "".join(f"<TR>{line}</TR>" for line in lines)
    return f'<TABLE BORDER="0" CELLSPACING="2">{rows}</TABLE>'


def frame(label: str, margin: str = "6") -> Look:
    """Around a time step, a chain or a module; the label is as DOT wants it."""
    return {
        "label": label, "style": "rounded,filled", "color": "#C9C9C9", "fillcolor": "#FAFAFA",
        "fontsize": "11", "margin": margin,
        "labeljust": "l",
    }  # fmt: skip


def cluster(name: str, look: Look, inside: Sequence[str]) -> list[str]:
    """Lines of DOT text with a frame around them."""
    graph = f"    graph {attributes(look)};"
    return [f"  subgraph cluster_{name} {{", graph, *(f"  {line}" for line in inside), "  }"]


def written(box: Box) -> str:
    """A box as DOT text."""
    return f"  {box.id} {attributes({'id': box.id, **box.look})};"


_HEADS = 12.0
"""How far apart heads of arrows keep clear of each other, in points."""


def with_room(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> list[Box]:
    """The boxes, those of a box's shape as high as the heads need that point at them."""
    leaving = Counter(arrow.source for arrow in arrows if arrow.back)
    return [_higher(box, leaving[box.id] * _HEADS / 72) for box in boxes]


def _higher(box: Box, inches: float) -> Box:
    height = box.look.get("height")
    if box.look.get("shape") != "box" or height is None or float(height) >= inches:
        return box
    return replace(box, look={**box.look, "height": f"{inches:.3f}"})


_LEAST = {
    "hexagon": (24.5, 27.4),
    "diamond": (30.2, 30.2),
    "double": (17.0, 17.0),
    "plaintext": (0.0, 0.0),
}
"""The least width and height of a shape, in points; of others (24.5, 24.5)."""

_AROUND = {"cds": (20.0, 6.0), "doubleoctagon": (14.0, 2.0), "double": (8.0, 1.0), "plaintext": (4.0, 2.0)}
"""What a shape adds to the width and height of its text; others (11, 6)."""


def sized(look: Look, lines: Sequence[tuple[str, float]]) -> Look:
    """The width and height of a node around lines of text and their sizes in points.

    They are those of Arial, whatever font an engine has: so the room is the same everywhere, and no engine
    makes it too small for letters that it knows no width of.
    """
    shape = "double" if look.get("peripheries") else look["shape"] or ""
    width = max((width_of(text, points) for text, points in lines), default=0.0)
    height = sum(1.2 * points for _, points in lines)
    ink = height - 2
    least_width, least_height = _LEAST.get(shape, (24.5, 24.5))
    if shape == "circle":
        width = height = max(least_width, math.hypot(width, ink) + 7)
    elif shape == "diamond":
        height = max(least_height, 2.2 * ink)
        width = (width + 3) / (1 - ink / height)
    elif shape == "hexagon":
        height = max(least_height, height + 10)
        width = (width + 5) / (1 - ink / height / 2)
    else:
        across, down = _AROUND.get(shape, (11.0, 6.0))
        width, height = width + across, height + down
    inches = {"width": max(width, least_width) / 72, "height": max(height, least_height) / 72}
    return {**{name: f"{size:.3f}" for name, size in inches.items()}, "fixedsize": "true"}


def silent() -> Look:
    """An edge that no residual takes."""
    return {"style": "dotted", "arrowhead": "none"}


def small(text: str) -> str:
    return f'<FONT POINT-SIZE="9" COLOR="#555555">{text}</FONT>'


# -- edges ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stroke:
    """How an edge is drawn: its width in points, how much of its colour is left, and its style."""

    width: float
    strength: float
    style: str


def stroke(relative: float) -> Stroke:
    """Thinner and paler with every half decade that a residual has lost against the seed. It changes in
    steps, so that a last bit changes nothing."""
    if not math.isfinite(relative):
        return Stroke(5, 1, "solid")
    if relative == 0:
        return Stroke(0.6, 0.3, "dotted")
    decades = min(max(round(2 * math.log10(relative)) / 2, -5.0), 2.0)
    width = max(0.6, 5 + (1.6 if decades <= 0 else 1.5) * decades)
    return Stroke(width, min(1.0, max(0.3, 1 + 0.22 * decades)), "dashed" if decades <= -3 else "solid")


def mixed(colour: str, strength: float) -> str:
    """The colour mixed with white; plain text, since transparency does not print."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + (part - 255) * strength):02X}" for part in parts)
