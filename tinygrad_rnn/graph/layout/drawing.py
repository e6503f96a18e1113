"""A placement as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from ...reading.words import plain
from ..placement import Curve, Frame, Placement, Spot
from ..scene import Arrow, Box, Scene
from .pattern import HEAD
from .sizes import FONT, LABEL, LINE, SMALL, TITLE, lines_of

_DASHES = {"dotted": "1,5", "dashed": "5,2"}
_BAND, _STEP = ("#FFFBD6", "#E6D95A"), ("#FAFAFA", "#C9C9C9")
_DARK = "#1A1A1A"


def drawn(scene: Scene, placement: Placement) -> ElementTree.Element:
    """The scene as an SVG element."""
    width, height = f"{placement.width:.0f}", f"{placement.height:.0f}"
    root = ElementTree.Element("svg", {"viewBox": f"0 0 {width} {height}", "width": width, "height": height})
    graph = ElementTree.SubElement(root, "g", {"class": "graph"})
    for group in scene.groups:
        label = f"{plain(group.label)} \xa0 {group.text}".rstrip()
        _frame(graph, {"id": group.id, "class": "cluster"}, placement.frames[group.id], _STEP, label)
    for band in placement.bands:
        _frame(graph, {"class": "cluster"}, band, _BAND, scene.band)
    for arrow in scene.arrows:
        _arrow(graph, arrow, placement)
    for sign in placement.signs:
        g = ElementTree.SubElement(graph, "g", {"id": sign.id, "class": "node"})
        _write(g, sign.text, sign.spot.x, sign.spot.y + 3, SMALL, "#555555")
    for box in scene.boxes:
        _box(graph, box, placement.spots[box.id])
    return root


def _frame(
    graph: ElementTree.Element, names: dict[str, str], at: Frame, paint: tuple[str, str], label: str
) -> None:
    g = ElementTree.SubElement(graph, "g", names)
    corners = [(at.left, at.top), (at.right, at.top), (at.right, at.bottom), (at.left, at.bottom)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    ElementTree.SubElement(g, "polygon", {"fill": paint[0], "stroke": paint[1], "points": points})
    if label:
        _write(g, label, at.left + 7, at.top + 13, TITLE, _DARK, anchor="start")


# -- arrows --------------------------------------------------------------------------------------------------


def _arrow(graph: ElementTree.Element, arrow: Arrow, placement: Placement) -> None:
    """The head, where a residual leaves, stands at the source."""
    look, road = arrow.look, placement.roads[arrow.id]
    colour, width = look.get("color") or "#8A8A8A", look.get("penwidth") or "1"
    names = {"id": arrow.id, "class": f"edge {look.get('class') or ''}".strip()}
    g = ElementTree.SubElement(graph, "g", names)
    path = _path(shortened(road.curve) if arrow.back else road.curve) + (_path(road.rest) if road.rest else "")
    attributes = {"fill": "none", "stroke": colour, "stroke-width": width, "d": path}
    if look.get("style") in _DASHES:
        attributes["stroke-dasharray"] = _DASHES[look["style"] or ""]
    ElementTree.SubElement(g, "path", attributes)
    if arrow.back:
        x, y = road.curve[0]
        half = half_of_head(float(width))
        corners = f"{x + HEAD:.1f},{y - half:.1f} {x:.1f},{y:.1f} {x + HEAD:.1f},{y + half:.1f}"
        ElementTree.SubElement(g, "polygon", {"fill": colour, "stroke": "none", "points": corners})
    if look.get("label"):
        x, y = road.label
        _write(g, look["label"] or "", x, y - 3 - float(width) / 2, LABEL, look.get("fontcolor") or _DARK)


def shortened(curve: Curve) -> Curve:
    """Without what the head at its beginning covers."""
    return [(curve[0][0] + HEAD, curve[0][1]), *curve[1:]]


def half_of_head(width: float) -> float:
    """Half the height of an arrow's head."""
    return 2.4 + width / 2


def _path(curve: Curve) -> str:
    text = f"M{curve[0][0]:.1f},{curve[0][1]:.1f}"
    for k in range(1, len(curve), 3):
        text += "C" + " ".join(f"{x:.1f},{y:.1f}" for x, y in curve[k : k + 3])
    return text


# -- boxes ---------------------------------------------------------------------------------------------------


def _box(graph: ElementTree.Element, box: Box, at: Spot) -> None:
    look, shape = box.look, box.look.get("shape")
    g = ElementTree.SubElement(graph, "g", {"id": box.id, "class": f"node {look.get('class') or ''}".strip()})
    paint = {
        "fill": look.get("fillcolor") or "white", "stroke": look.get("color") or _DARK,
        "stroke-width": look.get("penwidth") or "1.2"
    }  # fmt: skip
    if shape == "circle":
        size = {"cx": at.x, "cy": at.y, "rx": at.width / 2, "ry": at.height / 2}
        ElementTree.SubElement(
            g, "ellipse", {**paint, **{name: f"{value:.1f}" for name, value in size.items()}}
        )
    elif paint["fill"] != "transparent":
        double = bool(look.get("peripheries")) or shape == "doubleoctagon"
        ElementTree.SubElement(g, "polygon", {**paint, "points": _outline(shape, at, 0)})
        if double:
            ElementTree.SubElement(g, "polygon", {**paint, "fill": "none", "points": _outline(shape, at, -3)})
    lines = lines_of(box)
    for i, line in enumerate(lines):
        y = at.y + 4 + LINE * (i - (len(lines) - 1) / 2)
        _write(g, line, at.x, y, SMALL if i else FONT, look.get("fontcolor") or _DARK)


def _outline(shape: str | None, at: Spot, out: float) -> str:
    """The corners of a shape, so many points further out."""
    w, h = at.width / 2 + out, at.height / 2 + out
    cut = {"hexagon": (8.0, h), "doubleoctagon": (7.0, 7.0), "diamond": (w, h)}.get(shape or "", (0.0, 0.0))
    if shape == "cds":
        corners = [(-w, -h), (w - 8, -h), (w, 0.0), (w - 8, h), (-w, h)]
    else:
        a, b = w - cut[0], h - cut[1]
        corners = [(-a, -h), (a, -h), (w, -b), (w, b), (a, h), (-a, h), (-w, b), (-w, -b)]
    return " ".join(f"{at.x + x:.1f},{at.y + y:.1f}" for x, y in dict.fromkeys(corners))


def _write(
    g: ElementTree.Element, text: str, x: float, y: float, size: float, colour: str, anchor: str = "middle"
) -> None:
    style = {"text-anchor": anchor, "x": f"{x:.1f}", "y": f"{y:.1f}", "font-family": "Arial"}
    element = ElementTree.SubElement(g, "text", {**style, "font-size": f"{size:g}", "fill": colour})
    element.text = text
