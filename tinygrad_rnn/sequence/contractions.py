"""Which form the loops of a contraction take, c[i, j] += a[i, k] · b[k, j]: what its strides ask for.

    tile    j has stride 1 in b and c: a few rows i times a few vectors of j are added up in registers, over
            all k; of a large weight the columns of a tile lie together, so that they are read one after
            another
    dot     k has stride 1 in a and b: each element is a sum over vectors of k
    along   j has stride 1 in a, b and c: vectors of j are added up in memory

An operand whose strides fit none of them is copied in another order; once for all steps where it is a weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .index import Index, Var

FEW = 4
"""Rows that an operand is used for, or columns, from which on it pays to copy it, or to use vectors of
them."""

LARGE = 1 << 12
"""Elements of a weight from which on it pays to lay it out in panels."""


@dataclass(frozen=True)
class Operand:
    """A value in memory, and where in the order of its elements the one lies that is asked for."""

    value: int
    index: Index

    def stride(self, var: Var) -> int:
        return self.index.terms.get(var, 0)


@dataclass
class Contraction:
    """value[index] = Σ a · b.

    Attributes:
        rows: the loops around.
        tile: the rows i that share what is read of b.
        vector: j.
        sums: what is summed over, the innermost last.
    """

    value: int
    index: Index
    a: Operand
    b: Operand
    form: str
    rows: list[Var]
    sums: list[Var]
    tile: Var | None = None
    vector: Var | None = None

    @property
    def operands(self) -> tuple[Operand, Operand, Operand]:
        """a, b and the result."""
        return self.a, self.b, Operand(self.value, self.index)


def form_of(
    vectors: bool, a: Operand, b: Operand, value: int, index: Index, rows: list[Var], sums: list[Var],
    is_fixed: Callable[[int], bool], packed: Callable[[Operand, Sequence[Var]], Operand],
    panels: Callable[[Operand, Sequence[Var], Var, int], Operand],
) -> Contraction:  # fmt: skip
    """The loops of a contraction.

    Args:
        vectors: whether the operands and the result are floats of one dtype.
        rows, sums: the variables that stand in the result, and those that are summed over.
        is_fixed: whether a value is the same at every step.
        packed: copies an operand in another order of axes.
        panels: copies a matrix, the columns of a tile of so many rows together.
    """
    c = Operand(value, index)
    vector = next((var for var in reversed(rows) if c.stride(var) == 1), None)
    inner = [k for k in sums if a.stride(k) == b.stride(k) == 1]
    sums = [*(k for k in sums if k not in inner), *inner]
    if vector is None or not vectors:
        return Contraction(value, index, a, b, "dot", rows, sums)
    rest = [var for var in rows if var is not vector]
    if a.stride(vector) and b.stride(vector):
        if a.stride(vector) == b.stride(vector) == 1:
            return Contraction(value, index, a, b, "along", rest, sums, vector=vector)
        return Contraction(value, index, a, b, "dot", rows, sums)
    if a.stride(vector):
        a, b = b, a
    if vector.batch:  # threads share its elements, which whole vectors would cut across
        if b.stride(vector) == 1:
            return Contraction(value, index, a, b, "along", rest, sums, vector=vector)
        return Contraction(value, index, a, b, "dot", rows, sums)
    shared = [var for var in rest if not b.stride(var)]
    uses = math.prod(var.length for var in shared)
    if inner and vector.length < FEW <= inner[-1].length:
        return Contraction(value, index, a, b, "dot", rows, sums)
    others = [var for var in rest if b.stride(var)]
    tile = max(shared, key=lambda var: var.length, default=None)
    sums.sort(key=lambda k: (not k.batch, -abs(a.stride(k))))
    if is_fixed(b.value) and not others and math.prod(k.length for k in sums) * vector.length > LARGE:
        b = panels(b, sums, vector, tile.length if tile else 1)
    elif b.stride(vector) != 1:
        if inner and uses < FEW and not is_fixed(b.value):
            return Contraction(value, index, a, b, "dot", rows, sums)
        b = packed(b, [*others, *(k for k in sums if b.stride(k)), vector])
    return Contraction(
        value, index, a, b, "tile", [var for var in rest if var is not tile], sums, tile, vector
    )


def plain_form_of(
    a: Operand, b: Operand, value: int, index: Index, rows: list[Var], sums: list[Var],
    is_fixed: Callable[[int], bool], packed: Callable[[Operand, Sequence[Var]], Operand],
) -> Contraction:  # fmt: skip
    """The loops of a contraction whose elements are made by a thread of a device each: neighbours read what
    lies side by side."""
    vector = next((var for var in reversed(rows) if Operand(value, index).stride(var) == 1), None)
    if vector is not None and a.stride(vector):
        a, b = b, a
    if vector is not None and b.stride(vector) > 1 and is_fixed(b.value):
        b = packed(b, [*(var for var in (*rows, *sums) if b.stride(var) and var is not vector), vector])
    return Contraction(value, index, a, b, "dot", rows, sums)
