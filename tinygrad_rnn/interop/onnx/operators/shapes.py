"""Operators that put elements elsewhere, and those that say shapes."""

from __future__ import annotations

import math

import numpy

from .... import ops
from ....derived import shapes
from ....ops import axis_of
from ....tensor import Tensor, tensor
from .table import Node, ints, operator, words


@operator("Shape", "start end")
def _shape(node: Node, x: Tensor) -> numpy.ndarray:
    return numpy.array(x.shape[node.get("start", 0) : node.get("end")], numpy.int64)


@operator("Size")
def _size(node: Node, x: Tensor) -> numpy.ndarray:
    return numpy.array(x.size, numpy.int64)


@operator("Reshape", "allowzero", host=(1,))
def _reshape(node: Node, x: Tensor, shape: numpy.ndarray) -> Tensor:
    """A length of 0 stands for that of x, where it is not allowed as one."""
    lengths = ints(shape)
    if not node.get("allowzero", 0):
        lengths = tuple(x.shape[axis] if n == 0 else n for axis, n in enumerate(lengths))
    if -1 in lengths and x.size == 0:  # what is left of nothing
        known = math.prod(n for n in lengths if n != -1)
        lengths = tuple((0 if known else 1) if n == -1 else n for n in lengths)
    return ops.reshape(x, lengths)


@operator("Flatten", "axis")
def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return ops.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@operator("Transpose", "perm")
def _transpose(node: Node, x: Tensor) -> Tensor:
    return ops.transpose(x, node.get("perm"))


@operator("Squeeze", "axes", host=(1,))
def _squeeze(node: Node, x: Tensor, axes: numpy.ndarray | None = None) -> Tensor:
    given = node.get("axes", axes)
    return ops.squeeze(x, None if given is None else ints(given))


@operator("Unsqueeze", "axes", host=(1,))
def _unsqueeze(node: Node, x: Tensor, axes: numpy.ndarray | None = None) -> Tensor:
    return ops.expand_dims(x, ints(node.get("axes", axes)))


@operator("Concat", "axis")
def _concatenate(node: Node, *xs: Tensor) -> Tensor:
    return ops.concatenate(xs, node.get("axis", 1))


