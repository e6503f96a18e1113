"""A layered layout of our own, for where there is no Graphviz (Sugiyama's method).

    column 0    1        2       3       a box stands to the right of all that it needs;
      x ────▶ [ × ] ─▶ [ + ] ─▶ loss     an arrow over several columns takes a place in each;
      w ──────┘          ▲               items of a column stand in the order of the means of their
      b ─────── · ───────┘               neighbours' places, so that few arrows cross

Boxes on the path of a state keep to one line; what stands in no step stands below the steps.

It knows nothing of ranks, weights and ports; it gives the same ids and classes as an engine's SVG, so a page
works with either.
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..reading.words import plain
from .scene import Arrow, Box, Scene
from .text import width_of

_LINE, _FONT, _SMALL, _MARGIN, _LANE, _HEAD = 15.0, 12.0, 10.0, 14.0, 12.0, 6.0
"""In points: a line of text, letters of first and of further lines, space around everything, between items,
and an arrow's head."""

_Item = tuple[str, int]
"""What stands in a column: a box, or an arrow on its way through; with the index of the column."""

_DASHES = {"dotted": "1,5", "dashed": "5,2"}


@dataclass
class _Spot:
    """Where an item stands: its column, size and centre, and its lane: 0 the state's line, 2 below a group
    that it is not in, else 1."""

    column: int
    width: float
    height: float
    lane: int
    x: float = 0.0
    y: float = 0.0


def svg_of(scene: Scene) -> ElementTree.Element:
    """The scene as an SVG element."""
    columns = _columns(scene)
    framed = {columns[box.id] for box in scene.boxes if box.group}
    spots = {
        (box.id, column): _Spot(
            column, *_size(box), 0 if box.straight else 2 if column in framed and not box.group else 1
        )
        for box, column in ((box, columns[box.id]) for box in scene.boxes)
    }
    ways = [_way(scene, arrow, columns, spots) for arrow in scene.arrows]
    stacks = _stacks(spots, ways)
    grouped = {box.id: box.group for box in scene.boxes}
    _place_down(stacks, spots, ways, {item: grouped.get(item[0]) for item in spots})
    _place_across(stacks, spots, scene.measured)
    root = ElementTree.Element("svg")
    graph = ElementTree.SubElement(root, "g", {"class": "graph"})
    at = {box.id: spots[box.id, columns[box.id]] for box in scene.boxes}
    if scene.band:
        _draw_frame(
            graph, {}, [at[box.id] for box in scene.boxes if box.straight], ("#fffbd6", "#e6d95a"), scene.band
        )
    for group in scene.groups:
        label = f"{plain(group.label)} \xa0 {group.text}".rstrip()
        _draw_frame(
            graph,
            {"id": group.id},
            [at[box.id] for box in scene.boxes if box.group == group.id],
            ("#fafafa", "#c9c9c9"),
            label,
        )
    for arrow, way, lower in zip(scene.arrows, ways, _side_by_side(scene), strict=True):
        _draw_arrow(graph, arrow, [spots[item] for item in way], lower)
    for box in scene.boxes:
        _draw_box(graph, box, at[box.id])
    left, right, top, bottom = _bounds(list(spots.values()))
    left, right, top, bottom = (
        left - 2 * _MARGIN,
        right + 2 * _MARGIN,
        top - 3 * _MARGIN,
        bottom + 2 * _MARGIN,
    )
    root.set("viewBox", f"{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}")
    root.set("width", f"{right - left:.0f}pt")
    root.set("height", f"{bottom - top:.0f}pt")
    return root


# -- columns and stacks --------------------------------------------------------------------------------------


def _columns(scene: Scene) -> dict[str, int]:
    """Each box to the right of all that it needs; groups one after the other; leaves just before their first
    use, or before its group."""
    sources, targets = defaultdict(list), defaultdict(list)
    for arrow in scene.arrows:
        sources[arrow.target].append(arrow.source)
        targets[arrow.source].append(arrow.target)
    turn = {group.id: i + 1 for i, group in enumerate(scene.groups)}
    turns: dict[str, int] = {}
    for box in scene.boxes:
        turns[box.id] = (
            turn[box.group]
            if box.group in turn
            else max((turns.get(s, 0) for s in sources[box.id]), default=0)
        )
    columns: dict[str, int] = {}
    begins: dict[str, int] = {}
    for box in sorted(scene.boxes, key=lambda box: turns[box.id]):
        if sources[box.id]:
            first = begins.setdefault(box.group, 1 + max(columns.values(), default=0)) if box.group else 0
            columns[box.id] = max(first, *(columns.get(s, 0) for s in sources[box.id])) + 1
    groups = {box.id: box.group for box in scene.boxes}
    for box in scene.boxes:
        if not sources[box.id]:
            uses = (
                columns[t] if groups[t] == box.group else begins.get(groups[t] or "", columns[t])
                for t in targets[box.id]
            )
            columns[box.id] = min(uses, default=1) - 1
    return columns


