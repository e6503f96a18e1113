"""A placement as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from ...colours import INK
from ...reading.words import plain
from ..outlines import path_of
from ..placement import HEAD, Curve, Frame, Placement, Spot
from ..scene import Arrow, Box, Scene
from .sizes import BELOW, FONT, LABEL, ROW, SIGN, TITLE, lines_of

_DASHES = {"dotted": "1,5", "dashed": "5,2"}
_BAND, _STEP = ("#FFFBD6", "#E6D95A"), ("#FAFAFA", "#C9C9C9")


def drawn(scene: Scene, placement: Placement) -> ElementTree.Element:
    """The scene as an SVG element."""
    root = ElementTree.Element(
        "svg",
        {
            "viewBox": f"0 0 {placement.width:.1f} {placement.height:.1f}",
            "width": f"{placement.shown:.0f}",
            "height": f"{placement.shown_height:.0f}",
        },
    )
    graph = ElementTree.SubElement(root, "g", {"class": "graph"})
    for lane, label in placement.lanes:
        _frame(graph, {"class": "cluster"}, lane, _STEP, plain(label))
    for group in scene.groups:
        label = f"{plain(group.label)} \xa0 {group.text}".rstrip()
        _frame(graph, {"id": group.id, "class": "cluster"}, placement.frames[group.id], _STEP, label)
    for band, label in placement.bands:
        _frame(graph, {"class": "cluster"}, band, _BAND, label)
    for arrow in scene.arrows:
        _arrow(graph, arrow, placement)
    for sign in placement.signs:
        g = ElementTree.SubElement(graph, "g", {"id": sign.id, "class": "node"})
        _write(g, sign.text, sign.spot.x, sign.spot.y + 3.5, SIGN, "#555555")
    for box in scene.boxes:
        _box(graph, box, placement.spots[box.id])
    return root


def _frame(
    graph: ElementTree.Element, names: dict[str, str], at: Frame, paint: tuple[str, str], label: str
) -> None:
    g = ElementTree.SubElement(graph, "g", names)
    colours = {"fill": paint[0], "stroke": paint[1]}
    _rectangle(g, colours, at.left, at.top, at.right - at.left, at.bottom - at.top, 9.0)
    if label:
        _write(g, label, at.left + 7, at.top + 13, TITLE, INK, anchor="start")


# -- arrows --------------------------------------------------------------------------------------------------


def _arrow(graph: ElementTree.Element, arrow: Arrow, placement: Placement) -> None:
    """The head, where a residual leaves, stands at the source."""
    look, road = arrow.look, placement.roads[arrow.id]
    colour, width = look.get("color") or "#8A8A8A", look.get("penwidth") or "1"
    names = {"id": arrow.id, "class": f"edge {look.get('class') or ''}".strip()}
    g = ElementTree.SubElement(graph, "g", names)
    line = {"fill": "none", "stroke": colour, "stroke-width": width}
    if look.get("style") in _DASHES:
        line["stroke-dasharray"] = _DASHES[look["style"] or ""]
    curves = [_shortened(road.curve) if arrow.back else road.curve, *([road.rest] if road.rest else [])]
    for curve in curves:
        ElementTree.SubElement(g, "path", {**line, "d": path_of(curve)})
    if arrow.back:
        x, y = road.curve[0]
        half = 2.4 + float(width) / 2
        corners = f"{x + HEAD:.1f},{y - half:.1f} {x:.1f},{y:.1f} {x + HEAD:.1f},{y + half:.1f}"
        ElementTree.SubElement(g, "polygon", {"fill": colour, "stroke": "none", "points": corners})
    if look.get("label"):
        foot = road.foot(LABEL, float(width))
        _write(g, look["label"] or "", road.label[0], foot, LABEL, look.get("fontcolor") or INK)


def _shortened(curve: Curve) -> Curve:
    """Without what the head at its beginning covers."""
    return [(curve[0][0] + HEAD, curve[0][1]), *curve[1:]]


# -- boxes ---------------------------------------------------------------------------------------------------


def _box(graph: ElementTree.Element, box: Box, at: Spot) -> None:
    look, shape = box.look, box.look.get("shape")
    g = ElementTree.SubElement(graph, "g", {"id": box.id, "class": f"node {look.get('class') or ''}".strip()})
    if shape == "plain":
        _table(g, box, at)
        return
    paint = {
        "fill": look.get("fillcolor") or "white", "stroke": look.get("color") or INK,
        "stroke-width": look.get("penwidth") or "1.2"
    }  # fmt: skip
    if shape == "circle":
        size = {"cx": at.x, "cy": at.y, "rx": at.width / 2, "ry": at.height / 2}
        ElementTree.SubElement(
            g, "ellipse", {**paint, **{name: f"{value:.1f}" for name, value in size.items()}}
        )
    elif "rounded" in (look.get("style") or ""):
        _rectangle(g, paint, at.x - at.width / 2, at.y - at.height / 2, at.width, at.height, 8.0)
    elif paint["fill"] != "transparent":
        double = bool(look.get("peripheries")) or shape == "doubleoctagon"
        ElementTree.SubElement(g, "polygon", {**paint, "points": _outline(shape, at, 0)})
        if double:
            ElementTree.SubElement(g, "polygon", {**paint, "fill": "none", "points": _outline(shape, at, -4)})
    _lines(g, box, at)


def _lines(g: ElementTree.Element, box: Box, at: Spot) -> None:
    """The text of a box around its middle."""
    first = float(box.look.get("fontsize") or FONT)
    lines, small = lines_of(box), SIGN if box.look.get("margin") else BELOW
    heights = [1.2 * (small if i else first) for i in range(len(lines))]
    y = at.y - sum(heights) / 2
    for i, (line, height) in enumerate(zip(lines, heights, strict=True)):
        size = small if i else first
        y += height
        _write(g, line, at.x, y - height / 2 + 0.35 * size, size, box.look.get("fontcolor") or INK)


def _table(g: ElementTree.Element, box: Box, at: Spot) -> None:
    """A title, and a line for each state."""
    left, top = at.x - at.width / 2, at.y - at.height / 2
    for i, fill in enumerate(box.fills, start=1):
        if fill:
            _rectangle(g, {"fill": fill, "stroke": "none"}, left, top + i * ROW, at.width, ROW)
    line = "#8A8A8A" if any(box.fills) else "none"
    _rectangle(g, {"fill": "none", "stroke": line}, left, top, at.width, at.height)
    for i, text in enumerate(lines_of(box)):
        y, style = top + (i + 0.5) * ROW + 4, {} if i else {"font-weight": "bold"}
        x, anchor = (left + 7, "start") if i else (at.x, "middle")
        _write(g, text, x, y, FONT, INK, anchor, **style)


def _rectangle(
    g: ElementTree.Element,
    paint: dict[str, str],
    x: float,
    y: float,
    width: float,
    height: float,
    cut: float = 0,
) -> None:
    """A rectangle, with corners rounded so far."""
    right, bottom, r = x + width, y + height, min(cut, width / 2, height / 2)
    if not r:
        corners = [(x, y), (right, y), (right, bottom), (x, bottom)]
        ElementTree.SubElement(
            g, "polygon", {**paint, "points": " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}
        )
        return
    turns = [
        ((x + r, y), (right - r, y), (right, y)), ((right, y + r), (right, bottom - r), (right, bottom)),
        ((right - r, bottom), (x + r, bottom), (x, bottom)), ((x, bottom - r), (x, y + r), (x, y)),
    ]  # fmt: skip
    text = ""
    for k, (start, end, corner) in enumerate(turns):
        following = turns[(k + 1) % 4][0]
        text += f"{'L' if k else 'M'}{start[0]:.1f},{start[1]:.1f}L{end[0]:.1f},{end[1]:.1f}"
        bend = " ".join(
            f"{(p[0] + corner[0]) / 2:.1f},{(p[1] + corner[1]) / 2:.1f}" for p in (end, following)
        )
        text += f"C{bend} {following[0]:.1f},{following[1]:.1f}"
    ElementTree.SubElement(g, "path", {**paint, "d": text + "Z"})


def _outline(shape: str | None, at: Spot, out: float) -> str:
    """The corners of a shape, so many points further out."""
    w, h = at.width / 2 + out, at.height / 2 + out
    cut = {"hexagon": (w / 2, h), "doubleoctagon": (7.0, 7.0), "diamond": (w, h)}.get(shape or "", (0.0, 0.0))
    if shape == "cds":
        corners = [(-w, -h), (w - 8, -h), (w, 0.0), (w - 8, h), (-w, h)]
    else:
        a, b = w - cut[0], h - cut[1]
        corners = [(-a, -h), (a, -h), (w, -b), (w, b), (a, h), (-a, h), (-w, b), (-w, -b)]
    return " ".join(f"{at.x + x:.1f},{at.y + y:.1f}" for x, y in dict.fromkeys(corners))


def _write(
    g: ElementTree.Element,
    text: str,
    x: float,
    y: float,
    size: float,
    colour: str,
    anchor: str = "middle",
    **style: str,
) -> None:
    place = {"text-anchor": anchor, "x": f"{x:.1f}", "y": f"{y:.1f}", "font-family": "Arial"}
    element = ElementTree.SubElement(g, "text", {**place, **style, "font-size": f"{size:g}", "fill": colour})
    element.text = text
