"""How a row that is not elementwise runs once for many values of its operands: those have one axis more, in
front, and so has the result.

    y = sum(x, axis 0)        x: (count, n, m)    y = sum(x, axis 1)      axes are counted on
    y = reshape(x, (m, n))    x: (count, n, m)    y = reshape(x, (count, m, n))

A rule is rule(np, operands, marked, params, count) → the operands and params for all values together, or None
where there are none. Marked operands have the axis, an unmarked one is the same for all values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

Batching = Callable[..., Any]


def _rank(x: Any, mark: bool) -> int:
    """Axes of one value; numbers have none."""
    return getattr(x, "ndim", 0) - mark


def _lengthened(np: Any, x: Any, mark: bool, rank: int) -> Any:
    """With axes of length 1 behind the first one, so that what it broadcasts to has so many more."""
    missing = rank - _rank(x, mark)
    return np.reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:])) if mark and missing else x


def broadcasting(np: Any, xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    """Also of every elementwise row."""
    rank = max(_rank(x, mark) for x, mark in zip(xs, marked, strict=True))
    return [_lengthened(np, x, mark, rank) for x, mark in zip(xs, marked, strict=True)], params


def same(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    """Axes are counted from the end."""
    return xs, params


def first_is_axis(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    axis, *others = params
    return xs, (axis + 1, *others)


def first_is_axes(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    axes, *others = params
    return xs, (tuple(axis + 1 for axis in axes), *others)


def last_is_axis(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    *others, axis = params
    return xs, (*others, axis + 1)


def last_is_axes(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    *others, axes = params
    return xs, (*others, tuple(axis + 1 for axis in axes))


def broadcast_to(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    (shape,) = params
    return [_lengthened(np, xs[0], True, len(shape))], ((count, *shape),)


def sum_to(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    (shape,), (x,) = params, xs
    missing = x.ndim - 1 - len(shape)
    return [np.sum(x, axis=tuple(range(1, 1 + missing))) if missing else x], ((count, *shape),)


def reshape(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    return xs, ((count, *params[0]),)


def transpose(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    return xs, ((0, *(axis + 1 for axis in params[0])),)


def pad(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
    return xs, (((0, 0), *params[0]),)


def joining(np: Any, xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    """All operands have the axis."""
    xs = [x if mark else np.broadcast_to(x, (count, *x.shape)) for x, mark in zip(xs, marked, strict=True)]
    return xs, (params[0] + 1,)


def indexing(np: Any, xs: Sequence[Any], marked: Any, params: Any, count: int) -> Any:
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


def looking_up(np: Any, xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    if marked[1]:
        return None
    axis, *shape = params
    return xs, (axis + 1, *((count, *s) for s in shape))


def along_axis(np: Any, xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    axis, *shape = params
    return joining(np, xs, marked, (axis,), count)[0], (axis + 1, *((count, *s) for s in shape))


def einsum(np: Any, xs: Sequence[Any], marked: Sequence[bool], params: Any, count: int) -> Any:
    terms, result = params
    letter = next(chr(i) for i in range(ord("A"), ord("Z") + 1) if chr(i) not in "".join([*terms, result]))
    return xs, (
        tuple(letter * mark + term for term, mark in zip(terms, marked, strict=True)),
        letter + result,
    )
