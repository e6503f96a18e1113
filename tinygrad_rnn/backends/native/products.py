"""Matrix products over all steps at once: they wait for each other and are handed to the threads together.

    matmul(a, b)  → c, empty ─┐   one line for each product        thread 0   c[:, :n/2]  d[:, :m/2]  …
    over_rows(…)  → d, empty ─┼─▶ and thread: its function,  ─run─▶
    …                         │   addresses, sizes, strides         thread 1   c[:, n/2:]  d[:, m/2:]  …
    read c        ─ run ──────┘

A backward pass asks for several products, none of which reads another's result. Handed over one by one, each
would wait for the slowest thread; together the threads wait once. An array that is not computed yet is
computed before it is read.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy

from ..products import Products
from . import compiler, emit, gemm, memory, panels, thresholds, tiles
from .threads import Ticket, join, run_parallel, start, threads

_LINE = 1 + len(gemm.FIELDS)
"""Words of one product: its function, and what that is called with."""


@functools.cache
def _code(kind: str) -> dict[str, compiler.Address]:
    """The addresses of the products, each called with a pointer to its numbers; and of ``@several(table,
    count)``: one such product for each line of the table, its function first."""
    names = (*gemm.NAMES.values(), "several")
    return compiler.compiled(gemm.text(kind) + _SEVERAL, names)


_SEVERAL = f"""
define void @several(ptr %table, i64 %count) {{
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %i1, %body ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %body, label %exit
body:
  %o = mul i64 %i, {_LINE}
  %line = getelementptr i64, ptr %table, i64 %o
  %f = load ptr, ptr %line
  %r = getelementptr i64, ptr %line, i64 1
  call void %f(ptr %r)
  %i1 = add nuw nsw i64 %i, 1
  br label %head
exit:
  ret void
}}
"""


class GatheredProducts(Products):
    """All of them are handed to the threads at once."""

    def __init__(self) -> None:
        self._threads = threads()
        self._ticket: Ticket | None = None
        self._rooms: list[tuple[numpy.ndarray, int]] = []
        self._forget()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        _rooms.extend(self._rooms)
        self._rooms = []

    def _forget(self) -> None:
        self._lines: list[list[int]] = [[] for _ in range(self._threads)]
        self._several = self._work = 0
        self._results: list[numpy.ndarray] = []
        self._read: list[numpy.ndarray] = []

    def matmul(self, a: Any, b: Any) -> Any:
        self._await(a, b)
        kind = emit.FLOATS.get(a.dtype)
        if kind is None or a.dtype != b.dtype or a.ndim != 2 or b.ndim != 2 or a.shape[1] != len(b):
            return self._numpys(a, b)
        if len(a) * b.size < thresholds.OWN_PRODUCT_MIN_WORK or not (_is_whole(a) and _is_whole(b)):
            return self._numpys(a, b)
        # turned, less of the last panel is empty
        if -len(a) % tiles.panel(kind) < -b.shape[1] % tiles.panel(kind):
            return self._product(b.T, a.T, None, 1, kind).T
        return self._product(a, b, None, 1, kind)

    def _numpys(self, a: Any, b: Any) -> Any:
        self.wait()
        return numpy.matmul(a, b)

    def rowwise(self, a: Any, b: Any) -> Any:
        kind = _kind(a, b)
        if kind is None or b.ndim > 2:
            return self.matmul(a, b)
        if a.ndim > 2:
            return self.rowwise(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1])
        self._await(a, b)
        return self._product(self._whole(a), b if _is_whole(b) else self._whole(b), None, 1, kind)

    def over_rows(self, a: Any, b: Any, total: Any, order: int) -> Any:
        kind = _kind(a, b)
        if kind is None:
            return super().over_rows(a, b, total, order)
        self._await(a, b)
        return self._product(self._whole(a).T, self._whole(b), total, order, kind)

    def of_each(self, a: Any, b: Any, total: Any, order: int) -> Any:
        kind = _kind(a, b)
        if kind is None:
            return super().of_each(a, b, total, order)
        self._await(a, b)
        a, b = self._whole(a), self._whole(b)
        (steps, count, m), n, size = a.shape, b.shape[2], a.itemsize
        c = numpy.empty((count, m, n), a.dtype) if total is None else total
        start = (steps - 1) * count if order < 0 else 0
        begin, right, end = (
            memory.address(a) + start * m * size,
            memory.address(b) + start * n * size,
            memory.address(c),
        )
        work, blocks = count * m * n * steps, gemm.blocks(kind, n, steps)
        for thread, each in enumerate(_parts(count, 1, work, self._threads)):
            for i in range(*each):
                places = (
                    begin + i * m * size,
                    right + i * n * size,
                    end + i * m * n * size,
                    self._room(thread),
                )
                strides = 1, order * count * m, order * count * n, n
                line = (
                    _code(kind)[gemm.NAMES[True, False]],
                    *places,
                    *strides,
                    m,
                    n,
                    steps,
                    *blocks,
                    total is not None,
                )
                self._lines[thread] += line
        return self._pending(kind, work, a, b, c)

    def _await(self, *read: Any) -> None:
        """Compute what is pending, if it is about to be read."""
        for c in self._results:
            for x in read:
                if x is c or x.base is c:
                    self.run()
                    return

    def _product(self, a: Any, b: Any, total: Any, order: int, kind: str) -> numpy.ndarray:
        """A @ B, added to a total; over k from the first (order 1) or the last (−1). Threads share its rows,
        or its columns."""
        (m, k), n = a.shape, b.shape[1]
        c = numpy.empty((m, n), a.dtype) if total is None else total
        columns, turned = order < 0 or not a.flags.c_contiguous, not b.flags.c_contiguous
        left, right, end = (
            memory.address(a.T if columns else a),
            memory.address(b.T if turned else b),
            memory.address(c),
        )
        for thread, (of_a, of_b, of_c, sizes) in enumerate(
            _shares(kind, m, k, n, columns, turned, order, self._threads)
        ):
            function, further = _code(kind)[gemm.NAMES[columns, turned]], (*sizes, total is not None)
            self._lines[thread] += (
                function,
                left + of_a,
                right + of_b,
                end + of_c,
                self._room(thread),
                *further,
            )
        return self._pending(kind, m * n * k, a, b, c)

    def _room(self, thread: int) -> int:
        """Memory that a thread copies to."""
        while len(self._rooms) <= thread:
            self._rooms.append(_rooms.pop() if _rooms else memory.aligned((gemm.ROOM,), _BYTES))
        return self._rooms[thread][1]

    def _pending(
        self, kind: str, work: int, left: numpy.ndarray, right: numpy.ndarray, c: numpy.ndarray
    ) -> numpy.ndarray:
        self._several = _code(kind)["several"]
        self._work += work
        self._read += (left, right)
        self._results.append(c)
        return c

    def after(self, function: int, parts: Sequence[Sequence[int]], buffers: Any) -> None:
        """Start what makes something that the products read: while a worker does it, they can be asked for.

        Args:
            function, parts, buffers: as of :func:`~.threads.start`.
        """
        self.wait()
        self._ticket = Ticket()
        start(self._ticket, function, parts, buffers)

    def wait(self) -> None:
        """Until that is done."""
        if self._ticket is not None:
            join(self._ticket)
            self._ticket = None

    def _whole(self, x: Any) -> Any:
        """A contiguous array."""
        if not x.flags.c_contiguous:
            self.wait()
        return numpy.ascontiguousarray(x)

    def start(self) -> None:
        if self._work > thresholds.STARTED_PRODUCTS_MAX_WORK:
            self.run()
        elif self._results:
            table = memory.numbers([number for lines in self._lines for number in lines])
            self.after(
                self._several,
                [(table.buffer_info()[0], len(table) // _LINE)],
                (table, self._results, self._read, self._rooms),
            )
            self._forget()

    def run(self) -> None:
        self.wait()
        if self._results:
            tables = [memory.numbers(lines) for lines in self._lines if lines]
            run_parallel(self._several, [(table.buffer_info()[0], len(table) // _LINE) for table in tables])
            self._forget()


def _kind(a: Any, b: Any) -> str | None:
    """LLVM's name of the floats of both; None where the product is left to NumPy."""
    return emit.FLOATS.get(a.dtype) if a.dtype == b.dtype and 0 not in (*a.shape, *b.shape) else None


