"""A step in plain C: one processor, one thread, nothing around it.

Loops run in the order in which numbers lie. A sum along an axis is made of several that do not wait for each
other, and that a compiler makes vectors of; they also lose fewer digits than one would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy

from ..backends.atoms import Value
from ..backends.c import CPrinter
from .c_writer import CWriter
from .contractions import Contraction, Operand
from .elements import Elements
from .index import Index, Var, of, unflat
from .nest_planner import Nests
from .nests import Check, Place
from .program import Instruction

CHAINS = 16
"""Sums that are made at a time."""

SHORT = 4
"""Fewer results are not worth loops over them inside of those over what is summed up."""


class StepNests(Nests):
    """The nests of a step, whose products read weights as they lie."""

    def _form(
        self,
        instruction: Instruction,
        left: Operand,
        right: Operand,
        v: int,
        index: Index,
        rows: list[Var],
        sums: list[Var],
    ) -> Contraction:
        vector = next((var for var in reversed(rows) if index.terms.get(var) == 1), None)
        a, b = (right, left) if vector is not None and left.stride(vector) == 1 else (left, right)
        floats = all(self.elements.kind(x)[0] == "f" for x in (*instruction.operands, v))
        if (
            vector is not None
            and vector.length >= SHORT
            and floats
            and sums
            and b.stride(vector) == 1
            and not a.stride(vector)
        ):
            rest = [var for var in rows if var is not vector]
            return Contraction(v, index, a, b, "along", rest, sums, vector=vector)
        inner = [k for k in sums if a.stride(k) == b.stride(k) == 1]
        return Contraction(v, index, a, b, "dot", rows, [*(k for k in sums if k not in inner), *inner])


@dataclass
class Stored:
    """Numbers that are the same at every step.

    Attributes:
        name: what they are called.
        kind: of the numbers that the step reads.
        array: as they lie.
        scales: of whole numbers that stand for others, the factors; each is that of all elements at one place
            along an axis.
        axis: which.
    """

    name: str
    kind: str
    array: numpy.ndarray
    scales: numpy.ndarray | None = None
    axis: int = 0

    @property
    def nbytes(self) -> int:
        return self.array.nbytes + (0 if self.scales is None else self.scales.nbytes)


def shortest(array: numpy.ndarray) -> numpy.ndarray:
    """Whole numbers in as few bytes as they take."""
    if array.dtype.kind != "i":
        return array
    size = next(
        n for n in (1, 2, 4, 8) if -(2 ** (8 * n - 1)) <= array.min() and array.max() < 2 ** (8 * n - 1)
    )
    return array.astype(f"int{8 * size}")


class StepPrinter(CPrinter):
    """Writes lines of a function in C99 that is C++, too.

    Args:
        prefix: what the names of helpers begin with.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__(fused=False)  # compilers call a slow function where processors have no instruction
        self.ATOMS: dict[str, str] = {  # type: ignore[misc]
            **CPrinter.ATOMS,
            "bits.f": f"{prefix}_bits_of_{{S}}({{0}})",
            "floating.i": f"{prefix}_float_of_{{S}}({{0}})",
        }

    def literal(self, value: object, kind: str) -> str:
        if kind[0] == "f" and not numpy.isfinite(number := float(value)):  # type: ignore[arg-type]
            text = "NAN" if number != number else "INFINITY" if number > 0 else "-INFINITY"
            return f"({text})" if kind == "f32" else f"((double){text})"
        return super().literal(value, kind)


