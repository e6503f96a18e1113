"""How large residuals are on their way back, and how a picture says so."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..backends import Array
from ..reading.followed import size
from ..reading.words import gain_label
from ..tape import Entry, Node, pull_back


@dataclass(frozen=True)
class Part:
    """The residual that one operation sends to one operand: its size, its gain, and what the picture writes on the edge."""

    size: float
    gain: float
    label: str


class Gains:
    """The sizes of all residuals in one backward pass of its own; no ``.grad`` is touched.

    Args:
        of: the results that the pass starts from.
        inside: the indices of the entries to look at, one at least, or None for all.

    Attributes:
        of: the results that the pass starts from.
        seed: the size of the residual that the pass starts from.
        arrived: by index of the entry, the size of the residual that reached it.
        parts: by index of the entry and operand.
    """

    def __init__(self, of: Sequence[Node], inside: Collection[int] | None = None) -> None:
        self.of, self._inside = of, inside
        self.arrived: dict[int, float] = {}
        self.parts: dict[tuple[int, int], Part] = {}
        seeds = [(y, y._backend.ones_like(y._data)) for y in of]
        self.seed = joint([size(y._backend, g) for y, g in seeds])
        since = -1 if inside is None else min(inside) - 1
        pull_back(seeds, watch=self._watch, since=since)

    def entering(self, results: Sequence[Node]) -> Gains:
        """The same sizes for a picture that ends with these results: those that a residual reaches are what it starts from."""
        reached = [(y, y.entry.index) for y in results if y.entry is not None and self.arrived.get(y.entry.index)]
        seen = copy.copy(self)
        seen.of, seen.seed = [y for y, _ in reached], joint([self.arrived[index] for index in {index for _, index in reached}])
        return seen

    def _watch(self, entry: Entry, g: Any, operand: int, part: Array) -> None:
        if self._inside is not None and entry.index not in self._inside:
            return
        if entry.index not in self.arrived:
            parts = g if entry.row.several else [g]
            self.arrived[entry.index] = joint([size(entry.backend, one) for one in parts if one is not None])
        before, after = self.arrived[entry.index], size(entry.backend, part)
        gain = after / before if before else 0.0
        self.parts[entry.index, operand] = Part(after, gain, _edge_label(entry, gain, entry.ys[0], part))


def joint(sizes: Sequence[float]) -> float:
    return math.nan if any(math.isnan(s) for s in sizes) else math.hypot(*sizes)


# -- in words -------------------------------------------------------------------------------------------------------------------------


def _edge_label(entry: Entry, gain: float, y: Array, part: Array) -> str:
    """Additions pass a residual unchanged, so where they copy, gather or choose, a verb says what a ratio of sizes would contradict."""
    if entry.row.case != "addition" or not math.isfinite(gain):
        return gain_label(gain, part.shape == y.shape)
    if part.size < y.size:
        return "added up" if entry.row.elementwise or entry.row.name == "broadcast_to" else "part"
    if entry.row.name in ("sum", "sum_to") and part.size > y.size:
        return "copied"
    if gain == 0 or abs(gain - 1) < 5e-7:
        return gain_label(gain)
    return "part" if gain < 1 else "added up"


# -- in strokes -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stroke:
    """How an edge is drawn: its width in points, how much of its colour is left, and its style."""

    width: float
    strength: float
    style: str


def stroke(relative: float) -> Stroke:
    """Thinner and paler with every half decade that a residual has lost against the seed; steps, so that a last bit changes nothing."""
    if not math.isfinite(relative):
        return Stroke(5, 1, "solid")
    if relative == 0:
        return Stroke(0.6, 0.3, "dotted")
    decades = min(max(round(2 * math.log10(relative)) / 2, -5.0), 2.0)
    width = max(0.6, 5 + (1.6 if decades <= 0 else 1.5) * decades)
    return Stroke(width, min(1.0, max(0.3, 1 + 0.22 * decades)), "dashed" if decades <= -3 else "solid")
