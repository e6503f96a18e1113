"""The atoms: the few operations that elementwise functions are written in, and all that printers know.

A function in atoms takes a printer ``k`` first, then its operands: it does arithmetic on values and calls
atoms of k. Handed the printer of LLVM it is written as LLVM, handed that of C as C. Every operation is
rounded as it is written, and no product is fused with a sum except by ``fma``. So a value that is computed a
second time, in another kernel, is the same to the last bit: a mask that compares it with a value that was
kept depends on that.

============  ================================================================================================
numbers       ``number``; ``lookup`` in a table; ``convert`` to another kind; ``bits`` of a float;
              ``floating`` of bits
arithmetic    ``add`` ``sub`` ``mul`` ``div`` ``neg``, written + − * /; ``fma``; ``sqrt`` ``abs`` ``copysign``
rounding      ``rint`` ``floor`` ``ceil`` ``trunc``
bits          ``and`` ``or`` ``xor`` ``not`` ``shl`` ``shr`` ``lshr``, written & | ^ ~ << >>
choice        ``lt`` ``le`` ``gt`` ``ge`` ``eq`` ``ne``, written < <= > >= == !=; ``select``
============  ================================================================================================
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy

from .base import Unsupported

KINDS = {"bool": "i1", "int32": "i32", "int64": "i64", "float32": "f32", "float64": "f64"}
"""What the numbers of a dtype are called in code."""

DTYPES = {kind: numpy.dtype(name) for name, kind in KINDS.items()}

BITS = {"f32": "i32", "f64": "i64", "i32": "f32", "i64": "f64"}
"""The kind that holds the bits of another."""


def kind_of(dtype: Any) -> str:
    """The kind of numbers of a dtype.

    Raises:
        Unsupported: there is no code for it.
    """
    name = numpy.dtype(dtype).name
    if name not in KINDS:
        wide = "int64" if name.startswith(("int", "uint")) else "float32 or float64"
        raise Unsupported(f"values of {name}", f"have the cell compute in {wide}")
    return KINDS[name]


class Value:
    """A number of the code that is being written.

    Attributes:
        printer: who writes it.
        text: what it is called there.
        kind: "i1", "i32", "i64", "f32" or "f64".
        weak: it takes the kind of what it meets, as Python's numbers do.
    """

    __slots__ = ("kind", "printer", "text", "weak")

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __init__(self, printer: Printer, text: str, kind: str, weak: bool = False) -> None:
        self.printer: Printer = printer
        self.text: str = text
        self.kind: str = kind
        self.weak: bool = weak

    def __repr__(self) -> str:
        return f"<{self.kind} {self.text}>"

    def __add__(self, other: Any) -> Value:
        return self.printer.binary("add", self, other)

    def __radd__(self, other: Any) -> Value:
        return self.printer.binary("add", other, self)

    def __sub__(self, other: Any) -> Value:
        return self.printer.binary("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return self.printer.binary("sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return self.printer.binary("mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        return self.printer.binary("mul", other, self)

    def __truediv__(self, other: Any) -> Value:
        return self.printer.binary("div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return self.printer.binary("div", other, self)

    def __neg__(self) -> Value:
        return self.printer.atom("neg", self)

    def __and__(self, other: Any) -> Value:
        return self.printer.binary("and", self, other)

    def __or__(self, other: Any) -> Value:
        return self.printer.binary("or", self, other)

    def __xor__(self, other: Any) -> Value:
        return self.printer.binary("xor", self, other)

    def __invert__(self) -> Value:
        return self.printer.atom("not", self)

    def __lshift__(self, places: int) -> Value:
        return self.printer.binary("shl", self, places)

    def __rshift__(self, places: int) -> Value:
        return self.printer.binary("shr", self, places)

    def __lt__(self, other: Any) -> Value:
        return self.printer.compare("lt", self, other)

    def __le__(self, other: Any) -> Value:
        return self.printer.compare("le", self, other)

    def __gt__(self, other: Any) -> Value:
        return self.printer.compare("gt", self, other)

    def __ge__(self, other: Any) -> Value:
        return self.printer.compare("ge", self, other)

    def __eq__(self, other: Any) -> Any:
        return self.printer.compare("eq", self, other)

    def __ne__(self, other: Any) -> Any:
        return self.printer.compare("ne", self, other)


class Printer:
    """Writes atoms as lines of one function: two tables for each language, and how it names and declares.

    Attributes:
        TYPES: what kinds are called.
        ATOMS: how each atom is written: on all kinds alike ("select"), on one ("add.f32"), or on floats
            ("add.f"), integers ("add.i") or truths ("and.b"). {0}, {1}, {2} are operands, {T} and {S} the
            type and the kind of the last of them, {F} an f for float32, {to} the type of the result.
        fused: ``fma`` rounds once; else it is a product and a sum.
        rounds: the processor rounds to integers; else that is written with sums.
        lines: what is written already.
        tables: the tables that it looks up in, by name: their kind and numbers.
    """

    TYPES: ClassVar[dict[str, str]]
    ATOMS: ClassVar[dict[str, str]]

    def __init__(self, fused: bool = True, rounds: bool = True) -> None:
        self.fused = fused
        self.rounds = rounds
        self.lines: list[str] = []
        self.tables: dict[str, tuple[str, tuple[float, ...]]] = {}
        self._count = 0

    @contextlib.contextmanager
    def into(self, lines: list[str]) -> Iterator[None]:
        """A block that writes elsewhere."""
        before, self.lines = self.lines, lines
        try:
            yield
        finally:
            self.lines = before

    # -- what a language says for itself ---------------------------------------------------------------------

    def put(self, kind: str, text: str) -> Value:
        """Give an expression a name."""
        raise NotImplementedError

    def literal(self, value: Any, kind: str) -> str:
        """A number as text, exactly."""
        raise NotImplementedError

    def element(self, name: str, kind: str, index: Value) -> Value:
        """An element of a table."""
        raise NotImplementedError

    # -- atoms -----------------------------------------------------------------------------------------------

    def fresh(self, hint: str = "v") -> str:
        """A name that nothing has."""
        self._count += 1
        return f"{hint}{self._count}"

    def atom(self, name: str, *xs: Value, kind: str = "") -> Value:
        """Write one atom; its kind is that of its last operand unless another is named.

        Raises:
            Unsupported: there is none for operands of that kind.
        """
        last = xs[-1].kind
        names = f"{name}.{last}", f"{name}.{_CLASSES[last]}", name
        template = next((self.ATOMS[name] for name in names if name in self.ATOMS), None)
        if template is None:
            raise Unsupported(f"{name!r} of numbers of the kind {last}")
        kind = kind or last
        words = {"T": self.TYPES[last], "S": last, "F": "f" if last == "f32" else "", "to": self.TYPES[kind]}
        y = self.put(kind, template.format(*(x.text for x in xs), **words))
        y.weak = xs[-1].weak
        return y

    def number(self, value: Any, kind: str) -> Value:
        """A number that is known.

        Raises:
            Unsupported: it is an integer of more than 64 bits.
        """
        if kind == "i64" and not -(2**63) <= value < 2**63:
            raise Unsupported(f"the integer {value}")
        return Value(self, self.literal(value, kind), kind)

    def lookup(self, table: Sequence[float], index: Value, kind: str) -> Value:
        """The element of a table at an index that lies in it, from memory."""
        content = kind, tuple(table)
        name = f"table{zlib.crc32(repr(content).encode()):08x}"
        self.tables[name] = content
        return self.element(name, kind, index)

    def binary(self, name: str, a: Any, b: Any) -> Value:
        """Arithmetic, and bits, in the kind that both operands have room in."""
        return self.atom(name, *self.joint(a, b))

    def compare(self, name: str, a: Any, b: Any) -> Value:
        """Whether a < b, say; where one is NaN only ``ne`` is true."""
        a, b = self.joint(a, b)
        return self.atom(name, a, b, kind="i1")

    def select(self, condition: Value, a: Any, b: Any) -> Value:
        """a where the condition is true, else b."""
        return self.atom("select", condition, *self.joint(a, b))

    def fma(self, a: Any, b: Any, c: Any) -> Value:
        """a · b + c, rounded once where the processor does so."""
        a, b, c = self.joint(a, b, c)
        return self.atom("fma", a, b, c) if self.fused else a * b + c

    def sqrt(self, x: Value) -> Value:
        return self.atom("sqrt", x)

    def abs(self, x: Value) -> Value:
        return self.atom("abs", x)

    def copysign(self, size: Any, sign: Value) -> Value:
        return self.atom("copysign", *self.joint(size, sign))

    def rint(self, x: Value) -> Value:
        """The nearest integer, the even one of two."""
        if self.rounds:
            return self.atom("rint", x)
        whole = 2.0 ** (23 if x.kind == "f32" else 52)  # from here on all floats are integers
        shift = self.copysign(whole, x)
        return self.select(self.abs(x) < whole, self.copysign(x + shift - shift, x), x)

    def floor(self, x: Value) -> Value:
        if self.rounds:
            return self.atom("floor", x)
        near = self.rint(x)
        return near - self.select(near > x, 1.0, self.number(0.0, x.kind))

    def ceil(self, x: Value) -> Value:
        return self.atom("ceil", x) if self.rounds else -self.floor(-x)

    def trunc(self, x: Value) -> Value:
        return self.atom("trunc", x) if self.rounds else self.copysign(self.floor(self.abs(x)), x)

    def lshr(self, x: Value, places: int) -> Value:
        """Bits to the right, with zeros behind them."""
        return self.binary("lshr", x, places)

    def bits(self, x: Value) -> Value:
        """The bits of a float as an integer."""
        return self.atom("bits", x, kind=BITS[x.kind])

    def floating(self, x: Value) -> Value:
        """The float that has these bits."""
        return self.atom("floating", x, kind=BITS[x.kind])

    def convert(self, x: Value, kind: str) -> Value:
        """A number in another kind. A float that no integer is near becomes the least integer, as on most
        processors."""
        if x.kind == kind:
            return x
        if kind == "i1":
            return x != 0
        if kind[0] == "i" and x.kind[0] == "f":
            end = 2.0 ** (31 if kind == "i32" else 63)
            x = self.select((x >= -end) & (x < end), x, -end)
        return self.atom(f"{x.kind}.{kind}", x, kind=kind)

    # -- kinds -----------------------------------------------------------------------------------------------

    def joint(self, *xs: Any) -> list[Value]:
        """Operands in the kind that NumPy promotes theirs to; weak ones take that of the others."""
        strong = {x.kind for x in xs if isinstance(x, Value) and not x.weak}
        weak = {_weak_kind(x) for x in xs if not isinstance(x, Value) or x.weak}
        kind = max(strong or weak, key=_ORDER.index)
        if kind == "f32" and strong & {"i32", "i64"}:
            kind = "f64"
        if kind == "i1" or (kind[0] == "i" and "f64" in weak):
            kind = max({kind, *weak}, key=_ORDER.index)
        if kind == "i32" and any(isinstance(x, int) and not -(2**31) <= x < 2**31 for x in xs):
            kind = "i64"  # in a comparison, or a choice; arithmetic refuses such a number
        joined = [self.as_kind(x, kind) for x in xs]
        return joined if strong else [Value(self, x.text, kind, weak=True) for x in joined]

    def as_kind(self, x: Any, kind: str) -> Value:
        """A value or one of Python's numbers in a kind, and no longer weak."""
        y = self.convert(x, kind) if isinstance(x, Value) else self.number(x, kind)
        return Value(self, y.text, kind) if y.weak else y

    def real(self, *xs: Any) -> list[Value]:
        """Operands as floats, as functions of floats take them."""
        joined = self.joint(*xs)
        return joined if joined[0].kind[0] == "f" else [self.convert(x, "f64") for x in joined]

    def truth(self, x: Any) -> Value:
        """Whether a number is not 0."""
        return self.as_kind(x, "i1")


_CLASSES = {"f32": "f", "f64": "f", "i32": "i", "i64": "i", "i1": "b"}
_ORDER = ("i1", "i32", "i64", "f32", "f64")


def _weak_kind(x: Any) -> str:
    if isinstance(x, Value):
        return x.kind
    return (
        "i1"
        if isinstance(x, (bool, numpy.bool_))
        else "i64"
        if isinstance(x, (int, numpy.integer))
        else "f64"
    )


class Counter(Printer):
    """Counts atoms instead of writing them."""

    def __init__(self) -> None:
        super().__init__()
        self.cost: int = 0

    def atom(self, name: str, *xs: Value, kind: str = "") -> Value:
        self.cost += 8 if name in ("div", "sqrt") else 1
        return Value(self, "", kind or xs[-1].kind)

    def literal(self, value: Any, kind: str) -> str:
        return ""

    def element(self, name: str, kind: str, index: Value) -> Value:
        return Value(self, "", kind)
