"""A nest as a function of LLVM text, which nests that are alike share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ..backends.atoms import Value
from ..backends.native.loops import Endings
from .columns import Split
from .elements import Elements
from .index import Index, Var, flat, of
from .loop_writer import LoopWriter
from .nest_planner import Nests
from .nests import Check, Group, Nest, Place, Reduction, RunningSum, Scattering, Store
from .reader import Probe

_METADATA = re.compile(r"!(\d+)")


class NestWriter(LoopWriter):
    """Writes a function of a nest's places in memory, of a flag that is set to 1 where a number was out of
    its range, of the first sample and of the end of the samples.

    Attributes:
        places: those in memory, in the order of the function's parameters.
        lines: the function's.
        key: equal for nests that do the same at other places in memory.
    """

    def __init__(
        self,
        nest: Nest,
        elements: Elements,
        nests: Nests,
        samples: int,
        endings: Endings,
        split: Split | None = None,
    ) -> None:
        super().__init__(samples, endings, split)
        self.elements = elements
        self.nests = nests
        self.places: dict[Place, str] = {}
        known = len(endings.metadata)
        _WRITE[type(nest)](self, nest)
        self.lines: list[str] = ["entry:", *self.e.lines, "ret void"]
        self.key: str = _METADATA.sub(
            lambda number: f"!{int(number[1]) - known}", "\n".join([str(len(self.places)), *self.lines])
        )
        if self.key in endings.functions:
            del endings.metadata[known:]

    def _pointer(self, place: Place) -> str:
        return self.places.setdefault(place, f"%p{len(self.places)}")

    def read(self, value: int, place: Index, turns: Sequence[tuple[Value, int]] = ()) -> Value:
        if not turns and (value, place) in self.known:
            return self.known[value, place]
        home = self.nests.homes[value]
        terms = [(turn.text, stride) for turn, stride in turns]
        at = self.e.total([*self._terms(place), *terms], place.const)
        return self.e.load(self._pointer(home), home.buffer.kind, at, self.nests.is_fixed(value))

    def whole(self, index: Index) -> Value:
        return Value(self.e, self._at(index), "i64")

    def _group(self, group: Group) -> None:
        def body() -> None:
            for y, store in group.values(self):
                self._store(y, store)

        if group.reductions:
            self._with_reductions(group, body)
        else:
            self._around(self._merged(group), body, parallel=True)

    def _with_reductions(self, group: Group, body: Callable[[], None]) -> None:
        """Loops in which some values become one: along the innermost axis in a register, else in memory."""
        e, inner = self.e, group.space[-1]
        along = [nest for nest in group.reductions if inner not in nest.index.terms]
        across = [nest for nest in group.reductions if inner in nest.index.terms]
        alone = [nest for nest in along if len(nest.kept) == len(nest.axes) - 1]
        for nest in group.reductions:
            if nest not in alone:
                self._begin(nest)
        axes = self._merged(group)  # from here on its loops alone

        def inside(i: str, known: list[str]) -> list[str]:
            self._registers[inner] = i
            with self._scope():
                body()
                for nest in across:
                    self._add(nest, self._operand(nest))
                return [
                    self._joined(
                        nest.how, Value(e, total, self.elements.kind(nest.value)), self._operand(nest)
                    )
                    for nest, total in zip(along, known, strict=True)
                ]

        def line() -> None:
            totals = self._over(axes[-1], inside, [self._first(nest) for nest in along], parallel=True)
            for nest, total in zip(along, totals, strict=True):
                y = Value(e, total, self.elements.kind(nest.value))
                if nest in alone:
                    e.store(y, self._pointer(self.nests.homes[nest.value]), self._at(nest.index))
                else:
                    self._add(nest, y)

        self._around(axes[:-1], line)

    def _operand(self, nest: Reduction) -> Value:
        return self.e.as_kind(
            self.elements.element(self, nest.operand, nest.indices), self.elements.kind(nest.value)
        )

    def _first(self, nest: Reduction) -> tuple[str, str]:
        """LLVM's type of a reduction's result, and what nothing adds up to."""
        kind = self.elements.kind(nest.value)
        return self.e.TYPES[kind], self.e.literal(nest.first(kind), kind)

    def _begin(self, nest: Reduction) -> None:
        """Put in place what nothing adds up to."""

        def begin() -> None:
            first = Value(self.e, self._first(nest)[1], self.elements.kind(nest.value))
            self.e.store(first, self._pointer(self.nests.homes[nest.value]), self._at(nest.index))

        self._around(nest.kept, begin, parallel=True)

    def _add(self, nest: Reduction, y: Value) -> None:
        """Join a number to what is in memory."""
        pointer, at = self._pointer(self.nests.homes[nest.value]), self._at(nest.index)
        known = self.e.load(pointer, y.kind, at)
        # shorter than LLVM's own, which also tells 0 from −0
        if nest.how in ("max", "min") and y.kind[0] == "f":
            wins = (y > known if nest.how == "max" else y < known) | (y != y)
            self.e.store(self.e.select(wins, y, known), pointer, at)
        else:
            self.e.store(Value(self.e, self._joined(nest.how, known, y), y.kind), pointer, at)

    def _store(self, y: Value, store: Store) -> None:
        pointer, at = self._pointer(store.place), self._at(store.index)
        y = self.e.as_kind(y, store.place.buffer.kind)
        self.e.store(y + self.e.load(pointer, y.kind, at) if store.added else y, pointer, at)

    def _merged(self, group: Group) -> list[Var]:
        """The axes of a group, neighbours as one where every place says so: then loops are longer."""
        probe = Probe(self.elements.kind)
        for m in group.maps:
            m.source(probe)
        for nest in group.reductions:
            self.elements.element(probe, nest.operand, nest.indices)
        indices = [
            *probe.indices,
            *(s.index for m in group.maps for s in m.stores),
            *(nest.index for nest in group.reductions),
        ]
        axes: list[Var] = []
        for var in group.space:
            last = self._longer.get(axes[-1], axes[-1]) if axes else None
            shared = self.split and self.split.axis in (last, var)
            if (
                last
                and not var.batch
                and not shared
                and all(i.terms.get(last, 0) == i.terms.get(var, 0) * var.length for i in indices)
            ):
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
        if nest.how in ("argmax", "argmin"):
            self._position(nest, lost)
            return
        if long and long[-1] not in lost:
            self._begin(nest)
            self._around(nest.axes, lambda: self._add(nest, self._operand(nest)), parallel=True)
            return

        def element() -> None:
            def joined(known: list[str]) -> list[str]:
                return [self._joined(nest.how, Value(e, known[0], kind), self._operand(nest))]

            total = self._summed(lost, joined, [self._first(nest)])
            e.store(
                Value(e, total[0], kind), self._pointer(self.nests.homes[nest.value]), self._at(nest.index)
            )

        self._around(nest.kept, element)

    def _position(self, nest: Reduction, lost: list[Var]) -> None:
        """The place of the first extremum; NaN is one."""
        e, kind = self.e, self.elements.kind(nest.operand)
        sign = "gt" if nest.how == "argmax" else "lt"
        place = flat(map(of, lost), tuple(axis.length for axis in lost))

        def element() -> None:
            def better(known: list[str]) -> list[str]:
                best, at = Value(e, known[0], kind), Value(e, known[1], "i64")
                x, here = self.elements.element(self, nest.operand, nest.indices), self.whole(place)
                wins = e.compare(sign, x, best) | (here == 0)
                if kind[0] == "f":
                    wins = wins | ((x != x) & (best == best))
                return [e.select(wins, x, best).text, e.select(wins, here, at).text]

            start = [(e.TYPES[kind], e.literal(0, kind)), ("i64", "0")]
            _, at = self._summed(lost, better, start, parallel=False)
            home = self.nests.homes[nest.value]
            e.store(
                e.as_kind(Value(e, at, "i64"), home.buffer.kind), self._pointer(home), self._at(nest.index)
            )

        self._around(nest.kept, element)

    def _running_sum(self, nest: RunningSum) -> None:
        e, kind = self.e, self.elements.kind(nest.value)
        indices, home = tuple(map(of, nest.axes)), self.nests.homes[nest.value]
        place = flat(map(of, nest.axes), self.elements.shapes[nest.value])

        def row() -> None:
            def add(known: list[str]) -> list[str]:
                total = Value(e, known[0], kind) + e.as_kind(
                    self.elements.element(self, nest.operand, indices), kind
                )
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


_WRITE: dict[type, Callable[[NestWriter, Any], None]] = {
    Group: NestWriter._group,
    Reduction: NestWriter._reduction,
    RunningSum: NestWriter._running_sum,
    Scattering: NestWriter._scattering,
    Check: NestWriter._check,
}
