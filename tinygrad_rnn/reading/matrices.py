"""What an operation does to matrices: pictures and formulas write a product as ``@``, a transpose as ᵀ."""

from __future__ import annotations

from ..tape import Entry, Replay


def swaps_matrices(entry: Entry) -> bool:
    """Whether it swaps the last two axes, and no others."""
    if isinstance(entry.row, Replay) or not entry.row.permutes:
        return False
    axes = tuple(entry.params[0])
    count = len(axes)
    return count > 1 and axes == (*range(count - 2), count - 1, count - 2)


def multiplies_matrices(entry: Entry) -> bool:
    """Whether it is an ``@``."""
    return not isinstance(entry.row, Replay) and entry.row.multiplies_matrices
