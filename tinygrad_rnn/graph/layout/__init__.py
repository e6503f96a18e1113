"""A layout of our own: of everything that has time steps, and of all pictures where there is no Graphviz.

    scene ──blocks──▶ steps and what stands between them ──grid──▶ each laid out, by its pattern
          (columns, ordering, levels) ──rows──▶ in rows ──gathering──▶ placement ──drawing──▶ SVG

A step is laid out once, and every other one of the same operations stands likewise. It gives the same ids and
classes as an engine's SVG, so a page works with either.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from ..placement import Placement
from ..scene import Scene
from .blocks import blocks_of
from .drawing import drawn
from .gathering import HEADING, MARGIN, Gathering
from .grid import laid_out
from .rows import in_rows


def placed(scene: Scene, width: float | None) -> Placement:
    """Where everything stands: time steps in rows that are no wider than ``width``."""
    gathering = Gathering(scene.band)
    room = None if width is None else width - MARGIN
    laid = laid_out(blocks_of(scene), bool(scene.band))
    rows = in_rows(laid, room, MARGIN, MARGIN + (HEADING if scene.band else 0.0))
    gathering.add(rows)
    return gathering.placement(rows.right, rows.bottom, width)


def svg_of(scene: Scene) -> ElementTree.Element:
    """The scene as an SVG element."""
    return drawn(scene, scene.placed or placed(scene, None))


__all__ = ["placed", "svg_of"]
