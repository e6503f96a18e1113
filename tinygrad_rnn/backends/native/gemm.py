"""Matrix products as LLVM text: C = A @ B, or added to C, where each element is one sum in the order of k.

So an element comes out the same to the last bit wherever rows, columns and steps are cut. The loops are those
of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008):

    for a block of columns of B, and of k:   copied into panels of two vectors' width; stays in cache 2
        for a few rows of A:                 as they lie, or copied where columns of A lie in memory as rows
            for each panel:                  a tile of C stays in registers while the panel streams by
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from . import compiler, thresholds
from .emit import KINDS, vectors
from .loops import Endings, LoopEmitter, function_text

DEPTH = 256
"""Most steps of k in a block."""

TALL = 48
"""Rows of a block of A that is copied: whole tiles, and whole cache lines."""

FIELDS = ("a", "b", "c", "room", "row", "step", "across", "ldc", "M", "N", "K", "depth", "width", "more")
"""What a product is called with: three matrices and memory to copy to; how many elements rows and columns of
A lie apart, and columns of B or, where these are neighbours, its rows; those of C; the sizes; of a block of
B; and whether it is added to C."""


def panel(kind: str) -> int:
    """Columns of a panel: two vectors of the processor."""
    return 2 * vectors(kind)[0]


def blocks(kind: str, columns: int, inner: int) -> tuple[int, int]:
    """How deep and how wide the blocks of B are."""
    depth, least = -(-inner // -(-inner // DEPTH)), panel(kind)
    most = thresholds.NEAR_BYTES // (depth * vectors(kind)[3]) // least * least
    return depth, min(max(least, most), -(-columns // least) * least)


ROOM = thresholds.NEAR_BYTES + DEPTH * TALL * 8 + (1 << 14)
"""Bytes of memory that a block of B and one of A are copied to; squares at the end of a panel reach over
it."""


def _heights() -> tuple[int, ...]:
    """Rows of tiles: as many sums as there are registers, beside a row of the panel and an element of A."""
    return (12, 6, 4, 2, 1) if compiler.vector_bytes() == 64 else (6, 4, 2, 1)


NAMES = {(a, b): f"product{'_columns' * a}{'_turned' * b}" for a in (False, True) for b in (False, True)}
"""The functions, by whether a column of A lies in a row of memory, and a column of B does."""


@functools.cache
def text(kind: str) -> str:
    """``@product…(numbers)``, the fields in their order; K is 1 or more."""
    endings = Endings()
    parts = [_Tile(kind, rows, whole, endings).text() for rows in _heights() for whole in (True, False)]
    parts += [_Product(kind, *turned, endings).text(name) for turned, name in NAMES.items()]
    return "\n".join([*parts, endings.text()])


class _Writer:
    """Writes a function of vectors."""

    def __init__(self, kind: str, endings: Endings) -> None:
        self.type, self.e = kind, LoopEmitter(endings)
        self.kind = KINDS[kind]
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


class _Tile(_Writer):
    """``@tile…(a, row, step, panel, c, ldc, depth, add, left)``: rows of C, as wide as a panel or ``left``,
    over a block of k."""

    def __init__(self, kind: str, rows: int, whole: bool, endings: Endings) -> None:
        super().__init__(kind, endings)
        self.rows, self.whole = rows, whole

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
        return function_text(f"internal void @{self.name}({_TILE}) alwaysinline", ["entry:", *e.lines])

    @property
    def name(self) -> str:
        return f"tile{self.rows}{'' if self.whole else '_part'}"


_TILE = "ptr %a, i64 %row, i64 %step, ptr %panel, ptr %c, i64 %ldc, i64 %depth, i1 %add, i64 %left"


class _Product(_Writer):
    """The loops around the tiles.

    Args:
        columns: whether a column of A lies in a row of memory.
        turned: whether a column of B does.
    """

    def __init__(self, kind: str, columns: bool, turned: bool, endings: Endings) -> None:
        super().__init__(kind, endings)
        self.columns, self.turned, self.panel, self.height = columns, turned, panel(kind), _heights()[0]

    def text(self, name: str) -> str:
        e = self.e
        for i, field in enumerate(FIELDS):
            type_ = "ptr" if field in ("a", "b", "c", "room") else "i64"
            place = e.let(f"getelementptr i64, ptr %numbers, i64 {i}")
            e.line(f"%{field} = load {type_}, ptr {place}")
        block = e.let("mul i64 %depth, %width")
        e.line(f"%tall = {e.offset('%room', self.kind, e.total([(block, 1)], self.lanes * self.panel))}")
        self._over(
            "%N",
            "%width",
            lambda j, count: self._over("%K", "%depth", lambda k, deep: self._block(j, count, k, deep)),
        )
        e.line("ret void")
        return function_text(f"void @{name}(ptr %numbers)", ["entry:", *e.lines])

    def _over(self, length: str, step: str, body: Callable[[str, str], None]) -> None:
        """Blocks of a length: where each begins, and how long it is."""

        def inside(i: str, _: list[str]) -> list[str]:
            body(i, self.least(self.e.let(f"sub i64 {length}, {i}"), step))
            return []

        self.e.loop(length, inside, step=step)

    def _block(self, j: str, count: str, k: str, deep: str) -> None:
        e = self.e
        self._copy(j, count, k, deep)
        added = e.let(f"icmp ne i64 {e.let(f'or i64 {k}, %more')}, 0")
        if not self.columns:
            begin, under = self.at("%a", (k, 1)), self.at("%c", (j, 1))
            self._rows(
                lambda i: self.at(begin, (e.let(f"mul nsw i64 {i}, %row"), 1)),
                ("%row", "1"),
                under,
                "%M",
                count,
                deep,
                added,
            )
            return

        def tall(i: str, rows: str) -> None:
            far, down = e.let(f"mul nsw i64 {k}, %step"), e.let(f"mul nsw i64 {i}, %ldc")
            self._copy_tall(self.at("%a", (i, 1), (far, 1)), rows, deep)
            strides = "1", str(self.height)
            self._rows(
                functools.partial(self._of_tall, deep),
                strides,
                self.at("%c", (j, 1), (down, 1)),
                rows,
                count,
                deep,
                added,
            )

        self._over("%M", str(TALL), tall)

    def _of_tall(self, deep: str, i: str) -> str:
        """Where a row of the copied block begins."""
        tile = self.e.let(f"udiv i64 {i}, {self.height}")
        rest = self.e.let(f"urem i64 {i}, {self.height}")
        return self.at("%tall", (self.e.let(f"mul i64 {tile}, {deep}"), self.height), (rest, 1))

    # -- copies ----------------------------------------------------------------------------------------------

    def _copy_tall(self, a: str, rows: str, deep: str) -> None:
        """Some rows of A, tile by tile, k by k; what a vector holds beyond a tile is written over by the next
        k."""

        def tile(i: str, left: str) -> None:
            places = range(0, self.height, self.lanes)
            masks = [self.mask(left, place) for place in places]

            def line(k: str, _: list[str]) -> list[str]:
                far = self.e.let(f"mul nsw i64 {k}, %step")
                begin, to = self.at(a, (i, 1), (far, 1)), self.at(self._of_tall(deep, i), (k, self.height))
                for place, mask in zip(places, masks, strict=True):
                    self.store(self.load(self.at(begin, (str(place), 1)), mask), self.at(to, (str(place), 1)))
                return []

            self.e.loop(deep, line)

        self._over(rows, str(self.height), tile)

    def _copy(self, j: str, count: str, k: str, deep: str) -> None:
        """A block of B, panel by panel."""
        e = self.e
        down, across = (j, k) if self.turned else (k, j)
        far = e.let(f"mul nsw i64 {down}, %across")
        begin = self.at("%b", (far, 1), (across, 1))

        def one(n: str, columns: str) -> None:
            to = self.at("%room", (e.let(f"mul nsw i64 {n}, {deep}"), 1))
            (self._turn if self.turned else self._straight)(begin, to, n, columns, deep)

        self._over(count, str(self.panel), one)

    def _straight(self, b: str, to: str, n: str, columns: str, deep: str) -> None:
        masks = [self.mask(columns, h * self.lanes) for h in (0, 1)]

        def line(k: str, _: list[str]) -> list[str]:
            far = self.e.let(f"mul nsw i64 {k}, %across")
            for h, mask in enumerate(masks):
                x = self.load(self.at(b, (far, 1), (n, 1), (str(h * self.lanes), 1)), mask)
                self.store(x, self.at(to, (k, self.panel), (str(h * self.lanes), 1)))
            return []

        self.e.loop(deep, line)

    def _turn(self, b: str, to: str, n: str, columns: str, deep: str) -> None:
        """Squares of as many rows as a vector has elements are turned in registers."""
        e = self.e

        def squares(k: str, left: str) -> None:
            full = e.let(
                f"and i1 {e.let(f'icmp eq i64 {left}, {self.lanes}')}, "
                f"{e.let(f'icmp eq i64 {columns}, {self.panel}')}"
            )
            self.either(
                full,
                lambda: self._square(b, to, n, k, None),
                lambda: self._square(b, to, n, k, (left, columns)),
            )

        self._over(deep, str(self.lanes), squares)

    def _square(self, b: str, to: str, n: str, k: str, bounds: tuple[str, str] | None) -> None:
        e, lanes = self.e, self.lanes
        inside = self.mask(bounds[0]) if bounds else ""
        for h in (0, 1):
            rows = []
            for r in range(lanes):
                column = h * lanes + r
                mask = inside
                if bounds:
                    there = e.let(f"icmp sgt i64 {bounds[1]}, {column}")
                    none = f"<{lanes} x i1> zeroinitializer"
                    mask = e.let(f"select i1 {there}, <{lanes} x i1> {inside}, {none}")
                far = e.let(f"mul nsw i64 {e.total([(n, 1)], column)}, %across")
                rows.append(self.load(self.at(b, (far, 1), (k, 1)), mask))
            for r, y in enumerate(self._transposed(rows)):
                self.store(y, self.at(to, (k, self.panel), (str(r * self.panel + h * lanes), 1)))

    def _transposed(self, rows: list[str]) -> list[str]:
        """In stages that each exchange halves of pairs of rows: rows whose numbers differ by a step exchange
        the elements that lie on the wrong side of it."""
        lanes, step = self.lanes, 1
        while step < lanes:
            new = list(rows)
            for r in (r for r in range(lanes) if not r & step):
                first = [lanes + i - step if i & step else i for i in range(lanes)]
                second = [lanes + i if i & step else i + step for i in range(lanes)]
                for to, chosen in ((r, first), (r + step, second)):
                    places = ", ".join(f"i32 {i}" for i in chosen)
                    pair = f"{self.vector} {rows[r]}, {self.vector} {rows[r + step]}"
                    new[to] = self.e.let(f"shufflevector {pair}, <{lanes} x i32> <{places}>")
            rows, step = new, 2 * step
        return rows

    # -- tiles -----------------------------------------------------------------------------------------------

    def _rows(
        self,
        place: Callable[[str], str],
        strides: tuple[str, str],
        c: str,
        rows: str,
        count: str,
        deep: str,
        added: str,
    ) -> None:
        """All rows, in tiles as high as there are registers for, and all panels of the block.

        Args:
            place: where a row of A begins.
            strides: how far its rows and its columns lie apart.
        """
        e, start = self.e, "0"
        for height in _heights():
            end = e.let(f"sub i64 {rows}, {height - 1}")

            def tiles(i: str, _: list[str], height: int = height) -> list[str]:
                a = place(i)
                under = self.at(c, (e.let(f"mul nsw i64 {i}, %ldc"), 1))
                self._over(
                    count,
                    str(self.panel),
                    lambda n, left: self._tile(height, a, strides, under, n, left, deep, added),
                )
                return []

            start = self._while(start, end, height, tiles)

    def _while(self, start: str, end: str, step: int, body: Callable[[str, list[str]], list[str]]) -> str:
        """As a loop, for no round perhaps; where it ended."""
        e, before, done = self.e, self.e.block, self.e.label("past")
        into = e.label("into")
        e.line(f"br i1 {e.let(f'icmp slt i64 {start}, {end}')}, label %{into}, label %{done}")
        e.open(into)
        (last,) = e.loop(
            end,
            lambda i, known: [*body(i, known), e.let(f"add i64 {i}, {step}")],
            [("i64", start)],
            step=step,
            start=start,
        )
        leave = e.block
        e.line(f"br label %{done}")
        e.open(done)
        return e.let(f"phi i64 [ {start}, %{before} ], [ {last}, %{leave} ]")

    def _tile(
        self, height: int, a: str, strides: tuple[str, str], c: str, n: str, left: str, deep: str, added: str
    ) -> None:
        e = self.e
        panel = self.at("%room", (e.let(f"mul nsw i64 {n}, {deep}"), 1))
        c = self.at(c, (n, 1))
        row, step = strides
        values = (
            f"ptr {a}, i64 {row}, i64 {step}, ptr {panel}, ptr {c}, i64 %ldc, i64 {deep}, i1 {added}, "
            f"i64 {left}"
        )
        full = e.let(f"icmp eq i64 {left}, {self.panel}")
        self.either(
            full,
            lambda: e.line(f"call void @tile{height}({values})"),
            lambda: e.line(f"call void @tile{height}_part({values})"),
        )
