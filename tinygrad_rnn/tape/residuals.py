"""The residuals of a backward pass: those that have arrived so far, and how an operation sends its own on.

Undoing a broadcast and adding up the residuals that meet happen here, once, for every row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..backends import Array, Backend
from .entry import Entry, Key, Node, key_of
from .writes import check_current


class Residuals:
    """The residuals that have arrived so far, by the key of their tensor; adds up the ones that meet.

    The first residual to arrive at a tensor is kept without a copy. Adding the second makes a new array,
    which is ours, so later ones are added in place.

    Attributes:
        by_key: the residuals.
        owned: the keys of those that are arrays of ours.
        leaves: those that something has arrived at.
    """

    __slots__ = ("by_key", "leaves", "owned", "recorded")

    def __init__(self, recorded: bool) -> None:
        self.recorded: bool = recorded
        self.by_key: dict[Key, Any] = {}
        self.owned: set[Key] = set()
        self.leaves: dict[Key, Node] = {}

    def at(self, node: Node) -> Any:
        """What has arrived at a tensor; None if nothing has."""
        return self.by_key.get(key_of(node))

    def add(self, node: Node, residual: Any) -> None:
        key = key_of(node)
        before = self.by_key.get(key)
        if before is None:
            self.by_key[key] = residual
            if node.entry is None:
                self.leaves[key] = node
        elif key in self.owned:
            before += residual
            self.by_key[key] = before  # 0-d sums are new objects
        else:
            self.by_key[key] = before + residual
            if not self.recorded:
                self.owned.add(key)

    def buffer(self, node: Node, backend: Backend, like: Array) -> Array:
        """An array of our own to add parts into."""
        key = key_of(node)
        array = self.by_key.get(key)
        if array is None:
            array = backend.zeros(like.shape, like.dtype)
            if node.entry is None:
                self.leaves[key] = node
        else:
            array = backend.asarray(array)  # a sum without axes is a number of NumPy's
            array = array if key in self.owned else array.copy()
        self.by_key[key] = array
        self.owned.add(key)
        return array

    def pop(self, entry: Entry) -> Any:
        """Take out what arrived at an entry, as its rule takes it: one residual, or a list with None where
        nothing did; None if nothing did at all."""
        if not entry.row.several:
            return self.by_key.pop((entry.index, 0), None)
        parts = [self.by_key.pop((entry.index, i), None) for i in range(len(entry.ys))]
        for part in parts:
            if part is not None:
                return parts
        return None


def pull_entry(
    entry: Entry,
    g: Any,
    needs: Sequence[bool],
    np: Any,
    residuals: Residuals,
    guarded: bool,
    parts: Sequence[Any] | None = None,
) -> None:
    """Carry the residual of one operation on to its operands.

    Args:
        g: what arrived, as the rule takes it.
        needs: the operands that it goes on to.
        np: the recorded operations or None, as in :func:`pull_back`.
        residuals: where the parts are added.
        guarded: whether the operation lies behind a choice: what goes on is 0 where g is, whatever the slope.
        parts: what goes on to each operand, where that is known already.
    """
    row = entry.row
    inputs = entry.inputs
    if np is None:
        space, xs, y = entry.backend, entry.xs, entry.ys
        if row.into is not None:
            buffer = residuals.buffer(inputs[0], space, xs[0])
            row.into(space, buffer, g, y[0], *xs, *entry.params)
            return
    else:
        check_current(row.name, inputs, entry.xs)
        space, xs, y = np, inputs, entry.results()
    if parts is None:
        parts = row.pull(space, g, y if row.several else y[0], xs, entry.params, needs)
    guard = guarded and row.elementwise and row.case != "addition"
    by_key = residuals.by_key
    for x, needed, part in zip(inputs, needs, parts, strict=True):
        if not needed or part is None:
            continue
        if guard:
            # a branch not taken: 0 · ∞ is 0 here; recorded, a finite part stays as it is: it changes with g
            # also where g is 0
            part = space.where(g == 0 if np is None else (g == 0) & space.isnan(part), 0, part)
        data = x._data
        if part.shape != data.shape:
            part = space.sum_to(part, data.shape)
        if part.dtype is not data.dtype and part.dtype != data.dtype:
            part = space.astype(part, data.dtype)
        producer = x.entry  # what follows is residuals.add, without the call
        key = (-1, id(x)) if producer is None else (producer.index, x.position)
        earlier = by_key.get(key)
        if earlier is None:
            by_key[key] = part
            if producer is None:
                residuals.leaves[key] = x
                if np is None and row.case == "replay" and row.fresh:
                    residuals.owned.add(key)
        elif key in residuals.owned:
            earlier += part
            by_key[key] = earlier
        else:
            residuals.add(x, part)


def pull_watched(
    watch: Callable[..., None],
    entry: Entry,
    g: Any,
    needs: Sequence[bool],
    np: Any,
    residuals: Residuals,
    guarded: bool,
    pull: Callable[..., None] = pull_entry,
) -> None:
    """As :func:`pull_entry`, but ``watch(entry, g, operand, part)`` sees each part before it is added to
    others. All operands are pulled at once, unless two of them are the same tensor."""
    place = {key_of(x): i for i, x in enumerate(entry.inputs) if needs[i]}
    alike = len(place) < sum(needs)
    for selection in (
        [[j == i for j in range(len(needs))] for i in range(len(needs)) if needs[i]] if alike else [needs]
    ):
        alone = Residuals(residuals.recorded)
        pull(entry, g, selection, np, alone, guarded)
        for key, part in alone.by_key.items():
            operand = selection.index(True) if alike else place[key]
            watch(entry, g, operand, part)
            residuals.add(entry.inputs[operand], part)
