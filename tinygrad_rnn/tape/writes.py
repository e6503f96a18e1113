"""Arrays that the user can change in place.

``tensor.data`` hands out an array that may stand on the tape, and NumPy does not tell of writes. So such an
array is fingerprinted when it is handed out and when something is recorded with it, and a backward pass
compares the fingerprints. Memory of another library, which nothing was recorded with when it came in, is only
fingerprinted when something is. Without any of them nothing of this costs anything: the table is empty, and
an array leaves it when nobody refers to it any more.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..backends import Array
from ..errors import TapeError
from .entry import Entry, Node


class _Exposure:
    """The fingerprints of one memory block: (index of the first entry that they hold for, fingerprint)."""

    __slots__ = ("block", "history")

    def __init__(self, block: Any, history: list[tuple[int, int]]) -> None:
        self.block = block
        self.history = history


exposed: dict[int, _Exposure] = {}


def _block(array: Array) -> Array:
    """The array that owns the memory of a view."""
    base = getattr(array, "base", None)
    return array if base is None or not isinstance(base, type(array)) else base


def expose(node: Node) -> Array:
    """The array of a tensor, to be handed to the user."""
    block = _block(node._data)
    if id(block) not in exposed:
        _watch(block, [(-1, node._backend.fingerprint(block))])
    return node._data


def watch_new(node: Node) -> None:
    """Watch memory that a new tensor shares with another library. Nothing was recorded with it before, unless
    it is that of another tensor."""
    block = _block(node._data)
    if block is not node._data:
        expose(node)
    elif id(block) not in exposed:  # an array of a tensor's own, which the user can only have from .data
        _watch(block, [])


def _watch(block: Array, history: list[tuple[int, int]]) -> None:
    key = id(block)
    reference = weakref.ref(block, lambda _gone: exposed.pop(key, None))
    exposed[key] = _Exposure(reference, history)


def fingerprint_if_exposed(node: Node) -> int | None:
    """What an array holds that the user has; None where the user has none."""
    block = _block(node._data)
    return node._backend.fingerprint(block) if id(block) in exposed else None


def _arrays(entry: Entry) -> Iterator[Array]:
    """The arrays that an entry's backward pass may need, also those that it is indexed by."""
    todo = [*entry.xs, *entry.ys, *entry.params]
    while todo:
        part = todo.pop()
        if isinstance(part, tuple):
            todo += part
        elif isinstance(part, entry.backend.array_type):
            yield part


def remember(entry: Entry) -> None:
    """Fingerprint the exposed arrays of an entry, where they have changed."""
    for array in _arrays(entry):
        exposure = exposed.get(id(_block(array)))
        if exposure is not None:
            fingerprint = entry.backend.fingerprint(_block(array))
            if not exposure.history or fingerprint != exposure.history[-1][1]:
                exposure.history.append((entry.index, fingerprint))


def check_unchanged(entries: Iterable[Entry]) -> None:
    """Check that the arrays of entries are what they were when the entries were recorded.

    Raises:
        TapeError: one of them was written into since.
    """
    now: dict[int, int] = {}
    for entry in entries:
        for array in _arrays(entry):
            key = id(_block(array))
            if key not in exposed:
                continue
            if key not in now:
                now[key] = entry.backend.fingerprint(_block(array))
            recorded = next(f for index, f in reversed(exposed[key].history) if index <= entry.index)
            if recorded != now[key]:
                raise TapeError(
                    f"an array of shape {tuple(array.shape)} was changed in place after {entry.row.name!r} "
                    f"(entry {entry.index}) "
                    "recorded it: its gradient would be wrong; write to a copy, or assign tensor.data = "
                    "new_array"
                )


def check_current(name: str, operands: Sequence[Any], xs: Sequence[Any]) -> None:
    """Check that operands still have the arrays that they were recorded with: an optimiser may have replaced
    them.

    Raises:
        TapeError: a tensor has another array now.
    """
    for x, array in zip(operands, xs, strict=True):
        if isinstance(x, Node) and x._data is not array:
            raise TapeError(
                f"a tensor of shape {tuple(array.shape)} got another array after {name!r} recorded it: "
                "differentiate before the optimiser's step or the assignment to .data"
            )
