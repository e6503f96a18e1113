"""Which operations of two runs of the same code are the same.

Two operations are the same if they stand in the same order, have the same row, and their operands are the
same: the same argument of the call, the same parameter, or results of operations that are the same. One run
may lack some operations: those that nothing depends on, and those that need no residual, are not on a tape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tape import Entry, Key, Node, key_of


def partners(
    ours: Sequence[Entry], theirs: Sequence[Entry], our_arguments: Sequence[Any],
    their_arguments: Sequence[Any],
    key_of_ours: Callable[[Node], Key],
) -> list[Entry | None]:  # fmt: skip
    """For each of our operations that of theirs which is the same, or None.

    Args:
        ours, theirs: the operations of both runs, in order.
        our_arguments, their_arguments: what both were called with, place by place.
        key_of_ours: what one of our tensors outside is known by in their run.
    """
    places: dict[Key, set[int]] = {}
    for place, x in enumerate(our_arguments):
        if isinstance(x, Node):
            places.setdefault(key_of(x), set()).add(place)
    place_of = {key_of(x): place for place, x in enumerate(their_arguments) if isinstance(x, Node)}
    indices = {entry.index for entry in theirs}
    waiting: dict[Any, list[Entry]] = {}
    for entry in theirs:
        waiting.setdefault(_kind(entry), []).append(entry)
    partner: dict[int, Entry] = {}

    def fits(x: Any, y: Any) -> bool:
        if not isinstance(x, Node) or not isinstance(y, Node):
            return not isinstance(x, Node) and not isinstance(y, Node)
        if key_of(y) in place_of:
            return place_of[key_of(y)] in places.get(key_of(x), ())
        if y.entry is not None and y.entry.index in indices:
            if x.entry is None:
                return not x.requires_grad and x._data.shape == y._data.shape
            return partner.get(x.entry.index) is y.entry and x.position == y.position
        return key_of_ours(x) == key_of(y) or (
            not x.requires_grad and not y.requires_grad and x._data.shape == y._data.shape
        )

    for entry in ours:
        candidates = waiting.get(_kind(entry), [])
        for i, other in enumerate(candidates):
            if all(map(fits, entry.inputs, other.inputs)):
                partner[entry.index] = candidates.pop(i)
                break
    return [partner.get(entry.index) for entry in ours]


def _kind(entry: Entry) -> Any:
    return entry.row, len(entry.inputs), repr(entry.params)
