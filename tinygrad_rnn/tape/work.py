"""What a piece of program did, as a hash. A program that is run again must do the same."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends
from ..backends import Array, Backend
from ..errors import TapeError
from .entry import Key, Node, key_of
from .walk import Tape


def check_same(name: str, results: Sequence[Any], ys: Sequence[Any], alike: bool = True) -> None:
    """A program that was run again must have given the same, bit for bit, and by the same work.

    Args:
        alike: whether the work was the same, as ``work_of`` tells.

    Raises:
        TapeError: it has not.
    """
    for result, y in zip(results, ys, strict=True):
        alike = alike and result._backend.same_bits(result._data, y._data if isinstance(y, Node) else y)
    if not alike:
        raise TapeError(
            f"{name}: what was run again gave other numbers than before, or came to them in another way, "
            "so its gradient would be wrong: "
            "it may draw random numbers from a generator of its own, or use something that changed since"
        )


def work_of(results: Sequence[Node], since: int, inputs: Sequence[Node]) -> int:
    """A hash of the operations after ``since`` that lead from inputs to results, with their parameters and
    constants. The results alone would not do: a constant may cancel out of them and still be in the
    slopes."""
    place: dict[Key, Any] = {key_of(x): ("input", i) for i, x in enumerate(inputs)}
    work: list[Any] = []
    for position, entry in enumerate(Tape.of(*results, since=since)):
        work += entry.row.name, _hashed(entry.params)
        for x, array, needed in zip(entry.inputs, entry.xs, entry.needs, strict=True):
            if needed:
                work += place.get(key_of(x)), x.position
            else:
                work.append(_hashed(array if isinstance(x, Node) else x))
        for i in range(len(entry.ys)):
            place[entry.index, i] = position
    return hash((*work, *(place.get(key_of(y)) for y in results)))


def _hashed(x: Any) -> Any:
    return by_sight(x, lambda owner, array: owner.fingerprint(array))


def by_sight(x: Any, content: Callable[[Backend, Array], Any]) -> Any:
    """Something hashable that is equal for parameters that mean the same. Numbers are compared by their
    ``repr``: NaN equals itself then, 0 is neither −0 nor False, and −1 and −2 have different hashes. Arrays
    are compared by shape, dtype and ``content(backend, array)``."""
    if isinstance(x, (tuple, list)):
        return tuple([by_sight(part, content) for part in x]) if x else ()
    if isinstance(x, slice):
        return ("slice", *by_sight((x.start, x.stop, x.step), content))
    owner = backends.owner(x)
    if owner is not None:
        return x.shape, x.dtype.str, content(owner, x)
    return repr(x) if isinstance(x, numbers.Number) else x
