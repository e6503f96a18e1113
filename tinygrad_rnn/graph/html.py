"""A picture as one page: the SVG, what is known of every box, and a small program that shows it. Nothing is
loaded from anywhere.

Users' text gets into the page as text in the SVG or inside JSON, and from there by ``textContent``, so it
cannot become markup.
"""

from __future__ import annotations

import html
import json
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..reading.words import plain
from .scene import Scene

_ELEMENTS = {"svg", "g", "path", "polygon", "polyline", "ellipse", "text"}
_ATTRIBUTES = {
    "class", "cx", "cy", "d", "fill", "font-family", "font-size", "font-style", "font-weight", "height", "id",
    "points", "rx", "ry", "stroke", "stroke-dasharray", "stroke-width", "text-anchor", "transform", "viewBox",
    "width", "x", "y",
}  # fmt: skip
"""What is taken over from an engine's SVG: shapes and text, without links, titles and styles."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<header>
<h1></h1>
<ul id="legend"></ul>
<div id="controls" role="toolbar" aria-label="What the picture shows">
<label><input type="radio" name="direction" value="backward" checked>backward</label>
<label><input type="radio" name="direction" value="forward">forward</label>
<label><input type="checkbox" id="gains" checked>gains</label>
<button type="button" id="back">back to the modules</button>
<button type="button" id="fit" aria-pressed="false">fit to width</button>
<button type="button" id="fold" aria-pressed="false">close all steps</button>
<label id="clock">time <input type="range" id="time" min="0" value="0"><output for="time"></output></label>
</div>
</header>
<main>
<div id="picture">{svg}</div>
<aside aria-live="polite" aria-label="Facts"><div id="facts"></div><div id="hint">
<p id="opening">A box with a plus sign shows its operations: click the sign, or click the box and then once
more. By keyboard, press Enter twice. Esc goes back to the modules.</p>
<p>Point at an operation for its facts; click it for its rule and its way to the loss. Click a step to close
and open it.</p>
<p>Keys: Tab comes to the steps and to the operations. From there ← → go through the operations, ↑ towards
the loss, ↓ back to the operands. Enter pins an operation, and closes and opens a step. Esc clears.</p>
<div id="notes"></div>
</div></aside>
</main>
<svg id="markers" width="0" height="0" aria-hidden="true">
<marker id="tip" viewBox="0 0 6 5" refX="6" refY="2.5" markerWidth="6" markerHeight="5"
markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path d="M0,0 6,2.5 0,5z"/></marker>
<marker id="stub" viewBox="0 0 6 2" refX="0" refY="1" markerWidth="6" markerHeight="2"
markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path d="M0,.4h6v1.2h-6z"/></marker>
</svg>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def page(scene: Scene, draw: Callable[[Scene], ElementTree.Element]) -> str:
    """The whole file: the picture, and those inside of its boxes, hidden until they are opened.

    Args:
        draw: a scene's SVG, by an engine (see ``cleaned``) or by our own layout.
    """
    scenes = {"": scene, **scene.inside}
    return _PAGE.format(
        title=html.escape(plain(scene.title, 80)),
        css=_static("viewer.css"),
        svg="".join(
            ElementTree.tostring(_within(of, draw(one)), encoding="unicode") for of, one in scenes.items()
        ),
        data=_json([_content(of, one) for of, one in scenes.items()]),
        script=_static("viewer.js"),
    )


def _within(of: str, drawing: ElementTree.Element) -> ElementTree.Element:
    """The drawing inside of a box, with ids that occur only once in a page."""
    drawing.set("role", "group")
    for g in drawing.iter("g"):
        if "id" in g.attrib:
            g.set("id", _id(of, g.attrib["id"]))
    return drawing


def _id(of: str, id: str) -> str:
    return f"{of}-{id}" if of else id


def _static(name: str) -> str:
    """One of the files beside this one, without indentation."""
    return "\n".join(
        line.strip() for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    )


def cleaned(svg: bytes, scene: Scene) -> ElementTree.Element:
    """An engine's SVG without prolog, comments, links, titles and background."""
    root = ElementTree.fromstring(svg)
    _clean(root)
    for g in root.iter("g"):
        if g.get("class") == "graph":
            for background in g.findall("polygon"):
                g.remove(background)
    return root


def _clean(element: ElementTree.Element) -> None:
    element.tag = _name(element.tag)
    element.attrib = {name: value for name, value in element.attrib.items() if name in _ATTRIBUTES}
    element[:] = _shapes(element)
    for child in element:
        _clean(child)


def _shapes(element: ElementTree.Element) -> list[ElementTree.Element]:
    """What is kept of an element's children; links, and the groups without a class that engines put around
    them, give way to their own."""
    kept: list[ElementTree.Element] = []
    for child in element:
        name = _name(child.tag)
        wrapper = name == "a" or (name == "g" and not child.get("class"))
        kept += _shapes(child) if wrapper else [child] if name in _ELEMENTS else []
    return kept


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


# -- data ----------------------------------------------------------------------------------------------------


def _content(of: str, scene: Scene) -> dict[str, Any]:
    """What the program knows of a picture; ``of`` is the box that it is inside of, or ""."""

    def named(id: str) -> str:
        return _id(of, id)

    return {
        "of": of,
        "title": scene.title,
        "measured": scene.measured,
        "boxes": [
            {
                "id": named(b.id),
                "label": b.label,
                "facts": b.facts,
                "rule": b.rule,
                "group": b.group and named(b.group),
            }
            for b in scene.boxes
        ],
        "arrows": [[*map(named, (a.id, a.source, a.target)), a.back, _finite(a.size)] for a in scene.arrows],
        "groups": [
            {"id": named(group.id), "label": group.label, "text": group.text} for group in scene.groups
        ],
        "moments": [
            {"label": moment.label, "text": moment.text, "at": [*map(named, moment.at)]}
            for moment in scene.moments
        ],
        "legend": scene.legend,
        "notes": scene.notes,
    }


def _finite(size: float | None) -> float | None:
    return float(f"{size:.6g}") if size is not None and math.isfinite(size) else None


def _json(content: Any) -> str:
    """JSON that may stand inside of a script element: no ``<``, and nothing but ASCII."""
    return json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
