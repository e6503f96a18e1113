"""The same elements elsewhere: repeated, turned, joined, cut, taken from a diagonal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy

from .. import arguments, ops
from ..errors import ArgumentError, IndexRangeError, ShapeError
from ..ops import ArrayLike, Axis, Index, along, as_tensor, axes_of, axis_of
from ..ops import transpose as permute_dims
from ..tape import composed, host_array
from ..tensor import Tensor


def ravel(x: ArrayLike) -> Tensor:
    """All elements in a line.

    >>> tg.ravel([[1.0, 2.0], [3.0, 4.0]])
    tensor([1., 2., 3., 4.], dtype=float32)
    """
    return ops.reshape(x, (-1,))


def matrix_transpose(x: ArrayLike) -> Tensor:
    """The last two axes in each other's place.

    >>> tg.matrix_transpose(tg.zeros((5, 2, 3))).shape
    (5, 3, 2)
    """
    return ops.swapaxes(x, -1, -2)


def stop_gradient(x: ArrayLike) -> Tensor:
    """The value as a constant: no residual passes.

    >>> tg.grad(lambda x: x * tg.stop_gradient(x))(3.0)
    tensor(3., dtype=float32)
    """
    return as_tensor(x).detach()


def last(x: Tensor, index: Index) -> Tensor:
    return ops.getitem(x, (..., index))


def lined_up(x: Tensor, axis: Axis) -> tuple[Tensor, tuple[int, ...]]:
    """The axes as a single last one; and the shape of a reduction that keeps them."""
    axes = axes_of(x, axis)
    rest = [i for i in range(x.ndim) if i not in axes]
    lined = ops.reshape(
        ops.transpose(x, (*rest, *axes)), (*(x.shape[i] for i in rest), math.prod(x.shape[i] for i in axes))
    )
    return lined, tuple(1 if i in axes else n for i, n in enumerate(x.shape))


@composed
def rot90(x: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Turned by k quarters from the first axis towards the second.

    >>> tg.rot90([[1.0, 2.0], [3.0, 4.0]])
    tensor([[2., 4.],
            [1., 3.]], dtype=float32)
    """
    x, k = as_tensor(x), arguments.whole("rot90: k", k)
    plane = axes_of(x, arguments.wholes("rot90: axes", axes), ordered=True)
    if len(plane) != 2:
        raise arguments.refused("rot90: axes", "two axes", axes)
    first, second = plane
    if k % 2 == 0:
        return ops.flip(x, plane) if k % 4 else x
    x = ops.swapaxes(x, first, second)
    return ops.flip(x, first if k % 4 == 1 else second)


def fliplr(x: ArrayLike) -> Tensor:
    """Columns backwards.

    >>> tg.fliplr([[1.0, 2.0], [3.0, 4.0]])
    tensor([[2., 1.],
            [4., 3.]], dtype=float32)
    """
    return ops.flip(x, 1)


def flipud(x: ArrayLike) -> Tensor:
    """Rows backwards.

    >>> tg.flipud([[1.0, 2.0], [3.0, 4.0]])
    tensor([[3., 4.],
            [1., 2.]], dtype=float32)
    """
    return ops.flip(x, 0)


def broadcast_arrays(*arrays: ArrayLike) -> tuple[Tensor, ...]:
    """All of them in their joint shape.

    >>> a, b = tg.broadcast_arrays(1.0, [2.0, 3.0])
    >>> a
    tensor([1., 1.], dtype=float32)
    """
    parts = ops.as_tensors(*arrays)
    shape = ops.joint_shape("broadcast_arrays", *(x.shape for x in parts))
    return tuple(ops.broadcast_to(x, shape) for x in parts)


def meshgrid(*vectors: ArrayLike, indexing: str = "xy") -> tuple[Tensor, ...]:
    """The coordinates of a grid, an array for each vector; "xy" puts the first along the columns, "ij" along
    the rows.

    >>> x, y = tg.meshgrid([1.0, 2.0], [3.0, 4.0, 5.0])
    >>> x.shape
    (3, 2)
    """
    arguments.choice("meshgrid: indexing", indexing, ("xy", "ij"))
    count = len(vectors)
    order = [1, 0, *range(2, count)] if indexing == "xy" and count > 1 else list(range(count))
    lined = [
        ops.reshape(x, [-1 if i == place else 1 for i in range(count)])
        for x, place in zip(vectors, order, strict=True)
    ]
    return broadcast_arrays(*lined)


