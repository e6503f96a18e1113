"""The view of single operations: what each of the three cases does to the residual, in shape, colour and
number.

Edges are written in forward direction, so that ranks are those of the forward pass, and drawn backwards with
``dir=back``. Graphviz lays out what has no time steps; those stand where our own layout puts them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from ..colours import INK
from ..reading.words import formatted, symbol_of
from ..tape import Entry
from .folding import Function
from .gains import Gains
from .layout import placed
from .network import Link, Network, Vertex
from .nodes import Nodes, paint_of
from .paint import (
    BACKWARDS,
    NOT_FINITE,
    PAINTS,
    Stroke,
    cell,
    cluster,
    frame,
    mixed,
    opening,
    silent,
    small,
    stroke,
    with_room,
    written,
)
from .positions import Positions
from .scene import WIDTH, Arrow, Box, Group, Look, Moment, Scene, rule_of
from .steps import Step
from .text import attributes, shown, shown_html, tooltip, width_of

_RULES = [
    ("composition", "hexagon", "residual × slope"),
    ("addition", "circle", "passes unchanged"),
    ("weighting", "diamond", "residual × other side"),
]
"""How each case looks and what it does to a residual."""

_BAND: Look = {"style": "filled,rounded", "color": "#E6D95A", "fillcolor": "#FFFBD6"}

_PLAIN_STROKE = Stroke(1.8, 1, "solid")


class OpsView:
    """Writes the DOT text of a network.

    Args:
        gains: what a backward pass measured, or None to show only where residuals go.
        order: number the operations in the order in which the backward pass visits them.
        values: write the range of its result on each operation.
        width: how wide the picture is shown at most, in CSS pixels.
    """

    def __init__(
        self,
        network: Network,
        title: str,
        gains: Gains | None,
        order: bool = False,
        values: bool = False,
        width: float = WIDTH,
    ) -> None:
        self.network = network
        self.title = title
        self.gains = gains
        self._unrolled = bool(network.steps)
        self._path = {
            vertex.id for link in network.links if link.on_path for vertex in (link.source, link.target)
        }
        self._nodes = Nodes(network, gains, order, values)
        self._width = width

    def dot(self, titled: bool = True) -> str:
        """The DOT text, with or without title and legend."""
        apart = ("0.14", "0.3") if self._unrolled else ("0.2", "0.45")
        return "\n".join([*opening(self._head() if titled else None, *apart), *self._body, "}", ""])

    @cached_property
    def _body(self) -> list[str]:
        scene = self._plain
        if scene.placed is not None:
            return self._placed_body(scene, Positions(scene.placed))
        banded = [box for box in scene.boxes if box.straight]
        lines = self._band(banded) if banded else []
        lines += [written(box) for box in scene.boxes if not box.straight]
        return [*lines, *self._ends(), *map(self._edge, self.network.links, scene.arrows)]

    def _placed_body(self, scene: Scene, positions: Positions) -> list[str]:
        """The same with places."""
        placement, lines = positions.placement, [positions.size()]
        for step, group in zip(self.network.steps, scene.groups, strict=True):
            label = shown(step.head) + (f"   {shown(group.text, 80)}" if group.text else "")
            look = {"id": group.id, **frame(label), **positions.frame(placement.frames[group.id])}
            inside = [positions.box(box) for box in scene.boxes if box.group == group.id]
            lines += cluster(f"t{step.index}", look, inside)
        for i, (band, _) in enumerate(placement.bands, start=1):
            lines += cluster(f"band{i}", {"label": "", **_BAND, **positions.frame(band)}, [])
        lines += [positions.box(box) for box in scene.boxes if box.group is None]
        lines += [positions.sign(sign) for sign in placement.signs]
        return [*lines, *(line for arrow in scene.arrows for line in positions.arrow(arrow))]

    # -- around the operations -------------------------------------------------------------------------------

    def _head(self) -> str:
        """Title and legend: a table, since a legend of nodes would disturb the layout."""
        cells = "".join(
            cell(
                width_of(f"{shape} = {case}: {rule}", 10, bold=True),
                f'<FONT POINT-SIZE="10">{shape} = <B>{case}</B>: {rule}</FONT>',
                f' BGCOLOR="{PAINTS[case].fill}" COLOR="{PAINTS[case].line}" BORDER="2"',
            )
            for case, shape, rule in _RULES
        )
        lines = [f"<B>{shown_html(self.title, 80)}</B>", None, small(" · ".join(self._notes()))]
        if self._unrolled and self.network.path:
            lines.append(small(self._straight()))
        spanning = [
            f'<TR><TD COLSPAN="3" ALIGN="LEFT">{line}</TD></TR>' if line else f"<TR>{cells}</TR>"
            for line in lines
        ]
        return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="3">{"".join(spanning)}</TABLE>'

    def _notes(self) -> list[str]:
        notes = [*BACKWARDS]
        if self.gains is not None:
            notes += [
                *filter(None, [self.gains.followed.caption]),
                "number = gain (size after ÷ size before), no label = ×1",
                "thinner and paler = smaller residual",
            ]
        functions = ["grey frame = function of several operations"] if self.network.functions else []
        return [*notes, "grey, dotted = no residual", "double frame = parameter", *functions]

    def _straight(self) -> str:
        return f"yellow band = {self._path_text()}"

    def _path_text(self) -> str:
        """What the state meets on its way: the argument for gated cells in one line."""
        entries = [self.network.tape[place] for place in self.network.path]
        symbols = " ".join(dict.fromkeys(map(self._symbol, self.network.path)))
        slope = any(entry.row.case == "composition" for entry in entries)
        matrix = any(entry.row.case == "weighting" and not entry.row.elementwise for entry in entries)
        if not slope and not matrix:
            channel = "cell-state channel" if self.network.state.startswith("c") else "state channel"
            gates = ", ".join(self.network.gates)
            return f"{channel}: only {symbols} on it" + (f", × by {gates}" if gates else "")
        factors = " and ".join(word for word, there in (("a matrix", matrix), ("a slope", slope)) if there)
        return f"state path: {symbols} — every step multiplies by {factors}"

    def _symbol(self, place: int) -> str:
        function = self.network.function_at(place)
        return symbol_of(self.network.tape[place]) if function is None else function.name

    def _band(self, boxes: Sequence[Box]) -> list[str]:
        look: Look = {
            "label": shown(self._path_text(), 80), **_BAND, "fontsize": "10", "labeljust": "l", "margin": "8",
        }  # fmt: skip
        return cluster("path", look, [written(box) for box in boxes])

    def _left(self, step: Step) -> str:
        """How much of the residual that comes into the last step of all is left at the states that this step
        hands on."""
        trail = None if self.gains is None or step.chain is None else self.gains.followed.trail_of(step.chain)
        if trail is None or trail.last != len(trail.chain) - 1:
            return ""
        lefts = [formatted(trail.left(state, step.place), 2) for state in range(trail.chain.count)]
        named = (
            lefts
            if len(lefts) == 1
            else [f"{name} {left}" for name, left in zip(trail.chain.states, lefts, strict=True)]
        )
        return f"residual left: {', '.join(named)}"

    def _ends(self) -> list[str]:
        """What comes into a step stands left, what leaves it right."""
        if not self.network.path:
            return []
        kinds = {"source": ("state", "input"), "sink": ("output", "loss")}
        ranks = {
            rank: [vertex.id for vertex in self.network.vertices if vertex.kind in kind]
            for rank, kind in kinds.items()
        }
        return [
            f'  {{ graph [rank="{rank}"]; {" ".join(f"{name};" for name in names)} }}'
            for rank, names in ranks.items()
        ]

    # -- for a page ------------------------------------------------------------------------------------------

    def scene(self) -> Scene:
        """The same picture as boxes and arrows with all that is known of them."""
        return replace(self._plain, dot=self.dot(titled=False))

    @cached_property
    def _plain(self) -> Scene:
        """Without DOT text; time steps have their places."""
        network = self.network
        groups = [Group(f"t{step.index}", step.head, self._left(step)) for step in network.steps]
        arrows = [self._arrow(link) for link in network.links]
        scene = Scene(
            title=self.title,
            dot="",
            boxes=with_room([self._box(vertex) for vertex in network.vertices], arrows),
            arrows=arrows,
            groups=groups,
            moments=[Moment(group.label, group.text, [group.id]) for group in groups],
            band=self._path_text() if network.path and not self._unrolled else "",
            legend=[(PAINTS[case].css, f"{shape} = {case}: {rule}") for case, shape, rule in _RULES],
            notes=[*self._notes(), *([self._straight()] if network.path and self._unrolled else [])],
            measured=self.gains is not None,
            width=self._width,
        )
        return replace(scene, placed=placed(scene, self._width)) if self._unrolled else scene

    def _box(self, vertex: Vertex) -> Box:
        inner = vertex.kind in ("operation", "function")
        return Box(
            id=vertex.id,
            label=self._nodes.text(vertex),
            look=self._nodes.look(vertex),
            facts=self._nodes.facts(vertex),
            rule=rule_of(vertex.value) if vertex.kind == "operation" else (),
            group=None if vertex.step is None else f"t{vertex.step}",
            straight=vertex.id in self._path,
            lines=self._nodes.below(vertex) if inner else (),
        )

    def _arrow(self, link: Link) -> Arrow:
        gain = None
        if link.operand is None:
            back, size = (
                self.gains is None or self._is_followed(link),
                None if self.gains is None else self.gains.seed,
            )
        else:
            part = None if self.gains is None else self.gains.part(link.target.value, link.operand)
            back, size = (
                link.needed if self.gains is None else part is not None,
                None if part is None else part.size,
            )
            passes = isinstance(link.target.value, Entry) and link.target.value.row.case == "addition"
            gain = None if part is None or passes else part.gain
        look = self._result_edge(link) if link.operand is None else self._operand_edge(link)
        return Arrow(link.id, link.source.id, link.target.id, look, back, size, gain)

    # -- edges -----------------------------------------------------------------------------------------------

    def _edge(self, link: Link, arrow: Arrow) -> str:
        look = {**arrow.look, "weight": "50"} if link.on_path else arrow.look
        return f"  {arrow.source} -> {arrow.target} {attributes({'id': arrow.id, **look})};"

    def _operand_edge(self, link: Link) -> Look:
        operation: Entry | Function = link.target.value
        paint, line, tip = paint_of(operation), _PLAIN_STROKE, None
        labels = ["transposed"] * (link.transposed and link.source.id not in self._nodes.transposed)
        if self.gains is not None:
            part = self.gains.part(operation, link.operand or 0)
            if part is None:
                return {**silent(), "label": " · ".join(labels) or None}
            line = stroke(part.size / self.gains.seed if self.gains.seed else 0.0)
            labels = [part.label, *labels] if part.label else labels
            tip = f"gain ×{part.gain:.6g}, size {part.size:.6g}"
            paint = paint if math.isfinite(part.size) else NOT_FINITE
        elif not link.needed:
            return {**silent(), "label": " · ".join(labels) or None}
        return {
            "dir": "back", "color": mixed(paint.line, line.strength),
            "penwidth": f"{line.width:.1f}", "style": line.style,
            "class": paint_of(operation).css,
            "label": " · ".join(labels) or None, "fontcolor": paint.text if labels else None,
            "tooltip": tip and tooltip(tip),
        }  # fmt: skip

    def _result_edge(self, link: Link) -> Look:
        if not self._is_followed(link):
            return silent()
        return {
            "dir": "back", "color": INK,
            "penwidth": "1.8" if self.gains is None else "3.2",
            "label": None if self.gains is None else "δ in", "weight": "5",
        }  # fmt: skip

    def _is_followed(self, link: Link) -> bool:
        """Whether the backward pass starts from this result."""
        return self.gains is None or any(link.target.value is y for y in self.gains.of)
