"""Matrix products over all steps at once, which wait for each other and are handed to the threads together."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from ..promised import Products
from . import compiler, emit, gemm, memory, thresholds
from .panels import packed, panel
from .threads import Ticket, join, run_parallel, start, threads

_LINE = 12
"""Numbers that say one product: its function, and what that is called with."""


def _fields(names: str) -> list[str]:
    """Load what a product is called with: its numbers lie one after another where %r points."""
    lines = []
    for i, name in enumerate(names.split()):
        kind = "ptr" if name in "abc" else "i64"
        lines += [f"  %{name}.at = getelementptr i64, ptr %r, i64 {i}", f"  %{name} = load {kind}, ptr %{name}.at"]
    return lines


@functools.cache
def _text(kind: str) -> str:
    """The products that are called from Python, each with a pointer to its numbers.

    ``@rows`` of a, b, c, M, N, K, block: C = A @ B with B in panels, so many rows of A with all panels before the next ones.
    ``@columns`` of a, along, M, b, across, ldc, c, K, first, last, more: columns first to last of C = Aᵀ @ B, (M, ldc), or what is added
    to C, over K rows, which lie ``along`` and ``across`` elements after each other, or before.
    ``@several(table, count)``: one such product for each line of the table, its function first.
    """
    (lanes, vector, suffix, size), depth = emit.vectors(kind), thresholds.PANEL_ROWS
    masks = []
    for h in (0, 1):
        columns = ", ".join(f"i64 {i + h * lanes}" for i in range(lanes))
        masks.append(f"  %m.{h} = icmp slt <{lanes} x i64> <{columns}>, %lefts")
    copies = []
    for h in (0, 1):
        copies += [
            f"  %bs.{h} = getelementptr {kind}, ptr %br, i64 {h * lanes}",
            f"  %to.{h} = getelementptr {kind}, ptr %sr, i64 {h * lanes}",
        ]
        mask = f"<{lanes} x i1> %m.{h}, {vector} zeroinitializer"
        copies.append(f"  %x.{h} = call {vector} @llvm.masked.load.{suffix}.p0(ptr %bs.{h}, i32 {size}, {mask})")
        copies.append(f"  store {vector} %x.{h}, ptr %to.{h}, align {size}")
    lines = [
        'define void @rows(ptr %r) "prefer-vector-width"="512" {',
        *["entry:", *_fields("a b c M N K block")],
        *["  br label %some", "some:", "  %m = phi i64 [ 0, %entry ], [ %m1, %do ]", "  %rest = sub i64 %M, %m"],
        *["  %go = icmp sgt i64 %rest, 0", "  br i1 %go, label %do, label %exit", "do:", "  %m1 = add i64 %m, %block"],
        *["  %short = icmp slt i64 %rest, %block", "  %count = select i1 %short, i64 %rest, i64 %block"],
        *["  %ao = mul i64 %m, %K", f"  %ap = getelementptr {kind}, ptr %a, i64 %ao"],
        *["  %co = mul i64 %m, %N", f"  %cp = getelementptr {kind}, ptr %c, i64 %co"],
        "  call void @gemm(ptr %ap, i64 %K, ptr %b, ptr %cp, i64 %N, i64 %count, i64 %N, i64 %K)",
        *["  br label %some", "exit:", "  ret void", "}"],
        'define void @columns(ptr %r) "prefer-vector-width"="512" {',
        *[
            "entry:",
            f"  %scratch = alloca {kind}, i64 {depth * 2 * lanes}, align 64",
            *_fields("a along M b across ldc c K first last more"),
            "  br label %deep",
            "deep:",
            "  %d = phi i64 [ 0, %entry ], [ %d1, %next ]",
            "  %sum = or i64 %d, %more",
            "  %add = icmp ne i64 %sum, 0",
        ],
        *["  %rest = sub i64 %K, %d", "  %some = icmp sgt i64 %rest, 0", "  br i1 %some, label %block, label %exit", "block:"],
        *[f"  %short = icmp slt i64 %rest, {depth}", f"  %depth = select i1 %short, i64 %rest, i64 {depth}"],
        *["  %ad = mul i64 %d, %along", f"  %as = getelementptr {kind}, ptr %a, i64 %ad", "  %bd = mul i64 %d, %across"],
        "  br label %panel",
        *["panel:", "  %n = phi i64 [ %first, %block ], [ %n1, %after ]", "  %left = sub i64 %last, %n", "  %go = icmp sgt i64 %left, 0"],
        *["  br i1 %go, label %start, label %next", "start:", *emit.splat("lefts", "%left", "i64", lanes), *masks],
        *["  %bo = add i64 %bd, %n", f"  %bn = getelementptr {kind}, ptr %b, i64 %bo", f"  %cn = getelementptr {kind}, ptr %c, i64 %n"],
        *["  br label %copy", "copy:", "  %k = phi i64 [ 0, %start ], [ %k1, %copy ]", "  %bk = mul i64 %k, %across"],
        *[f"  %br = getelementptr {kind}, ptr %bn, i64 %bk", f"  %sk = mul i64 %k, {2 * lanes}"],
        *[f"  %sr = getelementptr {kind}, ptr %scratch, i64 %sk", *copies, "  %k1 = add nuw nsw i64 %k, 1"],
        *["  %copying = icmp slt i64 %k1, %depth", "  br i1 %copying, label %copy, label %rows", "rows:"],
        *gemm.row_tiles(kind, "1", "%along", "%scratch", "%depth", "%add", "rows"),
        *["after:", f"  %n1 = add i64 %n, {2 * lanes}", "  br label %panel"],
        *["next:", "  %d1 = add i64 %d, %depth", "  br label %deep", "exit:", "  ret void", "}"],
        *["define void @several(ptr %table, i64 %count) {", "entry:", "  br label %head"],
        *["head:", "  %i = phi i64 [ 0, %entry ], [ %i1, %body ]", "  %more = icmp slt i64 %i, %count"],
        *["  br i1 %more, label %body, label %exit", "body:", f"  %o = mul i64 %i, {_LINE}"],
        *["  %line = getelementptr i64, ptr %table, i64 %o", "  %f = load ptr, ptr %line", "  %r = getelementptr i64, ptr %line, i64 1"],
        *["  call void %f(ptr %r)", "  %i1 = add nuw nsw i64 %i, 1", "  br label %head", "exit:", "  ret void", "}"],
    ]
    return gemm.text(kind) + "\n".join(lines) + "\n"


@functools.cache
def _code(kind: str) -> dict[str, compiler.Address]:
    """The addresses of these functions."""
    return compiler.compiled(_text(kind), ("rows", "columns", "several"))


class GatheredProducts(Products):
    """All of them are handed to the threads at once."""

    def __init__(self) -> None:
        self._threads = threads()
        self._ticket: Ticket | None = None
        self._forget()

    def _forget(self) -> None:
        self._lines: list[list[int]] = [[] for _ in range(self._threads)]
        self._several = self._work = 0
        self._made: list[numpy.ndarray] = []
        self._read: list[numpy.ndarray] = []

    def matmul(self, a: Any, b: Any) -> Any:
        self._await(a, b)
        kind = emit.FLOATS.get(a.dtype)
        if kind is None or a.dtype != b.dtype or a.ndim != 2 or b.ndim != 2 or a.shape[1] != len(b):
            return self._numpys(a, b)
        work = len(a) * b.size
        left, right = a.flags, b.flags
        if work >= thresholds.OWN_PRODUCT_MIN_WORK and left.c_contiguous and (right.c_contiguous or right.f_contiguous):
            return self._rows(a, b, kind, work)
        if work >= thresholds.OWN_PRODUCT_MIN_WORK and left.f_contiguous and right.c_contiguous:
            if -len(a) % panel(kind) < -b.shape[1] % panel(kind):  # turned, less of the last panel is empty
                return self._columns(b, a.T, None, 1, kind).T
            return self._columns(a.T, b, None, 1, kind)
        return self._numpys(a, b)

    def _numpys(self, a: Any, b: Any) -> Any:
        self.wait()
        return numpy.matmul(a, b)

    def rows(self, a: Any, b: Any) -> Any:
        kind = _kind(a, b)
        if kind is None:
            return self.matmul(a, b)
        self._await(a, b)
        return self._rows(self._whole(a), b, kind, len(a) * b.size)

    def over_rows(self, a: Any, b: Any, total: Any, order: int) -> Any:
        kind = _kind(a, b)
        if kind is None:
            return super().over_rows(a, b, total, order)
        self._await(a, b)
        return self._columns(self._whole(a), self._whole(b), total, order, kind)

    def of_each(self, a: Any, b: Any, total: Any, order: int) -> Any:
        kind = _kind(a, b)
        if kind is None:
            return super().of_each(a, b, total, order)
        self._await(a, b)
        a, b = self._whole(a), self._whole(b)
        (steps, count, m), n, size = a.shape, b.shape[2], a.itemsize
        c = numpy.empty((count, m, n), a.dtype) if total is None else total
        start = (steps - 1) * count if order < 0 else 0
        begin, right, end = memory.address(a) + start * m * size, memory.address(b) + start * n * size, memory.address(c)
        columns, work = _code(kind)["columns"], count * m * n * steps
        for lines, each in self._shared(count, 1, work):
            for i in range(*each):
                places = begin + i * m * size, order * count * m, m, right + i * n * size, order * count * n, n, end + i * m * n * size
                lines += (columns, *places, steps, 0, n, total is not None)
        return self._promised(kind, work, a, b, c)

    def _await(self, *read: Any) -> None:
        """Make what was promised, if it is about to be read."""
        for c in self._made:
            for x in read:
                if x is c or x.base is c:
                    self.run()
                    return

    def _rows(self, a: Any, b: Any, kind: str, work: int) -> numpy.ndarray:
        (m, k), n, size = a.shape, b.shape[1], a.itemsize
        panels, c = packed(b, panel(kind)), numpy.empty((m, n), a.dtype)
        begin, right, end = memory.address(a), memory.address(panels), memory.address(c)
        block = max(8, thresholds.NEAR_BYTES // (k * size) // 8 * 8)
        rows = _code(kind)["rows"]
        for lines, (i, j) in self._shared(m, 8, work):
            lines += (rows, begin + i * k * size, right, end + i * n * size, j - i, n, k, block, 0, 0, 0, 0)
        return self._promised(kind, work, a, panels, c)

    def _columns(self, a: Any, b: Any, total: Any, order: int, kind: str) -> numpy.ndarray:
        (k, m), n, size = a.shape, b.shape[1], a.itemsize
        c = numpy.empty((m, n), a.dtype) if total is None else total
        begin, right, end = memory.address(a), memory.address(b), memory.address(c)
        if order < 0:
            begin, right = begin + (k - 1) * m * size, right + (k - 1) * n * size
        columns, work = _code(kind)["columns"], m * n * k
        for lines, (i, j) in self._shared(n, panel(kind), work):
            lines += (columns, begin, order * m, m, right, order * n, n, end, k, i, j, total is not None)
        return self._promised(kind, work, a, b, c)

    def _shared(self, length: int, multiple: int, work: int) -> Iterator[tuple[list[int], tuple[int, int]]]:
        """Where the lines of each thread go, and its part of a length."""
        shared = work > thresholds.PARALLEL_PRODUCT_MIN_WORK
        return zip(self._lines, parts(length, multiple, shared, self._threads), strict=False)

    def _promised(self, kind: str, work: int, left: numpy.ndarray, right: numpy.ndarray, c: numpy.ndarray) -> numpy.ndarray:
        self._several = _code(kind)["several"]
        self._work += work
        self._read += (left, right)
        self._made.append(c)
        return c

    def after(self, function: int, parts: Sequence[Sequence[int]], held: Any) -> None:
        """Start what makes something that the products read: while a worker does it, they can be asked for.

        Args:
            function, parts, held: as of :func:`~.threads.start`.
        """
        self.wait()
        self._ticket = Ticket()
        start(self._ticket, function, parts, held)

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
        elif self._made:
            table = memory.numbers([number for lines in self._lines for number in lines])
            self.after(self._several, [(table.buffer_info()[0], len(table) // _LINE)], (table, self._made, self._read))
            self._forget()

    def run(self) -> None:
        self.wait()
        if self._made:
            tables = [memory.numbers(lines) for lines in self._lines if lines]
            run_parallel(self._several, [(table.buffer_info()[0], len(table) // _LINE) for table in tables])
            self._forget()


def _kind(a: Any, b: Any) -> str | None:
    """LLVM's name of the floats of both; None where the product is left to NumPy."""
    return emit.FLOATS.get(a.dtype) if a.dtype == b.dtype and 0 not in (*a.shape, *b.shape) else None


@functools.lru_cache(maxsize=1024)
def parts(length: int, multiple: int, shared: bool, threads: int) -> list[tuple[int, int]]:
    """Bounds of a part for each of so many threads, or of the whole."""
    count = max(1, min(threads, length // multiple)) if shared else 1
    return list(itertools.pairwise([*(round(length * i / count / multiple) * multiple for i in range(count)), length]))
