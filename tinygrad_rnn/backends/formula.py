"""A formula over the elements of arrays as one loop of machine code, written down by running the formula itself on symbols.

Each operation is the one that NumPy does, in the same precision and with no two joined into one: so the result is NumPy's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from . import base
from .native import compiler, emit, functions, memory
from .native.threads import run_parallel, workers


class _Symbol:
    """An element of an array, or one of the numbers that are the same for all, which is a double until it meets an element."""

    def __init__(self, code: emit.Emitter, register: str, kind: str) -> None:
        self.code, self.register, self.kind = code, register, kind

    def _with(self, operation: str, other: Any, swapped: bool = False) -> _Symbol:
        if not isinstance(other, _Symbol):
            other = _Symbol(self.code, emit.literal(float(other), "double"), "double")
        kind = self.kind if self.kind == other.kind else self.code.kind
        a, b = (other, self) if swapped else (self, other)
        return _Symbol(self.code, self.code.let(f"{operation} {kind} {a.as_(kind)}, {b.as_(kind)}"), kind)

    def as_(self, kind: str) -> str:
        return self.register if kind == self.kind else self.code.let(f"fptrunc {self.kind} {self.register} to {kind}")

    def _become(self, new: _Symbol) -> _Symbol:
        self.register = new.register
        return self

    def __add__(self, other: Any) -> _Symbol:
        return self._with("fadd", other)

    def __sub__(self, other: Any) -> _Symbol:
        return self._with("fsub", other)

    def __rsub__(self, other: Any) -> _Symbol:
        return self._with("fsub", other, swapped=True)

    def __mul__(self, other: Any) -> _Symbol:
        return self._with("fmul", other)

    def __truediv__(self, other: Any) -> _Symbol:
        return self._with("fdiv", other)

    def __neg__(self) -> _Symbol:
        return _Symbol(self.code, self.code.let(f"fneg {self.kind} {self.register}"), self.kind)

    def __iadd__(self, other: Any) -> _Symbol:
        return self._become(self + other)

    def __imul__(self, other: Any) -> _Symbol:
        return self._become(self * other)


class _Names:
    """The functions of a backend that formulas use, on symbols."""

    def __init__(self, code: emit.Emitter) -> None:
        self.code = code

    def __getattr__(self, name: str) -> Any:
        raise base.Unsupported(f"the operation {name!r}")

    def sqrt(self, x: _Symbol) -> _Symbol:
        return _Symbol(self.code, self.code.apply("sqrt", [(x.register, x.kind)], ())[0], x.kind)

    def maximum(self, a: _Symbol, b: _Symbol, out: _Symbol) -> _Symbol:
        return out._become(_Symbol(self.code, self.code.apply("maximum", [(a.register, a.kind), (b.register, b.kind)], ())[0], a.kind))


Formula = Callable[[Any, Sequence[Any], Sequence[Any]], Any]
"""formula(np, arrays, numbers) → the new array; it may change arrays in place."""


class Loop:
    """A formula in machine code.

    Args:
        arrays, numbers: how many it takes.
        dtype: of the arrays: float32 or float64.
    """

    def __init__(self, formula: Formula, arrays: int, numbers: int, dtype: Any) -> None:
        self.columns = 2 + arrays
        text = self._text(formula, arrays, numbers, emit.type_name(dtype))
        self.address = compiler.compiled(text, ("loop",))["loop"]

    def _text(self, formula: Formula, arrays: int, numbers: int, kind: str) -> str:
        code = emit.Emitter(kind)
        xs = [_Symbol(code, f"%x{i}", kind) for i in range(arrays)]
        y = formula(_Names(code), xs, [_Symbol(code, f"%number{i}", "double") for i in range(numbers)])
        changed = [(i, x) for i, x in enumerate(xs) if x.register != f"%x{i}"]
        places = range(arrays + 1)
        return "\n".join(
            [
                functions.library(kind),
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
                *(f"  store {kind} {x.register}, ptr %e{i}, !llvm.access.group !0" for i, x in changed),
                f"  store {kind} {y.register}, ptr %e{arrays}, !llvm.access.group !0",
                "  %j1 = add nuw nsw i64 %j, 1",
                "  %more = icmp slt i64 %j1, %last",
                "  br i1 %more, label %element, label %done, !llvm.loop !1",
                *["done:", "  %r1 = add i64 %r, 1", "  %on = icmp slt i64 %r1, %count", "  br i1 %on, label %row, label %exit"],
                *["exit:", "  ret void", "}"],
                *["!0 = distinct !{}", "!1 = distinct !{!1, !2}", '!2 = !{!"llvm.loop.parallel_accesses", !0}'],
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
