"""Matrix products as LLVM text: C = A @ B, or added to C, where each element is one sum in the order of k.

So an element comes out the same to the last bit wherever rows, columns and steps are cut: threads may share
the rows or the columns, and a checkpointed scan adds the same numbers in the same order. NumPy's products do
not promise that. The loops are those of Goto and van de Geijn, "Anatomy of high-performance matrix
multiplication" (2008):

    for a block of columns of B, and of k:   copied into panels, which stay in the second cache
        for a few rows of A:                 as they lie, or copied where columns of A lie in memory as rows
            for each panel:                  a tile of C stays in registers while the panel streams by

``panels`` writes the copies, ``tiles`` the innermost loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from . import thresholds
from .emit import vectors
from .loops import Endings, function_text
from .panels import TALL, Panels
from .tiles import Tile, heights, panel

DEPTH = 256
"""Most steps of k in a block."""

FIELDS = ("a", "b", "c", "room", "row", "step", "across", "ldc", "M", "N", "K", "depth", "width", "more")
"""What a product is called with: three matrices and memory to copy to; how many elements rows and columns of
A lie apart, and columns of B or, where these are neighbours, its rows; those of C; the sizes; of a block of
B; and whether it is added to C."""


def blocks(kind: str, columns: int, inner: int) -> tuple[int, int]:
    """How deep and how wide the blocks of B are."""
    depth, least = -(-inner // -(-inner // DEPTH)), panel(kind)
    most = thresholds.NEAR_BYTES // (depth * vectors(kind)[3]) // least * least
    return depth, min(max(least, most), -(-columns // least) * least)


ROOM = thresholds.NEAR_BYTES + DEPTH * TALL * 8 + (1 << 14)
"""Bytes of memory that a block of B and one of A are copied to; squares at the end of a panel reach over
it."""


NAMES = {(a, b): f"product{'_columns' * a}{'_turned' * b}" for a in (False, True) for b in (False, True)}
"""The functions, by whether a column of A lies in a row of memory, and a column of B does."""


@functools.cache
def text(kind: str) -> str:
    """``@product…(numbers)``, the fields in their order; K is 1 or more."""
    endings = Endings()
    parts = [Tile(kind, rows, whole, endings).text() for rows in heights() for whole in (True, False)]
    parts += [_Product(kind, *turned, endings).text(name) for turned, name in NAMES.items()]
    return "\n".join([*parts, endings.text()])


class _Product(Panels):
    """The loops around the tiles.

    Args:
        columns: whether a column of A lies in memory as a row.
        turned: whether a column of B does.
    """

    def __init__(self, kind: str, columns: bool, turned: bool, endings: Endings) -> None:
        super().__init__(kind, turned, endings)
        self.columns = columns

    def text(self, name: str) -> str:
        e = self.e
        for i, field in enumerate(FIELDS):
            type_ = "ptr" if field in ("a", "b", "c", "room") else "i64"
            place = e.let(f"getelementptr i64, ptr %numbers, i64 {i}")
            e.line(f"%{field} = load {type_}, ptr {place}")
        block = e.let("mul i64 %depth, %width")
        e.line(f"%tall = {e.offset('%room', self.kind, e.total([(block, 1)], self.lanes * self.panel))}")
        self.over(
            "%N",
            "%width",
            lambda j, count: self.over("%K", "%depth", lambda k, deep: self._block(j, count, k, deep)),
        )
        e.line("ret void")
        return function_text(f"void @{name}(ptr %numbers)", ["entry:", *e.lines])

    def _block(self, j: str, count: str, k: str, deep: str) -> None:
        e = self.e
        self.copy(j, count, k, deep)
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
            self.copy_tall(self.at("%a", (i, 1), (far, 1)), rows, deep)
            strides = "1", str(self.height)
            self._rows(
                functools.partial(self.of_tall, deep),
                strides,
                self.at("%c", (j, 1), (down, 1)),
                rows,
                count,
                deep,
                added,
            )

        self.over("%M", str(TALL), tall)

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
        for height in heights():
            end = e.let(f"sub i64 {rows}, {height - 1}")

            def tiles(i: str, _: list[str], height: int = height) -> list[str]:
                a = place(i)
                under = self.at(c, (e.let(f"mul nsw i64 {i}, %ldc"), 1))
                self.over(
                    count,
                    str(self.panel),
                    lambda n, left: self._tile(height, a, strides, under, n, left, deep, added),
                )
                return []

            start = self._while(start, end, height, tiles)

    def _while(self, start: str, end: str, step: int, body: Callable[[str, list[str]], list[str]]) -> str:
        """A loop that may have no round; returns where it ended."""
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
