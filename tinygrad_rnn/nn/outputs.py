"""What comes out of recurrent layers, laid out as somebody wants it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from .. import ops, tree
from ..errors import ShapeError
from ..tape import host, lift
from ..tensor import Tensor

_TOGETHER: dict[str, Callable[[list[Any]], Any]] = {
    "concat": lambda ys: ops.concatenate(ys, -1),
    "sum": lambda ys: functools.reduce(ops.add, ys),
    "mean": lambda ys: functools.reduce(ops.add, ys) * (1 / len(ys)),
    "mul": lambda ys: functools.reduce(ops.multiply, ys),
}

MERGES = tuple(_TOGETHER)


def merged(name: str, merge: str, ys: Sequence[Any]) -> Any:
    """The outputs of all directions as one, leaf by leaf.

    Raises:
        ShapeError: they have different sizes, and do not stand side by side.
    """
    leaves = [tree.leaves(y) for y in ys]
    for parts in zip(*leaves, strict=True):
        if merge != "concat" and len({part.shape for part in parts}) > 1:
            raise ShapeError(
                f"{name}: merge={merge!r} needs outputs of one shape, got {[part.shape for part in parts]}"
            )
    return tree.unflatten(ys[0], [_TOGETHER[merge](list(parts)) for parts in zip(*leaves, strict=True)])


def last_of(ys: Tensor, live: numpy.ndarray | None, reverse: bool) -> Any:
    """Of outputs (T, …) those that were computed last, (…); zeros where none was.

    Args:
        live: (T, B): the steps that count; None if all do.
        reverse: whether they were computed from the end.
    """
    if not ys.shape[0]:
        return ops.reshape(ops.sum(ys, 0), ys.shape[1:])
    if live is None:
        return ys[0 if reverse else -1]
    # where no step counts all outputs are zeros, whichever is taken
    steps = live.argmax(axis=0) if reverse else len(live) - 1 - live[::-1].argmax(axis=0)
    return ops.getitem(ys, (steps, numpy.arange(live.shape[1])))


def last_at(ys: Tensor, lengths: Any, reverse: bool) -> Any:
    """The same from lengths (B,) without a look at their values; outputs beyond them are zeros."""
    if reverse or lengths is None:  # from the end all samples end at the first step
        return last_of(ys, None, reverse)
    places = ops.maximum(ops.astype(lift(lengths, ys._backend), "int64") - 1, 0)
    index = ops.reshape(places, (1, -1, *(1,) * (ys.ndim - 2)))
    return ops.squeeze(ops.take_along_axis(ys, index, 0), 0)


def swapped(x: Any) -> Tensor:
    """(T, B, …) from (B, T, …), and the other way round."""
    return ops.swapaxes(x, 0, 1)


def mask_time_first(mask: Any) -> Any:
    """A mask (B, T), which is used on the host."""
    if mask is None:
        return None
    mask = host.host_array(mask)
    if mask.ndim != 2:
        raise ShapeError(f"mask must have shape (B, T) with batch_first, not {mask.shape}")
    return mask.swapaxes(0, 1)
