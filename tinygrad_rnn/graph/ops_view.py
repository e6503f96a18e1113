"""The view of single operations: what each of the three cases does to the residual, in shape, colour and
number.

Edges are written in forward direction, so that ranks are those of the forward pass, and drawn backwards with
``dir=back``.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..chain_rule.formula import formulas
from ..reading.norms import Ranges
from ..reading.words import number, short, symbol_of
from ..tape import Entry, Node
from .gains import Gains
from .network import Link, Network, Step, Vertex
from .paint import (
    BLACK,
    LEAVES,
    NOT_FINITE,
    PAINTS,
    UNREACHED,
    Paint,
    Stroke,
    frame,
    mixed,
    opening,
    silent,
    small,
    stroke,
)
from .scene import Arrow, Box, Fact, Group, Look, Moment, Scene, facts_of_array, facts_of_entry, rule_of
from .text import Html, attributes, shown, shown_html, tooltip, width_of

_RULES = [
    ("composition", "hexagon", "residual × slope"),
    ("addition", "circle", "passes unchanged"),
    ("weighting", "diamond", "residual × other side"),
]
"""How each case looks and what it does to a residual."""

_FAR = 6
"""From more steps than this no lines go across all of them."""

_PLAIN_STROKE = Stroke(1.8, 1, "solid")


class OpsView:
    """Writes the DOT text of a network.

    Args:
        gains: what a backward pass measured, or None to show only where residuals go.
        order: number the operations in the order in which the backward pass visits them.
        values: write the range of its result on each operation.
    """

    def __init__(
        self, network: Network, title: str, gains: Gains | None, order: bool, values: bool = False
    ) -> None:
        self.network, self.title, self.gains, self.order, self.values = network, title, gains, order, values
        self._unrolled = bool(network.steps)
        self._into: dict[str, list[Link]] = defaultdict(list)
        for link in network.links:
            self._into[link.target.id].append(link)
        self._path = {
            vertex.id for link in network.links if link.on_path for vertex in (link.source, link.target)
        }
        self._stubs = self._far_ends()
        self._before, self._after = self._columns()

    def _far_ends(self) -> dict[str, tuple[Vertex, int]]:
        """By id of a link from one of many steps to an operation outside of them, that operation and the
        step, where a sign of it is drawn instead: lines across all steps take engines minutes. Only the
        nearest step is linked to the operation itself."""
        if len(self.network.steps) <= _FAR:
            return {}
        far = []
        for link in self.network.links:
            outer, inner = (
                (link.target, link.source) if link.target.step is None else (link.source, link.target)
            )
            if outer.kind == "operation" and outer.step is None and inner.step is not None:
                far.append((link.id, outer, inner.step, inner.step if outer is link.target else -inner.step))
        nearest: dict[tuple[str, bool], int] = {}
        for _, outer, _, place in far:
            nearest[outer.id, place > 0] = max(nearest.get((outer.id, place > 0), place), place)
        return {
            name: (outer, step) for name, outer, step, place in far if nearest[outer.id, place > 0] != place
        }

    def _is_reversed(self, link: Link) -> bool:
        """Whether DOT has it the other way round, so that what reads a step out stands among the step's own
        columns."""
        return link.reversed or (link.id in self._stubs and self._stubs[link.id][0] is link.target)

    def dot(self, titled: bool = True) -> str:
        network = self.network
        lines = opening(
            self._head() if titled else None, *(("0.14", "0.3") if self._unrolled else ("0.2", "0.45"))
        )
        banded = set() if self._unrolled else self._path
        if banded:
            lines += self._band([vertex for vertex in network.vertices if vertex.id in banded])
        for step in network.steps:
            inside = [
                vertex
                for vertex in network.vertices
                if vertex.step == step.number and vertex.id not in banded
            ]
            inside.sort(key=lambda vertex: vertex.id not in self._path)  # engines keep what is first straight
            lines += self._cluster(step, inside)
        lines += [
            self._node(vertex)
            for vertex in network.vertices
            if vertex.step is None and vertex.id not in banded
        ]
        lines += self._ends()
        lines += [self._edge(link) for link in network.links]
        return "\n".join([*lines, "}", ""])

    # -- around the operations -------------------------------------------------------------------------------

    def _head(self) -> str:
        """Title and legend: a table, since a legend of nodes would disturb the layout."""
        cells = "".join(
            f'<TD BGCOLOR="{PAINTS[case].fill}" COLOR="{PAINTS[case].line}" BORDER="2"><FONT POINT-SIZE="10">'
            f"{shape} = <B>{case}</B>: {rule}</FONT></TD>"
            for case, shape, rule in _RULES
        )
        notes = ["arrows run backwards, as residuals do", *self._notes()]
        rows = [f"<B>{shown_html(self.title, 80)}</B>", None, small(" · ".join(notes))]
        if self._unrolled and self.network.path:
            rows.append(small(self._straight()))
        spanning = [
            f'<TR><TD COLSPAN="3" ALIGN="LEFT">{row}</TD></TR>' if row else f"<TR>{cells}</TR>"
            for row in rows
        ]
        return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="3">{"".join(spanning)}</TABLE>'

    def _notes(self) -> list[str]:
        measured = ["number = gain (size after ÷ size before)", "thinner and paler = smaller residual"]
        measured = [] if self.gains is None else [*filter(None, [self.gains.followed.caption]), *measured]
        return [*measured, "grey, dotted = no residual", "double frame = parameter"]

    def _straight(self) -> str:
        return f"straight line = {self._path_text()}"

    def _path_text(self) -> str:
        """What the state meets on its way: the argument for gated cells in one line."""
        entries = [self.network.tape[place] for place in self.network.path]
        symbols = " ".join(dict.fromkeys(symbol_of(entry) for entry in entries))
        slope = any(entry.row.case == "composition" for entry in entries)
        matrix = any(entry.row.case == "weighting" and not entry.row.elementwise for entry in entries)
        if not slope and not matrix:
            channel = "cell-state channel" if self.network.state.startswith("c") else "state channel"
            gates = ", ".join(self.network.gates)
            return f"{channel}: only {symbols} on it" + (f", × by {gates}" if gates else "")
        factors = " and ".join(word for word, there in (("a matrix", matrix), ("a slope", slope)) if there)
        return f"state path: {symbols} — every step multiplies by {factors}"

    def _band(self, vertices: Sequence[Vertex]) -> list[str]:
        given: Look = {
            "label": shown(self._path_text(), 80), "style": "filled,rounded", "color": "#E6D95A",
            "fillcolor": "#FFFBD6",
            "fontsize": "10", "labeljust": "l", "margin": "8",
        }  # fmt: skip
        return self._group("cluster_path", given, vertices)

    def _cluster(self, step: Step, vertices: Sequence[Vertex]) -> list[str]:
        left = self._left(step)
        label = shown(step.head) + (f"   {shown(left, 80)}" if left else "")
        given: Look = {"id": f"t{step.number}", **frame(label)}
        outside = {outer.id: outer for outer, number in self._stubs.values() if number == step.number}
        lines = self._group(f"cluster_t{step.number}", given, vertices)
        return [
            *lines[:-1],
            *(f"  {self._stub(outer, step.number)}" for outer in outside.values()),
            lines[-1],
        ]

    def _stub(self, outer: Vertex, step: int) -> str:
        told = tooltip("drawn in each step; it is one operation")
        given: Look = {
            "shape": "plain",
            "fontsize": "9",
            "fontcolor": "#555555",
            "label": shown(self._text(outer)),
            "tooltip": told,
        }
        return f"  {_stub_id(outer, step)} {attributes({'id': _stub_id(outer, step), **given})};"

    def _group(self, name: str, given: Look, vertices: Sequence[Vertex]) -> list[str]:
        lines = [f"  subgraph {name} {{", f"    graph {attributes(given)};"]
        return [*lines, *(f"  {self._node(vertex)}" for vertex in vertices), "  }"]

    def _left(self, step: Step) -> str:
        """How much of the residual that comes into the last step of all is left at the states that this step
        hands on."""
        trail = None if self.gains is None or step.chain is None else self.gains.followed.trail_of(step.chain)
        if trail is None or trail.last != len(trail.chain) - 1:
            return ""
        lefts = [number(trail.left(state, step.place), 2) for state in range(trail.chain.count)]
        named = (
            lefts
            if len(lefts) == 1
            else [f"{name} {left}" for name, left in zip(trail.chain.states, lefts, strict=True)]
        )
        return f"residual left: {', '.join(named)}"

    def _ends(self) -> list[str]:
        """What comes into a step stands left, what leaves it right; of several steps only the states that
        come into the first."""
        if not self.network.path:
            return []
        kinds = (
            {"source": ("state",)}
            if self._unrolled
            else {"source": ("state", "input"), "sink": ("output", "loss")}
        )
        ranks = {
            rank: [vertex.id for vertex in self.network.vertices if vertex.kind in kind]
            for rank, kind in kinds.items()
        }
        return [
            f'  {{ graph [rank="{rank}"]; {" ".join(f"{name};" for name in names)} }}'
            for rank, names in ranks.items()
        ]

    # -- nodes -----------------------------------------------------------------------------------------------

    def _node(self, vertex: Vertex) -> str:
        given = self._operation(vertex) if vertex.kind == "operation" else self._leaf(vertex)
        if self._unrolled and vertex.id in self._path:
            given["group"] = "state"
        return f"  {vertex.id} {attributes({'id': vertex.id, **given})};"

    def _text(self, vertex: Vertex) -> str:
        if vertex.kind != "operation":
            return vertex.name or self._unnamed(vertex)
        symbol = symbol_of(vertex.value)
        return (
            f"{short(vertex.name, 20)} = {symbol}"
            if vertex.value.row.case == "composition" and vertex.name
            else symbol
        )

    @cached_property
    def _ranges(self) -> Ranges:
        vertices = self.network.vertices
        results = [y for vertex in vertices if vertex.kind == "operation" for y in vertex.value.ys]
        return Ranges(
            [*results, *(v.array for v in vertices if isinstance(v.value, Node))],
            self.network.tape[0].backend,
        )

    def _range_of(self, entry: Entry) -> str:
        """The least and the largest value of what came out."""
        ends = [end for y in entry.ys if (end := self._ranges.of(y)) is not None]
        if not ends:
            return "no values"
        least, most = min(end[0] for end in ends), max(end[1] for end in ends)
        return f"{least:.3g}" if least == most else f"{least:.3g} … {most:.3g}"

    def _unnamed(self, vertex: Vertex) -> str:
        """A leaf without a name by its value, if that is one number, or by its shape."""
        if not isinstance(vertex.value, Node):
            return repr(vertex.value)
        ends = self._ranges.of(vertex.array)
        return (
            f"{ends[0]:.4g}"
            if vertex.array.size == 1 and ends is not None
            else str(tuple(vertex.array.shape))
        )

    def _leaf(self, vertex: Vertex) -> Look:
        value, text = vertex.value, self._text(vertex)
        given: Look = {**LEAVES[vertex.kind], "label": shown(text), "class": vertex.kind}
        if vertex.copied:
            given.update(fontsize="10", height="0.25", width="0.25")
        if width_of(text) > width_of("x" * len(text)):
            given["width"] = str(width_of(text))
        facts = [text, f"{vertex.kind} {_kind_of_array(value)}" if hasattr(value, "_data") else vertex.kind]
        if vertex.copied:
            facts.append("one parameter, drawn once for each step: the residuals of all copies are added up")
        given["tooltip"] = tooltip(" · ".join(facts))
        return given

    def _operation(self, vertex: Vertex) -> Look:
        entry: Entry = vertex.value
        case, symbol, text = entry.row.case, symbol_of(entry), self._text(vertex)
        paint = self._paint(entry)
        given: Look = dict(_shape(case, symbol))
        given.update(
            fillcolor=paint.fill,
            color=paint.line,
            penwidth="5" if paint is NOT_FINITE else "1.8",
            label=self._labelled(entry, text),
        )
        if paint is UNREACHED:
            given["fontcolor"] = paint.text
        if width_of(text) > width_of("x" * len(text)):
            given["width"] = str(width_of(text))
        names = ", ".join(self.network.names_of(entry))
        made = f"{entry.row.name} {_kind_of_array(*entry.ys)}"
        facts = [f"{names} = {made}" if names else made, *formulas(entry.row)]
        if self.gains is not None:
            facts.append(f"size of its residual: {number(self.gains.arrived(entry), 3)}")
        given.update({"class": PAINTS[case].css, "tooltip": tooltip(" · ".join(facts))})
        return given

    def _labelled(self, entry: Entry, text: str) -> str:
        lines = self._below(entry)
        if not lines:
            return shown(text)
        return Html(
            "<BR/>".join(
                [shown_html(text), *(f'<FONT POINT-SIZE="8" COLOR="#555555">{line}</FONT>' for line in lines)]
            )
        )

    def _below(self, entry: Entry) -> list[str]:
        return [f"#{self._visit(entry)}"] * self.order + [self._range_of(entry)] * self.values

    def _visit(self, entry: Entry) -> int:
        """When the backward pass comes to it, from 1."""
        return len(self.network.tape) - self.network.place_of(entry)

    def _paint(self, entry: Entry) -> Paint:
        arrived = 1.0 if self.gains is None else self.gains.arrived(entry)
        if not math.isfinite(arrived):
            return NOT_FINITE
        return PAINTS[entry.row.case] if arrived else UNREACHED

    # -- for a page ------------------------------------------------------------------------------------------

    def scene(self) -> Scene:
        """The same picture as boxes and arrows with all that is known of them."""
        network = self.network
        groups = [Group(f"t{step.number}", step.head, self._left(step)) for step in network.steps]
        return Scene(
            title=self.title,
            dot=self.dot(titled=False),
            boxes=[self._box(vertex) for vertex in network.vertices],
            arrows=[self._arrow(link) for link in network.links],
            groups=groups,
            moments=[Moment(group.label, group.told, [group.id]) for group in groups],
            band=self._path_text() if network.path and not self._unrolled else "",
            legend=[(PAINTS[case].css, f"{shape} = {case}: {rule}") for case, shape, rule in _RULES],
            notes=[*self._notes(), *([self._straight()] if network.path and self._unrolled else [])],
            measured=self.gains is not None,
        )

    def _box(self, vertex: Vertex) -> Box:
        operation = vertex.kind == "operation"
        return Box(
            id=vertex.id,
            label=self._text(vertex),
            look=self._operation(vertex) if operation else self._leaf(vertex),
            facts=self._operation_facts(vertex) if operation else self._leaf_facts(vertex),
            rule=rule_of(vertex.value) if operation else (),
            group=None if vertex.step is None else f"t{vertex.step}",
            straight=vertex.id in self._path,
            lines=self._below(vertex.value) if operation else (),
        )

    def _operation_facts(self, vertex: Vertex) -> list[Fact]:
        entry: Entry = vertex.value
        operands = [self._text(link.source) for link in self._into[vertex.id]]
        facts = facts_of_entry(
            entry, self.network.names_of(entry), symbol_of(entry), self.gains, operands, self._ranges
        )
        return [*facts, ("visited backwards", f"#{self._visit(entry)} of {len(self.network.tape)}")]

    def _leaf_facts(self, vertex: Vertex) -> list[Fact]:
        facts: list[Fact] = [("name", vertex.name)] if vertex.name else []
        facts += [("kind", vertex.kind), *facts_of_array(vertex.array, self._ranges)]
        return (
            [*facts, ("drawn", "once for each step; the residuals of all copies are added up")]
            if vertex.copied
            else facts
        )

    def _arrow(self, link: Link) -> Arrow:
        entry: Entry = link.target.value
        if link.operand is None:
            back, size = (
                self.gains is None or self._is_followed(link),
                None if self.gains is None else self.gains.seed,
            )
        else:
            part = None if self.gains is None else self.gains.part(entry, link.operand)
            back, size = (
                link.needed if self.gains is None else part is not None,
                None if part is None else part.size,
            )
        look = self._result_edge(link) if link.operand is None else self._operand_edge(link)
        return Arrow(link.id, link.source.id, link.target.id, look, back, size, self._is_reversed(link))

    # -- edges -----------------------------------------------------------------------------------------------

    def _edge(self, link: Link) -> str:
        given = self._result_edge(link) if link.operand is None else self._operand_edge(link)
        if link.on_path:
            given["weight"] = "1000" if self._unrolled else "50"
        if self._unrolled and link.source.step != link.target.step and link.target.step is not None:
            given["minlen"] = str(self._apart(link))
        if link.loose and link.id not in self._stubs:
            given["constraint"] = "false"
        ends = [link.target, link.source] if self._is_reversed(link) else [link.source, link.target]
        outer, step = self._stubs.get(link.id, (None, 0))
        tail, head = (_stub_id(end, step) if end is outer else end.id for end in ends)
        return f"  {tail} -> {head} {attributes({'id': link.id, **given})};"

    def _apart(self, link: Link) -> int:
        """How many columns an arrow into a step spans: so many that the columns of the step before it end
        first. Steps that share columns would stand above each other, and the line of the state would bend."""
        one, other = link.source, link.target
        near = one.step is not None and other.step == one.step + 1
        columns = self._after[one.id] + 1 + self._before[other.id] if near else 0
        return max(3, columns) + (not link.on_path)

    def _columns(self) -> tuple[dict[str, int], dict[str, int]]:
        """For each vertex how many columns of its step at least stand before it and after it."""
        before, after = ({vertex.id: 0 for vertex in self.network.vertices} for _ in range(2))
        inside = [
            link
            for link in self.network.links
            if link.source.step == link.target.step and not self._is_reversed(link)
        ]
        for link in inside:
            before[link.target.id] = max(before[link.target.id], before[link.source.id] + 1)
        for link in reversed(inside):
            after[link.source.id] = max(after[link.source.id], after[link.target.id] + 1)
        return before, after

    def _operand_edge(self, link: Link) -> Look:
        entry: Entry = link.target.value
        paint, drawn, label, told = PAINTS[entry.row.case], _PLAIN_STROKE, None, None
        if self.gains is not None:
            part = self.gains.part(entry, link.operand or 0)
            if part is None:
                return silent()
            drawn, label = stroke(part.size / self.gains.seed if self.gains.seed else 0.0), part.label
            told = f"gain ×{part.gain:.6g}, size {part.size:.6g}"
            paint = paint if math.isfinite(part.size) else NOT_FINITE
        elif not link.needed:
            return silent()
        return {
            "dir": None if self._is_reversed(link) else "back", "color": mixed(paint.line, drawn.strength),
            "penwidth": f"{drawn.width:.1f}",
            "style": drawn.style,
            "class": PAINTS[entry.row.case].css + (" rev" if self._is_reversed(link) else ""), "label": label,
            "fontcolor": paint.text if label else None, "tooltip": told and tooltip(told),
        }  # fmt: skip

    def _result_edge(self, link: Link) -> Look:
        if not self._is_followed(link):
            return silent()
        return {
            "dir": None if self._is_reversed(link) else "back", "color": BLACK,
            "penwidth": "1.8" if self.gains is None else "3.2",
            "label": None if self.gains is None else "δ in", "weight": "5",
        }  # fmt: skip

    def _is_followed(self, link: Link) -> bool:
        """Whether the backward pass starts from this result."""
        return self.gains is None or any(link.target.value is y for y in self.gains.of)


def _stub_id(outer: Vertex, step: int) -> str:
    return f"j{outer.id[1:]}_{step}"


def _shape(case: str, symbol: str) -> Look:
    if case == "composition":
        return {"shape": "hexagon", "margin": "0.02,0.03", "height": "0.38"}
    if case == "weighting":
        return {"shape": "diamond", "margin": "0", "height": "0.42", "width": "0.42"}
    return (
        {"shape": "circle", "margin": "0"}
        if len(symbol) == 1
        else {"shape": "box", "style": "rounded,filled"}
    )


def _kind_of_array(*values: Any) -> str:
    arrays = [getattr(value, "_data", value) for value in values]
    shapes = Counter(f"{tuple(array.shape)} {array.dtype}" for array in arrays)
    return ", ".join(f"{kind} × {times}" if times > 1 else kind for kind, times in shapes.items())
