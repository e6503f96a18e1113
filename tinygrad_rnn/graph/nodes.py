"""How single operations, leaves and results look, what stands on them, and what is known of them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from functools import cached_property
from typing import Any

from ..reading.norms import Ranges
from ..reading.words import formatted, plain, short, symbol_of
from ..tape import Entry, Node
from .gains import Gains
from .network import Link, Network, Vertex
from .paint import LEAVES, NOT_FINITE, PAINTS, UNREACHED, Paint, sized
from .scene import Fact, Look, facts_of_array, facts_of_entry, rule_of
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
        self._into: dict[str, list[Link]] = defaultdict(list)
        for link in network.links:
            self._into[link.target.id].append(link)

    def look(self, vertex: Vertex) -> Look:
        """Shape, lines, colours and text."""
        return self._operation(vertex) if vertex.kind == "operation" else self._leaf(vertex)

    def facts(self, vertex: Vertex) -> list[Fact]:
        """What is known of it, for a page."""
        return self._operation_facts(vertex) if vertex.kind == "operation" else self._leaf_facts(vertex)

    def text(self, vertex: Vertex) -> str:
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
        value, text = vertex.value, self.text(vertex)
        look: Look = {**LEAVES[vertex.kind], "label": shown(text), "class": vertex.kind}
        look |= sized(look, [(plain(text), 10 if vertex.copied else 12)])
        if vertex.copied:
            look["fontsize"] = "10"
        facts = [text, f"{vertex.kind} {_kind_of_array(value)}" if hasattr(value, "_data") else vertex.kind]
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
            label=self._labelled(entry, text),
        )
        if paint is UNREACHED:
            look["fontcolor"] = paint.text
        look |= sized(look, [(plain(text), 12.0), *((line, 8.0) for line in self.below(entry))])
        names = ", ".join(self.network.names_of(entry))
        what = f"{entry.row.name} {_kind_of_array(*entry.ys)}"
        facts = [f"{names} = {what}" if names else what, *rule_of(entry)]
        if self.gains is not None:
            facts.append(f"size of its residual: {formatted(self.gains.arrived(entry), 3)}")
        look.update({"class": PAINTS[case].css, "tooltip": tooltip(" · ".join(facts))})
        return look

    def _labelled(self, entry: Entry, text: str) -> str:
        lines = self.below(entry)
        if not lines:
            return shown(text)
        return Html(
            "<BR/>".join(
                [shown_html(text), *(f'<FONT POINT-SIZE="8" COLOR="#555555">{line}</FONT>' for line in lines)]
            )
        )

    def below(self, entry: Entry) -> list[str]:
        return [f"#{self._visit(entry)}"] * self.order + [self._range_of(entry)] * self.values

    def _visit(self, entry: Entry) -> int:
        """When the backward pass comes to it, from 1."""
        return len(self.network.tape) - self.network.place_of(entry)

    def _paint(self, entry: Entry) -> Paint:
        arrived = 1.0 if self.gains is None else self.gains.arrived(entry)
        if not math.isfinite(arrived):
            return NOT_FINITE
        return PAINTS[entry.row.case] if arrived else UNREACHED

    def _operation_facts(self, vertex: Vertex) -> list[Fact]:
        entry: Entry = vertex.value
        operands = [self.text(link.source) for link in self._into[vertex.id]]
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
