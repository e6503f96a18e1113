"""A picture as a page: the SVG, what is known of every box, and a small program that shows it.

Users' text gets into the page as text in the SVG or as data of ``pages``, so it cannot become markup.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .. import pages
from ..reading.words import plain
from .scene import Scene

_ELEMENTS = {"svg", "g", "path", "polygon", "polyline", "ellipse", "text"}
_ATTRIBUTES = {
    "class", "cx", "cy", "d", "fill", "font-family", "font-size", "font-style", "font-weight", "height", "id",
    "lengthAdjust", "paint-order", "points", "rx", "ry", "stroke", "stroke-dasharray", "stroke-linejoin",
    "stroke-width", "text-anchor", "textLength", "transform", "viewBox", "width", "x", "y",
}  # fmt: skip
"""What is taken over from an engine's SVG: shapes and text, without links, titles and styles."""

_VIEWER = Path(__file__).parent / "viewer"

_PROGRAM = ("shown", "view", "facts", "rows", "steps", "search", "play", "page")
"""The files of the page's program, as one: each may use the names of all, once the last has begun."""


def page(scene: Scene, draw: Callable[[Scene], ElementTree.Element]) -> str:
    """The whole file: the picture, and those inside of its boxes, hidden until they are opened.

    Args:
        draw: a scene's SVG, by an engine (see ``cleaned``) or by our own layout.
    """
    scenes = list(_scenes("", "", scene))
    svg = "".join(ElementTree.tostring(_within(of, draw(one)), encoding="unicode") for of, _, one in scenes)
    return pages.page(
        plain(scene.title, 80),
        pages.source(_VIEWER, "page.html").format(svg=svg),
        pages.style_of(_VIEWER, "page.css"),
        pages.program_of(_VIEWER, *(f"{name}.js" for name in _PROGRAM)),
        [_content(*one) for one in scenes],
    )


def _scenes(of: str, within: str, scene: Scene) -> Iterator[tuple[str, str, Scene]]:
    """A picture and all inside of its boxes: the box that each is inside of, or "", and that box's own."""
    yield of, within, scene
    for box, inside in scene.inside.items():
        yield from _scenes(_id(of, box), of, inside)


def _within(of: str, drawing: ElementTree.Element) -> ElementTree.Element:
    """The drawing inside of a box, with ids that occur only once in a page."""
    drawing.set("role", "group")
    for g in drawing.iter("g"):
        if "id" in g.attrib:
            g.set("id", _id(of, g.attrib["id"]))
    return drawing


def _id(of: str, id: str) -> str:
    return f"{of}-{id}" if of else id


def cleaned(svg: bytes) -> ElementTree.Element:
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


def _content(of: str, within: str, scene: Scene) -> dict[str, Any]:
    """What the program knows of a picture."""

    def named(id: str) -> str:
        return _id(of, id)

    return {
        "of": of,
        "within": within,
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
        "arrows": [
            [
                *map(named, (a.id, a.source, a.target)),
                *(a.back, pages.rounded(a.size), pages.rounded(a.gain)),
                [sign and named(sign) for sign in scene.placed.cut.get(a.id, ())] if scene.placed else [],
            ]
            for a in scene.arrows
        ],
        "stretches": [
            {
                "group": one.group and named(one.group),
                "boxes": [*map(named, one.boxes)],
                "signs": [*map(named, one.signs)],
                "frame": [one.frame.left, one.frame.top, one.frame.right, one.frame.bottom],
                "level": one.level,
                "ways": [
                    [named(id), [[round(x, 1), round(y, 1)] for x, y in curve]]
                    for id, curve in one.ways.items()
                ],
            }
            for one in (scene.placed.stretches if scene.placed and scene.groups else ())
        ],
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
