"""Where the values of a step lie, and in which order they are made.

A step is a few *regions* with matrix products between them. A region computes, row by row of the batch, everything that can be computed
before the next product; splits, slices and joins of gates cost nothing there, they only say which element is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..backends.base import Unsupported
from ..chain_rule.addition import (
    BROADCAST_TO,
    CONCATENATE,
    GETITEM,
    MAX,
    RESHAPE,
    SCATTER,
    SCATTER_ALONG_AXIS,
    SPLIT,
    SUM,
    SUM_TO,
    TAKE_ALONG_AXIS,
    TRANSPOSE,
)
from ..chain_rule.weighting import MATMUL
from .program import Instruction, Number, Program

# -- where values lie -----------------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Buffer:
    """An array that the code reads or writes.

    Attributes:
        number: its place in the table of pointers.
        width: elements in a row.
        slot: which part a step uses: "time" the step's own, "before"/"after" the state around it, "carry"/"next" one of two in turn,
            "row" the only one, "fixed" a vector without rows.
        kind: LLVM's name of its dtype.
        inside: another buffer and the column of it where this one lies, instead of an array of its own.
    """

    number: int
    width: int
    slot: str
    kind: str
    inside: tuple[Buffer, int] | None = None


@dataclass(frozen=True)
class Place:
    """Where a value lies: columns of a buffer."""

    buffer: Buffer
    offset: int
    slot: str

    def settled(self) -> Place:
        """The place in an array of its own."""
        if self.buffer.inside is None:
            return self
        outer, column = self.buffer.inside
        return Place(outer, column + self.offset, outer.slot if outer.slot in ("before", "after") else self.slot)


@dataclass
class Target:
    """What a region must compute: a value to be stored, or added up over the batch in a vector."""

    value: int
    place: Place
    added: bool = False


@dataclass
class Product:
    """A matrix product of a step: place = left @ right, or @ right transposed."""

    left: Place
    right: int
    transposed: bool
    place: Place
    inner: int
    columns: int


@dataclass
class Half:
    """The forward or the backward part of a step.

    Attributes:
        stages: regions and products in the order of running.
        places: where each value lies.
        packed: matrices laid out for products, as they are (False) or transposed.
    """

    stages: list[list[Target] | list[Product]] = field(default_factory=list)
    places: dict[int, Place] = field(default_factory=dict)
    packed: dict[tuple[int, bool], Buffer] = field(default_factory=dict)

    def products(self) -> list[Product]:
        return [product for stage in self.stages for product in stage if isinstance(product, Product)]


class Layout:
    """Gives buffers numbers."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []

    def new(self, width: int, slot: str, kind: str) -> Buffer:
        buffer = Buffer(len(self.buffers), width, slot, kind)
        self.buffers.append(buffer)
        return buffer


# -- what can be lowered --------------------------------------------------------------------------------------------------------------

VIEWS = (SPLIT, GETITEM, CONCATENATE, SCATTER, BROADCAST_TO, RESHAPE)

REDUCTIONS = (SUM, SUM_TO, MAX, TAKE_ALONG_AXIS)
"""What makes one number of a row; an element at an index is the sum of a row in which all others are 0."""


class Shapes:
    """How a program's values lie in rows: "row" (B, n), "scalar" one number a row, "vector" one row for all, "number", or "matrix"."""

    def __init__(self, program: Program, batch: int) -> None:
        self.program, self.batch = program, batch
        self.producers = program.producers()
        self.kinds: dict[int, str] = {}
        self.widths: dict[int, int] = {}
        for v in program.fixed:
            self._note_fixed(v)
        for v in (*program.steps, *program.states):
            self._note(v)

    def note_rest(self, extra: Sequence[int], instructions: Sequence[Instruction]) -> None:
        for v in extra:
            self._note(v)
        for instruction in instructions:
            for v in instruction.results:
                if instruction.row is TRANSPOSE:
                    self.kinds[v] = "matrix"
                elif all(isinstance(r, Number) or self.kinds[r] in ("vector", "number") for r in instruction.operands):
                    self._note_fixed(v)
                else:
                    self._note(v, instruction)

    def _note_fixed(self, v: int) -> None:
        shape = self.program.shapes[v]
        if len(shape) == 0:
            self.kinds[v], self.widths[v] = "number", 1
        elif len(shape) == 1 or (len(shape) == 2 and shape[0] == 1 and self.batch != 1):
            self.kinds[v], self.widths[v] = "vector", shape[-1]
        elif len(shape) == 2:
            self.kinds[v], self.widths[v] = "matrix", shape[1]
        else:
            raise Unsupported(f"a fixed value of shape {shape}")

    def _note(self, v: int, made: Instruction | None = None) -> None:
        shape = self.program.shapes[v]
        if len(shape) == 2 and shape[0] == self.batch:
            self.kinds[v], self.widths[v] = ("row" if shape[1] != 1 else "scalar"), shape[1]
        elif shape == (self.batch,) and made is not None and made.row in (SUM, MAX, RESHAPE):
            self.kinds[v], self.widths[v] = "scalar", 1
        else:
            raise Unsupported(f"a value of shape {shape}" + (f" from {made.row.name!r}" if made else ""))


