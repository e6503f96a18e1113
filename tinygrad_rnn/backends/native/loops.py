"""Writing functions that hold loops: blocks, counters, sums that are carried around, loads and stores; and
tiles of products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..atoms import Value
from .emit import Emitter, table_lines, vectors

_MEMORY = {"i1": "i8"}
"""What lies in memory under another type than in registers."""

Body = Callable[[str, list[str]], list[str]]
"""body(counter, what is carried) → what is carried on."""


@dataclass
class Function:
    """A function that may be called from several places, and is not inlined: in pieces a long text compiles
    several times as fast.

    Attributes:
        parameters: its pointers; the index of the first sample and that after the last follow.
    """

    name: str
    parameters: Sequence[str]
    lines: list[str]

    def text(self) -> str:
        parameters = ", ".join([*(f"ptr {p}" for p in self.parameters), "i64 %first", "i64 %last"])
        return function_text(f"internal void @{self.name}({parameters}) noinline", self.lines)


@dataclass
class Endings:
    """What stands at the end of a text of several functions.

    Attributes:
        metadata: LLVM's metadata of loops, by index.
        declared: functions of LLVM's that are called.
        tables: what is looked up in, by name: kinds and numbers.
        functions: those that are called from several places, by what they do.
    """

    metadata: list[str] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)
    tables: dict[str, tuple[str, tuple[float, ...]]] = field(default_factory=dict)
    functions: dict[Any, Function] = field(default_factory=dict)

    def function(self, key: Any, parameters: Sequence[str], lines: Callable[[], list[str]]) -> str:
        """The name of the function that does what the key says; written where there is none."""
        if key not in self.functions:
            self.functions[key] = Function(f"nest{len(self.functions)}", parameters, lines())
        return self.functions[key].name

    def text(self) -> str:
        functions = [function.text() for function in self.functions.values()]
        return "\n".join([*functions, *table_lines(self.tables), *sorted(self.declared), *self.metadata, ""])


def function_text(head: str, lines: Sequence[str]) -> str:
    """A function that does these lines."""
    return "\n".join(
        [
            f'define {head} "prefer-vector-width"="512" {{',
            *(x if x.endswith(":") else f"  {x}" for x in lines),
            "}",
            "",
        ]
    )


class LoopEmitter(Emitter):
    """Writes the blocks of one function.

    Attributes:
        block: the one that is being written.
    """

    def __init__(self, endings: Endings) -> None:
        super().__init__()
        self.block: str = "entry"
        self._metadata, self._declared = endings.metadata, endings.declared
        self.tables: dict[str, tuple[str, tuple[float, ...]]] = endings.tables
        self._group: str | None = None

    def open(self, label: str) -> None:
        """Begin a block."""
        self.line(f"{label}:")
        self.block = label

    def loop(
        self,
        length: int | str,
        body: Body,
        carried: Sequence[tuple[str, str]] = (),
        parallel: bool = False,
        step: int | str = 1,
        start: str = "0",
    ) -> list[str]:
        """for (i = start; i < length; i += step) carried = body(i, carried), for one round at least.

        Args:
            carried: types and first values.
            parallel: no round reads what another one writes, so that rounds may be done at once.

        Returns:
            What was carried out of the last round.
        """
        if isinstance(length, int) and isinstance(step, int) and length <= step:
            return body("0", [first for _, first in carried])
        head, latch, end = (self.label(name) for name in ("loop", "next", "done"))
        i, names, before = self.fresh("i"), [self.fresh("a") for _ in carried], self.block
        self.line(f"br label %{head}")
        self.open(head)
        phis = len(self.lines)
        group = self._enter() if parallel else None
        values = body(i, names)
        self.line(f"br label %{latch}")
        self.open(latch)
        after = self.let(f"add nuw nsw i64 {i}, {step}")
        more = self.let(f"icmp slt i64 {after}, {length}")
        self.line(f"br i1 {more}, label %{head}, label %{end}{self._leave(group)}")
        self.open(end)
        starts = [
            ("i64", i, start, after),
            *((t, n, first, v) for (t, first), n, v in zip(carried, names, values, strict=True)),
        ]
        self.lines[phis:phis] = [
            f"{n} = phi {t} [ {first}, %{before} ], [ {v}, %{latch} ]" for t, n, first, v in starts
        ]
        return values

    def _enter(self) -> str | None:
        outer, number = self._group, len(self._metadata)
        self._group = f"!{number}"
        self._metadata.append(f"!{number} = distinct !{{}}")
        return outer

    def _leave(self, outer: str | None) -> str:
        """What is known of a parallel loop, for the one who makes vectors."""
        if self._group is None:
            return ""
        group, first = self._group, len(self._metadata)
        self._group = outer
        self._metadata += [
            f"!{first} = distinct !{{!{first}, !{first + 1}}}",
            f'!{first + 1} = !{{!"llvm.loop.parallel_accesses", {group}}}',
        ]
        return f", !llvm.loop !{first}"

    # -- memory ----------------------------------------------------------------------------------------------

    def _suffix(self) -> str:
        return f", !llvm.access.group {self._group}" if self._group else ""

    def offset(self, pointer: str, kind: str, at: str) -> str:
        return f"getelementptr {_MEMORY.get(kind, self.TYPES[kind])}, ptr {pointer}, i64 {at}"

    def address(self, pointer: str, kind: str, at: str) -> str:
        return pointer if at == "0" else self.let(self.offset(pointer, kind, at))

    def load(self, pointer: str, kind: str, at: str, constant: bool = False) -> Value:
        """A number in memory; ``constant`` where the function never writes there, so that it is loaded before
        loops."""
        type_ = _MEMORY.get(kind, self.TYPES[kind])
        constancy = ", !invariant.load !{}" if constant else ""
        register = self.let(f"load {type_}, ptr {self.address(pointer, kind, at)}{constancy}{self._suffix()}")
        return Value(self, self.let(f"icmp ne i8 {register}, 0") if kind == "i1" else register, kind)

    def store(self, y: Value, pointer: str, at: str) -> None:
        register = self.let(f"zext i1 {y.text} to i8") if y.kind == "i1" else y.text
        type_ = _MEMORY.get(y.kind, self.TYPES[y.kind])
        self.line(f"store {type_} {register}, ptr {self.address(pointer, y.kind, at)}{self._suffix()}")

    def total(self, terms: Sequence[tuple[str, int]], const: int = 0) -> str:
        """const + Σ factor · register."""
        text = str(const) if const else ""
        for register, factor in terms:
            if register == "0":
                continue
            part = register if factor == 1 else self.let(f"mul nsw i64 {register}, {factor}")
            text = self.let(f"add nsw i64 {text}, {part}") if text else part
        return text or "0"

    # -- vectors ---------------------------------------------------------------------------------------------

    def call(self, type_: str, name: str, *operands: tuple[str, str]) -> str:
        """Call one of LLVM's functions."""
        self._declared.add(f"declare {type_} @{name}({', '.join(t for t, _ in operands)})")
        return self.let(f"call {type_} @{name}({', '.join(f'{t} {x}' for t, x in operands)})")

    def do(self, name: str, *operands: tuple[str, str]) -> None:
        """Call one that returns nothing."""
        self._declared.add(f"declare void @{name}({', '.join(t for t, _ in operands)})")
        self.line(f"call void @{name}({', '.join(f'{t} {x}' for t, x in operands)})")

    def vector_load(self, pointer: str, kind: str, at: str, lanes: int) -> str:
        """A vector; of fewer lanes than the processor's the others are 0."""
        full, vector, suffix, size = vectors(self.TYPES[kind])
        address = self.address(pointer, kind, at)
        if lanes == full:
            return self.let(f"load {vector}, ptr {address}, align {size}")
        mask = f"<{full} x i1>"
        return self.call(
            vector,
            f"llvm.masked.load.{suffix}.p0",
            ("ptr", address),
            ("i32", str(size)),
            (mask, _first(full, lanes)),
            (vector, "zeroinitializer"),
        )

    def vector_store(self, y: str, pointer: str, kind: str, at: str, lanes: int) -> None:
        full, vector, suffix, size = vectors(self.TYPES[kind])
        address = self.address(pointer, kind, at)
        if lanes == full:
            self.line(f"store {vector} {y}, ptr {address}, align {size}")
            return
        mask = f"<{full} x i1>", _first(full, lanes)
        self.do(f"llvm.masked.store.{suffix}.p0", (vector, y), ("ptr", address), ("i32", str(size)), mask)

    def splat(self, x: str, kind: str) -> str:
        lanes, vector, *_ = vectors(self.TYPES[kind])
        one = self.let(f"insertelement {vector} poison, {self.TYPES[kind]} {x}, i32 0")
        return self.let(f"shufflevector {vector} {one}, {vector} poison, <{lanes} x i32> zeroinitializer")

    def multiply_add(self, a: str, b: str, c: str, kind: str) -> str:
        """a · b + c of vectors, rounded as ``fma`` of their elements is."""
        _, vector, suffix, _ = vectors(self.TYPES[kind])
        if not self.fused:
            return self.let(f"fadd {vector} {self.let(f'fmul {vector} {a}, {b}')}, {c}")
        return self.call(vector, f"llvm.fma.{suffix}", *((vector, x) for x in (a, b, c)))


def _first(lanes: int, count: int) -> str:
    return f"<{', '.join(f'i1 {str(i < count).lower()}' for i in range(lanes))}>"


def tile_height(samples: int) -> int:
    """Rows of a tile: as many as there are registers for; less where threads share samples, whole tiles of
    them, and there are few."""
    return 4 if 1 < samples < FEW_SAMPLES else 6


FEW_SAMPLES = 48


def tile_width(kind: str, rows: int) -> int:
    """Columns of a tile of some rows: as many sums as fit the registers, beside what is multiplied; of one
    row enough to keep the processor's multipliers busy."""
    lanes, _, _, size = vectors(LoopEmitter.TYPES[kind])
    return lanes * (4 if lanes * size == 64 else 2) * (2 if rows == 1 else 1)
