"""Case 2, addition, by known places: another shape, another order, joined, taken apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import arguments
from ..chain_rule import addition as a
from ..errors import ShapeError
from ..tape import apply
from .operands import ArrayLike, Axis, Tensor, as_tensor, as_tensors, axes_among, axes_of, axis_among, axis_of


def reshape(x: ArrayLike, shape: int | Sequence[int]) -> Tensor:
    """The same elements in another shape; one length may be −1.

    >>> tg.reshape([1.0, 2.0, 3.0, 4.0], (2, -1))
    tensor([[1., 2.],
            [3., 4.]], dtype=float32)
    """
    x = as_tensor(x)
    lengths = (
        shape
        if type(shape) is tuple and _INT.issuperset(map(type, shape))
        else arguments.shape("reshape: shape", shape, -1)
    )
    return apply(a.RESHAPE, (x,), (_whole_shape(x.shape, lengths),))


_INT = frozenset((int,))


def _whole_shape(shape: tuple[int, ...], lengths: tuple[int, ...]) -> tuple[int, ...]:
    if -1 not in lengths:
        return lengths
    known = 1
    for n in lengths:
        known *= 1 if n == -1 else n
    size = 1
    for n in shape:
        size *= n
    if lengths.count(-1) > 1 or known == 0 or size % known:
        raise ShapeError(f"reshape: {list(shape)} cannot take the shape {list(lengths)}")
    return tuple(size // known if n == -1 else n for n in lengths)


def along(x: ArrayLike, axis: int | None) -> tuple[Tensor, int]:
    """A tensor and one of its axes counted from the front; for None, all its elements in a line."""
    x = as_tensor(x)
    return (reshape(x, (-1,)), 0) if axis is None else (x, axis_of(x, axis))


def transpose(x: ArrayLike, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order, reversed by default.

    >>> tg.transpose(tg.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    x = as_tensor(x)
    order = (
        tuple(range(x.ndim))[::-1]
        if axes is None
        else axes_of(x, arguments.wholes("transpose: axes", axes), ordered=True)
    )
    if len(order) != x.ndim:
        raise ShapeError(f"transpose: axes {order} are not an order of the {x.ndim} axes of shape {x.shape}")
    return apply(a.TRANSPOSE, (x,), (order,))


def swapaxes(x: ArrayLike, axis1: int, axis2: int) -> Tensor:
    """Two axes in each other's place.

    >>> tg.swapaxes(tg.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = as_tensor(x)
    order = list(range(x.ndim))
    i, j = axis_of(x, axis1), axis_of(x, axis2)
    order[i], order[j] = j, i
    return apply(a.TRANSPOSE, (x,), (tuple(order),))


def moveaxis(x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Axes at other places, the rest in their order.

    >>> tg.moveaxis(tg.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = as_tensor(x)
    sources, destinations = axes_of(x, source, ordered=True), axes_of(x, destination, ordered=True)
    if len(sources) != len(destinations):
        raise ShapeError(f"moveaxis: {len(sources)} axes cannot go to {len(destinations)} places")
    order = [i for i in range(x.ndim) if i not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


def squeeze(x: ArrayLike, axis: Axis = None) -> Tensor:
    """Without the axes of length 1, or without those named.

    >>> tg.squeeze(tg.zeros((1, 3, 1)), axis=0).shape
    (3, 1)
    """
    x = as_tensor(x)
    lost = tuple(i for i, n in enumerate(x.shape) if n == 1) if axis is None else axes_of(x, axis)
    if any(x.shape[i] != 1 for i in lost):
        raise ShapeError(f"squeeze: an axis of {axis} of shape {x.shape} is longer than 1")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in lost))


def expand_dims(x: ArrayLike, axis: int | Sequence[int]) -> Tensor:
    """With new axes of length 1 at the given places of the result.

    >>> tg.expand_dims(tg.zeros(3), 0).shape
    (1, 3)
    """
    x = as_tensor(x)
    places = arguments.wholes("expand_dims: axis", axis)
    rank = x.ndim + len(places)
    new = axes_among(places, rank)
    lengths = iter(x.shape)
    return reshape(x, tuple(1 if i in new else next(lengths) for i in range(rank)))


def flip(x: ArrayLike, axis: Axis = None) -> Tensor:
    """Backwards along axes, along all by default.

    >>> tg.flip([1.0, 2.0, 3.0])
    tensor([3., 2., 1.], dtype=float32)
    """
    x = as_tensor(x)
    return apply(a.FLIP, (x,), (axes_of(x, axis),))


def roll(x: ArrayLike, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Elements pushed along axes, around the end.

    >>> tg.roll([1.0, 2.0, 3.0], 1)
    tensor([3., 1., 2.], dtype=float32)
    """
    x = as_tensor(x)
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, 0), x.shape)
    axes = axes_of(x, axis, ordered=True, repeated=True)
    shifts = arguments.wholes("roll: shift", shift)
    if len(shifts) != len(axes):
        axes, shifts = (
            axes * len(shifts) if len(axes) == 1 else axes,
            shifts * len(axes) if len(shifts) == 1 else shifts,
        )
    if len(shifts) != len(axes):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    return apply(a.ROLL, (x,), (shifts, axes))


def tril(x: ArrayLike, k: int = 0) -> Tensor:
    """0 above the k-th diagonal.

    >>> tg.tril([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 0.],
            [3., 4.]], dtype=float32)
    """
    return apply(a.TRIL, (x,), (arguments.whole("tril: k", k),))


def triu(x: ArrayLike, k: int = 0) -> Tensor:
    """0 below the k-th diagonal.

    >>> tg.triu([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [0., 4.]], dtype=float32)
    """
    return apply(a.TRIU, (x,), (arguments.whole("triu: k", k),))


def broadcast_to(x: ArrayLike, shape: Sequence[int]) -> Tensor:
    """Stretched to a shape; residuals of the copies are added up.

    >>> tg.broadcast_to([1.0, 2.0], (2, 2))
    tensor([[1., 2.],
            [1., 2.]], dtype=float32)
    """
    return apply(
        a.BROADCAST_TO,
        (x,),
        (shape if type(shape) is tuple else arguments.shape("broadcast_to: shape", shape),),
    )


# -- joining and splitting ---------------------------------------------------------------------------

_LISTS = (list, tuple)


def concatenate(arrays: Iterable[ArrayLike], axis: int | None = 0) -> Tensor:
    """Tensors one after the other along an axis (flattened if None).

    >>> tg.concatenate([[1.0, 2.0], [3.0]])
    tensor([1., 2., 3.], dtype=float32)
    """
    parts = as_tensors(
        *(arrays if type(arrays) in _LISTS else arguments.several("concatenate: arrays", arrays))
    )
    if not parts:
        raise ShapeError("concatenate: there is nothing to join")
    if axis is None:
        parts, axis = [reshape(part, (-1,)) for part in parts], 0
    return apply(a.CONCATENATE, parts, (axis_of(parts[0], axis),))


concat = concatenate


def stack(arrays: Iterable[ArrayLike], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis.

    >>> tg.stack([[1.0, 2.0], [3.0, 4.0]], axis=1)
    tensor([[1., 3.],
            [2., 4.]], dtype=float32)
    """
    parts = as_tensors(*(arrays if type(arrays) in _LISTS else arguments.several("stack: arrays", arrays)))
    if not parts:
        raise ShapeError("stack: there is nothing to join")
    return apply(a.STACK, parts, (axis_among(axis, parts[0].ndim + 1),))


def split(x: ArrayLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Equal parts (a number of them) or parts cut before the given places: one entry with several outputs, no
    copies.

    >>> a, b = tg.split([1.0, 2.0, 3.0, 4.0], 2)
    >>> b
    tensor([3., 4.], dtype=float32)
    """
    x = as_tensor(x)
    axis = axis_of(x, axis)
    n = x._data.shape[axis]
    if arguments.is_one(indices_or_sections):
        parts = arguments.size("split: indices_or_sections", indices_or_sections, 1)
        if n % parts:
            raise ShapeError(
                f"split: an axis of {n} cannot be cut into {parts} equal parts; use array_split or give "
                "the places"
            )
        return apply(
            a.SPLIT, (x,), (tuple(range(n // parts, n, n // parts)) if n else (0,) * (parts - 1), axis)
        )
    places = arguments.wholes("split: indices_or_sections", indices_or_sections)
    bounds = [min(max(p + n if p < 0 else p, 0), n) for p in places]
    if bounds != sorted(bounds):
        raise ShapeError(f"split: the places {list(places)} must not fall")
    return apply(a.SPLIT, (x,), (tuple(bounds), axis))


def unstack(x: ArrayLike, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis: one entry with several outputs.

    >>> a, b = tg.unstack([[1.0, 2.0], [3.0, 4.0]])
    >>> b
    tensor([3., 4.], dtype=float32)
    """
    x = as_tensor(x)
    if x.ndim == 0:
        raise ShapeError("unstack: a number has no axis to take apart")
    return apply(a.UNSTACK, (x,), (axis_of(x, axis),))


# fmt: off
__all__ = [
    "broadcast_to", "concat", "concatenate", "expand_dims", "flip", "moveaxis", "reshape", "roll",
    "split", "squeeze", "stack", "swapaxes", "transpose", "tril", "triu", "unstack",
]
