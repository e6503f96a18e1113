"""A formula over the elements of arrays as one loop of machine code, written down by running the formula itself on symbols.

Each operation is the one that NumPy does, in the same precision and with no two joined into one: so the result is NumPy's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from . import base
from .atoms import Value
from .native import compiler, emit, memory
from .native.threads import run_parallel, workers


class _Element(Value):
    """An element of an array, which a formula may change."""

    __slots__ = ()

    def become(self, new: Value) -> _Element:
        self.text, self.kind = new.text, new.kind
        return self

    def __iadd__(self, other: Any) -> _Element:
        return self.become(self + other)

    def __imul__(self, other: Any) -> _Element:
        return self.become(self * other)


class _Names:
    """The functions of a backend, on elements."""

    def __init__(self, code: emit.Emitter, lowerings: Lowerings) -> None:
        self.code, self.lowerings = code, lowerings

    def __getattr__(self, name: str) -> Callable[..., Value]:
        lowering = self.lowerings.get(name)
        if lowering is None:
            raise base.Unsupported(f"the operation {name!r}")

        def call(*operands: Any, out: _Element | None = None) -> Value:
            y = lowering(self.code, *operands)
            return y if out is None else out.become(y)

        return call


Lowerings = Mapping[str, Callable[..., Value] | None]
"""How functions are computed: lowering(printer, *operands) → the result."""

Formula = Callable[[Any, Sequence[Any], Sequence[Any]], Any]
"""formula(np, arrays, numbers) → the new array; it may change arrays in place."""


class Loop:
    """A formula in machine code.

    Args:
        arrays, numbers: how many it takes.
        dtype: of the arrays: float32 or float64.
        lowerings: what the formula may call, by name.
    """

    def __init__(self, formula: Formula, arrays: int, numbers: int, dtype: Any, lowerings: Lowerings) -> None:
        self.columns = 2 + arrays
        text = self._text(formula, arrays, numbers, emit.type_name(dtype), lowerings)
        self.address = compiler.compiled(text, ("loop",))["loop"]

    def _text(self, formula: Formula, arrays: int, numbers: int, kind: str, lowerings: Lowerings) -> str:
        code = emit.Emitter(kind)
        xs = [_Element(code, f"%x{i}", code.kind) for i in range(arrays)]
        given = [Value(code, f"%number{i}", "f64", weak=True) for i in range(numbers)]
        y = code.convert(formula(_Names(code, lowerings), xs, given), code.kind)
        changed = [(i, x) for i, x in enumerate(xs) if x.text != f"%x{i}"]
        places = range(arrays + 1)
        return "\n".join(
            [
                'define void @loop(ptr %table, ptr %numbers, i64 %count, i64 %part, i64 %parts) "prefer-vector-width"="512" {',
                "entry:",
                *(f"  %at{i} = getelementptr double, ptr %numbers, i64 {i}" for i in range(numbers)),
                *(f"  %number{i} = load double, ptr %at{i}" for i in range(numbers)),
                "  br label %row",
                "row:",
                "  %r = phi i64 [ 0, %entry ], [ %r1, %done ]",
                f"  %start = mul i64 %r, {self.columns}",
                "  %row.n = getelementptr i64, ptr %table, i64 %start",
                "  %n = load i64, ptr %row.n",
                *(f"  %row{i} = getelementptr i64, ptr %row.n, i64 {i + 1}" for i in places),
                *(f"  %p{i} = load ptr, ptr %row{i}" for i in places),
                "  %part1 = add i64 %part, 1",
                *["  %n.part = mul i64 %n, %part", "  %first = sdiv i64 %n.part, %parts"],
                *["  %n.part1 = mul i64 %n, %part1", "  %last = sdiv i64 %n.part1, %parts"],
                *["  %some = icmp slt i64 %first, %last", "  br i1 %some, label %element, label %done"],
                "element:",
                "  %j = phi i64 [ %first, %row ], [ %j1, %element ]",
                *(f"  %e{i} = getelementptr {kind}, ptr %p{i}, i64 %j" for i in places),
                *(f"  %x{i} = load {kind}, ptr %e{i}, !llvm.access.group !0" for i in range(arrays)),
                *(f"  {line}" for line in code.lines),
                *(f"  store {kind} {x.text}, ptr %e{i}, !llvm.access.group !0" for i, x in changed),
                f"  store {kind} {y.text}, ptr %e{arrays}, !llvm.access.group !0",
                "  %j1 = add nuw nsw i64 %j, 1",
                "  %more = icmp slt i64 %j1, %last",
                "  br i1 %more, label %element, label %done, !llvm.loop !1",
                *["done:", "  %r1 = add i64 %r, 1", "  %on = icmp slt i64 %r1, %count", "  br i1 %on, label %row, label %exit"],
                *["exit:", "  ret void", "}"],
                *["!0 = distinct !{}", "!1 = distinct !{!1, !2}", '!2 = !{!"llvm.loop.parallel_accesses", !0}'],
                emit.tables([code]),
            ]
        )

    def run(self, rows: Sequence[Sequence[Any]], numbers: Sequence[float]) -> list[Any]:
        """The new arrays, from rows of contiguous arrays of one size each; where the formula changes an array, it is changed."""
        new = [numpy.empty_like(row[0]) for row in rows]
        lines = [(y.size, *map(memory.address, row), memory.address(y)) for row, y in zip(rows, new, strict=True)]
        table, given = memory.numbers([number for line in lines for number in line]), numpy.array(numbers)
        count = workers(sum(y.size for y in new))
        where = table.buffer_info()[0], memory.address(given), len(rows)
        run_parallel(self.address, [(*where, part, count) for part in range(count)])
        return new
