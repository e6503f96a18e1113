"""The view of single operations: what each of the three cases does to the residual, in shape, colour and number.

Edges are written in forward direction, so that ranks are those of the forward pass, and drawn backwards with ``dir=back``.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..chain_rule.formula import formulas
from ..reading.words import number, short, symbol_of
from ..tape import Entry
from .gains import Gains, Stroke, stroke
from .network import Link, Network, Step, Vertex
from .scene import Arrow, Box, Fact, Group, Look, Moment, Scene, facts_of_array, facts_of_entry, rule_of
from .text import Html, attributes, shown, shown_html, tooltip, width_of


@dataclass(frozen=True)
class Paint:
    """The colours of a case (Okabe and Ito's): of lines, of areas, and of text, which is darker for its contrast on white."""

    line: str
    fill: str
    text: str
    css: str


PAINTS = {
    "composition": Paint("#D55E00", "#FBE3D2", "#B04E00", "case1"),
    "addition": Paint("#009E73", "#D5F0E6", "#00785A", "case2"),
    "weighting": Paint("#0072B2", "#D6E8F5", "#005F96", "case3"),
}
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

_RULES = [
    ("composition", "hexagon", "residual × slope"),
    ("addition", "circle", "passes unchanged"),
    ("weighting", "diamond", "residual × other side"),
]
"""How each case looks and what it does to a residual."""

_FAR = 6
"""From more steps than this no lines go across all of them."""

_PLAIN_STROKE = Stroke(1.8, 1, "solid")
_NODE = 'fontname="Arial", fontsize="12", fontcolor="#1A1A1A", style="filled", fillcolor="white", color="#1A1A1A", penwidth="1.2"'


class OpsView:
    """Writes the DOT text of a network.

    Args:
        gains: what a backward pass measured, or None to show only where residuals go.
        order: number the operations in the order in which the backward pass visits them.
        values: write the range of its result on each operation.
    """

    def __init__(self, network: Network, title: str, gains: Gains | None, order: bool, values: bool = False) -> None:
        self.network, self.title, self.gains, self.order, self.values = network, title, gains, order, values
        self._unrolled = bool(network.steps)
        self._into: dict[str, list[Link]] = defaultdict(list)
        for link in network.links:
            self._into[link.target.id].append(link)
        self._path = {vertex.id for link in network.links if link.on_path for vertex in (link.source, link.target)}
        self._stubs = self._far_ends()
        self._before, self._after = self._columns()

    def _far_ends(self) -> dict[str, tuple[Vertex, int]]:
        """By id of a link from one of many steps to an operation outside of them, that operation and the step, where a sign of it is drawn
        instead: lines across all steps take engines minutes. Only the nearest step is linked to the operation itself."""
        if len(self.network.steps) <= _FAR:
            return {}
        far = []
        for link in self.network.links:
            outer, inner = (link.target, link.source) if link.target.step is None else (link.source, link.target)
            if outer.kind == "operation" and outer.step is None and inner.step is not None:
                far.append((link.id, outer, inner.step, inner.step if outer is link.target else -inner.step))
        nearest: dict[tuple[str, bool], int] = {}
        for _, outer, _, place in far:
            nearest[outer.id, place > 0] = max(nearest.get((outer.id, place > 0), place), place)
        return {name: (outer, step) for name, outer, step, place in far if nearest[outer.id, place > 0] != place}

    def _is_reversed(self, link: Link) -> bool:
        """Whether DOT has it the other way round, so that what reads a step out stands among the step's own columns."""
        return link.reversed or (link.id in self._stubs and self._stubs[link.id][0] is link.target)

    def dot(self, titled: bool = True) -> str:
        network = self.network
        lines = opening(self._head() if titled else None, *(("0.14", "0.3") if self._unrolled else ("0.2", "0.45")))
        banded = set() if self._unrolled else self._path
        if banded:
            lines += self._band([vertex for vertex in network.vertices if vertex.id in banded])
        for step in network.steps:
            inside = [vertex for vertex in network.vertices if vertex.step == step.number and vertex.id not in banded]
            inside.sort(key=lambda vertex: vertex.id not in self._path)  # engines keep what is first straight
            lines += self._cluster(step, inside)
        lines += [self._node(vertex) for vertex in network.vertices if vertex.step is None and vertex.id not in banded]
        lines += self._ends()
        lines += [self._edge(link) for link in network.links]
        return "\n".join([*lines, "}", ""])

    # -- around the operations --------------------------------------------------------------------------------------------------------

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
        spanning = [f'<TR><TD COLSPAN="3" ALIGN="LEFT">{row}</TD></TR>' if row else f"<TR>{cells}</TR>" for row in rows]
        return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="3">{"".join(spanning)}</TABLE>'

    def _notes(self) -> list[str]:
        measured = [] if self.gains is None else ["number = gain (size after ÷ size before)", "thinner and paler = smaller residual"]
        return [*measured, "grey, dotted = no residual", "double frame = parameter"]

    def _straight(self) -> str:
        return f"straight line = {self._path_text()}"

    def _path_text(self) -> str:
        """What the state meets on its way: the argument for gated cells in one line."""
        entries = [self.network.tape[place] for place in self.network.path]
        symbols = " ".join(dict.fromkeys(symbol_of(entry) for entry in entries))
        slope = any(entry.row.case == "composition" for entry in entries)
        matrix = any(entry.row.name in ("matmul", "einsum") for entry in entries)
        if not slope and not matrix:
            channel = "cell-state channel" if self.network.state.startswith("c") else "state channel"
            gates = ", ".join(self.network.gates)
            return f"{channel}: only {symbols} on it" + (f", × by {gates}" if gates else "")
        factors = " and ".join(word for word, there in (("a matrix", matrix), ("a slope", slope)) if there)
        return f"state path: {symbols} — every step multiplies by {factors}"

    def _band(self, vertices: Sequence[Vertex]) -> list[str]:
        given: Look = {
            "label": shown(self._path_text(), 80), "style": "filled,rounded", "color": "#E6D95A", "fillcolor": "#FFFBD6",
            "fontsize": "10", "labeljust": "l", "margin": "8",
        }  # fmt: skip
        return self._group("cluster_path", given, vertices)

    def _cluster(self, step: Step, vertices: Sequence[Vertex]) -> list[str]:
        left = self._left(step)
        label = shown(step.head) + (f"   {left}" if left else "")
        given: Look = {"id": f"t{step.number}", **frame(label)}
        outside = {outer.id: outer for outer, number in self._stubs.values() if number == step.number}
        lines = self._group(f"cluster_t{step.number}", given, vertices)
        return [*lines[:-1], *(f"  {self._stub(outer, step.number)}" for outer in outside.values()), lines[-1]]

    def _stub(self, outer: Vertex, step: int) -> str:
        told = tooltip("drawn in each step; it is one operation")
        given: Look = {"shape": "plain", "fontsize": "9", "fontcolor": "#555555", "label": shown(self._text(outer)), "tooltip": told}
        return f"  {_stub_id(outer, step)} {attributes({'id': _stub_id(outer, step), **given})};"

    def _group(self, name: str, given: Look, vertices: Sequence[Vertex]) -> list[str]:
        lines = [f"  subgraph {name} {{", f"    graph {attributes(given)};"]
        return [*lines, *(f"  {self._node(vertex)}" for vertex in vertices), "  }"]

    def _left(self, step: Step) -> str:
        """How much of the last state's residual is left at the state that this step hands on."""
        on_path = [self.network.tape[place].index for place in self.network.path if place in step.places]
        if self.gains is None or not on_path:
            return ""
        last = self.gains.arrived.get(self.network.tape[self.network.path[-1]].index, 0.0)
        here = self.gains.arrived.get(on_path[-1], 0.0)
        return f"residual left: {number(here / last, 2)}" if last else ""

    def _ends(self) -> list[str]:
        """What comes into a step stands left, what leaves it right; of several steps only the states that come into the first."""
        if not self.network.path:
            return []
        kinds = {"source": ("state",)} if self._unrolled else {"source": ("state", "input"), "sink": ("output", "loss")}
        ranks = {rank: [vertex.id for vertex in self.network.vertices if vertex.kind in kind] for rank, kind in kinds.items()}
        return [f'  {{ graph [rank="{rank}"]; {" ".join(f"{name};" for name in names)} }}' for rank, names in ranks.items()]

    # -- nodes ------------------------------------------------------------------------------------------------------------------------

    def _node(self, vertex: Vertex) -> str:
        given = self._operation(vertex) if vertex.kind == "operation" else self._leaf(vertex)
        if self._unrolled and vertex.id in self._path:
            given["group"] = "state"
        return f"  {vertex.id} {attributes({'id': vertex.id, **given})};"

    def _text(self, vertex: Vertex) -> str:
        if vertex.kind != "operation":
            return vertex.name or _unnamed(vertex.value)
        symbol = symbol_of(vertex.value)
        return f"{short(vertex.name, 20)} = {symbol}" if vertex.value.row.case == "composition" and vertex.name else symbol

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
            fillcolor=paint.fill, color=paint.line, penwidth="5" if paint is NOT_FINITE else "1.8", label=self._labelled(entry, text)
        )
        if paint is UNREACHED:
            given["fontcolor"] = paint.text
        if width_of(text) > width_of("x" * len(text)):
            given["width"] = str(width_of(text))
        names = ", ".join(self.network.names_of(entry))
        made = f"{entry.row.name} {_kind_of_array(*entry.ys)}"
        facts = [f"{names} = {made}" if names else made, *formulas(entry.row)]
        if self.gains is not None:
            facts.append(f"size of its residual: {number(self.gains.arrived.get(entry.index, 0.0), 3)}")
        given.update({"class": PAINTS[case].css, "tooltip": tooltip(" · ".join(facts))})
        return given

    def _labelled(self, entry: Entry, text: str) -> str:
        lines = self._below(entry)
        if not lines:
            return shown(text)
        return Html("<BR/>".join([shown_html(text), *(f'<FONT POINT-SIZE="8" COLOR="#555555">{line}</FONT>' for line in lines)]))

    def _below(self, entry: Entry) -> list[str]:
        return [f"#{self._visit(entry)}"] * self.order + [_range_of(entry)] * self.values

    def _visit(self, entry: Entry) -> int:
        """When the backward pass comes to it, from 1."""
        return len(self.network.tape) - self.network.place_of(entry)

    def _paint(self, entry: Entry) -> Paint:
        arrived = 1.0 if self.gains is None else self.gains.arrived.get(entry.index, 0.0)
        if not math.isfinite(arrived):
            return NOT_FINITE
        return PAINTS[entry.row.case] if arrived else UNREACHED

    # -- for a page -------------------------------------------------------------------------------------------------------------------

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
        facts = facts_of_entry(entry, self.network.names_of(entry), symbol_of(entry), self.gains, operands)
        return [*facts, ("visited backwards", f"#{self._visit(entry)} of {len(self.network.tape)}")]

    def _leaf_facts(self, vertex: Vertex) -> list[Fact]:
        facts: list[Fact] = [("name", vertex.name)] if vertex.name else []
        facts += [("kind", vertex.kind), *facts_of_array(vertex.value)]
        return [*facts, ("drawn", "once for each step; the residuals of all copies are added up")] if vertex.copied else facts

    def _arrow(self, link: Link) -> Arrow:
        entry: Entry = link.target.value
        if link.operand is None:
            back, size = self.gains is None or self._is_followed(link), None if self.gains is None else self.gains.seed
        else:
            part = None if self.gains is None else self.gains.parts.get((entry.index, link.operand))
            back, size = link.needed if self.gains is None else part is not None, None if part is None else part.size
        look = self._result_edge(link) if link.operand is None else self._operand_edge(link)
        return Arrow(link.id, link.source.id, link.target.id, look, back, size, self._is_reversed(link))

    # -- edges ------------------------------------------------------------------------------------------------------------------------

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
        """How many columns an arrow into a step spans: so many that the columns of the step before it end first. Steps that share columns
        would stand above each other, and the line of the state would bend."""
        one, other = link.source, link.target
        near = one.step is not None and other.step == one.step + 1
        columns = self._after[one.id] + 1 + self._before[other.id] if near else 0
        return max(3, columns) + (not link.on_path)

    def _columns(self) -> tuple[dict[str, int], dict[str, int]]:
        """For each vertex how many columns of its step at least stand before it and after it."""
        before, after = ({vertex.id: 0 for vertex in self.network.vertices} for _ in range(2))
        inside = [link for link in self.network.links if link.source.step == link.target.step and not self._is_reversed(link)]
        for link in inside:
            before[link.target.id] = max(before[link.target.id], before[link.source.id] + 1)
        for link in reversed(inside):
            after[link.source.id] = max(after[link.source.id], after[link.target.id] + 1)
        return before, after

    def _operand_edge(self, link: Link) -> Look:
        entry: Entry = link.target.value
        paint, drawn, label, told = PAINTS[entry.row.case], _PLAIN_STROKE, None, None
        if self.gains is not None:
            part = self.gains.parts.get((entry.index, link.operand or 0))
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
            "style": drawn.style, "class": PAINTS[entry.row.case].css + (" rev" if self._is_reversed(link) else ""), "label": label,
            "fontcolor": paint.text if label else None, "tooltip": told and tooltip(told),
        }  # fmt: skip

    def _result_edge(self, link: Link) -> Look:
        if not self._is_followed(link):
            return silent()
        return {
            "dir": None if self._is_reversed(link) else "back", "color": BLACK, "penwidth": "1.8" if self.gains is None else "3.2",
            "label": None if self.gains is None else "δ in", "weight": "5",
        }  # fmt: skip

    def _is_followed(self, link: Link) -> bool:
        """Whether the backward pass starts from this result."""
        return self.gains is None or any(link.target.value is y for y in self.gains.of)