def check_instruction(shapes: Shapes, instruction: Instruction) -> None:
    """Whether its elements can be addressed as rows.

    Raises:
        Unsupported: they cannot.
    """
    row, program = instruction.row, shapes.program
    ranks = [len(program.shapes[r]) for r in instruction.operands if not isinstance(r, Number)]
    out, dtype = program.shapes[instruction.results[0]], program.dtypes[instruction.results[0]]
    index = instruction.operands[1:] if row in (TAKE_ALONG_AXIS, SCATTER_ALONG_AXIS) else ()
    if not row.elementwise and any(
        program.dtypes[r] != dtype for r in instruction.operands if not isinstance(r, Number) and r not in index
    ):
        raise Unsupported(f"{row.name} of a value of another dtype")
    if row is MATMUL:
        if dtype.kind != "f":
            raise Unsupported("a matrix product of booleans")
        left, right = instruction.operands
        if isinstance(left, Number) or isinstance(right, Number) or shapes.kinds[right] != "matrix" or shapes.kinds[left] == "matrix":
            raise Unsupported("a matrix product of two values of the step")
        if matrix_of(shapes, right)[0] not in program.fixed:
            raise Unsupported("a matrix product with a computed matrix")
    elif row is TRANSPOSE:
        if instruction.operands[0] not in program.fixed or instruction.params[0] != (1, 0):
            raise Unsupported("a transposed value of the step")
    elif row in (SUM, MAX):
        axes = instruction.params[0]
        if len(ranks) != 1 or ranks[0] != 2 or axes != (1,):
            raise Unsupported(f"a {row.name} over axes {axes}")
    elif row is SUM_TO:
        if out != (shapes.batch, 1):
            raise Unsupported(f"a sum to shape {out}")
    elif row in (TAKE_ALONG_AXIS, SCATTER_ALONG_AXIS):
        index = instruction.operands[1]
        if instruction.params[0] != 1 or shapes.kinds[index] != "scalar" or index not in (*program.steps, *program.fixed):
            raise Unsupported(f"{row.name} of more than one element of each row")
    elif row is RESHAPE:
        if shapes.kinds[instruction.operands[0]] != "scalar":
            raise Unsupported("a reshape")
    elif row is GETITEM or row is SCATTER:
        slice_of(instruction, program)
    elif row in (SPLIT, CONCATENATE):
        if instruction.params[-1] != 1 or any(r != 2 for r in ranks):
            raise Unsupported(f"{row.name} over another axis than the last")
    elif row is BROADCAST_TO:
        if len(out) != 2:
            raise Unsupported("a broadcast to another rank")
    elif row.elementwise:
        if len(out) == 1 and shapes.kinds[instruction.results[0]] == "scalar":
            raise Unsupported("arithmetic on a vector over the batch", "keep its axis with keepdims=True")
        if any(shapes.kinds[r] == "matrix" and program.shapes[r] != out for r in instruction.operands if not isinstance(r, Number)):
            raise Unsupported("a fixed matrix of another shape")
    else:
        raise Unsupported(f"the operation {row.name!r}")


def slice_of(instruction: Instruction, program: Program) -> int:
    """The first column that a slice takes.

    Raises:
        Unsupported: the index is more than a plain slice of columns.
    """
    index = instruction.params[0]
    index = index if isinstance(index, tuple) else (index,)
    rank = len(program.shapes[instruction.operands[0]])
    if rank != 2 or len(index) != 2 or not isinstance(index[1], slice) or index[1].step not in (None, 1):
        raise Unsupported(f"the index {index}")
    if index[0] is not Ellipsis and index[0] != slice(None):
        raise Unsupported(f"the index {index}")
    whole = instruction.params[1][1] if instruction.row is SCATTER else program.shapes[instruction.operands[0]][1]
    return index[1].indices(whole)[0]


def matrix_of(shapes: Shapes, value: int) -> tuple[int, bool]:
    """The fixed matrix behind a value and whether it is transposed."""
    made = shapes.producers.get(value)
    if made is not None and made.row is TRANSPOSE:
        return made.operands[0], True
    return value, False


# -- scheduling -----------------------------------------------------------------------------------------------------------------------


def costly(instruction: Instruction) -> bool:
    """Whether an element takes longer to compute than to keep."""
    lowering = instruction.row.lowering
    return lowering is not None and lowering.cost(len(instruction.operands), instruction.params) >= _COSTLY


_COSTLY = 8
"""Atoms; a quotient counts for as many."""


