"""Writing LLVM text: names of types, vectors, literals, and the few instructions of each elementwise row."""

from __future__ import annotations

from typing import Any

import numpy

from ..base import Unsupported
from .compiler import vector_bytes

FLOATS = {numpy.dtype(numpy.float32): "float", numpy.dtype(numpy.float64): "double"}
"""LLVM's names of the floats that code is written for."""

_NAMES = FLOATS | {numpy.dtype(numpy.int64): "i64", numpy.dtype(numpy.bool_): "i8"}


def type_name(dtype: Any) -> str:
    """LLVM's name for a dtype."""
    return _NAMES[dtype]


def literal(value: float, kind: str) -> str:
    """A float literal as LLVM wants it: exactly, by its bits as a double."""
    if kind == "float":
        value = float(numpy.float32(value))
    return f"0x{numpy.float64(value).view(numpy.uint64):016X}"


def vectors(kind: str) -> tuple[int, str, str, int]:
    """Of the processor's vectors: how many elements they have, LLVM's type, how its functions of them end, and bytes of an element."""
    size = 4 if kind == "float" else 8
    lanes = vector_bytes() // size
    return lanes, f"<{lanes} x {kind}>", f"v{lanes}f{8 * size}", size


def masked(kind: str) -> list[str]:
    """What loads and stores the elements of a vector that a mask names."""
    lanes, vector, suffix, _ = vectors(kind)
    return [
        f"declare {vector} @llvm.masked.load.{suffix}.p0(ptr, i32, <{lanes} x i1>, {vector})",
        f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, <{lanes} x i1>)",
    ]


def splat(name: str, scalar: str, kind: str, lanes: int) -> list[str]:
    """A vector whose elements are all the same."""
    vector = f"<{lanes} x {kind}>"
    return [
        f"  %{name}.one = insertelement {vector} poison, {kind} {scalar}, i32 0",
        f"  %{name} = shufflevector {vector} %{name}.one, {vector} poison, <{lanes} x i32> zeroinitializer",
    ]


# -- one row on one element -----------------------------------------------------------------------------------------------------------


