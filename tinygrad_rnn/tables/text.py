"""What every table does with text, and with more lines than can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_REPLACEMENT = chr(0xFFFD)
"""Not by its name, since that would import all names of characters."""


def printable(text: str) -> str:
    """The user's text without line ends, controls and what turns the direction of writing."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _REPLACEMENT for c in text)


def ends(items: Sequence[T], count: int) -> tuple[list[T], list[T], str]:
    """So many from each end, and a note on what lies between; all at once where little does."""
    if len(items) <= 2 * count + 1:
        return list(items), [], ""
    return list(items[:count]), list(items[-count:]), f"… {len(items) - 2 * count:,} more …"