class Scheduler:
    """Puts one half of a step into stages: regions of elementwise work, products between them."""

    def __init__(self, shapes: Shapes, layout: Layout, instructions: Sequence[Instruction], places: dict[int, Place], kind: str) -> None:
        self.shapes, self.layout, self.kind = shapes, layout, kind
        self.instructions = [i for i in instructions if i.row is not TRANSPOSE]
        self.half = Half(places=dict(places))
        self.made = {v: i for i in self.instructions for v in i.results}

    def schedule(self, wanted: dict[int, list[Place]], added: dict[int, list[Place]]) -> Half:
        """Make every wanted value, in its places; add up the others."""
        pending = [i for i in self.instructions if i.row is MATMUL]
        open_targets = [Target(v, place) for v, places in wanted.items() for place in places]
        open_targets += [Target(v, place, added=True) for v, places in added.items() for place in places]
        while True:
            waiting = {i.results[0] for i in pending}
            ready = [i for i in pending if not self._depends(i.operands[0], waiting)]
            region = [t for t in open_targets if t.value not in waiting and not self._depends(t.value, waiting)]
            direct = {i.results[0] for i in ready}
            region += self._left_operands(ready, region)
            region += self._bridges(region, waiting, pending)
            region = [t for t in region if self.half.places.get(t.value) != t.place]
            if region:
                self.half.stages.append(region)
                for target in region:
                    if not target.added:
                        self.half.places.setdefault(target.value, target.place)
            done = {id(t) for t in region}
            open_targets = [t for t in open_targets if id(t) not in done and self.half.places.get(t.value) != t.place]
            if not ready:
                if open_targets:
                    raise Unsupported("a value that waits for itself")
                return self.half
            self.half.stages.append([self._product(i, open_targets) for i in ready])
            pending = [i for i in pending if i.results[0] not in direct]

    def _depends(self, value: int, waiting: set[int]) -> bool:
        """Whether a value is computed from one that is still waited for."""
        seen: set[int] = set()
        todo = [value]
        while todo:
            v = todo.pop()
            if v in seen or v in self.half.places:
                continue
            seen.add(v)
            if v in waiting:
                return True
            if v in self.made:
                todo.extend(r for r in self.made[v].operands if not isinstance(r, Number))
        return False

    def _left_operands(self, products: Sequence[Instruction], region: Sequence[Target]) -> list[Target]:
        """Left operands that do not lie in columns of a buffer yet."""
        placed = {t.value for t in region if not t.added}
        found = []
        for instruction in products:
            left = instruction.operands[0]
            if left not in placed and self._columns(left) is None:
                found.append(Target(left, Place(self.layout.new(self.shapes.widths[left], "row", self.kind), 0, "row")))
                placed.add(left)
        return found

    def _columns(self, value: int) -> Place | None:
        """The columns where a value lies, also as part of another."""
        if value in self.half.places:
            place = self.half.places[value]
            return place if place.buffer.slot != "fixed" else None
        made = self.made.get(value)
        if made is not None and made.row is SPLIT:
            source = self._columns(made.operands[0])
            start = (0, *made.params[0])[made.results.index(value)]
        elif made is not None and made.row is GETITEM:
            source, start = self._columns(made.operands[0]), slice_of(made, self.shapes.program)
        else:
            return None
        return None if source is None else Place(source.buffer, source.offset + start, source.slot)

    def _bridges(self, region: Sequence[Target], waiting: set[int], pending: Sequence[Instruction]) -> list[Target]:
        """Costly values that can be made now and are used again after a product: kept, not made twice."""
        if not pending:
            return []
        now = self._used_from([t.value for t in region])
        later = self._used_from([i.results[0] for i in self.instructions if self._depends(i.results[0], waiting)])
        placed = {t.value for t in region if not t.added} | set(self.half.places)
        return [
            Target(v, Place(self.layout.new(self.shapes.widths[v], "row", self.kind), 0, "row"))
            for v in sorted(now & later)
            if v not in placed and v in self.made and costly(self.made[v]) and self.shapes.kinds[v] == "row"
        ]

    def _used_from(self, values: Sequence[int]) -> set[int]:
        seen: set[int] = set()
        todo = list(values)
        while todo:
            v = todo.pop()
            if v in seen:
                continue
            seen.add(v)
            if v in self.made and v not in self.half.places:
                todo.extend(r for r in self.made[v].operands if not isinstance(r, Number))
        return seen

    def _product(self, instruction: Instruction, open_targets: list[Target]) -> Product:
        left, right = instruction.operands
        result = instruction.results[0]
        matrix, transposed = matrix_of(self.shapes, right)
        wanted = next((t.place for t in open_targets if t.value == result and not t.added), None)
        place = wanted or Place(self.layout.new(self.shapes.widths[result], "row", self.kind), 0, "row")
        self.half.places[result] = place
        columns = self._columns(left)
        assert columns is not None
        return Product(columns, matrix, transposed, place, self.shapes.widths[left], self.shapes.widths[result])
