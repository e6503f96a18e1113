"""A half of a step as loop nests: which values lie in memory, in which nest each is made, and which nests are
one.

Group        loops over one space of indices, in which several values are made element by element
Reduction    elements along axes become one
RunningSum   sums so far along an axis
Scattering   elements are added at places that are values
Contraction  sums of products, in the form that the strides of its operands ask for
Check        whether numbers lie in a range
Call         a row that is no loops: a function of the array module
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..backends.atoms import Value
from .contractions import Contraction
from .index import Index, Var, flat
from .program import Instruction
from .reader import Reader


@dataclass(eq=False)
class Buffer:
    """An array that the code reads or writes.

    Attributes:
        number: its place in the table of pointers.
        kind: of its numbers.
        size: elements of one step.
        own: elements that each thread, or block of a device, has of its own; 0 where they share one.
    """

    number: int
    kind: str
    size: int
    own: int = 0


@dataclass(frozen=True)
class Place:
    """Where a value lies: which part of a buffer a step uses. "fixed" the only one, "time" the step's own,
    "before" and "after" those around the step in the order of running, "this" and "other" one of two in
    turn."""

    buffer: Buffer
    slot: str


SLOTS = {
    "time": ("t", 0, False),
    "before": ("at", 0, False),
    "after": ("at", 1, False),
    "this": ("at", 0, True),
    "other": ("at", 1, True),
}
"""Which part of a buffer a step uses: from its place t in time, or its place ``at`` in the order of running;
how many further it lies; and whether there are two parts, that take turns."""


@dataclass
class Target:
    """A value that leaves the half, or is added to what is there.

    Attributes:
        value: None for zeros, in the shape of ``like``.
    """

    value: int | None
    place: Place
    added: bool = False
    like: int = -1


@dataclass
class Store:
    place: Place
    index: Index
    added: bool = False


@dataclass
class Map:
    """A value, or a piece of one, element by element.

    Attributes:
        source: writes the element.
        index: its place in the order of the value's elements; what reads it there, in the same group, reads
            no memory.
    """

    value: int | None
    source: Callable[[Reader], Value]
    index: Index
    stores: list[Store]


MAPS = 32
"""Values that are made in the same loops: to compile longer loops takes more than in proportion."""


@dataclass
class Group:
    """Loops over a space.

    Attributes:
        maps: what is made in them.
        reductions: of what is made there, or costs little beside it; their axes are the space's.
    """

    space: tuple[Var, ...]
    maps: list[Map] = field(default_factory=list)
    reductions: list[Reduction] = field(default_factory=list)

    def values(self, k: Reader) -> list[tuple[Value, Store]]:
        """Write the element of each map, and say where each is to be stored: all of them are made before one
        is stored."""
        found: list[tuple[Value, Store]] = []
        for m in self.maps:
            y = m.source(k)
            if m.value is not None:
                k.known[m.value, m.index] = y
            found += [(y, store) for store in m.stores]
        return found


_ENDS = {"i1": (0, 1), "i32": (-(2**31), 2**31 - 1), "i64": (-(2**63), 2**63 - 1)}


@dataclass
class Reduction:
    """value[kept axes] = how over the other axes of the operand.

    Attributes:
        indices: of the operand's element.
        axes: the variables in them.
        kept: which of them stay.
        index: the place of the result.
    """

    value: int
    how: str
    operand: int
    indices: tuple[Index, ...]
    axes: tuple[Var, ...]
    kept: tuple[Var, ...]
    index: Index

    @classmethod
    def of(
        cls,
        value: int,
        how: str,
        operand: int,
        axes: tuple[Var, ...],
        indices: tuple[Index, ...],
        to: Sequence[int | None],
        shape: tuple[int, ...],
    ) -> Reduction:
        """One to a result of a shape; ``to`` says which axis of it each axis of the operand becomes."""
        places, kept = [Index()] * len(shape), list[Var]()
        for index, axis in zip(indices, to, strict=True):
            if axis is not None and shape[axis] != 1:
                places[axis] = index
                kept += index.terms
        return cls(value, how, operand, indices, axes, tuple(kept), flat(places, shape))

    def first(self, kind: str) -> float:
        """What nothing adds up to; of extrema the number of a kind that all others win against."""
        least, most = _ENDS.get(kind, (-math.inf, math.inf))
        return {"max": least, "min": most, "all": 1}.get(self.how, 0)


@dataclass
class RunningSum:
    value: int
    operand: int
    axes: tuple[Var, ...]
    along: Var


@dataclass
class Scattering:
    """value[place] += operand, whose place is an index and a number that is read.

    Attributes:
        turn: writes the number, and says how far apart its places lie.
    """

    value: int
    operand: int
    axes: tuple[Var, ...]
    index: Index
    turn: Callable[[Reader], tuple[Value, int]]


@dataclass
class Check:
    """Whether all numbers of a value lie from ``least`` to ``end`` − 1."""

    value: int
    axes: tuple[Var, ...]
    least: int
    end: int


@dataclass
class Call:
    instruction: Instruction


Nest = Group | Reduction | RunningSum | Scattering | Contraction | Check | Call


def work_of(nests: Sequence[Nest]) -> int:
    """About how many multiplications they take."""
    total = 0
    for nest in nests:
        if isinstance(nest, Contraction):
            axes = [*nest.rows, *nest.sums, *(var for var in (nest.tile, nest.vector) if var)]
            total += math.prod(var.length for var in axes)
        elif isinstance(nest, Group):
            total += 4 * (len(nest.maps) + len(nest.reductions)) * math.prod(var.length for var in nest.space)
        elif isinstance(nest, (Reduction, RunningSum, Scattering)):
            total += 4 * math.prod(var.length for var in nest.axes)
    return total
