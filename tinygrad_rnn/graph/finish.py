"""The last touch to a picture's SVG, whoever laid it out: an engine or our own layout.

Texts take the room that Arial needs, in whatever font they are shown; heads stop before their node; numbers
on arrows keep clear of nodes and of each other, with a halo that sets them off from lines. An image for
itself gets its title, its legend and its notes here as well: so they are the same for all layouts, and are
broken into lines, which an engine does not do.
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..colours import INK
from ..reading.words import plain
from .heads import draw_heads
from .outlines import Outline, Rectangle, around, outline_of, rectangle, room_of
from .paint import PAINTS
from .scene import Scene
from .text import untold, width_of

_FONTS = "Arial, 'Liberation Sans', Helvetica, 'DejaVu Sans', sans-serif"
_HALO = {"paint-order": "stroke", "stroke": "#ffffff", "stroke-width": "3", "stroke-linejoin": "round"}
_MARGIN = 10.0
_LEAST = 640.0
"""The least width in points that title and notes are wrapped to."""

_CELL = 80.0
"""The side of the squares that neighbours are looked for in."""

_MOVES = sorted(
    ((dx, dy) for dx in range(-24, 25, 4) for dy in range(-24, 25, 4)),
    key=lambda move: (abs(move[0]) + 0.9 * abs(move[1]), move),
)
"""Where a label may go to, the nearest first."""


def finished(root: ElementTree.Element, scene: Scene) -> ElementTree.Element:
    """The drawing with texts, heads and labels as they should be; it is changed in place.

    Args:
        root: an SVG of plain names, of an engine (``html.cleaned``) or of our own layout.
    """
    graph = root.find("g")
    assert graph is not None
    graph.attrib.pop("transform", None)
    root.set("font-family", _FONTS)
    nodes, edges, clusters = (_of_class(graph, name) for name in ("node", "edge", "cluster"))
    for text in root.iter("text"):
        _set(text)
    outlines = {g.get("id", ""): outline for g in nodes if (outline := _outline(g)) is not None}
    tables = {box.id for box in scene.boxes if box.look.get("shape") == "plain"}
    for g in nodes:
        if g.get("id") in outlines and g.get("id") not in tables:
            _centre(g, outlines[g.get("id", "")])
    taken = _Taken()
    taken.add(*outlines.values())
    for g in clusters:
        taken.add(*map(_as_outline, _align(g)))
    ends = {arrow.id: (arrow.source, arrow.target) for arrow in scene.arrows}
    between = [[outlines[end] for end in ends.get(g.get("id", ""), ()) if end in outlines] for g in edges]
    taken.add(*draw_heads(list(zip(edges, between, strict=True)), outlines.values()))
    for g in edges:
        for text in g.findall("text"):
            text.attrib.update(_HALO)
            _move(text, taken)
    _enclose(root, graph, scene)
    return root


def _of_class(graph: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [g for g in graph if g.get("class", "").split()[:1] == [name]]


def _outline(node: ElementTree.Element) -> Outline | None:
    """Of its shapes; of a node without any, of its text."""
    shapes = outline_of([shape for shape in node if shape.tag != "text"])
    texts = [] if shapes else [_box_of(text) for text in node.findall("text")]
    return _as_outline(around(texts)) if texts else shapes


def _enclose(root: ElementTree.Element, graph: ElementTree.Element, scene: Scene) -> None:
    """The picture is as large as what is drawn, texts included."""
    boxes = [_box_of(text) for text in graph.iter("text")]
    for shape in graph.iter():
        if shape.tag not in ("g", "text") and (room := room_of(shape)) is not None:
            boxes.append(room)
    left, top, right, bottom = around(boxes) if boxes else (0.0, 0.0, 0.0, 0.0)
    width, height = right - left + 2 * _MARGIN, bottom - top + 2 * _MARGIN
    _resize(root, scene, left - _MARGIN, top - _MARGIN, width, height)


def _resize(
    root: ElementTree.Element, scene: Scene, left: float, top: float, width: float, height: float
) -> None:
    """A unit is a point, or as much smaller as the width that it may have wants it shown."""
    placed = scene.placed
    scale = min(4 / 3, scene.width / width) if placed is None else placed.shown / placed.width
    root.set("viewBox", f"{left:.1f} {top:.1f} {width:.1f} {height:.1f}")
    root.set("width", f"{width * scale:.0f}")
    root.set("height", f"{height * scale:.0f}")


# -- texts ---------------------------------------------------------------------------------------------------


def _set(text: ElementTree.Element) -> None:
    """As wide as in Arial, whatever font it is shown in."""
    said = (text.text or "").rstrip(" ")
    if said[:1] == " " or "  " in said:
        said = "".join("\xa0" if c == " " and said[i - 1 : i] in ("", " ") else c for i, c in enumerate(said))
    text.text = said
    text.attrib.pop("font-family", None)
    width = width_of(said, _points_of(text), text.get("font-weight") == "bold")
    if width and said.strip():
        text.set("textLength", f"{width:.1f}")
        text.set("lengthAdjust", "spacingAndGlyphs")


def _width_of(text: ElementTree.Element) -> float:
    return float(text.get("textLength", "0"))


def _points_of(text: ElementTree.Element) -> float:
    return float(text.get("font-size", "12"))


def _box_of(text: ElementTree.Element) -> Rectangle:
    """From the top of its capitals to the bottom of its longest letters."""
    width, points = _width_of(text), _points_of(text)
    x, y = float(text.get("x", "0")), float(text.get("y", "0"))
    left = x - width * {"middle": 0.5, "end": 1.0}.get(text.get("text-anchor", ""), 0.0)
    return left, y - 0.75 * points, left + width, y + 0.22 * points


def _centre(node: ElementTree.Element, outline: Outline) -> None:
    """Lines of text in the middle of their node, where an engine that measures another font puts them beside
    it."""
    texts = node.findall("text")
    if len({text.get("y") for text in texts}) == len(texts):
        for text in texts:
            text.set("text-anchor", "middle")
            text.set("x", f"{(outline.box[0] + outline.box[2]) / 2:.2f}")


def _align(cluster: ElementTree.Element) -> list[Rectangle]:
    """Its label begins where its frame does, and stands out from lines that cross it."""
    shapes, texts = [shape for shape in cluster if shape.tag != "text"], cluster.findall("text")
    frame = outline_of(shapes)
    if frame is not None:
        for text in texts:
            text.attrib |= {**_HALO, "text-anchor": "start", "x": f"{frame.box[0] + 8:.2f}"}
            text.set("stroke", shapes[0].get("fill", "none"))
    return [_box_of(text) for text in texts]


# -- labels of arrows ----------------------------------------------------------------------------------------


def _as_outline(box: Rectangle) -> Outline:
    return Outline(rectangle(box))


class _Taken:
    """What stands where, by squares."""

    def __init__(self) -> None:
        self._squares: dict[tuple[int, int], list[Outline]] = defaultdict(list)

    def add(self, *outlines: Outline) -> None:
        for outline in outlines:
            for square in _squares(outline.box):
                self._squares[square].append(outline)

    def meets(self, box: Rectangle) -> bool:
        return any(
            outline.meets(box) for square in _squares(box) for outline in self._squares.get(square, ())
        )


def _squares(box: Rectangle) -> Iterator[tuple[int, int]]:
    left, top, right, bottom = (int(side // _CELL) for side in box)
    return itertools.product(range(left, right + 1), range(top, bottom + 1))


def _move(text: ElementTree.Element, taken: _Taken) -> None:
    """To the nearest place where nothing else is; where there is none it stays."""
    left, top, right, bottom = _box_of(text)
    for dx, dy in _MOVES:
        box = left + dx - 1, top + dy - 1, right + dx + 1, bottom + dy + 1
        if not taken.meets(box):
            text.set("x", f"{float(text.get('x', '0')) + dx:.2f}")
            text.set("y", f"{float(text.get('y', '0')) + dy:.2f}")
            break
    taken.add(_as_outline(_box_of(text)))


# -- an image for itself -------------------------------------------------------------------------------------


def titled(root: ElementTree.Element, scene: Scene) -> str:
    """A finished drawing as the text of a file: with title, legend and notes, what is known of a node or an
    arrow as its tooltip, and numbers and the names of frames above all lines."""
    graph = root.find("g")
    assert graph is not None
    looks = {box.id: box.look for box in scene.boxes} | {arrow.id: arrow.look for arrow in scene.arrows}
    numbers = ElementTree.Element("g", {"class": "labels"})
    for g in graph:
        tip = looks.get(g.get("id", ""), {}).get("tooltip")
        if tip:
            title = ElementTree.Element("title")
            title.text = untold(tip)
            g.insert(0, title)
        if g.get("class", "").split()[:1] in (["edge"], ["cluster"]):
            for text in g.findall("text"):
                g.remove(text)
                numbers.append(text)
    graph.append(numbers)
    left, top, width, height = map(float, root.get("viewBox", "0 0 0 0").split())
    head = ElementTree.Element("g", {"class": "head"})
    wide, high = _write_head(head, scene, left + _MARGIN, max(width, _LEAST) - 2 * _MARGIN)
    width, top, height = max(width, wide + 2 * _MARGIN), top - high, height + high
    head.set("transform", f"translate(0,{top + _MARGIN:.1f})")
    _resize(root, scene, left, top, width, height)
    ground = {"fill": "#ffffff", "points": _points((left, top, left + width, top + height))}
    root[:] = [ElementTree.Element("polygon", ground), head, *root]
    root.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "style": "max-width: 100%; height: auto"}
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _points(box: Rectangle) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in rectangle(box))


def _write_head(head: ElementTree.Element, scene: Scene, left: float, width: float) -> tuple[float, float]:
    """Title, legend and notes from the top down, and how wide and high they are."""
    wide, y = 0.0, 0.0
    for line in _wrapped(plain(scene.title, 80).split(" "), " ", 14, width, bold=True):
        y += 17
        wide = max(wide, _write(head, line, left, y - 3, 14, INK, bold=True))
    x, row = left, 0.0
    for css, text in scene.legend:
        room = _ICON + width_of(text, 10) + 18
        if row == 0.0 or x + room - 18 > left + width:
            x, row, y = left, y + 20, y + 20
        _draw_icon(head, css, x, y - 8)
        wide = max(wide, x + _ICON + _write(head, text, x + _ICON, y - 4, 10, INK) - left)
        x += room
    notes = [note for note in scene.notes if note]
    for line in _wrapped(notes, " · ", 9, width):
        y += 14
        wide = max(wide, _write(head, line, left, y - 3, 9, "#555555"))
    return wide, y + 6


def _wrapped(
    parts: Sequence[str], between: str, points: float, width: float, bold: bool = False
) -> list[str]:
    """Lines of parts, no wider than asked; a part that alone is wider is parted at its spaces."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{between}{part}" if lines else part
        if lines and width_of(longer, points, bold) <= width:
            lines[-1] = longer
        elif between != " " and width_of(part, points, bold) > width:
            lines += _wrapped(part.split(" "), " ", points, width, bold)
        else:
            lines.append(part)
    return lines