def _stub_id(outer: Vertex, step: int) -> str:
    return f"j{outer.id[1:]}_{step}"


def opening(head: str | None, nodesep: str, ranksep: str) -> list[str]:
    """How the DOT text of every view begins; ``head`` is its title and legend as a table."""
    label = f'label=<{head}>, labelloc="t", labeljust="l", ' if head is not None else ""
    return [
        "digraph tinygrad_rnn {",
        f'  graph [rankdir="LR", fontname="Arial", fontsize="14", {label}nodesep="{nodesep}", ranksep="{ranksep}", '
        'pad="0.15", bgcolor="white", splines="true", newrank="true"];',
        f'  node [{_NODE}, margin="0.05,0.03", height="0.34", width="0.34"];',
        '  edge [fontname="Arial", fontsize="10", color="#8A8A8A", arrowsize="0.6"];',
    ]


def captions(title: str, note: str, lines: Sequence[str]) -> str:
    """A title and small lines below it, as a table."""
    rows = [f"<B>{shown_html(title, 80)}</B>", *map(small, [*([shown_html(note, 200)] if note else []), *lines])]
    return f'<TABLE BORDER="0" CELLSPACING="2">{"".join(f"""<TR><TD ALIGN="LEFT">{row}</TD></TR>""" for row in rows)}</TABLE>'


