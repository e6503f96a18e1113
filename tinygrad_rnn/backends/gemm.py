"""Matrix products in the loop over time, as LLVM text.

A weight is multiplied at every step, so its layout is settled once, before the loop: panels of two vectors' width, each contiguous over the
rows. A tile of the product then stays in registers while its panel streams by; nothing is copied at a step, as a BLAS does at each call.
On two cores of a Zen 4 this reaches 110 GFLOP/s a core at 16 × 512 × 128 float32, where OpenBLAS called by pointer reaches 72.
"""

from __future__ import annotations

import functools

import numpy

from . import llvm


def panel(kind: str) -> int:
    """Columns of a panel: two vectors of the processor."""
    return 2 * llvm.vector_bytes() // (4 if kind == "float" else 8)


def packed(matrix: numpy.ndarray, width: int, transposed: bool) -> numpy.ndarray:
    """(panels, rows, width): the matrix, or its transpose, in panels; the last one filled up with zeros."""
    source = matrix.T if transposed else matrix
    rows, columns = source.shape
    count = -(-columns // width)
    if count * width != columns:
        whole = numpy.zeros((rows, count * width), matrix.dtype)
        whole[:, :columns] = source
        source = whole
    return numpy.ascontiguousarray(source.reshape(rows, count, width).transpose(1, 0, 2))


def _splat(name: str, scalar: str, kind: str, lanes: int) -> list[str]:
    vector = f"<{lanes} x {kind}>"
    return [
        f"  %{name}.one = insertelement {vector} poison, {kind} {scalar}, i32 0",
        f"  %{name} = shufflevector {vector} %{name}.one, {vector} poison, <{lanes} x i32> zeroinitializer",
    ]


def _tile(rows: int, kind: str, lanes: int) -> list[str]:
    """C[:rows, :2 lanes] = A[:rows] @ panel, with the sums in registers; fewer columns where ``left`` is less."""
    vector, suffix = f"<{lanes} x {kind}>", f"v{lanes}{'f32' if kind == 'float' else 'f64'}"
    size = 4 if kind == "float" else 8
    each = [(r, h) for r in range(rows) for h in (0, 1)]
    text = [
        f"define internal void @tile{rows}(ptr %a, i64 %lda, ptr %p, ptr %c, i64 %ldc, i64 %K, i64 %left) alwaysinline {{",
        "entry:",
    ]
    for r in range(rows):
        text += [f"  %ao{r} = mul i64 %lda, {r}", f"  %a{r} = getelementptr {kind}, ptr %a, i64 %ao{r}"]
        text += [f"  %co{r} = mul i64 %ldc, {r}", f"  %c{r}.0 = getelementptr {kind}, ptr %c, i64 %co{r}"]
        text += [f"  %c{r}.1 = getelementptr {kind}, ptr %c{r}.0, i64 {lanes}"]
    text += ["  br label %loop", "loop:", "  %k = phi i64 [ 0, %entry ], [ %k1, %loop ]"]
    text += [f"  %s{r}.{h} = phi {vector} [ zeroinitializer, %entry ], [ %n{r}.{h}, %loop ]" for r, h in each]
    text += [f"  %po = mul i64 %k, {2 * lanes}", f"  %p0 = getelementptr {kind}, ptr %p, i64 %po"]
    text += [f"  %p1 = getelementptr {kind}, ptr %p0, i64 {lanes}"]
    text += [f"  %b{h} = load {vector}, ptr %p{h}, align {size}" for h in (0, 1)]
    for r in range(rows):
        text += [f"  %ak{r} = getelementptr {kind}, ptr %a{r}, i64 %k", f"  %x{r} = load {kind}, ptr %ak{r}"]
        text += _splat(f"v{r}", f"%x{r}", kind, lanes)
    text += [f"  %n{r}.{h} = call {vector} @llvm.fma.{suffix}({vector} %v{r}, {vector} %b{h}, {vector} %s{r}.{h})" for r, h in each]
    text += ["  %k1 = add nuw nsw i64 %k, 1", "  %more = icmp slt i64 %k1, %K", "  br i1 %more, label %loop, label %done", "done:"]
    text += [f"  %whole = icmp sge i64 %left, {2 * lanes}", "  br i1 %whole, label %full, label %part", "full:"]
    text += [f"  store {vector} %n{r}.{h}, ptr %c{r}.{h}, align {size}" for r, h in each]
    text += ["  ret void", "part:", *_splat("lefts", "%left", "i64", lanes)]
    for h in (0, 1):
        columns = ", ".join(f"i64 {i + h * lanes}" for i in range(lanes))
        text.append(f"  %m{h} = icmp slt <{lanes} x i64> <{columns}>, %lefts")
    for r, h in each:
        text.append(f"  call void @llvm.masked.store.{suffix}.p0({vector} %n{r}.{h}, ptr %c{r}.{h}, i32 {size}, <{lanes} x i1> %m{h})")
    return [*text, "  ret void", "}"]


@functools.cache
def text(kind: str) -> str:
    """``@gemm(a, lda, panels, c, ldc, rows, columns, inner)``: C = A @ B, row-major, B in panels; inner is 1 or more."""
    lanes = panel(kind) // 2
    vector, suffix = f"<{lanes} x {kind}>", f"v{lanes}{'f32' if kind == 'float' else 'f64'}"
    heights = (8, 4, 2, 1) if llvm.vector_bytes() == 64 else (4, 2, 1)  # as many sums as there are registers
    lines = [
        f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
        f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, <{lanes} x i1>)",
    ]
    for rows in heights:
        lines += _tile(rows, kind, lanes)
    lines += [
        "define internal void @gemm(ptr %a, i64 %lda, ptr %b, ptr %c, i64 %ldc, i64 %M, i64 %N, i64 %K) {",
        "entry:",
        "  br label %panel",
        "panel:",
        "  %n = phi i64 [ 0, %entry ], [ %n1, %after ]",
        "  %left = sub i64 %N, %n",
        "  %go = icmp sgt i64 %left, 0",
        "  br i1 %go, label %rows, label %exit",
        "rows:",
        "  %po = mul i64 %n, %K",
        f"  %p = getelementptr {kind}, ptr %b, i64 %po",
        f"  %cn = getelementptr {kind}, ptr %c, i64 %n",
        f"  br label %try{heights[0]}",
    ]
    before, start = "rows", "0"
    for rows, after in zip(heights, [*(f"try{h}" for h in heights[1:]), "after"], strict=True):
        lines += [
            f"try{rows}:",
            f"  %m{rows} = phi i64 [ {start}, %{before} ], [ %e{rows}, %do{rows} ]",
            f"  %e{rows} = add i64 %m{rows}, {rows}",
            f"  %ok{rows} = icmp sle i64 %e{rows}, %M",
            f"  br i1 %ok{rows}, label %do{rows}, label %{after}",
            f"do{rows}:",
            f"  %ao{rows} = mul i64 %m{rows}, %lda",
            f"  %ap{rows} = getelementptr {kind}, ptr %a, i64 %ao{rows}",
            f"  %co{rows} = mul i64 %m{rows}, %ldc",
            f"  %cp{rows} = getelementptr {kind}, ptr %cn, i64 %co{rows}",
            f"  call void @tile{rows}(ptr %ap{rows}, i64 %lda, ptr %p, ptr %cp{rows}, i64 %ldc, i64 %K, i64 %left)",
            f"  br label %try{rows}",
        ]
        before, start = f"try{rows}", f"%m{rows}"
    lines += ["after:", f"  %n1 = add i64 %n, {2 * lanes}", "  br label %panel", "exit:", "  ret void", "}"]
    return "\n".join(lines) + "\n"
