"""How single operations, leaves and results look, what stands on them, and what is known of them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..reading.norms import Ranges
from ..reading.words import formatted, plain, short, symbol_of
from ..tape import Entry, Node
from .folding import Function
from .gains import Gains
from .network import Link, Network, Vertex
from .paint import FUNCTION, LEAVES, NOT_FINITE, PAINTS, UNREACHED, Paint, sized
from .scene import Fact, Look, exactly, facts_of_array, facts_of_entry, gain_fact, rule_of
from .text import Html, shown, shown_html, tooltip


class Nodes:
    """The vertices of a network as a picture shows them.

    Args:
        gains, order, values: as of the view.
    """

    def __init__(self, network: Network, gains: Gains | None, order: bool, values: bool) -> None:
        self.network = network
        self.gains = gains
        self.order = order
        self.values = values
        self._looks: dict[str, Look] = {}
        self._into: dict[str, list[Link]] = defaultdict(list)
        for link in network.links:
            self._into[link.target.id].append(link)

    def look(self, vertex: Vertex) -> Look:
        """Shape, lines, colours and text."""
        if vertex.id not in self._looks:
            makes = {"operation": self._operation, "function": self._function}
            self._looks[vertex.id] = makes.get(vertex.kind, self._leaf)(vertex)
        return self._looks[vertex.id].copy()

    def facts(self, vertex: Vertex) -> list[Fact]:
        """What is known of it, for a page."""
        makes = {"operation": self._operation_facts, "function": self._function_facts}
        return makes.get(vertex.kind, self._leaf_facts)(vertex)

    def text(self, vertex: Vertex) -> str:
        if vertex.kind == "function":
            return f"{short(vertex.name, 20)} = {vertex.value.name}" if vertex.name else vertex.value.name
        if vertex.kind != "operation":
            return (vertex.name or self._unnamed(vertex)) + "ᵀ" * (vertex.id in self.transposed)
        symbol = symbol_of(vertex.value)
        return (
            f"{short(vertex.name, 20)} = {symbol}"
            if vertex.value.row.case == "composition" and vertex.name
            else symbol
        )

    @cached_property
    def transposed(self) -> set[str]:
        """The ids of the leaves that every operation takes transposed."""
        straight = {link.source.id for link in self.network.links if not link.transposed}
        return {
            link.source.id
            for link in self.network.links
            if link.source.kind not in ("operation", "function") and link.source.id not in straight
        }

    @cached_property
    def _ranges(self) -> Ranges:
        vertices = self.network.vertices
        results = [y for entry in self.network.tape for y in entry.ys]
        return Ranges(
            [*results, *(v.array for v in vertices if isinstance(v.value, Node))],
            self.network.tape[0].backend,
        )

    def _range_of(self, *arrays: Any) -> str:
        """The least and the largest of all values."""
        ends = [end for array in arrays if (end := self._ranges.of(array)) is not None]
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
        value, text = vertex.value, self.text(vertex)
        look: Look = {**LEAVES[vertex.kind], "label": shown(text), "class": vertex.kind}
        look |= sized(look, [(plain(text), 10 if vertex.copied else 12)])
        if vertex.copied:
            look["fontsize"] = "10"
        facts = [text, f"{vertex.kind} {_kind_of_array(value)}" if hasattr(value, "_data") else vertex.kind]
        if hasattr(value, "_data"):
            facts.append(f"values {self._range_of(vertex.array)}")
        if vertex.id in self.transposed:
            facts.append("taken transposed by @")
        if vertex.copied:
            facts.append("one parameter, drawn once for each step: the residuals of all copies are added up")
        look["tooltip"] = tooltip(" · ".join(facts))
        return look

    def _operation(self, vertex: Vertex) -> Look:
        entry: Entry = vertex.value
        case, symbol, text = entry.row.case, symbol_of(entry), self.text(vertex)
        paint = self._paint(entry)
        look: Look = dict(_shape(case, symbol))
        look.update(
            fillcolor=paint.fill,
            color=paint.line,
            penwidth="5" if paint is NOT_FINITE else "1.8",
            label=self._labelled(text, self.below(vertex)),
        )
        if paint is UNREACHED:
            look["fontcolor"] = paint.text
        look |= sized(look, [(plain(text), 12.0), *((line, 8.0) for line in self.below(vertex))])
        names = ", ".join(self.network.names_of(entry))
        look.update({"class": PAINTS[case].css, "tooltip": self._tooltip(names, entry, rule_of(entry))})
        return look

    def _function(self, vertex: Vertex) -> Look:
        function: Function = vertex.value
        paint, text = self._paint(function), self.text(vertex)
        made_of = [f"{function.count}: {function.cases}"]
        return {
            **sized({"shape": "box"}, [(plain(text), 12.0), *((line, 8.0) for line in self.below(vertex))]),
            "shape": "box", "fillcolor": paint.fill, "color": paint.line,
            "penwidth": "5" if paint is NOT_FINITE else "1.8",
            "label": self._labelled(text, self.below(vertex)),
            "fontcolor": paint.text if paint is UNREACHED else None,
            "class": FUNCTION.css,
            "tooltip": self._tooltip(vertex.name, function, made_of),
        }  # fmt: skip

    def _tooltip(self, names: str, operation: Entry | Function, more: Sequence[str]) -> str:
        """What is known of an operation or a function in one line."""
        results, name = _results(operation)
        what = f"{name} {_kind_of_array(*results)}"
        facts = [f"{names} = {what}" if names else what, f"values {self._range_of(*results)}", *more]
        if self.gains is not None:
            facts.append(f"size of its residual: {formatted(self.gains.arrived(operation), 3)}")
        return tooltip(" · ".join(facts))

    def _labelled(self, text: str, lines: Sequence[str]) -> str:
        if not lines:
            return shown(text)
        return Html(
            "<BR/>".join(
                [shown_html(text), *(f'<FONT POINT-SIZE="8" COLOR="#555555">{line}</FONT>' for line in lines)]
            )
        )

    def below(self, vertex: Vertex) -> list[str]:
        """What stands below the text of an operation or a function."""
        operation: Entry | Function = vertex.value
        lines = []
        if isinstance(operation, Function):
            lines.append(operation.count)
        if self.order:
            lines.append(self._visits(operation))
        return [*lines, *[self._range_of(*_results(operation)[0])] * self.values]

    def _visits(self, operation: Entry | Function) -> str:
        if not isinstance(operation, Function):
            return f"#{self._visit(operation)}"
        return f"#{self._visit(operation.entries[-1])} … #{self._visit(operation.entries[0])}"

    def _visit(self, entry: Entry) -> int:
        """When the backward pass comes to it, from 1."""
        return len(self.network.tape) - self.network.place_of(entry)

    def _paint(self, operation: Entry | Function) -> Paint:
        arrived = 1.0 if self.gains is None else self.gains.arrived(operation)
        if not math.isfinite(arrived):
            return NOT_FINITE
        return paint_of(operation) if arrived else UNREACHED

    def _operation_facts(self, vertex: Vertex) -> list[Fact]:
        entry: Entry = vertex.value
        operands = [self.text(link.source) for link in self._into[vertex.id]]
        facts = facts_of_entry(entry, self.network.names_of(entry), self.gains, operands, self._ranges)
        return [*facts, ("visited backwards", f"#{self._visit(entry)} of {len(self.network.tape)}")]

    def _function_facts(self, vertex: Vertex) -> list[Fact]:
        function: Function = vertex.value
        facts: list[Fact] = [("result", vertex.name)] if vertex.name else []
        facts += [("function", function.name), ("made of", f"{function.count}: {function.cases}")]
        for array in _results(function)[0]:
            facts += facts_of_array(array, self._ranges)
        if self.gains is not None:
            facts.append(("residual", exactly(self.gains.arrived(function))))
            for link in self._into[vertex.id]:
                part = self.gains.part(function, link.operand or 0)
                if part is not None:
                    facts.append(gain_fact(self.text(link.source), part))
        return [*facts, ("visited backwards", f"{self._visits(function)} of {len(self.network.tape)}")]

    def _leaf_facts(self, vertex: Vertex) -> list[Fact]:
        facts: list[Fact] = [("name", vertex.name)] if vertex.name else []
        facts += [("kind", vertex.kind), *facts_of_array(vertex.array, self._ranges)]
        return (
            [*facts, ("drawn", "once for each step; the residuals of all copies are added up")]
            if vertex.copied
            else facts
        )


def paint_of(operation: Entry | Function) -> Paint:
    """The colours of its case; a function has none."""
    return FUNCTION if isinstance(operation, Function) else PAINTS[operation.row.case]


def _results(operation: Entry | Function) -> tuple[list[Any], str]:
    """The arrays that came out, and what it is called."""
    if isinstance(operation, Function):
        return [y for entry in operation.results for y in entry.ys], operation.name
    return list(operation.ys), operation.row.name


def _shape(case: str, symbol: str) -> Look:
    if case == "composition":
        return {"shape": "hexagon"}
    if case == "weighting":
        return {"shape": "diamond"}
    return {"shape": "circle"} if len(symbol) == 1 else {"shape": "box", "style": "rounded,filled"}


def _kind_of_array(*values: Any) -> str:
    arrays = [getattr(value, "_data", value) for value in values]
    shapes = Counter(f"{tuple(array.shape)} {array.dtype}" for array in arrays)
    return ", ".join(f"{kind} × {times}" if times > 1 else kind for kind, times in shapes.items())