class Emitter:
    """Writes lines of one function; every row of the elementwise kind has its few instructions here.

    Values are (register, kind), where kind is "float", "double" or "i1".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.suffix = "f32" if kind == "float" else "f64"
        self.lines: list[str] = []
        self._count = 0

    def fresh(self, hint: str = "v") -> str:
        self._count += 1
        return f"%{hint}{self._count}"

    def label(self, hint: str) -> str:
        self._count += 1
        return f"{hint}{self._count}"

    def line(self, text: str) -> None:
        self.lines.append(text)

    def let(self, text: str, hint: str = "v") -> str:
        register = self.fresh(hint)
        self.lines.append(f"{register} = {text}")
        return register

    def number(self, value: float) -> tuple[str, str]:
        return literal(float(value), self.kind), self.kind

    def _float(self, value: tuple[str, str]) -> str:
        register, kind = value
        return self.let(f"uitofp i1 {register} to {self.kind}") if kind == "i1" else register

    def _bool(self, value: tuple[str, str]) -> str:
        register, kind = value
        return register if kind == "i1" else self.let(f"fcmp une {kind} {register}, {literal(0.0, kind)}")

    def apply(self, name: str, operands: list[tuple[str, str]], params: tuple[Any, ...]) -> tuple[str, str]:
        """One row.

        Raises:
            Unsupported: it has no instructions here.
        """
        kind = self.kind
        if name == "where":
            condition = self._bool(operands[0])
            a, b = self._float(operands[1]), self._float(operands[2])
            return self.let(f"select i1 {condition}, {kind} {a}, {kind} {b}"), kind
        if name in _COMPARISONS:
            a, b = (self._float(x) for x in operands)
            return self.let(f"fcmp {_COMPARISONS[name]} {kind} {a}, {b}"), "i1"
        if name in _LOGIC:
            bits = [self._bool(x) for x in operands]
            return self.let(f"{_LOGIC[name]} i1 {bits[0]}, {bits[1] if len(bits) > 1 else 'true'}"), "i1"
        if name == "astype":
            if params[0].kind != "f":
                raise Unsupported("a cast to whole numbers")
            return self._float(operands[0]), kind
        xs = [self._float(x) for x in operands]
        if name in _TESTS:
            size = self.let(f"call {kind} @llvm.fabs.{self.suffix}({kind} {xs[0]})")
            return self.let(f"fcmp {_TESTS[name]} {kind} {size}, {literal(float('inf'), kind)}"), "i1"
        if name in _ARITHMETIC:
            return self.let(f"{_ARITHMETIC[name]} contract {kind} {xs[0]}, {xs[1]}"), kind
        if name in _FUNCTIONS:
            return self.let(f"call {kind} @{_FUNCTIONS[name]}_{self.suffix}({kind} {xs[0]})"), kind
        if name in ("sqrt", "abs"):
            return self.let(f"call {kind} @llvm.{'sqrt' if name == 'sqrt' else 'fabs'}.{self.suffix}({kind} {xs[0]})"), kind
        special = getattr(self, f"_{name}", None)
        if special is None:
            raise Unsupported(f"the operation {name!r}")
        return special(*xs, *params), kind

    def _negative(self, x: str) -> str:
        return self.let(f"fneg {self.kind} {x}")

    def _reciprocal(self, x: str) -> str:
        return self.let(f"fdiv {self.kind} {literal(1.0, self.kind)}, {x}")

    def _relu(self, x: str) -> str:
        below = self.let(f"fcmp olt {self.kind} {x}, {literal(0.0, self.kind)}")
        return self.let(f"select i1 {below}, {self.kind} {literal(0.0, self.kind)}, {self.kind} {x}")

    def _sign(self, x: str) -> str:
        one, zero = literal(1.0, self.kind), literal(0.0, self.kind)
        side = self.let(f"call {self.kind} @llvm.copysign.{self.suffix}({self.kind} {one}, {self.kind} {x})")
        moving = self.let(f"fcmp one {self.kind} {x}, {zero}")
        return self.let(f"select i1 {moving}, {self.kind} {side}, {self.kind} {x}")

    def _extremum(self, test: str, a: str, b: str) -> str:
        wins = self.let(f"fcmp {test} {self.kind} {a}, {b}")
        nan = self.let(f"fcmp uno {self.kind} {a}, {a}")
        first = self.let(f"or i1 {wins}, {nan}")
        return self.let(f"select i1 {first}, {self.kind} {a}, {self.kind} {b}")

    def _maximum(self, a: str, b: str) -> str:
        return self._extremum("ogt", a, b)

    def _minimum(self, a: str, b: str) -> str:
        return self._extremum("olt", a, b)

    def _clip(self, x: str, low: Any, high: Any) -> str:
        if low is not None:
            x = self._extremum("ogt", x, literal(float(low), self.kind))
        return x if high is None else self._extremum("olt", x, literal(float(high), self.kind))

    def _raise_to(self, x: str, exponent: float) -> str:
        whole, rest = divmod(abs(exponent), 1)
        if exponent == 0 or whole > 4 or rest not in (0, 0.5):
            raise Unsupported(f"a power of {exponent}")
        factors = [x] * int(whole)
        if rest:
            factors.append(self.let(f"call {self.kind} @llvm.sqrt.{self.suffix}({self.kind} {x})"))
        y = factors[0]
        for factor in factors[1:]:
            y = self.let(f"fmul contract {self.kind} {y}, {factor}")
        return y if exponent > 0 else self._reciprocal(y)


_ARITHMETIC = {"add": "fadd", "subtract": "fsub", "multiply": "fmul"}
_FUNCTIONS = {"tanh": "tanh", "sigmoid": "sigmoid", "exp": "exp", "log": "log"}
_COMPARISONS = {"equal": "oeq", "not_equal": "une", "less": "olt", "less_equal": "ole", "greater": "ogt", "greater_equal": "oge"}
_TESTS = {"isnan": "uno", "isinf": "oeq", "isfinite": "olt"}
_LOGIC = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor", "logical_not": "xor"}
