"""Adding rows at places that may repeat, such as the residuals of an embedding, as one loop of machine
code."""

from __future__ import annotations

import functools
from typing import Any

import numpy

from . import compiler, emit, memory
from .threads import run_parallel


def _text(kind: str) -> str:
    """``@add_rows(to, numbers, from, n, width)``: row numbers[i] of ``to`` += row i of ``from``, for each i
    in turn."""
    return f"""
define void @add_rows(ptr noalias %to, ptr noalias %numbers, ptr noalias %from, i64 %n, i64 %width)
    "prefer-vector-width"="512" {{
entry:
  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %i1, %next ]
  %place = getelementptr i64, ptr %numbers, i64 %i
  %number = load i64, ptr %place
  %start = mul i64 %number, %width
  %a = getelementptr {kind}, ptr %to, i64 %start
  %begin = mul i64 %i, %width
  %b = getelementptr {kind}, ptr %from, i64 %begin
  br label %column
column:
  %j = phi i64 [ 0, %row ], [ %j1, %column ]
  %aj = getelementptr {kind}, ptr %a, i64 %j
  %bj = getelementptr {kind}, ptr %b, i64 %j
  %x = load {kind}, ptr %aj
  %y = load {kind}, ptr %bj
  %z = fadd {kind} %x, %y
  store {kind} %z, ptr %aj
  %j1 = add nuw nsw i64 %j, 1
  %more = icmp slt i64 %j1, %width
  br i1 %more, label %column, label %next
next:
  %i1 = add nuw nsw i64 %i, 1
  %on = icmp slt i64 %i1, %n
  br i1 %on, label %row, label %exit
exit:
  ret void
}}
"""


@functools.cache
def _add_rows(kind: str) -> int:
    return compiler.compiled(_text(kind), ("add_rows",))["add_rows"]


def add_rows(array: Any, numbers: numpy.ndarray, values: Any) -> None:
    """As ``numpy.add.at`` for the rows that whole numbers from 0 name: ``numbers`` has a row of ``values``
    for each."""
    from_rows = numpy.ascontiguousarray(values, array.dtype)
    to, places, start = memory.address(array), memory.address(numbers), memory.address(from_rows)
    run_parallel(_add_rows(emit.type_name(array.dtype)), [(to, places, start, numbers.size, array[0].size)])
