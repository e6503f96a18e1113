"""Adding lines of a matrix at places that may repeat, as one loop of machine code.

    values     indices        array          the residual of an embedding: each line of values goes back to
    [ v₀ ]        2           [    v₁    ]   the word that it was looked up for, in the order of the batch,
    [ v₁ ]        0     ──▶   [     0    ]   so that the sums are the same in every run
    [ v₂ ]        2           [ v₀ + v₂  ]

NumPy's ``add.at`` does the same several times slower.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy

from . import compiler, emit, memory
from .threads import run_parallel


def _text(kind: str) -> str:
    """``@add_rows(to, indices, from, n, width)``: line indices[i] of ``to`` += line i of ``from``, for each i
    in turn."""
    return f"""
define void @add_rows(ptr noalias %to, ptr noalias %indices, ptr noalias %from, i64 %n, i64 %width)
    "prefer-vector-width"="512" {{
entry:
  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %i1, %next ]
  %place = getelementptr i64, ptr %indices, i64 %i
  %index = load i64, ptr %place
  %start = mul i64 %index, %width
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


def add_rows(array: Any, indices: numpy.ndarray, values: Any) -> None:
    """As ``numpy.add.at`` along the first axis: ``values[i]`` is added at ``indices[i]``, an integer from 0
    that may repeat."""
    from_rows = numpy.ascontiguousarray(values, array.dtype)
    to, places, start = memory.address(array), memory.address(indices), memory.address(from_rows)
    run_parallel(_add_rows(emit.type_name(array.dtype)), [(to, places, start, indices.size, array[0].size)])
