"""Copies of blocks of matrices, laid out in the order in which the inner loop reads them, as LLVM text.

    B, a block of k rows             its panels, two vectors wide, one after another
    ┌──────┬──────┬───┐
    │  0   │  1   │ 2 │    ──▶      0: k₀[v v] k₁[v v] …   1: k₀[v v] k₁[v v] …   2: k₀[v 0] k₁[v 0] …
    └──────┴──────┴───┘

A block is read once for each few rows of A. In panels every read follows the one before it and begins at a
vector, wherever the block lies in B; what is missing in the last panel is 0. Where a column of B lies in
memory as a row, squares of a vector's width are transposed in registers on the way.

The rows of A are copied only where its columns lie in memory as rows: in pieces as high as a tile, k by k.
"""

from __future__ import annotations

from .loops import Endings
from .tiles import VectorWriter, heights, panel

TALL = 48
"""Rows of a block of A that is copied: whole tiles, and whole cache lines."""


class Panels(VectorWriter):
    """Copies of blocks.

    Args:
        turned: whether a column of B lies in memory as a row.
    """

    def __init__(self, kind: str, turned: bool, endings: Endings) -> None:
        super().__init__(kind, endings)
        self.turned = turned
        self.panel: int = panel(kind)
        self.height: int = heights()[0]

    def of_tall(self, deep: str, i: str) -> str:
        """Where a row of the copied block begins."""
        tile = self.e.let(f"udiv i64 {i}, {self.height}")
        rest = self.e.let(f"urem i64 {i}, {self.height}")
        return self.at("%tall", (self.e.let(f"mul i64 {tile}, {deep}"), self.height), (rest, 1))

    def copy_tall(self, a: str, rows: str, deep: str) -> None:
        """Some rows of A, tile by tile, k by k; what a vector holds beyond a tile is written over by the next
        k."""

        def tile(i: str, left: str) -> None:
            places = range(0, self.height, self.lanes)
            masks = [self.mask(left, place) for place in places]

            def line(k: str, _: list[str]) -> list[str]:
                far = self.e.let(f"mul nsw i64 {k}, %step")
                begin, to = self.at(a, (i, 1), (far, 1)), self.at(self.of_tall(deep, i), (k, self.height))
                for place, mask in zip(places, masks, strict=True):
                    self.store(self.load(self.at(begin, (str(place), 1)), mask), self.at(to, (str(place), 1)))
                return []

            self.e.loop(deep, line)

        self.over(rows, str(self.height), tile)

    def copy(self, j: str, count: str, k: str, deep: str) -> None:
        """A block of B, panel by panel."""
        e = self.e
        down, across = (j, k) if self.turned else (k, j)
        far = e.let(f"mul nsw i64 {down}, %across")
        begin = self.at("%b", (far, 1), (across, 1))

        def one(n: str, columns: str) -> None:
            to = self.at("%room", (e.let(f"mul nsw i64 {n}, {deep}"), 1))
            (self._turn if self.turned else self._straight)(begin, to, n, columns, deep)

        self.over(count, str(self.panel), one)

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

        self.over(deep, str(self.lanes), squares)

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
                for to, order in ((r, first), (r + step, second)):
                    places = ", ".join(f"i32 {i}" for i in order)
                    pair = f"{self.vector} {rows[r]}, {self.vector} {rows[r + step]}"
                    new[to] = self.e.let(f"shufflevector {pair}, <{lanes} x i32> <{places}>")
            rows, step = new, 2 * step
        return rows