def append(x: ArrayLike, values: ArrayLike, axis: int | None = None) -> Tensor:
    """x and then the values, as :func:`concatenate`.

    >>> tg.append([1.0, 2.0], [3.0])
    tensor([1., 2., 3.], dtype=float32)
    """
    return ops.concatenate([x, values], axis)


def delete(x: ArrayLike, indices: ArrayLike | slice, axis: int | None = None) -> Tensor:
    """Without the slices at the given places.

    >>> tg.delete([1.0, 2.0, 3.0], 1)
    tensor([1., 3.], dtype=float32)
    """
    x, axis = along(x, axis)
    places = numpy.arange(x.shape[axis])
    try:
        left = numpy.delete(places, indices if isinstance(indices, slice) else host_array(indices))
    except IndexError as error:
        raise IndexRangeError(f"delete: indices: {error}") from error
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"delete: indices must be whole numbers, a slice or a mask: {error}") from error
    return ops.take(x, left, axis)


@composed
def tile(x: ArrayLike, reps: int | Sequence[int]) -> Tensor:
    """The array repeated as blocks along its axes.

    >>> tg.tile([1.0, 2.0], 2)
    tensor([1., 2., 1., 2.], dtype=float32)
    """
    x = as_tensor(x)
    times = arguments.shape("tile: reps", reps)
    times = (1,) * (x.ndim - len(times)) + times
    shape = (1,) * (len(times) - x.ndim) + x.shape
    blocks = ops.broadcast_to(
        ops.reshape(x, [n for m in shape for n in (1, m)]),
        [n for pair in zip(times, shape, strict=True) for n in pair],
    )
    return ops.reshape(blocks, [t * m for t, m in zip(times, shape, strict=True)])


@composed
def repeat(x: ArrayLike, repeats: ArrayLike, axis: int | None = None) -> Tensor:
    """Each slice along an axis several times in a row.

    >>> tg.repeat([1.0, 2.0], 2)
    tensor([1., 1., 2., 2.], dtype=float32)
    """
    x, axis = along(x, axis)
    try:
        places = numpy.repeat(numpy.arange(x.shape[axis]), host_array(repeats))
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            f"repeat: repeats must be whole numbers, 0 or more, one or one for each slice: {error}"
        ) from error
    return ops.take(x, places, axis)


# -- diagonals ----------------------------------------------------------------------------------------


