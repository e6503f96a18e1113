"""The states of the cells of several layers and directions as one: leaf by leaf (layers · directions, B, …),
the two directions of a layer behind each other, as in PyTorch.

Cells whose states have not the same shapes have a tuple of states in that order instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import arguments, ops, tree
from ..errors import DtypeError, ShapeError
from ..tape import lift
from ..tensor import Tensor
from .cell import Shape


def zeros_of(what: str, size: Any, like: Any, batch: tuple[int, ...], dtype: Any) -> Any:
    """A state of zeros, of what a cell has as its ``state_size``.

    Args:
        what: what to call that.
        like: a tensor on the backend to use.
        batch: the axes before those of the size.
    """

    def zeros(size: Any) -> Tensor:
        return Tensor(like._backend.zeros((*batch, *axes_of(what, size)), dtype), like._backend)

    return tree.map_leaves(zeros, size)


def axes_of(what: str, size: Any) -> tuple[int, ...]:
    """The axes after the batch that a ``state_size`` says for a tensor."""
    return size.axes if isinstance(size, Shape) else (arguments.size(what, size),)


def check_state(name: str, state: Any, size: Any, x: Any) -> None:
    """Check that a state is one of a cell for an input, before the cell spreads it over other axes.

    Args:
        name: of the layer.
        size: the ``state_size`` of the cell; None where it has none.
        x: the input, (T, B, …).

    Raises:
        ShapeError: a tensor of it has another shape.
    """
    inputs = tree.leaves(x)
    if size is None or not inputs:
        return
    leaves, sizes, batch = tree.leaves(state), tree.leaves(size), inputs[0].shape[1:2]
    for leaf, one in zip(leaves, sizes, strict=False):  # how many there are, the cell says
        shape, expected = getattr(leaf, "shape", None), (*batch, *axes_of(f"{name}: state_size", one))
        if shape and tuple(shape) != expected:
            raise ShapeError(
                f"{name}: a tensor of the state has shape {tuple(shape)}: expected {expected}, the samples "
                "and then the state_size of the cell"
            )


def together(name: str, states: Sequence[Any]) -> Any:
    """The states of all cells, one above the other.

    Raises:
        ShapeError: they do not fit on each other.
    """
    leaves = [tree.leaves(state) for state in states]
    kinds = {tuple(leaf.shape for leaf in each) for each in leaves}
    if len(kinds) > 1:
        raise ShapeError(
            f"{name}: the cells' states have the shapes {sorted(kinds)}: give the cells a state_size, and "
            "the state is a tuple with that of each"
        )
    stacked = [
        ops.reshape(each[0], (1, *each[0].shape)) if len(each) == 1 else ops.stack(each)
        for each in zip(*leaves, strict=True)
    ]
    return tree.unflatten(states[0], stacked)


def apart(name: str, state: Any, size: Any, count: int, x: Any, single: bool) -> list[Any]:
    """The state of each cell, from that of all of them.

    Args:
        name: of the layer.
        state: leaf by leaf (count, B, …), without B for a single sequence.
        size: the ``state_size`` of the cells; None where they have none, and all leaves of the state count.
        count: how many cells.
        x: the input, of which backend, batch and dtype are.

    Raises:
        ShapeError, DtypeError: it does not fit.
    """
    if size is None:
        leaves = [lift(leaf, x._backend) for leaf in tree.leaves(state)]
        if any(leaf.shape[:1] != (count,) for leaf in leaves):
            raise ShapeError(
                f"{name}: the tensors of the state have the shapes {[leaf.shape for leaf in leaves]}: "
                f"expected ({count}, …), (layers · directions, …)"
            )
        leaves = [ops.expand_dims(leaf, 1) for leaf in leaves] if single else leaves
        return [tree.unflatten(state, one) for one in zip(*map(ops.unstack, leaves), strict=True)]
    leaves, dtype = tree.leaves(state), x.dtype
    rows = (count,) if single else (count, x.shape[1])
    shapes = [(*rows, *axes_of(f"{name}: state_size", n)) for n in tree.leaves(size)]
    if len(leaves) != len(shapes):
        raise ShapeError(f"{name}: the state is {len(shapes)} tensors of shapes {shapes}, got {len(leaves)}")
    parts = []
    for leaf, shape in zip(leaves, shapes, strict=True):
        leaf = lift(leaf, x._backend)
        if leaf.shape != shape:
            raise ShapeError(
                f"{name}: a tensor of the state has shape {leaf.shape}: expected "
                f"{shape}, (layers · directions, …)"
            )
        if dtype.kind == "f" and leaf.dtype != dtype:
            raise DtypeError(f"{name}: a tensor of the state has dtype {leaf.dtype}, the input has {x.dtype}")
        leaf = ops.expand_dims(leaf, 1) if single else leaf
        parts.append(ops.unstack(leaf) if count > 1 else [ops.reshape(leaf, leaf.shape[1:])])
    return [tree.unflatten(size, one) for one in zip(*parts, strict=True)]
