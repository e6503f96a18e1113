"""Panels: the layout of a matrix that is multiplied from the right.

A weight is multiplied at every step, so its layout is settled once, before the loop: panels of two vectors' width, each contiguous over the
rows.
"""

from __future__ import annotations

import functools

import numpy

from . import compiler, emit, memory
from .threads import run_parallel


@functools.cache
def panel(kind: str) -> int:
    """Columns of a panel: two vectors of the processor."""
    return 2 * emit.vectors(kind)[0]


def packed(matrix: numpy.ndarray, width: int) -> numpy.ndarray:
    """(panels, rows, width): a matrix in panels; the last one filled up with zeros."""
    rows, columns = matrix.shape
    count = -(-columns // width)
    kind = emit.FLOATS.get(matrix.dtype)
    if kind is not None and width == panel(kind) and matrix.flags.f_contiguous and 0 not in matrix.shape:
        panels, begin = memory.aligned((count, rows, width), matrix.dtype)
        run_parallel(_turn(kind), [(memory.address(matrix.T), begin, rows, columns)])
        return panels
    if count * width != columns:
        whole = numpy.zeros((rows, count * width), matrix.dtype)
        whole[:, :columns] = matrix
        matrix = whole
    panels, _ = memory.aligned((count, rows, width), matrix.dtype)
    panels[...] = matrix.reshape(rows, count, width).transpose(1, 0, 2)
    return panels


@functools.cache
def _turn(kind: str) -> int:
    """The address of ``@turn(from, to, K, N)``: the transpose of a matrix (N, K) in panels."""
    return compiler.compiled(_text(kind), ("turn",))["turn"]


def _text(kind: str) -> str:
    """Squares of as many rows as a vector has elements are turned in registers, in stages that each exchange halves of pairs of rows."""
    (lanes, vector, suffix, size), width = emit.vectors(kind), panel(kind)
    columns = ", ".join(f"i64 {i}" for i in range(lanes))
    lines = [
        *emit.masked(kind),
        'define void @turn(ptr %from, ptr %to, i64 %K, i64 %N) "prefer-vector-width"="512" {',
        *["entry:", f"  %whole = mul i64 %K, {width}", "  br label %strip"],
        *["strip:", "  %j = phi i64 [ 0, %entry ], [ %j1, %next ]", f"  %p = sdiv i64 %j, {width}", "  %po = mul i64 %p, %whole"],
        *[f"  %side = srem i64 %j, {width}", "  %o = add i64 %po, %side", f"  %begin = getelementptr {kind}, ptr %to, i64 %o"],
        *["  br label %square", "square:", "  %k = phi i64 [ 0, %strip ], [ %k1, %square ]", "  %left = sub i64 %K, %k"],
        *[*emit.splat("lefts", "%left", "i64", lanes), f"  %few = icmp slt <{lanes} x i64> <{columns}>, %lefts"],
    ]
    for r in range(lanes):
        lines += [f"  %j.{r} = add i64 %j, {r}", f"  %in.{r} = icmp slt i64 %j.{r}, %N", *emit.splat(f"ins.{r}", f"%in.{r}", "i1", lanes)]
        lines += [f"  %mask.{r} = and <{lanes} x i1> %few, %ins.{r}", f"  %row.{r} = mul i64 %j.{r}, %K"]
        lines += [f"  %at.{r} = add i64 %row.{r}, %k", f"  %from.{r} = getelementptr {kind}, ptr %from, i64 %at.{r}"]
        mask = f"<{lanes} x i1> %mask.{r}, {vector} zeroinitializer"
        lines.append(f"  %v1.{r} = call {vector} @llvm.masked.load.{suffix}.p0(ptr %from.{r}, i32 {size}, {mask})")
    step = 1
    while step < lanes:
        lines += _exchanged(vector, lanes, step)
        step *= 2
    for r in range(lanes):
        lines += [f"  %k.{r} = add i64 %k, {r}", f"  %is.{r} = icmp slt i64 %k.{r}, %K", *emit.splat(f"are.{r}", f"%is.{r}", "i1", lanes)]
        lines += [f"  %off.{r} = mul i64 %k.{r}, {width}", f"  %to.{r} = getelementptr {kind}, ptr %begin, i64 %off.{r}"]
        stored = f"{vector} %v{lanes}.{r}, ptr %to.{r}, i32 {size}, <{lanes} x i1> %are.{r}"
        lines.append(f"  call void @llvm.masked.store.{suffix}.p0({stored})")
    lines += [f"  %k1 = add i64 %k, {lanes}", "  %more = icmp slt i64 %k1, %K", "  br i1 %more, label %square, label %next"]
    lines += ["next:", f"  %j1 = add i64 %j, {lanes}", f"  %odd = srem i64 %j1, {width}", "  %half = icmp ne i64 %odd, 0"]
    lines += [
        "  %some = icmp slt i64 %j1, %N",
        "  %on = or i1 %some, %half",
        "  br i1 %on, label %strip, label %exit",
        "exit:",
        "  ret void",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _exchanged(vector: str, lanes: int, step: int) -> list[str]:
    """Rows whose numbers differ by a step exchange the elements that lie on the wrong side of it: %v1 becomes %v2, that %v4, …"""
    lines = []
    for r in (r for r in range(lanes) if not r & step):
        a, b = (f"{vector} %v{step}.{i}" for i in (r, r + step))
        first = [lanes + i - step if i & step else i for i in range(lanes)]
        second = [lanes + i if i & step else i + step for i in range(lanes)]
        for to, chosen in ((r, first), (r + step, second)):
            places = ", ".join(f"i32 {i}" for i in chosen)
            lines.append(f"  %v{2 * step}.{to} = shufflevector {a}, {b}, <{lanes} x i32> <{places}>")
    return lines