@operator("Split", "axis split num_outputs", host=(1,), outputs=None)
def _split(node: Node, x: Tensor, split: numpy.ndarray | None = None) -> tuple[Tensor, ...]:
    """Into given lengths: an attribute, since opset 13 an input. Or evenly, and the last may be shorter."""
    axis = axis_of(x, node.get("axis", 0))
    given, count, n = node.get("split", split), len(node.outputs), x.shape[axis]
    lengths = [-(-n // count)] * (count - 1) if given is None else list(ints(given))[:-1]
    if given is not None and (len(ints(given)) != count or sum(ints(given)) != n):
        node.refuse(f"the lengths {list(ints(given))} do not make {count} parts of {n}")
    ends = numpy.cumsum(lengths, dtype=numpy.int64)
    return ops.split(x, [int(min(end, n)) for end in ends], axis)


@operator("Slice", "starts ends axes", host=(1, 2, 3, 4))
def _slice(
    node: Node,
    x: Tensor,
    starts: numpy.ndarray | None = None,
    ends: numpy.ndarray | None = None,
    axes: numpy.ndarray | None = None,
    steps: numpy.ndarray | None = None,
) -> Tensor:
    """Until opset 10 the places are attributes. They are held within the axis, as Python does it."""
    first, last = ints(node.get("starts", starts)), ints(node.get("ends", ends))
    given = node.get("axes", axes)
    over = range(len(first)) if given is None else ints(given)
    index = [slice(None)] * x.ndim
    for axis, begin, end, step in zip(
        over, first, last, (1,) * len(first) if steps is None else ints(steps), strict=True
    ):
        axis = axis_of(x, axis)
        # to the front, where counting from the end would begin anew
        end = None if step < 0 and end < -x.shape[axis] else end  # type: ignore[assignment]
        index[axis] = slice(begin, end, step)
    return ops.getitem(x, tuple(index))


@operator("Gather", "axis")
def _gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    return ops.take(x, indices, node.get("axis", 0))


@operator("GatherElements", "axis")
def _gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = axis_of(x, node.get("axis", 0))
    whole = tuple(slice(None) if i == axis else slice(0, n) for i, n in enumerate(indices.shape))
    return ops.take_along_axis(ops.getitem(x, whole), indices, axis)


def _check_scatter(node: Node) -> None:
    if words(node.get("reduction", "none")) not in ("none", "add"):
        node.refuse(f"the reduction {words(node.get('reduction'))!r} is not supported")


@operator("ScatterElements", "axis reduction", check=_check_scatter)
def _scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """x with other elements at some places of an axis, or with them added there."""
    axis = axis_of(x, node.get("axis", 0))
    places = ops.where(indices < 0, indices + x.shape[axis], indices)
    part = tuple(n if i == axis else m for i, (n, m) in enumerate(zip(x.shape, places.shape, strict=True)))
    rest = [(0, n - m) for n, m in zip(x.shape, part, strict=True)]

    def spread(values: Tensor) -> Tensor:
        return ops.pad(ops.scatter_along_axis(values, places, axis, part), rest)

    if words(node.get("reduction", "none")) == "add":
        return x + spread(updates)
    return ops.where(spread(ops.ones_like(updates)) > 0, spread(updates), x)


@operator("TopK", "axis k largest sorted", host=(1,), outputs=2)
def _largest(node: Node, x: Tensor, k: numpy.ndarray | None = None) -> tuple[Tensor, Tensor]:
    """The largest elements, or the smallest, in their order, and their places; of equal ones the first."""
    axis = axis_of(x, node.get("axis", -1))
    (count,) = ints(node.get("k") if k is None else k)
    if not 0 <= count <= x.shape[axis]:
        node.refuse(f"an axis of {x.shape[axis]} has no {count} largest elements")
    values = x.numpy()  # on the host: of equal ones the order counts
    if node.get("largest", 1):
        values = -values.astype(numpy.int64) if values.dtype.kind in "bu" else -values
    places = numpy.argsort(values, axis, kind="stable")
    order = tensor(places[(*[slice(None)] * axis, slice(0, count))], numpy.int64, backend=x.backend)
    return ops.take_along_axis(x, order, axis), order


@operator("Expand", host=(1,))
def _expand(node: Node, x: Tensor, shape: numpy.ndarray) -> Tensor:
    return ops.broadcast_to(x, numpy.broadcast_shapes(x.shape, ints(shape)))


@operator("Tile", host=(1,))
def _tile(node: Node, x: Tensor, repeats: numpy.ndarray) -> Tensor:
    return shapes.tile(x, ints(repeats))


def _check_pad(node: Node) -> None:
    if words(node.get("mode", "constant")) not in ("constant", "reflect", "edge", "wrap"):
        node.refuse(f"the mode {words(node.get('mode'))!r} is not supported")


@operator("Pad", "mode pads value", host=(1, 2, 3), check=_check_pad)
def _pad(
    node: Node,
    x: Tensor,
    pads: numpy.ndarray | None = None,
    value: numpy.ndarray | None = None,
    axes: numpy.ndarray | None = None,
) -> Tensor:
    """All beginnings, then all ends; until opset 11 as attributes. A negative width cuts off."""
    widths = ints(node.get("pads", pads))
    over = range(x.ndim) if axes is None else [axis_of(x, axis) for axis in ints(axes)]
    pairs = [(0, 0)] * x.ndim
    for axis, before, after in zip(over, widths[: len(over)], widths[len(over) :], strict=True):
        pairs[axis] = (before, after)
    cut = tuple(
        slice(max(0, -before), n - max(0, -after)) for (before, after), n in zip(pairs, x.shape, strict=True)
    )
    if any(min(pair) < 0 for pair in pairs):
        x = ops.getitem(x, cut)
    fill = node.get("value", 0.0) if value is None else value.reshape(()).item()
    mode = words(node.get("mode", "constant"))
    return ops.pad(
        x,
        [(max(0, before), max(0, after)) for before, after in pairs],
        mode,
        **({"constant_values": fill} if mode == "constant" else {}),
    )


@operator("Trilu", "upper", host=(1,))
def _triangle(node: Node, x: Tensor, k: numpy.ndarray | None = None) -> Tensor:
    diagonal = 0 if k is None else ints(k)[0]
    return ops.triu(x, diagonal) if node.get("upper", 1) else ops.tril(x, diagonal)


@operator("ReverseSequence", "time_axis batch_axis", host=(1,))
def _reverse_sequence(node: Node, x: Tensor, lengths: numpy.ndarray) -> Tensor:
    time, batch = axis_of(x, node.get("time_axis", 0)), axis_of(x, node.get("batch_axis", 1))
    steps = numpy.arange(x.shape[time])[:, None]
    places = numpy.where(steps < lengths, lengths - 1 - steps, steps)
    places = places if time < batch else places.T
    index = ops.reshape(
        tensor(places, backend=x.backend),
        tuple(n if i in (time, batch) else 1 for i, n in enumerate(x.shape)),
    )
    return ops.take_along_axis(x, index, time)


# -- what the file says --------------------------------------------------------------------------------------


@operator("Constant", "value value_float value_floats value_int value_ints")
def _constant(node: Node) -> numpy.ndarray:
    (value,) = node.attributes.values()
    if isinstance(value, numpy.ndarray):
        return value
    floats = any(name.startswith("value_float") for name in node.attributes)
    return numpy.array(value, numpy.float32 if floats else numpy.int64)


@operator("ConstantOfShape", "value", host=(0,))
def _constant_of_shape(node: Node, shape: numpy.ndarray) -> numpy.ndarray:
    value = node.get("value", numpy.zeros(1, numpy.float32))
    return numpy.full(ints(shape), value.reshape(()), value.dtype)


@operator("Range", host=(0, 1, 2))
def _range(node: Node, start: numpy.ndarray, limit: numpy.ndarray, delta: numpy.ndarray) -> numpy.ndarray:
    count = max(0, math.ceil((limit.item() - start.item()) / delta.item()))
    return (start.item() + numpy.arange(count) * delta.item()).astype(start.dtype)


@operator("OneHot", "axis", host=(1, 2))
def _one_hot(node: Node, indices: Tensor, depth: numpy.ndarray, values: numpy.ndarray) -> Tensor:
    """Places may count from the end; those beyond it are nowhere."""
    (count,) = ints(depth)
    places = ops.expand_dims(ops.where(indices < 0, indices + count, indices), node.get("axis", -1))
    axis = node.get("axis", -1) % places.ndim
    line = numpy.arange(count).reshape((-1,) + (1,) * (places.ndim - 1 - axis))
    hit = ops.equal(places, tensor(line, places.dtype, backend=places.backend))
    off, on = (tensor(value, values.dtype, backend=places.backend) for value in values)
    return ops.where(hit, on, off)


def _check_cast(node: Node) -> None:
    if not isinstance(node.get("to"), numpy.dtype):
        node.refuse("it casts to a type that tensors lack")


@operator("Cast", "to saturate", check=_check_cast)
def _cast(node: Node, x: Tensor) -> Tensor:
    return ops.astype(x, node.get("to"))


@operator("CastLike", "saturate")
def _cast_like(node: Node, x: Tensor, other: Tensor) -> Tensor:
    return ops.astype(x, other.dtype)