class StepWriter(CWriter):
    """Writes the nests of a step.

    Args:
        names: where each place begins, by its buffer's number and slot.
        stored: by the numbers of buffers, what is the same at every step.
        refusal: what ends the step where a whole number is out of its range.
    """

    COUNT: ClassVar[str] = "int"

    def __init__(
        self,
        c: CPrinter,
        elements: Elements,
        nests: Nests,
        names: Mapping[tuple[int, str], str],
        stored: Mapping[int, Stored],
        refusal: str,
    ) -> None:
        super().__init__(c, elements, nests)
        self._names, self._stored, self._refusal = names, stored, refusal

    def lines(self) -> list[str]:
        """The lines of all nests."""
        for nest in self.nests.stages:
            self._nest(nest)
        return self.c.lines

    def _pointer(self, place: Place) -> str:
        return self._names[place.buffer.number, place.slot]

    def _element(self, place: Place, at: str) -> str:
        stored = self._stored.get(place.buffer.number)
        if stored is None or stored.scales is None:
            return super()._element(place, at)
        inside = int(numpy.prod(stored.array.shape[stored.axis + 1 :]))
        row = f"({at}) / {inside}" if inside > 1 else f"({at})"
        row = f"{row} % {len(stored.scales)}" if stored.axis else row
        return f"({self.c.TYPES[stored.kind]}){stored.name}[{at}] * {stored.name}_scale[{row}]"

    def _joined_over(
        self, axes: Sequence[Var], how: str, kind: str, first: float, element: Callable[[], Value]
    ) -> Value:
        if how != "sum" or kind[0] != "f" or not axes or axes[-1].length < 2 * CHAINS:
            return super()._joined_over(axes, how, kind, first, element)
        c, (*outer, inner) = self.c, axes
        totals, begin, chain = c.fresh("a"), c.fresh("k"), c.fresh("k")
        whole = inner.length // CHAINS * CHAINS

        def add(place: str, at: str) -> None:
            self._registers[inner] = place
            x = c.as_kind(element(), kind)
            c.lines.append(f"{totals}[{at}] = {self._joined(how, Value(c, f'{totals}[{at}]', kind), x)};")

        c.lines.append(f"{c.TYPES[kind]} {totals}[{CHAINS}] = {{{c.literal(0, kind)}}};")
        with self._around(outer):
            with (
                self._braces(f"for (int {begin} = 0; {begin} < {whole}; {begin} += {CHAINS}) {{"),
                self._braces(f"for (int {chain} = 0; {chain} < {CHAINS}; {chain}++) {{"),
            ):
                add(f"({begin} + {chain})", chain)
            if whole < inner.length:
                rest = c.fresh("k")
                with self._braces(f"for (int {rest} = {whole}; {rest} < {inner.length}; {rest}++) {{"):
                    add(rest, "0")
        sums = [Value(c, f"{totals}[{i}]", kind) for i in range(CHAINS)]
        while len(sums) > 1:
            half = len(sums) // 2
            sums = [a + b for a, b in zip(sums[:half], sums[half:], strict=True)]
        return sums[0]

    # -- products --------------------------------------------------------------------------------------------

    def _contraction(self, nest: Contraction) -> None:
        c, kind = self.c, self.elements.kind(nest.value)
        home = self.nests.homes[nest.value]
        if nest.form == "along":
            assert nest.vector is not None
            with self._shared(nest.rows), self._around(nest.sums):
                scale = self._scale(nest.b, [nest.vector])
                a = c.as_kind(self._factor(nest.a, None), kind)
                a = a if scale is None else a * scale
                with self._around([nest.vector]):
                    b = c.as_kind(self._factor(nest.b, scale), kind)
                    self._store(a * b, home, self._at(nest.index), added=True)
            return
        with self._shared(nest.rows):
            operands = [(x, self._scale(x, nest.sums)) for x in (nest.a, nest.b)]

            def product() -> Value:
                a, b = (c.as_kind(self._factor(x, scale), kind) for x, scale in operands)
                return a * b

            total = self._joined_over(nest.sums, "any" if kind == "i1" else "sum", kind, 0, product)
            for _, scale in operands:
                total = total if scale is None else total * scale
            self._store(total, home, self._at(nest.index))

    def _scale(self, x: Operand, inner: Sequence[Var]) -> Value | None:
        """The factor of an operand's whole numbers, where it is the same along inner axes; None where there
        is none."""
        stored = self._stored.get(self.nests.homes[x.value].buffer.number)
        if stored is None or stored.scales is None:
            return None
        places = unflat(x.index, stored.array.shape)
        if places is None or any(var in places[stored.axis].terms for var in inner):
            return None
        return self.c.put(stored.kind, f"{stored.name}_scale[{self._at(places[stored.axis])}]")

    def _factor(self, x: Operand, scale: Value | None) -> Value:
        """An element of an operand; without its factor, where that is taken into account elsewhere."""
        if scale is None:
            return self.read(x.value, x.index)
        home = self.nests.homes[x.value]
        type_ = self.c.TYPES[home.buffer.kind]
        return self.c.put(home.buffer.kind, f"({type_}){self._pointer(home)}[{self._at(x.index)}]")

    def _check(self, nest: Check) -> None:
        with self._around(nest.axes):
            x = self.elements.element(self, nest.value, tuple(map(of, nest.axes)))
            number = self.c.convert(x, "i64")
            bad = (number < nest.least) | (number >= nest.end)
            self.c.lines.append(f"if ({bad.text}) {{ {self._refusal} }}")
