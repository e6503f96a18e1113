"""A half of a step, its nests, as one function of LLVM text: the loop over time, and in it the nests in their order."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..backends.atoms import Value
from ..backends.native.emit import literal, vectors
from ..backends.native.loops import ROWS, Endings, LoopEmitter, blocks, tile_width
from .contractions import Contraction, Operand
from .elements import Elements, Probe, Reader
from .index import Index, Var, of
from .nest_planner import Nests
from .nests import Call, Check, Group, Nest, Place, Reduction, RunningSum, Scattering, Store

_SLOTS = {"time": ("%t", 0), "before": ("%at", 0), "after": ("%at", 1), "this": ("%at", 0), "other": ("%at", 1)}
"""From which number the part of a buffer comes that a step uses, and how many further it lies."""

_FIRST = {"sum": 0, "all": 1, "any": 0}
_JOINS = {"max": "maximum", "min": "minimum"}


class NestWriter(Reader):
    """Writes ``name(table of pointers, T, t of the first step, ±1, place of the first step in the order of running, ±1, first sample, end
    of the samples)``.

    The last pointer is that of a flag, an integer that is set to 1 where a number was out of its range.
    """

    def __init__(self, name: str, elements: Elements, nests: Nests, samples: int, endings: Endings) -> None:
        self.name, self.elements, self.nests, self.samples = name, elements, nests, samples
        self.e = LoopEmitter(endings)
        super().__init__(self.e)
        self._known: dict[tuple[int, Index], Value] = {}
        self._registers: dict[Var, str] = {}
        self._pointers: dict[Place, str] = {}
        self._bases: dict[int, str] = {}
        self._longer: dict[Var, Var] = {}

    def functions(self, buffers: int) -> list[str]:
        """The texts of ``name``, or where rows are called, of ``name0``, what is done once, and of one for each stretch between calls."""
        stages = self.nests.stages
        cuts = [i for i, nest in enumerate(stages) if isinstance(nest, Call)]
        if not cuts:
            return [self._function(self.name, buffers, self.nests.prologue, stages)]
        bounds = itertools.pairwise([-1, *cuts, len(stages)])
        stretches = [stages[first + 1 : last] for first, last in bounds]
        texts = [self._function(f"{self.name}0", buffers, self.nests.prologue, [])]
        return texts + [self._function(f"{self.name}{i + 1}", buffers, [], stretch) for i, stretch in enumerate(stretches)]

    def _function(self, name: str, buffers: int, once: Sequence[Nest], each: Sequence[Nest]) -> str:
        """One function. Every buffer's pointer is loaded at its beginning; those of the step at the beginning of each."""
        e = self.e
        e.lines, e.block, self._pointers = [], "entry", {}
        self._bases = {number: f"%base{number}" for number in range(buffers)}
        for nest in once:
            self._write(nest)
        before, prologue = e.block, e.lines
        e.lines, e.block, self._pointers = [], "step", {}
        for nest in each:
            self._write(nest)
        step, last = e.lines, e.block
        e.lines = []
        self._step_pointers()
        bases = []
        for number, register in [*self._bases.items(), (buffers, "%flag")]:
            bases += [
                f"{register}.at = getelementptr ptr, ptr %table, i64 {number}",
                f"{register} = load ptr, ptr {register}.at, !invariant.load !{{}}",
            ]
        counters = [
            f"%s = phi i64 [ 0, %{before} ], [ %s1, %{last} ]",
            "%t.by = mul i64 %s, %dt",
            "%t = add i64 %t0, %t.by",
            "%at.by = mul i64 %s, %dat",
            "%at = add i64 %at0, %at.by",
        ]
        end = ["%s1 = add i64 %s, 1", "%again = icmp slt i64 %s1, %steps", "br i1 %again, label %step, label %end"]
        lines = ["entry:", *bases, *prologue, "br label %step", "step:", *counters, *e.lines, *step, *end, "end:", "ret void"]
        numbers = ", ".join(f"i64 %{number}" for number in ("steps", "t0", "dt", "at0", "dat", "first", "last"))
        head = f'define void @{name}(ptr %table, {numbers}) "prefer-vector-width"="512" {{'
        return "\n".join([head, *(line if line.endswith(":") else f"  {line}" for line in lines), "}"])

    def _step_pointers(self) -> None:
        e = self.e
        for place, register in self._pointers.items():
            base = self._bases[place.buffer.number]
            if place.slot == "fixed":
                continue
            counter, further = _SLOTS[place.slot]
            slot = e.let(f"add i64 {counter}, {further}")
            if place.slot in ("this", "other"):
                slot = e.let(f"and i64 {slot}, 1")
            type_ = "i8" if place.buffer.kind == "i1" else e.TYPES[place.buffer.kind]
            by = e.let(f"mul i64 {slot}, {place.buffer.size}")
            e.line(f"{register} = getelementptr {type_}, ptr {base}, i64 {by}")

    def _pointer(self, place: Place) -> str:
        if place.slot == "fixed":
            return self._bases[place.buffer.number]
        if place not in self._pointers:
            self._pointers[place] = f"%p{len(self._pointers)}"
        return self._pointers[place]

    # -- what expressions are written with --------------------------------------------------------------------------------------------

    def read(self, value: int, place: Index, turns: Sequence[tuple[Value, int]] = ()) -> Value:
        if not turns and (value, place) in self._known:
            return self._known[value, place]
        home = self.nests.homes[value]
        terms = [(turn.text, stride) for turn, stride in turns]
        return self.e.load(self._pointer(home), home.buffer.kind, self.e.total([*self._terms(place), *terms], place.const))

    def whole(self, index: Index) -> Value:
        return Value(self.e, self._at(index), "i64")

    def _terms(self, index: Index) -> list[tuple[str, int]]:
        return [(self._registers[var], factor) for var, factor in index.terms.items()]

    def _at(self, index: Index) -> str:
        return self.e.total(self._terms(index), index.const)

    def _pointer_at(self, operand: Operand) -> tuple[str, str]:
        return self._pointer(self.nests.homes[operand.value]), self._at(operand.index)

    @contextlib.contextmanager
    def _scope(self) -> Iterator[None]:
        """A block whose expressions are not known after it."""
        cache, known = dict(self.cache), dict(self._known)
        yield
        self.cache, self._known = cache, known

    def _around(self, axes: Sequence[Var], body: Callable[[], None], parallel: bool = False) -> None:
        """Loops, the last of them the innermost."""
        if not axes:
            with self._scope():
                body()
            return

        def inside(i: str, _: list[str]) -> list[str]:
            self._registers[self._longer.get(axes[0], axes[0])] = i
            with self._scope():
                self._around(axes[1:], body, parallel)
            return []

        self._over(axes[0], inside, parallel=parallel and len(axes) == 1)

    def _over(
        self, axis: Var, body: Callable[[str, list[str]], list[str]], carried: Sequence[tuple[str, str]] = (), parallel: bool = False
    ) -> list[str]:
        """A loop over an axis; of the samples, over this thread's."""
        if not axis.batch:
            return self.e.loop(axis.length, body, carried, parallel)
        inner = axis.length // self.samples
        first, end = (self.e.total([(name, inner)]) for name in ("%first", "%last"))
        return self.e.loop(end, body, carried, parallel, start=first)

    # -- nests ------------------------------------------------------------------------------------------------------------------------

    def _write(self, nest: Nest) -> None:
        with self._scope():
            self._known, self.cache = {}, {}
            _WRITE[type(nest)](self, nest)

    def _group(self, group: Group) -> None:
        axes = self._merged(group)

        def body() -> None:
            todo: list[tuple[Value, Store]] = []
            for m in group.maps:
                y = m.source(self)
                if m.value is not None:
                    self._known[m.value, m.index] = y
                todo += [(y, store) for store in m.stores]
            for y, store in todo:
                self._store(y, store)

        self._around(axes, body, parallel=True)

    def _store(self, y: Value, store: Store) -> None:
        pointer, at = self._pointer(store.place), self._at(store.index)
        y = self.e.as_kind(y, store.place.buffer.kind)
        self.e.store(y + self.e.load(pointer, y.kind, at) if store.added else y, pointer, at)

    def _merged(self, group: Group) -> list[Var]:
        """The axes of a group, neighbours as one where every place says so: then loops are longer."""
        probe = Probe(self.elements)
        for m in group.maps:
            m.source(probe)
        indices = [*probe.indices, *(s.index for m in group.maps for s in m.stores)]
        axes: list[Var] = []
        for var in group.space:
            last = self._longer.get(axes[-1], axes[-1]) if axes else None
            if last and not var.batch and all(i.terms.get(last, 0) == i.terms.get(var, 0) * var.length for i in indices):
                self._registers[last] = "0"
                axes[-1] = Var(axes[-1].length * var.length, axes[-1].batch)
                self._longer[axes[-1]] = var
            else:
                axes.append(var)
        return axes

    def _reduction(self, nest: Reduction) -> None:
        e, kind = self.e, self.elements.kind(nest.value)
        lost = [axis for axis in nest.axes if axis not in nest.kept]
        long = [axis for axis in nest.axes if axis.length > 1]
        indices = tuple(map(of, nest.axes))
        if nest.how in ("argmax", "argmin"):
            self._position(nest, lost, indices)
            return
        home = self.nests.homes[nest.value]
        first = self._first(nest, kind)
        if not long or long[-1] in lost:

            def element() -> None:
                def joined(known: list[str]) -> list[str]:
                    y = e.as_kind(self.elements.element(self, nest.operand, indices), kind)
                    return [self._joined(nest.how, Value(e, known[0], kind), y)]

                total = self._summed(lost, joined, [(e.TYPES[kind], first)])
                e.store(Value(e, total[0], kind), self._pointer(home), self._at(nest.index))

            self._around(nest.kept, element)
            return

        def begin() -> None:
            e.store(Value(e, first, kind), self._pointer(home), self._at(nest.index))

        def add() -> None:
            y = e.as_kind(self.elements.element(self, nest.operand, indices), kind)
            pointer, at = self._pointer(home), self._at(nest.index)
            e.store(Value(e, self._joined(nest.how, e.load(pointer, kind, at), y), kind), pointer, at)

        self._around(nest.kept, begin, parallel=True)
        self._around(nest.axes, add, parallel=True)

    def _summed(
        self, axes: Sequence[Var], body: Callable[[list[str]], list[str]], carried: Sequence[tuple[str, str]], parallel: bool = True
    ) -> list[str]:
        """Loops that carry values around."""
        if not axes:
            with self._scope():
                return body([first for _, first in carried])

        def inside(i: str, known: list[str]) -> list[str]:
            self._registers[axes[0]] = i
            return self._summed(axes[1:], body, [(t, x) for (t, _), x in zip(carried, known, strict=True)], parallel)

        return self._over(axes[0], inside, carried, parallel=parallel and len(axes) == 1)

    def _first(self, nest: Reduction, kind: str) -> str:
        if nest.how in _FIRST:
            return self.e.literal(_FIRST[nest.how], kind)
        if kind[0] == "f":
            return literal(float("-inf") if nest.how == "max" else float("inf"), self.e.TYPES[kind])
        bits = {"i1": 1, "i32": 32, "i64": 64}[kind]
        if bits == 1:
            return "false" if nest.how == "max" else "true"
        return str(-(2 ** (bits - 1)) if nest.how == "max" else 2 ** (bits - 1) - 1)

    def _joined(self, how: str, a: Value, b: Value) -> str:
        e, kind = self.e, a.kind
        if how in _JOINS:
            type_ = e.TYPES[kind]
            name = f"llvm.{_JOINS[how]}.{kind}" if kind[0] == "f" else f"llvm.{'s' if kind != 'i1' else 'u'}{how}.{kind}"
            return e.call(type_, name, (type_, a.text), (type_, b.text))
        if how == "sum" and kind[0] == "f":  # in any order: in vectors
            return e.let(f"fadd reassoc {e.TYPES[kind]} {a.text}, {b.text}")
        return (a & b if how == "all" else a | b if how == "any" else a + b).text

    def _position(self, nest: Reduction, lost: list[Var], indices: tuple[Index, ...]) -> None:
        """The place of the first extremum; NaN is one."""
        e, kind = self.e, self.elements.kind(nest.operand)
        sign = "gt" if nest.how == "argmax" else "lt"
        place = Index()
        for axis in lost:
            place = place * axis.length + of(axis)

        def element() -> None:
            def better(known: list[str]) -> list[str]:
                best, at = Value(e, known[0], kind), Value(e, known[1], "i64")
                x, here = self.elements.element(self, nest.operand, indices), self.whole(place)
                wins = e.compare(sign, x, best) | (here == 0)
                if kind[0] == "f":
                    wins = wins | ((x != x) & (best == best))
                return [e.select(wins, x, best).text, e.select(wins, here, at).text]

            start = [(e.TYPES[kind], e.literal(0, kind)), ("i64", "0")]
            _, at = self._summed(lost, better, start, parallel=False)
            home = self.nests.homes[nest.value]
            e.store(e.as_kind(Value(e, at, "i64"), home.buffer.kind), self._pointer(home), self._at(nest.index))

        self._around(nest.kept, element)

    def _running_sum(self, nest: RunningSum) -> None:
        e, kind = self.e, self.elements.kind(nest.value)
        indices, home = tuple(map(of, nest.axes)), self.nests.homes[nest.value]
        place = Index()
        for axis in nest.axes:
            place = place * axis.length + of(axis)

        def row() -> None:
            def add(known: list[str]) -> list[str]:
                total = Value(e, known[0], kind) + e.as_kind(self.elements.element(self, nest.operand, indices), kind)
                e.store(total, self._pointer(home), self._at(place))
                return [total.text]

            self._summed([nest.along], add, [(e.TYPES[kind], e.literal(0, kind))], parallel=False)

        self._around([axis for axis in nest.axes if axis is not nest.along], row)

    def _scattering(self, nest: Scattering) -> None:
        e, kind = self.e, self.elements.kind(nest.value)
        home = self.nests.homes[nest.value]

        def add() -> None:
            turn, stride = nest.turn(self)
            at = e.total([*self._terms(nest.index), (turn.text, stride)], nest.index.const)
            y = e.as_kind(self.elements.element(self, nest.operand, tuple(map(of, nest.axes))), kind)
            e.store(y + e.load(self._pointer(home), kind, at), self._pointer(home), at)

        self._around(nest.axes, add)

    def _check(self, nest: Check) -> None:
        e = self.e

        def outside(known: list[str]) -> list[str]:
            x = e.convert(self.elements.element(self, nest.value, tuple(map(of, nest.axes))), "i64")
            return [(Value(e, known[0], "i1") | (x < nest.least) | (x >= nest.end)).text]

        bad = self._summed(nest.axes, outside, [("i1", "false")])[0]
        before = Value(e, e.let("load i64, ptr %flag"), "i64")
        e.line(f"store i64 {(before | e.convert(Value(e, bad, 'i1'), 'i64')).text}, ptr %flag")

    # -- contractions -----------------------------------------------------------------------------------------------------------------

    def _contraction(self, nest: Contraction) -> None:
        {"tile": self._tiles, "dot": self._dots, "along": self._along}[nest.form](nest)

    def _factor(self, operand: Operand) -> Value:
        return self.read(operand.value, operand.index)

    def _dots(self, nest: Contraction) -> None:
        e, kind = self.e, self.elements.kind(nest.value)
        home = self.nests.homes[nest.value]

        def element() -> None:
            def add(known: list[str]) -> list[str]:
                y = e.as_kind(self._factor(nest.a) * self._factor(nest.b), kind)
                return [self._joined("any" if kind == "i1" else "sum", Value(e, known[0], kind), y)]

            total = self._summed(nest.sums, add, [(e.TYPES[kind], e.literal(0, kind))])
            e.store(Value(e, total[0], kind), self._pointer(home), self._at(nest.index))

        self._around(nest.rows, element)

    def _along(self, nest: Contraction) -> None:
        e, kind = self.e, self.elements.kind(nest.value)
        home = self.nests.homes[nest.value]
        assert nest.vector is not None

        def add() -> None:
            pointer, at = self._pointer(home), self._at(nest.index)
            e.store(e.fma(self._factor(nest.a), self._factor(nest.b), e.load(pointer, kind, at)), pointer, at)

        self._around([*nest.rows, *nest.sums, nest.vector], add, parallel=True)

    def _tiles(self, nest: Contraction) -> None:
        """Columns outside, rows inside: what is read of b for a tile serves all rows."""
        assert nest.vector is not None
        width, long = tile_width(self.elements.kind(nest.value)), nest.vector.length
        tall = nest.tile.length if nest.tile else 1
        shared = nest.tile is not None and nest.tile.batch

        def around() -> None:
            for columns, (row, many, height) in itertools.product(blocks(long, width), blocks(tall, ROWS)):
                with self._own_rows(row, many, height) if shared else contextlib.nullcontext((str(row), str(row + many * height))) as rows:
                    self._blocks(nest, rows, height, columns)

        self._around(nest.rows, around)

    @contextlib.contextmanager
    def _own_rows(self, row: int, many: int, height: int) -> Iterator[tuple[str, str]]:
        """A block for those of the rows that are this thread's, if there are some: threads begin with whole tiles."""
        e, end = self.e, str(row + many * height)
        first = e.call("i64", "llvm.smax.i64", ("i64", "%first"), ("i64", str(row)))
        last = e.call("i64", "llvm.smin.i64", ("i64", "%last"), ("i64", end))
        some = e.let(f"icmp slt i64 {first}, {last}")
        inside, after = e.label("rows"), e.label("done")
        e.line(f"br i1 {some}, label %{inside}, label %{after}")
        e.open(inside)
        yield first, last
        e.line(f"br label %{after}")
        e.open(after)

    def _blocks(self, nest: Contraction, rows: tuple[str, str], height: int, columns: tuple[int, int, int]) -> None:
        """All tiles of one size."""
        e, (column, more, width) = self.e, columns
        lanes, *_ = vectors(e.TYPES[self.elements.kind(nest.value)])
        widths = [min(lanes, width - at) for at in range(0, width, lanes)]

        def of_columns(j: str, _: list[str]) -> list[str]:
            def of_rows(i: str, _: list[str]) -> list[str]:
                with self._scope():
                    self._tile(nest, i, e.total([(j, 1)], column), height, widths)
                return []

            if rows[0].isdigit() and int(rows[1]) - int(rows[0]) <= height:
                return of_rows(rows[0], [])
            return e.loop(rows[1], of_rows, step=height, start=rows[0])

        e.loop(more * width, of_columns, step=width)

    def _tile(self, nest: Contraction, i: str, j: str, height: int, widths: list[int]) -> None:
        """A few rows times a few vectors, over all that is summed over."""
        e, kind = self.e, self.elements.kind(nest.value)
        lanes, vector, *_ = vectors(e.TYPES[kind])
        assert nest.vector is not None
        if nest.tile:
            self._registers[nest.tile] = i
        self._registers[nest.vector] = j
        a, b, c = nest.a, nest.b, Operand(nest.value, nest.index)

        def add(known: list[str]) -> list[str]:
            pointer, at = self._pointer_at(b)
            loaded = [e.vector_load(pointer, kind, e.total([(at, 1)], n * lanes), width) for n, width in enumerate(widths)]
            pointer, at = self._pointer_at(a)
            totals = []
            for row in range(height):
                stride = a.stride(nest.tile) if nest.tile else 0
                x = e.splat(e.load(pointer, kind, e.total([(at, 1)], row * stride)).text, kind)
                for n, y in enumerate(loaded):
                    totals.append(e.multiply_add(x, y, known[row * len(widths) + n], kind))
            return totals

        totals = self._summed(nest.sums, add, [(vector, "zeroinitializer")] * (height * len(widths)), parallel=False)
        pointer, at = self._pointer_at(c)
        for (row, (n, width)), y in zip(itertools.product(range(height), enumerate(widths)), totals, strict=True):
            stride = c.stride(nest.tile) if nest.tile else 0
            e.vector_store(y, pointer, kind, e.total([(at, 1)], row * stride + n * lanes), width)


_WRITE: dict[type, Callable[[NestWriter, Any], None]] = {
    Group: NestWriter._group,
    Reduction: NestWriter._reduction,
    RunningSum: NestWriter._running_sum,
    Scattering: NestWriter._scattering,
    Check: NestWriter._check,
    Contraction: NestWriter._contraction,
}
