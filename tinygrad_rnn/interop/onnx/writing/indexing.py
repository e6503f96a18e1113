"""What stands in brackets behind a tensor, in ONNX's operators: slices, then single places, then new axes."""

from __future__ import annotations

from typing import Any

import numpy

from ....errors import CheckpointError
from .lengths import Length
from .writer import Value, Writer


def part(w: Writer, x: Value, axis: int, place: Any, shape: tuple[Any, ...]) -> Value:
    """One place of an axis, which goes."""
    index = w.length(place) if isinstance(place, Length) else None
    scalar = w.number(place, "int64") if index is None else w.one("Squeeze", [index, w.ints([0])], ())
    return w.one("Gather", [x, scalar], shape, axis=axis)


def at_index(w: Writer, x: Value, index: Any, y: Value) -> Value:
    """x[index].

    Raises:
        CheckpointError: several axes are chosen from by arrays, or one by a mask.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in [p for p in parts if not isinstance(p, numpy.ndarray)]:
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        given = sum(p is not None and p is not Ellipsis for p in parts)
        parts[at : at + 1] = [slice(None)] * (x.ndim - given)
    arrays = [p for p in parts if isinstance(p, numpy.ndarray)]
    places = [p for p in parts if isinstance(p, (int, Length))]
    if len(arrays) > 1 or (arrays and places) or any(p.dtype.kind not in "iu" for p in arrays):
        raise CheckpointError(
            "export: an index of a mask, of several arrays, or of an array beside a single place is not "
            "supported: use tg.where or tg.take"
        )
    parts += [slice(None)] * (x.ndim - sum(p is not None for p in parts))
    x = _sliced(w, x, [p for p in parts if p is not None])
    return _placed(w, x, parts, y)


def _sliced(w: Writer, x: Value, parts: list[Any]) -> Value:
    """The slices, all in one node."""
    starts: list[Any] = []
    ends: list[Any] = []
    axes, steps, shape = [], [], list(x.shape)
    for axis, piece in enumerate(parts):
        if not isinstance(piece, slice) or piece == slice(None):
            continue
        step = 1 if piece.step is None else piece.step
        large = numpy.iinfo(numpy.int64).max
        starts.append((0 if step > 0 else -1) if piece.start is None else piece.start)
        ends.append((large if step > 0 else -large - 1) if piece.stop is None else piece.stop)
        axes.append(axis)
        steps.append(step)
        shape[axis] = None
    if not axes:
        return x
    inputs = [w.lengths(starts), w.lengths(ends), w.ints(axes), w.ints(steps)]
    return w.one("Slice", [x, *inputs], tuple(shape))


def _placed(w: Writer, x: Value, parts: list[Any], y: Value) -> Value:
    """Single places and arrays of them, from the last axis on, then the new axes."""
    axis = x.ndim
    shape: list[Any] = list(x.shape)
    for piece in reversed([p for p in parts if p is not None]):
        axis -= 1
        if isinstance(piece, slice):
            continue
        if isinstance(piece, numpy.ndarray):
            chosen = w.one("Gather", [x, w.array(piece.astype(numpy.int64), "index")], (), axis=axis)
            shape[axis : axis + 1] = piece.shape
            x = Value(chosen.name, tuple(shape), x.dtype)
        else:
            del shape[axis]
            x = part(w, x, axis, piece, tuple(shape))
    new, at = [], 0
    for piece in parts:
        if piece is None:
            new.append(at)
        at += piece.ndim if isinstance(piece, numpy.ndarray) else piece is None or isinstance(piece, slice)
    if new:
        x = w.one("Unsqueeze", [x, w.ints(new)], y.shape)
    return Value(x.name, y.shape, y.dtype)
