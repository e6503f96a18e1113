"""The view of modules: a box for each layer of cells, readout or embedding, and on the arrows the residual
that goes from one to the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..colours import INK
from ..reading.norms import Ranges
from ..reading.words import formatted, gain_label, plain
from ..tape import Node
from .modules import Modules, Part, Sizes
from .paint import (
    BACKWARDS,
    LEAVES,
    NOT_FINITE,
    captions,
    frame,
    mixed,
    opening,
    silent,
    sized,
    small,
    stroke,
    with_room,
    written,
)
from .scene import Arrow, Box, Fact, Look, Scene, exactly, facts_of_array
from .text import Html, attributes, shown, shown_html, tooltip

_ARROW, _TEXT = "#555555", "#444444"


class CellsView:
    """Writes the DOT text of modules.

    Args:
        sizes: what a backward pass measured between them, or None.
        outputs: the results, which the pass starts from.
        inside: by id of a part, the picture of its operations.
        width: how wide the picture is shown at most, in CSS pixels.
    """

    def __init__(
        self,
        modules: Modules,
        sizes: Sizes | None,
        outputs: Sequence[Node],
        title: str,
        note: str,
        inside: Mapping[str, Scene],
        width: float,
    ) -> None:
        self.modules = modules
        self.sizes = sizes
        self.outputs = outputs
        self.title = title
        self.note = note
        self.inside = inside
        self._width = width
        self._ranges = Ranges([*modules.arrays.values(), *(y._data for y in outputs)], outputs[0]._backend)

    def dot(self, titled: bool = True) -> str:
        lines = opening(
            captions(self.title, self.note, [" · ".join(self._notes())]) if titled else None, "0.25", "0.6"
        )
        boxes = self._boxes()
        for place, (framed, label) in enumerate(self.modules.frames.items(), start=1):
            look: Look = {"id": f"k{place}", **frame(shown(label, 60), margin="8")}
            inside = {
                part.id for part in self.modules.parts if part.frame is not None and id(part.frame) == framed
            }
            lines += [f"  subgraph cluster_k{place} {{", f"    graph {attributes(look)};"]
            lines += [*(f"  {written(box)}" for box in boxes if box.id in inside), "  }"]
            boxes = [box for box in boxes if box.id not in inside]
        lines += [written(box) for box in boxes]
        lines += [f"  {a.source} -> {a.target} {attributes({'id': a.id, **a.look})};" for a in self._arrows()]
        return "\n".join([*lines, "}", ""])

    def _notes(self) -> list[str]:
        notes = [*BACKWARDS]
        if self.sizes is not None:
            notes += [
                *filter(None, [self.sizes.caption]),
                "residual in a box = size of what comes into it",
                "number on an arrow = gain (size that goes on ÷ size that came in)",
            ]
        return [*notes, "in brackets = shape of what goes forward", "grey, dotted = no residual"]

    # -- boxes -----------------------------------------------------------------------------------------------

    def _boxes(self) -> list[Box]:
        boxes = [
            *map(self._leaf, self.modules.leaves),
            *map(self._part, self.modules.parts),
            *map(self._output, range(len(self.outputs))),
        ]
        return with_room(boxes, self._arrows())

    def _leaf(self, name: str) -> Box:
        x = self.modules.leaves[name]
        kind = "state" if id(x) in self.modules.states else "parameter" if x.requires_grad else "input"
        text = self.modules.names.of(x) or str(tuple(x._data.shape))
        return Box(
            name,
            text,
            _leaf(kind, text),
            [("kind", kind), *facts_of_array(self.modules.arrays[name], self._ranges)],
        )

    def _output(self, place: int) -> Box:
        y = self.outputs[place]
        kind = "loss" if y._data.size == 1 else "output"
        text = self.modules.names.of(y) or ("loss" if kind == "loss" else "result")
        return Box(
            f"o{place}",
            text,
            _leaf(kind, text),
            [("kind", kind), *facts_of_array(y._data, self._ranges)],
        )

    def _part(self, part: Part) -> Box:
        arrived = None if self.sizes is None else self.sizes.arrived.get(part.id, 0.0)
        parameters = f"{part.parameters:,} parameter{'s' * (part.parameters != 1)}" if part.parameters else ""
        residual = f"residual {formatted(arrived, 3)}" if arrived is not None else ""
        lines = [line for line in (parameters, residual) if line]
        text = "<BR/>".join([shown_html(part.head, 60), *map(small, lines)])
        finite = arrived is None or math.isfinite(arrived)
        look: Look = {
            "shape": "box",
            "label": Html(text),
            **sized({"shape": "box"}, [(plain(part.head, 60), 12.0), *((line, 9.0) for line in lines)]),
            "color": INK if finite else NOT_FINITE.line,
        }
        look |= (
            {"style": "rounded,filled"}
            if part.loose
            else {"fillcolor": "#FFFBD6" if part.chain else "#EDEDED"}
        )
        facts: list[Fact] = [
            ("operations" if part.loose else "module", part.head),
            ("count of operations", f"{len(part.entries):,}"),
        ]
        facts += [("learns", parameters)] if parameters else []
        facts += [("residual", exactly(arrived))] if arrived is not None else []
        look["tooltip"] = tooltip(f"{part.head} · {len(part.entries):,} operations")
        return Box(part.id, part.head, look, facts, lines=lines)

    # -- arrows ----------------------------------------------------------------------------------------------

    def _arrows(self) -> list[Arrow]:
        arrows = [
            self._arrow(source, target, needed) for (source, target), needed in self.modules.links.items()
        ]
        for place, y in enumerate(self.outputs):
            source = self.modules.part_of[y.entry.index].id if y.entry is not None else ""
            labels = [] if self.sizes is None else ["δ in"]
            look: Look = {
                "dir": "back",
                "color": INK,
                "penwidth": "1.8",
                "label": " · ".join([*labels, *_shapes([y._data.shape])]) or None,
            }
            arrows.append(Arrow(f"e{source}-o{place}", source, f"o{place}", look, True))
        return arrows

    def _arrow(self, source: str, target: str, needed: bool) -> Arrow:
        name = f"e{source}-{target}"
        labels = _shapes(self.modules.crossing[source, target].values())
        text: Look = {"label": " · ".join(labels) or None, "fontcolor": _TEXT}
        quiet: Look = {**silent(), **text}
        if self.sizes is None:
            plain: Look = {"dir": "back", "color": _ARROW, "penwidth": "1.8", **text}
            return Arrow(name, source, target, plain if needed else quiet, needed)
        size = self.sizes.sent.get((target, source), 0.0)
        came = self.sizes.arrived.get(target, 0.0)
        if not size:
            return Arrow(name, source, target, quiet, False, 0.0)
        line = stroke(size / self.sizes.seed if self.sizes.seed else 0.0)
        finite = math.isfinite(size)
        look: Look = {
            "dir": "back", "color": mixed(_ARROW if finite else NOT_FINITE.line, line.strength),
            "penwidth": f"{line.width:.1f}",
            "style": line.style,
            "label": " · ".join([gain_label(size / came, same_shape=False), *labels] if came else labels),
            "fontcolor": _TEXT,
            "tooltip": tooltip(f"size {size:.6g}"),
        }  # fmt: skip
        return Arrow(name, source, target, look, True, size)

    def summary(self) -> str:
        """For the summary: how many modules."""
        return f", {self.modules.count} module{'s' * (self.modules.count != 1)}"

    # -- for a page ------------------------------------------------------------------------------------------

    def scene(self) -> Scene:
        """The same picture as boxes and arrows with all that is known of them."""
        return Scene(
            title=self.title,
            dot=self.dot(titled=False),
            boxes=self._boxes(),
            arrows=self._arrows(),
            groups=[],
            moments=[],
            band="",
            legend=[],
            notes=[*([self.note] if self.note else []), *self._notes()],
            measured=self.sizes is not None,
            inside=self.inside,
            width=self._width,
        )


def _leaf(kind: str, text: str) -> Look:
    return {**LEAVES[kind], "label": shown(text), **sized(LEAVES[kind], [(plain(text), 12.0)])}


def _shapes(shapes: Iterable[tuple[int, ...]]) -> list[str]:
    """What goes along an arrow: the shapes of tensors, and how many of them there are; single numbers have
    none."""
    counts = Counter(shapes)
    if len(counts) > 2:
        return [f"{sum(counts.values())} tensors"]
    return [f"{count} × {shape}" if count > 1 else f"{shape}" for shape, count in counts.items() if shape]
