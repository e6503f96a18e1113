"""Nests in C: what the kernels of a device and a step in plain C have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from ..backends.atoms import Value
from ..backends.base import Unsupported
from ..backends.c import CPrinter
from .contractions import Contraction
from .elements import Elements
from .index import Index, Var, flat, of
from .nest_planner import Nests
from .nests import Call, Check, Group, Nest, Place, Reduction, RunningSum, Scattering
from .reader import Reader


class CWriter(Reader):
    """Writes nests as lines of C.

    Attributes:
        COUNT: C's type of the variables of loops.
        c: writes atoms.
    """

    COUNT: ClassVar[str]

    def __init__(self, c: CPrinter, elements: Elements, nests: Nests) -> None:
        super().__init__(c)
        self.c: CPrinter = c
        self.elements = elements
        self.nests = nests
        self._registers: dict[Var, str] = {}

    def _nest(self, nest: Nest) -> None:
        """Write a nest, which knows nothing of others."""
        self.known.clear()
        self.cache.clear()
        with self._braces("{"):
            _WRITE[type(nest)](self, nest)

    # -- what expressions are written with -------------------------------------------------------------------

    def read(self, value: int, place: Index, turns: Sequence[tuple[Value, int]] = ()) -> Value:
        if not turns and (value, place) in self.known:
            return self.known[value, place]
        home = self.nests.homes[value]
        return self.c.put(home.buffer.kind, self._element(home, self._at(place, turns)))

    def whole(self, index: Index) -> Value:
        return self.c.put("i64", self._at(index))

    def _at(self, index: Index, turns: Sequence[tuple[Value, int]] = ()) -> str:
        terms = [
            self._registers[var] if factor == 1 else f"{self._registers[var]} * {factor}"
            for var, factor in index.terms.items()
        ]
        terms += [str(index.const)] if index.const or not terms else []
        return " + ".join([*terms, *(f"{turn.text} * {stride}" for turn, stride in turns)])

    def _pointer(self, place: Place) -> str:
        """Where an array begins."""
        raise NotImplementedError

    def _element(self, place: Place, at: str) -> str:
        """An element that is read."""
        return f"{self._pointer(place)}[{at}]"

    def _store(self, y: Value, place: Place, at: str, added: bool = False) -> None:
        y = self.c.as_kind(y, place.buffer.kind)
        where = f"{self._pointer(place)}[{at}]"
        if added:
            y = self.c.put(y.kind, where) + y
        self.c.lines.append(f"{where} = {y.text};")

    # -- loops -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _braces(self, head: str) -> Iterator[None]:
        """A block, whose values are not known after it."""
        with self._scope():
            self.c.lines.append(head)
            yield
            self.c.lines.append("}")

    def _bounds(self, axis: Var) -> tuple[str, str]:
        """Where an axis begins and ends."""
        return "0", str(axis.length)

    @contextlib.contextmanager
    def _around(self, axes: Sequence[Var]) -> Iterator[None]:
        """Loops of one thread, the last of them the innermost."""
        with contextlib.ExitStack() as stack:
            for axis in axes:
                x = self._registers[axis] = self.c.fresh("k")
                start, end = self._bounds(axis)
                stack.enter_context(self._braces(f"for ({self.COUNT} {x} = {start}; {x} < {end}; {x}++) {{"))
            yield

    def _shared(self, axes: Sequence[Var]) -> contextlib.AbstractContextManager[None]:
        """Rounds over all axes, in any order."""
        return self._around(axes)

    def _variable(self, kind: str, first: str) -> Value:
        name = self.c.fresh("a")
        self.c.lines.append(f"{self.c.TYPES[kind]} {name} = {first};")
        return Value(self.c, name, kind)

    # -- nests -----------------------------------------------------------------------------------------------

    def _group(self, group: Group) -> None:
        with self._shared(group.space):
            for y, store in group.values(self):
                self._store(y, store.place, self._at(store.index), store.added)

    def _reduction(self, nest: Reduction) -> None:
        kind, lost = self.elements.kind(nest.operand), [axis for axis in nest.axes if axis not in nest.kept]
        with self._shared(nest.kept):
            if nest.how in ("argmax", "argmin"):
                total = self._position(nest, kind, lost)
            else:
                kind = self.elements.kind(nest.value)
                total = self._joined_over(
                    lost,
                    nest.how,
                    kind,
                    nest.first(kind),
                    lambda: self.elements.element(self, nest.operand, nest.indices),
                )
            self._store(total, self.nests.homes[nest.value], self._at(nest.index))

    def _joined_over(
        self, axes: Sequence[Var], how: str, kind: str, first: float, element: Callable[[], Value]
    ) -> Value:
        """All elements over axes as one."""
        total = self._variable(kind, self.c.literal(first, kind))
        with self._around(axes):
            self.c.lines.append(
                f"{total.text} = {self._joined(how, total, self.c.as_kind(element(), kind))};"
            )
        return total

    def _joined(self, how: str, total: Value, x: Value) -> str:
        if how in ("max", "min"):
            wins = x > total if how == "max" else x < total
            wins = wins | (x != x) if x.kind[0] == "f" else wins
            return self.c.select(wins, x, total).text
        return (total & x if how == "all" else total | x if how == "any" else total + x).text

    def _position(self, nest: Reduction, kind: str, lost: Sequence[Var]) -> Value:
        """The place of the first extremum; NaN is one."""
        c = self.c
        best, at = self._variable(kind, c.literal(0, kind)), self._variable("i64", "0")
        place = flat(map(of, lost), tuple(axis.length for axis in lost))
        with self._around(lost):
            x, here = self.elements.element(self, nest.operand, nest.indices), self.whole(place)
            wins = (x > best if nest.how == "argmax" else x < best) | (here == 0)
            if kind[0] == "f":
                wins = wins | ((x != x) & (best == best))
            c.lines.append(f"if ({wins.text}) {{ {best.text} = {x.text}; {at.text} = {here.text}; }}")
        return at

    def _running_sum(self, nest: RunningSum) -> None:
        kind, home = self.elements.kind(nest.value), self.nests.homes[nest.value]
        place = flat(map(of, nest.axes), self.elements.shapes[nest.value])
        with self._shared([axis for axis in nest.axes if axis is not nest.along]):
            total = self._variable(kind, self.c.literal(0, kind))
            with self._around([nest.along]):
                x = self.c.as_kind(self.elements.element(self, nest.operand, tuple(map(of, nest.axes))), kind)
                self.c.lines.append(f"{total.text} = {(total + x).text};")
                self._store(total, home, self._at(place))

    def _scattering(self, nest: Scattering) -> None:
        """Samples are shared; the rest is added by one thread, always in the same order."""
        kind, home = self.elements.kind(nest.value), self.nests.homes[nest.value]
        samples = [axis for axis in nest.axes if axis.batch and nest.index.terms.get(axis)]
        with self._shared(samples), self._around([axis for axis in nest.axes if axis not in samples]):
            turn = nest.turn(self)
            x = self.c.as_kind(self.elements.element(self, nest.operand, tuple(map(of, nest.axes))), kind)
            self._store(x, home, self._at(nest.index, [turn]), added=True)

    def _added_product(self, total: Value, a: Value, b: Value) -> str:
        """total + a · b."""
        if total.kind[0] == "f":
            return self.c.fma(a, b, total).text
        return (total | (a & b) if total.kind == "i1" else total + a * b).text

    def _contraction(self, nest: Contraction) -> None:
        raise NotImplementedError

    def _check(self, nest: Check) -> None:
        raise NotImplementedError

    def _call(self, nest: Call) -> None:
        raise Unsupported(f"the operation {nest.instruction.row.name!r}")


_WRITE: dict[type, Callable[[Any, Any], None]] = {
    Group: lambda writer, nest: writer._group(nest),
    Reduction: lambda writer, nest: writer._reduction(nest),
    RunningSum: lambda writer, nest: writer._running_sum(nest),
    Scattering: lambda writer, nest: writer._scattering(nest),
    Contraction: lambda writer, nest: writer._contraction(nest),
    Check: lambda writer, nest: writer._check(nest),
    Call: lambda writer, nest: writer._call(nest),
}
