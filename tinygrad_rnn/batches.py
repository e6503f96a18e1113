"""Recorded operations run once for many values of what they start from: whatever depends on it has one axis
more, in front.

A residual goes back linearly, so the rows of a Jacobian are one pass of many residuals beside each other. How
a row takes the axis follows from what it is: an elementwise one broadcasts, of an addition the axes are
counted on, a weighting is one of more matrices. What has no rule here runs once for each value.

    for many residuals gₙ of y:   along([x̄], [(g, [g₀, g₁, …])])  →  [[x̄ for g₀, x̄ for g₁, …]]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from . import ops
from .chain_rule import Row
from .tape import Node, Replay, Tape, apply, key_of

Rule = Callable[..., Any]
"""rule(operands, marked, params, count) → the operands and params for all values together; None where there
are none. Marked operands have the axis in front."""


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
    rule = _broadcasting if row.elementwise else _RULES.get(row.name)
    given = rule(xs, marked, params, count) if rule is not None else None
    if given is not None:
        y = apply(row, given[0], given[1], constant)
        return y if row.several else (y,)
    made = []
    for i in range(count):
        y = apply(row, [x[i] if mark else x for x, mark in zip(xs, marked, strict=True)], params, constant)
        made.append(y if row.several else (y,))
    return [ops.stack(ys) for ys in zip(*made, strict=True)]


# -- the rules -----------------------------------------------------------------------------------------------


def _rank(x: Any, mark: bool) -> int:
    """Axes of one value."""
    return (x._data.ndim if isinstance(x, Node) else 0) - mark


def _lengthened(x: Any, mark: bool, rank: int) -> Any:
    """With axes of length 1 behind the first one, so that what it broadcasts to has so many more."""
    missing = rank - _rank(x, mark)
    return ops.reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:])) if mark and missing else x


def _broadcasting(xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    rank = max(_rank(x, mark) for x, mark in zip(xs, marked, strict=True))
    return [_lengthened(x, mark, rank) for x, mark in zip(xs, marked, strict=True)], params


def _reduced(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    axes, keepdims = params
    return xs, (tuple(axis + 1 for axis in axes), keepdims)


def _axis(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    return xs, (params[0] + 1, *params[1:])


def _axes(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    return xs, (tuple(axis + 1 for axis in params[0]),)


def _last_axis(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    *others, axis = params
    return xs, (*others, axis + 1)


def _broadcast(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    (shape,) = params
    return [_lengthened(xs[0], True, len(shape))], ((count, *shape),)


def _sum_to(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    (shape,), (x,) = params, xs
    missing = x.ndim - 1 - len(shape)
    return [ops.sum(x, tuple(range(1, 1 + missing))) if missing else x], ((count, *shape),)


def _reshaped(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    return xs, ((count, *params[0]),)


def _transposed(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    return xs, ((0, *(axis + 1 for axis in params[0])),)


def _rolled(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    shifts, axes = params
    return xs, (shifts, tuple(axis + 1 for axis in axes))


def _padded(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    return xs, (((0, 0), *params[0]),)


def _same(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    return xs, params


def _joined(xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    return [
        x if mark else ops.broadcast_to(x, (count, *x.shape)) for x, mark in zip(xs, marked, strict=True)
    ], (params[0] + 1,)


def _indexed(xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    index, *shape = params
    parts = index if isinstance(index, tuple) else (index,)
    gathers = any(getattr(part, "ndim", 0) or isinstance(part, (bool, numpy.bool_)) for part in parts)
    if gathers and not _together(parts):
        return None  # the axes of the arrays would come first
    return xs, ((slice(None), *parts), *((count, *s) for s in shape))


def _together(parts: Sequence[Any]) -> bool:
    """Whether arrays and numbers of an index, which are gathered as one, stand side by side."""
    places = [
        i
        for i, part in enumerate(parts)
        if not isinstance(part, slice) and part is not None and part is not Ellipsis
    ]
    return places == [*range(places[0], places[-1] + 1)]


def _looked_up(xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    if marked[1]:
        return None
    axis, *shape = params
    return xs, (axis + 1, *((count, *s) for s in shape))


def _along_axis(xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    axis, *shape = params
    return _joined(xs, marked, (axis,), count)[0], (axis + 1, *((count, *s) for s in shape))


def _einsum(xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    terms, result = params
    letter = next(chr(i) for i in range(ord("A"), ord("Z") + 1) if chr(i) not in "".join([*terms, result]))
    return xs, (
        tuple(letter * mark + term for term, mark in zip(terms, marked, strict=True)),
        letter + result,
    )


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("sum", "max", "min", "argmax", "argmin", "all", "any"), _reduced),
    **dict.fromkeys(("cumsum", "sort", "argsort", "unstack"), _axis),
    "broadcast_to": _broadcast,
    "sum_to": _sum_to,
    "reshape": _reshaped,
    "transpose": _transposed,
    "flip": _axes,
    "roll": _rolled,
    "pad": _padded,
    "tril": _same,
    "triu": _same,
    "concatenate": _joined,
    "stack": _joined,
    "split": _last_axis,
    "getitem": _indexed,
    "scatter": _indexed,
    "take": _looked_up,
    "scatter_take": _looked_up,
    "take_along_axis": _along_axis,
    "scatter_along_axis": _along_axis,
    "matmul": _broadcasting,
    "einsum": _einsum,
}
"""By the name of a row that is not elementwise."""


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
