"""Writing LLVM text: names of types, vectors, literals, and the atoms that elementwise functions are written
in."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy

from ..atoms import Printer, Value
from .compiler import has, vector_bytes

FLOATS = {numpy.dtype(numpy.float32): "float", numpy.dtype(numpy.float64): "double"}
"""LLVM's names of the floats that code is written for."""

KINDS = {"float": "f32", "double": "f64"}
"""What atoms call them."""


def type_name(dtype: Any) -> str:
    """LLVM's name for a dtype of floats."""
    return FLOATS[dtype]


def literal(value: float, kind: str) -> str:
    """A float literal as LLVM wants it: exactly, by its bits as a double."""
    if kind == "float":
        value = float(numpy.float32(value))
    return f"0x{numpy.float64(value).view(numpy.uint64):016X}"


@functools.cache
def vectors(kind: str) -> tuple[int, str, str, int]:
    """Of the processor's vectors: how many elements they have, LLVM's type, the suffix of LLVM's functions of
    them, and the bytes of an element."""
    size = 4 if kind == "float" else 8
    lanes = vector_bytes() // size
    return lanes, f"<{lanes} x {kind}>", f"v{lanes}f{8 * size}", size


# -- atoms ---------------------------------------------------------------------------------------------------


class Emitter(Printer):
    """Writes lines of one function in LLVM text.

    Args:
        kind: LLVM's name of the floats that the function is about.
    """

    TYPES: ClassVar[dict[str, str]] = {
        "i1": "i1",
        "i32": "i32",
        "i64": "i64",
        "f32": "float",
        "f64": "double",
    }
    ATOMS: ClassVar[dict[str, str]] = {
        **{f"{name}.f": f"f{name} {{T}} {{0}}, {{1}}" for name in ("add", "sub", "mul", "div")},
        **{
            f"{name}.i": f"{name} {{T}} {{0}}, {{1}}"
            for name in ("add", "sub", "mul", "and", "or", "xor", "shl", "lshr")
        },
        "quot.i": "sdiv {T} {0}, {1}",
        **{f"{name}.b": f"{name} i1 {{0}}, {{1}}" for name in ("and", "or", "xor")},
        "add.b": "or i1 {0}, {1}",
        "mul.b": "and i1 {0}, {1}",
        **{f"{name}.f": f"fcmp o{name} {{T}} {{0}}, {{1}}" for name in ("lt", "le", "gt", "ge", "eq")},
        **{f"{name}.i": f"icmp s{name} {{T}} {{0}}, {{1}}" for name in ("lt", "le", "gt", "ge")},
        **{f"{name}.b": f"icmp u{name} i1 {{0}}, {{1}}" for name in ("lt", "le", "gt", "ge")},
        **{f"{name}.{c}": f"icmp {name} {{T}} {{0}}, {{1}}" for name in ("eq", "ne") for c in "ib"},
        **{
            f"{name}.f": f"call {{T}} @llvm.{name}.{{S}}({{T}} {{0}})"
            for name in ("sqrt", "rint", "floor", "ceil", "trunc")
        },
        "abs.f": "call {T} @llvm.fabs.{S}({T} {0})",
        "abs.i": "call {T} @llvm.abs.{S}({T} {0}, i1 false)",
        "copysign.f": "call {T} @llvm.copysign.{S}({T} {0}, {T} {1})",
        "fma.f": "call {T} @llvm.fma.{S}({T} {0}, {T} {1}, {T} {2})",
        "neg.f": "fneg {T} {0}",
        "neg.i": "sub {T} 0, {0}",
        "not.i": "xor {T} {0}, -1",
        "not.b": "xor i1 {0}, true",
        "ne.f": "fcmp une {T} {0}, {1}",
        "shr.i": "ashr {T} {0}, {1}",
        "select": "select i1 {0}, {T} {1}, {T} {2}",
        "bits.f": "bitcast {T} {0} to {to}",
        "floating.i": "bitcast {T} {0} to {to}",
        **{f"i1.{to}": f"zext i1 {{0}} to {to}" for to in ("i32", "i64")},
        **{f"i1.{to}": "uitofp i1 {0} to {to}" for to in ("f32", "f64")},
        **{f"{a}.{b}": "sitofp {T} {0} to {to}" for a in ("i32", "i64") for b in ("f32", "f64")},
        **{f"{a}.{b}": "fptosi {T} {0} to {to}" for a in ("f32", "f64") for b in ("i32", "i64")},
        "i32.i64": "sext i32 {0} to i64",
        "i64.i32": "trunc i64 {0} to i32",
        "f32.f64": "fpext float {0} to double",
        "f64.f32": "fptrunc double {0} to float",
    }

    def __init__(self) -> None:
        super().__init__(fused=has("fma"), rounds=has("sse4.1"))

    def put(self, kind: str, text: str) -> Value:
        return Value(self, self.let(text), kind)

    def literal(self, value: Any, kind: str) -> str:
        if kind[0] == "f":
            return literal(value, self.TYPES[kind])
        return str(bool(value)).lower() if kind == "i1" else str(int(value))

    def element(self, name: str, kind: str, index: Value) -> Value:
        at = self.let(f"getelementptr {self.TYPES[kind]}, ptr @{name}, {self.TYPES[index.kind]} {index.text}")
        return self.put(kind, f"load {self.TYPES[kind]}, ptr {at}, !invariant.load !{{}}")

    def fresh(self, hint: str = "v") -> str:
        return f"%{super().fresh(hint)}"

    def label(self, hint: str) -> str:
        return super().fresh(hint)

    def line(self, text: str) -> None:
        self.lines.append(text)

    def let(self, text: str, hint: str = "v") -> str:
        register = self.fresh(hint)
        self.lines.append(f"{register} = {text}")
        return register


def table_lines(tables: Mapping[str, tuple[str, tuple[float, ...]]]) -> list[str]:
    """The tables that functions of one text look up in."""
    lines = []
    for name, (kind, numbers) in tables.items():
        type_ = Emitter.TYPES[kind]
        entries = ", ".join(f"{type_} {literal(number, type_)}" for number in numbers)
        lines.append(f"@{name} = private unnamed_addr constant [{len(numbers)} x {type_}] [{entries}]")
    return lines
