"""Lengths that a model takes as they come: the number of steps, the number of samples.

A model is traced for several of them. A number that is another one each time, the length of an axis or the
reciprocal in a mean, is written as what it is of them, or the model is refused: a file never holds the number
of one trace.

    steps    17, 24, 17, 34,  2, 67    of six traces, with
    samples   5,  5,  8, 12, 37,  3
             16, 23, 16, 33,  1, 66    is steps − 1
             85, 120, 136, 408, 74, 201    is steps · samples
             16, 24, 16, 34,  2, 66    is none: it was steps // 2 · 2

What stays the same in all of these traces is taken to stay so: code that decides at 100 steps is not noticed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .... import backends
from ....errors import CheckpointError


@dataclass(frozen=True)
class Length:
    """scale · (the product of some lengths) + offset; or 1 over that."""

    names: tuple[str, ...]
    scale: int = 1
    offset: int = 0
    reciprocal: bool = False


UNKNOWN = Length(())
"""The length of an axis that a file need not say, such as that of every second step."""

Traces = Sequence[dict[str, int]]
"""The lengths of each trace by their names."""

_SIZES = ((17, 24, 34), (5, 8, 12), (13, 20, 29), (3, 7, 14))
"""Of each such length the first one, the second one, and that of the last trace but two; no two alike. Odd
and even ones of several residues: what is rounded, or filled up, is no sum of them."""

_SMALL, _LARGE = (2, 3, 4, 6), (67, 37, 41, 53)
"""Of each such length a small one and a large one, for two traces: each is small in one of them."""


def traces_of(names: Sequence[str]) -> Sequence[Traces]:
    """The lengths to trace with: all first ones; each time one other; all others; small and large.

    Returns:
        Of each trace its lengths, and what else will do where a model takes no sequences so short or so long.
    """
    if len(names) > len(_SIZES):
        raise CheckpointError(f"export: at most {len(_SIZES)} axes are free, not {len(names)}")
    sizes = dict(zip(names, _SIZES, strict=False))
    first = {name: size[0] for name, size in sizes.items()}
    traces: list[Traces] = [
        [first],
        *([{**first, name: size[1]}] for name, size in sizes.items()),
        [{name: size[2] for name, size in sizes.items()}],
    ]
    for small in (0, 1) if names else ():
        extreme = {name: (_SMALL if i % 2 == small else _LARGE)[i] for i, name in enumerate(names)}
        nearer = [{name: _between(n, first[name], part) for name, n in extreme.items()} for part in (3, 1)]
        traces.append([extreme, *nearer, first])
    return traces


def _between(extreme: int, first: int, part: int) -> int:
    """A length on the way from a first one to another: so many quarters of the way."""
    return first + part * (extreme - first) // 4


def of(values: Sequence[Any], traces: Traces) -> Any:
    """What a number is, from those of each trace: itself where they are alike, else a :class:`Length`.

    Raises:
        CheckpointError: it is neither.
    """
    if all(value == values[0] or (value != value and values[0] != values[0]) for value in values):  # also NaN
        return values[0]
    if not all(isinstance(value, (int, float)) for value in values):
        raise _different(values)
    if all(float(value).is_integer() for value in values):
        found = _solved([int(value) for value in values], traces)
    else:
        found = _reciprocal(values, traces)
    if found is None:
        raise _different(values)
    return found


def shape_of(shapes: Sequence[tuple[int, ...]], traces: Traces) -> tuple[Any, ...]:
    """A shape, from those of each trace; what no file can hold is :data:`UNKNOWN`.

    Raises:
        CheckpointError: the number of axes differs.
    """
    if any(len(shape) != len(shapes[0]) for shape in shapes):
        raise unlike()
    return tuple(
        [n[0] if len(set(n)) == 1 else _solved(n, traces) or UNKNOWN for n in zip(*shapes, strict=True)]
    )


def _reciprocal(values: Sequence[float], traces: Traces) -> Length | None:
    """What a mean multiplies by."""
    if not all(0 < abs(value) <= 1 for value in values):
        return None
    counts = [round(1 / value) for value in values]
    if not all(math.isclose(1 / n, value, rel_tol=1e-12) for n, value in zip(counts, values, strict=True)):
        return None
    found = _solved(counts, traces)
    return None if found is None else Length(found.names, found.scale, found.offset, True)


def _different(values: Sequence[Any]) -> CheckpointError:
    return CheckpointError(
        "export: the model computes with a number that depends on the lengths of its input in a way that no "
        f"file can hold: it was {', '.join(map(str, values))} at several lengths; fix these with axes={{}}"
    )


def _solved(values: Sequence[int], traces: Traces) -> Length | None:
    names = tuple(traces[0])
    moved = tuple(name for i, name in enumerate(names) if values[i + 1] != values[0])
    if not moved:
        return None
    products = [math.prod(trace[name] for name in moved) for trace in traces]
    others = len(names) + 1  # the trace with all others
    scale = (values[others] - values[0]) / (products[others] - products[0])
    length = Length(moved, int(scale), values[0] - int(scale) * products[0])
    same = [length.scale * product + length.offset for product in products] == list(values)
    return length if scale.is_integer() and same else None


def joined(parts: Sequence[Any], traces: Traces) -> Any:
    """What is nested alike in each trace, with what :func:`of` says of its numbers.

    Raises:
        CheckpointError: something else than numbers differs.
    """
    first = parts[0]
    if isinstance(first, (tuple, list)):
        if any(not isinstance(part, type(first)) or len(part) != len(first) for part in parts):
            raise unlike()
        return type(first)([joined(each, traces) for each in zip(*parts, strict=True)])
    if isinstance(first, slice):
        bounds = [(part.start, part.stop, part.step) for part in parts]
        return slice(*joined(bounds, traces))
    if (owner := backends.owner(first)) is not None:
        parts = [owner.to_host(part) for part in parts]
        first = parts[0]
        if any(part.shape != first.shape or (part != first).any() for part in parts):
            raise unlike()
        return first
    return of(parts, traces)


def unlike() -> CheckpointError:
    """The error for traces that differ in more than numbers."""
    return CheckpointError(
        "export: the model does something else when its input is longer or shorter, or has more or less "
        "samples: write loops "
        "over time as nn.Recurrent(cell), or fix the lengths with axes={}"
    )
