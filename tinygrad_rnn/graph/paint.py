"""Colours, strokes and frames: the DOT phrases that all views share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .scene import Box, Look
from .text import attributes, shown_html


@dataclass(frozen=True)
class Paint:
    """The colours of a case (Okabe and Ito's): of lines, of areas, and of text, which is darker for its
    contrast on white."""

    line: str
    fill: str
    text: str
    css: str


PAINTS = {
    "composition": Paint("#D55E00", "#FBE3D2", "#B04E00", "case1"),
    "addition": Paint("#009E73", "#D5F0E6", "#00785A", "case2"),
    "weighting": Paint("#0072B2", "#D6E8F5", "#005F96", "case3"),
}
FUNCTION = Paint("#555555", "white", "#444444", "function")
UNREACHED = Paint("#BDBDBD", "white", "#9A9A9A", "")
NOT_FINITE = Paint("#882255", "#F9D7E6", "#882255", "")
BLACK = "#1A1A1A"

LEAVES: dict[str, Look] = {
    "state": {"shape": "box", "style": "rounded,filled"},
    "output": {"shape": "box", "style": "rounded,filled"},
    "loss": {"shape": "doubleoctagon"},
    "parameter": {"shape": "box", "fillcolor": "#EDEDED", "peripheries": "2"},
    "input": {"shape": "cds", "margin": "0.12,0.06"},
    "constant": {"shape": "plain", "fillcolor": "transparent", "fontcolor": "#555555"},
}

_NODE = (
    'fontname="Arial", fontsize="12", fontcolor="#1A1A1A", style="filled", fillcolor="white", '
    'color="#1A1A1A", penwidth="1.2"'
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
        f'  node [{_NODE}, margin="0.05,0.03", height="0.34", width="0.34"];',
        '  edge [fontname="Arial", fontsize="10", color="#8A8A8A", arrowsize="0.6"];',
    ]


def captions(title: str, note: str, notes: Sequence[str]) -> str:
    """A title and small lines below it, as a table."""
    texts = [
        f"<B>{shown_html(title, 80)}</B>",
        *map(small, [*([shown_html(note, 200)] if note else []), *notes]),
    ]
    lines = "".join(f'<TR><TD ALIGN="LEFT">{text}</TD></TR>' for text in texts)
    return f'<TABLE BORDER="0" CELLSPACING="2">{lines}</TABLE>'


def frame(label: str, margin: str = "6") -> Look:
    """Around a time step, a chain or a module; the label is as DOT wants it."""
    return {
        "label": label, "style": "rounded,filled", "color": "#C9C9C9", "fillcolor": "#FAFAFA",
        "fontsize": "11", "margin": margin,
        "labeljust": "l",
    }  # fmt: skip


def written(box: Box) -> str:
    """A box as DOT text."""
    return f"  {box.id} {attributes({'id': box.id, **box.look})};"


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
