"""Recorded operations run once for many values of what they start from: whatever depends on it has one axis
more, in front.

A residual goes back linearly, so the lines of a Jacobian are one pass of many residuals beside each other.
How an operation takes the axis stands in its row (``batching``): an elementwise one broadcasts, of an
addition the axes are counted on, a weighting is one of more matrices. What says nothing runs once for each
value.

    for many residuals gₙ of y:   along([x̄], [(g, [g₀, g₁, …])])  →  [[x̄ for g₀, x̄ for g₁, …]]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from . import ops
from .chain_rule import Row
from .chain_rule.batching import broadcasting
from .tape import Node, Replay, Tape, apply, key_of

LEAST, MOST = 8, 64
"""Values that are run together: with fewer, to plan for them costs more than it saves."""

LARGEST = 1 << 27
"""Bytes of an array of all values together."""


class NoBatch(Exception):
    """Something on the tape cannot be run for many values together."""


def along(results: Sequence[Any], starts: Sequence[tuple[Any, Any]], count: int) -> list[Any]:
    """The results of what was recorded, for each of so many values of what they start from.

    Args:
        results: recorded tensors.
        starts: pairs of a tensor that they depend on and all its values, (count, …).

    Returns:
        Tensors (count, …); None for a result that depends on no start.

    Raises:
        NoBatch: a row that is run again as a whole is in between.
    """
    values = {key_of(start): many for start, many in starts}
    for entry in Tape.of(*results):
        marked = [isinstance(x, Node) and key_of(x) in values for x in entry.inputs]
        if any(marked):
            xs = [values[key_of(x)] if mark else x for x, mark in zip(entry.inputs, marked, strict=True)]
            ys = run(entry.row, xs, marked, entry.params, count)
            values.update(((entry.index, i), y) for i, y in enumerate(ys) if y is not None)
    return [values.get(key_of(y)) for y in results]


def run(
    row: Row | Replay,
    xs: Sequence[Any],
    marked: Sequence[bool],
    params: tuple[Any, ...],
    count: int,
    constant: bool = False,
) -> Sequence[Any]:
    """All results of one row for many values of the marked operands, each (count, …); None for one that
    depends on none of them."""
    if isinstance(row, Replay):
        ys = row.batched(xs, marked, count)
        if ys is None:
            raise NoBatch
        return ys
    rule = broadcasting if row.elementwise else row.batching
    together = rule(ops, xs, marked, params, count) if rule is not None else None
    if together is not None:
        operands, params = together
        y = apply(row, operands, params, constant)
        return y if row.several else (y,)
    each = []
    for i in range(count):
        y = apply(row, [x[i] if mark else x for x, mark in zip(xs, marked, strict=True)], params, constant)
        each.append(y if row.several else (y,))
    return [ops.stack(ys) for ys in zip(*each, strict=True)]


def at_a_time(size: int, *results: Any) -> int | None:
    """How many of so many values to run together, so that no array becomes too large; None for one by one."""
    largest = max((y.nbytes for entry in Tape.of(*results) for y in entry.ys), default=1)
    most = min(MOST, LARGEST // max(1, largest))
    return -(-size // -(-size // most)) if most >= LEAST else None


def units(y: Any, first: int, last: int) -> Any:
    """Residuals that are 1 at one of the elements of y, from the first to the last: (last − first, …)."""
    one = numpy.zeros((last - first, y.size), y.dtype)
    one[range(last - first), range(first, last)] = 1
    return Node.result_type(y._backend.from_host(one.reshape(last - first, *y.shape)), y._backend)