@composed
def diagonal(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of two axes, as the last axis.

    >>> tg.diagonal([[1.0, 2.0], [3.0, 4.0]])
    tensor([1., 4.], dtype=float32)
    """
    x, offset = as_tensor(x), arguments.whole("diagonal: offset", offset)
    x = ops.moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    offset = max(-rows, min(offset, columns))
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    line = numpy.arange(n)
    return ops.getitem(x, (..., line - min(offset, 0), line + max(offset, 0)))


@composed
def diag(x: ArrayLike, k: int = 0) -> Tensor:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix.

    >>> tg.diag([1.0, 2.0])
    tensor([[1., 0.],
            [0., 2.]], dtype=float32)
    """
    x, k = as_tensor(x), arguments.whole("diag: k", k)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag: needs a vector or a matrix, got shape {x.shape}")
    n = x.shape[0] + abs(k)
    arguments.shape("diag: the matrix", (n, n))
    line = numpy.arange(x.shape[0])
    rows, columns = (x._backend.from_host(line + max(s * k, 0)) for s in (-1, 1))
    return ops.scatter(x, (rows, columns), (n, n))


@composed
def trace(x: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonal of two axes.

    >>> tg.trace([[1.0, 2.0], [3.0, 4.0]])
    tensor(5., dtype=float32)
    """
    return ops.sum(diagonal(x, offset, axis1, axis2), -1)


# -- joining and splitting ----------------------------------------------------------------------------


def atleast_1d(x: ArrayLike) -> Tensor:
    """A number as a vector of one; anything else as it is.

    >>> tg.atleast_1d(2.0)
    tensor([2.], dtype=float32)
    """
    x = as_tensor(x)
    return ops.reshape(x, (1,)) if x.ndim == 0 else x


def atleast_2d(x: ArrayLike) -> Tensor:
    """A vector as a matrix of one row; a matrix as it is.

    >>> tg.atleast_2d([1.0, 2.0])
    tensor([[1., 2.]], dtype=float32)
    """
    x = atleast_1d(x)
    return ops.reshape(x, (1, -1)) if x.ndim == 1 else x


def vstack(arrays: Iterable[ArrayLike]) -> Tensor:
    """One below the other: along the first axis, vectors as rows.

    >>> tg.vstack([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]], dtype=float32)
    """
    return ops.concatenate([atleast_2d(x) for x in arguments.several("vstack: arrays", arrays)], 0)


def hstack(arrays: Iterable[ArrayLike]) -> Tensor:
    """Side by side: along the second axis, vectors one after the other.

    >>> tg.hstack([[1.0, 2.0], [3.0]])
    tensor([1., 2., 3.], dtype=float32)
    """
    parts = [atleast_1d(x) for x in arguments.several("hstack: arrays", arrays)]
    return ops.concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1)


def dstack(arrays: Iterable[ArrayLike]) -> Tensor:
    """Behind each other: along the third axis.

    >>> tg.dstack([tg.zeros((2, 3)), tg.ones((2, 3))]).shape
    (2, 3, 2)
    """
    parts = [atleast_2d(x) for x in arguments.several("dstack: arrays", arrays)]
    return ops.concatenate([ops.expand_dims(x, 2) if x.ndim == 2 else x for x in parts], 2)


def column_stack(arrays: Iterable[ArrayLike]) -> Tensor:
    """Vectors as the columns of a matrix.

    >>> tg.column_stack([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 3.],
            [2., 4.]], dtype=float32)
    """
    parts = [atleast_1d(x) for x in arguments.several("column_stack: arrays", arrays)]
    return ops.concatenate([ops.expand_dims(x, 1) if x.ndim == 1 else x for x in parts], 1)


def array_split(x: ArrayLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """As split, but a number of parts need not divide the axis: the first ones are one longer.

    >>> [part.tolist() for part in tg.array_split([1.0, 2.0, 3.0], 2)]
    [[1.0, 2.0], [3.0]]
    """
    if not arguments.is_one(indices_or_sections):
        return ops.split(x, indices_or_sections, axis)
    x, parts = as_tensor(x), arguments.size("array_split: indices_or_sections", indices_or_sections, 1)
    each, longer = divmod(x.shape[axis_of(x, axis)], parts)
    return ops.split(x, [i * each + min(i, longer) for i in range(1, parts)], axis)


def hsplit(x: ArrayLike, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """As :func:`split`, along the second axis, a vector along its only one.

    >>> left, right = tg.hsplit([[1.0, 2.0], [3.0, 4.0]], 2)
    >>> right
    tensor([[2.],
            [4.]], dtype=float32)
    """
    x = as_tensor(x)
    return ops.split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


def vsplit(x: ArrayLike, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """As :func:`split`, along the first axis.

    >>> top, bottom = tg.vsplit([[1.0, 2.0], [3.0, 4.0]], 2)
    >>> bottom
    tensor([[3., 4.]], dtype=float32)
    """
    return ops.split(x, indices_or_sections, 0)


# fmt: off
__all__ = [
    "append", "array_split", "atleast_1d", "atleast_2d", "broadcast_arrays", "column_stack", "delete",
    "diag", "diagonal", "dstack", "fliplr", "flipud", "hsplit", "hstack", "matrix_transpose", "meshgrid",
    "permute_dims", "ravel", "repeat", "rot90", "stop_gradient", "tile", "trace", "vsplit", "vstack",
]