_BYTES = numpy.dtype(numpy.uint8)


def _is_whole(x: Any) -> bool:
    """Whether a matrix, or its transpose, lies in one piece."""
    return bool(x.flags.c_contiguous or x.flags.f_contiguous)


_rooms: list[tuple[numpy.ndarray, int]] = []
"""Memory to copy to that nobody uses at the moment, and where each begins."""


_Share = tuple[int, int, int, tuple[int, ...]]


@functools.lru_cache(maxsize=1024)
def _shares(
    kind: str, m: int, k: int, n: int, columns: bool, turned: bool, order: int, threads: int
) -> list[_Share]:
    """For each thread how many bytes from their beginnings it begins with A, B and C, and the fields between
    the room and the last."""
    size = emit.vectors(kind)[3]
    row, step = (1, m) if columns else (k, 1)
    down, across = (1, k) if turned else (n, 1)
    last = k - 1 if order < 0 else 0
    blocks, wide = gemm.blocks(kind, n, k), n >= m
    shares: list[_Share] = []
    for i, j in (
        _parts(n, tiles.panel(kind), m * n * k, threads)
        if wide
        else _parts(m, panels.TALL, m * n * k, threads)
    ):
        of_a, of_b, of_c = (0, i * across, i) if wide else (i * row, 0, i * n)
        sizes = (m, j - i, k) if wide else (j - i, n, k)
        strides = row, order * step, across if turned else order * down, n
        shares.append(
            (
                (of_a + last * step) * size,
                (of_b + last * down) * size,
                of_c * size,
                (*strides, *sizes, *blocks),
            )
        )
    return shares


@functools.lru_cache(maxsize=1024)
def _parts(length: int, multiple: int, work: int, threads: int) -> list[tuple[int, int]]:
    """Bounds of a part for each of so many threads; of the whole, if more of them do not pay."""
    count = max(1, min(threads, length // multiple)) if work > thresholds.PARALLEL_PRODUCT_MIN_WORK else 1
    return list(
        itertools.pairwise([*(round(length * i / count / multiple) * multiple for i in range(count)), length])
    )