def _way(scene: Scene, arrow: Arrow, columns: dict[str, int], spots: dict[_Item, _Spot]) -> list[_Item]:
    """The items that an arrow meets, one in each column; on the way it gets spots of its own."""
    ends = [(arrow.source, columns[arrow.source]), (arrow.target, columns[arrow.target])]
    lane = max(spots[end].lane for end in ends)
    between = [(arrow.id, column) for column in range(ends[0][1] + 1, ends[1][1])]
    spots.update({item: _Spot(item[1], 0.0, 4.0, lane) for item in between})
    return [ends[0], *between, ends[1]]


def _stacks(spots: dict[_Item, _Spot], ways: Sequence[Sequence[_Item]]) -> list[list[_Item]]:
    """The items of each column, ordered by the means of their neighbours' places, from the left, from the
    right, and again."""
    stacks: list[list[_Item]] = [[] for _ in range(1 + max(spot.column for spot in spots.values()))]
    for item, spot in spots.items():
        stacks[spot.column].append(item)
    before, after = _neighbours(ways), _neighbours([way[::-1] for way in ways])
    for sweep in range(8):
        neighbours, ordered = (before, stacks) if sweep % 2 == 0 else (after, stacks[::-1])
        place = {item: float(i) for stack in stacks for i, item in enumerate(stack)}
        for stack in ordered:
            means = {item: _mean([place[n] for n in neighbours[item]], place[item]) for item in stack}
            stack.sort(key=lambda item: (spots[item].lane, means[item]))
            place.update({item: float(i) for i, item in enumerate(stack)})
    return stacks


def _neighbours(ways: Sequence[Sequence[_Item]]) -> dict[_Item, list[_Item]]:
    neighbours: dict[_Item, list[_Item]] = defaultdict(list)
    for way in ways:
        for one, other in itertools.pairwise(way):
            neighbours[other].append(one)
    return neighbours


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _place_down(
    stacks: list[list[_Item]],
    spots: dict[_Item, _Spot],
    ways: Sequence[Sequence[_Item]],
    groups: dict[_Item, str | None],
) -> None:
    """Each item stands level with its neighbours on the left, or lower where those above it need the room.
    What is in no group stands below the groups."""
    before, floor = _neighbours(ways), -1e9
    for lanes in ((0, 1), (2,)):
        for stack in stacks:
            down = floor
            for item in stack:
                spot = spots[item]
                if spot.lane in lanes:
                    wished = (
                        0.0
                        if spot.lane == 0
                        else max(_mean([spots[n].y for n in before[item]], 0.0), down + spot.height / 2)
                    )
                    spot.y = wished
                    down = spot.y + spot.height / 2 + _LANE
        floor = max((s.y + s.height / 2 for s in spots.values() if s.lane in lanes), default=0.0) + 3 * _LANE


def _place_across(stacks: list[list[_Item]], spots: dict[_Item, _Spot], labelled: bool) -> None:
    x = 0.0
    for stack in stacks:
        width = max((spots[item].width for item in stack), default=0.0)
        for item in stack:
            spots[item].x = x + width / 2
        x += width + (56 if labelled else 34)


# -- drawing -------------------------------------------------------------------------------------------------


def _lines(box: Box) -> list[str]:
    return [plain(line, 60) for line in (box.label, *box.lines)] if box.lines else [plain(box.label)]


def _size(box: Box) -> tuple[float, float]:
    lines = _lines(box)
    widths = [width_of(lines[0], _FONT), *(width_of(line, _SMALL) for line in lines[1:])]
    text, height = max(widths) + 11, _LINE * len(lines) + 10
    if box.look.get("shape") in ("circle", "diamond"):
        side = max(26.0, text, height) * (1.25 if box.look["shape"] == "diamond" else 1)
        return side, side
    return text + 12, height


