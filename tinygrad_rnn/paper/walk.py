"""The residuals themselves, of everything on a tape: one backward pass, of which numbers of chosen units are
kept. No ``.grad`` is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..reading.followed import ones
from ..tape import Entry, Key, Node, Tape, key_of, pull_back

Unit = tuple[int, ...]
"""The index of one element."""


def fitted(unit: Unit, shape: tuple[int, ...]) -> Unit | None:
    """An index for an array of this shape: with axes put before it or left out there, and 0 along axes of
    length 1; None where it lies beyond."""
    if 0 in shape:
        return None
    whole = (
        ((0,) * len(shape) + unit)[len(unit) :] if len(unit) < len(shape) else unit[len(unit) - len(shape) :]
    )
    inside = tuple(0 if n == 1 else i + n if i < 0 else i for i, n in zip(whole, shape, strict=True))
    return inside if all(0 <= i < n for i, n in zip(inside, shape, strict=True)) else None


def number(array: Any, unit: Unit, backend: Any) -> float:
    """One element of an array of any device."""
    return float(backend.to_host(backend.asarray(array[unit])))


def walked(
    tape: Tape, results: Sequence[Node], leaves: Sequence[Node], units: dict[Key, Unit | None]
) -> dict[Key, float | None]:
    """By key the residual of each tensor's chosen unit; without those that none reaches.

    Args:
        tape, results: what to go back through, and from where: from 1 for every element.
        leaves: what the tape begins with.
        units: by key which element to keep; None where there is none to choose.
    """
    kept: dict[Key, float | None] = {}

    def keep(key: Key, residual: Any, backend: Any) -> None:
        unit = units.get(key)
        kept[key] = None if unit is None else number(residual, unit, backend)

    def watch(entry: Entry, g: Any, operand: int, part: Any) -> None:
        for position, one in enumerate(g if entry.row.several else (g,)):
            if one is not None and (entry.index, position) not in kept:
                keep((entry.index, position), one, entry.backend)

    residuals, _ = pull_back(ones(results), watch=watch, through=tape)
    for leaf in leaves:
        residual = residuals.at(leaf)
        if residual is not None:
            keep(key_of(leaf), residual, leaf._backend)
    return kept
