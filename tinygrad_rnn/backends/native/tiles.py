"""The inner loop of a matrix product: a tile of C that stays in registers, as LLVM text.

                  panel of B, two vectors wide
                      k₀  [ v v ]
                      k₁  [ v v ]
                      …
     A, a few rows
     r₀  a a …           [ Σ Σ ]        for each k, and each row r of A:
     r₁  a a …           [ Σ Σ ]            Σ[r] += A[r, k] in all lanes · panel[k]
     r₂  a a …           [ Σ Σ ]

Each number of A and of B is loaded once for a whole tile, so the processor multiplies and does not wait for
memory. A tile has as many rows as there are registers for its sums.
"""

from __future__ import annotations

from collections.abc import Callable

from . import compiler
from .emit import KINDS, vectors
from .loops import Endings, LoopEmitter, function_text


def panel(kind: str) -> int:
    """Columns of a panel: two vectors of the processor."""
    return 2 * vectors(kind)[0]


def heights() -> tuple[int, ...]:
    """Rows of tiles: as many sums as there are registers, beside a row of the panel and an element of A."""
    return (12, 6, 4, 2, 1) if compiler.vector_bytes() == 64 else (6, 4, 2, 1)


class VectorWriter:
    """Writes a function of vectors, in loops over parts of matrices."""

    def __init__(self, kind: str, endings: Endings) -> None:
        self.type = kind
        self.e: LoopEmitter = LoopEmitter(endings)
        self.kind: str = KINDS[kind]
        self.lanes: int
        self.vector: str
        self.suffix: str
        self.size: int
        self.lanes, self.vector, self.suffix, self.size = vectors(kind)

    def mask(self, left: str, start: int = 0) -> str:
        """Which of the places from start on come before ``left``."""
        e, type_ = self.e, f"<{self.lanes} x i64>"
        one = e.let(f"insertelement {type_} poison, i64 {left}, i32 0")
        all_ = e.let(f"shufflevector {type_} {one}, {type_} poison, <{self.lanes} x i32> zeroinitializer")
        places = ", ".join(f"i64 {i + start}" for i in range(self.lanes))
        return e.let(f"icmp slt {type_} <{places}>, {all_}")

    def load(self, pointer: str, mask: str = "") -> str:
        if not mask:
            return self.e.let(f"load {self.vector}, ptr {pointer}, align {self.size}")
        masked = (f"<{self.lanes} x i1>", mask)
        rest = (self.vector, "zeroinitializer")
        return self.e.call(
            self.vector,
            f"llvm.masked.load.{self.suffix}.p0",
            ("ptr", pointer),
            ("i32", str(self.size)),
            masked,
            rest,
        )

    def store(self, y: str, pointer: str, mask: str = "") -> None:
        if not mask:
            self.e.line(f"store {self.vector} {y}, ptr {pointer}, align {self.size}")
            return
        masked = (f"<{self.lanes} x i1>", mask)
        self.e.do(
            f"llvm.masked.store.{self.suffix}.p0",
            (self.vector, y),
            ("ptr", pointer),
            ("i32", str(self.size)),
            masked,
        )

    def at(self, pointer: str, *terms: tuple[str, int]) -> str:
        return self.e.address(pointer, self.kind, self.e.total(terms))

    def least(self, a: str, b: str) -> str:
        return self.e.call("i64", "llvm.smin.i64", ("i64", a), ("i64", b))

    def either(self, condition: str, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
        """If and else."""
        e = self.e
        yes, no, end = (e.label(name) for name in ("then", "else", "end"))
        e.line(f"br i1 {condition}, label %{yes}, label %{no}")
        for label, body in ((yes, then), (no, otherwise)):
            e.open(label)
            body()
            e.line(f"br label %{end}")
        e.open(end)

    def over(self, length: str, step: str, body: Callable[[str, str], None]) -> None:
        """The blocks of a length: body(where it begins, how long it is) for each."""

        def inside(i: str, _: list[str]) -> list[str]:
            body(i, self.least(self.e.let(f"sub i64 {length}, {i}"), step))
            return []

        self.e.loop(length, inside, step=step)


class Tile(VectorWriter):
    """``@tile…(a, row, step, panel, c, ldc, depth, add, left)``: rows of C, as wide as a panel or ``left``,
    over a block of k."""

    def __init__(self, kind: str, rows: int, whole: bool, endings: Endings) -> None:
        super().__init__(kind, endings)
        self.rows = rows
        self.whole = whole

    def text(self) -> str:
        e, sums = self.e, [(r, h) for r in range(self.rows) for h in (0, 1)]
        masks = ["", ""] if self.whole else [self.mask("%left", h * self.lanes) for h in (0, 1)]
        places = [
            self.at("%c", *([("%ldc", r)] if r else []), *([(str(self.lanes), 1)] if h else []))
            for r, h in sums
        ]
        e.line("br i1 %add, label %known, label %sums")
        begin = e.block
        e.open("known")
        known = [self.load(place, masks[h]) for place, (_, h) in zip(places, sums, strict=True)]
        e.line("br label %sums")
        e.open("sums")
        first = [e.let(f"phi {self.vector} [ zeroinitializer, %{begin} ], [ {x}, %known ]") for x in known]
        rows = [self.at("%a", *([("%row", r)] if r else [])) for r in range(self.rows)]

        def add(k: str, totals: list[str]) -> list[str]:
            b = [
                self.load(self.at("%panel", (k, 2 * self.lanes), *([(str(self.lanes), 1)] if h else [])))
                for h in (0, 1)
            ]
            at = e.let(f"mul nsw i64 {k}, %step")
            xs = [e.splat(e.load(row, self.kind, at).text, self.kind) for row in rows]
            return [
                e.multiply_add(xs[r], b[h], total, self.kind)
                for (r, h), total in zip(sums, totals, strict=True)
            ]

        totals = e.loop("%depth", add, [(self.vector, x) for x in first])
        for y, place, (_, h) in zip(totals, places, sums, strict=True):
            self.store(y, place, masks[h])
        e.line("ret void")
        return function_text(f"internal void @{self.name}({_PARAMETERS}) alwaysinline", ["entry:", *e.lines])

    @property
    def name(self) -> str:
        return f"tile{self.rows}{'' if self.whole else '_part'}"


_PARAMETERS = "ptr %a, i64 %row, i64 %step, ptr %panel, ptr %c, i64 %ldc, i64 %depth, i1 %add, i64 %left"
