"""What a page shows of a picture, whatever the view: boxes with facts, arrows, groups that close, and moments
of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..chain_rule.formula import formulas
from ..reading.norms import Ranges
from ..reading.words import formula_of
from ..tape import Entry, Replay
from .gains import Gains, Part
from .placement import Placement

Fact = tuple[str, str]
"""What is known, by what it is called: ("shape", "(2, 4)"). Users' text stands in it as it is."""

Look = dict[str, str | None]
"""Shape, lines and colours, by the names that DOT's attributes have."""


WIDTH, HEIGHT = 1200, 1700
"""A page of A4's form, in CSS pixels: so wide are pictures, and so high may one of every operation be that
nobody asked for."""


@dataclass(frozen=True)
class Box:
    """A node of the picture.

    Attributes:
        id: what the picture calls it, in DOT and in SVG.
        label: its text, or its title where there are more lines.
        look: its attributes in DOT.
        facts: what is known of it.
        rule: how a residual goes through it.
        group: the id of the group that it stands in.
        straight: whether it stands on the line of the state.
        lines: what stands below its label.
        fills: of a table, the colours of its lines.
    """

    id: str
    label: str
    look: Look
    facts: Sequence[Fact]
    rule: Sequence[str] = ()
    group: str | None = None
    straight: bool = False
    lines: Sequence[str] = ()
    fills: Sequence[str | None] = ()


@dataclass(frozen=True)
class Arrow:
    """An edge of the picture, from what is computed first to what needs it.

    Attributes:
        look: its attributes in DOT.
        back: whether a residual takes it.
        size: the size of that residual, if it was measured.
        gain: how many times as large it is as what arrived at the target; None where nothing was measured,
            and where additions pass it on.
    """

    id: str
    source: str
    target: str
    look: Look
    back: bool
    size: float | None = None
    gain: float | None = None


@dataclass(frozen=True)
class Group:
    """A frame around boxes, which can be closed: a time step, a module. ``text`` is what stands on it when it
    is closed."""

    id: str
    label: str
    text: str


@dataclass(frozen=True)
class Moment:
    """A place of the time slider: what it says, and the ids of the boxes or groups that it points at."""

    label: str
    text: str
    at: Sequence[str]


@dataclass(frozen=True)
class Scene:
    """All of it.

    Attributes:
        dot: the picture's DOT text without title and legend, which the page has itself.
        band: what the line of the state is called, where boxes stand on it and no groups; "" where there is
            none.
        legend: pairs of a class, "case1" to "case3" or "", and what it means.
        measured: whether gains were.
        inside: by id of a box that can be opened, what is inside.
        placed: where everything stands, if the DOT text says so; else an engine finds places.
        width: how wide it is shown at most, in CSS pixels.
    """

    title: str
    dot: str
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    groups: Sequence[Group]
    moments: Sequence[Moment]
    band: str
    legend: Sequence[tuple[str, str]]
    notes: Sequence[str]
    measured: bool
    inside: Mapping[str, Scene] = field(default_factory=dict)
    placed: Placement | None = None
    width: float = WIDTH


# -- facts ---------------------------------------------------------------------------------------------------


def facts_of_array(array: Any, ranges: Ranges) -> list[Fact]:
    """Shape, dtype and range of an array of any device; a Python number is its own fact."""
    if not hasattr(array, "shape"):
        return [("value", repr(array))]
    facts = [("shape", f"{tuple(array.shape)} {array.dtype}")]
    ends = ranges.of(array)
    return facts if ends is None else [*facts, ("range", f"{exactly(ends[0])} … {exactly(ends[1])}")]


def facts_of_entry(
    entry: Entry,
    names: Sequence[str],
    gains: Gains | None,
    operands: Sequence[str],
    ranges: Ranges,
) -> list[Fact]:
    """An operation: what it computes, the range of its results, what residual reached it and which part of it
    each operand gets."""
    facts = [("result", ", ".join(names))] if names else []
    facts += [("operation", entry.row.name), ("case", entry.row.case), ("formula", formula_of(entry))]
    outputs = entry.ys
    for i, array in enumerate(outputs):
        numbered = f" {i + 1}" if len(outputs) > 1 else ""
        facts += [(f"{what}{numbered}", text) for what, text in facts_of_array(array, ranges)]
    if gains is None:
        return facts
    facts.append(("residual", exactly(gains.arrived(entry))))
    for i, operand in enumerate(operands):
        part = gains.part(entry, i)
        if part is not None:
            facts.append(gain_fact(operand, part))
    return facts


def rule_of(entry: Entry) -> list[str]:
    """How the residual dy of the result becomes those of the operands."""
    assert not isinstance(entry.row, Replay)  # pictures are of opened tapes
    return formulas(entry.row)


def exactly(value: float) -> str:
    """A number to six digits, where a picture would round it."""
    return "NaN" if math.isnan(value) else f"{value:.6g}"


def gain_fact(operand: str, part: Part) -> Fact:
    """What an operand gets of a residual."""
    gain = exactly(part.gain)
    return (
        f"gain to {operand}",
        f"{f'×{gain}' if math.isfinite(part.gain) else gain} (residual {exactly(part.size)})",
    )