def _bounds(spots: Sequence[_Spot]) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of all that stands there; of nothing, a point."""
    across = [spot.x + side * spot.width / 2 for spot in spots for side in (-1, 1)] or [0.0]
    down = [spot.y + side * spot.height / 2 for spot in spots for side in (-1, 1)] or [0.0]
    return min(across), max(across), min(down), max(down)


def _draw_frame(
    graph: ElementTree.Element,
    style: dict[str, str],
    inside: Sequence[_Spot],
    paint: tuple[str, str],
    label: str,
) -> None:
    left, right, top, bottom = _bounds(inside)
    left, right, top, bottom = left - _MARGIN, right + _MARGIN, top - 2 * _MARGIN, bottom + _MARGIN
    g = ElementTree.SubElement(graph, "g", {**style, "class": "cluster"})
    points = f"{left:.1f},{top:.1f} {right:.1f},{top:.1f} {right:.1f},{bottom:.1f} {left:.1f},{bottom:.1f}"
    ElementTree.SubElement(g, "polygon", {"fill": paint[0], "stroke": paint[1], "points": points})
    _write(g, label, left + 6, top + 13, {"font-size": "11", "text-anchor": "start"})


def _side_by_side(scene: Scene) -> list[float]:
    """How far below the middle each arrow ends, so that arrows between the same boxes stand side by side; at
    a table each ends at its line."""
    tables = {box.id for box in scene.boxes if box.look.get("shape") == "plain" and box.lines}
    ends = [(arrow.source, arrow.target) for arrow in scene.arrows]
    counts, before = Counter(ends), Counter[tuple[str, str]]()
    lower = []
    for pair in ends:
        table = pair[1] in tables
        lower.append(
            (before[pair] - (counts[pair] - 1) / 2) * (_LINE if table else 6) + (_LINE / 2 if table else 0)
        )
        before[pair] += 1
    return lower


def _draw_arrow(graph: ElementTree.Element, arrow: Arrow, spots: Sequence[_Spot], lower: float) -> None:
    """From box to box by way of its spots, so much lower than their middle; the head, where a residual
    leaves, stands at the source."""
    look = arrow.look
    colour, width = look.get("color") or "#8a8a8a", look.get("penwidth") or "1"
    g = ElementTree.SubElement(
        graph, "g", {"id": arrow.id, "class": f"edge {look.get('class') or ''}".replace(" rev", "").strip()}
    )
    x, y = spots[0].x + spots[0].width / 2, spots[0].y + lower
    end = spots[-1].x - spots[-1].width / 2, spots[-1].y + lower
    points = [(x + (_HEAD if arrow.back else 0), y), *((s.x, s.y + lower) for s in spots[1:-1]), end]
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        middle = (x0 + x1) / 2
        path += f"C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
    attributes = {"fill": "none", "stroke": colour, "stroke-width": width, "d": path}
    if look.get("style") in _DASHES:
        attributes["stroke-dasharray"] = _DASHES[look["style"] or ""]
    ElementTree.SubElement(g, "path", attributes)
    if arrow.back:
        corners = f"{x + _HEAD:.1f},{y - 2.4:.1f} {x:.1f},{y:.1f} {x + _HEAD:.1f},{y + 2.4:.1f}"
        ElementTree.SubElement(
            g, "polygon", {"fill": colour, "stroke": colour, "stroke-width": width, "points": corners}
        )
    if look.get("label"):
        (x0, y0), (x1, y1) = points[:2]
        _write(
            g,
            look["label"] or "",
            (x0 + x1) / 2,
            (y0 + y1) / 2 - 4,
            {"font-size": "10", "fill": look.get("fontcolor") or "#1a1a1a"},
        )


def _draw_box(graph: ElementTree.Element, box: Box, spot: _Spot) -> None:
    look, shape = box.look, box.look.get("shape")
    g = ElementTree.SubElement(graph, "g", {"id": box.id, "class": f"node {look.get('class') or ''}".strip()})
    paint = {
        "fill": look.get("fillcolor") or "white", "stroke": look.get("color") or "#1a1a1a",
        "stroke-width": look.get("penwidth") or "1.2"
    }  # fmt: skip
    if shape == "circle":
        size = {"cx": spot.x, "cy": spot.y, "rx": spot.width / 2, "ry": spot.height / 2}
        ElementTree.SubElement(
            g, "ellipse", {**paint, **{name: f"{value:.1f}" for name, value in size.items()}}
        )
    elif paint["fill"] != "transparent":
        ElementTree.SubElement(g, "polygon", {**paint, "points": _outline(shape, spot, 0)})
        if look.get("peripheries") or shape == "doubleoctagon":
            ElementTree.SubElement(
                g, "polygon", {**paint, "fill": "none", "points": _outline(shape, spot, 3)}
            )
    lines = _lines(box)
    for i, line in enumerate(lines):
        y = spot.y + 4 + _LINE * (i - (len(lines) - 1) / 2)
        points = _SMALL if i else _FONT
        _write(g, line, spot.x, y, {"font-size": f"{points:g}", "fill": look.get("fontcolor") or "#1a1a1a"})


def _outline(shape: str | None, spot: _Spot, out: float) -> str:
    """The corners of a shape, so many points further out."""
    w, h = spot.width / 2 + out, spot.height / 2 + out
    cut = {"hexagon": (8.0, h), "doubleoctagon": (7.0, 7.0), "diamond": (w, h)}.get(shape or "", (0.0, 0.0))
    if shape == "cds":
        corners = [(-w, -h), (w - 8, -h), (w, 0.0), (w - 8, h), (-w, h)]
    else:
        a, b = w - cut[0], h - cut[1]
        corners = [(-a, -h), (a, -h), (w, -b), (w, b), (a, h), (-a, h), (-w, b), (-w, -b)]
    return " ".join(f"{spot.x + x:.1f},{spot.y + y:.1f}" for x, y in dict.fromkeys(corners))


def _write(g: ElementTree.Element, text: str, x: float, y: float, style: dict[str, str]) -> None:
    element = ElementTree.SubElement(
        g,
        "text",
        {"text-anchor": "middle", "x": f"{x:.1f}", "y": f"{y:.1f}", "font-family": "Arial", **style},
    )
    element.text = text
