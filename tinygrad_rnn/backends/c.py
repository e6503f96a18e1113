"""Atoms in C, and elementwise functions as C to be compiled. CUDA's printer speaks a dialect of it.

A compiler must be told not to fuse products and sums (GCC: ``-ffp-contract=off``). Then the results equal
those of the machine code to the last bit, on a processor that has an ``fma``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy

from .atoms import Printer, Value

_TYPES = {"i1": "bool", "i32": "int", "i64": "long long", "f32": "float", "f64": "double"}
_SIGNS = {"add": "+", "sub": "-", "mul": "*"}
_TESTS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


class CPrinter(Printer):
    """Writes lines of one function in C."""

    TYPES: ClassVar[dict[str, str]] = _TYPES
    ATOMS: ClassVar[dict[str, str]] = {
        **{f"{name}.f": f"{{0}} {sign} {{1}}" for name, sign in _SIGNS.items()},
        # integers without a sign, whose overflow C knows
        **{
            f"{name}.i": f"({{T}})((unsigned {{T}}){{0}} {sign} (unsigned {{T}}){{1}})"
            for name, sign in _SIGNS.items()
        },
        **{
            f"{name}.{c}": f"{{0}} {sign} {{1}}"
            for name, sign in (("and", "&"), ("or", "|"), ("xor", "^"))
            for c in "ib"
        },
        **{name: f"{{0}} {sign} {{1}}" for name, sign in _TESTS.items()},
        **{f"{name}.b": f"(int){{0}} {sign} (int){{1}}" for name, sign in _TESTS.items()},
        **{f"{name}.f": f"{name}{{F}}({{0}})" for name in ("sqrt", "rint", "floor", "ceil", "trunc")},
        **{f"{a}.{b}": "({to}){0}" for a in _TYPES for b in _TYPES if a != b != "i1"},
        "add.b": "{0} | {1}",
        "mul.b": "{0} & {1}",
        "abs.f": "fabs{F}({0})",
        "abs.i": "{0} < 0 ? ({T})(0 - (unsigned {T}){0}) : {0}",
        "bits.f": "bits_of_{S}({0})",
        "copysign.f": "copysign{F}({0}, {1})",
        "div.f": "{0} / {1}",
        "quot.i": "{0} / {1}",
        "floating.i": "float_of_{S}({0})",
        "fma.f": "fma{F}({0}, {1}, {2})",
        "lshr.i": "({T})((unsigned {T}){0} >> {1})",
        "neg.f": "-{0}",
        "neg.i": "({T})(0 - (unsigned {T}){0})",
        "not.b": "!{0}",
        "not.i": "~{0}",
        "select": "{0} ? {1} : {2}",
        "shl.i": "({T})((unsigned {T}){0} << {1})",
        "shr.i": "{0} >> {1}",
    }
    TABLE: ClassVar[str] = "static const"
    """How a table begins."""

    def put(self, kind: str, text: str) -> Value:
        name = self.fresh()
        self.lines.append(f"const {self.TYPES[kind]} {name} = {text};")
        return Value(self, name, kind)

    def literal(self, value: Any, kind: str) -> str:
        if kind == "i1":
            return str(int(bool(value)))  # 0.5 is true
        if kind[0] == "i":
            value, ending = int(value), "LL" if kind == "i64" else ""
            # C has no such literal
            return f"({value + 1}{ending} - 1)" if value == -(2**63) else f"{value}{ending}"
        value, ending = (float(numpy.float32(value)), "f") if kind == "f32" else (float(value), "")
        if math.isfinite(value):
            text = f"{value!r}{ending}"
            return f"({text})" if text[0] == "-" else text
        numerator = "0.0" if math.isnan(value) else "1.0" if value > 0 else "-1.0"
        return f"({numerator}{ending} / 0.0{ending})"  # kernels know no name for it

    def element(self, name: str, kind: str, index: Value) -> Value:
        return self.put(kind, f"{name}[{index.text}]")

    def table_lines(self) -> list[str]:
        """The tables that functions look up in, to stand before them."""
        return [
            (
                f"{self.TABLE} {self.TYPES[kind]} {name}[] = "
                f"{{{', '.join(self.literal(x, kind) for x in table)}}};"
            )
            for name, (kind, table) in self.tables.items()
        ]


PRELUDE = """\
#include <math.h>
#include <stdbool.h>
#include <string.h>

static inline int bits_of_f32(float x) { int y; memcpy(&y, &x, sizeof y); return y; }
static inline long long bits_of_f64(double x) { long long y; memcpy(&y, &x, sizeof y); return y; }
static inline float float_of_i32(int x) { float y; memcpy(&y, &x, sizeof y); return y; }
static inline double float_of_i64(long long x) { double y; memcpy(&y, &x, sizeof y); return y; }
"""
"""What every file begins with."""


def loop(
    name: str, expression: Callable[..., Value], kinds: Sequence[str], result: str, fused: bool = True
) -> str:
    """``void name(x0, x1, …, y, n)``: y[j] = expression(k, x0[j], x1[j], …) for n elements of arrays apart.

    Args:
        fused: whether the processor has an ``fma``; without, C would call a slow one.
    """
    c = CPrinter(fused)
    y = c.as_kind(expression(c, *(Value(c, f"x{i}[j]", kind) for i, kind in enumerate(kinds))), result)
    operands = [f"const {c.TYPES[kind]} *restrict x{i}" for i, kind in enumerate(kinds)]
    return "\n".join(
        [
            f"void {name}({', '.join(operands)}, {c.TYPES[result]} *restrict y, long long n) {{",
            *(f"  {line}" for line in c.table_lines()),
            "  for (long long j = 0; j < n; j++) {",
            *(f"    {line}" for line in c.lines),
            f"    y[j] = {y.text};",
            *["  }", "}", ""],
        ]
    )
