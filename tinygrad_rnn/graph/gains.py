"""What a picture says of the residuals that were followed: numbers and verbs on its edges, and strokes."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..reading.followed import Followed
from ..reading.norms import overall
from ..reading.words import gain_label
from ..tape import Entry, Key, Node
from .folding import Function


@dataclass(frozen=True)
class Part:
    """The residual that one operation, or one function, sends to one operand: its size, its gain, and what
    the picture writes on the edge: nothing where the residual passes unchanged."""

    size: float
    gain: float
    label: str


class Gains:
    """The sizes of all residuals that were followed, for pictures of single operations.

    Attributes:
        of: the results that they start from.
        seed: the size of the residual that starts there.
        followed: the backward passes.
    """

    def __init__(self, followed: Followed) -> None:
        self.followed = followed
        self.of: list[Node] = [y for y, _ in followed.seeds]
        self.seed: float = overall((g for _, g in followed.seeds), self.of[0]._backend)

    def entering(self, results: Sequence[Node]) -> Gains:
        """The same sizes for a picture that ends with these results: those that a residual reaches are what
        it starts from."""
        seen = copy.copy(self)
        seen.of = [y for y in results if y.entry is not None and self.arrived(y.entry)]
        seen.seed = math.hypot(
            *(self.arrived(entry) for entry in dict.fromkeys(y.entry for y in seen.of) if entry is not None)
        )
        return seen

    def arrived(self, operation: Entry | Function) -> float:
        """The size of the residual that reached an operation, or the results of a function."""
        if isinstance(operation, Function):
            return math.hypot(*map(self.arrived, operation.results))
        return self.followed.pass_of(operation).arrived(operation)

    def part(self, operation: Entry | Function, operand: int) -> Part | None:
        """What it sends to an operand; None where nothing goes."""
        size, before = self._sent(operation, operand), self.arrived(operation)
        if size is None:
            return None
        gain = size / before if before else 0.0
        if isinstance(operation, Function):
            entry, i = operation.operands[operand][0]
            label = gain_label(gain, entry.xs[i].shape == operation.results[-1].ys[0].shape)
        else:
            label = _edge_label(operation, operand, gain)
        return Part(size, gain, "" if label == "×1" else label)

    def _sent(self, operation: Entry | Function, operand: int) -> float | None:
        """The size of what goes to an operand; a function may use it several times."""
        uses = operation.operands[operand] if isinstance(operation, Function) else [(operation, operand)]
        run = self.followed.pass_of(uses[0][0])
        return run.part(*uses[0]) if len(uses) == 1 else run.summed(_key(uses))


def sums_of(functions: Sequence[Function]) -> dict[tuple[int, int], Key]:
    """The residuals that must be added up, since a function sends them to one operand."""
    several = [uses for function in functions for uses in function.operands if len(uses) > 1]
    return {(entry.index, operand): _key(uses) for uses in several for entry, operand in uses}


def _key(uses: Sequence[tuple[Entry, int]]) -> Key:
    """What tells the residuals of these uses from all others."""
    entry, operand = uses[0]
    return entry.index, operand


def _edge_label(entry: Entry, operand: int, gain: float) -> str:
    """The gain. An addition passes a residual unchanged, though its size may change where it copies, gathers
    or chooses: there a verb stands instead."""
    row, y, x = entry.row, entry.ys[0], entry.xs[operand]
    if row.case != "addition" or not math.isfinite(gain):
        return gain_label(gain, x.shape == y.shape)
    if x.size != y.size and row.verb:
        return row.verb
    if x.size < y.size:
        return "added up" if row.elementwise else "part"
    if gain == 0 or abs(gain - 1) < 5e-7:
        return gain_label(gain)
    return "part" if gain < 1 else "added up"
