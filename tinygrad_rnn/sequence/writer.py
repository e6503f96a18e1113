"""Half a step as LLVM text: one function with the loop over time, its regions as loops over rows and columns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..backends.atoms import Value
from ..backends.native.emit import LOADED, Emitter
from ..chain_rule.addition import CONCATENATE, GETITEM, MAX, SCATTER, SCATTER_ALONG_AXIS, SPLIT, TAKE_ALONG_AXIS
from .program import Instruction, Number
from .schedule import REDUCTIONS, VIEWS, Buffer, Half, Place, Product, Shapes, Target, slice_of

# -- writing a half as code -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Access:
    """Columns of a buffer that a loop touches; loops are numbered in the order of running."""

    loop: int
    column: int
    length: int

    def overlaps(self, other: Access) -> bool:
        return self.column < other.column + other.length and other.column < self.column + self.length


class Writer:
    """Writes the function that runs one half of a plan over all steps.

    Args:
        masked: have the rest of a row that fills no vector done in a masked one, not element by element: for widths that nobody chose.
    """

    def __init__(
        self, name: str, shapes: Shapes, half: Half, instructions: Sequence[Instruction], kind: str, backwards: bool, masked: bool = False
    ) -> None:  # fmt: skip
        self.name, self.shapes, self.half, self.kind, self.backwards = name, shapes, half, kind, backwards
        self.made = {v: i for i in instructions for v in i.results}
        self.emit = Emitter(kind)
        self.numbers: list[int] = []
        self.loads: dict[int, str] = {}
        self.metadata: list[str] = []
        self.masked = masked
        self.loops = 0
        self.reads: dict[Buffer, set[Access]] = {}
        self.writes: dict[Buffer, set[Access]] = {}

    def note(self, content: str, distinct: bool = False) -> str:
        """A numbered piece of metadata; {} in its content stands for itself."""
        mark = f"!{len(self.metadata) + (100_000 if self.backwards else 0)}"
        self.metadata.append(f"{mark} = {'distinct ' if distinct else ''}!{{{content.format(mark)}}}")
        return mark

    def size(self, value: int) -> str:
        """A size as a register: sizes are parameters of the code."""
        self.numbers.append(value)
        return f"%n{len(self.numbers) - 1}"

    def text(self) -> str:
        e = self.emit
        e.line("loop:")
        e.line("%s = phi i64 [ 0, %entry ], [ %s1, %next ]")
        if self.backwards:
            e.line("%at = sub i64 %last, %s")
        else:
            e.line("%at = add i64 %s, 0")
        e.line("%walk = mul i64 %at, %dt")
        e.line("%t = add i64 %t0, %walk")
        e.line("%after = add i64 %at, 1")
        e.line("%even = and i64 %at, 1")
        e.line("%odd = xor i64 %even, 1")
        e.line("%back = trunc i64 %at to i1")
        for stage in self.half.stages:
            if isinstance(stage[0], Target):
                self._region(stage)
            else:
                for product in stage:
                    self._product(product)
        e.line("br label %next")
        e.line("next:")
        e.line("%s1 = add i64 %s, 1")
        e.line("%more = icmp slt i64 %s1, %T")
        e.line("br i1 %more, label %loop, label %exit")
        e.line("exit:")
        e.line("ret void")
        return "\n".join([*self._head(), *("  " + line if not line.endswith(":") else line for line in e.lines), "}", *self.metadata])

    def _head(self) -> list[str]:
        head = [
            f"define void @{self.name}(ptr %table, ptr %sizes, i64 %T, i64 %B, i64 %b0, i64 %b1, i64 %t0, i64 %dt) "
            '"prefer-vector-width"="512" {',
            "entry:",
            "  %rows = sub i64 %b1, %b0",
            "  %last = sub i64 %T, 1",
        ]
        for number in sorted(self.loads):
            head += [f"  %q{number} = getelementptr ptr, ptr %table, i64 {number}", f"  %p{number} = load ptr, ptr %q{number}"]
        for i in range(len(self.numbers)):
            head += [f"  %m{i} = getelementptr i64, ptr %sizes, i64 {i}", f"  %n{i} = load i64, ptr %m{i}"]
        head += ["  %some = icmp sgt i64 %T, 0", "  br i1 %some, label %loop, label %exit"]
        return head

    def _base(self, buffer: Buffer) -> str:
        self.loads[buffer.number] = buffer.kind
        return f"%p{buffer.number}"

    _SLOTS: ClassVar[dict[str, str]] = {
        "time": "%t",
        "before": "%at",
        "after": "%after",
        "carry": "%odd",
        "next": "%even",
        "row": "0",
        "parity": "%even",
        "other": "%odd",
    }

    def _row_pointer(self, place: Place, row: str) -> str:
        """The first element of a row of a place."""
        e, place = self.emit, place.settled()
        buffer, slot = place.buffer, self._SLOTS[place.slot]
        width = self.size(buffer.width)
        index = row if slot == "0" else e.let(f"add i64 {e.let(f'mul i64 {slot}, %B')}, {row}")
        start = e.let(f"mul i64 {index}, {width}")
        if place.offset:
            start = e.let(f"add i64 {start}, {self.size(place.offset)}")
        return e.let(f"getelementptr {buffer.kind}, ptr {self._base(buffer)}, i64 {start}")

    def _product(self, product: Product) -> None:
        e = self.emit
        self.loops += 1
        self.touch(self.reads, product.left, 0, product.inner)
        self.touch(self.writes, product.place, 0, product.columns)
        left, out = self._row_pointer(product.left, "%b0"), self._row_pointer(product.place, "%b0")
        right = self._base(self.half.packed[(product.right, product.transposed)])
        inner, columns = self.size(product.inner), self.size(product.columns)
        lda, ldc = (self.size(place.settled().buffer.width) for place in (product.left, product.place))
        sizes = f"i64 {ldc}, i64 %rows, i64 {columns}, i64 {inner}"
        e.line(f"call void @gemm(ptr {left}, i64 {lda}, ptr {right}, ptr {out}, {sizes}, i1 %back)")

    def touch(self, table: dict[Buffer, set[Access]], place: Place, start: int, length: int) -> None:
        table.setdefault(place.buffer, set()).add(Access(self.loops, place.offset + start, length))

    # -- regions ------------------------------------------------------------------------------------------------------------------

    def _region(self, targets: list[Target]) -> None:
        e = self.emit
        row, body, done = e.label("row"), e.label("body"), e.label("done")
        before = e.label("pre")
        e.line(f"br label %{before}")
        e.line(f"{before}:")
        e.line(f"br label %{row}")
        e.line(f"{row}:")
        b = e.fresh("b")
        after = e.fresh("b")
        e.line(f"{b} = phi i64 [ %b0, %{before} ], [ {after}, %{done} ]")
        go = e.let(f"icmp slt i64 {b}, %b1")
        end = e.label("end")
        e.line(f"br i1 {go}, label %{body}, label %{end}")
        e.line(f"{body}:")
        RowWriter(self, b, targets).write()
        e.line(f"br label %{done}")
        e.line(f"{done}:")
        e.line(f"{after} = add i64 {b}, 1")
        e.line(f"br label %{row}")
        e.line(f"{end}:")


class RowWriter:
    """The code for one row of a region: loops over columns, each level after the row sums that it needs."""

    def __init__(self, writer: Writer, b: str, targets: list[Target]) -> None:
        self.w, self.b, self.targets = writer, b, targets
        self.e, self.shapes, self.places = writer.emit, writer.shapes, writer.half.places
        self.own = {t.value for t in targets if not t.added and self.places[t.value] == t.place}
        self.pointers: dict[Any, str] = {}
        self.scalars: dict[int, Value] = {}
        self.levels: dict[int, int] = {}
        self.cuts: dict[int, set[int]] = {}
        self.sums = self._row_sums()

    def write(self) -> None:
        jobs: list[tuple[int, int, int, Target | int]] = []  # level, first column, length, what
        for target in self.targets:
            for start, length in self._segments(target.value):
                jobs.append((self._level(target.value), start, length, target))
        for v in self.sums:
            source = self.w.made[v].operands[0]
            for start, length in self._segments(source):
                jobs.append((self._level(source), start, length, v))
        numbers = [(self._level(t.value), t) for t in self.targets if self.shapes.kinds[t.value] == "scalar"]
        jobs = [j for j in jobs if not (isinstance(j[3], Target) and self.shapes.kinds[j[3].value] == "scalar")]
        for level in sorted({*(at for at, *_ in jobs), *(at for at, _ in numbers)}):
            for at, target in numbers:
                if at == level:
                    self._store_scalar(target)
            lengths = dict.fromkeys(length for at, _, length, _ in jobs if at == level)
            totals: dict[int, list[str]] = {}
            for length in lengths:
                self._loop(length, [(start, what) for at, start, n, what in jobs if at == level and n == length], totals)
            for v, parts in totals.items():
                total = parts[0]
                for part in parts[1:]:
                    total = self.e.let(self._joined(v, total, part, ""))
                self.scalars[v] = self.e.float(total)

    def _available(self, value: int) -> bool:
        return value in self.places and (value not in self.own or value not in self.w.made)

    def _row_sums(self) -> list[int]:
        """The sums over a row that the targets need, in order."""
        seen: set[int] = set()
        todo = [t.value for t in self.targets]
        while todo:
            v = todo.pop()
            if v in seen or (self._available(v)) or v not in self.w.made:
                continue
            seen.add(v)
            todo.extend(r for r in self.w.made[v].operands if not isinstance(r, Number))
        return sorted(v for v in seen if self.w.made[v].row in REDUCTIONS)

    def _level(self, value: int) -> int:
        if value not in self.levels:
            made = self.w.made.get(value)
            if self._available(value) or made is None:
                self.levels[value] = 0
            else:
                below = max([self._level(r) for r in made.operands if not isinstance(r, Number)], default=0)
                self.levels[value] = below + (made.row in REDUCTIONS)
        return self.levels[value]

    def _segments(self, value: int) -> list[tuple[int, int]]:
        """Parts of a value's columns within which every element is computed in the same way."""
        width = self.shapes.widths[value]
        cuts = sorted({0, width, *self._cuts(value)})
        return [(a, b - a) for a, b in itertools.pairwise(cuts)]

    def _cuts(self, value: int) -> set[int]:
        if value not in self.cuts:  # what is read twice is walked once: else the time doubles with each such value
            self.cuts[value] = self._cuts_within(value)
        return self.cuts[value]

    def _cuts_within(self, value: int) -> set[int]:
        made = self.w.made.get(value)
        if made is None or self._available(value) or self.shapes.kinds[value] == "scalar":
            return set()
        program, row = self.shapes.program, made.row
        width = self.shapes.widths[value]
        if row is CONCATENATE:
            cuts, at = set(), 0
            for part in made.operands:
                cuts |= {at, *(at + c for c in self._cuts(part))}
                at += self.shapes.widths[part]
            return cuts
        if row is SCATTER:
            first = slice_of(made, program)
            inner = self.shapes.widths[made.operands[0]]
            return {first, first + inner, *(first + c for c in self._cuts(made.operands[0]))}
        if row in (SPLIT, GETITEM):
            first = (0, *made.params[0])[made.results.index(value)] if row is SPLIT else slice_of(made, program)
            return {c - first for c in self._cuts(made.operands[0]) if first < c < first + width}
        cuts = set()
        for r in made.operands:
            if not isinstance(r, Number) and self.shapes.widths[r] == width:
                cuts |= self._cuts(r)
        return cuts

    def _joined(self, value: int, total: str, part: str, how: str) -> str:
        """What adds one more part to a reduction."""
        kind = self.w.kind
        if self.w.made[value].row is MAX:
            return f"call nsz {kind} @llvm.maximum.{self.e.kind}({kind} {total}, {kind} {part})"
        return f"fadd {how}{kind} {total}, {part}"

    def _chosen(self, value: str, index: int, width: int, column: str, start: int) -> str:
        """A value at the column that the row's index names, else 0; indices below 0 count from the end."""
        e, kind = self.e, self.w.kind
        column = e.let(f"add i64 {column}, {self.w.size(start)}") if start else column
        register = self._scalar(index).text
        below, wrapped = e.let(f"icmp slt i64 {register}, 0"), e.let(f"add i64 {register}, {self.w.size(width)}")
        wanted = e.let(f"select i1 {below}, i64 {wrapped}, i64 {register}")
        hit = e.let(f"icmp eq i32 {e.let(f'trunc i64 {column} to i32')}, {e.let(f'trunc i64 {wanted} to i32')}")
        return e.let(f"select i1 {hit}, {kind} {value}, {kind} {e.literal(0.0, e.kind)}")

    # -- one loop over columns ----------------------------------------------------------------------------------------------------

    def _loop(self, length: int, jobs: list[tuple[int, Target | int]], totals: dict[int, list[str]]) -> None:
        e, kind = self.e, self.w.kind
        for start, what in jobs:
            if isinstance(what, Target):
                self._prepare(what.value, start, length, set())
                self._pointer(what.place, start)
            else:
                self._prepare(self.w.made[what].operands[0], start, length, set())
                if self.w.made[what].row is TAKE_ALONG_AXIS:
                    self._scalar(self.w.made[what].operands[1])
        size = self.w.size(length)
        top, body, end = e.label("pre"), e.label("col"), e.label("end")
        e.line(f"br label %{top}")
        e.line(f"{top}:")
        e.line(f"br label %{body}")
        e.line(f"{body}:")
        j, j1 = e.fresh("j"), e.fresh("j")
        e.line(f"{j} = phi i64 [ 0, %{top} ], [ {j1}, %{body} ]")
        sums = [(start, what) for start, what in jobs if not isinstance(what, Target)]
        phis = [(e.fresh("a"), e.fresh("a")) for _ in sums]
        for (_, what), (old, new) in zip(sums, phis, strict=True):
            first = e.literal(-math.inf if self.w.made[what].row is MAX else 0.0, e.kind)
            e.line(f"{old} = phi {kind} [ {first}, %{top} ], [ {new}, %{body} ]")
        self.group = self.w.note("", distinct=True)
        self.j = j
        self.w.loops += 1
        self.cache: dict[Any, Value] = {}
        stores = []
        for start, what in jobs:
            if isinstance(what, Target):
                stores.append((what, start, self._element(what.value, start, length)))
        for (start, what), (old, new) in zip(sums, phis, strict=True):
            made = self.w.made[what]
            register = e.convert(self._element(made.operands[0], start, length), e.kind).text
            if made.row is TAKE_ALONG_AXIS:
                register = self._chosen(register, made.operands[1], self.shapes.widths[made.operands[0]], self.j, start)
            e.line(f"{new} = {self._joined(what, old, register, 'reassoc ')}")
            totals.setdefault(what, []).append(new)
        for target, start, value in stores:
            self.w.touch(self.w.writes, target.place, start, length)
            self._store(target, start, value)
        e.line(f"{j1} = add nuw nsw i64 {j}, 1")
        more = e.let(f"icmp slt i64 {j1}, {size}")
        hints = [
            self.w.note(f'!"llvm.loop.parallel_accesses", {self.group}'),
            self.w.note('!"llvm.loop.vectorize.enable", i1 true'),
            self.w.note('!"llvm.loop.interleave.count", i32 1'),
            *([self.w.note('!"llvm.loop.vectorize.predicate.enable", i1 true')] if self.w.masked else []),
        ]
        mark = self.w.note("{}, " + ", ".join(hints), distinct=True)
        e.line(f"br i1 {more}, label %{body}, label %{end}, !llvm.loop {mark}")
        e.line(f"{end}:")

    def _pointer(self, place: Place, start: int) -> str:
        """The first element of this row in a place, from a column on; made before the loop."""
        key = (place.buffer, place.slot, place.offset + start)
        if key not in self.pointers:
            moved = Place(place.buffer, place.offset + start, place.slot)
            if place.buffer.slot == "fixed":
                base = self.w._base(place.buffer)
                self.pointers[key] = self.e.let(f"getelementptr {place.buffer.kind}, ptr {base}, i64 {self.w.size(moved.offset)}")
            else:
                self.pointers[key] = self.w._row_pointer(moved, self.b)
        return self.pointers[key]

    def _prepare(self, value: int, start: int, length: int, seen: set[Any]) -> None:
        """Make the pointers and row numbers that an element needs, before the loop."""
        if (value, start) in seen:
            return
        seen.add((value, start))
        if self.shapes.kinds[value] in ("scalar", "number"):
            self._scalar(value)
        elif self._available(value):
            self._pointer(self.places[value], start)
        else:
            for v, at in self._sources(value, start, length):
                self._prepare(v, at, length, seen)

    def _sources(self, value: int, start: int, length: int) -> list[tuple[int, int]]:
        """Which elements an element is computed from: values and first columns."""
        made = self.w.made[value]
        row, program = made.row, self.shapes.program
        if row is SPLIT:
            return [(made.operands[0], start + (0, *made.params[0])[made.results.index(value)])]
        if row is GETITEM:
            return [(made.operands[0], start + slice_of(made, program))]
        if row is SCATTER:
            first = slice_of(made, program)
            inside = first <= start < first + self.shapes.widths[made.operands[0]]
            return [(made.operands[0], start - first)] if inside else []
        if row is CONCATENATE:
            at = 0
            for part in made.operands:
                if start < at + self.shapes.widths[part]:
                    return [(part, start - at)]
                at += self.shapes.widths[part]
        width = self.shapes.widths[value]
        return [(r, start if self.shapes.widths[r] == width else 0) for r in made.operands if not isinstance(r, Number)]

    def _element(self, value: int, start: int, length: int) -> Value:
        """The element of a value at this column, from ``start``."""
        if (value, start) in self.cache:
            return self.cache[(value, start)]
        if self.shapes.kinds[value] in ("scalar", "number"):
            return self._scalar(value)
        if self._available(value):
            self.w.touch(self.w.reads, self.places[value], start, length)
            found = self._load(self._pointer(self.places[value], start), self.places[value].buffer.kind, self.j)
        else:
            made = self.w.made[value]
            sources = self._sources(value, start, length)
            if made.row in VIEWS:
                found = self._element(*sources[0], length) if sources else self.e.number(0.0, self.e.kind)
            else:
                rest = iter(sources)
                operands = [r.value if isinstance(r, Number) else self._element(*next(rest), length) for r in made.operands]
                found = self._applied(made, operands, self.j, start)
        self.cache[(value, start)] = found
        return found

    def _applied(self, made: Instruction, operands: list[Any], column: str, start: int) -> Value:
        """One row on one element, at a column counted from ``start``."""
        if made.row is SCATTER_ALONG_AXIS:
            chosen = self._chosen(operands[0].text, made.operands[1], self.shapes.widths[made.results[0]], column, start)
            return self.e.float(chosen)
        assert made.row.lowering is not None
        return made.row.lowering(self.e, *operands, *made.params)

    def _scalar(self, value: int) -> Value:
        """A number of this row, or of all rows; made before the loop."""
        if value in self.scalars:
            return self.scalars[value]
        if self._available(value):
            place = self.places[value]
            self.w.touch(self.w.reads, place, 0, 1)
            found = self._load(self._pointer(place, 0), place.buffer.kind, None)
        else:
            found = self._made_outside(value, 0)
        self.scalars[value] = found
        return found

    def _made_outside(self, value: int, column: int) -> Value:
        """One element, computed outside of the loops."""
        made = self.w.made[value]
        found = [self._outside(v, at) for v, at in self._sources(value, column, 1)]
        if made.row in VIEWS:
            return found[0] if found else self.e.number(0.0, self.e.kind)
        rest = iter(found)
        operands = [r.value if isinstance(r, Number) else next(rest) for r in made.operands]
        return self._applied(made, operands, "0", column)

    def _outside(self, value: int, column: int) -> Value:
        if self.shapes.kinds[value] in ("scalar", "number"):
            return self._scalar(value)
        if not self._available(value):
            return self._made_outside(value, column)
        self.w.touch(self.w.reads, self.places[value], column, 1)
        return self._load(self._pointer(self.places[value], column), self.places[value].buffer.kind, None)

    def _load(self, pointer: str, kind: str, j: str | None) -> Value:
        e = self.e
        address = pointer if j is None else e.let(f"getelementptr {kind}, ptr {pointer}, i64 {j}")
        register = e.let(f"load {kind}, ptr {address}" + (f", !llvm.access.group {self.group}" if j is not None else ""))
        return Value(e, e.let(f"icmp ne i8 {register}, 0") if kind == "i8" else register, LOADED[kind])

    def _store(self, target: Target, start: int, value: Value) -> None:
        e, kind = self.e, target.place.buffer.kind
        register = e.convert(value, e.kind).text
        address = e.let(f"getelementptr {kind}, ptr {self._pointer(target.place, start)}, i64 {self.j}")
        if target.added:
            old = e.let(f"load {kind}, ptr {address}, !llvm.access.group {self.group}")
            register = e.let(f"fadd {kind} {old}, {register}")
        e.line(f"store {kind} {register}, ptr {address}, !llvm.access.group {self.group}")

    def _store_scalar(self, target: Target) -> None:
        e, kind = self.e, target.place.buffer.kind
        register = e.convert(self._scalar(target.value), e.kind).text
        self.w.touch(self.w.writes, target.place, 0, 1)
        address = self._pointer(target.place, 0)
        if target.added:
            old = e.let(f"load {kind}, ptr {address}")
            register = e.let(f"fadd {kind} {old}, {register}")
        e.line(f"store {kind} {register}, ptr {address}")


def touching(accesses: set[Access]) -> bool:
    """Whether two different parts overlap."""
    ordered = sorted(accesses, key=lambda a: a.column)
    return any(a.overlaps(b) for a, b in itertools.pairwise(ordered))