def frame(label: str, margin: str = "6") -> Look:
    """Around a time step, a chain or a module; the label is as DOT wants it."""
    return {
        "label": label, "style": "rounded,filled", "color": "#C9C9C9", "fillcolor": "#FAFAFA", "fontsize": "11", "margin": margin,
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


def _shape(case: str, symbol: str) -> Look:
    if case == "composition":
        return {"shape": "hexagon", "margin": "0.02,0.03", "height": "0.38"}
    if case == "weighting":
        return {"shape": "diamond", "margin": "0", "height": "0.42", "width": "0.42"}
    return {"shape": "circle", "margin": "0"} if len(symbol) == 1 else {"shape": "box", "style": "rounded,filled"}


def _range_of(entry: Entry) -> str:
    """The least and the largest value of what came out."""
    arrays = [y for y in entry.ys if y.size]
    if not arrays:
        return "no values"
    least, most = min(float(y.min()) for y in arrays), max(float(y.max()) for y in arrays)
    return f"{least:.3g}" if least == most else f"{least:.3g} … {most:.3g}"


def _unnamed(value: Any) -> str:
    """A leaf without a name by its value, if that is one number, or by its shape."""
    if not hasattr(value, "_data"):
        return repr(value)
    return f"{value.item():.4g}" if value._data.size == 1 else str(tuple(value._data.shape))


def _kind_of_array(*values: Any) -> str:
    arrays = [getattr(value, "_data", value) for value in values]
    shapes = Counter(f"{tuple(array.shape)} {array.dtype}" for array in arrays)
    return ", ".join(f"{kind} × {times}" if times > 1 else kind for kind, times in shapes.items())


def mixed(colour: str, strength: float) -> str:
    """The colour mixed with white; plain text, since transparency does not print."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + (part - 255) * strength):02X}" for part in parts)
