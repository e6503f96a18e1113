"""How a row that is not elementwise is written as loops: where an addition takes each element from, what a
weighting adds up.

    y = concatenate([a, b], 1)      y[i, j] = a[i, j]        for j in 0 … n
                                    y[i, j] = b[i, j − n]    for j in n … n + m

A routing is a few *pieces*: boxes of the result in which every element is read from one operand, at indices
that are steps along the axes of the result. An element that no piece covers is 0. Reshapes keep the order of
elements and need no pieces; a reduction says which axes stay; what looks up, or adds, at indices that are
values themselves says along which axis; a contraction names the axes of its operands and of its result by
letters.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """The index along an axis of an operand, from the place within the piece along an axis of the result:
    ``offset + scale · place``.

    Without an axis it stays at the offset.
    """

    axis: int | None
    scale: int = 1
    offset: int = 0


@dataclass(frozen=True)
class Piece:
    """A box of the result that is read from one operand.

    Attributes:
        operand: which.
        box: along each axis of the result the first index, the end, and the step: places are counted in steps
            from the first.
        steps: for each axis of the operand.
        diagonal: only where (index along the last axis) − (index along the one before) is at most, or at
            least, a number: ("≤", k); else 0.
    """

    operand: int
    box: tuple[tuple[int, int, int], ...]
    steps: tuple[Step, ...]
    diagonal: tuple[str, int] | None = None


Route = Callable[[Sequence[Shape], tuple[Any, ...], int], list[Piece]]
"""route(shapes of the operands, params, which of several results) → pieces."""


@dataclass(frozen=True)
class Routed:
    """Each element is one of the operands'.

    Attributes:
        pieces: which; of an index that holds arrays there are none: it is looked up in a table of places.
        index: of an index, the position of it among the parameters; else None.
        axis: of what is cut or joined along an axis, the position of that among the parameters; else None.
        permutes: it is a permutation of the axes, which is the only parameter.
    """

    pieces: Route
    index: int | None = None
    axis: int | None = None
    permutes: bool = False


@dataclass(frozen=True)
class Reshaped:
    """The same elements in the same order."""


@dataclass(frozen=True)
class Reduced:
    """Elements along axes become one.

    Attributes:
        how: "sum", "max", "min", "all", "any", "argmax" or "argmin".
        kept: kept(shape of the operand, params): for each of its axes that of the result, or None.
        broadcast: it undoes a broadcast, from the shape that is the only parameter.
    """

    how: str
    kept: Callable[[Shape, tuple[Any, ...]], list[int | None]]
    broadcast: bool = False


@dataclass(frozen=True)
class Accumulated:
    """Sums of the elements so far along an axis, the first of the parameters."""


@dataclass(frozen=True)
class LookedUp:
    """Elements of the first operand at places that the second one names, along the axis that is the first of
    the parameters.

    Attributes:
        along: the axes of the places are those of the operand, too.
        adjoint: instead, the first operand's elements are added at the places of a result of zeros, whose
            shape is the second parameter.
    """

    along: bool = False
    adjoint: bool = False


@dataclass(frozen=True)
class Checked:
    """The operand itself; numbers below the second parameter, and from the third on, are an error."""


@dataclass(frozen=True)
class Contracted:
    """A sum of products.

    Attributes:
        letters: letters(shapes of the operands, params): for each operand one for each of its axes, and those
            of the result. An axis of length 1 under a letter of more is repeated. Letters that are not in the
            result are summed over.
        matrices: it is the product of two matrices, or of stacks of them.
    """

    letters: Callable[[Sequence[Shape], tuple[Any, ...]], tuple[Sequence[str], str]]
    matrices: bool = False


Loops = Routed | Reshaped | Reduced | Accumulated | LookedUp | Checked | Contracted


def _whole(shape: Shape) -> tuple[tuple[int, int, int], ...]:
    return tuple((0, n, 1) for n in shape)


def _same(shape: Shape) -> tuple[Step, ...]:
    return tuple(Step(i) for i in range(len(shape)))


def transpose(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    (shape,), (axes,) = shapes, params
    place = {axis: i for i, axis in enumerate(axes)}
    return [Piece(0, _whole(tuple(shape[a] for a in axes)), tuple(Step(place[i]) for i in range(len(shape))))]


def broadcast_to(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    (shape,), (wide,) = shapes, params
    lead = len(wide) - len(shape)
    steps = tuple(
        Step(None) if n == 1 and wide[lead + i] != 1 else Step(lead + i) for i, n in enumerate(shape)
    )
    return [Piece(0, _whole(wide), steps)]


def flip(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    (shape,), (axes,) = shapes, params
    return [
        Piece(
            0, _whole(shape), tuple(Step(i, -1, n - 1) if i in axes else Step(i) for i, n in enumerate(shape))
        )
    ]


def roll(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    """An axis that is rolled is cut in two."""
    (shape,), (shifts, axes) = shapes, params
    moved = [0] * len(shape)
    for shift, axis in zip(shifts, axes, strict=True):
        moved[axis] += shift
    parts = []
    for i, n in enumerate(shape):
        by = moved[i] % n if n else 0
        parts.append(
            [((0, by, 1), Step(i, 1, n - by)), ((by, n, 1), Step(i))] if by else [((0, n, 1), Step(i))]
        )
    return [
        Piece(0, tuple(box for box, _ in combination), tuple(step for _, step in combination))
        for combination in itertools.product(*parts)
    ]


def pad(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    (shape,), (widths,) = shapes, params
    box = tuple((before, before + n, 1) for n, (before, _after) in zip(shape, widths, strict=True))
    return [Piece(0, box, _same(shape))]


def tril(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    (shape,), (k,) = shapes, params
    return [Piece(0, _whole(shape), _same(shape), ("≤", k))]


def triu(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    (shape,), (k,) = shapes, params
    return [Piece(0, _whole(shape), _same(shape), ("≥", k))]


def concatenate(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    (axis,), pieces, start = params, [], 0
    for operand, shape in enumerate(shapes):
        end = start + shape[axis]
        box = tuple((start, end, 1) if i == axis else (0, n, 1) for i, n in enumerate(shape))
        pieces.append(Piece(operand, box, _same(shape)))
        start = end
    return pieces


def split(shapes: Sequence[Shape], params: tuple[Any, ...], position: int) -> list[Piece]:
    (shape,), (points, axis) = shapes, params
    start, end = (0, *points)[position], (*points, shape[axis])[position]
    box = tuple((0, max(0, end - start), 1) if i == axis else (0, n, 1) for i, n in enumerate(shape))
    return [Piece(0, box, tuple(Step(i, 1, start if i == axis else 0) for i in range(len(shape))))]


def stack(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    (axis,), pieces = params, []
    for operand, shape in enumerate(shapes):
        box = (*_whole(shape[:axis]), (operand, operand + 1, 1), *_whole(shape[axis:]))
        pieces.append(Piece(operand, box, tuple(Step(i if i < axis else i + 1) for i in range(len(shape)))))
    return pieces


def unstack(shapes: Sequence[Shape], params: tuple[Any, ...], position: int) -> list[Piece]:
    (shape,), (axis,) = shapes, params
    rest = (*shape[:axis], *shape[axis + 1 :])
    steps = tuple(
        Step(None, 1, position) if i == axis else Step(i if i < axis else i - 1) for i in range(len(shape))
    )
    return [Piece(0, _whole(rest), steps)]


def getitem(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    """Of an index of integers, slices, ``None`` and ``...``."""
    (shape,), (index,) = shapes, params
    box: list[tuple[int, int, int]] = []
    steps: list[Step] = []
    for part, n in written_out(index, shape):
        if part is None:
            box.append((0, 1, 1))
        elif isinstance(part, slice):
            start, stop, step = part.indices(n)
            steps.append(Step(len(box), step, start))
            box.append((0, len(range(start, stop, step)), 1))
        else:
            steps.append(Step(None, 1, int(part) % n))
    return [Piece(0, tuple(box), tuple(steps))]


def scatter(shapes: Sequence[Shape], params: tuple[Any, ...], _position: int) -> list[Piece]:
    """The adjoint of such an index: what it took goes back to its place, and nothing else is there."""
    index, shape = params
    box: list[tuple[int, int, int]] = []
    steps: list[Step] = []
    axis = 0
    for part, n in written_out(index, shape):
        if part is None:
            steps.append(Step(None))
        elif isinstance(part, slice):
            places = range(*part.indices(n))
            forward = places if places.step > 0 else places[::-1]
            sign = 1 if places.step > 0 else -1
            box.append((forward.start, forward.stop, forward.step) if places else (0, 0, 1))
            steps.append(Step(axis, sign, 0 if sign > 0 else len(places) - 1))
            axis += 1
        else:
            box.append((int(part) % n, int(part) % n + 1, 1))
            axis += 1
    return [Piece(0, tuple(box), tuple(steps))]


def written_out(index: Any, shape: Shape) -> list[tuple[Any, int]]:
    """The parts of an index of numbers, slices, ``None`` and ``...``, with a slice for each axis that it does
    not name; and the length of the axis of each."""
    parts = list(index) if isinstance(index, tuple) else [index]
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    rest = [slice(None)] * (len(shape) - taken)
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), None)
    parts = [*parts, *rest] if at is None else [*parts[:at], *rest, *parts[at + 1 :]]
    lengths = iter(shape)
    return [(part, 0 if part is None else next(lengths)) for part in parts]


# -- reductions and contractions -----------------------------------------------------------------------------


def over_axes(shape: Shape, params: tuple[Any, ...]) -> list[int | None]:
    """Parameters are the axes, and whether they stay as axes of length 1."""
    axes, keepdims = params
    return _kept(shape, axes, keepdims)


def without_axes(shape: Shape, params: tuple[Any, ...]) -> list[int | None]:
    """The only parameter is the axis, or the axes, that are lost."""
    (axes,) = params
    return _kept(shape, axes if isinstance(axes, tuple) else (axes,), False)


def _kept(shape: Shape, axes: Sequence[int], keepdims: bool) -> list[int | None]:
    lost = {axis % len(shape) for axis in axes}
    left = iter(range(len(shape)))
    return [None if i in lost else i if keepdims else next(left) for i in range(len(shape))]


def to_shape(shape: Shape, params: tuple[Any, ...]) -> list[int | None]:
    """The axes that broadcasting from the parameter made or stretched are lost."""
    (narrow,) = params
    lead = len(shape) - len(narrow)
    return [None if i < lead or (narrow[i - lead] == 1 and n != 1) else i - lead for i, n in enumerate(shape)]


def of_matrices(shapes: Sequence[Shape], params: tuple[Any, ...]) -> tuple[Sequence[str], str]:
    """Stacks of matrices: …ik, …kj → …ij."""
    axes = [chr(ord("A") + i) for i in range(max(map(len, shapes)) - 2)]
    first, second = ("".join(axes[len(axes) - len(shape) + 2 :]) for shape in shapes)
    return (f"{first}ik", f"{second}kj"), "".join(axes) + "ij"


def as_written(shapes: Sequence[Shape], params: tuple[Any, ...]) -> tuple[Sequence[str], str]:
    """The parameters are the letters."""
    return params