def _write(
    head: ElementTree.Element, said: str, x: float, y: float, points: float, fill: str, bold: bool = False
) -> float:
    """A text of the head, and how wide it is."""
    style = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": f"{points:g}", "fill": fill}
    text = ElementTree.SubElement(head, "text", style | ({"font-weight": "bold"} if bold else {}))
    text.text = said
    _set(text)
    return _width_of(text)


_ICON = 18.0
"""The room of a shape beside its meaning."""

_ICONS = {
    "case1": "0,0 3.5,-6 10.5,-6 14,0 10.5,6 3.5,6",
    "case2": "",
    "case3": "0,0 7,-7 14,0 7,7",
}
"""Corners of the shape that a case has, or none for a circle."""


def _draw_icon(head: ElementTree.Element, css: str, x: float, y: float) -> None:
    paint = next((paint for paint in PAINTS.values() if paint.css == css), None)
    if paint is None:
        return
    style = {"fill": paint.fill, "stroke": paint.line, "stroke-width": "1.8"}
    style["transform"] = f"translate({x:.1f},{y:.1f})"
    if _ICONS[css]:
        ElementTree.SubElement(head, "polygon", {**style, "points": _ICONS[css]})
    else:
        ElementTree.SubElement(head, "ellipse", {**style, "cx": "7", "cy": "0", "rx": "6.5", "ry": "6.5"})
