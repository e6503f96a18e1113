"""Writing contractions as LLVM text, in the forms that :mod:`~tinygrad_rnn.sequence.contractions` names."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..backends.atoms import Value
from ..backends.native.emit import vectors
from ..backends.native.loops import Endings, tile_height, tile_width
from .columns import Split
from .contractions import Contraction
from .index import Var, blocks
from .loop_writer import LoopWriter

CHAINS = 8
"""Sums that a processor works at, at a time: two begin in each cycle, and one takes four."""


def key_of(nest: Contraction, kinds: Sequence[str], split: Split | None) -> tuple[Any, ...]:
    """Equal for contractions that do the same at other places in memory.

    Args:
        kinds: of a, b and the result.
    """

    def told(var: Var | None) -> tuple[int, ...]:
        shared = split.together if split is not None and var is split.axis else 0
        return () if var is None else (var.length, var.batch, shared, *(x.stride(var) for x in nest.operands))

    return (
        nest.form,
        *kinds,
        *(tuple(map(told, group)) for group in (nest.rows, nest.sums, [nest.tile], [nest.vector])),
    )


class ProductWriter(LoopWriter):
    """Writes a contraction as a function of a, b, the result, the first sample and the end of the samples.

    Args:
        key: as :func:`key_of` says.
    """

    def __init__(
        self,
        nest: Contraction,
        key: tuple[Any, ...],
        samples: int,
        endings: Endings,
        split: Split | None = None,
    ) -> None:
        super().__init__(samples, endings, split)
        self.nest = nest
        self.kinds: dict[str, Any] = dict(zip("abc", key[1:4], strict=True))

    def lines(self) -> list[str]:
        {"tile": self._tiles, "dot": self._dots, "along": self._along}[self.nest.form](self.nest)
        return ["entry:", *self.e.lines, "ret void"]

    def _place(self, operand: str) -> tuple[str, str]:
        """The pointer of a, b or c, and the number of the element."""
        x = self.nest.operands["abc".index(operand)]
        return f"%{operand}", self.e.total(self._terms(x.index))

    def _factor(self, operand: str) -> Value:
        pointer, at = self._place(operand)
        return self.e.load(pointer, self.kinds[operand], at)

    def _dots(self, nest: Contraction) -> None:
        e, kind = self.e, self.kinds["c"]

        def element() -> None:
            def add(known: list[str]) -> list[str]:
                y = e.as_kind(self._factor("a") * self._factor("b"), kind)
                return [self._joined("any" if kind == "i1" else "sum", Value(e, known[0], kind), y)]

            total = self._summed(nest.sums, add, [(e.TYPES[kind], e.literal(0, kind))])
            e.store(Value(e, total[0], kind), *self._place("c"))

        self._around(nest.rows, element)

    def _along(self, nest: Contraction) -> None:
        e, kind = self.e, self.kinds["c"]
        assert nest.vector is not None

        def add() -> None:
            pointer, at = self._place("c")
            e.store(e.fma(self._factor("a"), self._factor("b"), e.load(pointer, kind, at)), pointer, at)

        self._around([*nest.rows, *nest.sums, nest.vector], add, parallel=True)

    def _tiles(self, nest: Contraction) -> None:
        """Columns outside, rows inside: what is read of b for a tile serves all rows."""
        assert nest.vector is not None
        tall, long = nest.tile.length if nest.tile else 1, nest.vector.length
        width, most = tile_width(self.kinds["c"], tall), tile_height(self.samples)

        def around() -> None:
            for columns, (row, many, height) in itertools.product(blocks(long, width), blocks(tall, most)):
                with self._within(nest.tile, row, row + many * height) as rows:
                    self._blocks(nest, rows, height, columns)

        self._around(nest.rows, around)

    @contextlib.contextmanager
    def _within(self, axis: Var | None, begin: int, end: int) -> Iterator[tuple[str, str]]:
        """Bounds of rows or columns; of shared ones a block for this thread's, if there are some: threads
        begin with whole tiles."""
        if axis is None or not self._is_shared(axis):
            yield str(begin), str(end)
            return
        e, share = self.e, self._share(axis)
        first = e.call("i64", "llvm.smax.i64", ("i64", share[0]), ("i64", str(begin)))
        last = e.call("i64", "llvm.smin.i64", ("i64", share[1]), ("i64", str(end)))
        some = e.let(f"icmp slt i64 {first}, {last}")
        inside, after = e.label("some"), e.label("none")
        e.line(f"br i1 {some}, label %{inside}, label %{after}")
        e.open(inside)
        yield first, last
        e.line(f"br label %{after}")
        e.open(after)

    def _blocks(
        self, nest: Contraction, rows: tuple[str, str], height: int, columns: tuple[int, int, int]
    ) -> None:
        """All tiles of one size."""
        e, (column, more, width) = self.e, columns
        lanes, *_ = vectors(e.TYPES[self.kinds["c"]])
        widths = [min(lanes, width - at) for at in range(0, width, lanes)]

        def of_columns(j: str, _: list[str]) -> list[str]:
            def of_rows(i: str, _: list[str]) -> list[str]:
                with self._scope():
                    self._tile(nest, i, j, height, widths)
                return []

            if rows[0].isdigit() and int(rows[1]) - int(rows[0]) <= height:
                return of_rows(rows[0], [])
            return e.loop(rows[1], of_rows, step=height, start=rows[0])

        with self._within(nest.vector, column, column + more * width) as (first, last):
            if last.isdigit() and more == 1:
                of_columns(first, [])
            else:
                e.loop(last, of_columns, step=width, start=first)

    def _tile(self, nest: Contraction, i: str, j: str, height: int, widths: list[int]) -> None:
        """A few rows times a few vectors, over all that is summed over."""
        e, kind = self.e, self.kinds["c"]
        lanes, vector, *_ = vectors(e.TYPES[kind])
        assert nest.vector is not None
        if nest.tile:
            self._registers[nest.tile] = i
        self._registers[nest.vector] = j
        a, _, c = nest.operands

        def add(known: list[str]) -> list[str]:
            pointer, at = self._place("b")
            loaded = [
                e.vector_load(pointer, kind, e.total([(at, 1)], n * lanes), width)
                for n, width in enumerate(widths)
            ]
            pointer, at = self._place("a")
            totals = []
            for row in range(height):
                stride = a.stride(nest.tile) if nest.tile else 0
                x = e.splat(e.load(pointer, kind, e.total([(at, 1)], row * stride)).text, kind)
                for n, y in enumerate(loaded):
                    totals.append(e.multiply_add(x, y, known[row * len(widths) + n], kind))
            return totals

        totals = self._in_chains(nest, add, height * len(widths), vector)
        pointer, at = self._place("c")
        for (row, (n, width)), y in zip(
            itertools.product(range(height), enumerate(widths)), totals, strict=True
        ):
            stride = c.stride(nest.tile) if nest.tile else 0
            e.vector_store(y, pointer, kind, e.total([(at, 1)], row * stride + n * lanes), width)

    def _in_chains(
        self, nest: Contraction, add: Callable[[list[str]], list[str]], count: int, vector: str
    ) -> list[str]:
        """Sums over all that is summed over; of a single row with few columns in several chains, since each
        has to wait for itself."""
        last, single = nest.sums[-1], nest.tile is None or nest.tile.length == 1
        chains = next(
            (n for n in (4, 2) if single and n * count <= CHAINS and last.length % n == 0 and not last.batch),
            1,
        )

        def inside(i: str, known: list[str]) -> list[str]:
            totals = []
            for chain in range(chains):
                self._registers[last] = self.e.total([(i, 1)], chain)
                totals += add(known[chain * count : (chain + 1) * count])
            return totals

        def over_last(known: list[str]) -> list[str]:
            return self.e.loop(last.length, inside, [(vector, x) for x in known], step=chains)

        start = [(vector, "zeroinitializer")] * (chains * count)
        if chains == 1:
            return self._summed(nest.sums, add, start, parallel=False)
        totals = self._summed(nest.sums[:-1], over_last, start, parallel=False)
        while len(totals) > count:
            half = len(totals) // 2
            totals = [
                self.e.let(f"fadd {vector} {a}, {b}")
                for a, b in zip(totals[:half], totals[half:], strict=True)
            ]
        return totals
