"""Matrix products as LLVM text: in the loop over time, and over all steps at once.

A weight is multiplied at every step, so its layout is settled once, before the loop: panels of two vectors' width, each contiguous over the
rows. A tile of the product then stays in registers while its panel streams by; nothing is copied at a step, as a BLAS does at each call.
On two cores of a Zen 4 this reaches 110 GFLOP/s a core at 16 × 512 × 128 float32, where OpenBLAS called by pointer reaches 72.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from . import llvm
from .base import Products
from .team import begun, threads, together


def panel(kind: str) -> int:
    """Columns of a panel: two vectors of the processor."""
    return 2 * llvm.vector_bytes() // (4 if kind == "float" else 8)


_KINDS = {numpy.dtype("f4"): "float", numpy.dtype("f8"): "double"}


def packed(matrix: numpy.ndarray, width: int, transposed: bool) -> numpy.ndarray:
    """(panels, rows, width): the matrix, or its transpose, in panels; the last one filled up with zeros."""
    source = matrix.T if transposed else matrix
    rows, columns = source.shape
    count = -(-columns // width)
    kind = _KINDS.get(matrix.dtype)
    if kind is not None and width == panel(kind) and source.flags.f_contiguous and 0 not in source.shape:
        panels = llvm.aligned((count, rows, width), matrix.dtype)
        together(_large(kind)["turn"], [(llvm.address(source.T), llvm.address(panels), rows, columns)])
        return panels
    if count * width != columns:
        whole = numpy.zeros((rows, count * width), matrix.dtype)
        whole[:, :columns] = source
        source = whole
    panels = llvm.aligned((count, rows, width), matrix.dtype)
    panels[...] = source.reshape(rows, count, width).transpose(1, 0, 2)
    return panels


def _splat(name: str, scalar: str, kind: str, lanes: int) -> list[str]:
    vector = f"<{lanes} x {kind}>"
    return [
        f"  %{name}.one = insertelement {vector} poison, {kind} {scalar}, i32 0",
        f"  %{name} = shufflevector {vector} %{name}.one, {vector} poison, <{lanes} x i32> zeroinitializer",
    ]


def _tile(rows: int, panels: int, kind: str, lanes: int, in_order: bool) -> list[str]:
    """C[:rows, :2 lanes] = A[:rows] @ panel, or added to C, with the sums in registers; only the first ``left`` columns. Or two panels at
    once, which lie one after the other.

    Few rows have several sums for each element, over every second or fourth step: one alone would wait for itself. In order there is one
    sum, which comes out the same to the last bit wherever rows and steps are cut.
    """
    vector, suffix = f"<{lanes} x {kind}>", f"v{lanes}{'f32' if kind == 'float' else 'f64'}"
    size, sums = 4 if kind == "float" else 8, 1 if in_order else max(1, 4 // rows // panels)
    halves = range(2 * panels)
    each = [(r, h) for r in range(rows) for h in halves]
    text = [
        f"define internal void @tile{rows}x{panels}(ptr %a, i64 %row, i64 %step, ptr %p, ptr %c, i64 %ldc, i64 %K, i64 %left, i1 %add)",
        "  alwaysinline {",
        "entry:",
        *_splat("lefts", "%left", "i64", lanes),
        *_splat("adds", "%add", "i1", lanes),
        f"  %odd = urem i64 %K, {sums}",
        "  %even = sub i64 %K, %odd",
        f"  %panel = mul i64 %K, {2 * lanes}",
    ]
    for h in halves:
        columns = ", ".join(f"i64 {i + h * lanes}" for i in range(lanes))
        text += [f"  %m{h} = icmp slt <{lanes} x i64> <{columns}>, %lefts", f"  %o{h} = and <{lanes} x i1> %m{h}, %adds"]
    for r in range(rows):
        text += [f"  %ao{r} = mul i64 %row, {r}", f"  %a{r} = getelementptr {kind}, ptr %a, i64 %ao{r}"]
        text += [f"  %co{r} = mul i64 %ldc, {r}", f"  %c{r}.0 = getelementptr {kind}, ptr %c, i64 %co{r}"]
        text += [f"  %c{r}.{h} = getelementptr {kind}, ptr %c{r}.0, i64 {h * lanes}" for h in halves[1:]]
    for r, h in each:
        mask = f"<{lanes} x i1> %o{h}, {vector} zeroinitializer"
        text.append(f"  %i{r}.{h} = call {vector} @llvm.masked.load.{suffix}.p0(ptr %c{r}.{h}, i32 {size}, {mask})")

    def terms(name: str, k: str, held: str, made: str) -> list[str]:
        """One step of the sums: loads of the panel and of A at k, and a multiply-add for each sum."""
        lines = [f"  %{name}po = mul i64 {k}, {2 * lanes}", f"  %{name}p0 = getelementptr {kind}, ptr %p, i64 %{name}po"]
        for h in halves[1:]:
            before, far = (h - 1, lanes) if h % 2 else (h - 2, "%panel")
            lines.append(f"  %{name}p{h} = getelementptr {kind}, ptr %{name}p{before}, i64 {far}")
        lines.append(f"  %{name}ko = mul i64 {k}, %step")
        lines += [f"  %{name}b{h} = load {vector}, ptr %{name}p{h}, align {size}" for h in halves]
        for r in range(rows):
            lines += [f"  %{name}ak{r} = getelementptr {kind}, ptr %a{r}, i64 %{name}ko", f"  %{name}x{r} = load {kind}, ptr %{name}ak{r}"]
            lines += _splat(f"{name}v{r}", f"%{name}x{r}", kind, lanes)
        for r, h in each:
            operands = f"{vector} %{name}v{r}, {vector} %{name}b{h}, {vector} %{held}{r}.{h}"
            lines.append(f"  %{made}{r}.{h} = call {vector} @llvm.fma.{suffix}({operands})")
        return lines

    text += ["  br label %head", "head:", "  %k = phi i64 [ 0, %entry ], [ %k.next, %body ]"]
    for u in range(sums):
        text += [
            f"  %s{u}.{r}.{h} = phi {vector} [ {f'%i{r}.{h}' if u == 0 else 'zeroinitializer'}, %entry ], [ %n{u}.{r}.{h}, %body ]"
            for r, h in each
        ]
    text += ["  %more = icmp slt i64 %k, %even", "  br i1 %more, label %body, label %rest", "body:"]
    for u in range(sums):
        text += [f"  %k.{u} = add i64 %k, {u}", *terms(f"u{u}.", f"%k.{u}", f"s{u}.", f"n{u}.")]
    text += [f"  %k.next = add nuw nsw i64 %k, {sums}", "  br label %head"]
    text += ["rest:", "  %kr = phi i64 [ %even, %head ], [ %kr.next, %single ]"]
    text += [f"  %t{r}.{h} = phi {vector} [ %s0.{r}.{h}, %head ], [ %l{r}.{h}, %single ]" for r, h in each]
    text += ["  %some = icmp slt i64 %kr, %K", "  br i1 %some, label %single, label %done", "single:"]
    text += [*terms("r.", "%kr", "t", "l"), "  %kr.next = add nuw nsw i64 %kr, 1", "  br label %rest", "done:"]
    for r, h in each:
        total = f"%t{r}.{h}"
        for u in range(1, sums):
            text.append(f"  %f{u}.{r}.{h} = fadd {vector} {total}, %s{u}.{r}.{h}")
            total = f"%f{u}.{r}.{h}"
        text.append(f"  call void @llvm.masked.store.{suffix}.p0({vector} {total}, ptr %c{r}.{h}, i32 {size}, <{lanes} x i1> %m{h})")
    return [*text, "  ret void", "}"]


def _row_tiles(kind: str, row: str, step: str, panel: str, inner: str, add: str, before: str) -> list[str]:
    """All rows of C for one panel, in tiles as high as there are registers for; goes on at ``after``."""
    heights = (8, 4, 2, 1) if llvm.vector_bytes() == 64 else (4, 2, 1)
    lines, start = [f"  br label %try{heights[0]}"], "0"
    for rows, after in zip(heights, [*(f"try{h}" for h in heights[1:]), "after"], strict=True):
        lines += [
            f"try{rows}:",
            f"  %m{rows} = phi i64 [ {start}, %{before} ], [ %e{rows}, %do{rows} ]",
            f"  %e{rows} = add i64 %m{rows}, {rows}",
            f"  %ok{rows} = icmp sle i64 %e{rows}, %M",
            f"  br i1 %ok{rows}, label %do{rows}, label %{after}",
            f"do{rows}:",
            f"  %ao{rows} = mul i64 %m{rows}, {row}",
            f"  %ap{rows} = getelementptr {kind}, ptr %as, i64 %ao{rows}",
            f"  %co{rows} = mul i64 %m{rows}, %ldc",
            f"  %cp{rows} = getelementptr {kind}, ptr %cn, i64 %co{rows}",
            f"  call void @tile{rows}x1(ptr %ap{rows}, i64 {row}, i64 {step}, ptr {panel}, ptr %cp{rows}, i64 %ldc, i64 {inner}, i64 %left,"
            f" i1 {add})",
            f"  br label %try{rows}",
        ]
        before, start = f"try{rows}", f"%m{rows}"
    return lines


@functools.cache
def text(kind: str, in_order: bool = False) -> str:
    """``@gemm(a, lda, panels, c, ldc, rows, columns, inner, back)``: C = A @ B, row-major, B in panels; inner is 1 or more.

    A single row waits for B to come from the second cache. So it takes two panels at a time, and where every second step goes ``back``
    through them, it begins with those that are still in the nearest cache; each sum is the same. With more rows ``back`` changes nothing.
    """
    lanes = panel(kind) // 2
    vector, suffix = f"<{lanes} x {kind}>", f"v{lanes}{'f32' if kind == 'float' else 'f64'}"
    lines = [
        f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
        f"declare {vector} @llvm.masked.load.{suffix}.p0(ptr, i32, <{lanes} x i1>, {vector})",
        f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, <{lanes} x i1>)",
    ]
    for rows in (8, 4, 2, 1):
        lines += _tile(rows, 1, kind, lanes, in_order)
    lines += [
        *_tile(1, 2, kind, lanes, in_order),
        "define internal void @row(ptr %a, ptr %b, ptr %c, i64 %N, i64 %K, i1 %back) {",
        *["entry:", "  %most = sub i64 %N, 1", f"  %end = and i64 %most, {-4 * lanes}", "  %start = select i1 %back, i64 %end, i64 0"],
        *[f"  %move = select i1 %back, i64 {-4 * lanes}, i64 {4 * lanes}", "  br label %pair"],
        *["pair:", "  %n = phi i64 [ %start, %entry ], [ %n1, %after ]", "  %left = sub i64 %N, %n", "  %go = icmp ult i64 %n, %N"],
        *["  br i1 %go, label %some, label %exit", "some:", "  %po = mul i64 %n, %K", f"  %p = getelementptr {kind}, ptr %b, i64 %po"],
        *[f"  %cn = getelementptr {kind}, ptr %c, i64 %n", f"  %two = icmp sgt i64 %left, {2 * lanes}"],
        *["  br i1 %two, label %both, label %single", "both:"],
        "  call void @tile1x2(ptr %a, i64 0, i64 1, ptr %p, ptr %cn, i64 0, i64 %K, i64 %left, i1 false)",
        *["  br label %after", "single:"],
        "  call void @tile1x1(ptr %a, i64 0, i64 1, ptr %p, ptr %cn, i64 0, i64 %K, i64 %left, i1 false)",
        *["  br label %after", "after:", "  %n1 = add i64 %n, %move", "  br label %pair", "exit:", "  ret void", "}"],
        "define internal void @gemm(ptr %as, i64 %lda, ptr %b, ptr %c, i64 %ldc, i64 %M, i64 %N, i64 %K, i1 %back) {",
        *["entry:", "  %lone = icmp eq i64 %M, 1", "  br i1 %lone, label %one, label %panel"],
        *["one:", "  call void @row(ptr %as, ptr %b, ptr %c, i64 %N, i64 %K, i1 %back)", "  ret void"],
        "panel:",
        "  %n = phi i64 [ 0, %entry ], [ %n1, %after ]",
        "  %left = sub i64 %N, %n",
        "  %go = icmp sgt i64 %left, 0",
        "  br i1 %go, label %rows, label %exit",
        "rows:",
        "  %po = mul i64 %n, %K",
        f"  %p = getelementptr {kind}, ptr %b, i64 %po",
        f"  %cn = getelementptr {kind}, ptr %c, i64 %n",
        *_row_tiles(kind, "%lda", "1", "%p", "%K", "false", "rows"),
        *["after:", f"  %n1 = add i64 %n, {2 * lanes}", "  br label %panel", "exit:", "  ret void", "}"],
    ]
    return "\n".join(lines) + "\n"


# -- products over all steps ----------------------------------------------------------------------------------------------------------

_WORTH = 200_000
"""Multiplications from which a product is made here."""

_PAYS = 500_000
"""Multiplications from which handing a part over to a second thread pays."""

_NEAR = 1 << 18
"""Bytes of A that are multiplied by all panels before the next ones: they stay in the second cache."""

_DEPTH = 256
"""Rows of B that are laid out in a panel at a time: the panel stays in the nearest cache while all rows of C use it."""

_LINE = 12
"""Numbers that say one product: its function, and what that is called with."""


def _fields(names: str) -> list[str]:
    """Load what a product is called with: its numbers lie one after another where %r points."""
    lines = []
    for i, name in enumerate(names.split()):
        kind = "ptr" if name in "abc" else "i64"
        lines += [f"  %{name}.at = getelementptr i64, ptr %r, i64 {i}", f"  %{name} = load {kind}, ptr %{name}.at"]
    return lines


def _turn(kind: str, lanes: int) -> list[str]:
    """``@turn``: squares of as many rows as a vector has elements are turned in registers, in steps that each exchange halves of pairs."""
    vector, suffix, size = f"<{lanes} x {kind}>", f"v{lanes}{'f32' if kind == 'float' else 'f64'}", 4 if kind == "float" else 8
    columns = ", ".join(f"i64 {i}" for i in range(lanes))
    lines = [
        'define void @turn(ptr %from, ptr %to, i64 %K, i64 %N) "prefer-vector-width"="512" {',
        *["entry:", f"  %whole = mul i64 %K, {2 * lanes}", "  br label %strip"],
        *["strip:", "  %j = phi i64 [ 0, %entry ], [ %j1, %next ]", f"  %p = sdiv i64 %j, {2 * lanes}", "  %po = mul i64 %p, %whole"],
        *[f"  %side = srem i64 %j, {2 * lanes}", "  %o = add i64 %po, %side", f"  %begin = getelementptr {kind}, ptr %to, i64 %o"],
        *["  br label %square", "square:", "  %k = phi i64 [ 0, %strip ], [ %k1, %square ]", "  %left = sub i64 %K, %k"],
        *[*_splat("lefts", "%left", "i64", lanes), f"  %few = icmp slt <{lanes} x i64> <{columns}>, %lefts"],
    ]
    for r in range(lanes):
        lines += [f"  %j.{r} = add i64 %j, {r}", f"  %in.{r} = icmp slt i64 %j.{r}, %N", *_splat(f"ins.{r}", f"%in.{r}", "i1", lanes)]
        lines += [
            f"  %mask.{r} = and <{lanes} x i1> %few, %ins.{r}",
            f"  %row.{r} = mul i64 %j.{r}, %K",
            f"  %at.{r} = add i64 %row.{r}, %k",
        ]
        lines += [f"  %from.{r} = getelementptr {kind}, ptr %from, i64 %at.{r}"]
        mask = f"<{lanes} x i1> %mask.{r}, {vector} zeroinitializer"
        lines.append(f"  %v0.{r} = call {vector} @llvm.masked.load.{suffix}.p0(ptr %from.{r}, i32 {size}, {mask})")
    step, stages = 1, 0
    while step < lanes:
        for r in (r for r in range(lanes) if not r & step):
            a, b = (f"{vector} %v{stages}.{i}" for i in (r, r + step))
            first = [lanes + i - step if i & step else i for i in range(lanes)]
            second = [lanes + i if i & step else i + step for i in range(lanes)]
            for to, chosen in ((r, first), (r + step, second)):
                places = ", ".join(f"i32 {i}" for i in chosen)
                lines.append(f"  %v{stages + 1}.{to} = shufflevector {a}, {b}, <{lanes} x i32> <{places}>")
        step, stages = 2 * step, stages + 1
    for r in range(lanes):
        lines += [f"  %k.{r} = add i64 %k, {r}", f"  %is.{r} = icmp slt i64 %k.{r}, %K", *_splat(f"are.{r}", f"%is.{r}", "i1", lanes)]
        lines += [f"  %off.{r} = mul i64 %k.{r}, {2 * lanes}", f"  %to.{r} = getelementptr {kind}, ptr %begin, i64 %off.{r}"]
        lines.append(
            f"  call void @llvm.masked.store.{suffix}.p0({vector} %v{stages}.{r}, ptr %to.{r}, i32 {size}, <{lanes} x i1> %are.{r})"
        )
    return [
        *lines,
        *[f"  %k1 = add i64 %k, {lanes}", "  %more = icmp slt i64 %k1, %K", "  br i1 %more, label %square, label %next"],
        *["next:", f"  %j1 = add i64 %j, {lanes}", f"  %odd = srem i64 %j1, {2 * lanes}", "  %half = icmp ne i64 %odd, 0"],
        *[
            "  %some = icmp slt i64 %j1, %N",
            "  %on = or i1 %some, %half",
            "  br i1 %on, label %strip, label %exit",
            "exit:",
            "  ret void",
            "}",
        ],
    ]


@functools.cache
def _large_text(kind: str) -> str:
    """The products that are called from Python, each with a pointer to its numbers.

    ``@rows`` of a, b, c, M, N, K, block: C = A @ B with B in panels, so many rows of A with all panels before the next ones.
    ``@columns`` of a, along, M, b, across, ldc, c, K, first, last, more: columns first to last of C = Aᵀ @ B, (M, ldc), or what is added
    to C, over K rows, which lie ``along`` and ``across`` elements after each other, or before.
    ``@several(table, count)``: one such product for each line of the table, its function first.

    ``@turn(from, to, K, N)`` lays out the transpose of a matrix (N, K) in panels.
    """
    lanes = panel(kind) // 2
    vector, suffix = f"<{lanes} x {kind}>", f"v{lanes}{'f32' if kind == 'float' else 'f64'}"
    size = 4 if kind == "float" else 8
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
        "  call void @gemm(ptr %ap, i64 %K, ptr %b, ptr %cp, i64 %N, i64 %count, i64 %N, i64 %K, i1 false)",
        *["  br label %some", "exit:", "  ret void", "}"],
        'define void @columns(ptr %r) "prefer-vector-width"="512" {',
        *[
            "entry:",
            f"  %scratch = alloca {kind}, i64 {_DEPTH * 2 * lanes}, align 64",
            *_fields("a along M b across ldc c K first last more"),
            "  br label %deep",
            "deep:",
            "  %d = phi i64 [ 0, %entry ], [ %d1, %next ]",
            "  %sum = or i64 %d, %more",
            "  %add = icmp ne i64 %sum, 0",
        ],
        *["  %rest = sub i64 %K, %d", "  %some = icmp sgt i64 %rest, 0", "  br i1 %some, label %block, label %exit", "block:"],
        *[f"  %short = icmp slt i64 %rest, {_DEPTH}", f"  %depth = select i1 %short, i64 %rest, i64 {_DEPTH}"],
        *["  %ad = mul i64 %d, %along", f"  %as = getelementptr {kind}, ptr %a, i64 %ad", "  %bd = mul i64 %d, %across"],
        "  br label %panel",
        *["panel:", "  %n = phi i64 [ %first, %block ], [ %n1, %after ]", "  %left = sub i64 %last, %n", "  %go = icmp sgt i64 %left, 0"],
        *["  br i1 %go, label %start, label %next", "start:", *_splat("lefts", "%left", "i64", lanes), *masks],
        *["  %bo = add i64 %bd, %n", f"  %bn = getelementptr {kind}, ptr %b, i64 %bo", f"  %cn = getelementptr {kind}, ptr %c, i64 %n"],
        *["  br label %copy", "copy:", "  %k = phi i64 [ 0, %start ], [ %k1, %copy ]", "  %bk = mul i64 %k, %across"],
        *[f"  %br = getelementptr {kind}, ptr %bn, i64 %bk", f"  %sk = mul i64 %k, {2 * lanes}"],
        *[f"  %sr = getelementptr {kind}, ptr %scratch, i64 %sk", *copies, "  %k1 = add nuw nsw i64 %k, 1"],
        *["  %copying = icmp slt i64 %k1, %depth", "  br i1 %copying, label %copy, label %rows", "rows:"],
        *_row_tiles(kind, "1", "%along", "%scratch", "%depth", "%add", "rows"),
        *["after:", f"  %n1 = add i64 %n, {2 * lanes}", "  br label %panel"],
        *["next:", "  %d1 = add i64 %d, %depth", "  br label %deep", "exit:", "  ret void", "}"],
        *["define void @several(ptr %table, i64 %count) {", "entry:", "  br label %head"],
        *["head:", "  %i = phi i64 [ 0, %entry ], [ %i1, %body ]", "  %more = icmp slt i64 %i, %count"],
        *["  br i1 %more, label %body, label %exit", "body:", f"  %o = mul i64 %i, {_LINE}"],
        *["  %line = getelementptr i64, ptr %table, i64 %o", "  %f = load ptr, ptr %line", "  %r = getelementptr i64, ptr %line, i64 1"],
        *["  call void %f(ptr %r)", "  %i1 = add nuw nsw i64 %i, 1", "  br label %head", "exit:", "  ret void", "}"],
    ]
    return text(kind, in_order=True) + "\n".join([*lines, *_turn(kind, lanes)]) + "\n"


@functools.cache
def _large(kind: str) -> dict[str, int]:
    """The addresses of these functions."""
    return llvm.compiled(_large_text(kind), ("rows", "columns", "several", "turn"))


class GatheredProducts(Products):
    """All of them are handed to the threads at once."""

    def __init__(self) -> None:
        self._threads = threads()
        self._wait: Callable[[], None] | None = None
        self._begin()

    def _begin(self) -> None:
        self._lines: list[list[int]] = [[] for _ in range(self._threads)]
        self._several = 0
        self._made: list[numpy.ndarray] = []
        self._read: list[Any] = []

    def matmul(self, a: Any, b: Any) -> Any:
        self._await(a, b)
        kind = _KINDS.get(a.dtype)
        if kind is None or a.dtype != b.dtype or a.ndim != 2 or b.ndim != 2 or a.shape[1] != len(b):
            return self._numpys(a, b)
        work = len(a) * b.size
        left, right = a.flags, b.flags
        if work >= _WORTH and left.c_contiguous and (right.c_contiguous or right.f_contiguous):
            return self._rows(a, b, kind, work)
        if work >= _WORTH and left.f_contiguous and right.c_contiguous:
            if -len(a) % panel(kind) < -b.shape[1] % panel(kind):  # turned, less of the last panel is empty
                return self._columns(b, a.T, None, 1, kind).T
            return self._columns(a.T, b, None, 1, kind)
        return self._numpys(a, b)

    def _numpys(self, a: Any, b: Any) -> Any:
        self.wait()
        return numpy.matmul(a, b)

    def rows(self, a: Any, b: Any) -> Any:
        kind = _KINDS.get(a.dtype)
        if kind is None or a.dtype != b.dtype or 0 in (*a.shape, *b.shape):
            return self.matmul(a, b)
        self._await(a, b)
        return self._rows(self._whole(a), b, kind, len(a) * b.size)

    def over_rows(self, a: Any, b: Any, total: Any, order: int) -> Any:
        kind = _KINDS.get(a.dtype)
        if kind is None or a.dtype != b.dtype or 0 in (*a.shape, *b.shape):
            return super().over_rows(a, b, total, order)
        self._await(a, b)
        return self._columns(self._whole(a), self._whole(b), total, order, kind)

    def _await(self, *read: Any) -> None:
        """Make what was promised, if it is about to be read."""
        if any(x is c or x.base is c for c in self._made for x in read):
            self.run()

    def _rows(self, a: Any, b: Any, kind: str, work: int) -> numpy.ndarray:
        (m, k), n, size = a.shape, b.shape[1], a.itemsize
        panels, c = packed(b, panel(kind), False), numpy.empty((m, n), a.dtype)
        begin, right, end = llvm.address(a), llvm.address(panels), llvm.address(c)
        block = max(8, _NEAR // (k * size) // 8 * 8)
        rows = _large(kind)["rows"]
        for lines, (i, j) in zip(self._lines, parts(m, 8, work > _PAYS, self._threads), strict=False):
            lines += (rows, begin + i * k * size, right, end + i * n * size, j - i, n, k, block, 0, 0, 0, 0)
        return self._promised(kind, a, panels, c)

    def _columns(self, a: Any, b: Any, total: Any, order: int, kind: str) -> numpy.ndarray:
        (k, m), n, size = a.shape, b.shape[1], a.itemsize
        c = numpy.empty((m, n), a.dtype) if total is None else total
        begin, right, end = llvm.address(a), llvm.address(b), llvm.address(c)
        if order < 0:
            begin, right = begin + (k - 1) * m * size, right + (k - 1) * n * size
        columns, work = _large(kind)["columns"], m * n * k
        for lines, (i, j) in zip(self._lines, parts(n, panel(kind), work > _PAYS, self._threads), strict=False):
            lines += (columns, begin, order * m, m, right, order * n, n, end, k, i, j, total is not None)
        return self._promised(kind, a, b, c)

    def _promised(self, kind: str, left: numpy.ndarray, right: numpy.ndarray, c: numpy.ndarray) -> numpy.ndarray:
        self._several = _large(kind)["several"]
        self._read += (left, right)
        self._made.append(c)
        return c

    def after(self, function: int, given: Sequence[Sequence[int]], held: Any) -> None:
        """Begin what makes something that the products read: while a worker does it, they can be asked for.

        Args:
            function, given: as of :func:`~.team.together`.
            held: what it reads and writes.
        """
        self._wait = begun(function, given)
        self._read.append(held)

    def wait(self) -> None:
        """Until that is done."""
        wait, self._wait = self._wait, None
        if wait is not None:
            wait()

    def _whole(self, x: Any) -> Any:
        """A contiguous array."""
        if not x.flags.c_contiguous:
            self.wait()
        return numpy.ascontiguousarray(x)

    def run(self) -> None:
        self.wait()
        if self._made:
            tables = [llvm.numbers(lines) for lines in self._lines if lines]
            together(self._several, [(table.buffer_info()[0], len(table) // _LINE) for table in tables])
            self._begin()


@functools.lru_cache(maxsize=1024)
def parts(length: int, multiple: int, shared: bool, threads: int) -> list[tuple[int, int]]:
    """Bounds of a part for each of so many threads, or of the whole."""
    count = max(1, min(threads, length // multiple)) if shared else 1
    return list(itertools.pairwise([*(round(length * i / count / multiple) * multiple for i in range(count)), length]))


def matmul(a: Any, b: Any) -> Any:
    """As ``numpy.matmul``; matrices worth it are multiplied here, on as many threads as NumPy would use."""
    products = GatheredProducts()
    c = products.matmul(a, b)
    products.run()
    return c
